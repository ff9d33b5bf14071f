"""A voxel field as pictures that a browser renders by itself: 8 bits per number, dense in the box of the cells that hold something.

What the pictures and `meta` mean, the renderer says (ui/march.js): it knows neither raw densities nor spherical harmonics, so
that all constants of the field are folded into the ranges of the bytes here.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from . import maths

if TYPE_CHECKING:
    from ..core.checkpoints import Checkpoint

RAW = (-4.0, 12.0)           # raw densities that are told apart: 0.03 % of a voxel's light, and all but e^-8 of it
SHARES = (0.003, 0.997)      # of a coefficient's values, between which it is kept: the few beyond would cost all others precision
VISIBLE = 0.01               # optical depth of a voxel, below which a corner's colours do not count for their range
FAR = 16                     # cells: no emptiness is told to be larger
BYTES_MAX = 8 * 10**6        # of all pictures; where it takes more, the colour's change with direction is kept in fewer steps
STEPS = (1, 2, 4, 8, 16)     # of its bytes
FIELDS = ("constant", "y", "z", "x")                          # in the order of the spherical harmonics, maths.sh1


@dataclass(frozen=True)
class Baked:
    meta: Mapping[str, Any]               # JSON-able, see ui/march.js
    pictures: Mapping[str, bytes]         # "density", "empty", and each of FIELDS: PNG


@dataclass(frozen=True)
class Dense:
    """Values at the corners of a box of cells, (X, Y, Z, ...) with one corner more than cells along each axis."""

    density: np.ndarray      # float32; its softplus is a voxel's optical depth
    colour: np.ndarray       # float32 (X, Y, Z, 4, 3): the logit of a colour seen along d is [0] + d_y [1] + d_z [2] + d_x [3]
    empty: np.ndarray        # uint8: cells away the nearest that holds something is along any axis, at most FAR; the last of each axis is no cell


def bake(checkpoint: Checkpoint) -> Baked | None:
    """The pictures of a shipped or trained field; None where it is no grid of voxels, or takes more than BYTES_MAX."""
    field = checkpoint.model
    if not hasattr(field, "occupied"):
        return None
    values = torch.cat([field.raw, field.sh], dim=1).detach().float().cpu().numpy()
    return pack(field.occupied().cpu().numpy(), field.places().cpu().numpy(), values, field.bound)


def pack(occupied: np.ndarray, places: np.ndarray, values: np.ndarray, bound: float) -> Baked | None:
    """Any field of cells in a cube, as pictures. None where they take more than BYTES_MAX.

    occupied: (n, n, n) bool, the cells that hold something, x first. places: (V, 3) int in 0..n, of corners; all of the kept
    cells' among them. values: (V, 13), raw density and spherical harmonics as maths.sh_colour takes them. bound: half the
    cube's side, in world units.
    """
    held = np.argwhere(occupied)
    low, high = (held.min(0), held.max(0) + 1) if len(held) else (np.zeros(3, int), np.ones(3, int))
    inside = ((places >= low) & (places <= high)).all(1)
    at, values = tuple((places[inside] - low).T), values[inside]
    shape = tuple(high - low + 1)                             # corners
    box = occupied[tuple(slice(*ends) for ends in zip(low, high))]

    scale = maths.CONTRAST * np.repeat([maths.SH0] + 3 * [maths.BAND * maths.SH1], 3)
    colours = values[:, 1:] * scale                           # (V, 12)
    visible = np.logaddexp(0, values[:, 0] - maths.SHIFT) > VISIBLE
    ends = np.quantile(colours[visible] if visible.any() else colours, SHARES, axis=0) if len(colours) else np.zeros((2, 12))
    ends[1] = np.maximum(ends[1], ends[0] + 1e-6)
    columns = max(1, math.ceil(math.sqrt(shape[2] * shape[1] / shape[0])))       # so that the picture is about square
    voxel = 2 * bound / len(occupied)
    meta = {"cells": [int(side) - 1 for side in shape], "columns": columns, "origin": [float(i * voxel - bound) for i in low],
            "voxel": voxel, "density": [end - maths.SHIFT for end in RAW], "colour": ends.reshape(2, 4, 3).tolist(),
            "background": [1.0, 1.0, 1.0]}

    def picture(numbers: np.ndarray, ends: np.ndarray, step: int = 1) -> bytes:
        """numbers: (V, C), as bytes between two ends (2, C), at their places in the box."""
        steps = _bytes(numbers, ends) // step * step + step // 2
        dense = np.zeros((*shape, numbers.shape[1]), np.uint8)
        dense[at] = steps.clip(0, 255)
        return _png(_tiles(dense, columns))

    pictures = {"density": picture(values[:, :1], np.array(RAW)[:, None]), "empty": _png(_tiles(_emptiness(box)[..., None], columns)),
                "constant": picture(colours[:, :3], ends[:, :3])}
    for step in STEPS:
        turning = {name: picture(colours[:, 3 * i:3 * i + 3], ends[:, 3 * i:3 * i + 3], step) for i, name in enumerate(FIELDS) if i}
        if sum(map(len, (pictures | turning).values())) <= BYTES_MAX:
            return Baked(meta, pictures | turning)
    return None


def unbake(baked: Baked) -> Dense:
    """What a browser makes of the pictures."""
    meta = baked.meta
    shape = tuple(side + 1 for side in meta["cells"])

    def picture(name: str) -> np.ndarray:
        rows = np.asarray(Image.open(io.BytesIO(baked.pictures[name])))
        return _untiled(rows.reshape(*rows.shape[:2], -1), shape, meta["columns"])

    def floats(name: str, low: Any, high: Any) -> np.ndarray:
        return np.asarray(low, np.float32) + picture(name) * np.float32(1 / 255) * np.subtract(high, low, dtype=np.float32)

    colour = [floats(name, meta["colour"][0][i], meta["colour"][1][i]) for i, name in enumerate(FIELDS)]
    return Dense(floats("density", *meta["density"])[..., 0], np.stack(colour, axis=-2), picture("empty")[..., 0])


def _bytes(numbers: np.ndarray, ends: np.ndarray) -> np.ndarray:
    low, high = ends
    return ((numbers - low) * (255 / (high - low))).round().clip(0, 255).astype(np.int64)


def _emptiness(box: np.ndarray) -> np.ndarray:
    """uint8 (X + 1, Y + 1, Z + 1): 0 for a cell that holds something, else how far the nearest one is along any axis, at most FAR."""
    away = np.full(np.add(box.shape, 1), FAR, np.uint8)
    reached = np.pad(box, (0, 1))
    for distance in range(FAR):
        away[reached & (away == FAR)] = distance
        for axis in range(3):                                 # and its 26 neighbours, an axis after the other
            ahead, behind = np.zeros_like(reached), np.zeros_like(reached)
            there, here = [slice(None)] * 3, [slice(None)] * 3
            there[axis], here[axis] = slice(1, None), slice(None, -1)
            ahead[tuple(there)], behind[tuple(here)] = reached[tuple(here)], reached[tuple(there)]
            reached = reached | ahead | behind
    return away


def _tiles(dense: np.ndarray, columns: int) -> np.ndarray:
    """(X, Y, Z, C) as a picture (rows Y, columns X, C): layers z as tiles, side by side and then below."""
    X, Y, Z, C = dense.shape
    rows = -(-Z // columns)
    layers = np.zeros((rows * columns, Y, X, C), dense.dtype)
    layers[:Z] = dense.transpose(2, 1, 0, 3)
    return layers.reshape(rows, columns, Y, X, C).swapaxes(1, 2).reshape(rows * Y, columns * X, C)


def _untiled(picture: np.ndarray, shape: tuple[int, ...], columns: int) -> np.ndarray:
    """The inverse of `_tiles`."""
    X, Y, Z = shape
    layers = picture.reshape(-1, Y, columns, X, picture.shape[-1]).swapaxes(1, 2).reshape(-1, Y, X, picture.shape[-1])
    return layers[:Z].transpose(2, 1, 0, 3)


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()
