/* A cursor on a picture (cursor.py): pointer, finger and arrow keys move two sliders, and a cross shows where they stand; or one,
   and a line shows it.

   <div class="cursor" data-cursor="<slider>,<slider>" data-view="<view>" data-at="<key>" data-places="<key>"> around a canvas.
   places: the view's list of the values at the centres of equal columns, left to right and bottom to top; at: x and y now. */
(() => {
  const STEP = 0.02, FAR = 5;                            // of a side, for an arrow key; so many of them with Shift
  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const clamp = (value) => Math.max(0, Math.min(1, value));

  /* The value at a share of the side: linear between the centres of the columns, and beyond the outermost. */
  function value(places, share) {
    const at = share * places.length - 0.5, i = Math.max(0, Math.min(places.length - 2, Math.floor(at)));
    return places[i] + (at - i) * (places[i + 1] - places[i]);
  }
  function share(places, wanted) {
    const above = places.findIndex((place) => place >= wanted), i = Math.max(0, (above < 0 ? places.length : above) - 1);
    const low = Math.min(i, places.length - 2);
    return clamp((low + 0.5 + (wanted - places[low]) / (places[low + 1] - places[low])) / places.length);
  }
  const knobOf = (id) => document.querySelector(`#${id} input[type=range]`);
  function set(id, wanted) {
    const knob = knobOf(id), text = String(wanted);
    if (!knob || knob.value === text) return;
    knob.value = text;
    knob.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const places = (root) => {
    const { numbers } = playground.live.view(root.dataset.view), found = numbers?.[root.dataset.places];
    return found && (Array.isArray(found[0]) ? found : [found, found]);      // one list for both axes, or one each
  };
  const sliders = (root) => root.dataset.cursor.split(",");
  function go(root, u, v) {
    const both = places(root);
    if (both) sliders(root).forEach((id, axis) => set(id, value(both[axis], clamp([u, v][axis]))));
  }
  /* Where the sliders stand, in shares of the side. The cross is where the last picture drawn was: a quick key would set out from an old place. */
  function wanted(root) {
    const both = places(root);
    return both && sliders(root).map((id, axis) => share(both[axis], Number(knobOf(id)?.value)));
  }
  function pointed(event, root) {
    const { left, bottom, width, height } = root.getBoundingClientRect();
    go(root, (event.clientX - left) / width, (bottom - event.clientY) / height);
  }
  document.addEventListener("pointerdown", (event) => {
    const root = event.target.closest?.(".cursor");
    if (!root || event.button) return;
    root.setPointerCapture(event.pointerId);
    root.focus({ preventScroll: true });
    event.preventDefault();
    pointed(event, root);
  });
  document.addEventListener("pointermove", (event) => {
    const root = event.target.closest?.(".cursor");
    if (root?.hasPointerCapture(event.pointerId)) pointed(event, root);
  });
  document.addEventListener("keydown", (event) => {
    const root = event.target.closest?.(".cursor"), way = KEYS[event.key];
    if (!root || !way) return;
    event.preventDefault();
    const step = STEP * (event.shiftKey ? FAR : 1), [x, y = 0] = wanted(root) || [0.5, 0.5];
    go(root, x + way[0] * step, y + way[1] * step);
  });

  playground.cursor = {
    update(name, numbers) {
      for (const root of playground.all(`.cursor[data-view="${name}"]`)) {
        const at = numbers[root.dataset.at], both = places(root);
        if (!at || !both) continue;
        const [x, y] = at.slice(0, 2).map((value, axis) => share(both[axis], value));
        root.style.setProperty("--x", x);
        root.style.setProperty("--y", y);
        root.classList.add("placed");
      }
    },
  };
})();
