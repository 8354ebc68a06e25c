// Each run as a line over several axes. A range on an axis fades the runs outside it.
import { axis, colours, html, mark, saying, scale, svg, tableOf, told } from "./plot.js";

const TOP = 34;
const HEIGHT = 340;
const LEAST = 110;

function inside(ranges, columns, n) {
  return columns.every((column) => {
    const range = ranges.get(column.name);
    const value = column.values[n];
    return !range || (value !== null && value >= range[0] && value <= range[1]);
  });
}

/** Let a range be drawn on an axis by dragging. */
function brushed(drawing, place, line, change) {
  const strip = svg("rect", { class: "strip", x: place - 14, y: TOP, width: 28, height: HEIGHT - TOP - 16 });
  const held = svg("rect", { class: "held", x: place - 7, width: 14, height: 0 });
  let from = null;
  const at = (event) => Math.min(HEIGHT - 16, Math.max(TOP, event.clientY - drawing.getBoundingClientRect().top));
  strip.addEventListener("pointerdown", (event) => { from = at(event); strip.setPointerCapture(event.pointerId); });
  strip.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = at(event);
    held.setAttribute("y", Math.min(from, to));
    held.setAttribute("height", Math.abs(to - from));
  });
  strip.addEventListener("pointerup", (event) => {
    const to = at(event);
    const range = Math.abs(to - from) < 3 ? null : [line.back(Math.max(from, to)), line.back(Math.min(from, to))];
    from = null;
    change(range);
  });
  return [strip, held];
}

export function parallel(box, { runs, link }, { columns, tint, ranges, change }) {
  const label = `Runs as lines over ${columns.map((c) => c.name).join(", ")}`;
  const wide = Math.max(box.clientWidth, LEAST * columns.length);
  const drawing = svg("svg", { width: wide, height: HEIGHT, viewBox: `0 0 ${wide} ${HEIGHT}`, role: "group", "aria-label": label });
  const tints = colours(tint, runs);
  const places = columns.map((_, n) => 70 + (columns.length > 1 ? (n * (wide - 130)) / (columns.length - 1) : 0));
  const scales = columns.map((column) => scale(column, HEIGHT - 20, TOP + 4));
  const axes = svg("g");
  columns.forEach((column, n) => {
    const made = axis("left", places[n], scales[n], HEIGHT - 16, TOP, "");
    const title = column.title.length > 18 ? `${column.title.slice(0, 17)}…` : column.title;
    made.append(svg("text", { class: "title", x: places[n], y: 16, "text-anchor": "middle" }, title, svg("title", {}, column.name)));
    const range = ranges.get(column.name);
    if (range) {
      const ends = range.map((value) => Math.min(HEIGHT - 16, Math.max(TOP, scales[n].at(value))));
      made.append(svg("rect", { class: "held", x: places[n] - 7, y: ends[1], width: 14, height: Math.max(2, ends[0] - ends[1]) }));
    }
    axes.append(made);
  });
  const lines = svg("g");
  let kept = 0;
  runs.forEach((run, n) => {
    const found = columns.map((column, at) => [places[at], scales[at].at(column.values[n])]);
    // A value that is missing is a gap.
    const path = found.map(([px, py], at) => (py === null ? "" : `${at && found[at - 1][1] !== null ? "L" : "M"}${px} ${py}`)).join("");
    const dots = found.filter(([, py]) => py !== null).map(([px, py]) => svg("circle", { cx: px, cy: py, r: 2.5, fill: tints.of(n) }));
    const stays = inside(ranges, columns, n);
    kept += stays;
    const text = columns.map((column) => `${column.title} ${told(column.values[n])}`).join(", ");
    const one = mark(run, text, link, svg("path", { d: path || "M0 0", stroke: tints.of(n) }), ...dots);
    if (!stays) one.classList.add("off");
    lines.append(one);
  });
  drawing.append(axes, lines);
  columns.forEach((column, n) => { if (column.numeric) drawing.append(...brushed(drawing, places[n], scales[n], (range) => change(column.name, range))); });
  const figure = html("figure", { class: "wide-figure", tabindex: "0" }, drawing);
  const count = html("p", { class: "faint", role: "status" }, ranges.size ? `${kept} of ${runs.length} runs are in the ranges` : "Drag along an axis, or give a range, to fade the other runs.");
  box.replaceChildren(figure, saying(figure), count, tints.legend,
    tableOf("Values of the parallel coordinates", tint && !columns.includes(tint) ? [...columns, tint] : columns, runs, link));
}
