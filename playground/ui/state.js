/* The page's state in the URL (state.py): written when controls have come to rest, without new history entries. */
(() => {
  const WAIT_MS = 250;                                   // of rest before the URL is written (Safari counts the writes)
  const PATIENCE_MS = 5000;                              // for the server's answer to an opening; then the tab goes on as it is
  const pending = new Map(), opening = new Map(), tabs = new Map();
  let timer = null, touched = false;                     // the page's own opening is no news for the URL
  let loaded = false, inSight = playground.tab;          // the page stands; the tab the visitor looks at
  let held = false;                                      // a hand on a picture moves some controls: those that tell are all that move

  /* What is known of a tab. moved: the places that changed at this moment; dragged: the one that alone did at the last. */
  const known = (tab) => tabs.get(tab)
    || tabs.set(tab, { layout: null, values: null, opened: false, ready: false, moved: new Set(), dragged: null, trigger: null }).get(tab);

  function flush() {
    clearTimeout(timer);
    timer = null;
    for (const tab of tabs.values()) tab.dragged = null;
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
    /* The tab is on the page, which happens when it first comes in sight; trigger() has Gradio send the values of all its
       controls: "gather" to `changed`, "opening" to the server, which restores what the URL names. */
    mount(tab, trigger) {
      known(tab).trigger = trigger;
      this.open();
    },
    /* The page stands: its events are heard. */
    load() {
      loaded = true;
      this.open();
    },
    /* Open the tab in sight, if it was not yet. */
    open() {
      const tab = known(inSight);
      if (!loaded || !tab.trigger || tab.opened) return;
      tab.opened = true;
      tab.trigger("opening");
    },
    /* The URL's query when a tab is opened.
       layout: {tab, fields: [[name, default, places]], views: [[name, [[parameter, places]]]]}; places index values. */
    opening(layout, values) {
      Object.assign(known(layout.tab), { layout, values });
      setTimeout(() => { if (!known(layout.tab).ready) this.answered(layout.tab, known(layout.tab).values); }, PATIENCE_MS);
      return location.search.slice(1);
    },
    /* The visitor went to another tab. */
    select(tab) {
      inSight = tab;
      this.open();
      if (!touched) return;
      pending.set("tab", tab);
      flushSoon();
    },
    /* The opening of a tab was answered: from now on its changes count. */
    answered(name, values) {
      const tab = known(name), given = new URLSearchParams(location.search);
      tab.ready = true;
      for (const [field, initial, places] of tab.layout.fields)
        if (initial === null && !given.has(`${name}.${field}`)) opening.set(`${name}.${field}`, text(pick(places, values)));
      this.changed(name, values);
    },
    /* One control of a tab has a new value. Gathering all of them is what a change costs, and is needed only where a button
       may have changed others too (those out of sight do not tell): a control that changes alone, again and again, is dragged. */
    moved(name, place, value) {
      const tab = known(name);
      if (!tab.values) return;
      tab.values[place] = value;
      if (!tab.moved.size)
        setTimeout(() => {
          const moved = [...tab.moved], alone = moved.length === 1 ? place : null, dragged = alone !== null && alone === tab.dragged;
          tab.moved.clear();
          tab.dragged = alone;
          if (held || dragged || !tab.trigger) this.changed(name, tab.values, moved);
          else tab.trigger("gather");
        }, 0);
      tab.moved.add(place);
    },
    /* A hand is on a picture whose movement moves controls (true), or has left it (false). */
    hold(hand) { held = hand; },
    /* These are now the values of a tab's controls: keep the URL and the live views in step. only: the places of those that
       have changed, where they are known. */
    changed(name, values, only = null) {
      const tab = known(name);
      tab.values = values;
      if (!tab.ready) return;                            // its controls are still coming up, with values of nobody's
      if (touched)
        for (const [field, initial, places] of tab.layout.fields) {
          if (only && !places.some((place) => only.includes(place))) continue;
          const key = `${name}.${field}`, value = text(pick(places, values));
          pending.set(key, value === (initial ?? opening.get(key)) ? null : value);
        }
      flushSoon();
      for (const [view, parameters] of tab.layout.views) {
        if (only && !parameters.some(([, places]) => places.some((place) => only.includes(place)))) continue;
        const query = new URLSearchParams(parameters.map(([key, places]) => [key, String(pick(places, values) ?? "")]));
        playground.live.view(view).ask(query.toString());
      }
    },
  };
  for (const sign of ["pointerdown", "keydown"]) addEventListener(sign, () => { touched = true; }, { capture: true });
  addEventListener("pagehide", flush);
})();
