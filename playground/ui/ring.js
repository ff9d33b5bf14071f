/* Cameras around a scene as frustums (ring.py): dragging or the arrow keys turn the space, a click chooses a camera.

   <canvas data-ring="<view>" data-slider-of="<elem_id>" data-colours="#...,#...">   is drawn anew with each frame of the view */
(() => {
  const HOME = { azimuth: 0.6, elevation: 0.45 };        // radians, of who looks on
  const TOP = 1.5;                                       // radians: not straight from above
  const TURN = 2.4;                                      // radians for a drag across the canvas
  const STEP = 0.12;                                     // radians of an arrow key
  const AWAY = 3.2;                                      // of the cameras' distance from the middle, where the onlooker stands
  const LONG = 0.16;                                     // of that distance, a frustum's length
  const NEAR_PX = 26, MOVED_PX = 4;                      // a click chooses a camera so near; a drag is what moved so far
  const KEYS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const sum = (a, b, share) => [0, 1, 2].map((i) => a[i] + share * b[i]);
  const rings = new WeakMap();                           // canvas -> {azimuth, elevation, view, numbers, points, centres}
  const sizes = new ResizeObserver((changes) => {
    for (const { target, contentRect } of changes) {
      const scale = devicePixelRatio || 1;
      Object.assign(target, { width: Math.round(contentRect.width * scale), height: Math.round(contentRect.height * scale) });
      draw(target);
    }
  });

  /* The frame's picture as places and colours: [x, y, z, "rgb(...)"]. */
  function scene(picture, bound) {
    if (!picture) return [];
    const { width, height } = picture, canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return Array.from({ length: width }, (_, i) => {
      const [x, y, z] = [0, 1, 2].map((axis) => ((2 * data[4 * i + axis]) / 255 - 1) * bound), at = 4 * (width + i);
      return [x, y, z, `rgb(${data[at]} ${data[at + 1]} ${data[at + 2]})`];
    });
  }

  function colour(value, { low, high }, colours) {
    if (value === null || value === undefined) return css("--quiet");
    const at = Math.max(0, Math.min(1, (value - low) / (high - low || 1))) * (colours.length - 1), i = Math.min(colours.length - 2, Math.floor(at));
    return `color-mix(in srgb, ${colours[i + 1]} ${100 * (at - i)}%, ${colours[i]})`;
  }

  function draw(canvas) {
    const ring = rings.get(canvas);
    if (!ring?.numbers) return;
    const { numbers, points } = ring, { width, height } = canvas, context = canvas.getContext("2d"), px = devicePixelRatio || 1;
    const far = Math.max(...numbers.cameras.map((camera) => Math.hypot(...camera.slice(0, 3))), 2 * numbers.bound);
    const [ca, sa, ce, se] = [Math.cos(ring.azimuth), Math.sin(ring.azimuth), Math.cos(ring.elevation), Math.sin(ring.elevation)];
    const back = [ce * ca, ce * sa, se], right = [-sa, ca, 0], up = cross(back, right), focal = 1.25 * Math.min(width, height);
    const place = (p) => {                               // x, y in pixels, and how far away
      const away = AWAY * far - dot(p, back), size = focal / away;
      return [width / 2 + dot(p, right) * size, height / 2 - dot(p, up) * size, away];
    };
    context.clearRect(0, 0, width, height);
    context.lineJoin = "round";
    const b = numbers.bound, faint = css("--rule");
    context.strokeStyle = faint;
    context.lineWidth = px;
    for (let i = 0; i < 8; i++)                          // the cube of the field
      for (const axis of [1, 2, 4])
        if (!(i & axis)) {
          const corner = (k) => place([k & 4 ? b : -b, k & 2 ? b : -b, k & 1 ? b : -b]);
          const [[x, y], [u, v]] = [corner(i), corner(i | axis)];
          context.beginPath();
          context.moveTo(x, y);
          context.lineTo(u, v);
          context.stroke();
        }
    const dots = points.map(([x, y, z, ink]) => [...place([x, y, z]), ink]).sort((a, b) => b[2] - a[2]);
    for (const [x, y, away, ink] of dots) {
      const size = Math.max(1.5 * px, (0.026 * numbers.bound * focal) / away * 1.6);
      context.fillStyle = ink;
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
    const colours = canvas.dataset.colours.split(",");
    ring.centres = numbers.cameras.map((camera) => place(camera.slice(0, 3)));
    const order = numbers.cameras.map((_, i) => i).sort((i, j) => (i === numbers.chosen) - (j === numbers.chosen) || ring.centres[j][2] - ring.centres[i][2]);
    for (const i of order) {
      const camera = numbers.cameras[i], [at, axis, top] = [camera.slice(0, 3), camera.slice(3, 6), camera.slice(6, 9)];
      const side = cross(top, axis), kind = Number(numbers.kinds[i]), chosen = i === numbers.chosen;
      const long = LONG * far * (chosen ? 1.5 : 1), half = long * numbers.half, middle = sum(at, axis, -long);
      const corners = [[-1, 1], [1, 1], [1, -1], [-1, -1]].map(([u, v]) => place(sum(sum(middle, side, u * half), top, v * half)));
      const roof = place(sum(middle, top, 1.45 * half)), [x, y] = ring.centres[i];
      const ink = colour(numbers.values[i], numbers, colours);
      context.strokeStyle = chosen ? css("--model") : ink;
      context.fillStyle = ink;
      context.lineWidth = (chosen ? 3 : 1.4) * px;
      context.setLineDash(kind === 1 ? [3 * px, 3 * px] : []);
      context.beginPath();
      corners.forEach(([u, v]) => context.lineTo(u, v));
      context.closePath();
      context.globalAlpha = kind === 1 ? 0.25 : chosen ? 0.85 : 0.55;
      context.fill();
      context.globalAlpha = 1;
      context.stroke();
      context.beginPath();
      corners.forEach(([u, v]) => { context.moveTo(x, y); context.lineTo(u, v); });
      context.moveTo(corners[0][0], corners[0][1]);
      context.lineTo(roof[0], roof[1]);
      context.lineTo(corners[1][0], corners[1][1]);
      context.stroke();
      context.setLineDash([]);
      if (kind !== 2) continue;
      context.fillStyle = css("--noise");                // apart from the others: a dot where it stands
      context.beginPath();
      context.arc(x, y, 3.5 * px, 0, 7);
      context.fill();
    }
  }

  function turn(canvas, sideways, upwards) {
    const ring = rings.get(canvas);
    if (!ring) return;
    ring.azimuth += sideways;
    ring.elevation = Math.max(-TOP, Math.min(TOP, ring.elevation + upwards));
    draw(canvas);
  }
  function choose(canvas, event) {
    const { left, top } = canvas.getBoundingClientRect(), px = devicePixelRatio || 1, { centres = [] } = rings.get(canvas) ?? {};
    const apart = centres.map(([x, y]) => Math.hypot(x / px - (event.clientX - left), y / px - (event.clientY - top)));
    const nearest = apart.indexOf(Math.min(...apart)), knob = document.querySelector(`#${canvas.dataset.sliderOf} input[type=range]`);
    if (!(apart[nearest] <= NEAR_PX) || !knob) return;
    knob.value = String(nearest + 1);
    knob.dispatchEvent(new Event("input", { bubbles: true }));
  }

  let held = null;                                       // {canvas, x, y, moved}
  const ringOf = (event) => event.target.closest?.("canvas.ring");
  document.addEventListener("pointerdown", (event) => {
    const canvas = ringOf(event);
    if (!canvas || event.button) return;
    canvas.setPointerCapture(event.pointerId);
    held = { canvas, x: event.clientX, y: event.clientY, moved: 0 };
  });
  document.addEventListener("pointermove", (event) => {
    if (!held || !held.canvas.hasPointerCapture(event.pointerId)) return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    held.moved += Math.hypot(dx, dy);
    Object.assign(held, { x: event.clientX, y: event.clientY });
    if (held.moved > MOVED_PX) turn(held.canvas, (-dx * TURN) / held.canvas.clientWidth, (dy * TURN) / held.canvas.clientWidth);
  });
  document.addEventListener("pointerup", (event) => {
    if (held && held.moved <= MOVED_PX) choose(held.canvas, event);
    held = null;
  });
  document.addEventListener("pointercancel", () => { held = null; });
  document.addEventListener("keydown", (event) => {
    const canvas = ringOf(event), way = KEYS[event.key];
    if (!canvas || !way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    turn(canvas, ...way);
  });

  playground.ring = {
    update(name, numbers) {
      if (!numbers.cameras) return;
      for (const canvas of playground.all(`canvas[data-ring="${name}"]`)) {
        if (!rings.has(canvas)) {
          rings.set(canvas, { ...HOME });
          sizes.observe(canvas);
        }
        const ring = rings.get(canvas), { picture } = playground.live.view(name);
        if (ring.picture !== picture) Object.assign(ring, { picture, points: scene(picture, numbers.bound) });
        ring.numbers = numbers;
        draw(canvas);
      }
    },
  };
})();
