// Metrics of one value a run, as bars: a curve of one point says nothing.

import { colour } from "./chart.js";

/** Say in words what has no curve: one value, or none that is finite; whether that is so. */
export function sayOne(box, one) {
  const finite = one.y.filter(Number.isFinite);
  if (one.count > 1 && finite.length) return false;
  box.uplot?.destroy();
  box.uplot = null;
  const told = document.createElement("p");
  told.className = "single";
  told.textContent = finite.length ? String(Number(finite[0].toPrecision(6))) : "no finite value";
  box.replaceChildren(told);
  return true;
}

/** Whether there is no curve in any of some series. */
export const single = (series) => series.every((one) => one.count < 2);

/**
 * Draw a bar for each series that has a value.
 * @param {HTMLElement} box - Where.
 * @param {Object[]} series - As for ``draw`` of a curve.
 */
export function drawBars(box, series) {
  box.uplot?.destroy();
  box.uplot = null;
  const values = series.map((one) => one.y.at(-1)).filter(Number.isFinite);
  // As parts of the greatest: the distance between the largest numbers is none.
  const most = values.reduce((found, value) => Math.max(found, Math.abs(value)), 0) || 1;
  const least = Math.min(0, ...values) / most;
  const span = Math.max(0, ...values) / most - least || 1;
  const list = document.createElement("ul");
  list.className = "bars";
  series.forEach((one, n) => {
    const value = one.y.at(-1);
    const row = list.appendChild(document.createElement("li"));
    const [label, track, told] = ["label", "track", "value"].map((name) => {
      const part = row.appendChild(document.createElement("span"));
      part.className = name;
      return part;
    });
    label.textContent = label.title = one.label;
    told.textContent = Number.isFinite(value) ? String(Number(value.toPrecision(6))) : one.odd ? "not finite" : "–";
    if (!Number.isFinite(value)) return;
    const bar = track.appendChild(document.createElement("span"));
    bar.style.marginLeft = `${(100 * (Math.min(0, value) / most - least)) / span}%`;
    bar.style.width = `${(100 * Math.abs(value)) / most / span}%`;
    bar.style.background = colour(one.place ?? n);
  });
  box.replaceChildren(list);
}
