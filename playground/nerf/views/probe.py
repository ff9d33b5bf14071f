"""The probe: one point, one direction, and what the field answers; sigma along each axis through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from . import Camera, Piece, Shared, camera, camera_at, model
from .ray import chosen_at, rounded, swatches, triple

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

POINT = (0.1, 0.12, -0.3)    # x, y, z at the opening, in half sides of the scene's cube
FROM = (35.0, 30.0)          # where it is looked at from: azimuth and elevation, degrees
AXES = ("x", "y", "z")
COLOURS = ("--class1", "--class2", "--class0")               # of the axes
PLACES = 96                  # on each axis
SIDE = 120                   # pixels a side of the scene with the point in it
RING, DOT = 6.0, 1.6         # radii of its mark, pixels
STEPS = 256                  # between the camera and the point
HIDDEN = 0.5                 # of the point's light reaches the camera: below, its mark is drawn faint

register({
    "nerf.nothing": (
        "The chosen ray meets nothing: no light comes from the scene there; choose a pixel on the scene.",
        "所选光线什么也没遇到：该处没有来自场景的光；请选择场景上的像素。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-probe"):
        gr.HTML(parts.heading("nerf.probe", "nerf.probe.try"))
        with gr.Row():
            with gr.Column(scale=4, min_width=260):
                point = [parts.Slider(-1, 1, start, step=0.005, label=t(f"nerf.probe.{axis}"), elem_id=f"nerf-{axis}") for axis, start in zip(AXES, POINT)]
                looked = [parts.Slider(low, high, start, step=0.5, label=t(f"nerf.probe.{name}"), elem_id=f"nerf-{name}")
                          for name, low, high, start in (("theta", 0, 360, FROM[0]), ("phi", -90, 90, FROM[1]))]
                put = gr.Button(t("nerf.probe.put"), size="sm", elem_id="nerf-put")
            with gr.Column(scale=3, min_width=220):
                scene = live.View("nerf.probe-scene", alt=both("nerf.probe.scene"), lazy=True, every=60)
                gr.HTML(f'<p class="caption">{both("nerf.probe.mark")}</p>')
            with gr.Column(scale=5, min_width=280):
                view = live.View("nerf.probe", alt=both("nerf.probe.alt"), lazy=True, elem_classes="swatches")
                gr.HTML(parts.numbers(("nerf.probe:sigma", "nerf.probe.sigma"), ("nerf.probe:c", "nerf.probe.c"), ("nerf.probe-scene:reaches", "nerf.probe.reaches")))
                gr.HTML("".join(parts.lines("nerf.probe", {f"along_{axis}": (colour, f"nerf.probe.along_{axis}")}, x="places", at=axis, low=0, alt="nerf.probe.along")
                                for axis, colour in zip(AXES, COLOURS)), elem_classes="three-lines", js_on_load=None, apply_default_css=False)
        now = lambda key: parts.now(f"nerf.probe:{key}")                         # noqa: E731
        parts.formula("nerf.probe.f", r"F_\Theta:(\mathbf x,\mathbf d)\mapsto(\mathbf c,\sigma),\qquad\sigma=\sigma(\mathbf x),\quad"
                      r"\mathbf d=-(\cos\varphi\cos\theta,\ \cos\varphi\sin\theta,\ \sin\varphi)", f'F<sub>Θ</sub>({now("at")}, {now("d")}) = ({now("c")}, {now("sigma")})')
    view.follow(checkpoint=shared.checkpoint, point=point, looked=looked)
    scene.follow(checkpoint=shared.checkpoint, camera=shared.camera, point=point)
    live.register("nerf.probe", probe_frame)
    live.register("nerf.probe-scene", scene_frame)
    put.click(guarded(_put), [shared.checkpoint, *shared.camera, *shared.pixel], [*point, *looked], show_progress="hidden", trigger_mode="always_last", api_visibility="private")
    gr.api(guarded(nerf_probe), api_name="nerf_probe")
    return Piece([
        Field("point", point, lambda text: inputs.numbers_in("point", text, 3, -1, 1, pad=True, check=inputs.within), default=",".join(f"{value:g}" for value in POINT)),
        Field("from", looked, _restore_direction, default=",".join(f"{value:g}" for value in FROM)),
    ], [view, scene])


def _restore_direction(text: str) -> list[float]:
    theta, phi = inputs.numbers_in("direction", text, 2, -90, 360, pad=True, check=inputs.within)
    return [inputs.within("direction", theta, 0, 360), inputs.within("direction", phi, -90, 90)]


def direction(looked: Sequence[float]) -> Tensor:
    """The unit vector d (3,) along which one looks who stands at azimuth theta and elevation phi, in degrees; the azimuth goes around."""
    import torch

    theta, phi = (torch.tensor(value, dtype=torch.float64).deg2rad() for value in inputs.vector("direction", looked, 2, -1e3, 1e3))
    return -torch.stack([phi.cos() * theta.cos(), phi.cos() * theta.sin(), phi.sin()]).float()


# ---- the answer ------------------------------------------------------------------------------------------------


def probe_frame(query: Mapping[str, str]) -> live.Frame:
    """A swatch of the colour at the point, with sigma there and along the three lines through it that are parallel to the axes."""
    return _probe(model(query), inputs.numbers_in("point", query.get("point"), 3, -1, 1), inputs.numbers_in("direction", query.get("looked"), 2, -1e3, 1e3))


def _probe(checkpoint: Checkpoint, point: Sequence[float], looked: Sequence[float]) -> live.Frame:
    import torch

    field, d = checkpoint.model, direction(looked)
    x = field.bound * torch.tensor(point)
    places = field.bound * ((torch.arange(PLACES) + 0.5) / PLACES * 2 - 1)
    lines = x.repeat(3, PLACES, 1)                            # (3, PLACES, 3): along x, y and z
    for axis in range(3):
        lines[axis, :, axis] = places
    rgb, sigma = (answer.cpu() for answer in field(x[None].to(field.device), d[None].to(field.device)))
    along = field.density(lines.view(-1, 3).to(field.device)).cpu().view(3, PLACES)
    return live.Frame(swatches(rgb[0]), {
        "sigma": sigma.item(), "c": triple(rgb[0]), "rgb": rgb[0].tolist(), "at": triple(x), "d": triple(d), "places": rounded(places, 3),
        **{axis: value for axis, value in zip(AXES, x.tolist())}, **{f"along_{axis}": rounded(line, 2) for axis, line in zip(AXES, along)},
    })


def scene_frame(query: Mapping[str, str]) -> live.Frame:
    """The scene from the shared camera with the point marked, and the share of the point's light that gets to the camera."""
    checkpoint, seen = model(query), camera(query)
    return _scene(checkpoint, seen, inputs.numbers_in("point", query.get("point"), 3, -1, 1))


