"""The built-in scene "solids": five solids by their signed distances, rendered exactly by sphere tracing (Hart 1996).

The world is as in Blender's files: z is up, -z of a camera looks forward. Colours are sRGB as stored, in [0, 1].
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BOUND = 1.3                                                   # all of it lies in [-BOUND, BOUND]^3
FLOOR = -0.48                                                 # z of the disc's upper side, on which the others stand
DISC_RADIUS, DISC_HALF, DISC_ROUND = 1.16, 0.05, 0.03         # half its height, and the radius of its edge
SPHERE_CENTRE, SPHERE_RADIUS = (-0.36, -0.46, FLOOR + 0.4), 0.4
BOX_CENTRE, BOX_HALF, BOX_ROUND, BOX_TURN = (0.5, -0.34, FLOOR + 0.36), (0.27, 0.27, 0.36), 0.07, 0.5            # radians around z
TORUS_CENTRE, TORUS_RADII, TORUS_TURN = (0.36, 0.5, FLOOR + 0.5), (0.36, 0.14), 0.9        # its axis lies, so turned from +x
CAPSULE_ENDS, CAPSULE_RADIUS = ((-0.7, 0.2, FLOOR + 0.13), (-0.28, 0.62, 0.42)), 0.13

SUN = F.normalize(torch.tensor([0.45, -0.55, 1.0]), dim=0)    # the direction towards the light
AMBIENT, DIFFUSE, SPECULAR, SHININESS = 0.42, 0.62, 0.38, 24.0        # of Phong's model (1975)
SKY = 0.14                                                    # how much less ambient light comes from below

STEPS = 60                                                    # of a ray that grazes something; nearly all need fewer than 20
CLOSE = 1e-4                                                  # world units; a ray this near has met the surface
LEAVE = 2e-3                                                  # world units above the surface where a shadow ray begins
CHUNK = 320_000                                               # rays at once, of several views if they are small: many short steps cost most

Planes = tuple[Tensor, Tensor, Tensor]                        # x, y, z apart, which is three times as fast as points (N, 3)


@dataclass(frozen=True)
class Solid:
    """One of SOLIDS, as functions of world coordinates; it lies between the corners `low` and `high`."""

    name: str
    distance: Callable[[Planes], Tensor]                      # signed (N,)
    colour: Callable[[Planes], Tensor]                        # (N, 3), before any light falls on it
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    convex: bool = True                                       # it throws no shadow on itself but by facing away


@dataclass(frozen=True)
class Exact:
    rgb: Tensor                                               # float32 (H, W, 3) on white
    depth: Tensor                                             # float32 (H, W): distance along the ray of the pixel's centre, or inf
    alpha: Tensor                                             # float32 (H, W): covered share of the pixel


def sdf(x: Tensor) -> Tensor:
    """Signed distance (...,) of points (..., 3) to the nearest surface, negative inside; exact outside."""
    return distances(x).amin(-1)


def distances(x: Tensor) -> Tensor:
    """Signed distances (..., 5) of points (..., 3) to each of SOLIDS."""
    return torch.stack([solid.distance(x.unbind(-1)) for solid in SOLIDS], dim=-1)


def albedo(x: Tensor) -> Tensor:
    """The colour (..., 3) of the surface nearest to each point (..., 3), before any light falls on it."""
    which = distances(x).argmin(-1)
    return sum(solid.colour(x.unbind(-1)) * (which == i)[..., None] for i, solid in enumerate(SOLIDS))


def trace(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """The distance (N,) along rays o + t d, each (N, 3) and d of length 1, to the first surface, inf where there is none;
    and which of SOLIDS it belongs to, int64 (N,), -1 for none."""
    t = torch.full((len(o),), math.inf)
    which = torch.full((len(o),), -1)
    o, d = _planes(o), _planes(d)
    for i, solid in enumerate(SOLIDS):
        found = _met(solid, o, d)
        nearer = found < t
        t, which = torch.where(nearer, found, t), torch.where(nearer, i, which)
    return t, which


def shade(x: Tensor, d: Tensor, which: Tensor) -> Tensor:
    """The colours (N, 3) of surface points x of SOLIDS `which`, seen along d: Lambert's and Phong's light of one sun, with
    its shadows."""
    rgb = torch.empty_like(x)
    for i, solid in enumerate(SOLIDS):
        own = _indices(which == i)
        point, towards = x[own], d[own]
        n = _normal(solid, point)
        facing = (n @ SUN).clamp(min=0)
        lit = (facing > 0) & ~_shadowed(point + LEAVE * n, solid)
        gloss = ((towards - 2 * (towards * n).sum(-1, keepdim=True) * n) @ SUN).clamp(min=0) ** SHININESS
        light = AMBIENT - SKY * (0.5 - 0.5 * n[:, 2]) + DIFFUSE * facing * lit
        rgb[own] = (solid.colour(point.unbind(1)) * light[:, None] + (SPECULAR * gloss * lit)[:, None]).clamp(0, 1)
    return rgb


def rays(pose: Tensor, field_of_view: float, size: int) -> tuple[Tensor, Tensor]:
    """Origins and unit directions (size^2, 3) through the centres of a square picture's pixels, row after row."""
    right, up, back, o = pose[:3].float().unbind(1)
    across = ((torch.arange(size) + 0.5) / size * 2 - 1) * math.tan(field_of_view / 2)
    d = across[None, :, None] * right - across[:, None, None] * up - back
    return o.expand(size * size, 3), F.normalize(d.reshape(-1, 3), dim=-1)


