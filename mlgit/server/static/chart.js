// One chart: series of points drawn by uPlot (a global, from vendor/uplot).

const COLOURS = [
  ["#1f7a63", "#5fd0b0"], ["#c2571a", "#f4a26b"], ["#4a5fc1", "#98a8ff"], ["#a8327a", "#f08cc8"],
  ["#7a6a00", "#d8c64a"], ["#2277a8", "#74c4f0"], ["#8a3fc0", "#c79bff"], ["#6b5344", "#c9ab96"],
];

// Of the series at one place as many are told in words.
const MOST_TOLD = 6;

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The colour of the n-th series, for the theme in use, as #rrggbb. */
export function colour(n) {
  if (n < COLOURS.length) return COLOURS[n][isDark() ? 1 : 0];
  // Beyond those that were chosen: hues as far from each other as can be, of one lightness.
  const hue = (n * 137.508) % 360;
  const [light, vivid] = isDark() ? [0.68, 0.2] : [0.36, 0.22];
  const part = (shift) => {
    const at = (shift + hue / 30) % 12;
    return Math.round(255 * (light - vivid * Math.max(-1, Math.min(at - 3, 9 - at, 1))));
  };
  return `#${[0, 8, 4].map((shift) => part(shift).toString(16).padStart(2, "0")).join("")}`;
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  return String(Number(value.toPrecision(6)));
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 5 });

/** A number on the y axis, which has little room. */
function tick(value, power) {
  if (value === null) return "";
  const size = Math.abs(value);
  if (power && value) {
    const more = size < 1e-3 ? Math.floor(Math.log10(size)) : 0;
    return `${shown(value / 10 ** more)}e${power + more}`;
  }
  return size >= 1e5 && size < 1e15 ? compact.format(value) : shown(value);
}

// Beyond these powers of ten the distance between two values may be no number any more.
const FAR = 30;

/** The power of ten that values are divided by to be drawn: 0 for all but the largest and smallest. */
function powerOf(series) {
  let most = 0;
  for (const one of series) for (const y of one.y) if (y !== null && Math.abs(y) > most) most = Math.abs(y);
  const power = most ? Math.floor(Math.log10(most)) : 0;
  return Math.abs(power) < FAR ? 0 : Math.max(power, -300);
}

/** A step, seconds since the start, or a time, as the axis counts them. */
function place(value, axis) {
  if (axis === "step" && Number.isSafeInteger(value)) return String(value);
  if (axis === "time") return new Date(value * 1000).toLocaleString();
  if (axis === "relative") return value < 120 ? `${shown(value)} s` : `${shown(value / 60)} min`;
  return shown(value);
}

/** The series of points on common x, as uPlot takes them. */
function tables(series, unit) {
  const small = (values) => (unit === 1 ? values : values.map((value) => (value === null ? null : value / unit)));
  const found = [];
  for (const one of series) {
    found.push([one.x, small(one.y)]);
    if (one.smooth) found.push([one.x, small(one.smooth)]);
  }
  return found.length === 1 ? found[0] : window.uPlot.join(found);
}

function lines(series) {
  const found = [];
  series.forEach((one, n) => {
    const stroke = colour(one.place ?? n);
    const points = { show: one.count < (one.smooth ? 2 : 40), size: 5, fill: stroke };
    // Reduced points are joined over none that are missing: a gap is what was no number.
    found.push({ label: one.label, stroke: one.smooth ? `${stroke}59` : stroke, width: one.smooth ? 1 : 1.5, points, spanGaps: series.length > 1 });
    if (one.smooth) found.push({ label: `${one.label}, smoothed`, stroke, width: 2, points: { show: false }, spanGaps: series.length > 1 });
  });
  return found;
}

/**
 * Draw a chart, anew where there is one.
 * @param {HTMLElement} box - Where: an element with a height.
 * @param {Object[]} series - ``{label, x, y, smooth, count}`` each, and ``place``: which colour.
 * @param {Object} how - ``axis`` ("step", "time" or "relative"), ``logX``, ``logY``, ``says``
 *   (the element that tells what is under the pointer).
 * @returns {uPlot} The chart.
 */
export function draw(box, series, how) {
  box.uplot?.destroy();
  box.replaceChildren();
  const style = getComputedStyle(document.documentElement);
  const css = (name) => {
    box.style.color = `var(${name})`;
    return getComputedStyle(box).color;
  };
  const [text, grid] = [css("--faint"), css("--line")];
  box.style.color = "";
  const power = powerOf(series);
  const unit = 10 ** power;
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: `12px ${style.fontFamily || "sans-serif"}` };
  const options = {
    width: box.clientWidth || 400,
    height: box.clientHeight || 240,
    scales: {
      x: { time: how.axis === "time", distr: how.logX ? 3 : 1 },
      y: { distr: how.logY ? 3 : 1 },
    },
    axes: [
      how.axis === "time" ? { ...axis, size: 44 } : { ...axis, size: 34, space: roomOf, values: (_, found) => found.map((v) => (v === null ? "" : place(v, how.axis))) },
      { ...axis, size: 62, values: (_, found) => found.map((value) => tick(value, power)) },
    ],
    series: [{}, ...lines(series)],
    legend: { show: false },
    cursor: { points: { size: 7 }, drag: { x: true, y: false } },
    hooks: { setCursor: [(chart) => tell(chart, how, unit)] },
  };
  const data = positive(tables(series, unit), how);
  box.uplot = new window.uPlot(options, data, box);
  return box.uplot;
}

/** The pixels between two ticks of the x axis, by how long their numbers are. */
function roomOf(chart, axis, least, most) {
  return Math.max(50, 8 * Math.max(place(Math.round(least), "step").length, place(Math.round(most), "step").length));
}

/** On a logarithmic axis there is nothing at zero and below. */
function positive(data, how) {
  const [x, ...rest] = data;
  const keep = how.logX ? x.map((v) => v > 0) : null;
  const cut = (values) => (keep ? values.filter((_, at) => keep[at]) : values);
  const up = (values) => (how.logY ? values.map((v) => (v > 0 ? v : null)) : values);
  return [cut(x), ...rest.map((values) => up(cut(values)))];
}

function tell(chart, how, unit) {
  if (!how.says) return;
  const at = chart.cursor.idx;
  if (at === null || at === undefined) {
    how.says.textContent = how.rest || "";
    return;
  }
  const values = [];
  chart.series.slice(1).forEach((one, n) => {
    const value = chart.data[n + 1][at];
    // Runs log at steps of their own: those that have a point here are told.
    if (chart.series.length > 2 && (value === null || value === undefined)) return;
    const told = value === null || value === undefined ? "–" : shown(value * unit);
    values.push(chart.series.length > 2 ? `${one.label}: ${told}` : told);
  });
  if (values.length > MOST_TOLD) values.splice(MOST_TOLD, values.length, `and ${values.length - MOST_TOLD} more`);
  how.says.textContent = `${place(chart.data[0][at], how.axis)}: ${values.join(" · ")}`;
}
