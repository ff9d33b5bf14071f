"""What a trained field answers: pictures of it from anywhere, its depth, its surface's normals, and all that happens along one ray."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core import checkpoints, device, scenes
from ..core.checkpoints import Checkpoint
from . import maths, model
from .model import Field, Traced

CHUNK = 65_536               # rays, or points, at once: what they need stays below 0.2 GB
SIZE = 100                   # pixels a side of `images`
FIELD_OF_VIEW = 0.6911       # radians, of the synthetic scenes' cameras
DISTANCE = 3.1               # bounds of the scene, from which such a camera sees all of it
ELEVATIONS = (8.0, 50.0)     # degrees, of `images`
PRESENT = 1e-3               # opacity below which there is no depth


def build(fields: Mapping[str, Any]) -> Field:
    """The field for a checkpoint's `model` fields, without its weights."""
    return model.build(fields)


def load(name: str) -> Checkpoint:
    """A field's checkpoint by name, from the cache when it is there. Raises `PlaygroundError` for any that will not do."""
    return checkpoints.load(name, "nerf", build)


# ---- pictures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rendered:
    """What a camera sees of a field, on the CPU."""

    rgb: Tensor              # (H, W, 3) in [0, 1], on white
    depth: Tensor            # (H, W), world units along the ray, in the mean; infinite where nothing is met
    opacity: Tensor          # (H, W) in [0, 1], the share of the light that comes from the field
    samples: int             # at which the field was asked, of all rays


