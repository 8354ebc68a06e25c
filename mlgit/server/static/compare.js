// The compare page: what its charts show is kept in the address.
import { contour, scatter } from "./scatter.js";
import { parallel } from "./parallel.js";
import { boxes } from "./boxes.js";
import { colour } from "./chart.js";
import { html, svg } from "./plot.js";

const charts = document.getElementById("charts");
const forms = Object.fromEntries([...document.querySelectorAll("form[data-chart]")].map((form) => [form.dataset.chart, form]));
const given = new URLSearchParams(location.search);
// Of the address these say what is compared; all else is the charts' (these here, and charts.js').
const OTHERS = ["runs", "run", "all", "name", "base"];
const ranges = new Map();
// Runs that no chart shows, by id.
const hidden = new Set((given.get("hide") ?? "").split(",").filter(Boolean));
let data; // all runs
let shown; // those that aren't hidden

const linkOf = charts.dataset.run ? (run) => charts.dataset.run.replace("RUN", encodeURIComponent(run.id)) : null;
const named = (name) => shown.columns.find((column) => column.name === name) ?? null;

/** The address, with what these charts show now. */
function state() {
  const found = new URLSearchParams(location.search);
  found.delete("keep");
  found.delete("hide");
  for (const form of Object.values(forms)) {
    for (const field of form.elements) found.delete(field.name);
    for (const [name, value] of new FormData(form)) if (value !== "") found.append(name, value);
  }
  for (const [name, [low, high]] of ranges) found.append("keep", `${low}:${high}:${name}`);
  if (hidden.size) found.set("hide", [...hidden].join(","));
  return found;
}

function remember() {
  history.replaceState(null, "", `?${state().toString().replaceAll("%2C", ",")}`);
}

// What leads to this page again takes the charts' state with it.
for (const form of document.querySelectorAll("main form[method=get]")) {
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of state()) if (!OTHERS.includes(name)) event.formData.append(name, value);
  });
}
for (const link of document.querySelectorAll(`main a[href^="${location.pathname}?"]`)) {
  link.addEventListener("click", () => {
    const target = new URL(link.href);
    const wanted = new URLSearchParams([...target.searchParams].filter(([name]) => OTHERS.includes(name)));
    for (const [name, value] of state()) if (!OTHERS.includes(name)) wanted.append(name, value);
    link.href = `?${wanted.toString().replaceAll("%2C", ",")}`;
  });
}

const known = (column) => column.values.filter((value) => value !== null);
const varies = (column) => new Set(known(column)).size > 1;
// What most runs have comes first.
const byCover = (columns) => columns.filter(varies).sort((a, b) => known(b).length - known(a).length);

/** What is shown where the address doesn't say: what tells runs apart. */
function defaults() {
  const params = byCover(data.columns.filter((c) => c.kind === "params"));
  const metrics = byCover(data.columns.filter((c) => c.kind === "metrics" && !c.title.startsWith("system/")));
  const numbers = byCover([...params.filter((c) => c.numeric), ...metrics]);
  const first = metrics.at(0) ?? data.columns.at(-1);
  const name = (column) => column?.name;
  const [a, b] = numbers.filter((c) => c !== first);
  return {
    axis: [...params.slice(0, 6), ...metrics.slice(0, 2)].map(name),
    tint: [name(first)], sx: [name(numbers.find((c) => c !== first) ?? first)], sy: [name(first)], colour: [""],
    cx: [name(a)], cy: [name(b)], cz: [name(first)],
    gx: [name(params.at(0) ?? data.columns.at(0))], gy: [name(first)],
  };
}

function fill() {
  const usual = defaults();
  for (const form of Object.values(forms)) {
    for (const field of form.elements) {
      if (!field.name) continue;
      const wanted = given.has(field.name) ? given.getAll(field.name) : usual[field.name];
      if (field.type === "checkbox") field.checked = wanted?.includes(field.value) ?? false;
      else if (wanted?.[0] !== undefined) field.value = wanted[0];
    }
  }
  for (const text of given.getAll("keep")) {
    const [low, high, ...name] = text.split(":");
    const column = named(name.join(":"));
    if (column?.numeric && Number.isFinite(Number(low)) && Number.isFinite(Number(high))) ranges.set(column.name, [Number(low), Number(high)]);
  }
}

