// The charts of a page: fetched when they come into view, drawn again when the controls change.
// Each is a ``figure.chart`` with ``data-key`` and ``data-runs`` (ids, with spaces between).

import { drawBars, sayOne, single } from "./bars.js";
import { draw } from "./chart.js";
import { follow } from "./live.js";

const controls = document.getElementById("chart-state");
const inputs = [...(controls?.elements ?? [])].filter((element) => element.name);
const figures = [...document.querySelectorAll("figure.chart")];
// As many series are asked for at once, and as many points are drawn in one chart.
const MOST_SERIES = 300;
const MOST_DRAWN = 60_000;
// Above this a live chart is fetched anew, reduced, instead of growing on.
const MOST_LIVE = 6000;

/** The controls' state, which the address holds too. */
function state() {
  const form = new FormData(controls);
  return { x: form.get("x"), smooth: Number(form.get("smooth")), logX: form.has("logx"), logY: form.has("logy"), find: form.get("find").trim().toLowerCase() };
}

function restore() {
  const given = new URLSearchParams(location.search);
  for (const input of inputs) {
    if (!given.has(input.name)) continue;
    if (input.type === "checkbox") input.checked = given.get(input.name) === "1";
    else input.value = given.get(input.name);
  }
}

function remember() {
  const url = new URL(location);
  for (const input of inputs) {
    const value = input.type === "checkbox" ? (input.checked ? "1" : "") : input.value;
    const usual = { x: "step", smooth: "0" }[input.name] ?? "";
    if (value === usual) url.searchParams.delete(input.name);
    else url.searchParams.set(input.name, value);
  }
  history.replaceState(null, "", url);
  controls.querySelector("output").textContent = controls.elements.smooth.value;
}

/** Fetch what several figures draw, in one request. */
async function load(some) {
  const how = state();
  const runs = new Set(some.flatMap((figure) => figure.dataset.runs.split(" ")));
  const most = Math.max(100, Math.floor(MOST_DRAWN / runs.size));
  const query = new URLSearchParams({ x: how.x, points: Math.min(2000, most, Math.round(some[0].clientWidth * 2) || 800) });
  if (how.smooth) query.set("smooth", how.smooth);
  if (how.logX) query.set("log", "1");
  for (const run of runs) query.append("run", run);
  for (const figure of some) query.append("key", figure.dataset.key);
  try {
    const answer = await fetch(`${controls.dataset.points}?${query}`, { headers: { Accept: "application/json" } });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    for (const figure of some) {
      figure.series = found.series.filter((one) => one.key === figure.dataset.key);
      const order = figure.dataset.runs.split(" ");
      for (const one of figure.series) [one.label, one.place] = [one.name, order.indexOf(one.run)];
      paint(figure);
    }
  } catch (error) {
    for (const figure of some) figure.querySelector(".says").textContent = `It can't be drawn: ${error.message}`;
  }
}

/** The series of a figure, but for runs that the address hides. */
function visible(figure) {
  const hidden = (new URLSearchParams(location.search).get("hide") ?? "").split(",");
  return figure.series.filter((one) => !hidden.includes(one.run));
}

function paint(figure) {
  const how = state();
  const series = visible(figure);
  const box = figure.querySelector(".plot");
  const says = figure.querySelector(".says");
  figure.dataset.drawn = "1";
  tabulate(figure);
  if (!series.length) {
    box.uplot?.destroy();
    box.uplot = null;
    says.textContent = "All its runs are hidden";
    return;
  }
  const total = series.reduce((sum, one) => sum + one.count, 0);
  const odd = series.reduce((sum, one) => sum + one.odd, 0);
  const last = series.at(-1);
  const end = last?.y.at(-1);
  const rest = `${total} ${total === 1 ? "point" : "points"}${odd ? `, ${odd} of them not finite` : ""}${series.length === 1 && end !== null && end !== undefined ? ` · last ${Number(end.toPrecision(6))}` : ""}`;
  says.textContent = rest;
  box.setAttribute("aria-label", `Chart of ${figure.dataset.key}: ${rest}`);
  if (series.length > 1 && single(series)) return drawBars(box, series);
  if (series.length === 1 && sayOne(box, series[0])) return;
  draw(box, series, { axis: how.x, logX: how.logX, logY: how.logY, says, rest });
}

