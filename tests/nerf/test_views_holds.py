"""What the field holds, of a ball whose depth, normals and density are known."""

import math

import numpy as np
import pytest
import torch

from nerf import ball
from playground.core import images
from playground.core.errors import PlaygroundError
from playground.nerf import maths, sample, views
from playground.nerf.views import SEEN, camera, holds, seen

QUERY = {"checkpoint": ball.NAME, "camera": "40,20,4,39.6", "left": "colour", "right": "depth", "split": "0.5"}
CUT = {"checkpoint": ball.NAME, "camera": "40,20,4,39.6", "axis": "z", "position": "0"}


@pytest.fixture(scope="module", autouse=True)
def runs(bench):
    folder, patch = bench
    ball.save(folder)
    return folder


def whole(mode):
    return holds.holds_frame({**QUERY, "left": mode, "right": mode}).picture


def test_each_side_of_the_line_is_the_picture_in_its_mode():
    for left, right, split in (("colour", "depth", 0.3), ("normals", "opacity", 0.75), ("depth", "colour", 0), ("opacity", "normals", 1)):
        shown, column = holds.holds_frame({**QUERY, "left": left, "right": right, "split": str(split)}), round(split * holds.SIDE)
        np.testing.assert_array_equal(shown.picture[:, :column], whole(left)[:, :column])
        np.testing.assert_array_equal(shown.picture[:, column:], whole(right)[:, column:])
        assert shown.numbers["at"] == [split, 0.5]


def test_depth_opacity_and_normal_in_the_middle_are_those_of_the_ball():
    numbers = holds.holds_frame({**QUERY, "right": "normals"}).numbers
    assert numbers["depth"] == pytest.approx(4 - ball.RADIUS, abs=ball.STEP) and numbers["opacity"] > 0.99
    towards = camera(QUERY).pose[:, 2]
    assert torch.tensor([numbers["nx"], numbers["ny"], numbers["nz"]]) @ towards > 0.99
    assert numbers["nearest"] == pytest.approx(numbers["depth"], abs=ball.STEP / 4)
    assert numbers["farthest"] == pytest.approx((16 - ball.RADIUS**2) ** 0.5, abs=ball.STEP), "where the ray touches it"
    kept = 4 / 3 * math.pi * (ball.RADIUS + 3 * ball.STEP) ** 3 / (2 * ball.BOUND) ** 3
    assert float(numbers["empty"].split()[0]) == pytest.approx(100 * (1 - kept), abs=1)


def test_near_is_bright_nothing_is_dark_and_normals_are_colours():
    depth, opacity, colour = whole("depth").astype(int), whole("opacity"), whole("colour")
    middle, edge = depth[100, 100, 0], depth[100, 60, 0]
    assert middle > edge > 0 == depth[0, 0, 0] and opacity[0, 0, 0] == 0 and opacity[100, 100, 0] > 252
    assert (colour[0, 0] == 255).all() and colour[100, 100] == pytest.approx(255 * np.array(ball.RGB), abs=2)
    normal = whole("normals")[100, 100] / 127.5 - 1
    assert np.linalg.norm(normal) == pytest.approx(1, abs=0.02) and normal @ camera(QUERY).pose[:, 2].numpy() > 0.98


def test_the_scene_is_drawn_once_while_the_camera_rests(monkeypatch):
    asked = []
    original = sample.render
    monkeypatch.setattr(sample, "render", lambda *args, **more: asked.append(args[1:]) or original(*args, **more))
    for split in ("0.1", "0.2", "0.3"):
        holds.holds_frame({**QUERY, "camera": "77,20,4,39.6", "split": split})
    assert len(asked) == 1
    field = sample.load(ball.NAME)
    for azimuth in range(SEEN):
        seen(field, camera({"camera": f"{azimuth},5,4,39.6"}), 8)
    assert len(asked) == 1 + SEEN
    holds.holds_frame({**QUERY, "camera": "77,20,4,39.6"})
    assert len(asked) == 2 + SEEN, "the oldest are not kept"


