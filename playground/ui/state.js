/* The page's state in the URL (state.py): written as controls change, debounced, without new history entries. */
(() => {
  const WAIT_MS = 250;
  const pending = new Map();
  let timer = null, touched = false;                     // the page's own opening is no news for the URL

  function flush() {
    clearTimeout(timer);
    timer = null;
    if (!pending.size) return;
    const url = new URL(location.href);
    for (const [key, value] of pending) {
      if (value === null) url.searchParams.delete(key);
      else url.searchParams.set(key, value);
    }
    pending.clear();
    // Commas and colons need no escape in a query; a readable link is a shorter link.
    history.replaceState(history.state, "", url.href.replaceAll("%2C", ",").replaceAll("%3A", ":"));
  }

  const text = (value) => {
    if (Array.isArray(value)) return value.map(text).join(",").replace(/(,0)+$/, "");
    return typeof value === "number" ? String(Math.round(value * 1000) / 1000) : String(value ?? "");
  };

  playground.state = {
    flush,
    /* fields: [[name, default as text, number of values], ...]; values: those of all fields, one after another. */
    write(tab, fields, values) {
      if (!touched) return;
      let i = 0;
      for (const [name, initial, count] of fields) {
        const value = text(count === 1 ? values[i] : values.slice(i, i + count));
        i += count;
        pending.set(`${tab}.${name}`, value === initial ? null : value);
      }
      timer ??= setTimeout(flush, WAIT_MS);
    },
  };
  for (const sign of ["pointerdown", "keydown"]) addEventListener(sign, () => { touched = true; }, { capture: true });
  addEventListener("pagehide", flush);
})();
