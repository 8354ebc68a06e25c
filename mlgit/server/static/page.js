// What every page has: local times, light and dark, keys, copying, forms that submit themselves.

const MINUTE = 60_000;
const UNITS = [["year", 525_960], ["month", 43_830], ["week", 10_080], ["day", 1440], ["hour", 60], ["minute", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How long ago a time is, in its largest unit. */
function ago(then) {
  const minutes = (then - Date.now()) / MINUTE;
  for (const [unit, size] of UNITS) {
    if (Math.abs(minutes) >= size) return relative.format(Math.trunc(minutes / size), unit);
  }
  return "just now";
}

function showTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const when = new Date(element.dateTime);
    if (Number.isNaN(when.valueOf())) continue;
    element.textContent = ago(when.valueOf());
    element.title = when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function switchTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("mlgit-theme", next);
  } catch {
    // It holds for this page.
  }
  document.dispatchEvent(new CustomEvent("themechange"));
}

/** Whether a key belongs to what is being typed into. */
function isTyping(target) {
  return target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}

let before = "";

function moveRow(step) {
  const rows = [...document.querySelectorAll("table[data-keys] tbody tr:not([hidden])")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const row = rows[Math.min(Math.max(at < 0 ? 0 : at + step, 0), rows.length - 1)];
  row.querySelector("th a, a, input")?.focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const leader = before;
  before = event.key;
  const menu = (path) => document.querySelector(`header nav a[href="${path}"]`);
  const actions = {
    "/": () => document.querySelector("[data-search]")?.focus(),
    "?": () => document.getElementById("keys-list").showModal(),
    t: switchTheme,
    j: () => moveRow(1),
    k: () => moveRow(-1),
    x: () => document.activeElement.closest("tr")?.querySelector(".pick input")?.click(),
  };
  if (leader === "g") {
    const places = { e: "/", r: "/runs", b: "/branches", c: "/diff", m: "/models", d: "/data" };
    const link = places[event.key] && menu(places[event.key]);
    if (link) link.click();
    return;
  }
  if (actions[event.key]) {
    event.preventDefault();
    actions[event.key]();
  }
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    const text = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(text);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

showTimes();
setInterval(showTimes, MINUTE);
document.addEventListener("keydown", onKey);
// On a phone the menu is wider than the screen.
const here = document.querySelector("header nav [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - (here.parentElement.clientWidth - here.offsetWidth) / 2;
for (const id of ["theme", "keys"]) document.getElementById(id).hidden = false;
document.getElementById("theme").addEventListener("click", switchTheme);
document.getElementById("keys").addEventListener("click", () => document.getElementById("keys-list").showModal());
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
for (const input of document.querySelectorAll("[data-find]")) {
  const box = input.closest(".find");
  box.hidden = false;
  input.addEventListener("input", () => {
    const text = input.value.trim().toLowerCase();
    const rows = [...box.nextElementSibling.querySelectorAll("tbody tr")];
    for (const row of rows) row.hidden = !row.querySelector("th").textContent.toLowerCase().includes(text);
    box.querySelector("[role=status]").textContent = text ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  });
}
for (const button of document.querySelectorAll("[data-preview]")) {
  const shown = button.form.querySelector("[data-previewed]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    shown.hidden = false;
    try {
      const answer = await fetch(button.dataset.preview, { method: "POST", body: new FormData(button.form) });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      shown.innerHTML = (await answer.json()).html; // made by the server, of escaped text
    } catch (error) {
      shown.textContent = `No preview: ${error.message}`;
    }
  });
}
for (const input of document.querySelectorAll("[data-submit]")) {
  input.addEventListener("change", () => input.form.requestSubmit());
}
// A form that is sent by GET leaves empty fields out of the address.
for (const form of document.querySelectorAll("form[method=get]")) {
  form.addEventListener("formdata", (event) => {
    for (const name of new Set([...event.formData.keys()])) {
      const given = event.formData.getAll(name).filter((value) => value !== "");
      event.formData.delete(name);
      for (const value of given) event.formData.append(name, value);
    }
  });
}
// A menu closes by Escape and by a click elsewhere.
for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}
