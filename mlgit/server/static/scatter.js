// Runs as points by two columns, coloured by a third; and a third as bands between the points.
import { isDark } from "./chart.js";
import { axis, blend, colours, html, mark, saying, scale, svg, tableOf, told } from "./plot.js";

const LEFT = 74;
const BOTTOM = 46;

function frame(box, label) {
  const width = Math.max(260, box.clientWidth);
  const height = Math.max(240, Math.min(420, width * 0.6));
  const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
  return { width, height, drawing, right: width - 16, top: 28, bottom: height - BOTTOM };
}

function said(columns, n) {
  return [...new Set(columns)].map((column) => `${column.title} ${told(column.values[n])}`).join(", ");
}

/** Draw the points; how many there were. */
function points({ drawing }, runs, x, y, xs, ys, colour, more, link) {
  let count = 0;
  runs.forEach((run, n) => {
    const [px, py] = [xs.at(x.values[n]), ys.at(y.values[n])];
    if (px === null || py === null) return;
    count += 1;
    const dot = svg("circle", { cx: px, cy: py, r: 6, fill: colour(n) });
    drawing.append(mark(run, said(more, n), link, dot));
  });
  return count;
}

function left(count, all, words) {
  const text = count === all ? "" : `${all - count} of ${all} runs ${words}`;
  return html("p", { class: "faint" }, text);
}

export function scatter(box, { runs, link }, { x, y, colour, xlog, ylog }) {
  const place = frame(box, `Runs by ${x.name} and ${y.name}`);
  const xs = scale(x, LEFT, place.right, { log: xlog, pad: 0.04 });
  const ys = scale(y, place.bottom, place.top, { log: ylog, pad: 0.04 });
  const tints = colours(colour, runs);
  place.drawing.append(
    axis("bottom", place.bottom, xs, LEFT, place.right, x.title, [place.top, place.bottom]),
    axis("left", LEFT, ys, place.bottom, place.top, y.title, [LEFT, place.right]),
  );
  const shown = [x, y, ...(colour ? [colour] : [])];
  const count = points(place, runs, x, y, xs, ys, tints.of, shown, link);
  const figure = html("figure", {}, place.drawing);
  box.replaceChildren(figure, saying(figure), left(count, runs.length, "have no place here: a value is missing, or no number that the axis has"), tints.legend,
    tableOf(`Values of the scatter chart`, shown, runs, link));
}

/** The mean of what is around, the near ones weighing most. */
function guess(known, px, py) {
  let sum = 0;
  let weights = 0;
  for (const [x, y, z] of known) {
    const far = (x - px) ** 2 + (y - py) ** 2;
    if (far < 1) return z;
    const weight = 1 / (far * far);
    sum += z * weight;
    weights += weight;
  }
  return sum / weights;
}

const BANDS = 9;
const CELL = 3;

function paint(canvas, known, place) {
  const [wide, high] = [Math.ceil((place.right - LEFT) / CELL), Math.ceil((place.bottom - place.top) / CELL)];
  canvas.width = wide;
  canvas.height = high;
  const context = canvas.getContext("2d");
  const image = context.createImageData(wide, high);
  const dark = isDark();
  const bands = Array.from({ length: BANDS }, (_, n) => blend(n / (BANDS - 1), dark));
  for (let row = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      const part = guess(known, LEFT + (column + 0.5) * CELL, place.top + (row + 0.5) * CELL);
      const band = bands[Math.min(BANDS - 1, Math.max(0, Math.floor(part * BANDS)))];
      image.data.set([...band, 255], (row * wide + column) * 4);
    }
  }
  context.putImageData(image, 0, 0);
}

export function contour(box, { runs, link }, { x, y, z, xlog, ylog }) {
  const place = frame(box, `${z.name} over ${x.name} and ${y.name}`);
  const xs = scale(x, LEFT, place.right, { log: xlog, pad: 0.06 });
  const ys = scale(y, place.bottom, place.top, { log: ylog, pad: 0.06 });
  const zs = scale(z, 0, 1);
  const known = [];
  runs.forEach((_, n) => {
    const found = [xs.at(x.values[n]), ys.at(y.values[n]), zs.at(z.values[n])];
    if (!found.includes(null)) known.push(found);
  });
  const figure = html("figure", { class: "over" });
  if (known.length > 2) {
    const canvas = html("canvas", { "aria-hidden": "true" });
    paint(canvas, known, place);
    for (const [name, size] of [["left", LEFT], ["top", place.top], ["width", place.right - LEFT], ["height", place.bottom - place.top]]) canvas.style[name] = `${size}px`;
    figure.append(canvas);
  }
  place.drawing.append(
    axis("bottom", place.bottom, xs, LEFT, place.right, x.title),
    axis("left", LEFT, ys, place.bottom, place.top, y.title),
  );
  const tints = colours(z, runs);
  const count = points(place, runs, x, y, xs, ys, tints.of, [x, y, z], link);
  figure.append(place.drawing);
  const note = known.length > 2 ? "Between the runs the colours are guessed from those around." : "Three runs with all of these values are needed to colour the ground.";
  box.replaceChildren(figure, saying(figure), html("p", { class: "faint" }, note), left(count, runs.length, "lack one of these values"), tints.legend,
    tableOf("Values of the contour chart", [x, y, z], runs, link));
}
