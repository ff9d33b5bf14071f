import math
import time

import numpy as np
import pytest
import torch

from playground.core import images, procedural
from playground.core.errors import PlaygroundError

SETS = {"glyphs": procedural.glyphs, "shapes": procedural.shapes}


def test_noise_is_the_published_splitmix64_stream():
    # The first outputs from state 0, as in Vigna's reference code.
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert procedural._stream(0, np.arange(3)).tolist() == expected


def test_noise_of_neighbouring_seeds_factors_and_indices_is_uncorrelated():
    index = np.arange(50_000)
    a = procedural.uniform(7, index, 0)
    assert abs(a.mean() - 0.5) < 5 / math.sqrt(12 * len(a))
    for other in (procedural.uniform(8, index, 0), procedural.uniform(7, index, 1), procedural.uniform(7, index + 1, 0)):
        assert abs(np.corrcoef(a, other)[0, 1]) < 5 / math.sqrt(len(a))


@pytest.mark.parametrize("draw", SETS.values(), ids=SETS)
def test_an_image_depends_on_seed_and_index_alone(draw):
    whole = draw(50, seed=3)
    parts = [draw(n, seed=3, start=start) for start, n in ((0, 1), (1, 18), (19, 31))]
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))
    for name, values in whole.factors.items():
        assert torch.equal(values, torch.cat([part.factors[name] for part in parts]))
    assert not torch.equal(whole.images, draw(50, seed=4).images)
    assert len(whole.images.flatten(1).unique(dim=0)) == 50


@pytest.mark.parametrize("name", procedural.POINTS)
def test_a_point_depends_on_seed_and_index_alone(name):
    whole = procedural.points(name, 101, seed=3)
    parts = [procedural.points(name, n, 3, start) for start, n in ((0, 1), (1, 37), (38, 63))]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, procedural.points(name, 101, seed=4))


@pytest.mark.parametrize("draw, channels", [(procedural.glyphs, 1), (procedural.shapes, 3)])
@pytest.mark.parametrize("size", [28, 32])
def test_pictures_have_the_stated_shape_and_factors_their_ranges(draw, channels, size):
    drawn = draw(2_000, 0, size=size)
    assert drawn.images.shape == (2_000, channels, size, size) and drawn.images.dtype == torch.uint8
    assert drawn.labels.dtype == torch.int64
    ranges = procedural.GLYPH_FACTORS if draw is procedural.glyphs else procedural.SHAPE_FACTORS
    assert drawn.factors.keys() == ranges.keys()
    for name, (low, high) in ranges.items():
        values = (drawn.factors[name] - low) / (high - low)
        assert -1e-5 <= values.min() < 0.01 and 0.99 < values.max() <= 1 + 1e-5, name
    counts = drawn.labels.bincount()
    expected = 2_000 / len(counts)
    assert (counts - expected).square().sum() / expected < 35         # chi-square, 9 or 5 degrees of freedom


@pytest.mark.parametrize("draw, background", [(procedural.glyphs, 0), (procedural.shapes, 242)])
def test_figures_are_rarely_cut_by_the_border(draw, background):
    images = draw(1_000, 0).images
    border = torch.cat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], dim=2)
    cut = ((border.int() - background).abs() > 1).flatten(1).any(dim=1)
    assert cut.float().mean() < 0.01


# Points


def _cells(x: torch.Tensor, low: float, width: float, count: int) -> torch.Tensor:
    """How many of the points (n, 2) fall into each of count x count square cells; those outside are left out."""
    cell = ((x - low) / width).floor().long()
    cell = cell[((cell >= 0) & (cell < count)).all(dim=1)]
    return torch.bincount(cell[:, 0] * count + cell[:, 1], minlength=count * count)


