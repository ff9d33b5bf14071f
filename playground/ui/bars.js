/* Small bar charts on canvases: a view's list of numbers (data-bars="view:key"), or a component's value (mount). */
(() => {
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
  const TICK = 8, BAND = 16;                             // CSS pixels below an axis: a row of ticks, a band of chips
  const charts = new WeakMap();                          // canvas -> draws it again
  // The browser tells a chart its size after the layout; to ask for it while drawing would cost a layout of its own.
  const sizes = new ResizeObserver((changes) => {
    for (const { target, contentRect } of changes) {
      const scale = devicePixelRatio || 1;
      Object.assign(target, { width: Math.round(contentRect.width * scale), height: Math.round(contentRect.height * scale) });
      charts.get(target)();
    }
  });

  /* values around a middle line at +-range; spread: half-widths of an error bar for each, or nothing. */
  function signed(canvas, values, spread) {
    if (!charts.has(canvas)) sizes.observe(canvas);
    charts.set(canvas, () => signed(canvas, values, spread));
    const scale = devicePixelRatio || 1, range = Number(canvas.dataset.range || 3), { width, height } = canvas;
    const context = canvas.getContext("2d"), step = width / values.length, middle = height / 2;
    const y = (value) => middle - (Math.max(-range, Math.min(range, value)) / range) * (middle - scale);
    const bar = css(canvas.dataset.colour || "--code"), error = css("--noise");
    context.clearRect(0, 0, width, height);
    context.fillStyle = css("--rule");
    context.fillRect(0, middle - scale / 2, width, scale);
    values.forEach((value, i) => {
      const x = i * step + step * 0.2;
      context.fillStyle = bar;
      context.fillRect(x, Math.min(middle, y(value)), step * 0.6, Math.max(scale, Math.abs(y(value) - middle)));
      if (!spread) return;
      context.fillStyle = error;
      context.fillRect(x + step * 0.22, y(value + spread[i]), step * 0.16, Math.max(scale, y(value - spread[i]) - y(value + spread[i])));
    });
  }

  /* A curve over equal steps, its first and last value written beside their points. */
  function curve(canvas, values) {
    const scale = devicePixelRatio || 1, width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d"), low = Math.min(...values), high = Math.max(...values, low + 1e-3);
    const side = 62 * scale, foot = 18 * scale, head = 10 * scale;
    const x = (i) => side + (i / (values.length - 1)) * (width - 2 * side);
    const y = (value) => height - foot - ((value - low) / (high - low)) * (height - foot - head);
    context.clearRect(0, 0, width, height);
    context.strokeStyle = css("--model");
    context.lineWidth = 2 * scale;
    context.beginPath();
    values.forEach((value, i) => context.lineTo(x(i), y(value)));
    context.stroke();
    context.fillStyle = css("--quiet");
    context.font = `${11 * scale}px system-ui, sans-serif`;
    for (const [i, align, shift, text] of [[0, "right", -6, canvas.dataset.first], [values.length - 1, "left", 6, canvas.dataset.last]]) {
      context.textAlign = align;
      context.textBaseline = "middle";
      context.fillText(playground.live.format(values[i]), x(i) + shift * scale, y(values[i]));
      context.textAlign = "center";
      context.textBaseline = "alphabetic";
      context.fillText(text, x(i), height - 4 * scale);
    }
  }

  /* Several curves over one axis (parts.lines): places x, a marked place, a legend in HTML beside it. */
  function lines(canvas, numbers) {
    if (!charts.has(canvas)) sizes.observe(canvas);
    charts.set(canvas, () => lines(canvas, numbers));
    const { dataset, width, height } = canvas, scale = devicePixelRatio || 1, context = canvas.getContext("2d");
    const keys = dataset.lines.split(":")[1].split(","), colours = dataset.colours.split(","), dashed = (dataset.dashed || "").split(",");
    const curves = keys.map((key) => (numbers[key] || []).map((value) => (value === null ? NaN : value)));
    const places = numbers[dataset.x] || curves[0].map((_, i) => i), up = dataset.log ? Math.log10 : (value) => value;
    const all = curves.flat().filter((value) => Number.isFinite(up(value)));
    const ticks = (dataset.ticks || "").split(",").filter(Boolean), band = dataset.chips ? BAND : 0;
    const side = 46 * scale, foot = (18 + TICK * ticks.length + band) * scale, head = 8 * scale;
    context.clearRect(0, 0, width, height);
    context.strokeStyle = css("--rule");
    context.lineWidth = scale;
    context.strokeRect(side, head, width - side - 8 * scale, height - foot - head);      // a frame even before there is a curve
    if (!all.length || places.length < 2) return;
    const low = up(Number(dataset.low ?? Math.min(...all))), high = Math.max(up(Number(dataset.high ?? Math.max(...all))), low + 1e-9);
    const [first, last] = numbers[dataset.ends] || [Math.min(...places), Math.max(...places)];
    const x = (place) => side + ((place - first) / (last - first)) * (width - side - 8 * scale);
    const line = (value) => height - foot - ((up(value) - low) / (high - low)) * (height - foot - head);
    const y = (value) => Math.max(head, Math.min(height - foot, line(value)));
    const marked = numbers[dataset.at];
    if (Number.isFinite(marked) && !dataset.slope) {
      context.strokeStyle = css("--quiet");
      context.beginPath();
      context.moveTo(x(marked), head);
      context.lineTo(x(marked), height - foot);
      context.stroke();
    }
    curves.forEach((values, i) => {
      context.strokeStyle = css(colours[i]);
      context.lineWidth = 2 * scale;
      context.setLineDash(dashed.includes(keys[i]) ? [5 * scale, 4 * scale] : []);
      context.beginPath();
      values.forEach((value, j) => (Number.isFinite(up(value)) ? context.lineTo(x(places[j]), y(value)) : undefined));
      context.stroke();
    });
    context.setLineDash([]);
    const slope = numbers[dataset.slope], here = places.indexOf(marked);
    if (Number.isFinite(slope) && here >= 0) {
      const value = (place) => curves[0][here] + slope * (place - marked), frame = new Path2D();
      frame.rect(side, head, width - side - 8 * scale, height - foot - head);
      context.save();
      context.clip(frame);
      context.strokeStyle = css("--quiet");
      context.setLineDash([5 * scale, 4 * scale]);
      context.beginPath();
      context.moveTo(x(first), line(value(first)));
      context.lineTo(x(last), line(value(last)));
      context.stroke();
      context.restore();
    }
    if (dataset.dots || Number.isFinite(slope))
      curves.forEach((values, i) => values.forEach((value, j) => {
        context.fillStyle = css(colours[i]);
        context.beginPath();
        context.arc(x(places[j]), y(value), (j === here ? 2 : 1) * (dataset.dots ? 2.5 : 3.5) * scale, 0, 2 * Math.PI);
        context.fill();
      }));
    const below = height - foot + 2 * scale;
    ticks.forEach((key, i) => {
      context.strokeStyle = css(dataset.tints.split(",")[i]);
      context.lineWidth = 1.25 * scale;
      context.beginPath();
      for (const place of numbers[key] || []) {
        context.moveTo(x(place), below + i * TICK * scale);
        context.lineTo(x(place), below + ((i + 1) * TICK - 2) * scale);
      }
      context.stroke();
    });
    (numbers[dataset.chips] || []).forEach((colour, i) => {      // each up to half way to its neighbours
      const from = i ? (places[i - 1] + places[i]) / 2 : first, to = i + 1 < places.length ? (places[i] + places[i + 1]) / 2 : last;
      context.fillStyle = `#${colour}`;
      context.fillRect(x(from), below + ticks.length * TICK * scale, x(to) - x(from) + 0.5, (BAND - 3) * scale);
    });
    context.fillStyle = css("--quiet");
    context.font = `${11 * scale}px system-ui, sans-serif`;
    const short = (value) => (dataset.log ? String(Number((10 ** value).toPrecision(1))) : Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2)))).replace("-", "−");
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(short(high), side - 5 * scale, head + 5 * scale);
    context.fillText(short(low), side - 5 * scale, height - foot - 4 * scale);
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillText(dataset.first || short(first), side, height - 4 * scale);
    context.textAlign = "right";
    context.fillText(dataset.last || short(last), width - 8 * scale, height - 4 * scale);
  }

  /* Bars for values >= 0, each in a colour "rrggbb" of its own. */
  function tinted(canvas, values, colours) {
    if (!charts.has(canvas)) sizes.observe(canvas);
    charts.set(canvas, () => tinted(canvas, values, colours));
    const { width, height } = canvas, context = canvas.getContext("2d"), step = width / values.length, top = Math.max(...values, 1e-9);
    context.clearRect(0, 0, width, height);
    context.fillStyle = css("--rule");
    context.fillRect(0, height - (devicePixelRatio || 1), width, devicePixelRatio || 1);
    values.forEach((value, i) => {
      context.fillStyle = `#${colours[i]}`;
      context.fillRect(i * step, height * (1 - value / top), step + 0.5, (height * value) / top);
    });
  }

  playground.bars = {
    update(name, numbers) {
      for (const canvas of playground.all(`canvas[data-tinted^="${name}:"]`)) {
        const [values, colours] = canvas.dataset.tinted.split(":")[1].split("±");
        if (Array.isArray(numbers[values])) tinted(canvas, numbers[values], numbers[colours]);
      }
      for (const canvas of playground.all(`canvas[data-lines^="${name}:"]`)) lines(canvas, numbers);
      for (const canvas of playground.all(`canvas[data-curve^="${name}:"]`)) {
        const values = numbers[canvas.dataset.curve.split(":")[1]];
        if (Array.isArray(values) && canvas.clientWidth) curve(canvas, values);
      }
      for (const canvas of playground.all(`canvas[data-bars^="${name}:"]`)) {
        const [key, spread] = canvas.dataset.bars.split(":")[1].split("±");
        if (Array.isArray(numbers[key])) signed(canvas, numbers[key], spread && numbers[spread]);
      }
    },
    /* A component whose value is a list of numbers >= 0: labelled bars, greyed below its data-dead. */
    mount(element, props, watch) {
      const list = element.querySelector("[data-dead]");
      const draw = () => {
        const values = Array.isArray(props.value) ? props.value : [];
        const top = Math.max(...values, 1e-9);
        list.dataset.top = `${top.toFixed(2)} nats`;
        list.replaceChildren(...values.map((value, i) => {
          const bar = document.createElement("li");
          bar.style.setProperty("--share", value / top);
          bar.classList.toggle("dead", value < Number(list.dataset.dead));
          bar.title = `z${i + 1}: ${value.toFixed(3)} nats`;
          const name = document.createElement("span");
          name.textContent = i + 1;
          bar.append(name);
          return bar;
        }));
      };
      draw();
      watch("value", draw);
    },
  };
})();
