// Completion of fields and values in a filter: a listbox below the input, by the pattern of an
// ARIA combobox.

const WORD = /[\w./:`"-]*$/;
// A field of texts, a comparison, and the value that is begun, if any is.
const VALUE = /((?:params?|parameters?|tags?)\.(?:`[^`]*`|"[^"]*"|[\w./:-]+)|datasets?\.name|(?:attributes?\.)?status)\s*(?:!?=|\bIN\s*\((?:[^()]*,)?)\s*('[^']*)?$/i;
const MOST = 12;

/** What a person has begun to write before the cursor; "" inside a quoted value. */
function begun(input) {
  const before = input.value.slice(0, input.selectionStart);
  if ((before.match(/'/g) || []).length % 2 === 1) return "";
  return WORD.exec(before)[0];
}

/** The field whose value comes next before the cursor, and what is typed of it; or null. */
function valueBegun(input) {
  const found = VALUE.exec(input.value.slice(0, input.selectionStart));
  return found && { field: found[1], text: found[2] ?? "" };
}

/** The fields that fit: those that begin so first, then those whose name holds it. */
function fitting(fields, text) {
  const low = text.toLowerCase();
  const starts = fields.filter((field) => field.toLowerCase().startsWith(low));
  const holds = fields.filter((field) => !starts.includes(field) && field.toLowerCase().includes(low));
  return [...starts, ...holds].slice(0, MOST);
}

/**
 * Let an input complete the fields that ``data-complete`` names the address of, and their values,
 * which ``data-values`` does.
 */
export function complete(input) {
  let fields = null;
  let at = -1;
  const list = document.createElement("ul");
  list.id = `${input.id}-list`;
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Fields and values");
  input.parentElement.append(list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id })) input.setAttribute(name, value);

  function close() {
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(next) {
    const items = [...list.children];
    at = (next + items.length) % items.length;
    items.forEach((item, n) => item.setAttribute("aria-selected", String(n === at)));
    input.setAttribute("aria-activedescendant", items[at].id);
    items[at].scrollIntoView({ block: "nearest" });
  }

  function take(text) {
    const end = input.selectionStart;
    const start = end - (valueBegun(input)?.text ?? begun(input)).length;
    input.setRangeText(`${text} `, start, end, "end");
    close();
    input.focus();
  }

  /** What fits before the cursor: values after a comparison, else fields. */
  async function matching() {
    const value = input.dataset.values ? valueBegun(input) : null;
    if (value) {
      const query = new URLSearchParams({ field: value.field, begins: value.text.slice(1) });
      const given = (await (await fetch(`${input.dataset.values}?${query}`)).json()).values;
      return given.filter((one) => one !== `${value.text}'`).slice(0, MOST);
    }
    const text = begun(input);
    if (!text) return [];
    fields ??= (await (await fetch(input.dataset.complete)).json()).fields;
    return fitting(fields, text).filter((field) => field !== text);
  }

  async function open() {
    const before = input.value.slice(0, input.selectionStart);
    let found = [];
    try {
      found = await matching();
    } catch {
      // Without completion, a filter can be written still.
    }
    if (input.value.slice(0, input.selectionStart) !== before) return undefined; // typed on
    if (!found.length) return close();
    list.replaceChildren(...found.map((field, n) => {
      const item = document.createElement("li");
      item.id = `${list.id}-${n}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.textContent = field;
      return item;
    }));
    at = -1;
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    input.removeAttribute("aria-activedescendant");
    return undefined;
  }

  input.addEventListener("input", open);
  input.addEventListener("blur", () => setTimeout(close, 150));
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    if (event.target.matches("li")) take(event.target.textContent);
  });
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown") mark(at + 1);
    else if (event.key === "ArrowUp") mark(at < 0 ? list.children.length - 1 : at - 1);
    else if (event.key === "Escape") close();
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) take(list.children[at].textContent);
    else return;
    event.preventDefault();
  });
}
