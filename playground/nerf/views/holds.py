"""What the field holds: colour, depth, opacity and normals of one picture, two at a time; and its density, cut through and mapped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.cursor import cursor
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from . import Camera, Piece, Shared, camera, model, so_far

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from ..sample import Rendered

MODES = ("colour", "depth", "opacity", "normals")
SIDE = 200                   # pixels a side of the picture
THERE = 0.5                  # opacity from which on a pixel counts as showing something
AXES = ("x", "y", "z")
SLICE = 160                  # pixels a side of the cut
LOW, HIGH = 0.1, 1000.0      # densities per world unit, at the ends of the colours: a haze; a wall that lets nothing through a voxel
BAND = 1.5                   # pixels on either side of the cut that are marked
MARK = np.array([213, 94, 0])            # the model's colour, as in the page's light theme
NORMALS_KEPT = 8


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-holds"):
        gr.HTML(parts.heading("nerf.holds", "nerf.holds.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                gr.HTML(cursor('<canvas data-mirror="nerf.holds:0" width="200" height="200"></canvas>', ("nerf-split",), "nerf.holds", at="at", places="places",
                               alt="nerf.holds.wipe"), js_on_load=None, apply_default_css=False)
                view = live.View("nerf.holds", alt=both("nerf.holds.alt"), elsewhere=True, lazy=True)
            with gr.Column(scale=4, min_width=280):
                with gr.Row(elem_classes="decisions"):
                    left, right = (parts.Radio([(t(f"nerf.holds.{mode}"), mode) for mode in MODES], value=value, label=t(f"nerf.holds.{name}"), elem_id=f"nerf-{name}")
                                   for name, value in (("left", "colour"), ("right", "normals")))
                split = parts.Slider(0, 1, 0.5, step=0.005, label=t("nerf.holds.split"), elem_id="nerf-split")
                gr.HTML(parts.numbers(("nerf.holds:nearest", "nerf.holds.nearest"), ("nerf.holds:farthest", "nerf.holds.farthest"), ("nerf.holds:empty", "nerf.holds.empty")))
                now = lambda key: parts.now(f"nerf.holds:{key}")                 # noqa: E731
                parts.formula("nerf.holds.f", r"\begin{aligned}\hat t&=\tfrac{\sum_i w_i t_i}{\sum_i w_i},\qquad \mathbf n=-\tfrac{\nabla\sigma}{\lVert\nabla\sigma\rVert},\\ O&=\textstyle\sum_i w_i=1-T_{N+1}\end{aligned}",
                              f'{both("nerf.holds.middle")} t̂ = {now("depth")}, O = {now("opacity")}, n = ({now("nx")}, {now("ny")}, {now("nz")})')
        gr.HTML(f'<h3>{both("nerf.slice")}</h3><p>{both("nerf.slice.try")}</p>')
        with gr.Row():
            with gr.Column(scale=6, min_width=280):
                cut = live.View("nerf.slice", alt=both("nerf.slice.alt"), tiles=2, lazy=True, elem_classes="smooth",
                                captions=(f'{both("nerf.slice.map")} <span data-live="nerf.slice:plane"></span>', both("nerf.slice.where")))
            with gr.Column(scale=4, min_width=280):
                with gr.Row(elem_classes="decisions"):
                    axis = parts.Radio([(name, name) for name in AXES], value="z", label=t("nerf.slice.axis"), elem_id="nerf-axis")
                position = parts.Slider(-1, 1, -0.1, step=0.01, label=t("nerf.slice.position"), elem_id="nerf-position")
                gr.HTML(f'<div class="scale" style="--scale: {", ".join(images.SCALE)}"><i></i><p class="ends"><span>≤ {LOW:g}</span><span>1</span><span>10</span><span>100</span><span>≥ {HIGH:g}</span></p></div>'
                        f'<p class="caption">{both("nerf.slice.scale")}</p>')
                gr.HTML(parts.numbers(("nerf.slice:at", "nerf.slice.at"), ("nerf.slice:largest", "nerf.slice.largest"), ("nerf.slice:dense", "nerf.slice.dense")))
    view.follow(checkpoint=shared.checkpoint, camera=shared.camera, left=left, right=right, split=split)
    cut.follow(checkpoint=shared.checkpoint, camera=shared.camera, axis=axis, position=position)
    live.register("nerf.holds", holds_frame)
    live.register("nerf.slice", slice_frame)
    gr.api(guarded(nerf_slice), api_name="nerf_slice")
    return Piece([
        Field("left", [left], lambda text: [inputs.choice("mode", text, MODES)], default="colour"),
        Field("right", [right], lambda text: [inputs.choice("mode", text, MODES)], default="normals"),
        Field("split", [split], lambda text: [inputs.within("split", inputs.parsed(text), 0, 1)], default="0.5"),
        Field("axis", [axis], lambda text: [inputs.choice("axis", text, AXES)], default="z"),
        Field("position", [position], lambda text: [inputs.within("position", inputs.parsed(text), -1, 1)], default="-0.1"),
    ], [view, cut])


# ---- the picture's modes ---------------------------------------------------------------------------------------


def holds_frame(query: Mapping[str, str]) -> live.Frame:
    """The camera's picture, `left` of the split in one mode and right of it in another."""
    checkpoint, where = model(query), camera(query)
    left, right = (inputs.choice("mode", query.get(side), MODES) for side in ("left", "right"))
    split = inputs.within("split", inputs.parsed(query.get("split")), 0, 1)
    (picture, done), column = so_far(checkpoint, where, SIDE), round(split * SIDE)
    there = picture.depth[picture.opacity > THERE]
    nearest, farthest = (there.min().item(), there.max().item()) if len(there) else (None, None)
    middle = SIDE // 2, SIDE // 2
    depth, opacity = picture.depth[middle].item(), picture.opacity[middle].item()
    direction = normals(checkpoint, where, picture)[middle].tolist() if done and "normals" in (left, right) else [0, 0, 0]         # they take time
    halves = [shown(checkpoint, where, mode, picture, done) for mode in (left, right)]
    return live.Frame(np.concatenate([halves[0][:, :column], halves[1][:, column:]], axis=1), {
        "more": not done,
        "at": [split, 0.5], "places": [0.25, 0.75], "nearest": nearest, "farthest": farthest, "empty": f"{100 * checkpoint.model.empty:.1f} %",
        "depth": depth if opacity > THERE else None, "opacity": opacity, **dict(zip(("nx", "ny", "nz"), direction if any(direction) else [None] * 3)),
    })