def _midpoints(low: float, high: float, count: int) -> tuple[torch.Tensor, float]:
    """The centres of count x count cells, (count^2, 2) float64, first axis slowest, and the area of each."""
    axis = low + (high - low) * (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.cartesian_prod(axis, axis), ((high - low) / count) ** 2


@pytest.mark.parametrize("name", procedural.DENSITIES)
def test_a_density_integrates_to_one(name):
    grid, area = _midpoints(-4, 4, 800)
    assert abs(procedural.log_density(name, grid).exp().sum() * area - 1) < 1e-6


@pytest.mark.parametrize("name", procedural.DENSITIES)
def test_samples_fill_the_cells_as_their_density_says(name):
    n, cells, fine = 50_000, 16, 20
    grid, area = _midpoints(-2.5, 2.5, cells * fine)
    mass = (procedural.log_density(name, grid).exp() * area).view(cells, fine, cells, fine).sum(dim=(1, 3)).flatten()
    found = _cells(procedural.points(name, n, 0).double(), -2.5, 5 / cells, cells)
    used = n * mass > 5
    chi_square = ((found - n * mass)[used].square() / (n * mass)[used]).sum()
    freedom = int(used.sum())
    assert chi_square < freedom + 5 * math.sqrt(2 * freedom)
    assert found[mass == 0].sum() == 0


@pytest.mark.parametrize("name", ["ring", "gaussians"])
def test_each_mode_has_the_stated_centre_and_std(name):
    centres, std = procedural.modes(name)
    x = procedural.points(name, 20_000, 1).double()
    nearest = torch.cdist(x, centres).argmin(dim=1)
    for k, centre in enumerate(centres):
        mine = x[nearest == k]
        assert abs(len(mine) / len(x) - 1 / len(centres)) < 0.015
        assert (mine.mean(dim=0) - centre).abs().max() < 5 * std / math.sqrt(len(mine)) + 0.01 * std
        assert (mine.std(dim=0) / std - 1).abs().max() < 0.05


def test_the_checkerboard_is_empty_where_its_density_is():
    x = torch.tensor([[-1.5, -1.5], [-0.5, -1.5], [1.5, 1.5], [2.5, 0.5], [0.5, -2.5]])
    expected = [math.log(1 / 8), -math.inf, math.log(1 / 8), -math.inf, -math.inf]
    assert procedural.log_density("checkerboard", x).tolist() == pytest.approx(expected)


def test_moons_and_spirals_lie_within_noise_of_their_curves():
    t = np.linspace(0, 1, 2_000)
    for name, curve, std in (
        ("moons", lambda arm: procedural._moons(np.pi * t, np.full(len(t), arm)), procedural.MOONS_STD),
        ("spirals", lambda arm: procedural._spirals(t, np.full(len(t), arm)), procedural.SPIRALS_STD),
    ):
        x = procedural.points(name, 2_000, 0).double()
        distances = torch.stack([torch.cdist(x, torch.from_numpy(curve(arm))).amin(dim=1) for arm in (0, 1)])
        assert distances.amin(dim=0).max() < 5 * std
        assert (distances[0] < distances[1]).double().mean() == pytest.approx(0.5, abs=0.06)   # both arms, evenly
        assert x.abs().max() < 2.2


def test_points_of_a_drawing_lie_half_a_pixel_around_its_ink():
    ink = np.zeros((images.PAD, images.PAD), bool)
    ink[10, 40] = True
    points = procedural.sketch(images.pack_drawing(ink), 4_000, 0)
    middle = torch.tensor([(40.5 / 56 * 2 - 1) * procedural.SKETCH_SPAN, (1 - 10.5 / 56 * 2) * procedural.SKETCH_SPAN])
    torch.testing.assert_close(points.mean(0), middle, atol=3e-3, rtol=0)
    assert points.std(0).tolist() == pytest.approx([procedural.SKETCH_STD] * 2, rel=0.05)
    torch.testing.assert_close(procedural.sketch(images.pack_drawing(ink), 10, 0, 90), points[90:100])


def test_each_inked_pixel_of_a_drawing_is_as_likely_as_the_others():
    ink = np.zeros((images.PAD, images.PAD), bool)
    ink[[3, 30, 50], [5, 28, 50]] = True
    points = procedural.sketch(images.pack_drawing(ink), 9_000, 0)
    centres, std = procedural.sketch_modes(images.pack_drawing(ink))
    distance, nearest = torch.cdist(points, centres).min(1)
    assert centres.shape == (3, 2) and distance.max() < 6 * std
    assert (torch.bincount(nearest) / len(points)).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)


