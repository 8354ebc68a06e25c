// Runs in groups by one column, and how another is spread in each: quartiles, and every run.
import { axis, colours, html, mark, saying, scale, svg, tableOf, told } from "./plot.js";

const LEFT = 74;
const HEIGHT = 360;
const TOP = 28;
const BOTTOM = HEIGHT - 46;

/** The value below which a part of sorted numbers lies, between two of them where it must be. */
function quantile(numbers, part) {
  const at = part * (numbers.length - 1);
  const low = Math.floor(at);
  return numbers[low] + (numbers[Math.min(low + 1, numbers.length - 1)] - numbers[low]) * (at - low);
}

function spread(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return [0, 0.25, 0.5, 0.75, 1].map((part) => quantile(sorted, part));
}

const words = ([least, low, middle, high, greatest]) =>
  `least ${told(least)}, quartiles ${told(low)}, ${told(middle)} and ${told(high)}, greatest ${told(greatest)}`;

/** A group's box from quartile to quartile, its median, and lines to its ends. */
function drawn(name, five, count, centre, half, ys) {
  const [top, high, middle, low, bottom] = [...five].reverse().map(ys.at);
  const label = `${told(name)}: ${count} ${count === 1 ? "run" : "runs"}, ${words(five)}`;
  return svg("g", { class: "box-of-runs", role: "img", "aria-label": label, "data-told": label },
    svg("line", { x1: centre, x2: centre, y1: top, y2: high }),
    svg("line", { x1: centre, x2: centre, y1: low, y2: bottom }),
    svg("rect", { x: centre - half, y: high, width: 2 * half, height: Math.max(1, low - high) }),
    svg("line", { class: "median", x1: centre - half, x2: centre + half, y1: middle, y2: middle }));
}

export function boxes(box, { runs, link }, { x, y, ylog }) {
  const groups = new Map();
  runs.forEach((run, n) => {
    const value = y.values[n];
    if (x.values[n] === null || value === null || (ylog && !(value > 0))) return;
    const found = groups.get(x.values[n]) ?? [];
    groups.set(x.values[n], [...found, n]);
  });
  const names = [...groups.keys()].sort((a, b) => (x.numeric ? a - b : String(a).localeCompare(String(b))));
  const wide = Math.max(260, box.clientWidth, LEFT + 34 * names.length);
  const xs = scale({ numeric: false, names: names.map(told), values: [] }, LEFT, wide - 16);
  const ys = scale(y, BOTTOM, TOP, { log: ylog, pad: 0.04 });
  const drawing = svg("svg", { width: wide, height: HEIGHT, viewBox: `0 0 ${wide} ${HEIGHT}`, role: "group", "aria-label": `${y.name} in groups by ${x.name}` });
  drawing.append(axis("bottom", BOTTOM, xs, LEFT, wide - 16, x.title), axis("left", LEFT, ys, BOTTOM, TOP, y.title, [LEFT, wide - 16]));
  const tints = colours(null, runs);
  const half = Math.max(6, Math.min(28, (wide - LEFT) / Math.max(1, names.length) / 3));
  names.forEach((name, place) => {
    const members = groups.get(name);
    const centre = xs.ticks[place][0];
    const five = spread(members.map((n) => y.values[n]));
    drawing.append(drawn(name, five, members.length, centre, half, ys));
    for (const n of members) {
      const dot = svg("circle", { cx: centre, cy: ys.at(y.values[n]), r: 4, fill: tints.of(n) });
      drawing.append(mark(runs[n], `${x.title} ${told(name)}, ${y.title} ${told(y.values[n])}`, link, dot));
    }
  });
  const count = [...groups.values()].flat().length;
  const left = count === runs.length ? "" : `${runs.length - count} of ${runs.length} runs have no place here: a value is missing, or no number that the axis has`;
  const figure = html("figure", {}, drawing);
  box.replaceChildren(figure, saying(figure), html("p", { class: "faint" }, left), tableOf("Values of the box chart", [x, y], runs, link));
}