def _scene(checkpoint: Checkpoint, seen: Camera, point: Sequence[float]) -> live.Frame:
    import torch

    from .. import sample

    x = checkpoint.model.bound * torch.tensor(point)
    picture = sample.render(checkpoint, seen.pose, seen.field_of_view, SIDE, SIDE).rgb.numpy()
    reaches = light(checkpoint, seen.pose[:, 3], x)
    where = project(seen, x)
    if where is not None:
        picture = _marked(picture, where, 1.0 if reaches > HIDDEN else 0.45)
    return live.Frame((picture.clip(0, 1) * 255).round().astype(np.uint8), {"reaches": f"{100 * reaches:.0f} %", "share": reaches, "where": where})


def light(checkpoint: Checkpoint, o: Tensor, x: Tensor) -> float:
    """T, the share of the light from x that gets to o."""
    import torch

    from .. import sample

    away = (x - o).norm()
    ray = sample.along(checkpoint, o, (x - o) / away.clamp(min=1e-6), STEPS, 0.0, away.item())
    return torch.exp(-(ray.sigma * ray.delta).sum()).item()


def project(seen: Camera, x: Tensor) -> tuple[float, float] | None:
    """Where a point (3,) is in the camera's picture, to the right and downwards in [0, 1] of its sides; None behind the camera."""
    import math

    right, up, back = ((x - seen.pose[:, 3]) @ seen.pose[:, :3]).tolist()
    if back >= 0:
        return None
    half = math.tan(seen.field_of_view / 2)
    return 0.5 + 0.5 * right / -back / half, 0.5 - 0.5 * up / -back / half


def _marked(picture: np.ndarray, where: tuple[float, float], strength: float) -> np.ndarray:
    """A ring with a dot in the model's colour, on a light edge."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    r = np.hypot(x - where[0] * SIDE, y - where[1] * SIDE)
    for width, colour in ((2.0, 1.0), (1.0, images.MORE / 255)):
        ink = np.clip(width + 0.5 - np.abs(r - RING), 0, 1) + np.clip(DOT + width - 0.5 - r, 0, 1)
        picture = picture + strength * ink.clip(0, 1)[..., None] * (colour - picture)
    return picture


# ---- for the page and for programs -----------------------------------------------------------------------------


def surface(checkpoint: Checkpoint, seen: Camera, pixel: Sequence[float]) -> tuple[Tensor, Tensor]:
    """The point (3,) from which the light of the chosen ray comes in the mean, and the ray's direction (3,)."""
    ray = chosen_at(checkpoint, seen, pixel)
    depth = ray.exact().depth[0, 0]
    if not depth.isfinite():
        raise PlaygroundError("nerf.nothing")
    return ray.o + depth * ray.d, ray.d


def _put(name: Any, *values: Any) -> list[float]:
    """The sliders for the point that the chosen ray sees, from where it is seen."""
    checkpoint_, seen = {"checkpoint": name}, camera_at(values[:4])

    def look() -> tuple[Tensor, Tensor, float]:
        found = model(checkpoint_)
        return *surface(found, seen, values[4:]), found.model.bound

    import math

    x, d, bound = executor.run(look)
    back = (-d).tolist()
    return [*(round(min(max(value / bound, -1), 1), 3) for value in x.tolist()),
            round(math.degrees(math.atan2(back[1], back[0])) % 360, 1), round(math.degrees(math.asin(min(max(back[2], -1), 1))), 1)]


def nerf_probe(checkpoint: str, point: list[float], direction: list[float]) -> dict:
    """Ask a field about one point and direction. point: x, y, z in half sides of the scene's cube, clamped to -1..1. direction: azimuth
    and elevation in degrees of where it is looked at from.

    Returns {"sigma": per world unit, "rgb": in [0, 1], "at": the point in world units, "along_x", "along_y", "along_z", ...}.
    """
    frame = executor.run(lambda: _probe(model({"checkpoint": checkpoint}), inputs.vector("point", point, 3, -1, 1), inputs.vector("direction", direction, 2, -1e3, 1e3)))
    return {"picture": live.data_uri(frame.picture), **frame.numbers}
