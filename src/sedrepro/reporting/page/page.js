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
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.querySelector("summary").focus({ preventScroll: true });
      target.scrollIntoView();
    }
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

  for (const part of document.querySelectorAll(".differences")) {
    const select = part.querySelector("select");
    const show = () => [...part.querySelector("table").tBodies].forEach((body, k) => { body.hidden = String(k) !== select.value; });
    select.addEventListener("change", show);
    show();
  }
})();
