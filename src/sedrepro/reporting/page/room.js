"use strict";
// The listening room: truth and the detections of two rows on one time axis, from embedded scores.

(() => {
  const NS = "http://www.w3.org/2000/svg";
  const LANES = 8;
  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const svg = (name, attributes = {}) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const decode = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Uint16Array(bytes.buffer);
  };

  // Frames above the threshold as [class, onset, offset], cut at the clip's end.
  const detect = (scores, data, clip, threshold) => {
    const classes = data.classes.length;
    const frames = scores.length / classes;
    const limit = threshold * 65535;
    const events = [];
    for (let c = 0; c < classes; c++) {
      let start = -1;
      for (let f = 0; f <= frames; f++) {
        const on = f < frames && scores[f * classes + c] > limit;
        if (on && start < 0) start = f;
        if (!on && start >= 0) {
          const onset = start * data.hop;
          if (onset < clip.seconds) events.push([c, onset, Math.min(f * data.hop, clip.seconds)]);
          start = -1;
        }
      }
    }
    return events;
  };

  const pattern = () => {
    const holder = svg("svg", { width: 0, height: 0, "aria-hidden": "true", style: "position:absolute" });
    const hatch = svg("pattern", { id: "hatch", width: 4, height: 4, patternUnits: "userSpaceOnUse", patternTransform: "scale(.02 1)" });
    hatch.append(svg("rect", { width: 2, height: 4, style: "fill:var(--b)" }));
    holder.append(svg("defs"));
    holder.firstChild.append(hatch);
    return holder;
  };

  const rooms = document.querySelectorAll(".room");
  if (rooms.length) document.body.append(pattern());
  for (const room of rooms) {
    const data = JSON.parse(document.getElementById(room.dataset.source).textContent);
    const audio = room.querySelector("audio");
    const stage = room.querySelector(".stage");
    const slider = room.querySelector('input[type="range"]');
    const selects = [room.querySelector(".source-a"), room.querySelector(".source-b")];
    const cursor = make("div", { class: "cursor", hidden: "" });
    let current = 0;
    let position = 0;

    selects.forEach((select) => select.addEventListener("change", draw));
    slider.addEventListener("input", draw);

    // A clip offers the rows that scored it; a choice is kept where the next clip has it too.
    function offer(clip, first) {
      selects.forEach((select, side) => {
        const before = select.value;
        const able = Object.keys(clip.scores);
        select.replaceChildren(...able.map((k) => new Option(data.sources[k].label, k)));
        select.value = able.includes(before) ? before : String(clip.chosen[side] ?? "");
      });
      if (first && clip.chosen.length) slider.value = data.sources[clip.chosen[1]].threshold;
    }

    const buttons = data.clips.map((clip, index) => {
      const button = make("button", { type: "button" }, clip.id);
      button.addEventListener("click", () => choose(index));
      room.querySelector(".clips").append(button);
      return button;
    });

    function choose(index) {
      current = index;
      const clip = data.clips[index];
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === index)));
      audio.pause();
      audio.hidden = !clip.audio;
      room.querySelector(".silent").hidden = Boolean(clip.audio);
      if (clip.audio) audio.src = clip.audio; else audio.removeAttribute("src");
      audio.setAttribute("aria-label", `Recording ${clip.id}`);
      position = 0;
      offer(clip, slider.dataset.set === undefined);
      slider.dataset.set = "";
      draw();
    }

    function lane(label, content, colour) {
      const what = make("div", { class: "what" });
      if (colour) what.append(make("span", { class: "dot", style: `background:${colour}`, "aria-hidden": "true" }));
      what.append(label);
      stage.append(what, content);
    }

    function draw() {
      const clip = data.clips[current];
      const threshold = Number(slider.value);
      room.querySelector("output").textContent = threshold.toFixed(2);
      const chosen = selects.filter((select) => select.value !== "").map((select) => Number(select.value));
      const scores = chosen.map((k) => decode(clip.scores[k]));
      const found = scores.map((s) => detect(s, data, clip, threshold));
      stage.replaceChildren();
      const picture = make("div", { class: "lane" });
      if (clip.image) picture.append(make("img", { src: clip.image, alt: `Spectrogram of ${clip.id}` }));
      else picture.append(make("p", { class: "none" }, "No spectrum was stored."));
      lane("Spectrogram, mel bands", picture);
      const [shown, rest] = ranked(clip, found);
      for (const c of shown) {
        const info = data.classes[c];
        const node = svg("svg", { viewBox: `0 0 ${clip.seconds} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
        const bars = (events, top, kind) => {
          for (const [k, onset, offset] of events) {
            if (k === c) node.append(svg("rect", { class: kind, x: onset, width: offset - onset, y: top, height: 13 }));
          }
        };
        scores.forEach((s, side) => node.append(curve(s, c, clip, side ? "score b" : "score a")));
        const height = 52 - threshold * 48;
        node.append(svg("line", { class: "limit", x1: 0, x2: clip.seconds, y1: height, y2: height }));
        bars(clip.truth, 56, "truth");
        found.forEach((events, side) => bars(events, side ? 84 : 70, side ? "hit-b" : "hit-a"));
        lane(info.name, make("div", { class: "lane" }, node), info.colour);
      }
      if (rest.length) {
        const names = rest.map((c) => data.classes[c].name).join(", ");
        lane("not drawn", make("div", { class: "lane" }, make("p", { class: "none" }, `${rest.length} more classes are detected: ${names}`)));
      }
      if (!shown.length) lane("", make("div", { class: "lane" }, make("p", { class: "none" }, "No event, and nothing detected.")));
      const axis = make("div", { class: "lane ticks", "aria-hidden": "true" });
      const step = clip.seconds > 6 ? 2 : 1;
      for (let t = 0; t <= clip.seconds + 1e-6; t += step) {
        axis.append(make("span", { style: `left:${(100 * t) / clip.seconds}%` }, `${t} s`));
      }
      lane("", axis);
      stage.append(cursor);
      words(clip, found, chosen);
      move();
    }

    // Classes to draw: all that are true, then those detected longest; and those left out.
    function ranked(clip, found) {
      const length = new Map();
      for (const [c, onset, offset] of found.flat()) length.set(c, (length.get(c) || 0) + offset - onset);
      const truth = data.classes.map((_, c) => c).filter((c) => clip.truth.some((event) => event[0] === c));
      const others = [...length.keys()].filter((c) => !truth.includes(c)).sort((x, y) => length.get(y) - length.get(x) || x - y);
      const room = Math.max(3, LANES - truth.length);
      return [[...truth, ...others.slice(0, room)], others.slice(room)];
    }

    function curve(scores, c, clip, kind) {
      const classes = data.classes.length;
      let d = "";
      for (let f = 0; f * classes < scores.length; f++) {
        const height = (52 - (scores[f * classes + c] / 65535) * 48).toFixed(1);
        d += `${d ? "L" : "M"}${(f * data.hop).toFixed(3)} ${height}L${((f + 1) * data.hop).toFixed(3)} ${height}`;
      }
      return svg("path", { class: kind, d });
    }

    function words(clip, found, chosen) {
      const labels = chosen.map((k, side) => `${"AB"[side]}: ${data.sources[k].label}`);
      const lists = [["Truth", clip.truth], ...found.map((events, side) => [labels[side], events])];
      room.querySelector(".counts").textContent = lists
        .map(([name, events]) => `${name} – ${events.length} event${events.length === 1 ? "" : "s"}`).join(" · ");
      room.querySelector("tbody").replaceChildren(...lists.flatMap(([name, events]) => events.map(([c, onset, offset]) =>
        make("tr", {}, make("td", {}, name), make("td", {}, data.classes[c].name),
          make("td", { class: "num" }, onset.toFixed(2)), make("td", { class: "num" }, offset.toFixed(2))))));
    }

    function move() {
      const first = stage.querySelector(".lane");
      cursor.hidden = false;
      cursor.style.left = `${first.offsetLeft + (position / data.clips[current].seconds) * first.clientWidth}px`;
    }

    function follow() {
      position = audio.currentTime;
      move();
      if (!audio.paused && !audio.ended) requestAnimationFrame(follow);
    }
    audio.addEventListener("play", follow);
    audio.addEventListener("timeupdate", follow);
    audio.addEventListener("seeked", follow);
    stage.addEventListener("click", (event) => {
      const box = stage.querySelector(".lane").getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      if (share < 0 || share > 1) return;
      position = share * data.clips[current].seconds;
      if (audio.getAttribute("src")) audio.currentTime = position;
      move();
    });
    new ResizeObserver(move).observe(stage);
    choose(0);
  }
})();
