// The page's one script: read-outs on charts, keys that hide series, sortable tables, the current
// entry of the contents. Everything it shows stands in the page without it too.
"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const charts = new Map(JSON.parse(document.getElementById("data").textContent).map((c) => [c.id, c]));
  const make = (name, attributes = {}, text = "") => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  };

  // Numbers as the page's own tables show them.
  const digits = (value) => {
    const whole = Math.abs(value) < 1 ? 1 : Math.floor(Math.log10(Math.abs(value))) + 1;
    return value.toLocaleString("en", { maximumFractionDigits: Math.max(0, 3 - whole) });
  };
  const say = (value, unit) => {
    const size = Math.abs(value);
    if (unit === "ms" && size >= 1000) return digits(value / 1000) + " s";
    if (unit === "ms" && size < 1 && size > 0) return digits(value * 1000) + " µs";
    if (unit === "s" && size >= 240) return digits(value / 60) + " min";
    if (unit === "share") return (value * 100).toFixed(value > 0.985 && value < 1 ? 1 : 0) + " %";
    return digits(value) + (unit ? " " + unit : "");
  };

  const place = (axis, value) => {
    const share = axis.scale === "log"
      ? Math.log(value / axis.min) / Math.log(axis.max / axis.min)
      : (value - axis.min) / (axis.max - axis.min);
    return Math.min(1, Math.max(0, share));
  };

  const figures = [];
  for (const element of document.querySelectorAll("figure[data-chart]")) {
    const chart = charts.get(element.dataset.chart);
    if (chart) figures.push(new_figure(element, chart));
  }

  function new_figure(element, chart) {
    const figure = { element, chart, hidden: new Set(), at: -1, box: make("div", { class: "read", hidden: "" }) };
    const live = make("p", { class: "hidden", "aria-live": "polite" });
    element.append(figure.box, live);
    figure.live = live;
    figure.svgs = [...element.querySelectorAll("svg")];
    for (const svg of figure.svgs) {
      svg.setAttribute("tabindex", "0");
      svg.addEventListener("pointermove", (event) => follow(figure, svg, event));
      svg.addEventListener("pointerleave", () => clear(figure));
      svg.addEventListener("blur", () => clear(figure));
      svg.addEventListener("keydown", (event) => step(figure, svg, event));
    }
    for (const item of element.querySelectorAll(".key li")) {
      const button = make("button", { type: "button", "aria-pressed": "true" });
      button.append(...item.childNodes);
      item.append(button);
      button.addEventListener("click", () => toggle(figure, Number(item.dataset.series), button));
    }
    return figure;
  }

  function toggle(figure, number, button) {
    const hide = !figure.hidden.has(number);
    if (hide) figure.hidden.add(number); else figure.hidden.delete(number);
    button.setAttribute("aria-pressed", String(!hide));
    for (const group of figure.element.querySelectorAll(`g[data-series="${number}"]`)) {
      group.style.display = hide ? "none" : "";
    }
    clear(figure);
  }

  // Where a point stands in the picture, in the units of its view box.
  function spot(figure, svg, point) {
    const [left, top, width, height] = svg.dataset.plot.split(" ").map(Number);
    const { x, y } = figure.chart;
    const down = y.rows ? place(y, point[1]) : 1 - place(y, point[1]);
    return [left + width * place(x, point[0]), top + height * down];
  }

  const shown = (figure) => figure.chart.series
    .map((series, number) => ({ ...series, number }))
    .filter((series) => !figure.hidden.has(series.number) && series.points.length);

  // The places that a read-out can stand at, in order: one per dot, else one per step of the axis
  // that all curves share.
  function stops(figure) {
    const series = shown(figure);
    if (figure.chart.snap === "dot") {
      const dots = series.flatMap((one) => one.points.map((point) => ({ one, point })));
      return dots.sort((a, b) => a.point[0] - b.point[0]);
    }
    const axis = figure.chart.snap === "y" ? 1 : 0;
    const values = new Set(series.flatMap((one) => one.points.map((point) => point[axis])));
    return [...values].sort((a, b) => a - b).map((value) => ({ value, axis }));
  }

  function nearest(figure, svg, at) {
    let best = -1;
    let least = figure.chart.snap === "dot" ? 28 : Infinity;
    stops(figure).forEach((stop, number) => {
      const [x, y] = spot(figure, svg, stop.point ?? (stop.axis ? [figure.chart.x.min, stop.value] : [stop.value, figure.chart.y.min]));
      const away = stop.point ? Math.hypot(x - at[0], y - at[1]) : Math.abs(stop.axis ? y - at[1] : x - at[0]);
      if (away < least) { least = away; best = number; }
    });
    return best;
  }

  function follow(figure, svg, event) {
    const frame = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / frame.width;
    const at = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
    show(figure, svg, nearest(figure, svg, at));
  }

  function step(figure, svg, event) {
    const places = stops(figure);
    const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
    if (event.key === "Escape") return clear(figure);
    if (!(event.key in moves) || !places.length) return;
    event.preventDefault();
    const next = figure.at < 0 ? Math.floor(places.length / 2) : figure.at + moves[event.key];
    show(figure, svg, Math.min(places.length - 1, Math.max(0, next)));
    figure.live.textContent = figure.box.innerText;
  }

  // What stands at a stop: a head line and one line per series.
  function reading(figure, stop) {
    const { x, y } = figure.chart;
    if (stop.point) {
      const [px, py] = stop.point;
      const lines = y.rows
        ? [{ tone: stop.one.tone, name: "", value: say(px, x.unit), point: stop.point }]
        : [{ tone: stop.one.tone, name: "sent at", value: say(px, x.unit), point: stop.point },
           { tone: stop.one.tone, name: y.title, value: stop.one.shape === "crosses" ? "failed" : say(py, y.unit), point: stop.point }];
      return { head: stop.one.name, lines };
    }
    const lines = shown(figure).map((one) => {
      const point = one.points.reduce((a, b) => (Math.abs(b[stop.axis] - stop.value) < Math.abs(a[stop.axis] - stop.value) ? b : a));
      return { tone: one.tone, name: one.name, point, value: stop.axis ? say(point[0], x.unit) : say(point[1], y.unit) };
    });
    const head = stop.axis ? say(stop.value, y.unit) + " took at most" : `${x.label}: ${say(stop.value, x.unit)}`;
    return { head, lines };
  }

  function show(figure, svg, number) {
    const stop = stops(figure)[number];
    if (!stop) return clear(figure);
    figure.at = number;
    const { head, lines } = reading(figure, stop);
    const [left, top, width, height] = svg.dataset.plot.split(" ").map(Number);
    const at = spot(figure, svg, stop.point ?? (stop.axis ? lines[0].point : [stop.value, figure.chart.y.max]));
    cursor(svg, stop.axis ? [[left, at[1]], [left + width, at[1]]] : [[at[0], top], [at[0], top + height]],
      lines.map((line) => [spot(figure, svg, line.point), line.tone]));
    figure.box.replaceChildren(make("b", {}, head));
    for (const line of lines) {
      const row = make("span", { class: line.tone });
      row.append(make("i", {}, line.name), make("i", {}, line.value));
      figure.box.append(row);
    }
    figure.box.hidden = false;
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const room = svg.clientWidth || svg.getBoundingClientRect().width;
    const x = Math.min(...lines.map((line) => spot(figure, svg, line.point)[0])) * scale;
    const beside = x + 14 + figure.box.offsetWidth < room ? x + 14 : Math.max(0, x - 14 - figure.box.offsetWidth);
    const offset = svg.getBoundingClientRect().top - figure.element.getBoundingClientRect().top;
    figure.box.style.left = beside + "px";
    figure.box.style.top = offset + top * scale + 6 + "px";
    together(figure, stop);
  }

  // Charts of one group share their horizontal axis and so their cursor.
  function together(figure, stop) {
    const group = figure.element.dataset.group;
    if (!group || stop.axis) return;
    for (const other of figures) {
      if (other === figure || other.element.dataset.group !== group) continue;
      for (const svg of other.svgs) {
        const [left, top, width, height] = svg.dataset.plot.split(" ").map(Number);
        const x = left + width * place(other.chart.x, stop.point ? stop.point[0] : stop.value);
        cursor(svg, [[x, top], [x, top + height]], []);
      }
    }
  }

  function cursor(svg, line, dots) {
    svg.querySelector(".cursor")?.remove();
    const group = document.createElementNS(NS, "g");
    group.setAttribute("class", "cursor");
    group.setAttribute("pointer-events", "none");
    const add = (name, attributes) => {
      const element = document.createElementNS(NS, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      group.append(element);
    };
    const [[x1, y1], [x2, y2]] = line;
    add("line", { x1, y1, x2, y2, class: "muted", stroke: "currentColor", "stroke-width": 1 });
    for (const [[cx, cy], tone] of dots) {
      add("circle", { cx, cy, r: 4.5, class: tone, fill: "currentColor", stroke: "var(--paper)", "stroke-width": 1.5 });
    }
    svg.append(group);
  }

  function clear(figure) {
    figure.at = -1;
    figure.box.hidden = true;
    const group = figure.element.dataset.group;
    const alike = group ? figures.filter((other) => other.element.dataset.group === group) : [figure];
    for (const other of alike) for (const svg of other.svgs) svg.querySelector(".cursor")?.remove();
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", title: "Sort" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => {
          const cell = row.cells[column];
          return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent;
        };
        const body = table.tBodies[0];
        const order = (a, b) => {
          const [left, right] = [key(a), key(b)];
          const mixed = typeof left !== typeof right;
          const by = mixed ? (typeof left === "number" ? -1 : 1) : left < right ? -1 : left > right ? 1 : 0;
          return down && !mixed ? -by : by;
        };
        body.append(...[...body.rows].sort(order));
      });
    });
  }

  // The last section that began above the upper third of the window is the one being read.
  const links = [...document.querySelectorAll(".contents a")];
  const sections = links.map((link) => document.getElementById(link.hash.slice(1)));
  const mark = () => {
    const passed = sections.filter((one) => one && one.getBoundingClientRect().top < innerHeight / 3).length;
    links.forEach((link, number) => link.toggleAttribute("aria-current", number === Math.max(0, passed - 1)));
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
})();
