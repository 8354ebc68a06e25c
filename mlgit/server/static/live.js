// Going runs: one stream a page, closed while nobody looks at it.

/** A metric's value as the server writes it: six significant digits. */
export function number(value) {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  return String(Number(value.toPrecision(6)));
}

/**
 * Follow a stream of events.
 * @param {string} url - Where it is.
 * @param {Object<string, function(Object)>} handlers - What to do with each kind of event.
 */
export function follow(url, handlers) {
  const says = document.getElementById("live");
  let source = null;
  let gap = false;

  function open() {
    source = new EventSource(url);
    source.addEventListener("hello", () => {
      says.textContent = "live";
      // What came while nobody looked isn't sent again.
      if (gap && handlers.missed) handlers.missed();
      gap = false;
    });
    source.addEventListener("error", () => {
      gap = true;
      says.textContent = source.readyState === EventSource.CLOSED ? "not live: reload to see more" : "waiting for the server…";
    });
    for (const [name, handle] of Object.entries(handlers)) {
      if (name !== "missed") source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source.close();
      gap = true;
    } else if (source.readyState === EventSource.CLOSED) {
      open();
    }
  });
  addEventListener("pagehide", () => source.close());
  open();
  return { close: () => source.close() };
}
