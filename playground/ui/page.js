/* Runs before Gradio's own scripts: the visitor's language and theme, and what the other scripts share. */
window.playground = (() => {
  const LANGUAGES = ["en", "zh"];
  const query = new URLSearchParams(location.search);
  const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private mode */ } };

  const chosen = [query.get("lang"), stored("playground_language"), document.currentScript.dataset.lang];
  const language = chosen.find((code) => LANGUAGES.includes(code))
    || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.documentElement.dataset.lang = language;
  const remember = (code) => {                           // for sentences made on the server; a Space's page is a frame of another site
    const crossSite = location.protocol === "https:" ? "SameSite=None; Secure; Partitioned" : "SameSite=Lax";
    document.cookie = `playground_language=${code}; path=/; ${crossSite}`;
  };
  remember(language);
  // Gradio picks its translations by the browser's locale once, at its start: this is where it looks.
  Object.defineProperty(navigator, "language", { get: () => (language === "zh" ? "zh-CN" : "en-US") });
  Object.defineProperty(navigator, "languages", { get: () => [navigator.language] });

  // Gradio reads the theme from the URL at its start: lend it the visitor's choice, and take it back afterwards.
  const url = (change) => { const here = new URL(location.href); change(here.searchParams); history.replaceState(history.state, "", here); };
  if (stored("playground_theme") && !query.has("__theme")) {
    url((parameters) => parameters.set("__theme", stored("playground_theme")));
    addEventListener("load", () => setTimeout(() => url((parameters) => parameters.delete("__theme")), 1500));
  }
  const setTheme = (name) => {
    document.body.classList.toggle("dark", name === "dark");
    store("playground_theme", name);
    playground.live.repaint();
    playground.training.repaint();
  };
  const tabs = document.currentScript.dataset.tabs.split(",");
  const tab = tabs.includes(query.get("tab")) ? query.get("tab") : tabs[0];
  // Gradio's description of the page, as it arrives and before it is built: the tab that the URL names is the first and only one
  // built, and what only programs need (the parameters of the named endpoints) is not built at all.
  let config;
  Object.defineProperty(window, "gradio_config", { get: () => config, set(given) {
    config = given;
    if (!config?.components) return;
    const forPrograms = ({ type }) => type === "api", programs = new Set(config.components.filter(forPrograms).map(({ id }) => id));
    const trim = (node) => {
      if (!node.children) return;
      node.children = node.children.filter((child) => !programs.has(child.id));
      node.children.forEach(trim);
    };
    config.components = config.components.filter((component) => !forPrograms(component));
    for (const { layout } of [config, ...Object.values(config.page ?? {})]) if (layout) trim(layout);
    for (const { props } of config.components) if (props?.elem_id === "families") props.selected = tab;
  } });

  // What a selector finds, kept until nodes come or go: at each frame the same few canvases are looked for in a large page.
  const found = new Map();
  new MutationObserver(() => { found.clear(); fit(); }).observe(document, { childList: true, subtree: true });

  // A formula that is wider than its place is set smaller, down to LEAST; beyond that it scrolls.
  const LEAST = 0.7, formulas = document.getElementsByClassName("katex-display"), fitted = new WeakMap();
  const measure = (formula) => {
    fitted.set(formula, formula.clientWidth);
    formula.style.setProperty("--fit", 1);
    formula.style.setProperty("--fit", Math.max(LEAST, Math.min(1, formula.clientWidth / formula.scrollWidth)));
  };
  const fitting = new ResizeObserver((entries) => {
    for (const { target } of entries) if (target.clientWidth && fitted.get(target) !== target.clientWidth) measure(target);
  });
  document.fonts.addEventListener("loadingdone", () => { for (const formula of formulas) if (formula.clientWidth) measure(formula); });
  let known = 0;
  function fit() {
    if (formulas.length === known) return;
    known = formulas.length;
    for (const formula of formulas) fitting.observe(formula);
  }

  setTimeout(() => { document.body.dataset.ready = ""; }, 5000);     // the tabs show themselves, whatever their first view does

  return {
    language,
    all: (selector) => found.get(selector) || found.set(selector, [...document.querySelectorAll(selector)]).get(selector),
    /* Write a text as a change of characters, not of nodes. */
    write(node, text) {
      if (node.firstChild?.nodeType === Node.TEXT_NODE && !node.firstChild.nextSibling) node.firstChild.data = text;
      else node.textContent = text;
    },
    tab,
    root: () => (window.gradio_config?.root || location.origin + location.pathname).replace(/\/+$/, ""),
    setLanguage(code) {
      playground.state.flush();
      store("playground_language", code);
      remember(code);
      const url = new URL(location.href);
      url.searchParams.set("lang", code);
      location.replace(url);                             // the tab's state is in the URL, so nothing is lost
    },
    toggleTheme: () => setTheme(document.body.classList.contains("dark") ? "light" : "dark"),
    async copyLink(button) {
      playground.state?.flush();
      try { await navigator.clipboard.writeText(location.href); } catch { return prompt("", location.href); }
      button.dataset.done = "";
      setTimeout(() => delete button.dataset.done, 1500);
    },
  };
})();
document.addEventListener("click", (event) => {
  const opens = event.target.closest("[data-opens]"), tab = opens && document.querySelector(`#families [role=tab][data-tab-id="${opens.dataset.opens}"]`);
  if (tab && !event.ctrlKey && !event.metaKey && !event.shiftKey) {      // else the link that stands there opens a page of its own
    event.preventDefault();
    tab.click();
    scrollTo(0, 0);
  }
  const button = event.target.closest("[data-action]");
  if (!button) return;
  if (button.dataset.action === "language") playground.setLanguage(playground.language === "zh" ? "en" : "zh");
  if (button.dataset.action === "theme") playground.toggleTheme();
  if (button.dataset.action === "link") playground.copyLink(button);
});
