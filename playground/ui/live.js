/* The browser's half of the live view (live.py): ask for the newest frame, never draw an older one over it.

   playground.live.view(name).ask(query)   query -> frame -> the view's canvases and every [data-live]; the same
                                           query again is not asked twice
   playground.live.mount(element, ...)     a gr.HTML holding .live-view becomes that view
   A frame's numbers are also announced as the event "live:<view>" on document. */
(() => {
  const IN_FLIGHT = 3;                                   // hides the network's delay without piling up requests
  const RETRY_MS = 1000;                                 // after a network failure (a server that is starting) or a full line
  const PATIENCE_MS = 30000;                             // a request without an answer for so long is lost
  const page = Math.random().toString(36).slice(2, 12);
  const views = new Map();

  class View {
    constructor(name) {
      Object.assign(this, { name, element: null, wanted: null, last: null, asked: 0, shown: 0, inFlight: 0, frames: 0 });
    }
    ask(query) {
      if (query === this.last) return;
      this.last = this.wanted = query;
      this.pump();
    }
    pump() {
      while (this.element && this.wanted !== null && this.inFlight < IN_FLIGHT) {      // a tab not yet open asks for nothing
        const query = this.wanted;
        this.wanted = null;
        this.fetch(query, ++this.asked);
      }
    }
    async fetch(query, n) {
      this.inFlight++;
      let answer = null;
      try {
        answer = await fetch(`${playground.root()}/live/${this.name}?${query}&page=${page}&n=${n}`,
          { signal: AbortSignal.timeout(PATIENCE_MS) });
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
      this.frames++;
      this.picture = picture;
      this.numbers = numbers;
      this.say("");
      this.draw();
      document.body.dataset.ready = "";
      for (const [key, value] of Object.entries(numbers))
        for (const node of document.querySelectorAll(`[data-live="${this.name}:${key}"]`)) node.textContent = format(value);
      playground.bars.update(this.name, numbers);
      document.dispatchEvent(new CustomEvent(`live:${this.name}`, { detail: { numbers, n } }));
    }
    draw() {
      if (!this.picture) return;
      const own = this.element ? [...this.element.querySelectorAll("canvas")] : [];
      const width = this.picture.width / Math.max(1, own.length);
      own.forEach((canvas, i) => paint(canvas, this.picture, i * width, width));
      for (const canvas of document.querySelectorAll(`canvas[data-mirror^="${this.name}:"]`))
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
    return value.toFixed(size >= 100 ? 1 : 2).replace("-", "−");
  }

  const view = (name) => views.get(name) || views.set(name, new View(name)).get(name);

  playground.live = {
    format,
    view,
    /* Draw again what a change of theme has left in the old colours. */
    repaint() {
      for (const [name, { numbers }] of views) if (numbers) playground.bars.update(name, numbers);
    },
    mount(element, props, trigger) {
      const root = element.querySelector(".live-view");
      const mine = view(root.dataset.view);
      mine.element = root;
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