@pytest.mark.parametrize("ink", [np.zeros((images.PAD, images.PAD), bool), None])
def test_a_drawing_without_ink_is_named(ink):
    with pytest.raises(PlaygroundError) as caught:
        procedural.sketch("" if ink is None else images.pack_drawing(ink), 1, 0)
    assert caught.value.key == "image.empty"


def test_points_are_spread_evenly_along_the_spirals():
    # The length of an arm up to radius r grows about as r^2, so r^2 is uniform.
    squares = (procedural.points("spirals", 20_000, 0).norm(dim=1) / 1.8).square()
    levels = torch.linspace(0.1, 0.9, 9)                      # the noise blurs both ends
    assert (squares.quantile(levels) - levels).abs().max() < 0.02


def test_an_unknown_set_of_points_is_refused_with_the_known_ones():
    with pytest.raises(PlaygroundError, match="circle.*moons"):
        procedural.points("circle", 1, 0)


# Glyphs


def _moments(image: torch.Tensor) -> tuple[float, float, float, float]:
    """Centroid x, y in pixels, then the ink's covariance of x and y, and its variance of y."""
    ink = image.double().sum(dim=0)
    ink = ink / ink.sum()
    x = torch.arange(ink.shape[1], dtype=torch.float64) + 0.5
    y = torch.arange(ink.shape[0], dtype=torch.float64)[:, None] + 0.5
    mean_x, mean_y = (ink * x).sum().item(), (ink * y).sum().item()
    covariance = (ink * (x - mean_x) * (y - mean_y)).sum().item()
    return mean_x, mean_y, covariance, (ink * (y - mean_y) ** 2).sum().item()


@pytest.mark.parametrize("label", range(10))
def test_ink_grows_with_thickness(label):
    ink = [procedural.render_glyph(label, thickness=width).double().mean() for width in (0.05, 0.07, 0.09, 0.11, 0.13)]
    assert all(a < 0.9 * b for a, b in zip(ink, ink[1:]))


def test_a_stroke_is_as_wide_as_its_thickness_says():
    # The upright stem of a 1: in a row through it, the ink adds up to the stroke's width in pixels.
    for thickness in (0.05, 0.09, 0.13):
        row = procedural.render_glyph(1, thickness=thickness)[0, 17].double().sum() / 255
        assert row.item() == pytest.approx(28 * thickness, abs=0.05)


@pytest.mark.parametrize("label", range(10))
def test_the_centroid_follows_the_shift(label):
    x0, y0, *_ = _moments(procedural.render_glyph(label))
    x1, y1, *_ = _moments(procedural.render_glyph(label, shift_x=0.06, shift_y=-0.05))
    assert (x1 - x0, y1 - y0) == pytest.approx((28 * 0.06, -28 * 0.05), abs=0.1)


@pytest.mark.parametrize("label", range(10))
def test_slant_shears_the_second_moments(label):
    _, _, straight, height = _moments(procedural.render_glyph(label))
    _, _, leaning, _ = _moments(procedural.render_glyph(label, slant=0.3))
    # x' = x - slant * y adds -slant * var(y) to the covariance; the stroke's width and new lengths blur it a little.
    assert leaning - straight == pytest.approx(-0.3 * height, rel=0.2)


def test_rotation_turns_the_long_axis_clockwise():
    _, _, left, height = _moments(procedural.render_glyph(0, rotation=-12))
    _, _, right, _ = _moments(procedural.render_glyph(0, rotation=12))
    assert right < -0.5 < 0.5 < left                          # y points down: clockwise brings the top to the right
    assert right == pytest.approx(-left, abs=0.05)


def test_scale_makes_a_digit_taller():
    rows = [(procedural.render_glyph(0, scale=scale)[0] > 127).any(dim=1).sum() for scale in (0.5, 0.7)]
    assert rows[1] - rows[0] == pytest.approx(0.2 * 28, abs=1)


def test_one_glyph_drawn_from_a_sets_factors_is_that_sets_glyph():
    drawn = procedural.glyphs(30, seed=5, size=32)
    for i in range(30):
        factors = {name: values[i].item() for name, values in drawn.factors.items()}
        assert torch.equal(procedural.render_glyph(int(drawn.labels[i]), size=32, **factors), drawn.images[i])


