"""A camera's path: kept places joined by a smooth curve, seen as a film, and drawn to the end as a GIF."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError, register
from ...ui import live, parts, plane
from ...ui.errors import guarded
from ...ui.i18n import both, say, t
from ...ui.keyframes import Keyframes
from ...ui.plane import Layer
from ...ui.state import Field
from . import CAMERA, Camera, Piece, Shared, camera_at, model, seen

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

KEYS = 10                    # places at most
START = "35,30,4,39.6:125,55,3.2,39.6:215,12,2.6,50:305,35,4,39.6"       # what the path begins with: once around, near and far
THUMB = 64                   # pixels a side of a place's picture
FRAMES = (8, 120, 60)        # of the film: least, most, at the opening
RATES = (10, 20, 25)         # frames a second: a GIF counts in hundredths of a second, so that these are exact
SIZES = (100, 200, 300)      # pixels a side
LOOPS = ("yes", "no")        # whether it goes back to the first place
EXTENT = 6.5                 # world units of the map, to every side
LAYERS = (
    Layer("paths", "way", "--model", "nerf.path.way", size=2.2),
    Layer("points", "keys", "--code", "nerf.path.keys", size=5.0),
    Layer("points", "now", "--model", "nerf.path.now", size=6.0),
    Layer("circles", "scene", "--quiet", "nerf.path.scene", size=1.2),
)

register({
    "nerf.keys": (
        "The path has {found} places; 1 to {expected} were expected, each an azimuth, an elevation, a distance and a field of view: keep the current view as the first.",
        "路径中有 {found} 个位置；应为 1 到 {expected} 个，每个含方位角、仰角、距离和视场角：请先保留当前视角。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-path"):
        gr.HTML(parts.heading("nerf.path", "nerf.path.try"))
        keys = Keyframes("nerf.keys", shared.camera, most=KEYS, home=START, keep="nerf.path.add", elem_id="nerf-keys")
        thumbs = live.View("nerf.keys", alt=both("nerf.path.thumbs"), tiles=KEYS, elsewhere=True, lazy=True)
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                view = live.View("nerf.path", alt=both("nerf.path.alt"), lazy=True, elem_classes="large smooth")
                player = parts.Player("nerf.path", alt=both("nerf.path.player"), elem_id="nerf-player")
            with gr.Column(scale=3, min_width=220):
                gr.HTML(plane.plane("nerf.path", LAYERS, alt="nerf.path.map", extent=EXTENT), js_on_load=None, apply_default_css=False)
            with gr.Column(scale=4, min_width=260):
                tension = parts.Slider(0, 1, 0, step=0.05, label=t("nerf.path.tension"), elem_id="nerf-tension")
                frames = parts.Slider(FRAMES[0], FRAMES[1], FRAMES[2], step=1, label=t("nerf.path.frames"), elem_id="nerf-frames")
                with gr.Row(elem_classes="decisions"):
                    loop = parts.Radio([(t("nerf.path.round"), LOOPS[0]), (t("nerf.path.open"), LOOPS[1])], value=LOOPS[0], label=t("nerf.path.loop"), elem_id="nerf-loop")
                    rate = parts.Radio([(str(each), each) for each in RATES], value=RATES[1], label=t("nerf.path.rate"), elem_id="nerf-rate")
                    size = parts.Radio([(str(side), side) for side in SIZES], value=SIZES[1], label=t("nerf.path.size"), elem_id="nerf-path-size")
                measured = gr.HTML(parts.numbers(("nerf.path:estimate", "nerf.path.estimate"), ("nerf.path:seconds", "nerf.path.seconds"), ("nerf.path:each", "nerf.path.each")))
                with gr.Row(elem_classes="keep"):
                    draw = gr.Button(t("nerf.path.draw"), size="sm", variant="primary", elem_id="nerf-path-draw")
                    stop = gr.Button(t("nerf.path.stop"), size="sm", elem_id="nerf-path-stop")
                gif = gr.Image(type="filepath", label=t("nerf.path.gif"), interactive=False, buttons=["download"], height=240, elem_id="nerf-gif", elem_classes="when-there")
        now = lambda key: parts.now(f"nerf.path:{key}")                          # noqa: E731
        parts.formula("nerf.path.f", r"\begin{aligned}p(s)&=h_{00}(s)\,p_k+h_{10}(s)\,m_k+h_{01}(s)\,p_{k+1}+h_{11}(s)\,m_{k+1},\\ m_k&=\tfrac{1-\tau}{2}\,(p_{k+1}-p_{k-1})\end{aligned}",
                      f'k = {now("key")}, s = {now("s")}, τ = {now("tension")}: θ = {now("azimuth")}°, φ = {now("elevation")}°, r = {now("distance")}')
    path = dict(checkpoint=shared.checkpoint, keys=keys, tension=tension, frames=frames, loop=loop)
    view.follow(**path, rate=rate, size=size, k=player)
    thumbs.follow(checkpoint=shared.checkpoint, keys=keys)
    live.register("nerf.path", path_frame)
    live.register("nerf.keys", keys_frame)
    drawing = draw.click(guarded(_draw), [shared.checkpoint, keys, tension, frames, loop, rate, size], gif,
                         show_progress="full", show_progress_on=[measured], trigger_mode="once", concurrency_limit=1, api_visibility="private")
    stop.click(None, None, None, cancels=[drawing], queue=False, api_visibility="private")
    gr.api(guarded(nerf_path), api_name="nerf_path")

    def one_of(name: str, values: Sequence[int]):
        return lambda text: [int(inputs.choice(name, text, [str(value) for value in values]))]

    return Piece([
        Field("path", [keys], _restore, default=START),
        Field("tension", [tension], lambda text: [inputs.within("tension", inputs.parsed(text), 0, 1)], default="0"),
        Field("frames", [frames], lambda text: [inputs.integer("frames", inputs.parsed(text), *FRAMES[:2])], default=str(FRAMES[2])),
        Field("loop", [loop], lambda text: [inputs.choice("loop", text, LOOPS)], default=LOOPS[0]),
        Field("fps", [rate], one_of("fps", RATES), default=str(RATES[1])),
        Field("gif", [size], one_of("size", SIZES), default=str(SIZES[1])),
        Field("k", [player], lambda text: [inputs.integer("step", inputs.parsed(text), -1, FRAMES[1])], default="-1"),
    ], [view, thumbs])


# ---- what a query says -----------------------------------------------------------------------------------------


def places(text: Any) -> list[list[float]]:
    """The places of a path, each the camera's four numbers within their ranges. The text is hostile."""
    kept = text.split(":", KEYS + 1) if isinstance(text, str) and text else []
    if not 1 <= len(kept) <= KEYS:
        raise PlaygroundError("nerf.keys", found=len(kept) if isinstance(text, str) else 0, expected=KEYS)
    return [_place(inputs.numbers_in("camera", place, len(CAMERA), -1e3, 1e3)) for place in kept]


