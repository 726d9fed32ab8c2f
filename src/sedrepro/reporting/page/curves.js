"use strict";
// Training curves: one quantity of all rows at a time, rows switched on and off by their legend.

(() => {
  const NS = "http://www.w3.org/2000/svg";
  const svg = (name, attributes, text) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const ticks = (low, high, count) => {
    const rough = (high - low) / count || 1;
    const scale = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((s) => s * scale).find((s) => s >= rough * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-6; k++) found.push(Number((k * step).toPrecision(10)));
    return found;
  };

  for (const chart of document.querySelectorAll(".chart")) {
    const data = JSON.parse(document.getElementById(chart.dataset.source).textContent);
    const select = chart.querySelector(".quantity");
    const conditions = chart.querySelector(".condition");
    const plot = chart.querySelector(".plot");
    const hidden = new Set();
    for (const quantity of data.quantities) select.add(new Option(quantity.name, quantity.key));
    if (conditions) for (const condition of data.conditions) conditions.add(new Option(condition.name, condition.key));

    const draw = () => {
      const wide = Math.max(320, plot.clientWidth || 900);
      const size = { w: wide, h: Math.max(220, Math.min(380, wide * 0.4)), l: 52, r: 8, t: 10, b: 38 };
      const quantity = select.value;
      const lines = data.lines.filter((line) =>
        line.values[quantity] && !hidden.has(line.row) && (!conditions || line.condition === conditions.value));
      const points = lines.flatMap((line) => line.values[quantity]).filter((v) => v !== null);
      const root = svg("svg", { viewBox: `0 0 ${size.w} ${size.h}` });
      plot.replaceChildren(root);
      const name = select.selectedOptions[0].textContent;
      if (!points.length) {
        root.append(svg("text", { x: size.l, y: 40 }, "Nothing to show: no row is on, or none has this quantity."));
        plot.setAttribute("aria-label", `${name}: nothing to show`);
        return;
      }
      let low = Math.min(0, ...points);
      let high = Math.max(...points);
      if (high === low) high = low + 1;
      high += (high - low) * 0.04;
      const last = Math.max(...lines.flatMap((line) => line.epochs));
      const x = (epoch) => size.l + ((epoch - 1) / Math.max(1, last - 1)) * (size.w - size.l - size.r);
      const y = (value) => size.h - size.b - ((value - low) / (high - low)) * (size.h - size.t - size.b);
      for (const value of ticks(low, high, 5)) {
        root.append(svg("line", { class: "rule", x1: size.l, x2: size.w - size.r, y1: y(value), y2: y(value) }));
        root.append(svg("text", { x: size.l - 7, y: y(value) + 4, "text-anchor": "end" }, String(value)));
      }
      for (const epoch of ticks(1, last, wide < 500 ? 5 : 9).filter((e) => Number.isInteger(e) && e > 0)) {
        root.append(svg("text", { x: x(epoch), y: size.h - size.b + 17, "text-anchor": "middle" }, String(epoch)));
      }
      root.append(svg("text", { x: (size.l + size.w) / 2, y: size.h - 4, "text-anchor": "middle" }, "epoch"));
      root.append(svg("path", { class: "frame", d: `M${size.l} ${size.t}V${size.h - size.b}H${size.w - size.r}` }));
      for (const line of lines) {
        let pen = "M";
        let d = "";
        line.values[quantity].forEach((value, index) => {
          if (value === null) return;  // validation may skip epochs
          d += `${pen}${x(line.epochs[index]).toFixed(1)} ${y(value).toFixed(1)}`;
          pen = "L";
        });
        const curve = svg("path", { class: "curve", d, stroke: line.colour, "stroke-dasharray": line.dash });
        curve.append(svg("title", {}, `${line.label} (${line.name})`));
        root.append(curve);
      }
      const ends = lines.map((line) => {
        const values = line.values[quantity].filter((v) => v !== null);
        return `${line.label}, ${line.name}: ${values[values.length - 1]}`;
      });
      plot.setAttribute("aria-label", `${name} over epochs; at the end ${ends.join("; ")}`);
    };

    const rows = new Map(data.lines.map((line) => [line.row, line]));
    for (const [row, line] of rows) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      const mark = svg("svg", { width: 26, height: 8, "aria-hidden": "true" });
      mark.append(svg("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: line.colour, "stroke-width": 2.2, "stroke-dasharray": line.dash }));
      button.append(mark, line.label);
      button.addEventListener("click", () => {
        const off = hidden.has(row);
        if (off) hidden.delete(row); else hidden.add(row);
        button.setAttribute("aria-pressed", String(off));
        draw();
      });
      chart.querySelector(".legend").append(button);
    }
    for (const control of [select, conditions]) if (control) control.addEventListener("change", draw);
    new ResizeObserver(draw).observe(plot);
    draw();
  }
})();