const told = (value) => (value === null || value === undefined || !Number.isFinite(value) ? "–" : String(Number(value.toPrecision(6))));

/** The table behind a chart of several runs. */
function tabulate(figure) {
  const body = figure.querySelector("tbody");
  if (!body) return;
  const rows = visible(figure).map((one) => {
    const numbers = one.y.filter((value) => value !== null);
    const least = numbers.reduce((a, b) => Math.min(a, b), Infinity);
    const greatest = numbers.reduce((a, b) => Math.max(a, b), -Infinity);
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = one.label;
    row.append(head, ...[one.count, one.y[0], least, greatest, one.y.at(-1)].map((value) => {
      const cell = document.createElement("td");
      cell.className = "right";
      cell.textContent = told(value);
      return cell;
    }));
    return row;
  });
  body.replaceChildren(...rows);
}

let waiting = [];
const seen = new Set();
function want(figure) {
  if (!waiting.length) {
    // All that come into view together are fetched together, some at a time.
    setTimeout(() => {
      const all = waiting;
      waiting = [];
      while (all.length) load(all.splice(0, Math.min(6, Math.max(1, Math.floor(MOST_SERIES / all[0].dataset.runs.split(" ").length)))));
    }, 20);
  }
  waiting.push(figure);
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting || seen.has(target)) continue;
    seen.add(target);
    want(target);
  }
}, { rootMargin: "200px" });

function reload() {
  seen.clear();
  watcher.disconnect();
  for (const figure of figures) watcher.observe(figure);
}

function find() {
  const text = state().find;
  for (const figure of figures) figure.hidden = !figure.dataset.key.toLowerCase().includes(text);
}

/** A point that was just logged, at the end of what is drawn. */
function add(figure, run, points) {
  const one = figure.series?.find((found) => found.run === run);
  if (!one) return want(figure);
  if (one.x.length + points.length > MOST_LIVE) return want(figure);
  const how = state();
  for (const [step, time, value] of points) {
    const x = how.x === "step" ? step : how.x === "time" ? time / 1000 : (time - Number(figure.dataset.began || time)) / 1000;
    const y = typeof value === "number" ? value : null;
    if (one.x.length && x <= one.x.at(-1)) {
      // Fetched already, between the stream's beginning and now; else it goes in between.
      if (one.x.some((at, n) => at === x && one.y[n] === y)) continue;
      if (x < one.x.at(-1)) return want(figure);
    }
    one.x.push(x);
    one.y.push(y);
    one.smooth?.push(y === null ? one.smooth.at(-1) ?? null : how.smooth * (one.smooth.at(-1) ?? y) + (1 - how.smooth) * y);
    one.count += 1;
    one.odd += y === null ? 1 : 0;
  }
  return paint(figure);
}

if (controls) {
  restore();
  remember();
  find();
  let timer = 0;
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("input", (event) => {
    remember();
    if (event.target.name === "find") return find();
    if (event.target.name === "logy") return figures.filter((figure) => figure.series).forEach(paint);
    clearTimeout(timer);
    timer = setTimeout(reload, 120);
  });
  for (const name of ["themechange", "runschosen"]) document.addEventListener(name, () => figures.filter((figure) => figure.series).forEach(paint));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => figures.filter((figure) => figure.series).forEach(paint));
  addEventListener("resize", () => figures.forEach((figure) => {
    const box = figure.querySelector(".plot");
    box.uplot?.setSize({ width: box.clientWidth, height: box.clientHeight });
  }));
  reload();
}

const going = document.querySelector("[data-going][data-live]");
if (going) {
  follow(going.dataset.live, {
    metrics: ({ run, points }) => {
      let isNew = false;
      for (const [key, found] of Object.entries(points)) {
        const figure = figures.find((one) => one.dataset.key === key);
        if (!figure) isNew = true;
        else if (seen.has(figure)) add(figure, run, found);
      }
      if (isNew) location.reload();
    },
    missed: reload,
    ended: () => location.reload(),
  });
}
