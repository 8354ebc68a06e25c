// What the charts of runs share: scales, ticks, colours, SVG, and the table behind a chart.

import { colour as hue, isDark } from "./chart.js";

const SVG = "http://www.w3.org/2000/svg";
const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

/** An element with attributes and children; texts become text, never markup. */
export function make(space, name, attributes = {}, ...children) {
  const element = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
export const svg = (name, attributes, ...children) => make(SVG, name, attributes, ...children);
export const html = (name, attributes, ...children) => make(null, name, attributes, ...children);

/** A value as a person reads it. */
export function told(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return value.length > 60 ? `${value.slice(0, 59)}…` : value;
  const size = Math.abs(value);
  if (size && (size >= 1e6 || size < 1e-4)) return value.toExponential(3).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(6)));
}

/** Round places for ticks between two numbers. */
export function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * power >= rough) * power;
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high * (1 + 1e-12); n++) found.push(Number((n * step).toPrecision(12)));
  return found;
}

function powers(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) return [low, high];
  const step = Math.ceil((last - first) / 6);
  const found = [];
  for (let n = first; n <= last; n += step) found.push(10 ** n);
  return found;
}

/**
 * Where a column's values are between two pixels. ``at(value)`` is null for what has no place.
 * Texts stand in the order of ``column.names``, or of the alphabet; numbers as they are, or by their logarithms.
 */
export function scale(column, from, to, { log = false, pad = 0 } = {}) {
  if (!column.numeric) {
    const names = column.names ?? [...new Set(column.values.filter((v) => v !== null))].sort();
    const place = (n) => from + ((n + 0.5) / Math.max(1, names.length)) * (to - from);
    const places = new Map(names.map((name, n) => [name, place(n)]));
    return { at: (value) => places.get(value) ?? null, ticks: names.map((name, n) => [place(n), told(name)]), names };
  }
  const numbers = column.values.filter((v) => v !== null && (!log || v > 0));
  let low = Math.min(...numbers);
  let high = Math.max(...numbers);
  if (!numbers.length) return { at: () => null, ticks: [], low: 0, high: 0 };
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const ends = [low, high];
  const turn = log ? Math.log : (v) => v;
  const margin = (turn(high) - turn(low)) * pad;
  const [start, span] = [turn(low) - margin, turn(high) - turn(low) + 2 * margin];
  const at = (value) => (value === null || (log && value <= 0) ? null : from + ((turn(value) - start) / span) * (to - from));
  const back = (pixel) => { const v = start + ((pixel - from) / (to - from)) * span; return log ? Math.exp(v) : v; };
  const marks = log ? powers(low, high) : ticks(low, high, Math.max(2, Math.min(6, Math.abs(to - from) / 60)));
  return { at, back, low: ends[0], high: ends[1], ticks: marks.map((v) => [at(v), told(v)]) };
}

/** A colour between the ends of a row of them that is told apart on the page's ground. */
export function blend(part, dark = isDark()) {
  const place = (dark ? 0.25 + 0.75 * part : 0.85 * part) * (STOPS.length - 1);
  const n = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[n].map((low, i) => Math.round(low + (STOPS[n + 1][i] - low) * (place - n)));
}

/** Colours by a column, and the legend that says what they mean. Without a column: a run's own. */
export function colours(column, runs) {
  if (!column) {
    const own = (n) => hue(runs[n].place ?? n);
    return { of: own, legend: swatches(runs.map((run, n) => [run.name, own(n)])) };
  }
  if (!column.numeric) {
    const names = [...new Set(column.values)].sort();
    const of = (n) => hue(names.indexOf(column.values[n]));
    return { of, legend: swatches(names.map((name, n) => [`${column.title} ${told(name)}`, hue(n)])) };
  }
  const line = scale(column, 0, 1);
  const rgb = (part) => `rgb(${blend(part).join(" ")})`;
  const grey = isDark() ? "hsl(0 0% 60%)" : "hsl(0 0% 45%)";
  const of = (n) => { const part = line.at(column.values[n]); return part === null ? grey : rgb(part); };
  const bar = svg("svg", { width: 120, height: 12, "aria-hidden": "true" });
  for (let n = 0; n < 40; n++) bar.append(svg("rect", { x: n * 3, width: 3.5, height: 12, fill: rgb(n / 39) }));
  return { of, legend: html("p", { class: "legend" }, `${column.title}: ${told(line.low)} `, bar, ` ${told(line.high)}`) };
}

function swatches(pairs) {
  const list = html("ul", { class: "legend" });
  for (const [name, colour] of pairs.slice(0, 24)) {
    const mark = svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, svg("rect", { width: 12, height: 12, rx: 3, fill: colour }));
    list.append(html("li", {}, mark, name));
  }
  if (pairs.length > 24) list.append(html("li", {}, `and ${pairs.length - 24} more`));
  return list;
}

/** The table behind a chart: what is drawn, as text. */
export function tableOf(label, columns, runs, link) {
  const head = html("tr", {}, html("th", { scope: "col" }, "Run"), ...columns.map((c) => html("th", { scope: "col" }, c.name)));
  const rows = runs.map((run, n) => html("tr", {},
    html("th", { scope: "row" }, link ? html("a", { href: link(run) }, run.name) : run.name),
    ...columns.map((c) => html("td", {}, told(c.values[n])))));
  const table = html("table", { class: "list" }, html("thead", {}, head), html("tbody", {}, ...rows));
  const box = html("div", { class: "scroll tall", role: "region", "aria-label": label, tabindex: "0" }, table);
  return html("details", {}, html("summary", {}, "As a table"), box);
}

/** An axis with its ticks; ``side`` is "bottom" or "left". */
export function axis(side, place, line, from, to, title, lines = null) {
  const group = svg("g", { class: "axis", "aria-hidden": "true" });
  const flat = side === "bottom";
  group.append(svg("line", flat ? { x1: from, x2: to, y1: place, y2: place } : { y1: from, y2: to, x1: place, x2: place }));
  for (const [at, text] of line.ticks) {
    if (lines) group.append(svg("line", { class: "grid", ...(flat ? { x1: at, x2: at, y1: lines[0], y2: lines[1] } : { y1: at, y2: at, x1: lines[0], x2: lines[1] }) }));
    const short = text.length > 14 ? `${text.slice(0, 13)}…` : text;
    group.append(svg("text", flat ? { x: at, y: place + 16, "text-anchor": "middle" } : { x: place - 6, y: at + 4, "text-anchor": "end" }, short));
  }
  const named = flat ? { x: (from + to) / 2, y: place + 34, "text-anchor": "middle" } : { x: 4, y: Math.min(from, to) - 10, "text-anchor": "start" };
  group.append(svg("text", { class: "title", ...named }, title));
  return group;
}

/** A mark of a run: a link that says its values when it is pointed at or focused. */
export function mark(run, text, link, ...shapes) {
  const label = `${run.name}: ${text}`;
  const attributes = { class: "mark-of-run", "aria-label": label, "data-told": label };
  return link ? svg("a", { ...attributes, href: link(run) }, ...shapes) : svg("g", { ...attributes, role: "img", tabindex: "0" }, ...shapes);
}

/** The line below a chart that repeats what is pointed at. */
export function saying(figure) {
  const line = html("p", { class: "said faint" }, "\u00a0");
  const say = (event) => {
    const found = event.target.closest?.("[data-told]");
    line.textContent = found ? found.dataset.told : "\u00a0";
  };
  for (const kind of ["pointerover", "focusin"]) figure.addEventListener(kind, say);
  return line;
}
