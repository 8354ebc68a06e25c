// The overview of a going run: values come in as they are logged.

import { follow, number } from "./live.js";

const heading = document.getElementById("run");

/** Show a metric's last point; false where it has no row yet. */
function showPoint(key, [step, , value]) {
  const row = document.querySelector(`tr[data-metric="${CSS.escape(key)}"]`);
  if (!row) return false;
  const cell = row.querySelector("[data-value]");
  cell.textContent = number(value);
  row.querySelector("[data-step]").textContent = step;
  cell.classList.remove("changed");
  void cell.offsetWidth; // so that the animation begins anew
  cell.classList.add("changed");
  return true;
}

if (heading.dataset.live) {
  follow(heading.dataset.live, {
    metrics: ({ points }) => {
      const known = Object.entries(points).map(([key, found]) => showPoint(key, found.at(-1)));
      if (known.includes(false)) location.reload();
    },
    params: () => location.reload(),
    changed: () => {},
    ended: () => location.reload(),
  });
}
