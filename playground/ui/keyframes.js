/* A list of places that sliders stood at (keyframes.py): its value is "<value>,<value>:<value>,<value>", a place after the other. */
(() => {
  const knob = (id) => document.querySelector(`#${id} input[type=range]`);

  playground.keyframes = {
    mount(element, props, watch) {
      const root = element.querySelector(".keyframes"), list = root.querySelector("ol"), card = root.querySelector("template");
      const { view, home } = root.dataset, ids = root.dataset.sliders.split(","), most = Number(root.dataset.most);
      const places = () => String(props.value ?? "").split(":").filter(Boolean);
      const draw = () => {
        const { length } = places();
        while (list.children.length > length) list.lastChild.remove();
        while (list.children.length < length) {
          const number = list.children.length, copy = card.content.cloneNode(true);
          copy.querySelector("canvas").dataset.mirror = `${view}:${number}`;
          copy.querySelector("b").textContent = number + 1;
          list.append(copy);
        }
        [...list.children].forEach((item, i) => {
          item.querySelector("[data-do=earlier]").disabled = i === 0;
          item.querySelector("[data-do=later]").disabled = i === length - 1;
        });
        root.querySelector("[data-do=add]").disabled = length >= most;
        playground.live.view(view).draw();
      };
      const actions = {
        add: (now) => now.length < most && [...now, ids.map((id) => String(Number(knob(id).value))).join(",")],
        home: () => home.split(":"),
        out: (now, i) => now.filter((_, other) => other !== i),
        earlier: (now, i) => now.with(i, now[i - 1]).with(i - 1, now[i]),
        later: (now, i) => now.with(i, now[i + 1]).with(i + 1, now[i]),
        go: (now, i) => {
          now[i].split(",").forEach((value, k) => {
            const slider = knob(ids[k]);
            if (!slider || Number(slider.value) === Number(value)) return;
            slider.value = value;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
          });
        },
      };
      root.addEventListener("click", (event) => {
        const button = event.target.closest("[data-do]");
        if (!button) return;
        const { do: what } = button.dataset, i = [...list.children].indexOf(button.closest("li"));
        const then = actions[what](places(), i);
        if (!then) return;
        props.value = then.join(":");
        draw();
        const shift = { earlier: -1, later: 1 }[what];
        if (shift) list.children[i + shift]?.querySelector(`[data-do=${what}]`).focus();       // the place went on, and the hand with it
      });
      watch("value", draw);
      draw();
    },
  };
})();