def shown(checkpoint: Checkpoint, where: Camera, mode: str, picture: Rendered, done: bool) -> np.ndarray:
    """One mode of the camera's picture, uint8 (SIDE, SIDE, 3): colour as it is; near bright, far dark, on black; opacity black to
    white; the three parts of normals, from -1 to 1, as red, green and blue, once all of it is done."""
    import torch

    if mode == "colour":
        return images.to_rgb(picture.rgb.permute(2, 0, 1))
    if mode == "opacity":
        return images.to_rgb(picture.opacity[None])
    if mode == "normals":
        n = normals(checkpoint, where, picture) if done else torch.zeros_like(picture.rgb)
        x = torch.where(n.square().sum(-1, keepdim=True) > 0, 0.5 + 0.5 * n, 1.0)
        return images.to_rgb((picture.opacity[..., None] * x + 1 - picture.opacity[..., None]).permute(2, 0, 1))
    there = picture.depth[picture.opacity > THERE]
    low, high = (there.min(), there.max()) if len(there) else (0.0, 1.0)
    near = 1 - 0.85 * ((picture.depth.nan_to_num(posinf=1e9) - low) / (high - low + 1e-6)).clamp(0, 1)
    return images.to_rgb((picture.opacity * near)[None])


_normals: WeakKeyDictionary[Any, dict[tuple[float, ...], Tensor]] = WeakKeyDictionary()     # touched on the inference executor alone


