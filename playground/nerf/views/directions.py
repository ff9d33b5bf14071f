"""Same point, many directions: the colour of one surface point for all who look at it, on a sphere around it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from . import Camera, Piece, Shared, camera, camera_at, model
from .probe import surface
from .ray import triple

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

SPHERE = 160                 # pixels a side of the painted sphere
SIDE = 100                   # of the scene's two pictures
DIRECTIONS = 512             # spread evenly, over which a colour's mean and variance are taken
IGNORE = ("no", "yes")
EQUAL = 99.0                 # dB, of pictures that do not differ


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-directions"):
        gr.HTML(parts.heading("nerf.directions", "nerf.directions.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                view = live.View("nerf.directions", alt=both("nerf.directions.alt"), tiles=2, lazy=True, elem_classes="smooth",
                                 captions=(both("nerf.directions.front"), both("nerf.directions.behind")))
                ignore = parts.Radio([(t(f"nerf.directions.{name}"), name) for name in IGNORE], value=IGNORE[0], label=t("nerf.directions.ignore"), elem_id="nerf-ignore")
            with gr.Column(scale=5, min_width=280):
                still = live.View("nerf.still", alt=both("nerf.directions.scenes"), tiles=2, lazy=True, every=150, elem_classes="smooth",
                                  captions=(both("nerf.directions.with"), both("nerf.directions.without")))
                gr.HTML(parts.numbers(("nerf.directions:variance", "nerf.directions.variance"), ("nerf.directions:range", "nerf.directions.range"), ("nerf.still:psnr", "nerf.directions.psnr")))
        now = lambda key: parts.now(f"nerf.directions:{key}")                    # noqa: E731
        parts.formula("nerf.directions.f", r"\bar{\mathbf c}=\frac1{4\pi}\int_{S^2}\mathbf c(\mathbf x,\mathbf d)\,d\mathbf d,\qquad"
                      r"\operatorname{Var}_{\mathbf d}\,\mathbf c=\frac1{4\pi}\int_{S^2}\lVert\mathbf c(\mathbf x,\mathbf d)-\bar{\mathbf c}\rVert^2\,d\mathbf d",
                      f'x = {now("x")}, &nbsp; c̄ = {now("mean")}, &nbsp; Var c = {now("variance")}')
    view.follow(checkpoint=shared.checkpoint, camera=shared.camera, pixel=shared.pixel, ignore=[ignore])
    still.follow(checkpoint=shared.checkpoint, camera=shared.camera)
    live.register("nerf.directions", directions_frame)
    live.register("nerf.still", still_frame)
    gr.api(guarded(nerf_directions), api_name="nerf_directions")
    return Piece([Field("ignore", [ignore], lambda text: [inputs.choice("ignore", text, IGNORE)], default=IGNORE[0])], [view, still])


# ---- one point -------------------------------------------------------------------------------------------------


def directions_frame(query: Mapping[str, str]) -> live.Frame:
    """The sphere of the chosen ray's surface point, from the camera's side and from behind: each place has the colour that one sees who
    stands there; with ignore=yes, the mean of them all."""
    checkpoint, seen, pixel = model(query), camera(query), inputs.numbers_in("pixel", query.get("pixel"), 2, 0, 1)
    return _directions(checkpoint, seen, pixel, inputs.choice("ignore", query.get("ignore"), IGNORE) == "yes")


def _directions(checkpoint: Checkpoint, seen: Camera, pixel: Sequence[float], ignored: bool) -> live.Frame:
    import torch

    x, d = surface(checkpoint, seen, pixel)
    everywhere = colours(checkpoint, x, -spread(DIRECTIONS))
    mean = everywhere.mean(0)
    sides = []
    for turned in (1, -1):                                    # from the camera's side, and from behind
        n, inside = hemisphere(seen.pose * torch.tensor([turned, 1, turned, 1]))
        rgb = mean.expand(len(n), 3) if ignored else colours(checkpoint, x, -n)
        sides.append(torch.lerp(torch.ones_like(rgb), rgb, inside[:, None]).T.view(3, SPHERE, SPHERE))
    now = mean if ignored else colours(checkpoint, x, d[None])[0]
    return live.Frame(images.strip(torch.stack(sides)), {
        "x": triple(x), "mean": triple(mean), "now": triple(now), "variance": (everywhere - mean).square().sum(1).mean().item(),
        "range": (everywhere.amax(0) - everywhere.amin(0)).max().item(),
    })


def colours(checkpoint: Checkpoint, x: Tensor, d: Tensor) -> Tensor:
    """The colour (N, 3) of one point x (3,) seen along each of d (N, 3)."""
    field = checkpoint.model
    return field.colour(x.expand(len(d), 3).to(field.device), d.to(field.device)).cpu()


def spread(n: int) -> Tensor:
    """n unit vectors (n, 3), spread evenly over the sphere: a Fibonacci lattice (Swinbank & Purser 2006)."""
    import torch

    i = torch.arange(n, dtype=torch.float64) + 0.5
    z, angle = 1 - 2 * i / n, i * math.pi * (3 - math.sqrt(5))
    r = (1 - z * z).sqrt()
    return torch.stack([r * angle.cos(), r * angle.sin(), z], dim=1).float()


def hemisphere(pose: Tensor) -> tuple[Tensor, Tensor]:
    """The normals (SPHERE^2, 3) of a sphere that a camera of this pose sees, row by row, and how much of each pixel it covers."""
    import torch

    axis = (torch.arange(SPHERE) + 0.5) / SPHERE * 2 - 1
    up, right = torch.meshgrid(-axis, axis, indexing="ij")
    r = torch.hypot(right, up)
    flat = torch.stack([right, up], dim=-1) / r.clamp(min=1)[..., None]          # beyond the rim, what stands on it
    n = torch.cat([flat, (1 - flat.square().sum(-1, keepdim=True)).clamp(min=0).sqrt()], dim=-1)
    return (n @ pose[:, :3].T).view(-1, 3), ((1 - r) * SPHERE / 2 + 0.5).clamp(0, 1).flatten()


# ---- the scene -------------------------------------------------------------------------------------------------

_blind: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()     # field -> itself without directions; touched on the inference executor alone


def still_frame(query: Mapping[str, str]) -> live.Frame:
    """The scene from the shared camera, and as it would be if every point had one colour, the mean over the directions."""
    import torch

    from ...core import metrics
    from .. import sample

    checkpoint, seen = model(query), camera(query)
    if checkpoint.model not in _blind:
        _blind[checkpoint.model] = blind(checkpoint.model)
    pictures = [sample.render(each, seen.pose, seen.field_of_view, SIDE, SIDE).rgb.permute(2, 0, 1)
                for each in (checkpoint, replace(checkpoint, model=_blind[checkpoint.model]))]
    return live.Frame(images.strip(torch.stack(pictures)), {"psnr": min(metrics.psnr(*(picture[None] for picture in pictures)), EQUAL)})


def blind(field: Any) -> Any:
    """A field of the same density whose colours are those of `field` in the mean over six directions, exactly so at the corners of its
    voxels; `field` stays as it is."""
    import torch

    from .. import maths

    six = torch.cat([torch.eye(3), -torch.eye(3)]).to(field.device)              # exact for polynomials of degree 3
    mean = torch.stack([maths.sh_colour(field.sh, maths.sh_basis(d).expand_as(field.sh)) for d in six]).mean(0)
    sh = torch.zeros_like(field.sh)
    sh[:, :3] = torch.logit(mean.clamp(1e-4, 1 - 1e-4)) / (maths.CONTRAST * maths.SH0)
    seen = copy.copy(field)                                   # its tables are the field's own, but for one
    seen._parameters, seen._buffers = dict(field._parameters), dict(field._buffers)
    table = seen._parameters if "sh" in seen._parameters else seen._buffers
    table["sh"] = torch.nn.Parameter(sh, requires_grad=False) if table is seen._parameters else sh
    return seen


# ---- for programs ----------------------------------------------------------------------------------------------


def nerf_directions(checkpoint: str, camera: list[float], pixel: list[float]) -> dict:
    """The colour of the surface point of one ray (as in nerf_ray) from everywhere.

    Returns {"picture": the sphere from the camera's side and from behind, "x": the point, "mean": colour over all directions, "variance":
    of it, summed over the channels, "range": the largest difference in a channel, "now": from where the camera is}.
    """
    frame = executor.run(lambda: _directions(model({"checkpoint": checkpoint}), camera_at(camera), inputs.vector("pixel", pixel, 2, 0, 1), False))
    return {"picture": live.data_uri(frame.picture), **frame.numbers}
