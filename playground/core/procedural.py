"""Built-in sets that need no download: points in the plane, drawn digits and drawn shapes.

Sample i of seed s is the same in whatever batch it is drawn: all randomness is a function of (seed, index, factor).
Pictures agree on every machine to within one grey level (the last bit of a cosine is the platform's own).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from . import images, inputs
from .errors import PlaygroundError

POINTS = ("ring", "moons", "spirals", "checkerboard", "gaussians")
DENSITIES = ("ring", "gaussians", "checkerboard")             # those of POINTS whose density is known

RING_MODES, RING_RADIUS, RING_STD = 8, 1.4, 0.1               # neighbours are 1.07 = 10.7 std apart
PAIR_CENTRES, PAIR_STD = ((-0.9, -0.6), (0.9, 0.6)), 0.35
MOONS_STD, SPIRALS_STD = 0.08, 0.04
SKETCH_SPAN = 2.2                                             # a visitor's drawing reaches from -SKETCH_SPAN to SKETCH_SPAN
SKETCH_STD = SKETCH_SPAN / images.PAD                         # of a point around its pixel's middle: half a pixel
SKETCHES_KEPT = 48

GLYPH_CLASSES = tuple("0123456789")
GLYPH_FACTORS = {                                             # drawn uniformly from (low, high)
    "slant": (-0.3, 0.3),                                     # tangent of the lean; the top goes right if positive
    "thickness": (0.05, 0.13),                                # stroke width, in sides of the picture
    "scale": (0.5, 0.7),                                      # height of the digit's skeleton, in sides
    "shift_x": (-0.06, 0.06),                                 # of the centre, in sides, to the right
    "shift_y": (-0.06, 0.06),                                 # in sides, downwards
    "rotation": (-12.0, 12.0),                                # degrees, clockwise
}

SHAPE_CLASSES = ("circle", "square", "triangle", "star", "ring", "cross")
SHAPE_FACTORS = {
    "hue": (0.0, 360.0),                                      # degrees on the HSV circle; 0 is red
    "size": (0.2, 0.36),                                      # radius of the circle around the shape, in sides
    "x": (-0.12, 0.12),                                       # centre, in sides from the middle, to the right
    "y": (-0.12, 0.12),                                       # downwards
    "angle": (0.0, 360.0),                                    # degrees, clockwise; a square looks the same each 90
}
SHAPE_BACKGROUND = 0.95                                       # of white
SHAPE_SATURATION, SHAPE_VALUE = 0.75, 0.85                    # of the HSV colours

# Bytes of one intermediate array; images are drawn in chunks of that. Larger ones leave the cache and are given back
# to the system after each use, which costs three times the time in page faults.
CHUNK = 300_000


@dataclass(frozen=True)
class Drawn:
    """Pictures and what they were drawn from."""

    images: Tensor                                            # uint8 (N, C, size, size)
    labels: Tensor                                            # int64 (N,)
    factors: dict[str, Tensor]                                # name -> float32 (N,)


# Noise by counter


def random_bits(seed: int, index: np.ndarray, factor: int) -> np.ndarray:
    """64 random bits, uint64 like `index`: value number `index` of the SplitMix64 stream of (seed, factor).

    SplitMix64 (Steele, Lea and Flood 2014) jumps to any index at once; neighbouring seeds and factors share nothing.
    """
    state = _stream(int(_stream(seed, np.zeros(1))[0]), np.asarray([factor]))
    return _stream(int(state[0]), index)


def _stream(state: int, index: np.ndarray) -> np.ndarray:
    """Outputs number `index` (from 0) of SplitMix64 started at `state`, uint64. All arithmetic is modulo 2^64."""
    x = np.uint64(state & 2**64 - 1) + (index.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(seed: int, index: np.ndarray, factor: int) -> np.ndarray:
    """Uniform numbers in [0, 1), float64 like `index`."""
    return (random_bits(seed, index, factor) >> np.uint64(11)) * 2.0**-53


def _normal(seed: int, index: np.ndarray, factor: int) -> np.ndarray:
    """Standard normal pairs, float64 (n, 2), by Box and Muller's transform of factors `factor` and `factor + 1`."""
    radius = np.sqrt(-2 * np.log(1 - uniform(seed, index, factor)))    # 1 - u lies in (0, 1]
    angle = 2 * np.pi * uniform(seed, index, factor + 1)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _choose(seed: int, index: np.ndarray, factor: int, count: int) -> np.ndarray:
    """Uniform choices in 0..count-1, int64 like `index`."""
    return (uniform(seed, index, factor) * count).astype(np.int64)


