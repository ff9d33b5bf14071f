/* The browser's half of the training panel (training.py): the runs, and the chosen one's curves, film and buttons.

   All of it is asked from the server, twice a second while something trains and the panel is in sight; nothing is kept
   here but what was already read. Curves are drawn on a canvas: an ordinary plot would be replaced at every update. */
(() => {
  const QUICK_MS = 500, SLOW_MS = 4000;                  // between two questions: while something trains, else
  const POINTS_MAX = 600;                                // of a curve; more than its pixels show nothing more
  const FILM_MS = 90;                                    // per frame when the film plays
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  const visitor = (() => {                               // the secret by which a public host knows whose runs are whose
    const make = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    try {
      let secret = localStorage.getItem("playground_visitor");
      if (!/^[0-9a-f]{32}$/.test(secret)) localStorage.setItem("playground_visitor", (secret = make()));
      return secret;
    } catch { return make(); }                           // private mode: for as long as the page lives
  })();

  class Board {
    constructor(root, props, trigger) {
      Object.assign(this, { root, props, trigger, family: root.dataset.family, runs: [], chosen: props.value || "", timer: null, playing: null });
      this.reset();
      this.part = (selector) => root.querySelector(selector);
      this.range = this.part(".reel input");
      this.range.addEventListener("input", () => { this.pause(); this.show(this.range.valueAsNumber); });
      this.part(".play").addEventListener("click", () => (this.playing ? this.pause() : this.play()));
      const curve = this.part(".curve");
      const point = (event) => {                         // pointing at the curve shows the frame of that update
        const box = curve.getBoundingClientRect(), steps = this.run()?.steps || 1;
        const step = ((event.clientX - box.left) / box.width) * steps;
        const nearest = this.frames.reduce((best, at, i) => (Math.abs(at - step) < Math.abs(this.frames[best] - step) ? i : best), 0);
        if (this.frames.length) { this.pause(); this.show(nearest); }
      };
      curve.addEventListener("pointerdown", (event) => { curve.setPointerCapture(event.pointerId); point(event); });
      curve.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
      new IntersectionObserver(([entry]) => { 
        this.inSight = entry.isIntersecting;
        if (!this.inSight) return;
        if (!this.measured) { this.measured = true; trigger("measure"); }      // a second of work: not before someone looks
        this.ask();
      }, { rootMargin: "4000px" }).observe(root);            // unfolded, if further down
      new ResizeObserver(() => this.draw()).observe(curve);
      document.addEventListener("visibilitychange", () => { if (!document.hidden && this.inSight) this.ask(); });
    }
    reset() {
      Object.assign(this, { lines: [], frames: [], pictures: new Map(), to: 0, sitting: 0, at: -1, follow: true, command: "" });
    }
    word(key) { return this.part(`[data-word="${key}"]`).cloneNode(true); }
    run() { return this.runs.find((run) => run.name === this.chosen); }
    url(rest) { return `${playground.root()}/runs/${this.family}${rest}`; }
    fetch(rest) { return fetch(this.url(rest), { headers: { "X-Visitor": visitor }, signal: AbortSignal.timeout(15000) }); }

    choose(name, publish = true) {
      if (publish && this.props.value !== name) this.props.value = name;         // into the URL, with the tab's other controls
      if (name === this.chosen && this.lines.length) return;
      this.pause();
      this.reset();
      this.chosen = name;
      Object.assign(this.part(".film canvas"), { width: 300 });              // what another run has drawn is wiped
      this.part(".reel output").replaceChildren();
      this.ask();
    }
    async ask() {
      clearTimeout(this.timer);
      if (this.asking) { this.again = true; return; }
      this.asking = true;
      try {
        const query = this.chosen ? `?run=${encodeURIComponent(this.chosen)}&from=${this.to}&sitting=${this.sitting}` : "";
        const answer = await this.fetch(query);
        if (answer.ok) this.take(await answer.json());
        this.root.classList.toggle("lost", !answer.ok);
      } catch { this.root.classList.add("lost"); }
      this.asking = false;
      if (this.again) { this.again = false; return this.ask(); }
      if (!this.inSight || document.hidden) return;
      const busy = this.runs.some((run) => run.state === "running" || run.state === "queued");
      this.timer = setTimeout(() => this.ask(), busy || this.more ? QUICK_MS : SLOW_MS);
    }
    take({ runs, run }) {
      const used = this.picked?.();
      for (const now of runs) {                          // a model in use that was replaced: show what it is now
        const before = this.runs.find((each) => each.name === now.name);
        if (before && now.usable && now.usable !== before.usable && now.name === used) playground.live.refresh(this.family);
      }
      this.runs = runs;
      if (!this.chosen && runs.length) this.choose(runs[0].name, false);
      if (run && run.name === this.chosen) {
        if (run.from === 0) this.lines = [];
        if (run.sitting !== this.sitting || run.from === 0) for (const step of this.pictures.keys()) if (!run.frames.includes(step)) this.pictures.delete(step);
        this.more = run.lines.length > 0 && run.to - run.from > 200000;
        this.lines.push(...run.lines);
        Object.assign(this, { to: run.to, sitting: run.sitting, command: run.command });
        const newest = this.frames.at(-1);
        this.frames = run.frames;
        this.range.max = Math.max(0, this.frames.length - 1);
        if (this.frames.length && (this.follow || this.at < 0) && newest !== this.frames.at(-1)) this.show(this.frames.length - 1);
      }
      this.list();
      this.head();
      this.draw();
    }
    list() {
      const list = this.part(".runs"), known = new Map([...list.children].map((item) => [item.firstChild.dataset.run, item]));
      const items = this.runs.map((run) => known.get(run.name) ?? this.row(run));
      if (items.length !== list.children.length || items.some((item, i) => item !== list.children[i])) list.replaceChildren(...items);
      this.runs.forEach((run, i) => {                    // in place: a row that is being clicked must stay the same
        const button = items[i].firstChild, [, state, note, bar] = button.children;
        button.className = `run-row ${run.state}`;
        button.setAttribute("aria-pressed", String(run.name === this.chosen));
        bar.style.setProperty("--share", run.steps ? this.step(run) / run.steps : 0);
        this.put(state, run.state, () => [this.word(run.state)]);
        const said = this.note(run);
        this.put(note, said.map((node) => node.textContent).join(), () => said);
      });
      this.part(".none").hidden = this.runs.length > 0;
    }
    row(run) {
      const item = document.createElement("li"), button = document.createElement("button"), name = document.createElement("b");
      const [state, note, bar] = ["span", "span", "i"].map((kind) => document.createElement(kind));
      button.type = "button";
      button.dataset.run = run.name;
      name.textContent = run.name;
      state.className = "state";
      note.className = "note";
      button.append(name, state, note, bar);
      button.addEventListener("click", () => this.choose(run.name));
      item.append(button);
      return item;
    }
    /* Fill a node anew where what it says has changed. */
    put(node, key, content) {
      if (node.dataset.said === key) return;
      node.dataset.said = key;
      node.replaceChildren(...content());
    }
    /* Updates done: what was last reported of the chosen one, which is newer than what was last saved. */
    step(run) {
      const last = run.name === this.chosen && run.state === "running" ? this.lines.at(-1)?.step : 0;
      return Math.max(run.step, last || 0);
    }
    note(run) {
      const count = (n) => Math.round(n).toLocaleString("en");
      const text = (words) => document.createTextNode(words);
      if (run.state === "queued") return run.starts > 0.5 ? [this.word("starts"), text(` ${time(run.starts)}`)] : [this.word("soon")];
      if (run.state === "running") {
        const pace = this.lines.at(-1);
        const left = run.name === this.chosen && pace && pace.seconds > 3 ? (pace.seconds / pace.step) * (run.steps - pace.step) : run.remaining;
        return [text(`${count(this.step(run))} / ${count(run.steps)} · ${time(left)} `), this.word("left")];
      }
      return [text(`${count(run.step)} / ${count(run.steps)} · ${time(run.seconds)}`)];
    }
    head() {
      const run = this.run();
      this.part(".run").hidden = !run;
      this.part(".film").hidden = !this.frames.length;
      if (!run) return;
      const command = this.part(".command");
      if (command.textContent !== this.command) command.textContent = this.command;
      const error = this.part(".run-error"), said = run.error?.[document.documentElement.dataset.lang] || run.error?.en || "";
      this.put(error, run.state + said, () => [run.state === "interrupted" ? this.word("died") : document.createTextNode(said)]);
      const active = run.state === "running" || run.state === "queued", begun = run.state !== "queued";
      const wanted = [
        active && "stop", !active && run.state !== "finished" && "resume",
        run.usable && "use", run.best && "best", run.usable && "download", begun && "same", begun && "new", "delete",
      ].filter(Boolean);
      this.put(this.part(".actions"), [run.name, ...wanted].join(), () => wanted.map((what) => {     // "really?" is asked of one run
        const button = document.createElement("button");
        button.type = "button";
        button.className = `quiet ${what}`;
        button.dataset.do = what;
        button.append(this.word(what));
        button.addEventListener("click", () => this.act(what, button));
        return button;
      }));
    }
    act(what, button) {
      const run = this.run();
      if (!run) return;
      if (what === "delete" && !button.dataset.sure) {   // once more, within a moment
        button.dataset.sure = "1";
        button.replaceChildren(this.word("sure"));
        return void setTimeout(() => { delete button.dataset.sure; button.replaceChildren(this.word("delete")); }, 3000);
      }
      if (what === "download") return void this.download(run);
      if (what === "use" || what === "best")
        this.trigger("use", { name: what === "best" ? `${run.name}-best` : run.name, visitor });
      else this.trigger("act", { do: what, run: run.name, visitor });
      setTimeout(() => this.ask(), 150);
      setTimeout(() => this.ask(), 900);
    }
    async download(run) {
      const answer = await this.fetch(`/${encodeURIComponent(run.name)}/download`);
      if (!answer.ok) return;
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `${run.name}.zip`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    }

    // ---- the film ----
    async show(i) {
      if (!this.frames.length) return;
      this.at = Math.max(0, Math.min(i, this.frames.length - 1));
      this.follow = this.at === this.frames.length - 1;
      this.range.value = this.at;
      const step = this.frames[this.at];
      this.part(".reel output").replaceChildren(this.word("frame"), document.createTextNode(` ${step.toLocaleString("en")}`));
      this.draw();
      const picture = await this.picture(step);
      if (picture && this.frames[this.at] === step) this.paint(picture);
      if (this.frames[this.at + 1] !== undefined) this.picture(this.frames[this.at + 1]);      // the next one is there when it is asked for
    }
    paint(picture) {
      const canvas = this.part(".film canvas");
      if (canvas.width !== picture.width || canvas.height !== picture.height) Object.assign(canvas, { width: picture.width, height: picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0);
    }
    picture(step) {
      if (!this.pictures.has(step)) {
        const asked = this.fetch(`/${encodeURIComponent(this.chosen)}/film/${step}`)
          .then(async (answer) => (answer.ok ? createImageBitmap(await answer.blob()) : null)).catch(() => null);
        asked.then((picture) => { if (!picture) this.pictures.delete(step); });
        this.pictures.set(step, asked);
      }
      return this.pictures.get(step);
    }
    async play() {
      this.playing = {};
      const mine = this.playing;
      this.part(".play").textContent = "❚❚";
      if (this.at >= this.frames.length - 1) this.at = -1;
      while (this.playing === mine && this.at < this.frames.length - 1) {
        await this.show(this.at + 1);
        await new Promise((done) => setTimeout(done, FILM_MS));
      }
      if (this.playing === mine) this.pause();
    }
    pause() {
      this.playing = null;
      this.part(".play").textContent = "▶";
    }

    // ---- the curves ----
    draw() {
      const canvas = this.part(".curve"), run = this.run();
      if (!run || !canvas.clientWidth) return;
      const scale = devicePixelRatio || 1, width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, width, height);
      const every = Math.ceil(this.lines.length / POINTS_MAX), lines = this.lines.filter((_, i) => i % every === 0 || i === this.lines.length - 1);
      const keys = Object.keys(this.lines.at(-1) ?? {}).filter((key) => key !== "step" && key !== "seconds");
      const settled = lines.filter((line) => line.step > (run.steps || 1) * 0.02);      // the fall at the start would flatten the rest
      const values = (settled.length > 3 ? settled : lines).flatMap((line) => keys.map((key) => line[key])).filter(Number.isFinite);
      const low = Math.min(0, ...values), high = Math.max(1e-9, ...values) * 1.05;
      const left = 46 * scale, bottom = 20 * scale, top = 6 * scale;
      const x = (step) => left + (step / (run.steps || 1)) * (width - left - 6 * scale);
      const y = (value) => height - bottom - ((Math.min(value, high) - low) / (high - low)) * (height - bottom - top);
      context.font = `${11 * scale}px system-ui, sans-serif`;
      context.fillStyle = context.strokeStyle = css("--rule");
      context.lineWidth = scale;
      for (let i = 0; i <= 3 && values.length; i++) {
        const value = low + ((high - low) * i) / 3;
        context.strokeStyle = css("--rule");
        context.beginPath(); context.moveTo(left, y(value)); context.lineTo(width, y(value)); context.stroke();
        context.fillStyle = css("--quiet");
        context.textAlign = "right"; context.textBaseline = "middle";
        context.fillText(short(value), left - 6 * scale, y(value));
      }
      context.textBaseline = "alphabetic";
      context.textAlign = "left"; context.fillText("0", left, height - 5 * scale);
      context.textAlign = "right"; context.fillText((run.steps || 0).toLocaleString("en"), width - 2 * scale, height - 5 * scale);
      const colours = ["--model", "--data", "--code", "--noise"].map(css);
      keys.forEach((key, k) => {
        context.strokeStyle = colours[k % colours.length];
        context.lineWidth = (k === 0 ? 2 : 1.25) * scale;
        context.beginPath();
        for (const line of lines) if (Number.isFinite(line[key])) context.lineTo(x(line.step), y(line[key]));
        context.stroke();
      });
      const step = this.at >= 0 ? this.frames[this.at] : null;
      if (step !== null && step !== undefined) {         // the marker: where on the curves the film's frame is
        context.strokeStyle = css("--ink");
        context.lineWidth = scale;
        context.setLineDash([4 * scale, 3 * scale]);
        context.beginPath(); context.moveTo(x(step), top); context.lineTo(x(step), height - bottom); context.stroke();
        context.setLineDash([]);
      }
      const here = step === null || step === undefined || this.follow ? this.lines.at(-1)
        : this.lines.reduce((best, line) => (Math.abs(line.step - step) < Math.abs(best.step - step) ? line : best), this.lines[0]);
      this.part(".legend").replaceChildren(...keys.map((key, k) => {
        const item = document.createElement("span");
        item.style.setProperty("--line", colours[k % colours.length]);
        item.textContent = `${key} ${playground.live.format(here?.[key] ?? null)}`;
        return item;
      }));
    }
  }

  const short = (value) => {
    const size = Math.abs(value);
    return size >= 10000 ? `${(value / 1000).toFixed(0)}k` : size >= 100 || value === 0 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
  };

  function time(seconds) {
    const s = Math.max(0, Math.round(seconds));
    return s < 100 ? `${s} s` : s < 5940 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
  }

  const boards = new Map();
  playground.training = {
    visitor,
    board: (family) => boards.get(family),
    mount(element, props, trigger, watch) {
      const board = new Board(element.querySelector(".board"), props, trigger);
      boards.set(board.family, board);
      board.picked = () => playground.live.parameter(board.family, "checkpoint");
      watch("value", () => {
        if ((props.value || "") !== board.chosen) board.choose(props.value || "", false);
        board.ask();
      });
      board.ask();
    },
    repaint() { for (const board of boards.values()) board.draw(); },
  };
})();
