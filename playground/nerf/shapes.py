"""A scene as points and as triangles instead of a field: made from its depth and its density, drawn by a z-buffer."""

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import maths

JUMP = 0.1                   # world units between neighbouring pixels' depths, from which on a pixel lies on an outline
SOLID = 0.9                  # opacity from which on a pixel shows a surface
SLIVER = 0.01                # of an edge: no corner of an isosurface is nearer to a grid's corner, so that each face has an area
CANDIDATES = 1_000_000       # pixels that triangles may cover, tested at once
NEAR = 0.05                  # world units in front of the camera where drawing begins
LARGEST = 16                 # pixels a side of a point's square: one just before the camera would fill the picture
FAR = 2**31 - 1              # of a z-buffer's numbers: nothing
FINE = 2**20                 # of them, in a world unit

CORNERS = maths.CORNERS      # of a cube: number 4 x + 2 y + z
TETRAHEDRA = torch.tensor([[0, a, a + b, 7] for a, b, _ in itertools.permutations((4, 2, 1))])          # (6, 4): Kuhn's, around the long diagonal


@dataclass(frozen=True)
class Points:
    x: Tensor                # (N, 3), world units
    rgb: Tensor              # (N, 3) in [0, 1]
    spacing: float           # world units from one to the next, about

    @property
    def bytes(self) -> int:
        """With coordinates in 16 bits and colours in 8."""
        return len(self.x) * (3 * 2 + 3)


@dataclass(frozen=True)
class Mesh:
    x: Tensor                # (V, 3), world units
    rgb: Tensor              # (V, 3) in [0, 1]
    faces: Tensor            # (F, 3) int64, counter-clockwise from outside

    @property
    def bytes(self) -> int:
        """With coordinates in 16 bits, colours in 8, and a face's corners in 32."""
        return len(self.x) * (3 * 2 + 3) + len(self.faces) * 3 * 4


# ---- points ----------------------------------------------------------------------------------------------------