def _index(n: int, start: int) -> np.ndarray:
    assert n >= 0 and start >= 0, (n, start)
    return np.arange(start, start + n, dtype=np.int64)


# Points


def points(name: str, n: int, seed: int, start: int = 0) -> Tensor:
    """Samples start..start+n-1 of a set in the plane, float32 (n, 2), about in [-2, 2]^2.

    Raises `PlaygroundError` for a name that is not in POINTS.
    """
    inputs.choice("points", name, POINTS)
    index = _index(n, start)
    noise = _normal(seed, index, 0)
    u = uniform(seed, index, 2)
    if name in ("ring", "gaussians"):
        centres, std = modes(name)
        xy = centres.numpy()[_choose(seed, index, 3, len(centres))] + std * noise
    elif name == "moons":
        xy = _moons(np.pi * u, _choose(seed, index, 3, 2)) + MOONS_STD * noise
    elif name == "spirals":
        xy = _spirals(u, _choose(seed, index, 3, 2)) + SPIRALS_STD * noise
    else:
        square = _choose(seed, index, 3, 8)                   # 8 of the 16 unit squares, two in each row
        row = square // 2
        column = 2 * (square % 2) + row % 2
        xy = np.stack([column - 2 + u, row - 2 + uniform(seed, index, 4)], axis=1)
    return torch.from_numpy(xy.astype(np.float32))


