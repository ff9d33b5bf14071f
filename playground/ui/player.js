/* The player of a film (parts.Player): its value is the step in sight, or -1 for the last one there is. A live view shows that
   step and says with its numbers which one that is (k), how many there are (total), and what it does (t, t_prev), or the ms it lasts. */
(() => {
  const FRAME_MS = 100, FILM_STEPS = 100;                // ms a step is shown; steps a whole film is played in at most

  playground.player = {
    mount(element, props, trigger, watch) {
      const root = element.querySelector(".player"), range = root.querySelector("input"), said = root.querySelector("output");
      const play = root.querySelector("[data-do=play]");
      let total = 0, timer = null, lasts = FRAME_MS;
      const at = () => (props.value < 0 || props.value === null || props.value >= total ? total - 1 : props.value);
      const draw = () => {
        range.max = Math.max(0, total - 1);
        range.value = at();
        play.textContent = timer ? "❚❚" : "▶";
        play.setAttribute("aria-pressed", String(Boolean(timer)));
      };
      const go = (step) => {
        const value = Math.max(0, Math.min(total - 1, step));
        props.value = value >= total - 1 ? -1 : value;
        draw();
      };
      const pause = () => { clearInterval(timer); timer = null; draw(); };
      const actions = {
        first: () => go(0), back: () => go(at() - 1), next: () => go(at() + 1), last: () => go(total - 1),
        play: () => {
          if (timer) return pause();
          if (at() >= total - 1) go(0);
          timer = setInterval(() => {
            go(at() + Math.max(1, Math.round(total / FILM_STEPS)));
            if (at() >= total - 1 || !root.checkVisibility()) pause();
          }, lasts);
          draw();
        },
      };
      root.addEventListener("click", (event) => {
        const button = event.target.closest("[data-do]");
        if (!button) return;
        if (button.dataset.do !== "play" && timer) pause();
        actions[button.dataset.do]();
      });
      range.addEventListener("input", () => { if (timer) pause(); go(Number(range.value)); });
      document.addEventListener(`live:${root.dataset.player}`, ({ detail: { numbers } }) => {
        total = numbers.total;
        lasts = numbers.lasts ?? FRAME_MS;
        said.textContent = `${numbers.k + 1} / ${total}` + ("t" in numbers ? `: t = ${numbers.t} → ${numbers.t_prev}` : "");
        draw();
      });
      watch("value", draw);
      draw();
    },
  };

  /* canvas[data-tree="view"]: the view's branches, one line each, from noise (left) to the picture (right).
     branches: [[parent or -1, share of the way where it leaves, whether it is the one in sight], ...] */
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
  const ROW = 26;
  playground.tree = {
    update(name, { branches }) {
      if (!branches) return;
      playground.all(`[data-view="${name}"] figure`).forEach((figure, i) => { figure.hidden = i >= branches.length; });
      for (const canvas of playground.all(`canvas[data-tree="${name}"]`)) {
        if (!canvas.clientWidth) continue;
        const scale = devicePixelRatio || 1, width = Math.round(canvas.clientWidth * scale), row = ROW * scale;
        canvas.style.height = `${ROW * branches.length}px`;
        Object.assign(canvas, { width, height: row * branches.length });
        const context = canvas.getContext("2d"), edge = 6 * scale;
        const x = (share) => edge + share * (width - 2 * edge), y = (i) => row * (i + 0.5);
        context.lineWidth = 2 * scale;
        branches.forEach(([parent, share, now], i) => {
          context.strokeStyle = context.fillStyle = css(now ? "--model" : "--quiet");
          context.beginPath();
          if (parent >= 0) context.moveTo(x(share), y(parent));
          context.lineTo(x(share), y(i));
          context.lineTo(x(1), y(i));
          context.stroke();
          context.beginPath();
          context.arc(x(1), y(i), 4 * scale, 0, 7);
          if (parent >= 0) context.arc(x(share), y(parent), 3 * scale, 0, 7);
          context.fill();
        });
      }
    },
  };
})();
