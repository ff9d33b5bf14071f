"""A small field on a sparse grid of voxels, and its picture by brute force in float64: the referee of all that draws one quickly."""

import math
from dataclasses import dataclass

import numpy as np

from playground.nerf import maths

BOUND = 1.3


@dataclass(frozen=True)
class Field:
    """`occupied` (n, n, n) bool, the kept cells; `values` (n + 1, n + 1, n + 1, 13) at all corners: raw density, spherical harmonics."""

    occupied: np.ndarray
    values: np.ndarray

    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Places (V, 3) and values (V, 13) of the corners of kept cells."""
        used = np.zeros(self.values.shape[:3], bool)
        n = len(self.occupied)
        for i, j, k in np.ndindex(2, 2, 2):
            used[i:n + i, j:n + j, k:n + k] |= self.occupied
        return np.argwhere(used), self.values[used]


def ball_and_ring(n: int) -> Field:
    """A ball and a ring around it, low in the cube, whose colours change with the place and with the direction they are seen from."""
    x, y, z = p = np.stack(np.meshgrid(*3 * [np.linspace(-BOUND, BOUND, n + 1)], indexing="ij"))
    z = z + 0.3
    voxel = 2 * BOUND / n
    ball = np.sqrt(x**2 + y**2 + z**2) - 0.45
    ring = np.sqrt((np.sqrt(x**2 + y**2) - 0.85) ** 2 + (2 * z) ** 2) - 0.17
    raw = np.clip(4 - 4 * np.minimum(ball, ring) / voxel, -3, 11)          # a soft skin, two voxels thick
    sh = np.stack([np.sin(3 * p[i % 3] + i) * (2.5 if i < 3 else 1.5) for i in range(12)], axis=-1)
    near = np.minimum(ball, ring) < 2 * voxel
    occupied = near[:-1, :-1, :-1] & near[1:, 1:, 1:]
    return Field(occupied, np.concatenate([raw[..., None], sh], axis=-1))


def render(field: Field, camera: tuple[float, float, float, float], size: int, finer: int = 1) -> np.ndarray:
    """(size, size, 3) in [0, 1] on white, float64, with `finer` samples in a voxel's length. camera: azimuth, elevation (degrees),
    distance, field of view (degrees)."""
    azimuth, elevation, distance, view = camera
    rays = maths.camera_rays(maths.orbit_pose(azimuth, elevation, distance), math.radians(view), size, size)
    n = len(field.occupied)
    o, d = (ray.double().numpy().reshape(-1, 3) for ray in rays)
    o, d = (o / BOUND + 1) * n / 2, d / finer                 # in voxels from the cube's corner, and steps
    held = np.argwhere(field.occupied)
    a, b = (held.min(0) - o) / d, (held.max(0) + 1 - o) / d
    near, far = np.minimum(a, b).max(1), np.maximum(a, b).min(1)
    colour, light = np.zeros_like(o), np.ones(len(o))
    for k in range(math.ceil((far - near).max())):
        t = near + k + 0.5
        p = o + t[:, None] * d
        cell = np.floor(p).astype(int).clip(0, n - 1)
        held = np.nonzero((t < far) & field.occupied[tuple(cell.T)])[0]
        f, value = p[held] - cell[held], 0
        for corner in np.ndindex(2, 2, 2):
            share = np.prod(np.where(corner, f, 1 - f), axis=1)
            value = value + share[:, None] * field.values[tuple((cell[held] + corner).T)]
        tau = np.logaddexp(0, value[:, 0] - 4) / finer
        along = d[held] * finer
        basis = np.stack([np.full(len(held), 0.5), *(0.4 * math.sqrt(3) / 2 * along[:, axis] for axis in (1, 2, 0))], axis=1) / math.sqrt(math.pi)
        rgb = 1 / (1 + np.exp(-3 * (basis[:, :, None] * value[:, 1:].reshape(-1, 4, 3)).sum(1)))
        colour[held] += (light[held] * -np.expm1(-tau))[:, None] * rgb
        light[held] *= np.exp(-tau)
    return (colour + light[:, None]).reshape(size, size, 3)


def psnr(picture: np.ndarray, reference: np.ndarray) -> float:
    """dB, of pictures in [0, 1]."""
    return -10 * math.log10(((picture - reference) ** 2).mean())
