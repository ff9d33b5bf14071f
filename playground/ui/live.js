/* The browser's half of the live view (live.py): ask for the newest frame, never draw an older one over it.

   playground.live.view(name).ask(query)   query -> frame -> the view's canvases and every [data-live]; the same
                                           query again is not asked twice
   playground.live.view(name).painter      takes the query, and returns whether it draws that frame itself: then the
                                           server is not asked, and what was drawn is handed to painted(picture, numbers)
   playground.live.mount(element, ...)     a gr.HTML holding .live-view becomes that view
   A frame's numbers are also announced as the event "live:<view>" on document. */
(() => {
  const ASKING = 3;                                      // hides the network's delay without piling up requests
  const RETRY_MS = 1000;                                 // after a network failure (a server that is starting) or a full line
  const REST_MS = 200;                                   // without a new query, until a view with a coarse picture asks for the exact one
  const PATIENCE_MS = 30000;                             // a request without an answer for so long is lost
  const LOOKING_MS = 250;                                // between two looks whether a view is in sight
  const READING_MS = 100;                                // between two looks of the numbers: their layout costs more than a picture
  const NEAR = "600px";                                  // below the window: where a lazy view begins to ask
  const page = Math.random().toString(36).slice(2, 12);
  const views = new Map();

  class View {
    constructor(name) {
      Object.assign(this, { name, element: null, wanted: null, last: null, asked: 0, asking: 0, inFlight: 0, shown: 0, frames: 0,
        tiles: 1, every: 0, near: true, begun: -Infinity, looked: -Infinity, visible: false, timer: null,
        moving: "", resting: null, painter: null, renewed: null });
    }
    ask(query) {
      if (query === this.last) return;
      this.last = query;
      this.want(this.moving);
    }
    /* The frame of the last query as it is at rest, once more. */
    again() {
      if (this.last !== null) this.want("");
    }
    /* The frame of the last query: with `moving` added to it, and at rest without. */
    want(moving) {
      clearTimeout(this.resting);
      this.wanted = this.resting = null;
      if (this.painter?.(this.last)) return;
      this.wanted = moving ? `${this.last}&${moving}` : this.last;
      if (moving) this.resting = setTimeout(() => this.again(), REST_MS);
      this.pump();
    }
    pump() {
      while (this.wanted !== null && this.asking < ASKING && this.inSight()) {    // a tab not yet open asks for nothing
        const early = this.every - (performance.now() - this.begun);
        if (early > 0) {
          this.timer ??= setTimeout(() => { this.timer = null; this.pump(); }, early);
          return;
        }
        this.begun = performance.now();
        const query = this.wanted;
        this.wanted = null;
        this.fetch(query, ++this.asked);
      }
    }
    inSight() {
      if (!this.near || !this.element?.isConnected) return false;
      if (performance.now() - this.looked > LOOKING_MS) {
        this.visible = this.element.checkVisibility();
        this.looked = this.visible ? performance.now() : -Infinity;        // one out of sight is looked for each time
      }
      return this.visible;
    }
    async fetch(query, n) {
      this.inFlight++;                                   // until its frame is drawn
      this.asking++;                                     // until it is answered: a busy page asks on while it waits to draw
      let answer = null;
      try {
        answer = await fetch(`${playground.root()}/live/${this.name}?${query}&page=${page}&n=${n}`,
          { signal: AbortSignal.timeout(PATIENCE_MS) }).finally(() => { this.asking--; });
        this.pump();
        if (answer.status === 200) await this.show(answer, n);
        else if (answer.status !== 204 && n === this.asked) this.say(await sentence(answer));
      } catch (error) {
        if (answer) console.error(error);
      } finally {
        this.inFlight--;
      }
      const lost = !answer || answer.status >= 502;      // no answer, or a proxy's for a server that is starting or full
      if (lost && n === this.asked) setTimeout(() => { this.wanted ??= this.last; this.pump(); }, RETRY_MS);
      this.pump();
    }
    async show(answer, n) {
      const numbers = JSON.parse(answer.headers.get("X-Numbers"));
      const picture = await createImageBitmap(await answer.blob());
      if (n < this.shown) return;
      this.shown = n;
      this.put(picture, numbers);
      if (numbers.more && n === this.asked) this.wanted ??= this.last;     // not the last word: the pump asks again
    }
    /* A frame that the view's painter drew: no answer still under way is newer. */
    painted(picture, numbers) {
      this.shown = ++this.asked;
      this.put(picture, numbers);
    }
    /* Whether the page says what the frame says. */
    get read() {
      return !unwritten.has(`live ${this.name}:`);
    }
    put(picture, numbers) {
      this.frames++;
      this.picture = picture;
      this.numbers = numbers;
      this.say("");
      this.draw();
      drawn(this.name, numbers);
      write("live", `${this.name}:`, numbers);
      document.body.dataset.ready ??= "";
      document.dispatchEvent(new CustomEvent(`live:${this.name}`, { detail: { numbers, n: this.shown } }));
    }
    draw() {
      if (!this.picture) return;
      const own = this.element ? [...this.element.querySelectorAll("canvas")] : [];
      const width = this.picture.width / this.tiles;
      own.forEach((canvas, i) => paint(canvas, this.picture, i * width, width));
      for (const canvas of playground.all(`canvas[data-mirror^="${this.name}:"]`))
        paint(canvas, this.picture, Number(canvas.dataset.mirror.split(":")[1]) * width, width);
    }
    say(text) {
      const status = this.element?.querySelector(".live-status");
      if (status && status.textContent !== text) status.textContent = text;
    }
  }

  function paint(canvas, picture, left, width) {
    if (canvas.width !== width || canvas.height !== picture.height) Object.assign(canvas, { width, height: picture.height });
    canvas.getContext("2d").drawImage(picture, left, 0, width, picture.height, 0, 0, width, picture.height);
  }

  /* What other scripts draw from a frame's numbers. */
  function drawn(name, numbers) {
    for (const part of ["bars", "plane", "tree", "cursor", "ring", "orbit"]) playground[part]?.update(name, numbers);
  }

  async function sentence(answer) {
    try {
      const { error } = await answer.json();
      return error[document.documentElement.dataset.lang] || error.en;
    } catch {
      return `HTTP ${answer.status}`;
    }
  }

  function format(value) {
    if (value === null) return "–";
    if (typeof value !== "number" || Number.isInteger(value)) return String(value);
    const size = Math.abs(value);
    const text = size >= 10000 ? Math.round(value).toLocaleString("en-US") : size >= 100 ? value.toFixed(1) : size >= 0.095 || !size ? value.toFixed(2) : size >= 1e-3 ? value.toPrecision(2) : value.toExponential(1);
    return text.replaceAll("-", "−");
  }

  /* Write numbers into the elements whose data-<attribute> is <prefix><key>: all together, and only as often as one can read. */
  const unwritten = new Map();
  let writing = null, written = 0;
  function write(attribute, prefix, numbers) {
    unwritten.set(`${attribute} ${prefix}`, [attribute, prefix, numbers]);
    writing ??= setTimeout(() => {
      [writing, written] = [null, performance.now()];
      for (const [attribute, prefix, numbers] of unwritten.values())
        for (const node of playground.all(prefix ? `[data-${attribute}^="${prefix}"]` : `[data-${attribute}]`)) {
          const value = numbers[node.dataset[attribute].slice(prefix.length)];
          if (value !== undefined && node.textContent !== format(value)) playground.write(node, format(value));
        }
      unwritten.clear();
    }, written + READING_MS - performance.now());
  }

  const view = (name) => views.get(name) || views.set(name, new View(name)).get(name);

  document.addEventListener("click", (event) => {        // a picture under a slider that shows one of its values: take that value
    const strip = event.target.closest("canvas[data-slider]");
    if (!strip) return;
    const values = strip.dataset.values.split(","), box = strip.getBoundingClientRect();
    const at = Math.min(values.length - 1, Math.floor(((event.clientX - box.left) / box.width) * values.length));
    const knob = document.querySelector(`#${strip.dataset.slider} input[type=range]`);
    knob.value = values[at];
    for (const kind of ["input", "pointerup"]) knob.dispatchEvent(new Event(kind, { bubbles: true }));
  });
  document.addEventListener("click", (event) => {        // <a data-gif="view">: the view's frame of this moment as moving pictures
    const link = event.target.closest("a[data-gif]");
    if (!link) return;
    const name = link.dataset.gif;
    Object.assign(link, { href: `${playground.root()}/live/${name}?${view(name).last}&film=gif`, download: `${name.replace(".", "-")}.gif` });
  });

  playground.live = {
    view,
    write,
    format,
    /* What a tab's views were asked with last under a parameter's name, such as the checkpoint. */
    parameter(tab, name) {
      for (const view of views.values()) {
        const value = view.name.startsWith(tab + ".") && new URLSearchParams(view.last ?? "").get(name);
        if (value) return value;
      }
      return null;
    },
    /* Ask for all of a tab's pictures again: the model behind them was replaced. */
    refresh(tab) {
      for (const view of views.values()) {
        if (!view.name.startsWith(tab + ".")) continue;
        view.renewed?.();
        view.again();
      }
    },
    /* Draw again what a change of theme has left in the old colours. */
    repaint() {
      for (const [name, { numbers }] of views) if (numbers) drawn(name, numbers);
    },
    /* Trigger "rest" when a view's frame has stood for so long and the element is in sight. */
    rest(element, name, ms, trigger) {
      let timer = null;
      document.addEventListener(`live:${name}`, () => {
        clearTimeout(timer);
        timer = setTimeout(() => { if (element.checkVisibility()) trigger("rest"); }, ms);
      });
    },
    /* Keep each canvas of the element under the slider that it names, and at home, unseen, while that is not there: Gradio takes
       a slider that is hidden off the page, with all it holds, and makes another one later. */
    under(element) {
      const canvases = [...element.querySelectorAll("canvas[data-slider]")];
      const place = () => {
        for (const canvas of canvases) {
          const there = document.getElementById(canvas.dataset.slider) || element;
          if (canvas.parentNode === there) continue;
          there.append(canvas);
          views.get(canvas.dataset.mirror.split(":")[0])?.draw();
        }
      };
      element.hidden = true;
      place();
      new MutationObserver(place).observe(element.closest(".column"), { childList: true, subtree: true });
    },
    mount(element, props, trigger) {
      const root = element.querySelector(".live-view");
      const mine = view(root.dataset.view);
      Object.assign(mine, { element: root, tiles: Number(root.dataset.tiles), every: Number(root.dataset.every), moving: root.dataset.moving });
      const lazy = "lazy" in root.dataset;
      mine.near = !lazy;
      new IntersectionObserver((seen) => {               // unfolded, or scrolled to: it may have been asked meanwhile
        if (lazy) mine.near = seen.at(-1).isIntersecting;
        mine.pump();
      }, { rootMargin: NEAR }).observe(root);
      mine.draw();
      mine.pump();
      const pick = (event) => {
        const tile = event.target.closest("[data-tile][role=button]");
        if (!tile || (event.key && ![" ", "Enter"].includes(event.key))) return;
        event.preventDefault();
        props.value = Number(tile.dataset.tile);
        trigger("pick");
      };
      root.addEventListener("click", pick);
      root.addEventListener("keydown", pick);
    },
  };
})();