const drawers = {
  scatter(box, form) {
    const [x, y] = [named(form.sx.value), named(form.sy.value)];
    if (x && y) scatter(box, { ...shown, link: linkOf }, { x, y, colour: named(form.colour.value), xlog: form.xlog.checked && x.numeric, ylog: form.ylog.checked && y.numeric });
  },
  box(box, form) {
    const [x, y] = [named(form.gx.value), named(form.gy.value)];
    if (x && y) boxes(box, { ...shown, link: linkOf }, { x, y, ylog: form.gylog.checked });
  },
  contour(box, form) {
    const [x, y, z] = ["cx", "cy", "cz"].map((name) => named(form[name].value));
    if (x && y && z) contour(box, { ...shown, link: linkOf }, { x, y, z, xlog: form.cxlog.checked, ylog: form.cylog.checked });
  },
  parallel(box, form) {
    const columns = new FormData(form).getAll("axis").map(named).filter(Boolean);
    const change = (name, range) => {
      if (range) ranges.set(name, range); else ranges.delete(name);
      draw("parallel");
      remember();
    };
    if (!columns.length) return box.replaceChildren(html("p", {}, "Choose some axes."));
    for (const name of ranges.keys()) if (!columns.some((column) => column.name === name)) ranges.delete(name);
    parallel(box, { ...shown, link: linkOf }, { columns, tint: named(form.tint.value), ranges, change });
    box.append(rangeFields(columns, change));
  },
};

/** The ranges of the axes as fields, for who doesn't drag. */
function rangeFields(columns, change) {
  const rows = columns.filter((column) => column.numeric).map((column) => {
    const values = known(column);
    const range = ranges.get(column.name);
    const [from, to] = [0, 1].map((end) => {
      const field = html("input", { type: "number", step: "any", "aria-label": `${column.name} ${end ? "up to" : "from"}`, placeholder: values.length ? String(end ? Math.max(...values) : Math.min(...values)) : "" });
      if (range) field.value = range[end];
      return field;
    });
    const read = () => {
      const ends = [from.value === "" ? -Number.MAX_VALUE : Number(from.value), to.value === "" ? Number.MAX_VALUE : Number(to.value)];
      change(column.name, from.value === "" && to.value === "" ? null : ends);
    };
    for (const field of [from, to]) field.addEventListener("change", read);
    return html("div", { class: "bar" }, html("span", { class: "what" }, column.name), from, "to", to);
  });
  return html("details", { class: "ranges" }, html("summary", {}, "Ranges"), ...rows);
}

function draw(name) {
  const form = forms[name];
  const box = form.parentElement.querySelector(".drawn");
  const open = [...box.querySelectorAll(":scope > details")].map((details) => details.open);
  drawers[name]?.(box, form);
  box.querySelectorAll(":scope > details").forEach((details, n) => { details.open = open[n] ?? false; });
}

/** What the charts show: all but the hidden runs, each of its own colour. */
function pick() {
  const kept = data.runs.map((run, n) => n).filter((n) => !hidden.has(data.runs[n].id));
  shown = {
    runs: kept.map((n) => ({ ...data.runs[n], place: n })),
    columns: data.columns.map((column) => ({ ...column, values: kept.map((n) => column.values[n]) })),
  };
}

/** The runs with their colours, each to be hidden or shown. */
function choose() {
  const list = document.getElementById("runs-legend");
  list.replaceChildren(...data.runs.map((run, n) => {
    const box = html("input", { type: "checkbox" });
    box.checked = !hidden.has(run.id);
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(run.id); else hidden.add(run.id);
      remember();
      pick();
      for (const name of Object.keys(forms)) draw(name);
      document.dispatchEvent(new CustomEvent("runschosen"));
    });
    const mark = svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, svg("rect", { width: 12, height: 12, rx: 3, fill: colour(n) }));
    return html("li", {}, html("label", {}, box, " ", mark, run.name));
  }));
}

function drawAll() {
  choose();
  for (const name of Object.keys(forms)) draw(name);
}

async function start() {
  const answer = await fetch(charts.dataset.runs);
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  data = await answer.json();
  for (const column of data.columns) {
    const [kind, ...rest] = column.name.split(".");
    column.kind = kind;
    column.title = rest.join(".") || kind;
  }
  pick();
  fill();
  drawAll();
  for (const [name, form] of Object.entries(forms)) {
    form.addEventListener("input", () => { draw(name); remember(); });
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  document.addEventListener("themechange", drawAll);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) drawAll();
    width = innerWidth;
  });
}

start().catch((error) => charts.prepend(html("p", { class: "invalid", role: "alert" }, `The charts can't be drawn: ${error.message}. Reload the page.`)));
