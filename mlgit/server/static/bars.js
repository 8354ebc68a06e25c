// Metrics of one value a run, as bars: a curve of one point says nothing.

import { colour } from "./chart.js";

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
  const least = Math.min(0, ...values);
  const span = Math.max(0, ...values) - least || 1;
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
    told.textContent = Number.isFinite(value) ? String(Number(value.toPrecision(6))) : "–";
    if (!Number.isFinite(value)) return;
    const bar = track.appendChild(document.createElement("span"));
    bar.style.marginLeft = `${(100 * (Math.min(0, value) - least)) / span}%`;
    bar.style.width = `${(100 * Math.abs(value)) / span}%`;
    bar.style.background = colour(one.place ?? n);
  });
  box.replaceChildren(list);
}