def _moons(t: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Two interleaved half circles, t in [0, pi], centred and 3.6 wide."""
    x = np.where(lower, 1 - np.cos(t), np.cos(t)) - 0.5
    y = np.where(lower, 0.5 - np.sin(t), np.sin(t)) - 0.25
    return 1.2 * np.stack([x, y], axis=1)


def _spirals(u: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """Two arms of one and a half turns out to radius 1.8; sqrt(u) spreads the points evenly along them."""
    t = np.sqrt(u)
    angle = 3 * np.pi * t + np.pi * arm
    return 1.8 * t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def modes(name: str) -> tuple[Tensor, float]:
    """Centres (K, 2) float64 and the one std of the equally likely Gaussians of "ring" or "gaussians"."""
    assert name in ("ring", "gaussians"), name
    if name == "gaussians":
        return torch.tensor(PAIR_CENTRES, dtype=torch.float64), PAIR_STD
    angle = 2 * math.pi * torch.arange(RING_MODES, dtype=torch.float64) / RING_MODES
    return RING_RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1), RING_STD


@lru_cache(SKETCHES_KEPT)
def sketch_modes(ink: str) -> tuple[Tensor, float]:
    """Centres (K, 2) float32 and the one std of the equally likely Gaussians that a drawing stands for: the middles of its inked pixels, y upwards.

    ink: `images.pack_drawing`'s text. Raises `PlaygroundError` where it is none, or empty.
    """
    rows, columns = np.nonzero(images.unpack_drawing(ink))
    if not len(rows):
        raise PlaygroundError("image.empty")
    middles = np.stack([columns + 0.5, images.PAD - rows - 0.5], axis=1) / images.PAD
    return torch.from_numpy(2 * SKETCH_SPAN * middles - SKETCH_SPAN).float(), SKETCH_STD


def sketch(ink: str, n: int, seed: int, start: int = 0) -> Tensor:
    """Samples start..start+n-1 of a drawing, float32 (n, 2): see `sketch_modes`."""
    (centres, std), index = sketch_modes(ink), _index(n, start)
    return centres[_choose(seed, index, 0, len(centres))] + std * torch.from_numpy(_normal(seed, index, 1)).float()


def log_density(name: str, x: Tensor) -> Tensor:
    """log p(x) in nats, (n,), of a set in DENSITIES at points (n, 2); -inf where the checkerboard is empty."""
    assert name in DENSITIES, name
    if name == "checkerboard":
        cell = x.floor()
        inside = (cell >= -2).all(dim=1) & (cell < 2).all(dim=1) & (cell.sum(dim=1) % 2 == 0)
        return torch.where(inside, -math.log(8), -math.inf).to(x.dtype)
    centres, std = modes(name)
    squares = (x[:, None] - centres.to(x)).square().sum(dim=2)         # (n, K)
    return torch.logsumexp(-squares / (2 * std**2), dim=1) - math.log(len(centres) * 2 * math.pi * std**2)


# Glyphs: ten digits as strokes


def glyphs(n: int, seed: int, start: int = 0, size: int = 28) -> Drawn:
    """Digits start..start+n-1 of an endless set: white strokes on black, images (n, 1, size, size)."""
    index = _index(n, start)
    labels = _choose(seed, index, 0, len(GLYPH_CLASSES))
    factors = _factors(GLYPH_FACTORS, seed, index)
    return _drawn(_draw_glyphs(labels, factors, size), labels, factors)


def render_glyph(label: int, *, size: int = 28, **factors: float) -> Tensor:
    """One digit, uint8 (1, size, size). Factors left out take the middle of their range; others are clamped into it.

    Raises `PlaygroundError` for a label outside 0..9 or a factor that is not a finite number.
    """
    assert factors.keys() <= GLYPH_FACTORS.keys(), factors.keys() - GLYPH_FACTORS.keys()
    label = inputs.integer("label", label, 0, len(GLYPH_CLASSES) - 1)
    values = {
        name: np.asarray([inputs.number(name, factors.get(name, (low + high) / 2), low, high)], dtype=np.float32)
        for name, (low, high) in GLYPH_FACTORS.items()
    }
    return torch.from_numpy(_draw_glyphs(np.asarray([label]), values, size))[0]


def _arc(
    cx: float, cy: float, rx: float, ry: float, first: float, last: float, segments: int
) -> list[tuple[float, float]]:
    """Points on an ellipse from angle `first` to `last`, in degrees clockwise from the right (y points down)."""
    angles = [math.radians(first + (last - first) * i / segments) for i in range(segments + 1)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


_SIX = [_arc(0, 0.42, 0.56, 0.58, 0, 360, 13), _arc(0.5, 0.42, 1.06, 1.42, 180, 262, 6)]

# The strokes of each digit in a box of height 2, x about -0.6..0.6, y from -1 (top) to 1 (bottom).
_STROKES = (
    [_arc(0, 0, 0.6, 1, 0, 360, 16)],
    [[(-0.3, -0.62), (0.08, -1), (0.08, 1)]],
    [[*_arc(0, -0.44, 0.56, 0.56, -165, 38, 10), (-0.6, 1), (0.62, 1)]],
    [[*_arc(-0.06, -0.5, 0.52, 0.5, -150, 90, 9), *_arc(-0.06, 0.48, 0.6, 0.52, -90, 150, 9)]],
    [[(0.26, 1), (0.26, -1), (-0.62, 0.38), (0.62, 0.38)]],
    [[(0.5, -1), (-0.38, -1), (-0.46, -0.06), *_arc(-0.02, 0.38, 0.6, 0.62, -128, 145, 11)]],
    _SIX,
    [[(-0.56, -1), (0.56, -1), (-0.14, 1)]],
    [_arc(0, -0.5, 0.46, 0.5, 0, 360, 11), _arc(0, 0.5, 0.58, 0.5, 0, 360, 11)],
    [[(-x, -y) for x, y in stroke] for stroke in _SIX],
)


def _segments(strokes: list[list[tuple[float, float]]], count: int) -> np.ndarray:
    """The straight pieces of some strokes, (count, 2 ends, 2); the last one is repeated, which draws nothing new."""
    pieces = [(a, b) for stroke in strokes for a, b in zip(stroke, stroke[1:]) if a != b]
    return np.asarray(pieces + [pieces[-1]] * (count - len(pieces)))


_LONGEST = max(sum(len(stroke) - 1 for stroke in strokes) for strokes in _STROKES)
_SKELETONS = np.stack([_segments(strokes, _LONGEST) for strokes in _STROKES])      # (10, S, 2, 2)


def _draw_glyphs(labels: np.ndarray, factors: Mapping[str, np.ndarray], size: int) -> np.ndarray:
    """uint8 (N, 1, size, size) from labels (N,) and factors (N,)."""
    images = np.empty((len(labels), 1, size, size), dtype=np.uint8)
    for part in _chunks(np.arange(len(labels)), _LONGEST * size * size):
        f = {name: values[part].astype(np.float64)[:, None, None] for name, values in factors.items()}
        x, y = np.moveaxis(_SKELETONS[labels[part]], 3, 0)              # each (n, S, 2 ends)
        x = x - f["slant"] * y                                          # y points down: -y is the height
        turn = np.radians(f["rotation"])
        x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
        x = size * (0.5 + f["shift_x"] + f["scale"] / 2 * x)
        y = size * (0.5 + f["shift_y"] + f["scale"] / 2 * y)
        distance = _distance_to_segments(x, y, size)
        half_width = (size / 2 * f["thickness"]).astype(np.float32)
        images[part, 0] = _to_uint8(_coverage(distance - half_width))
    return images


def _distance_to_segments(x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """Distance from each pixel's centre to the nearest of S segments, float32 (N, size, size), in pixels.

    x, y: ends of the segments, (N, S, 2), in pixels. Only + - * / and square roots, so batches cannot differ in a bit.
    """
    dx, dy = x[..., 1] - x[..., 0], y[..., 1] - y[..., 0]
    length = np.sqrt(dx * dx + dy * dy)[..., None]                     # (N, S, 1)
    ux, uy = dx[..., None] / length, dy[..., None] / length
    pixels = np.arange(size) + 0.5
    px, py = pixels - x[..., :1], pixels - y[..., :1]                  # (N, S, size), from the first end
    # Each pixel in the segment's own frame: along it and across it. Both are sums of a column and a row.
    along = (ux * px).astype(np.float32)[:, :, None, :] + (uy * py).astype(np.float32)[:, :, :, None]
    across = (ux * py).astype(np.float32)[:, :, :, None] - (uy * px).astype(np.float32)[:, :, None, :]
    end = length.astype(np.float32)[..., None]
    beyond = along - np.minimum(np.maximum(along, np.float32(0)), end)
    beyond *= beyond
    across *= across
    beyond += across
    return np.sqrt(beyond.min(axis=1))


# Shapes: six coloured figures


def shapes(n: int, seed: int, start: int = 0, size: int = 32) -> Drawn:
    """Shapes start..start+n-1 of an endless set: one colour on a plain background, images (n, 3, size, size)."""
    index = _index(n, start)
    labels = _choose(seed, index, 0, len(SHAPE_CLASSES))
    factors = _factors(SHAPE_FACTORS, seed, index)
    images = np.empty((n, 3, size, size), dtype=np.uint8)
    for label in range(len(SHAPE_CLASSES)):
        for part in _chunks(np.flatnonzero(labels == label), size * size):
            images[part] = _draw_shapes(label, {name: values[part] for name, values in factors.items()}, size)
    return _drawn(images, labels, factors)


def _draw_shapes(label: int, factors: Mapping[str, np.ndarray], size: int) -> np.ndarray:
    """uint8 (N, 3, size, size): one kind of shape with factors (N,)."""
    f = {name: values.astype(np.float64)[:, None] for name, values in factors.items()}
    pixels = (np.arange(size) + 0.5) / size - 0.5
    px, py = (pixels - f["x"]) / f["size"], (pixels - f["y"]) / f["size"]          # (N, size), in radii
    turn = np.radians(f["angle"])
    # Turn the pixels back into the shape's frame; each coordinate is the sum of a column and a row.
    x = (np.cos(turn) * px).astype(np.float32)[:, None, :] + (np.sin(turn) * py).astype(np.float32)[:, :, None]
    y = (np.cos(turn) * py).astype(np.float32)[:, :, None] - (np.sin(turn) * px).astype(np.float32)[:, None, :]
    radius = (size * f["size"]).astype(np.float32)[..., None]                      # pixels
    ink = _coverage(_SIGNED_DISTANCES[label](x, y) * radius)[:, None]
    colour = _rgb(f["hue"]).astype(np.float32)[..., None, None]                    # (N, 3, 1, 1)
    return _to_uint8(np.float32(SHAPE_BACKGROUND) + ink * (colour - np.float32(SHAPE_BACKGROUND)))


def _rgb(hue: np.ndarray) -> np.ndarray:
    """(N, 3) in [0, 1] from hues (N, 1) in degrees at our saturation and value (HSV; each channel is a trapezium)."""
    k = (np.asarray([5.0, 3.0, 1.0]) + hue / 60) % 6
    return SHAPE_VALUE * (1 - SHAPE_SATURATION * np.clip(np.minimum(k, 4 - k), 0, 1))


# Signed distances to figures inside the unit circle, negative inside; exact, after Inigo Quilez,
# "2D distance functions". x, y: arrays of one shape, y down.


def _circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y) - 1


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(np.abs(x) - np.float32(0.5**0.5), np.abs(y) - np.float32(0.5**0.5))


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _polygon(x, y, [(math.cos(a), math.sin(a)) for a in np.radians([-90, 30, 150])])


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    tips = [(1.0 if i % 2 == 0 else 0.45, math.radians(36 * i - 90)) for i in range(10)]
    return _polygon(x, y, [(r * math.cos(a), r * math.sin(a)) for r, a in tips])


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.sqrt(x * x + y * y) - np.float32(0.78)) - np.float32(0.22)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    long, short = 0.95, 0.31                                  # half the length and half the width of an arm
    corners = [(short, short), (short, long), (-short, long)]  # a quarter of the outline: inner corner, tip, tip
    for _ in range(3):
        corners += [(-y, x) for x, y in corners[-3:]]         # the same a quarter turn further
    return _polygon(x, y, corners)


def _box(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance to a quadrant's corner at the origin: outside to its edge or corner, inside to the nearer edge."""
    outside_x, outside_y = np.maximum(x, 0), np.maximum(y, 0)
    return np.sqrt(outside_x * outside_x + outside_y * outside_y) + np.minimum(np.maximum(x, y), 0)


def _polygon(x: np.ndarray, y: np.ndarray, corners: list[tuple[float, float]]) -> np.ndarray:
    """Signed distance to a simple polygon: the nearest edge, with the sign from how often a ray crosses the outline."""
    squares, outside = np.full_like(x, np.inf), np.ones(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]]):
        ex, ey = bx - ax, by - ay
        px, py = x - np.float32(ax), y - np.float32(ay)
        t = np.minimum(np.maximum((px * np.float32(ex) + py * np.float32(ey)) / np.float32(ex * ex + ey * ey), 0), 1)
        qx, qy = px - t * np.float32(ex), py - t * np.float32(ey)
        np.minimum(squares, qx * qx + qy * qy, out=squares)
        if ey:                                                # a level edge is never crossed by a level ray
            level = (y >= np.float32(ay)) != (y >= np.float32(by))
            outside ^= level & (px < py * np.float32(ex / ey))
    return np.where(outside, 1, -1).astype(np.float32) * np.sqrt(squares)


