"""The plane of seeds: an endless map of whole seeds under the finger, and the picture blended from the four around the place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from . import Piece, Shared, model

if TYPE_CHECKING:
    from ...core.checkpoints import Checkpoint

SIDE = 1000                  # seeds on a side; beyond the last comes the first, so that the plane has no edge
CELLS = 4                    # seeds in sight, on a side of the map
GAP = 4                      # black pixels between two pictures of the map
SLIDERS = ("gan-x", "gan-y")
MAP_MS = 100                 # between two drawings of the map: asked for as often as the picture, it would leave that none of the time
START = (0.5, 0.5)           # between four seeds when the tab opens

# The hand moves the map under a fixed mark: two sliders follow, which go round at their ends.
DRAG = """
const root = element.querySelector(".seeds"), { side, cells, sliders } = root.dataset, ids = sliders.split(",");
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const knob = (id) => document.querySelector(`#${id} input[type=range]`), round = (value) => ((value % side) + Number(side)) % side;
let asked = null, last = null;
const at = () => ids.map((id, i) => { const shown = Number(knob(id).value); return asked && Math.abs(asked[i] - shown) <= 0.011 ? asked[i] : shown; });
const go = (...place) => {
  asked = place.map(round);
  ids.forEach((id, i) => {
    const input = knob(id), before = input.value;
    input.value = asked[i].toFixed(2);
    if (input.value !== before) input.dispatchEvent(new Event("input", { bubbles: true }));
  });
};
root.addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest("button")) return;
  root.setPointerCapture(event.pointerId);
  root.focus({ preventScroll: true });
  event.preventDefault();
  last = [event.clientX, event.clientY];
  playground.state.hold(true);
});
root.addEventListener("pointermove", (event) => {
  if (!last) return;
  const { width } = root.getBoundingClientRect(), [x, y] = at();
  go(x - ((event.clientX - last[0]) / width) * cells, y + ((event.clientY - last[1]) / width) * cells);
  last = [event.clientX, event.clientY];
});
const lift = () => { last = null; playground.state.hold(false); };
for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) root.addEventListener(kind, lift);
root.addEventListener("keydown", (event) => {
  const way = KEYS[event.key];
  if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const step = event.shiftKey ? 1 : 0.05, [x, y] = at();
  go(x + step * way[0], y + step * way[1]);
});
"""


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="gan-seeds"):
        gr.HTML(parts.heading("gan.seeds", "gan.seeds.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                gr.HTML(f'<div class="seeds" tabindex="0" role="group" aria-labelledby="gan-seeds-map" data-side="{SIDE}" data-cells="{CELLS}" data-sliders="{",".join(SLIDERS)}">'
                        f'<canvas data-mirror="gan.map:0" width="128" height="128"></canvas><i aria-hidden="true"></i>'
                        f'<span class="visually-hidden" id="gan-seeds-map">{both("gan.seeds.map")}</span></div>', js_on_load=DRAG, apply_default_css=False)
                seeds_map = live.View("gan.map", alt=both("gan.seeds.map"), elsewhere=True, lazy=True, every=MAP_MS)
            with gr.Column(scale=4, min_width=240):
                blend = live.View("gan.blend", alt=both("gan.seeds.alt"), elem_classes="large", lazy=True)
                gr.HTML(parts.numbers(("gan.blend:place", "gan.seeds.place"), ("gan.blend:norm", "gan.seeds.norm"), ("gan.blend:d", "gan.seeds.d")))
            with gr.Column(scale=4, min_width=240):
                at = [parts.Slider(0, SIDE, start, step=0.01, label=t(f"gan.seeds.{axis}"), elem_id=name) for axis, name, start in zip("xy", SLIDERS, START)]
                with gr.Row(elem_classes="keep"):
                    snap = gr.Button(t("gan.seeds.snap"), size="sm", elem_id="gan-snap")
                    home = gr.Button(t("gan.seeds.home"), size="sm", elem_id="gan-home")
                gr.HTML(_table())
        parts.formula("gan.seeds.f", r"z=\frac{\sum_iw_iz_i}{\sqrt{\sum_iw_i^2}},\qquad w=\big((1-u)(1-v),\ u(1-v),\ (1-u)v,\ uv\big)",
                      f'u = {parts.now("gan.blend:u")}, v = {parts.now("gan.blend:v")}, &nbsp; ‖z‖ = {parts.now("gan.blend:norm")}, √D = {parts.now("gan.blend:typical")}')
    seeds_map.follow(checkpoint=shared.checkpoint, place=at)
    blend.follow(checkpoint=shared.checkpoint, place=at)
    live.register("gan.map", map_frame)
    live.register("gan.blend", blend_frame)
    snap.click(None, at, at, js="(x, y) => [Math.round(x), Math.round(y)]", **SCRIPT)
    home.click(None, None, at, js=f"() => {list(START)}", **SCRIPT)
    gr.api(guarded(gan_blend), api_name="gan_blend")
    return Piece([Field("place", at, lambda text: inputs.numbers_in("place", text, 2, 0, SIDE, pad=True, check=inputs.within), default=f"{START[0]},{START[1]}")],
                 [seeds_map, blend])


def _table() -> str:
    rows = "".join(f'<tr><th>{both(f"gan.seeds.corner{i}")}</th><td>{parts.now(f"gan.blend:seed{i}")}</td><td>{parts.now(f"gan.blend:w{i}")}</td></tr>' for i in (2, 3, 0, 1))
    return f'<table class="figures"><tr><th></th><th>{both("gan.seeds.seed")}</th><th>{both("gan.seeds.weight")}</th></tr>{rows}</table>'


# ---- what the live views draw ----------------------------------------------------------------------------------


def seed_at(x: int, y: int) -> int:
    """The seed at a whole place of the plane, which goes round at SIDE."""
    return x % SIDE + SIDE * (y % SIDE)


def _place(query: Mapping[str, str]) -> list[float]:
    return inputs.numbers_in("place", query.get("place"), 2, 0, SIDE, check=inputs.within)


def map_frame(query: Mapping[str, str]) -> live.Frame:
    """The pictures of the whole seeds around the place, which is in the middle: CELLS of them on a side, y upwards."""
    from .. import sample

    checkpoint, (x, y) = model(query), _place(query)
    first_x, first_y = int(np.floor(x - CELLS / 2)), int(np.floor(y - CELLS / 2))
    xs, ys = range(first_x, first_x + CELLS + 2), range(first_y, first_y + CELLS + 2)
    pictures = sample.draw(checkpoint, sample.latents(checkpoint, [seed_at(i, j) for j in ys for i in xs]))
    size, cell = checkpoint.model.config.size, checkpoint.model.config.size + GAP
    sheet = np.zeros((cell * len(ys), cell * len(xs), *((3,) if checkpoint.model.config.channels == 3 else ())), np.uint8)
    for k, picture in enumerate(pictures):                    # each stands in the middle of its cell, whose middle is the whole seed
        row, column = len(ys) - 1 - k // len(xs), k % len(xs)
        sheet[row * cell + GAP // 2:row * cell + GAP // 2 + size, column * cell + GAP // 2:column * cell + GAP // 2 + size] = images.to_uint8(picture)
    left = round((x - CELLS / 2 - first_x + 0.5) * cell)      # cell i reaches from i - 1/2 to i + 1/2
    top = round((ys[-1] + 0.5 - (y + CELLS / 2)) * cell)
    return live.Frame(sheet[top:top + CELLS * cell, left:left + CELLS * cell], {"place": [x, y]})


def blend_frame(query: Mapping[str, str]) -> live.Frame:
    """The picture of the place: blended from the codes of the four whole seeds around it, whose seeds and weights come with it."""
    return _blend(model(query), *_place(query))


def _blend(checkpoint: Checkpoint, x: float, y: float) -> live.Frame:
    from .. import sample

    i, j = int(np.floor(x)), int(np.floor(y))
    seeds = [seed_at(i + di, j + dj) for dj in (0, 1) for di in (0, 1)]
    z, weights = sample.blend(checkpoint, seeds, x - i, y - j)
    picture = sample.draw(checkpoint, z[None])
    return live.Frame(images.to_uint8(picture[0]), {
        "place": f"({x:.2f}, {y:.2f})", "u": x - i, "v": y - j, "norm": z.norm().item(), "typical": len(z) ** 0.5, "d": sample.opinion(checkpoint, picture).item(),
        **{f"seed{k}": each for k, each in enumerate(seeds)}, **{f"w{k}": each for k, each in enumerate(weights.tolist())},
    })


# The same for programs.


def gan_blend(checkpoint: str, place: list[float]) -> dict:
    """The picture between four seeds. place: x and y from 0 to 1000; at whole numbers it is that of the seed x + 1000 y.

    Returns {"picture": a PNG as a data URI, "seeds": of the four neighbours, "weights": of their codes, whose squares sum to 1, "norm": of the code,
    "score": D's answer}.
    """
    x, y = inputs.vector("place", place, 2, 0, SIDE, check=inputs.within)
    frame = executor.run(lambda: _blend(model({"checkpoint": checkpoint}), x, y))
    return {"picture": live.data_uri(frame.picture), "seeds": [frame.numbers[f"seed{k}"] for k in range(4)], "weights": [frame.numbers[f"w{k}"] for k in range(4)],
            "norm": frame.numbers["norm"], "score": frame.numbers["d"]}
