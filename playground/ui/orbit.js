/* A camera held by its picture (orbit.py): pointer, fingers, wheel and keys move four sliders, and the live view follows those.

   <div class="orbit" data-view="<view>" data-sliders="<azimuth>,<elevation>,<distance>,<field of view>" data-home="..."> */
(() => {
  const DEGREES = 180;                                   // that a drag across the picture turns
  const STEP = 3, FAR = 5;                               // degrees of an arrow key; so many times as much with Shift
  const NEARER = 0.94;                                   // of the distance, for a key
  const WHEEL = 0.0012, PINCH = 0.01;                    // of the distance's logarithm per pixel of a wheel; of a touchpad's pinch
  const LINE = 16;                                       // pixels of a wheel that counts in lines
  const [AZIMUTH, ELEVATION, DISTANCE, FIELD] = [0, 1, 2, 3];
  const KEYS = { ArrowLeft: [AZIMUTH, -STEP], ArrowRight: [AZIMUTH, STEP], ArrowUp: [ELEVATION, STEP], ArrowDown: [ELEVATION, -STEP] };
  const ZOOM = { "+": NEARER, "=": NEARER, "-": 1 / NEARER, _: 1 / NEARER };

  /* The camera of an element. Sliders hold rounded values: a movement of many small steps goes on from what it asked for. */
  class Camera {
    constructor(root) {
      Object.assign(this, { ids: root.dataset.sliders.split(","), home: root.dataset.home.split(",").map(Number), asked: [] });
    }
    knob(i) { return document.querySelector(`#${this.ids[i]} input[type=range]`); }
    value(i) {
      const knob = this.knob(i), shown = Number(knob.value);
      return Math.abs(this.asked[i] - shown) <= Number(knob.step) ? this.asked[i] : shown;
    }
    set(i, value) {
      const knob = this.knob(i), [low, high] = [Number(knob.min), Number(knob.max)];
      const round = high - low;
      this.asked[i] = i === AZIMUTH ? low + ((((value - low) % round) + round) % round) : Math.max(low, Math.min(high, value));
      const before = knob.value;
      knob.value = String(this.asked[i]);
      if (knob.value !== before) knob.dispatchEvent(new Event("input", { bubbles: true }));
    }
    turn(i, degrees) { this.set(i, this.value(i) + degrees); }
    scale(i, factor) { this.set(i, this.value(i) * factor); }
    goHome() { this.home.forEach((value, i) => this.set(i, value)); }
  }

  /* Pointers on the canvas: one turns, two pinch; whichever lifts, the other goes on from where it is. */
  function touches(canvas, camera) {
    const down = new Map();
    const apart = () => {
      const [a, b] = [...down.values()];
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button || down.size > 1) return;
      canvas.setPointerCapture(event.pointerId);
      canvas.parentElement.focus({ preventScroll: true });
      event.preventDefault();
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
      playground.state.hold(true);
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = down.get(event.pointerId);
      if (!last) return;
      const before = down.size > 1 ? apart() : 0, { width, height } = canvas.getBoundingClientRect();
      const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
      Object.assign(last, { x: event.clientX, y: event.clientY });
      if (down.size > 1) return camera.scale(DISTANCE, before / Math.max(1, apart()));
      camera.turn(AZIMUTH, (-dx * DEGREES) / width);     // the scene follows the hand, so the camera goes the other way
      camera.turn(ELEVATION, (dy * DEGREES) / height);
    });
    const lift = (event) => {
      down.delete(event.pointerId);
      if (!down.size) playground.state.hold(false);
    };
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(kind, lift);
  }

  function wheel(event, camera) {
    event.preventDefault();
    const way = (event.deltaY || event.deltaX) * (event.deltaMode ? LINE : 1);           // Shift turns some browsers' wheel sideways
    if (event.shiftKey) return camera.scale(FIELD, Math.exp(way * WHEEL));
    camera.scale(DISTANCE, Math.exp(way * (event.ctrlKey ? PINCH : WHEEL)));           // a touchpad's pinch comes as a wheel with Ctrl
  }

  function key(event, camera) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = KEYS[event.key];
    if (way) camera.turn(way[0], way[1] * (event.shiftKey ? FAR : 1));
    else if (ZOOM[event.key]) camera.scale(DISTANCE, ZOOM[event.key]);
    else if (event.key === "0") camera.goHome();
    else return;
    event.preventDefault();
  }

  playground.orbit = {
    mount(element) {
      const root = element.querySelector(".orbit"), stage = root.querySelector(".stage"), canvas = stage.querySelector("canvas");
      const camera = new Camera(root);
      touches(canvas, camera);
      canvas.addEventListener("wheel", (event) => wheel(event, camera), { passive: false });
      stage.addEventListener("keydown", (event) => key(event, camera));
      root.querySelector("[data-do=home]").addEventListener("click", () => camera.goHome());
      if (root.dataset.volume) playground.march.mount(root);
    },
    /* What stands below the picture. Its rate is that of a movement: the frames between which the camera was another. */
    update(name) {
      const view = playground.live.view(name), now = performance.now();
      for (const root of playground.all(`.orbit[data-view="${name}"]`)) {
        const moved = view.last !== root.query, gap = now - root.drawn;
        if (moved && gap) root.gap = root.gap ? 0.9 * root.gap + 0.1 * gap : gap;
        Object.assign(root, { query: view.last, drawn: moved ? now : NaN });
        const { width, height } = view.picture, numbers = { size: `${width} × ${height}` };
        if (root.gap) numbers.rate = Math.round(1000 / root.gap);
        playground.live.write("orbit", `${name}:`, numbers);
      }
    },
  };
})();