def surface(rgb: Tensor, depth: Tensor, opacity: Tensor, pose: Tensor, field_of_view: float) -> tuple[Tensor, Tensor]:
    """Where the pixels of a picture (H, W) lie in the world (N, 3), and their colours; without outlines, whose depth is a mean
    of what is in front and what is behind."""
    H, W = depth.shape
    o, d = maths.camera_rays(pose, field_of_view, H, W)
    solid = depth.isfinite() & (opacity > SOLID)
    padded = F.pad(torch.where(solid, depth, math.inf)[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    around = torch.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    smooth = solid & ((around - depth).abs().amax(0) < JUMP)
    return (o + depth[..., None] * d)[smooth], rgb[smooth]


def thinned(x: Tensor, rgb: Tensor, spacing: float) -> Points:
    """One point for each cube of side `spacing`: the means of those that lie in it."""
    cell = (x / spacing).floor().long()
    cell -= cell.amin(0) if len(cell) else 0
    size = cell.amax(0) + 1 if len(cell) else torch.ones(3, dtype=torch.long)
    _, which, count = torch.unique((cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2], return_inverse=True, return_counts=True)
    sums = torch.zeros(len(count), 6).index_add_(0, which, torch.cat([x, rgb], dim=1)) / count[:, None]
    return Points(sums[:, :3].contiguous(), sums[:, 3:].contiguous(), spacing)


# ---- triangles -------------------------------------------------------------------------------------------------


def isosurface(values: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Where a function on a grid (n, n, n) has the value `level`: corners (V, 3) in cells, and faces (F, 3) that are closed
    but at the grid's border. Marching tetrahedra (Doi & Koide 1991): no case of theirs is ambiguous.

    Each cube is six tetrahedra; one whose corners are not all on one side is cut in a triangle, or in two where two corners
    are inside. The cut of an edge is found linearly.
    """
    n = values.shape[0]
    inside = values > level
    around = inside[None, None].float()
    mixed = (F.max_pool3d(around, 2, 1) > -F.max_pool3d(-around, 2, 1))[0, 0].nonzero()           # (C, 3): cubes that are cut
    stride = torch.tensor([n * n, n, 1])
    cubes = (mixed * stride).sum(1)[:, None] + (CORNERS * stride).sum(1)                              # (C, 8): the corners' numbers
    tetrahedra = cubes[:, TETRAHEDRA].view(-1, 4)
    within = inside.view(-1)[tetrahedra]
    order = within.int().argsort(dim=1, descending=True, stable=True)                                 # those inside first
    corner, count = tetrahedra.gather(1, order), within.sum(1)
    cuts = {1: [(0, 1, 0, 2, 0, 3)], 2: [(0, 2, 0, 3, 1, 3), (0, 2, 1, 3, 1, 2)], 3: [(0, 3, 1, 3, 2, 3)]}
    edges = [corner[count == k][:, list(cut)].view(-1, 3, 2) for k, both in cuts.items() for cut in both]
    edge = torch.cat(edges).sort(dim=2).values                                                        # (F, 3, 2)
    place = lambda i: torch.stack([i // (n * n), i // n % n, i % n], dim=-1)                          # noqa: E731
    from_first = place(corner[:, 1:]) - place(corner[:, :1])
    mirrored = (torch.linalg.cross(from_first[:, 0], from_first[:, 1]) * from_first[:, 2]).sum(1) < 0  # in whole numbers: surely
    mirrored = torch.cat([mirrored[count == k] for k, both in cuts.items() for _ in both])
    key, face = torch.unique(edge[..., 0] * n**3 + edge[..., 1], return_inverse=True)
    a, b = key // n**3, key % n**3
    from_, to = values.view(-1)[a], values.view(-1)[b]
    share = ((level - from_) / (to - from_)).clamp(SLIVER, 1 - SLIVER)
    x = torch.lerp(place(a).float(), place(b).float(), share[:, None])
    return x, torch.where(mirrored[:, None], face.flip(1), face)


def normals(x: Tensor, faces: Tensor) -> Tensor:
    """Unit normals (V, 3) of corners: of the faces around each, by their areas."""
    p, q, r = x[faces].unbind(1)
    n = torch.linalg.cross(q - p, r - p)
    return F.normalize(torch.zeros_like(x).index_add_(0, faces.flatten(), n.repeat_interleave(3, 0)), dim=1)


# ---- drawing ---------------------------------------------------------------------------------------------------


def project(x: Tensor, pose: Tensor, field_of_view: float, height: int, width: int) -> Tensor:
    """Column, row and distance in front of the camera (N, 3) of points (N, 3); pixel i lies between i and i + 1."""
    right, up, back = ((x - pose[:3, 3]) @ pose[:3, :3]).unbind(1)
    focal = 0.5 * width / math.tan(0.5 * field_of_view)
    z = -back
    at = z.clamp(min=NEAR)
    return torch.stack([0.5 * width + focal * right / at, 0.5 * height - focal * up / at, z], dim=1)


def draw_points(points: Points, pose: Tensor, field_of_view: float, height: int, width: int) -> tuple[Tensor, Tensor]:
    """rgb (H, W, 3) on white and which pixels are covered (H, W): each point a square as large as its spacing there, the nearest in front."""
    column, row, z = project(points.x, pose, field_of_view, height, width).unbind(1)
    number = (z > NEAR).nonzero()[:, 0]
    column, row, z = column[number], row[number], z[number]
    size = (points.spacing * 0.5 * width / math.tan(0.5 * field_of_view) / z).clamp(max=LARGEST)       # pixels
    column, row = column - size / 2, row - size / 2
    left, top = column.round().long(), row.round().long()
    wide, high = (column + size).round().long() - left, (row + size).round().long() - top
    wide, high = (side.clamp(min=1) for side in (wide, high))
    buffer = torch.full((height * width,), FAR << 32)
    key = ((z * FINE).long() << 32) | number
    for i, j in itertools.product(range(int(high.max()) if len(z) else 0), range(int(wide.max()) if len(z) else 0)):
        r, c = top + i, left + j
        on = (i < high) & (j < wide) & (r >= 0) & (r < height) & (c >= 0) & (c < width)
        buffer.scatter_reduce_(0, (r * width + c)[on], key[on], "amin")
    return _painted(buffer, lambda winner, _: points.rgb[winner], height, width)


def draw_mesh(mesh: Mesh, pose: Tensor, field_of_view: float, height: int, width: int) -> tuple[Tensor, Tensor]:
    """rgb (H, W, 3) on white and which pixels are covered (H, W): at each pixel's centre the nearest triangle, its corners' colours
    between them as perspective has it."""
    screen = project(mesh.x, pose, field_of_view, height, width)[mesh.faces]                           # (F, 3, 3)
    flat, z = screen[..., :2], screen[..., 2]
    low = (flat.amin(1) - 0.5).ceil().clamp(min=0).long()                                             # the first pixels whose centres may be inside
    high = torch.minimum((flat.amax(1) - 0.5).floor().long(), torch.tensor([width - 1, height - 1]))
    span = (high - low + 1).clamp(min=0)
    area = span[:, 0] * span[:, 1] * (z > NEAR).all(1)
    buffer = torch.full((height * width,), FAR << 32)
    some = area.nonzero()[:, 0]
    for part in some.split(_lengths(area[some])):
        which = torch.repeat_interleave(part, area[part])
        k = torch.arange(len(which)) - torch.repeat_interleave(area[part].cumsum(0) - area[part], area[part])
        column, row = low[which, 0] + k % span[which, 0], low[which, 1] + k // span[which, 0]
        share = barycentric(flat[which], torch.stack([column, row], dim=1) + 0.5)
        depth = 1 / (share / z[which]).sum(1)
        on = (share >= 0).all(1)
        buffer.scatter_reduce_(0, (row * width + column)[on], (((depth * FINE).long() << 32) | which)[on], "amin")

    def colour(winner: Tensor, pixel: Tensor) -> Tensor:
        share = barycentric(flat[winner], torch.stack([pixel % width, pixel // width], dim=1) + 0.5) / z[winner]
        return (share[..., None] * mesh.rgb[mesh.faces[winner]]).sum(1) / share.sum(1, keepdim=True)

    return _painted(buffer, colour, height, width)


def barycentric(triangle: Tensor, p: Tensor) -> Tensor:
    """The shares (N, 3) of the corners of plane triangles (N, 3, 2) in points p (N, 2): all positive inside; not a number where
    a triangle is a line."""
    a, b, c = triangle.unbind(1)
    cross = lambda u, v: u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]                                        # noqa: E731
    whole = cross(b - a, c - a)
    beside = cross(c - b, p - b) / whole, cross(a - c, p - c) / whole
    return torch.stack([*beside, 1 - beside[0] - beside[1]], dim=1)


def _lengths(area: Tensor) -> list[int]:
    """How many triangles at a time, in their order, so that about CANDIDATES pixels are tested at once."""
    part = area.cumsum(0) // CANDIDATES
    return torch.unique_consecutive(part, return_counts=True)[1].tolist()


def _painted(buffer: Tensor, colour, height: int, width: int) -> tuple[Tensor, Tensor]:
    """A z-buffer's picture: colour(winner, pixel) are the colours of what is in front, on white."""
    covered = buffer < FAR << 32
    pixel = covered.nonzero()[:, 0]
    rgb = torch.ones(height * width, 3)
    rgb[pixel] = colour(buffer[pixel] & 0xFFFFFFFF, pixel)
    return rgb.view(height, width, 3), covered.view(height, width)
