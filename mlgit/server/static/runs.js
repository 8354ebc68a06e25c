// The runs table: selecting, folding, completion, and going runs.

import { orderable } from "./columns.js";
import { complete } from "./complete.js";
import { follow, number } from "./live.js";

const table = document.querySelector("table.runs");
const picks = () => [...document.querySelectorAll("tbody .pick input")];

function showPicked() {
  const picked = picks().filter((input) => input.checked);
  for (const input of picks()) input.closest("tr").classList.toggle("picked", input.checked);
  const all = document.getElementById("all");
  all.checked = picked.length > 0 && picked.length === picks().length;
  all.indeterminate = picked.length > 0 && !all.checked;
  for (const button of document.querySelectorAll("[data-selection]")) button.disabled = picked.length === 0;
  const compare = document.querySelector("[data-compare]");
  if (compare) {
    compare.disabled = picked.length < 2;
    compare.textContent = picked.length > 1 ? `Compare ${picked.length}` : "Compare";
  }
}

/** Hide or show what is nested in a row, but for what is folded further down. */
function fold(button) {
  const row = button.closest("tr");
  const depth = Number(row.dataset.depth);
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  let hiddenBelow = Infinity;
  for (let next = row.nextElementSibling; next && Number(next.dataset.depth) > depth; next = next.nextElementSibling) {
    const at = Number(next.dataset.depth);
    if (at <= hiddenBelow) hiddenBelow = Infinity;
    next.hidden = open || at > hiddenBelow;
    const own = next.querySelector(".fold");
    if (own && own.getAttribute("aria-expanded") === "false" && hiddenBelow === Infinity) hiddenBelow = at;
  }
}

if (table) {
  document.getElementById("all").addEventListener("change", (event) => {
    for (const input of picks()) input.checked = event.target.checked;
    showPicked();
  });
  table.addEventListener("change", (event) => { if (event.target.name === "run") showPicked(); });
  table.addEventListener("click", (event) => { if (event.target.matches(".fold")) fold(event.target); });
  showPicked();
}

// Going runs of this page: their values come in as they are logged.
const MOST_FOLLOWED = 20;
const going = [...document.querySelectorAll("tr[data-going]")].slice(0, MOST_FOLLOWED);

function show(run, name, text) {
  const cell = document.querySelector(`#run-${CSS.escape(run)} td[data-column="${CSS.escape(name)}"]`);
  if (!cell || cell.textContent === text) return;
  cell.textContent = text;
  cell.classList.remove("changed");
  void cell.offsetWidth; // so that the animation begins anew
  cell.classList.add("changed");
}

if (table?.dataset.live && going.length) {
  const query = new URLSearchParams(going.map((row) => ["run", row.dataset.run]));
  follow(`${table.dataset.live}?${query}`, {
    metrics: ({ run, points }) => {
      for (const [key, found] of Object.entries(points)) show(run, `metrics.${key}`, number(found.at(-1)[2]));
    },
    params: ({ run, params }) => {
      for (const [key, value] of Object.entries(params)) show(run, `params.${key}`, value);
    },
    ended: ({ run }) => {
      show(run, "status", "ended");
      document.getElementById("live").textContent = "A run has ended: reload for its last state";
    },
  });
}

const box = document.querySelector("[data-complete]");
if (box?.dataset.complete) complete(box);
const order = document.querySelector("[data-order]");
if (order) orderable(order.closest("form"));
// Enter in a field of a menu means that menu's button, and not the first that the table has.
for (const input of document.querySelectorAll(".panel input[form=table]")) {
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    input.closest(".panel").querySelector("button").click();
  });
}