def test_a_glyphs_factors_are_clamped_and_nonsense_refused():
    assert torch.equal(procedural.render_glyph(3, slant=9), procedural.render_glyph(3, slant=0.3))
    with pytest.raises(PlaygroundError, match="slant"):
        procedural.render_glyph(3, slant=math.nan)
    with pytest.raises(PlaygroundError, match="0 to 9"):
        procedural.render_glyph(10)


def test_the_ten_digits_are_told_apart_by_the_nearest_class_mean():
    train, test = procedural.glyphs(3_000, 0), procedural.glyphs(1_000, 1)
    means = torch.stack([train.images[train.labels == k].float().mean(dim=0).flatten() for k in range(10)])
    guess = torch.cdist(test.images.flatten(1).float(), means).argmin(dim=1)
    assert (guess == test.labels).float().mean() > 0.6


# Shapes


def _ink(images: torch.Tensor) -> torch.Tensor:
    """How far each pixel is from the background, (N, H, W)."""
    return (images.double() - round(255 * procedural.SHAPE_BACKGROUND)).abs().sum(dim=1)


def test_a_circles_colour_centre_and_area_are_its_factors():
    drawn = procedural.shapes(600, 2)
    for i in torch.where(drawn.labels == procedural.SHAPE_CLASSES.index("circle"))[0].tolist():
        f = {name: values[i].item() for name, values in drawn.factors.items()}
        ink = _ink(drawn.images[i:i + 1])
        x, y, *_ = _moments(ink)
        assert (x, y) == pytest.approx((32 * (0.5 + f["x"]), 32 * (0.5 + f["y"])), abs=0.1)
        assert (ink / ink.max()).sum().item() == pytest.approx(math.pi * (32 * f["size"]) ** 2, rel=0.03)
        middle = drawn.images[i, :, int(y), int(x)].double() / 255
        assert middle.tolist() == pytest.approx(_hsv(f["hue"]), abs=1 / 255)


def _hsv(hue: float) -> list[float]:
    import colorsys

    return list(colorsys.hsv_to_rgb(hue / 360, procedural.SHAPE_SATURATION, procedural.SHAPE_VALUE))


@pytest.mark.parametrize("name, area", [
    ("circle", math.pi),
    ("square", 2.0),
    ("triangle", 3 * math.sqrt(3) / 4),
    ("star", 10 * 0.5 * 0.45 * math.sin(math.radians(36))),
    ("ring", math.pi * (1 - 0.56**2)),
    ("cross", 4 * 0.62 * 0.95 - 0.62**2),
])
def test_each_signed_distance_encloses_its_figures_area_and_is_a_distance(name, area):
    side = 600
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side * 2.4 - 1.2
    x, y = np.broadcast_to(axis[None, :], (side, side)).copy(), np.broadcast_to(axis[:, None], (side, side)).copy()
    distance = procedural._SIGNED_DISTANCES[procedural.SHAPE_CLASSES.index(name)](x, y)
    assert (distance < 0).sum() * (2.4 / side) ** 2 == pytest.approx(area, rel=0.01)
    assert (np.hypot(x, y)[distance < 0]).max() <= 1.0
    slopes = np.gradient(distance.astype(np.float64), 2.4 / side)
    assert np.quantile(np.hypot(*slopes), [0.05, 0.95]) == pytest.approx([1, 1], abs=0.005)    # all but the ridges
    assert max(np.abs(slope).max() for slope in slopes) < 1.001                                # and no jump anywhere


def test_the_angle_turns_a_triangle_clockwise():
    values = {"hue": 0.0, "size": 0.36, "x": 0.0, "y": 0.0}

    def draw(angle):
        factors = {name: np.asarray([value], dtype=np.float32) for name, value in {**values, "angle": angle}.items()}
        return _ink(torch.from_numpy(procedural._draw_shapes(2, factors, 32)))[0]

    upright = draw(0.0)
    assert torch.equal(draw(90.0).round(), torch.rot90(upright, -1).round())       # rot90 by -1 is clockwise
    assert upright[:16].sum() < upright[16:].sum()            # the tip is above


@pytest.mark.parametrize("draw", SETS.values(), ids=SETS)
def test_two_thousand_images_take_less_than_a_second_of_one_core(draw):
    draw(10, 0)
    start = time.process_time()
    draw(2_000, 0)
    assert time.process_time() - start < 1
