"""The NeRF tab: turn around a scene that is nothing but a function of five numbers, and look inside the rays that draw it.

    +-- the structure, live: ray -> F(x, d) -> sigma, c -> volume rendering -> C(r) -----------+
    +-- model, camera -----------------------------------+-- the scene, dragged -------------+
    +-- one view after another: views/ ---------------------------------------------------------+
    +-- training (folded) ----------------------------------------------------------------------+
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from ..core import images, inputs
from ..core.device import executor
from ..ui import live, parts, training, volume
from ..ui.cursor import cursor
from ..ui.errors import guarded
from ..ui.i18n import both, t
from ..ui.orbit import Orbit
from ..ui.state import Field, State
from . import config, views
from .views import CAMERA, PIXEL, PIXEL_IDS, anatomy, cameras, directions, encoding, holds, how_many, keep, path, probe

SIZES = (100, 200, 400)      # pixels a side of the picture at rest
COARSE = 2                   # times fewer pixels a side while the camera moves
SKETCH = 32                  # pixels a side of a network's picture while the camera moves, and until the exact one is drawn over it
NAMES = ("azimuth", "elevation", "distance", "fov")      # of the camera's numbers, in the URL and in elements' ids


def build(tab: gr.Tab) -> None:
    """Lay out the tab inside the current gr.Tab, then wire it."""
    gr.HTML(_figure(), js_on_load=None, apply_default_css=False, elem_id="nerf-figure")
    with gr.Row(elem_classes="section", elem_id="nerf-orbit"):
        with gr.Column(scale=4, min_width=280):
            gr.HTML(parts.heading("nerf.orbit", "nerf.orbit.try"))
            checkpoint = parts.checkpoint_picker("nerf", first=config.FIRST, aside=config.ASIDE)
            camera = [parts.Slider(low, high, start, step=0.1, label=t(f"nerf.{name}"), elem_id=f"nerf-{name}")
                      for name, (low, high, start) in zip(NAMES, CAMERA)]
            size = parts.Radio([(f"{side} × {side}", side) for side in SIZES], value=SIZES[1], label=t("nerf.size"), elem_id="nerf-size")
        with gr.Column(scale=5, min_width=280, elem_classes="held"):
            Orbit("nerf.orbit", camera, alt=both("nerf.orbit.alt"), volume="nerf.field")
            orbit = live.View("nerf.orbit", alt=both("nerf.orbit.alt"), elsewhere=True, moving="quality=coarse")
            gr.HTML(parts.numbers(("nerf.orbit:rays", "nerf.rays_per_second"), ("nerf.orbit:ms", "nerf.ms")))
    pixel = [parts.Slider(0, 1, start, step=0.005, label=t(f"nerf.{axis}"), elem_id=name, render=False)
             for axis, name, start in zip("uv", PIXEL_IDS, PIXEL)]
    shared = views.Shared(checkpoint, camera, pixel)
    pieces = [view.build(shared) for view in VIEWS]
    panel = training.Panel("nerf", config, checkpoint)

    orbit.follow(checkpoint=checkpoint, camera=camera, size=size)
    live.register("nerf.orbit", orbit_frame)
    volume.register("nerf.field", field_volume)
    quick = dict(show_progress="hidden", trigger_mode="always_last", api_visibility="private")      # queued: else no error shows
    panel.board.use(guarded(panel.use), None, checkpoint, **quick)

    fields = [
        Field("model", [checkpoint], lambda text: [parts.checkpoint_named("nerf", text)]),
        Field("camera", camera, _restore_camera, default=None),
        Field("size", [size], lambda text: [_size(text)], default=str(SIZES[1])),
        *(field for piece in pieces for field in piece.fields),
    ]
    kept = [component for field in fields[1:] for component in field.components]
    state = State(tab, [*fields, *panel.fields], views=[orbit, *(view for piece in pieces for view in piece.views)])

    def opening(restored: Mapping[str, list[Any]]) -> list[Any]:
        """The URL's values; all else stays as it was laid out."""
        [name] = restored.get("model", checkpoint_names()[:1])
        values = {id(component): value for field in fields if field.name in restored
                  for component, value in zip(field.components, restored[field.name])}
        choices = [*dict.fromkeys([*checkpoint_names(), name])]
        return [gr.update(choices=choices, value=name), *(values.get(id(component), gr.skip()) for component in kept), *panel.opening(restored)]

    state.wire(opening, [checkpoint, *kept, *panel.outputs])

    gr.api(guarded(nerf_render), api_name="nerf_render")


VIEWS: tuple[Any, ...] = (anatomy, holds, directions, probe, encoding, cameras, how_many, path, keep)     # modules of views/, in the order of the page


def checkpoint_names() -> list[str]:
    return parts.checkpoint_names("nerf", first=config.FIRST, aside=config.ASIDE)


# What the live views draw. Each runs on the inference executor; the query is hostile.


