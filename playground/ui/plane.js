/* The plane on a canvas (plane.py): layers of points, marks, circles, paths and arrows from a live view's numbers; and a toy's buttons.

   <canvas data-plane="<view>" data-layers="[...]" data-extent="3">   is drawn anew with each frame of the view */
(() => {
  const HEAD = 0.4;                                      // of an arrow, as a share of its length; at most HEAD_PX
  const HEAD_PX = 4.5;
  const FULL = 520;                                      // CSS pixels from which on layers have their full size
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
  const planes = new WeakMap();                          // canvas -> draws it again
  const sizes = new ResizeObserver((changes) => {
    for (const { target, contentRect } of changes) {
      const scale = devicePixelRatio || 1;
      Object.assign(target, { width: Math.round(contentRect.width * scale), height: Math.round(contentRect.height * scale) });
      planes.get(target)();
    }
  });

  function draw(canvas, numbers) {
    if (!planes.has(canvas)) sizes.observe(canvas);
    planes.set(canvas, () => draw(canvas, numbers));
    const { width, height } = canvas, extent = Number(canvas.dataset.extent), scale = devicePixelRatio || 1;
    const context = canvas.getContext("2d"), unit = width / (2 * extent);
    const ink = scale * Math.min(1, Math.max(0.75, width / scale / FULL));
    const x = (value) => width / 2 + value * unit, y = (value) => height / 2 - value * unit;
    context.clearRect(0, 0, width, height);
    context.globalAlpha = 1;
    context.fillStyle = css("--rule");
    for (let i = Math.ceil(-extent) + 1; i < extent; i++) {                  // a line at each whole number, the axes stronger
      context.globalAlpha = i ? 0.45 : 1;
      context.fillRect(Math.round(x(i)), 0, scale, height);
      context.fillRect(0, Math.round(y(i)), width, scale);
    }
    for (const layer of JSON.parse(canvas.dataset.layers)) {
      const list = numbers[layer.key];
      if (!list) continue;
      context.fillStyle = context.strokeStyle = css(layer.colour);
      context.globalAlpha = layer.alpha;
      context.lineWidth = layer.size * ink;
      context.lineJoin = context.lineCap = "round";
      if (layer.kind === "points")
        for (let i = 0; i < list.length; i += 2) {
          context.beginPath();
          context.arc(x(list[i]), y(list[i + 1]), layer.size * ink, 0, 2 * Math.PI);
          context.fill();
        }
      if (layer.kind === "marks" && numbers[layer.at]) {
        context.font = `600 ${layer.size * ink}px system-ui, sans-serif`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        [...numbers[layer.at]].forEach((mark, i) => {
          context.fillStyle = css(`--class${mark}`) || css(layer.colour);
          context.fillText(mark, x(list[2 * i]), y(list[2 * i + 1]));
        });
      }
      if (layer.kind === "circles")
        for (const radius of list) {
          context.beginPath();
          context.arc(x(0), y(0), radius * unit, 0, 2 * Math.PI);
          context.stroke();
        }
      if (layer.kind === "paths")
        for (const path of list) {
          context.beginPath();
          for (let i = 0; i < path.length; i += 2) context.lineTo(x(path[i]), y(path[i + 1]));
          context.stroke();
        }
      if (layer.kind === "arrows" && numbers[layer.at]) {
        const at = numbers[layer.at];
        context.beginPath();
        for (let i = 0; i < list.length; i += 2) {
          const [ax, ay, dx, dy] = [x(at[i]), y(at[i + 1]), list[i] * unit, -list[i + 1] * unit], length = Math.hypot(dx, dy);
          if (!(length > scale)) continue;
          const tip = Math.min(HEAD, (HEAD_PX * ink) / length), [bx, by] = [ax + dx, ay + dy];
          context.moveTo(ax, ay);
          context.lineTo(bx, by);
          context.moveTo(bx - tip * (dx - 0.6 * dy), by - tip * (dy + 0.6 * dx));
          context.lineTo(bx, by);
          context.lineTo(bx - tip * (dx + 0.6 * dy), by - tip * (dy - 0.6 * dx));
        }
        context.stroke();
      }
    }
    context.globalAlpha = 1;
  }

  playground.plane = {
    update(name, numbers) {
      for (const canvas of playground.all(`canvas[data-plane="${name}"]`)) draw(canvas, numbers);
    },
    /* The buttons of a Trainer: its value is "<token>,<playing>,<step to reach>,<times begun again>". */
    trainer(element, props, watch) {
      const root = element.querySelector(".trainer"), [play, one, again] = root.querySelectorAll("button");
      const token = Math.random().toString(36).slice(2, 12);
      const now = { playing: 0, until: 0, again: 0 };
      let done = false, step = 0;
      const show = () => {
        root.classList.toggle("is-playing", Boolean(now.playing));
        play.setAttribute("aria-pressed", Boolean(now.playing));
        play.disabled = one.disabled = done;
      };
      const say = () => { props.value = `${token},${now.playing},${now.until},${now.again}`; show(); };
      play.addEventListener("click", () => { now.playing = 1 - now.playing; say(); });
      one.addEventListener("click", () => { Object.assign(now, { playing: 0, until: Math.max(now.until, step) + 1 }); say(); });
      again.addEventListener("click", () => { Object.assign(now, { until: 0, again: now.again + 1 }); step = 0; done = false; say(); });
      document.addEventListener(`live:${root.dataset.view}`, ({ detail: { numbers } }) => {
        step = numbers.step;
        done = Boolean(numbers.done);
        const reached = now.until && step >= now.until, over = done && now.playing;
        if (reached) now.until = 0;                      // so that another data set is not asked to go as far
        if (over) now.playing = 0;
        if (reached || over) say();
        show();
      });
      show();
    },
  };
})();