_SIGNED_DISTANCES = (_circle, _square, _triangle, _star, _ring, _cross)


# Shared by both


def _factors(ranges: Mapping[str, tuple[float, float]], seed: int, index: np.ndarray) -> dict[str, np.ndarray]:
    """Each factor uniform in its range, float32 (N,); factor number 0 is the label's."""
    return {
        name: (low + (high - low) * uniform(seed, index, number)).astype(np.float32)
        for number, (name, (low, high)) in enumerate(ranges.items(), start=1)
    }


def _chunks(rows: np.ndarray, numbers: int) -> Iterator[np.ndarray]:
    """`rows` in parts, where each row needs so many float32 numbers at once."""
    count = max(1, CHUNK // (4 * numbers))
    for i in range(0, len(rows), count):
        yield rows[i:i + count]


def _coverage(distance: np.ndarray) -> np.ndarray:
    """How much of each pixel is inked, [0, 1], from its centre's signed distance to the outline in pixels."""
    return np.minimum(np.maximum(np.float32(0.5) - distance, np.float32(0)), np.float32(1))


def _to_uint8(x: np.ndarray) -> np.ndarray:
    return (x * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _drawn(images: np.ndarray, labels: np.ndarray, factors: Mapping[str, np.ndarray]) -> Drawn:
    return Drawn(torch.from_numpy(images), torch.from_numpy(labels),
                 {name: torch.from_numpy(values) for name, values in factors.items()})