def normals(checkpoint: Checkpoint, where: Camera, picture: Rendered) -> Tensor:
    """Of the camera's picture, (SIDE, SIDE, 3) of length 1, or 0 where nothing is."""
    from .. import sample

    kept = _normals.setdefault(checkpoint.model, {})
    if where.numbers not in kept:
        if len(kept) >= NORMALS_KEPT:
            kept.clear()
        kept[where.numbers] = sample.normals(checkpoint, where.pose, where.field_of_view, SIDE, SIDE, picture)
    return kept[where.numbers]


# ---- a cut through the density ---------------------------------------------------------------------------------


def density(checkpoint: Checkpoint, axis: str, position: float) -> Tensor:
    """sigma (SLICE, SLICE) on the plane where one axis is `position` of the scene's bound; the other two, in their order, go to
    the right and upwards."""
    import torch

    bound, n = checkpoint.model.bound, AXES.index(axis)
    line = ((torch.arange(SLICE) + 0.5) / SLICE * 2 - 1) * bound
    up, right = torch.meshgrid(line.flip(0), line, indexing="ij")
    x = torch.stack([right.flatten(), up.flatten()], dim=1)
    x = torch.cat([x[:, :n], torch.full((len(x), 1), position * bound), x[:, n:]], dim=1)
    return checkpoint.model.density(x.to(checkpoint.model.device)).cpu().view(SLICE, SLICE)


def cut_through(checkpoint: Checkpoint, axis: str, position: float) -> tuple[np.ndarray, dict[str, Any]]:
    """The densities of a cut as colours, the logarithm from LOW to HIGH; and its numbers."""
    sigma = density(checkpoint, axis, position)
    tone = (sigma.clamp(min=1e-6).log10() - math.log10(LOW)) / math.log10(HIGH / LOW)
    right, up = (name for name in AXES if name != axis)
    return images.mapped(tone), {
        "at": position * checkpoint.model.bound, "largest": sigma.max().item(), "dense": f"{100 * (sigma > LOW).float().mean().item():.1f} %", "plane": f"({right} →, {up} ↑)",
    }


def slice_frame(query: Mapping[str, str]) -> live.Frame:
    """The cut's density as a map, and the camera's picture with the cut marked on what it meets."""
    checkpoint, where = model(query), camera(query)
    axis, position = inputs.choice("axis", query.get("axis"), AXES), inputs.within("position", inputs.parsed(query.get("position")), -1, 1)
    picture, numbers = cut_through(checkpoint, axis, position)
    seen, done = so_far(checkpoint, where, SLICE)
    return live.Frame(np.concatenate([picture, marked(checkpoint, where, axis, position, seen)], axis=1), {**numbers, "more": not done})


def marked(checkpoint: Checkpoint, where: Camera, axis: str, position: float, picture: Rendered) -> np.ndarray:
    """The camera's picture, paler, with those pixels in MARK whose surface lies on the cut: uint8 (SLICE, SLICE, 3)."""
    from .. import maths

    o, d = maths.camera_rays(where.pose, where.field_of_view, SLICE, SLICE)
    n = AXES.index(axis)
    depth = picture.depth.nan_to_num(posinf=0)
    away = (o[..., n] + depth * d[..., n] - position * checkpoint.model.bound).abs()
    pixel = 2 * math.tan(where.field_of_view / 2) / SLICE * depth                # how wide one is there, in world units
    on = ((away < BAND * pixel) & (picture.opacity > THERE)).numpy()
    rgb = images.to_rgb((0.35 + 0.65 * picture.rgb).permute(2, 0, 1)).copy()
    rgb[on] = MARK
    return rgb


def nerf_slice(checkpoint: str, axis: str, position: float) -> dict:
    """Cut through a field's density. axis: x, y or z, across which the plane lies; position: where on it, from -1 to 1 of the scene's box.

    Returns {"picture": a PNG as a data URI in colours of the density's logarithm, "at": the position in world units, "largest": the largest
    density met, per world unit, "dense": the share of the plane above 0.1, "empty": the share of the field's cells that hold nothing}.
    """
    def answer() -> dict:
        found = model({"checkpoint": checkpoint})
        picture, numbers = cut_through(found, inputs.choice("axis", axis, AXES), inputs.within("position", position, -1, 1))
        return {"picture": live.data_uri(picture), **numbers, "empty": found.model.empty}

    return executor.run(answer)
