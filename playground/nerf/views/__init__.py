"""The tab's further views, one file each: what it shows, what it asks the fields for, how it is wired. `build(shared)` lays one out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr

from ...core import inputs
from ...ui.live import View
from ...ui.state import Field

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from ..sample import Rendered

AZIMUTH = (0.0, 360.0, 35.0)             # degrees around the upward axis, from +x towards +y: least, most, at the opening
ELEVATION = (-10.0, 89.0, 30.0)          # degrees above the ground; at 90 "up" would have no meaning
DISTANCE = (1.5, 6.0, 4.03)              # of the camera from the origin, in world units; the training cameras stand at 4.03
FIELD_OF_VIEW = (15.0, 75.0, 39.6)       # degrees; that of the training cameras
CAMERA = (AZIMUTH, ELEVATION, DISTANCE, FIELD_OF_VIEW)
PIXEL = (0.6, 0.42)                      # whose ray several views look at: to the right and upwards, in [0, 1]
PIXEL_IDS = ("nerf-u", "nerf-v")
SLICE = 0.15                             # seconds of a network's picture drawn in a frame: it is slow, and others wait
ROWS = 8                                 # of it drawn at once
SEEN = 32                                # pictures of a field that are kept: a view asks again with another slider moved


@dataclass(frozen=True)
class Shared:
    """The controls at the top of the tab, which several views follow."""

    checkpoint: gr.Dropdown
    camera: Sequence[gr.Slider]          # azimuth, elevation, distance, field of view
    pixel: Sequence[gr.Slider]           # of the ray that several views look at; views/anatomy.py renders them


@dataclass(frozen=True)
class Piece:
    """What a view adds to the tab's state: its fields in the URL, and the live views that follow the controls."""

    fields: Sequence[Field] = ()
    views: Sequence[View] = ()


@dataclass(frozen=True)
class Camera:
    """A camera that looks at the origin."""

    numbers: tuple[float, float, float, float]        # azimuth, elevation (degrees), distance, field of view (degrees)
    pose: Tensor                                      # (3, 4), camera to world, Blender's axes
    field_of_view: float                              # radians, horizontal


def model(query: Mapping[str, str]) -> Checkpoint:
    """The field a query names."""
    from .. import sample

    return sample.load(query.get("checkpoint"))


def camera(query: Mapping[str, str]) -> Camera:
    """The camera of a query: "<azimuth>,<elevation>,<distance>,<field of view>", each clamped into its range."""
    return camera_at(inputs.numbers_in("camera", query.get("camera"), len(CAMERA), -1e3, 1e3))


def camera_at(values: Sequence[Any]) -> Camera:
    """The camera of four numbers; the azimuth goes around, the others are clamped."""
    import math

    from .. import maths

    azimuth, *rest = inputs.vector("camera", values, len(CAMERA), -1e3, 1e3)
    elevation, distance, field = (min(max(value, low), high) for value, (low, high, _) in zip(rest, CAMERA[1:]))
    return Camera((azimuth % 360, elevation, distance, field), maths.orbit_pose(azimuth, elevation, distance)[:3], math.radians(field))


def is_network(checkpoint: Checkpoint) -> bool:
    """Whether it is the paper's kind of field, whose picture takes longer than others should wait."""
    return checkpoint.model.config.field == "mlp"


@dataclass
class Slow:
    """A network's picture, some rows at a time."""

    camera: Camera
    rgb: Tensor              # (side, side, 3), white where it is not drawn yet
    depth: Tensor            # (side, side), infinite there
    opacity: Tensor          # (side, side), 0 there
    rows: int = 0            # drawn
    samples: int = 0         # at which the networks were asked
    seconds: float = 0.0     # that took

    @property
    def done(self) -> bool:
        return self.rows == len(self.rgb)


_slow: WeakKeyDictionary[Any, dict[int, Slow]] = WeakKeyDictionary()         # field -> side -> its last picture; touched on the inference executor alone


def slowly(checkpoint: Checkpoint, where: Camera, side: int) -> Slow:
    """Go on with the camera's picture, side x side pixels, for SLICE seconds; a camera that has moved begins anew."""
    import torch

    from .. import maths

    field, pictures = checkpoint.model, _slow.setdefault(checkpoint.model, {})
    found = pictures.get(side)
    if found is None or found.camera.numbers != where.numbers:
        found = pictures[side] = Slow(where, torch.ones(side, side, 3), torch.full((side, side), torch.inf), torch.zeros(side, side))
    begun = time.perf_counter()
    if not found.done:
        o, d = maths.camera_rays(where.pose, where.field_of_view, side, side)
    while not found.done:
        some = slice(found.rows, found.rows + ROWS)
        with torch.no_grad():
            part = field.trace(o[some].reshape(-1, 3).to(field.device), d[some].reshape(-1, 3).to(field.device))
        found.rgb[some] = part.rgb.cpu().view(-1, side, 3).clamp(0, 1)
        found.depth[some], found.opacity[some] = part.depth.cpu().view(-1, side), part.opacity.cpu().view(-1, side).clamp(0, 1)
        found.rows, found.samples = min(side, found.rows + ROWS), found.samples + part.samples
        if time.perf_counter() - begun > SLICE:
            break
    found.seconds += time.perf_counter() - begun
    return found


def so_far(checkpoint: Checkpoint, where: Camera, side: int) -> tuple[Rendered, bool]:
    """What the camera sees of a field, side x side pixels, as far as it is drawn: a network's comes by and by. And whether that is all."""
    from ..sample import Rendered

    if not is_network(checkpoint):
        return seen(checkpoint, where, side), True
    found = slowly(checkpoint, where, side)
    return Rendered(found.rgb, found.depth, found.opacity, found.samples), found.done


_seen: WeakKeyDictionary[Any, dict[tuple[Any, ...], Rendered]] = WeakKeyDictionary()     # touched on the inference executor alone


def seen(checkpoint: Checkpoint, camera: Camera, side: int) -> Rendered:
    """What the camera sees of a field, side x side pixels; drawn once while the camera rests."""
    from .. import sample

    kept, key = _seen.setdefault(checkpoint.model, {}), (*camera.numbers, side)
    if key in kept:
        kept[key] = kept.pop(key)                             # the one asked for last is the last to go
    else:
        while len(kept) >= SEEN:
            del kept[next(iter(kept))]
        kept[key] = sample.render(checkpoint, camera.pose, camera.field_of_view, side, side)
    return kept[key]
