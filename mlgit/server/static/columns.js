// The order of the columns in the chooser. The first field of a name decides its place, so hidden
// fields before the boxes' do; without this script the columns stand as the chooser lists them.

const button = (text, label, act) => {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "plain";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
};

/** Give a chooser's form the list by which its columns are moved. */
export function orderable(form) {
  const list = form.querySelector("[data-order]");
  const says = list.parentElement.querySelector("[role=status]");
  const boxes = [...form.querySelectorAll("input[type=checkbox][name=column]")];

  function move(item, step) {
    const items = [...list.children];
    const to = items.indexOf(item) + step;
    if (to < 0 || to >= items.length) return;
    const focused = document.activeElement;
    if (step < 0) list.insertBefore(item, items[to]);
    else items[to].after(item);
    focused.focus(); // what is moved loses it
    says.textContent = `${item.querySelector("span").textContent}: ${to + 1} of ${items.length}`;
  }

  function dress(item, title) {
    const name = item.dataset.name;
    const text = document.createElement("span");
    text.textContent = title;
    const field = document.createElement("input");
    [field.type, field.name, field.value] = ["hidden", "column", name];
    item.replaceChildren(
      field,
      button("↑", `Move ${title} to the front`, () => move(item, -1)),
      button("↓", `Move ${title} to the back`, () => move(item, 1)),
      text,
    );
    item.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      move(item, step);
    });
  }

  for (const item of list.children) dress(item, item.textContent);
  for (const box of boxes) {
    box.addEventListener("change", () => {
      const there = [...list.children].find((item) => item.dataset.name === box.value);
      if (box.checked && !there) {
        const item = document.createElement("li");
        item.dataset.name = box.value;
        dress(item, box.closest("label").textContent.trim());
        list.append(item);
      } else if (!box.checked) there?.remove();
    });
  }
  form.insertBefore(list.parentElement, form.firstChild);
  list.parentElement.hidden = false;
}