def _place(values: Sequence[float]) -> list[float]:
    azimuth, *rest = values
    return [azimuth % 360, *(min(max(value, low), high) for value, (low, high, _) in zip(rest, CAMERA[1:]))]


def _restore(text: str) -> list[str]:
    if text:                                                  # none is a path too, if an empty one
        places(text)
    return [text]


def way(query: Mapping[str, Any]) -> tuple[list[list[float]], Tensor, float, bool]:
    """The places, the cameras (frames, 4) of the film, its tension and whether it goes round."""
    import torch

    from .. import maths

    kept = places(query.get("keys"))
    tension = inputs.within("tension", inputs.parsed(query.get("tension")), 0, 1)
    frames = inputs.integer("frames", inputs.parsed(query.get("frames")), *FRAMES[:2])
    loop = inputs.choice("loop", query.get("loop"), LOOPS) == LOOPS[0]
    return kept, maths.camera_path(torch.tensor(kept), frames, tension, loop), tension, loop


def _side(value: Any) -> int:
    return int(inputs.choice("size", _text(value), [str(side) for side in SIZES]))


def _rate(value: Any) -> int:
    return int(inputs.choice("fps", _text(value), [str(rate) for rate in RATES]))


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else value


# ---- what the live views draw ----------------------------------------------------------------------------------


def path_frame(query: Mapping[str, str]) -> live.Frame:
    """Frame k of the film; a map of the way from above; and how long it takes to draw, by what this frame took."""
    checkpoint = model(query)
    kept, film, tension, loop = way(query)
    rate, side = _rate(query.get("rate")), _side(query.get("size"))
    k = inputs.integer("step", inputs.parsed(query.get("k")), -1, FRAMES[1])
    k = len(film) - 1 if k < 0 else min(k, len(film) - 1)
    where = camera_at(film[k].tolist())
    picture, each = timed(checkpoint, where, side)
    s = k * len(kept) / len(film) if loop else k * (len(kept) - 1) / (len(film) - 1)
    azimuth, elevation, distance, _ = where.numbers
    return live.Frame(picture, {
        "k": k, "total": len(film), "lasts": 1000 / rate, "estimate": f"≈ {each * len(film):.1f} s", "each": 1000 * each, "seconds": len(film) / rate, "tension": tension,
        "key": int(s) + 1, "s": s - int(s), "azimuth": azimuth, "elevation": elevation, "distance": distance,
        "way": [_flat([*film, *film[:1]] if loop else film)], "keys": _flat(kept), "now": _flat([where.numbers]), "scene": [checkpoint.model.bound],
    })


