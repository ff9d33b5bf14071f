/* The page's state in the URL (state.py): written when controls have come to rest, without new history entries. */
(() => {
  const WAIT_MS = 250;                                   // of rest before the URL is written (Safari counts the writes)
  const PATIENCE_MS = 5000;                              // for the server's answer to an opening; then the tab goes on as it is
  const pending = new Map(), opening = new Map(), seen = new Map(), opened = new Set(), ready = new Set();
  let timer = null, selected = null, touched = false;                     // the page's own opening is no news for the URL

  function flush() {
    clearTimeout(timer);
    timer = null;
    if (!pending.size) return;
    const url = new URL(location.href);
    for (const [key, value] of pending) {
      if (value === null) url.searchParams.delete(key);
      else url.searchParams.set(key, value);
    }
    // Commas and colons need no escape in a query; a readable link is a shorter link.
    history.replaceState(history.state, "", url.href.replaceAll("%2C", ",").replaceAll("%3A", ":"));
    pending.clear();
  }

  function flushSoon() {
    clearTimeout(timer);
    timer = setTimeout(flush, WAIT_MS);
  }

  const text = (value) => {
    if (Array.isArray(value)) return value.map(text).join(",").replace(/(,0)+$/, "");
    return typeof value === "number" ? String(Math.round(value * 1000) / 1000) : String(value ?? "");
  };

  const pick = (places, values) => (places.length === 1 ? values[places[0]] : places.map((place) => values[place]));

  playground.state = {
    flush,
    /* The URL's query when a tab is opened for the first time, else null. */
    opening(layout, values) {
      const { tab } = layout;
      const query = new URLSearchParams(location.search);
      const named = playground.tabs.includes(query.get("tab")) ? query.get("tab") : playground.tabs[0];
      const shown = touched && selected ? selected : named;            // before the visitor's first touch the URL decides
      if (tab !== shown || opened.has(tab)) return null;
      opened.add(tab);
      seen.set(tab, values);
      setTimeout(() => { if (!ready.has(tab)) this.answered(layout, seen.get(tab)); }, PATIENCE_MS);
      return query.toString();
    },
    /* The visitor went to another tab. */
    select(tab) {
      selected = tab;
      if (!touched) return;
      pending.set("tab", tab);
      flushSoon();
    },
    /* The opening of a tab was answered (for one not in sight with nothing): from now on its changes count. */
    answered(layout, values) {
      if (opened.has(layout.tab)) ready.add(layout.tab);
      const given = new URLSearchParams(location.search);
      for (const field of layout.fields)
        if (field[1] === null && !given.has(`${layout.tab}.${field[0]}`)) opening.set(`${layout.tab}.${field[0]}`, text(pick(field[2], values)));
      this.changed(layout, values);
    },
    /* Some control of a tab changed: keep the URL and the live views in step.
       layout: {tab, fields: [[name, default, places]], views: [[name, [[parameter, places]]]]}; places index values. */
    changed({ tab, fields, views }, values) {
      seen.set(tab, values);
      if (!ready.has(tab)) return;                       // its controls are still coming up, with values of nobody's
      if (touched)
        for (const [name, initial, places] of fields) {
          const key = `${tab}.${name}`, value = text(pick(places, values));
          pending.set(key, value === (initial ?? opening.get(key)) ? null : value);
        }
      if (pending.size) flushSoon();
      for (const [name, parameters] of views) {
        const query = new URLSearchParams(parameters.map(([key, places]) => [key, String(pick(places, values) ?? "")]));
        playground.live.view(name).ask(query.toString());
      }
    },
  };
  for (const sign of ["pointerdown", "keydown"]) addEventListener(sign, () => { touched = true; }, { capture: true });
  addEventListener("pagehide", flush);
})();