def orbit_frame(query: Mapping[str, str]) -> live.Frame:
    """The scene from the query's camera, `size` pixels a side; with quality=coarse COARSE times fewer, for while it moves."""
    coarse = inputs.choice("quality", query.get("quality", "exact"), ("exact", "coarse")) == "coarse"
    side = _size(query.get("size", SIZES[1]))
    checkpoint, where = views.model(query), views.camera(query)
    if views.is_network(checkpoint):
        return _sketched(checkpoint, where, side, coarse)
    return _drawn(checkpoint, where, side // COARSE if coarse else side, coarse)


def _sketched(checkpoint: Any, where: views.Camera, side: int, coarse: bool) -> live.Frame:
    """A network's picture: a few pixels while the camera moves; at rest the exact rows come over them, some in each frame."""
    import torch.nn.functional as F

    sketch = views.seen(checkpoint, where, SKETCH)
    if coarse:
        return live.Frame(images.to_uint8(sketch.rgb.permute(2, 0, 1)), {
            "camera": where.numbers, "size": SKETCH, "rays": None, "samples": sketch.samples / SKETCH ** 2, "more": False}, passing=True)
    slow = views.slowly(checkpoint, where, side)
    picture = F.interpolate(sketch.rgb.permute(2, 0, 1)[None], size=(side, side), mode="bilinear")[0]
    picture[:, :slow.rows] = slow.rgb[:slow.rows].permute(2, 0, 1)
    rays = slow.rows * side
    return live.Frame(images.to_uint8(picture), {
        "camera": where.numbers, "size": side, "rays": rays / slow.seconds, "samples": slow.samples / rays, "more": not slow.done})


_baked: WeakKeyDictionary[Any, volume.Volume | None] = WeakKeyDictionary()            # field -> what it is as pictures; touched by one thread at a time


def field_volume(query: Mapping[str, str]) -> volume.Volume | None:
    """The field as pictures that the visitor's browser renders; None where it is a network, or too large."""
    from . import bake

    checkpoint = views.model(query)
    if checkpoint.model not in _baked:
        baked = bake.bake(checkpoint)
        _baked[checkpoint.model] = baked and volume.Volume(baked.meta, baked.pictures)
    return _baked[checkpoint.model]


def _drawn(checkpoint: Any, camera: views.Camera, side: int, coarse: bool = False) -> live.Frame:
    from . import sample

    begun = time.perf_counter()
    seen = sample.render(checkpoint, camera.pose, camera.field_of_view, side, side)
    return live.Frame(images.to_uint8(seen.rgb.permute(2, 0, 1)), {
        "camera": camera.numbers, "size": side, "rays": side * side / (time.perf_counter() - begun), "samples": seen.samples / side ** 2,
    }, passing=coarse)


# The same for programs: named endpoints of the API.


def nerf_render(checkpoint: str, camera: list[float], size: int) -> dict:
    """Draw a scene. camera: azimuth and elevation in degrees, distance from the origin in world units, field of view in degrees;
    the azimuth goes around, the others are clamped to what the page offers. size: 100, 200 or 400 pixels a side.

    Returns {"picture": a PNG as a data URI, "camera": as used, "samples": looked at per ray on average, ...}.
    """
    def answer() -> live.Frame:
        found, where = views.model({"checkpoint": checkpoint}), views.camera_at(camera)
        return (_sketched if views.is_network(found) else _drawn)(found, where, _size(size), False)

    while (frame := executor.run(answer)).numbers.pop("more", False):            # a network's comes by and by: others are drawn in between
        pass
    return {"picture": live.data_uri(frame.picture), **frame.numbers}


def _size(value: Any) -> int:
    """One of SIZES, as a number or text."""
    return int(inputs.choice("size", str(value), [str(side) for side in SIZES]))


def _restore_camera(text: str) -> Sequence[float]:
    """The camera's four numbers out of the URL."""
    values = inputs.numbers_in("camera", text, len(CAMERA), -360, 360, pad=True)
    return [inputs.within(name, value, low, high) for name, value, (low, high, _) in zip(NAMES, values, CAMERA)]


def _figure() -> str:
    """The chapter's structure figure; each edge carries what is on it for the chosen ray, each box leads to its view."""
    def edge(inside: str, key: str) -> str:
        return f'<div class="edge">{inside}<span>{both(key)}</span></div>'

    def box(href: str, key: str, formula: str) -> str:
        return f'<a class="box model" href="#{href}"><b>{both(key)}</b><span class="tex">{formula}</span></a>'

    now = lambda key: parts.now(f"nerf.ray:{key}")            # noqa: E731
    picture = cursor('<canvas data-mirror="nerf.orbit:0" width="200" height="200"></canvas>', PIXEL_IDS, "nerf.ray", at="at", places="places", alt="nerf.ray.cursor", name="figure")
    swatch = lambda i: f'<canvas data-mirror="nerf.ray:{i}" width="1" height="1" class="swatch"></canvas>'                # noqa: E731
    return (f'<div class="figure ray" role="group" aria-labelledby="nerf-figure-alt"><span class="visually-hidden" id="nerf-figure-alt">{both("nerf.figure")}</span>'
            + edge(picture, "nerf.figure.pixel")
            + f'<div class="edge op"><span class="tex">r(t) = o + t d</span><span>o = {now("o")}</span><span>d = {now("d")}</span></div>'
            + box("nerf-probe", "nerf.figure.field", "F<sub>Θ</sub>(x, d)")
            + edge('<canvas data-tinted="nerf.ray:sigma±c" class="plot"></canvas>', "nerf.figure.samples")
            + box("nerf-anatomy", "nerf.figure.render", "Σ w<sub>i</sub> c<sub>i</sub>")
            + edge(f'<div class="swatches">{swatch(0)}{swatch(2)}</div>', "nerf.figure.colours")
            + box("nerf-one-ray", "nerf.figure.loss", f'‖Ĉ − C‖² = {now("loss")}')
            + "</div>")


def warm_up() -> None:
    """Make the first picture fast: import torch, load the first field, draw it once."""
    for name in checkpoint_names()[:1]:
        orbit_frame({"checkpoint": name, "camera": ",".join(str(start) for _, _, start in CAMERA)})
