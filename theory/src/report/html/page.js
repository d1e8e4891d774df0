"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const button = (label, action) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.addEventListener("click", action);
    return made;
  };
  // Every figure as SVG, every table as CSV of what it shows, and the exact values that the page carries.
  document.querySelectorAll("figure > svg").forEach((svg, place) => {
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(button("Save as SVG", () =>
      save(`figure-${place + 1}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(svg))));
    svg.after(tools);
  });
  document.querySelectorAll("script[data-file]").forEach((data) => {
    byId("files").append(button(`Save ${data.dataset.file}`, () =>
      save(data.dataset.file, "text/csv", JSON.parse(data.textContent))));
  });

  // Paper has no place to open what is folded.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));

  const form = byId("explore");
  if (!form) return;
  const data = JSON.parse(byId("curves").textContent);
  const number = (x) => x === 0 ? "0" : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5
    ? x.toExponential(2) : x.toFixed(3);
  const make = (name, attributes, parent, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const [width, height, left, right, top, bottom] = [720, 260, 60, 20, 24, 40];
  const draw = (svg, title, lines, range, chosen) => {
    svg.replaceChildren();
    const xs = data.draws;
    const x = (n) => left + (width - left - right) * Math.log2(n / xs[0]) / Math.log2(xs[xs.length - 1] / xs[0]);
    const y = (v) => top + (height - top - bottom) * (1 - (v - range[0]) / (range[1] - range[0]));
    make("text", { x: left, y: 16, "font-size": 13 }, svg, title);
    for (let i = 0; i <= 4; i++) {
      const v = range[0] + (range[1] - range[0]) * i / 4;
      make("path", { d: `M${left} ${y(v)}H${width - right}`, stroke: "#ddd" }, svg);
      make("text", { x: left - 6, y: y(v) + 4, "font-size": 12, "text-anchor": "end" }, svg, number(v));
    }
    xs.filter((n, i) => i % 4 === 0).forEach((n) =>
      make("text", { x: x(n), y: height - 22, "font-size": 12, "text-anchor": "middle" }, svg, n));
    make("text", { x: (left + width) / 2, y: height - 5, "font-size": 12, "text-anchor": "middle" }, svg, "n = K+1");
    make("path", { d: `M${x(chosen)} ${top}V${height - bottom}`, stroke: "#888", "stroke-dasharray": "3 3" }, svg);
    lines.forEach(({ name, values, colour, dash }, row) => {
      const points = values.map((v, i) => `${x(xs[i])},${y(Math.min(Math.max(v, range[0]), range[1]))}`);
      make("polyline", { points: points.join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }, svg);
      values.forEach((v, i) => {
        const dot = make("circle", { cx: x(xs[i]), cy: y(Math.min(Math.max(v, range[0]), range[1])), r: 6, fill: "transparent" }, svg);
        make("title", {}, dot, `${name}, n = ${xs[i]}: ${number(v)}`);
      });
      make("text", { x: width - right - 6, y: top + 16 + 16 * row, "font-size": 13, "text-anchor": "end", fill: colour }, svg, name);
    });
  };
  const show = () => {
    const at = { c: +form.c.value, n: +form.n.value, t: +form.t.value };
    const [classes, draws, temperature] = [data.classes[at.c], data.draws[at.n], data.temperatures[at.t]];
    form.c.parentNode.lastElementChild.value = classes;
    form.n.parentNode.lastElementChild.value = draws - 1;
    form.t.parentNode.lastElementChild.value = temperature;
    const [covered, collided, least] = [data.coverage[at.c], data.collision[at.c], data.least[at.t][at.c]];
    draw(byId("probabilities"), "Probability of a batch that shows every class (υ), of a negative of the anchor's class (τ)", [
      { name: "υ", values: covered, colour: "#0072b2", dash: "" },
      { name: "τ", values: collided, colour: "#d55e00", dash: "6 3" }], [0, 1], draws);
    const most = Math.log(data.draws[data.draws.length - 1]);
    draw(byId("least"), "Contrastive loss in nats: of any encoder at least, and of features that are all alike (ln n)", [
      { name: "least L_Info", values: least, colour: "#009e73", dash: "" },
      { name: "ln n", values: data.draws.map(Math.log), colour: "#555555", dash: "6 3" }], [0, most], draws);
    byId("said").textContent = `C = ${classes}, K = ${draws - 1}: υ = ${number(covered[at.n])}, τ = ${number(collided[at.n])}; ` +
      `at t = ${temperature} no encoder has an L_Info below ${number(least[at.n])}.`;
  };
  form.addEventListener("input", show);
  show();

  // The measured run: every upper bound at one n.
  const runs = JSON.parse(byId("runs").textContent);
  if (!runs.length) return byId("measured-bars").remove();
  const choice = byId("measured-at");
  runs.forEach((run, place) => choice.append(new Option(run.name, place)));
  const looks = {
    informative: { fill: "#0072b2" },
    vacuous: { fill: "#c9cdd2" },
    unproved: { fill: "transparent", stroke: "#555", "stroke-dasharray": "4 3" },
  };
  const bars = () => {
    const run = runs[choice.value];
    const svg = byId("bars");
    svg.replaceChildren();
    const tall = 22 * run.bounds.length + 50;
    svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    const values = run.bounds.map((bound) => bound.value).concat([run.supervised ?? run.trivial, run.trivial]);
    const [low, high] = [Math.log(Math.min(...values) / 1.5), Math.log(Math.min(Math.max(...values), 1e6 * run.trivial) * 1.5)];
    const begin = 190;
    const x = (v) => begin + (width - begin - 140) * Math.min(1, (Math.log(v) - low) / (high - low));
    const labels = [];
    run.bounds.forEach((bound, row) => {
      const y = 10 + 22 * row;
      make("text", { x: begin - 8, y: y + 13, "font-size": 13, "text-anchor": "end" }, svg, bound.key);
      const drawn = { x: begin, y, width: Math.max(1, x(bound.value) - begin), height: 16 };
      const bar = make("rect", { ...drawn, ...looks[bound.look] }, svg);
      const spread = bound.deviation === null ? "" : ` ± ${number(bound.deviation)} over ${run.seeds} seeds`;
      make("title", {}, bar, `${bound.name}: ${number(bound.value)}${spread} nats; ${bound.said}`);
      const beside = bound.look === "unproved" ? `${number(bound.value)}, ${bound.standing}` : number(bound.value);
      labels.push([x(bound.value) + 5, y + 13, beside]);
    });
    const line = (v, name, colour) => {
      make("path", { d: `M${x(v)} 4V${tall - 34}`, stroke: colour, "stroke-width": 2, "stroke-dasharray": "5 3" }, svg);
      make("text", { x: x(v), y: tall - (name === "ln C" ? 20 : 6), "font-size": 12, "text-anchor": "middle", fill: colour }, svg, `${name} = ${number(v)}`);
    };
    line(run.trivial, "ln C", "#555");
    if (run.supervised > 0) line(run.supervised, "L_sup", "#000");
    // Values last, on white: the lines cross the place of some.
    labels.forEach(([x, y, text]) => {
      const back = make("rect", { x: x - 2, y: y - 12, height: 15, fill: "#fff" }, svg);
      const label = make("text", { x, y, "font-size": 12 }, svg, text);
      back.setAttribute("width", label.getComputedTextLength() + 4);
    });
    const told = run.seeds > 1 ? `Means over ${run.seeds} seeds. ` : "";
    byId("bars-missing").textContent = told + (run.missing.length
      ? `Without a bar here, ${run.missing.length} of ${run.missing.length + run.bounds.length}: ${run.missing.join("; ")}.` : "");
  };
  // At first where a theorem is lowest.
  const lowest = (run) => Math.min(...run.bounds.filter((bound) => bound.look === "informative").map((bound) => bound.value));
  choice.value = runs.reduce((best, run, place) => lowest(run) < lowest(runs[best]) ? place : best, 0);
  choice.addEventListener("change", bars);
  bars();
})();