_taken: dict[tuple[str, int], float] = {}                     # (field, pixels a side) -> seconds of the last frame; touched on the inference executor alone


def timed(checkpoint: Checkpoint, where: Camera, side: int) -> tuple[Any, float]:
    """The camera's picture, uint8 (side, side, 3), and the seconds the last one of that size took to draw."""
    from .. import sample

    begun = time.perf_counter()
    rgb = sample.render(checkpoint, where.pose, where.field_of_view, side, side).rgb
    if len(_taken) > 256:
        _taken.clear()
    _taken[checkpoint.name, side] = time.perf_counter() - begun
    return images.to_rgb(rgb.permute(2, 0, 1)), _taken[checkpoint.name, side]


def _flat(cameras: Any) -> list[float]:
    """Where cameras stand as seen from above, as x, y, x, y, ..."""
    import math

    return [round(value, 2) for azimuth, elevation, distance, _ in (map(float, each) for each in cameras)
            for value in (distance * math.cos(math.radians(elevation)) * math.cos(math.radians(azimuth)),
                          distance * math.cos(math.radians(elevation)) * math.sin(math.radians(azimuth)))]


def keys_frame(query: Mapping[str, str]) -> live.Frame:
    """What is seen from each place, side by side; white where there is none."""
    import numpy as np

    checkpoint = model(query)
    tiles = [images.to_rgb(seen(checkpoint, camera_at(place), THUMB).rgb.permute(2, 0, 1)) for place in places(query.get("keys"))]
    return live.Frame(np.concatenate([*tiles, *[np.full((THUMB, THUMB, 3), 255, np.uint8)] * (KEYS - len(tiles))], axis=1))


# ---- the film to its end ---------------------------------------------------------------------------------------


def _draw(checkpoint: str, keys: Any, tension: Any, frames: Any, loop: Any, rate: Any, size: Any, progress: gr.Progress = gr.Progress()) -> Iterator[Any]:
    """The path's film as a GIF; others are answered between its frames, and between them it can be stopped."""
    query = {"keys": keys, "tension": tension, "frames": frames, "loop": loop}
    rate, side = _rate(rate), _side(size)
    found = executor.run(model, {"checkpoint": checkpoint})
    _, film, *_ = executor.run(way, query)
    pictures = []
    for k, numbers in enumerate(film.tolist()):
        picture, each = executor.run(lambda: timed(found, camera_at(numbers), side))
        pictures.append(palette(picture))
        progress((k + 1, len(film)), desc=say("nerf.path.progress").format(seconds=f"{each * (len(film) - k - 1):.0f}"))
        yield gr.skip()
    with tempfile.TemporaryDirectory() as folder:             # Gradio takes the file into its own before it goes on here
        target = Path(folder) / "path.gif"
        write(pictures, rate, target)
        yield str(target)


def palette(picture: Any) -> Image:
    """A frame in the 256 colours of its own that suit it best."""
    from PIL import Image

    return Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE)


def write(pictures: Sequence[Image], rate: int, target: Path) -> None:
    """A GIF that goes on for ever, `rate` frames a second."""
    first, *rest = pictures
    first.save(target, "GIF", save_all=True, append_images=rest, duration=1000 // rate, loop=0, optimize=False)


def nerf_path(keys: list[list[float]], frames: int, tension: float, loop: bool) -> dict:
    """The cameras of a smooth path. keys: 1 to 10 lists of azimuth and elevation in degrees, distance and field of view in degrees;
    frames: 8 to 120; tension: 0 (Catmull-Rom) to 1 (a halt at each place); loop: whether it goes back to the first.

    Returns {"cameras": one list of four such numbers for each frame, within the page's ranges}: each is a camera for nerf_render.
    """
    if not isinstance(keys, list) or not 1 <= len(keys) <= KEYS:
        raise PlaygroundError("nerf.keys", found=len(keys) if isinstance(keys, list) else 0, expected=KEYS)
    if not isinstance(loop, bool):
        inputs.choice("loop", loop, ("true", "false"))
    text = ":".join(",".join(map(str, inputs.vector("camera", key, len(CAMERA), -1e3, 1e3))) for key in keys)

    def answer() -> dict:
        _, film, *_ = way({"keys": text, "frames": frames, "tension": tension, "loop": LOOPS[loop not in (True, "true")]})
        return {"cameras": [list(camera_at(numbers).numbers) for numbers in film.tolist()]}

    return executor.run(answer)