def test_a_network_s_picture_comes_by_and_by_and_ends_as_the_picture(monkeypatch):
    modes = {"left": "normals", "right": "depth", "camera": "50,20,4,39.6"}
    whole, whole_cut = holds.holds_frame({**QUERY, **modes}), holds.slice_frame({**CUT, "camera": modes["camera"]})
    monkeypatch.setattr(views, "SLICE", 1e-9)
    monkeypatch.setattr(views, "is_network", lambda checkpoint: True)
    for view, query, last, rows in ((holds.holds_frame, {**QUERY, **modes}, whole, holds.SIDE), (holds.slice_frame, {**CUT, "camera": modes["camera"]}, whole_cut, holds.SLICE)):
        frames = [view(query) for _ in range(rows // views.ROWS)]
        assert [frame.numbers["more"] for frame in frames] == [True] * (len(frames) - 1) + [False]
        assert np.abs(frames[-1].picture.astype(int) - last.picture).max() <= 1 and (frames[0].picture != last.picture).any()
        for name, value in last.numbers.items():
            assert frames[-1].numbers[name] == (pytest.approx(value, rel=1e-3) if isinstance(value, (float, list)) else value), name


def test_a_cut_through_the_middle_is_a_disc_and_beside_the_ball_nothing():
    through, beside = (holds.slice_frame({**CUT, "position": position}) for position in ("0", "0.9"))
    share = math.pi * (ball.RADIUS + ball.STEP / 2) ** 2 / (2 * ball.BOUND) ** 2
    assert float(through.numbers["dense"].split()[0]) == pytest.approx(100 * share, rel=0.08)
    assert through.numbers["largest"] == pytest.approx(10 / ball.STEP, rel=0.01), "softplus(14 - 4) a voxel"
    assert beside.numbers["largest"] == 0 and beside.numbers["at"] == pytest.approx(0.9 * ball.BOUND)
    assert (beside.picture[:, :holds.SLICE] == beside.picture[0, 0]).all()


@pytest.mark.parametrize("axis", holds.AXES)
def test_each_pixel_of_a_cut_is_the_density_there(axis):
    field = sample.load(ball.NAME)
    found, n = holds.density(field, axis, 0.35), holds.AXES.index(axis)
    for row, column in ((0, 0), (80, 80), (40, 110), (120, 70)):
        right, up = ((column + 0.5) / holds.SLICE * 2 - 1) * ball.BOUND, (1 - (row + 0.5) / holds.SLICE * 2) * ball.BOUND
        place = [right, up]
        place.insert(n, 0.35 * ball.BOUND)
        assert found[row, column].item() == pytest.approx(field.model.density(torch.tensor([place])).item(), rel=1e-4)
    assert holds.slice_frame({**CUT, "axis": axis}).numbers["plane"] == {"x": "(y →, z ↑)", "y": "(x →, z ↑)", "z": "(x →, y ↑)"}[axis]


def test_the_marked_pixels_lie_on_the_cut():
    where = camera(CUT)
    picture = holds.slice_frame({**CUT, "position": "0.2"}).picture[:, holds.SLICE:]
    rows, columns = np.nonzero((picture == holds.MARK).all(-1))
    assert len(rows) > 20
    o, d = maths.camera_rays(where.pose, where.field_of_view, holds.SLICE, holds.SLICE)
    depth = seen(sample.load(ball.NAME), where, holds.SLICE).depth
    z = (o + depth[..., None] * d)[rows, columns, 2]
    assert (z - 0.2 * ball.BOUND).abs().max() < 0.06


def test_the_scale_of_colours_runs_from_its_first_to_its_last():
    ramp = images.mapped(torch.linspace(-1, 2, 301)[None])[0]
    as_text = ["#" + bytes(ramp[i].tolist()).hex() for i in (0, 100, 200, 300)]
    assert as_text == [images.SCALE[0], images.SCALE[0], images.SCALE[-1], images.SCALE[-1]]
    lightness = ramp[100:201] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1).all(), "lighter is more"


@pytest.mark.parametrize("changed", [{"left": "everything"}, {"split": "1.5"}, {"split": "nan"}, {"checkpoint": "nowhere"}, {"camera": "1,2"}])
def test_a_hostile_query_is_refused(changed):
    with pytest.raises(PlaygroundError):
        holds.holds_frame({**QUERY, **changed})
    if "left" not in changed and "split" not in changed:
        with pytest.raises(PlaygroundError):
            holds.slice_frame({**CUT, **changed})


def test_programs_get_the_cut():
    answer = holds.nerf_slice(ball.NAME, "z", 0)
    assert answer["picture"].startswith("data:image/png;base64,") and answer["at"] == 0 and 0 < answer["empty"] < 1
    for axis, position in (("w", 0), ("z", 2), ("z", None), (None, 0)):
        with pytest.raises(PlaygroundError):
            holds.nerf_slice(ball.NAME, axis, position)