@torch.no_grad()
def pictures(poses: Tensor, field_of_view: float, size: int, *, supersample: int = 2) -> Iterator[tuple[Tensor, Tensor]]:
    """rgb (size, size, 3) on white and alpha (size, size) of each pose (N, 3 or 4, 4), every pixel the mean of
    supersample^2 rays. field_of_view: radians."""
    fine = size * supersample
    for group in poses.split(max(1, CHUNK // fine**2)):
        o, d = (torch.cat(each) for each in zip(*(rays(pose, field_of_view, fine) for pose in group)))
        rgba = torch.cat([_seen(*each) for each in zip(o.split(CHUNK), d.split(CHUNK))]).view(len(group), fine, fine, 4)
        for *rgb, alpha in F.avg_pool2d(rgba.permute(0, 3, 1, 2), supersample):
            yield torch.stack(rgb, dim=-1) + (1 - alpha)[..., None], alpha


@torch.no_grad()
def render(pose: Tensor, field_of_view: float, size: int, *, supersample: int = 2) -> Exact:
    """What a camera sees, size x size pixels. pose: camera to world (3 or 4, 4); field_of_view: radians."""
    rgb, alpha = next(pictures(pose[None], field_of_view, size, supersample=supersample))
    depth, _ = trace(*rays(pose, field_of_view, size))
    return Exact(rgb, depth.view(size, size), alpha)


def _seen(o: Tensor, d: Tensor) -> Tensor:
    """Colour and 1 where a ray meets something, else zeros, (N, 4)."""
    t, which = trace(o, d)
    met = _indices(which >= 0)
    rgba = torch.zeros(len(o), 4)
    rgba[met, :3] = shade(o[met] + t[met, None] * d[met], d[met], which[met])
    rgba[met, 3] = 1
    return rgba


def _met(solid: Solid, o: Planes, d: Planes) -> Tensor:
    """The distance (N,) along rays to one solid, inf where they miss it: steps as long as nothing can be in the way."""
    near, far = torch.zeros(len(o[0])), torch.full((len(o[0]),), math.inf)
    for low, high, start, along in zip(solid.low, solid.high, o, d):         # infinite where a ray does not move along an axis
        a, b = (low - start) / along, (high - start) / along
        near, far = torch.maximum(near, torch.minimum(a, b)), torch.minimum(far, torch.maximum(a, b))
    found = torch.full_like(near, math.inf)
    index = _indices(near < far)
    t, far, *moving = (each.index_select(0, index) for each in (near, far, *o, *d))
    before = torch.full_like(t, math.inf)
    for step in range(0, STEPS, 3):                           # to sort out the rays that have ended costs as much as a step
        if not len(index):
            break
        ox, oy, oz, dx, dy, dz = moving
        for _ in range(3):
            distance = solid.distance((ox + t * dx, oy + t * dy, oz + t * dz))
            t = t + distance
        met = distance < (CLOSE if step + 3 < STEPS else 10 * CLOSE)
        goes_on = ~met & (t < far)
        if solid.convex:                                      # where the distance has begun to grow, it grows for good
            goes_on &= distance < before
        ended, on = _indices(met), _indices(goes_on)
        found[index[ended]] = t[ended]
        index, t, far, before, *moving = (each.index_select(0, on) for each in (index, t, far, distance, *moving))
    return found


def _shadowed(x: Tensor, of: Solid) -> Tensor:
    """Whether something stands between points x (N, 3) just above the surface of one solid and the sun, bool (N,)."""
    shadowed = torch.zeros(len(x), dtype=torch.bool)
    x, sun = _planes(x), tuple(SUN)
    for solid in SOLIDS:
        if solid is not of or not of.convex:
            lit = _indices(~shadowed)
            shadowed[lit] = _met(solid, tuple(each[lit] for each in x), tuple(each.expand(len(lit)) for each in sun)).isfinite()
    return shadowed


def _planes(x: Tensor) -> Planes:
    return tuple(x.t().contiguous())


def _indices(where: Tensor) -> Tensor:
    """Where a mask (N,) is true, int64. By NumPy, which is ten times as fast."""
    return torch.from_numpy(np.flatnonzero(where.numpy()))


def _normal(solid: Solid, x: Tensor) -> Tensor:
    """The unit gradient (N, 3) of a solid's distance by differences at the corners of a tetrahedron."""
    corners = 1e-3 * torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    return F.normalize(sum(corner * solid.distance((x + corner).unbind(1))[:, None] for corner in corners), dim=1)


# ---- the solids: distances after I. Quilez, "Distance functions" -------------------------------------------------


def _disc(p: Planes) -> Tensor:
    x, y, z = p
    r = (x * x + y * y).sqrt() - (DISC_RADIUS - DISC_ROUND)
    h = (z - (FLOOR - DISC_HALF)).abs() - (DISC_HALF - DISC_ROUND)
    return torch.maximum(r, h).clamp(max=0) + (r.clamp(min=0) ** 2 + h.clamp(min=0) ** 2).sqrt() - DISC_ROUND


def _sphere(p: Planes) -> Tensor:
    x, y, z = _moved(p, SPHERE_CENTRE)
    return (x * x + y * y + z * z).sqrt() - SPHERE_RADIUS


def _box(p: Planes) -> Tensor:
    x, y, z = (each.abs() - (half - BOX_ROUND) for each, half in zip(_moved(p, BOX_CENTRE, BOX_TURN), BOX_HALF))
    inside = torch.maximum(torch.maximum(x, y), z).clamp(max=0)
    x, y, z = x.clamp(min=0), y.clamp(min=0), z.clamp(min=0)
    return (x * x + y * y + z * z).sqrt() + inside - BOX_ROUND


def _torus(p: Planes) -> Tensor:
    x, y, z = _moved(p, TORUS_CENTRE, TORUS_TURN)
    r = (y * y + z * z).sqrt() - TORUS_RADII[0]
    return (r * r + x * x).sqrt() - TORUS_RADII[1]


def _capsule(p: Planes) -> Tensor:
    share = _along_capsule(p)
    x, y, z = (each - a - share * (b - a) for each, a, b in zip(p, *CAPSULE_ENDS))
    return (x * x + y * y + z * z).sqrt() - CAPSULE_RADIUS


def _along_capsule(p: Planes) -> Tensor:
    """Where the point of its axis that is nearest lies, from 0 at one end to 1 at the other."""
    x, y, z = _moved(p, CAPSULE_ENDS[0])
    a, b, c = (b - a for a, b in zip(*CAPSULE_ENDS))
    return ((x * a + y * b + z * c) / (a * a + b * b + c * c)).clamp(0, 1)


def _moved(p: Planes, centre: tuple[float, float, float], turn: float = 0.0) -> Planes:
    """Coordinates in the frame of a solid that stands at `centre`, turned around z by an angle."""
    x, y, z = (each - c for each, c in zip(p, centre))
    if turn:
        cos, sin = math.cos(turn), math.sin(turn)
        x, y = cos * x + sin * y, cos * y - sin * x
    return x, y, z


# ---- their colours ---------------------------------------------------------------------------------------------


def _disc_colour(p: Planes) -> Tensor:
    x, y, _ = p
    return _either(((x / 0.29).floor() + (y / 0.29).floor()) % 2 == 0, (0.97, 0.93, 0.84), (0.20, 0.28, 0.42))


def _sphere_colour(p: Planes) -> Tensor:
    _, _, z = _moved(p, SPHERE_CENTRE)
    return _between((z / SPHERE_RADIUS * 0.5 + 0.5).clamp(0, 1), (0.80, 0.08, 0.38), (1.00, 0.42, 0.24))


def _box_colour(p: Planes) -> Tensor:
    x, y, z = _moved(p, BOX_CENTRE, BOX_TURN)
    return _either(((x + y + z) / 0.15).floor() % 2 == 0, (0.12, 0.40, 0.88), (0.98, 0.97, 0.94))


def _torus_colour(p: Planes) -> Tensor:
    """Once round the rainbow."""
    _, y, z = _moved(p, TORUS_CENTRE, TORUS_TURN)
    return 0.55 + 0.45 * (torch.atan2(z, y)[..., None] + torch.tensor([0.0, -2.1, 2.1])).cos()


def _capsule_colour(p: Planes) -> Tensor:
    return _between(_along_capsule(p), (0.02, 0.62, 0.48), (0.98, 0.84, 0.20))


def _either(where: Tensor, one: tuple[float, ...], other: tuple[float, ...]) -> Tensor:
    return torch.where(where[..., None], torch.tensor(one), torch.tensor(other))


def _between(share: Tensor, one: tuple[float, ...], other: tuple[float, ...]) -> Tensor:
    return torch.lerp(torch.tensor(one), torch.tensor(other), share[..., None])


def _corners(centre: tuple[float, float, float], half: tuple[float, float, float], turn: float = 0.0) -> dict[str, tuple[float, ...]]:
    """The corners of an upright box around a solid that is turned around z."""
    cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
    half = (cos * half[0] + sin * half[1], sin * half[0] + cos * half[1], half[2])
    return {"low": tuple(c - h for c, h in zip(centre, half)), "high": tuple(c + h for c, h in zip(centre, half))}


_TORUS_HALF = (TORUS_RADII[1], sum(TORUS_RADII), sum(TORUS_RADII))
SOLIDS = (
    Solid("disc", _disc, _disc_colour, **_corners((0, 0, FLOOR - DISC_HALF), (DISC_RADIUS, DISC_RADIUS, DISC_HALF))),
    Solid("sphere", _sphere, _sphere_colour, **_corners(SPHERE_CENTRE, (SPHERE_RADIUS,) * 3)),
    Solid("box", _box, _box_colour, **_corners(BOX_CENTRE, BOX_HALF, BOX_TURN)),
    Solid("torus", _torus, _torus_colour, **_corners(TORUS_CENTRE, _TORUS_HALF, TORUS_TURN), convex=False),
    Solid("capsule", _capsule, _capsule_colour, low=tuple(min(ends) - CAPSULE_RADIUS for ends in zip(*CAPSULE_ENDS)),
          high=tuple(max(ends) + CAPSULE_RADIUS for ends in zip(*CAPSULE_ENDS))),
)