@torch.no_grad()
def render(checkpoint: Checkpoint, pose: Tensor, field_of_view: float, height: int, width: int, *,
           samples: int | None = None, stop: float | None = None) -> Rendered:
    """The field seen by a camera (maths.camera_rays).

    samples: that many on each ray's way through the cube, wherever they fall, instead of one a voxel where there is something.
    stop: the share of a ray's light below which it is followed no further.
    """
    field: Field = checkpoint.model
    o, d = maths.camera_rays(torch.as_tensor(pose, dtype=torch.float32), field_of_view, height, width)
    o, d = o.reshape(-1, 3).to(field.device), d.reshape(-1, 3).to(field.device)
    size = CHUNK if samples is None else CHUNK // samples + 1

    def trace(some: tuple[Tensor, Tensor]) -> Traced:
        return _evenly(field, *some, samples) if samples is not None else field.trace(*some, **({} if stop is None else {"stop": stop}))

    if field.device.type == "cpu":
        parts = device.side_by_side(trace, list(_chunks(o, d, min(size, -(-len(o) // device.cores())))))
    else:
        parts = [trace(some) for some in _chunks(o, d, size)]
    rgb, depth, opacity = (torch.cat([getattr(part, name) for part in parts]).cpu() for name in ("rgb", "depth", "opacity"))
    return Rendered(rgb.view(height, width, 3).clamp(0, 1), depth.view(height, width), opacity.view(height, width).clamp(0, 1),
                    sum(part.samples for part in parts))


def _evenly(field: Field, o: Tensor, d: Tensor, samples: int) -> Traced:
    """What the rays see from `samples` on each, in the middles of equal parts of its way through the cube."""
    near, far = maths.box_interval(o, d, field.bound)
    t = maths.strata(near, far, samples)                      # (R, N)
    rgb, sigma = _ask(field, o, d, t)
    w, _ = maths.weights(sigma, maths.edges(t, near, far).diff())
    opacity = w.sum(-1)
    return Traced(maths.composite(w, rgb), torch.where(opacity > PRESENT, maths.expected_depth(w, t), math.inf), opacity, t.numel())


def _ask(field: Field, o: Tensor, d: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """rgb (R, N, 3) and sigma (R, N) at o + t d, for t (R, N)."""
    x = o[:, None] + t[..., None] * d[:, None]
    rgb, sigma = field(x.view(-1, 3), d[:, None].expand_as(x).reshape(-1, 3))
    return rgb.view_as(x), sigma.view_as(t)


@torch.no_grad()
def normals(checkpoint: Checkpoint, pose: Tensor, field_of_view: float, height: int, width: int, seen: Rendered | None = None) -> Tensor:
    """Unit normals of the surface at each pixel's depth, (H, W, 3) in world axes towards the camera's side; 0 where nothing is.

    Against the density's gradient, by central differences over two steps of the field. seen: the same camera's picture, if it is there.
    """
    field: Field = checkpoint.model
    seen = seen or render(checkpoint, pose, field_of_view, height, width)
    o, d = (each.reshape(-1, 3).to(field.device) for each in maths.camera_rays(torch.as_tensor(pose, dtype=torch.float32), field_of_view, height, width))
    depth = seen.depth.view(-1).to(field.device)
    there = depth.isfinite().nonzero()[:, 0]
    x = o[there] + depth[there, None] * d[there]
    h = 1.5 * field.step * torch.eye(3, device=x.device)
    gradient = torch.stack([_occupancy(field, x + h[i]) - _occupancy(field, x - h[i]) for i in range(3)], dim=1)
    n = -F.normalize(gradient, dim=1)
    n = torch.where((n * d[there]).sum(1, keepdim=True) > 0, n - 2 * (n * d[there]).sum(1, keepdim=True) * d[there], n)       # what is seen faces the camera
    out = torch.zeros_like(o)
    out[there] = n
    return out.view(height, width, 3).cpu()


def _occupancy(field: Field, x: Tensor) -> Tensor:
    """1 - exp(-sigma step) at x (S, 3): of a density that grows without bound inside, only the surface counts."""
    return torch.cat([-torch.expm1(-field.density(part) * field.step) for part in x.split(CHUNK)]) if len(x) else x.new_zeros(0)


@torch.no_grad()
def images(name: str, n: int, seed: int) -> Tensor:
    """n pictures from around the scene, (n, 3, SIZE, SIZE) in [0, 1]. The same (seed, index) is always the same place."""
    checkpoint = load(name)
    low, high = ELEVATIONS
    turns = torch.special.ndtr(device.noise(seed, range(n), (2,)))                # evenly in [0, 1]
    views = [maths.orbit_pose(360 * a, low + (high - low) * e, DISTANCE * checkpoint.model.bound) for a, e in turns.tolist()]
    return torch.stack([render(checkpoint, pose, FIELD_OF_VIEW, SIZE, SIZE).rgb.permute(2, 0, 1) for pose in views]) if n else torch.empty(0, 3, SIZE, SIZE)


def views(name: str, cameras: Path, size: int) -> Iterator[tuple[str, int, Tensor]]:
    """The field from each camera of a file (core.scenes.cameras): its name there, how many there are, and the picture, uint8 (size, size, 3)."""
    checkpoint = load(name)
    poses, field_of_view, names = scenes.cameras(cameras)
    return ((each, len(names), (render(checkpoint, pose, field_of_view, size, size).rgb * 255).round().byte()) for each, pose in zip(names, poses))


# ---- one ray ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ray:
    """All that volume rendering does on one ray, on the CPU. N samples, in their order along it."""

    t: Tensor                # (N,), world units from the camera
    delta: Tensor            # (N,), the length each stands for
    sigma: Tensor            # (N,), per world unit
    T: Tensor                # (N,), the light left before each
    w: Tensor                # (N,), what each counts in the colour
    rgb: Tensor              # (N, 3)
    coarse: Tensor           # (samples,), those t that were spread evenly
    fine: Tensor             # (fine,), those that were put where the coarse ones had found something
    near: float
    far: float

    @property
    def opacity(self) -> float:
        return self.w.sum().item()

    @property
    def depth(self) -> float:
        return maths.expected_depth(self.w, self.t).item()

    @property
    def colour(self) -> Tensor:
        """(3,), on white."""
        return maths.composite(self.w, self.rgb)


@torch.no_grad()
def along(checkpoint: Checkpoint, o: Tensor, d: Tensor, samples: int, near: float, far: float, seed: int | None = None,
          fine: int = 0) -> Ray:
    """The ray o + t d, o and unit d (3,), from near to far, with `samples` coarse samples and `fine` more where these say so.

    seed: of where in its part each sample falls (NeRF, eq. 2); None is the parts' middles. NeRF takes 64 and 128.
    """
    field: Field = checkpoint.model
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    o, d = (torch.as_tensor(each, dtype=torch.float32).view(1, 3).to(field.device) for each in (o, d))
    low, high = (torch.full((1,), float(end), device=field.device) for end in (near, far))
    coarse = t = maths.strata(low, high, samples, generator)
    rgb, sigma = _ask(field, o, d, t)
    extra = t[:, :0]
    if fine:
        edges = maths.edges(t, low, high)
        extra = maths.importance(edges, maths.weights(sigma, edges.diff())[0], fine, generator)
        t, order = torch.cat([t, extra], dim=1).sort(dim=1)
        more_rgb, more_sigma = _ask(field, o, d, extra)
        rgb, sigma = torch.cat([rgb, more_rgb], dim=1)[0, order[0]][None], torch.cat([sigma, more_sigma], dim=1).gather(1, order)
    delta = maths.edges(t, low, high).diff()
    w, T = maths.weights(sigma, delta)
    return Ray(*(each[0].cpu() for each in (t, delta, sigma, T, w, rgb, coarse, extra)), float(near), float(far))


def _chunks(o: Tensor, d: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(o.split(size), d.split(size))
