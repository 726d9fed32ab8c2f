"use strict";
// The page itself: light and dark, sorting, and opening what a link points into.

(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => {
    root.classList.toggle("dark", dark());
    document.dispatchEvent(new Event("themechange"));
  };
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();

  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    if (target.tagName === "DETAILS") target.querySelector("summary").focus({ preventScroll: true });
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", open);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) open();
  });
  open();

  // Cells of a table by visual column, so that a button in a two-storey head finds its column.
  const columnOf = (button) => {
    const cell = button.closest("th");
    const rows = cell.closest("thead").rows;
    if (cell.parentNode === rows[0]) return cell.cellIndex;
    const leading = [...rows[0].cells].filter((c) => c.rowSpan > 1).length;
    return leading + cell.cellIndex;
  };
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim();
    if (text === "" || text === "–") return null;
    const number = Number(text.replace(/,/g, ""));
    return Number.isNaN(number) ? text : number;
  };
  const markContext = (body) => {
    let before = false;
    for (const row of body.rows) {
      const context = row.classList.contains("context");
      row.classList.toggle("first-context", context && !before && row !== body.rows[0]);
      before = context;
    }
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    markContext(body);
    for (const button of table.querySelectorAll("button.sort")) {
      button.addEventListener("click", () => {
        const head = button.closest("th");
        const column = columnOf(button);
        const first = column === 0 ? "ascending" : "descending";
        const order = !head.ariaSort ? first : head.ariaSort === "ascending" ? "descending" : "ascending";
        for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort(([x], [y]) => {
          if (x === null || y === null) return (x === null) - (y === null);
          return sign * (x < y ? -1 : x > y ? 1 : 0);
        });
        body.append(...rows.map(([, row]) => row));
        markContext(body);
      });
    }
  }

  // What is printed is whole: every part is open on paper.
  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details.part, details.table, details.notes")) part.open = true;
  });

  // Filters: by paper, by a part of a row's name, by metric, and what was never run.
  const field = (name) => document.getElementById(`filter-${name}`);
  const tables = [...document.querySelectorAll("details.table table.sortable")];
  const metrics = new Set(tables.flatMap((table) => [...table.querySelectorAll("th.group")].map((head) => head.dataset.metric)));
  for (const metric of [...metrics].sort()) field("metric").add(new Option(metric, metric));
  const hide = (part, away) => part.classList.toggle("filtered", away);
  const filter = () => {
    const paper = field("paper").value, metric = field("metric").value;
    const words = field("row").value.trim().toLowerCase();
    root.classList.toggle("only-run", field("run").checked);
    for (const part of document.querySelectorAll("[data-paper]")) hide(part, paper !== "" && part.dataset.paper !== paper);
    for (const table of tables) {
      for (const row of table.tBodies[0].rows) hide(row, !row.cells[0].textContent.toLowerCase().includes(words));
      for (const cell of table.querySelectorAll("[data-metric]")) hide(cell, metric !== "" && cell.dataset.metric !== metric);
    }
    const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
    const hidden = rows.filter((row) => row.closest(root.classList.contains("only-run") ? ".filtered, .unrun" : ".filtered"));
    document.getElementById("hidden").textContent = hidden.length ? `(${hidden.length} of ${rows.length} rows hidden)` : "";
  };
  for (const name of ["paper", "row", "metric", "run"]) field(name).addEventListener("input", filter);
  filter();

  // A table as it is shown, in the form somebody writes in.
  const shown = (cell) => !cell.closest(root.classList.contains("only-run") ? ".filtered, .unrun" : ".filtered");
  const words = (cell) => cell.innerText.replace(/\s+/g, " ").trim();
  const heads = (table) => {
    const [upper, lower] = table.tHead.rows;
    const found = [...upper.cells].filter((cell) => cell.rowSpan > 1).map(words);
    const groups = [...upper.cells].filter((cell) => cell.rowSpan === 1).flatMap((cell) => Array(cell.colSpan).fill(cell));
    [...lower.cells].forEach((cell, place) => { if (shown(cell)) found.push(`${words(groups[place])}, ${words(cell)}`); });
    return found;
  };
  const grid = (table) => [
    heads(table),
    ...[...table.tBodies[0].rows].filter(shown).map((row) => [...row.cells].filter(shown).map(words)),
  ];
  const latex = (text) => text.replace(/[\\&%$#_{}~^±–−]/g, (sign) => ({
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$", "–": "--", "−": "$-$",
  })[sign] || `\\${sign}`);
  const forms = {
    Markdown: ([head, ...rows]) => [head, head.map((_, place) => (place ? "---:" : "---")), ...rows]
      .map((row) => `| ${row.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`).join("\n"),
    CSV: (rows) => rows.map((row) => row.map((text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)).join(",")).join("\n"),
    LaTeX: ([head, ...rows]) => [
      `\\begin{tabular}{l${"r".repeat(head.length - 1)}}`, "\\toprule", `${head.map(latex).join(" & ")} \\\\`, "\\midrule",
      ...rows.map((row) => `${row.map(latex).join(" & ")} \\\\`), "\\bottomrule", "\\end{tabular}",
    ].join("\n"),
  };
  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const text = forms[button.dataset.form](grid(button.closest("details.table").querySelector("table.sortable")));
      const told = button.parentNode.querySelector("span");
      button.dataset.copied = text;
      try {
        await navigator.clipboard.writeText(text);
        told.textContent = "copied";
      } catch {
        told.textContent = "the browser does not allow it; use the downloads";
      }
    });
  }

  for (const part of document.querySelectorAll(".differences")) {
    const select = part.querySelector("select");
    const show = () => [...part.querySelector("table").tBodies].forEach((body, k) => { body.hidden = String(k) !== select.value; });
    select.addEventListener("change", show);
    show();
  }
})();
