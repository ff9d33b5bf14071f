/* The drawing pad (parts.Pad): one-bit ink on a small grid, so that a drawing fits into a URL. */
(() => {
  const SIDE = 56, STROKE = 4.5;

  const encode = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

  playground.pad = {
    mount(element, props, trigger, watch) {
      const canvas = element.querySelector("canvas");
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.lineCap = context.lineJoin = "round";
      context.lineWidth = STROKE;
      let last = null;

      const bits = () => {
        const { data } = context.getImageData(0, 0, SIDE, SIDE);
        const packed = new Uint8Array((SIDE * SIDE) / 8);
        let ink = false;
        for (let i = 0; i < SIDE * SIDE; i++)
          if (data[4 * i + 3] > 127) { packed[i >> 3] |= 128 >> (i & 7); ink = true; }
        return ink ? encode(packed) : "";
      };
      const show = (text) => {
        context.clearRect(0, 0, SIDE, SIDE);
        if (!text) return;
        let packed;
        try { packed = decode(text); } catch { return; }
        const image = context.createImageData(SIDE, SIDE);
        for (let i = 0; i < SIDE * SIDE; i++)
          if (packed[i >> 3] & (128 >> (i & 7))) image.data.set([255, 255, 255, 255], 4 * i);
        context.putImageData(image, 0, 0);
      };
      const publish = () => { props.value = bits(); };
      const at = (event) => {
        const box = canvas.getBoundingClientRect();
        return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
      };

      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        event.preventDefault();
        last = at(event);
        draw(event);
      });
      canvas.addEventListener("pointermove", (event) => { if (last) draw(event); });
      const lift = () => { if (last) { last = null; trigger("release"); } };
      canvas.addEventListener("pointerup", lift);
      canvas.addEventListener("pointercancel", lift);

      function draw(event) {
        context.strokeStyle = "#fff";
        for (const point of (event.getCoalescedEvents?.() ?? []).concat(event)) {
          const next = at(point);
          context.beginPath();
          context.moveTo(...last);
          context.lineTo(next[0] + 0.01, next[1]);
          context.stroke();
          last = next;
        }
        publish();
      }

      element.querySelector("button").addEventListener("click", () => { show(""); publish(); trigger("release"); });
      show(props.value);
      watch("value", () => { if (!last) show(props.value); });
    },
  };
})();
