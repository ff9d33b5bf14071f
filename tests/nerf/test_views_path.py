"""A camera's path: what a query says, its film, its map, and the GIF as it is read back."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from nerf import ball
from playground.core import images
from playground.core.errors import PlaygroundError
from playground.nerf import maths, sample, text
from playground.nerf.views import camera_at, path
from playground.ui import i18n

QUERY = {"checkpoint": ball.NAME, "keys": "350,30,4,40:20,10,3,40:200,60,4,30", "tension": "0", "frames": "12", "loop": "no", "rate": "20", "size": "100", "k": "0"}


@pytest.fixture(scope="module", autouse=True)
def runs(bench):
    folder, patch = bench
    i18n.register(text.TEXT)
    ball.save(folder)
    return folder


def test_each_frame_is_the_scene_from_its_place_on_the_way():
    keys = torch.tensor([[350.0, 30, 4, 40], [20, 10, 3, 40], [200, 60, 4, 30]])
    for k in (0, 5, 11):
        shown = path.path_frame({**QUERY, "k": str(k)})
        where = camera_at(maths.camera_path(keys, 12)[k].tolist())
        alone = sample.render(sample.load(ball.NAME), where.pose, where.field_of_view, 100, 100).rgb
        np.testing.assert_array_equal(shown.picture, images.to_rgb(alone.permute(2, 0, 1)))
        azimuth, elevation, distance, _ = where.numbers
        assert shown.numbers["now"] == pytest.approx([distance * math.cos(math.radians(elevation)) * f(math.radians(azimuth)) for f in (math.cos, math.sin)], abs=0.01)
        assert (shown.numbers["k"], shown.numbers["total"], shown.numbers["lasts"]) == (k, 12, 50)
    assert path.path_frame({**QUERY, "k": "-1"}).numbers["k"] == path.path_frame({**QUERY, "k": "100"}).numbers["k"] == 11
    assert path.path_frame({**QUERY, "k": "11"}).numbers["azimuth"] == pytest.approx(200)


def test_the_whole_takes_as_long_as_its_frames_at_that_size():
    small, large = (path.path_frame({**QUERY, "size": size, "frames": "40"}).numbers for size in ("100", "300"))
    for numbers in (small, large):
        assert float(numbers["estimate"].split()[1]) == pytest.approx(40 * numbers["each"] / 1000, abs=0.06) and numbers["seconds"] == 2
    assert path._taken[ball.NAME, 300] * 1000 == pytest.approx(large["each"]) and (ball.NAME, 100) in path._taken


def test_the_map_shows_the_way_through_the_places_closed_where_it_goes_round():
    opened, closed = (path.path_frame({**QUERY, "loop": loop}).numbers for loop in ("no", "yes"))
    assert opened["way"][0][:2] == opened["keys"][:2] and opened["way"][0][-2:] == opened["keys"][-2:]
    assert closed["way"][0][:2] == closed["way"][0][-2:] and len(closed["way"][0]) == len(opened["way"][0]) + 2


def test_the_places_are_pictures_side_by_side():
    shown = path.keys_frame(QUERY).picture
    assert shown.shape == (path.THUMB, path.KEYS * path.THUMB, 3) and (shown[:, 3 * path.THUMB:] == 255).all()
    where = camera_at([20, 10, 3, 40])
    alone = sample.render(sample.load(ball.NAME), where.pose, where.field_of_view, path.THUMB, path.THUMB).rgb
    np.testing.assert_array_equal(shown[:, path.THUMB:2 * path.THUMB], images.to_rgb(alone.permute(2, 0, 1)))


def test_the_gif_holds_every_frame_for_its_time_and_others_are_let_in_between():
    said = []
    steps = path._draw(ball.NAME, QUERY["keys"], 0.5, 9, "yes", 25, 100, progress=lambda share, desc: said.append(share))
    for k in range(1, 10):
        next(steps)
        assert said[-1] == (k, 9)
    with Image.open(next(steps)) as film:                     # while the generator waits, the file is there
        name = film.filename
        assert (film.n_frames, film.size, film.info["duration"], film.info["loop"]) == (9, (100, 100), 40, 0)
        film.seek(4)
        where = camera_at(maths.camera_path(torch.tensor(path.places(QUERY["keys"])), 9, 0.5, True)[4].tolist())
        exact = sample.render(sample.load(ball.NAME), where.pose, where.field_of_view, 100, 100).rgb.numpy() * 255
        assert np.abs(np.asarray(film.convert("RGB")) - exact).mean() < 3, "but for its 256 colours"
    with pytest.raises(StopIteration):
        next(steps)
    with pytest.raises(FileNotFoundError):
        open(name)


@pytest.mark.parametrize("keys", ["", None, ":", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,4,40", "0,0,4,40:", ":".join(["0,0,4,40"] * 11), "x" * 100_000])
def test_what_is_no_path_is_refused(keys):
    for frame in (path.path_frame, path.keys_frame):
        with pytest.raises(PlaygroundError):
            frame({**QUERY, "keys": keys})


@pytest.mark.parametrize("changed", [{"tension": "1.5"}, {"frames": "7"}, {"frames": "121"}, {"loop": "maybe"}, {"rate": "30"}, {"size": "400"}, {"k": "-2"}, {"checkpoint": "nowhere"}])
def test_a_hostile_query_is_refused(changed):
    with pytest.raises(PlaygroundError):
        path.path_frame({**QUERY, **changed})


def test_places_are_brought_into_the_camera_s_ranges():
    assert path.places("-30,95,9,5:370,-50,1,80") == [[330, 89, 6, 15], [10, -10, 1.5, 75]]


def test_the_default_is_a_path_and_rates_are_exact_in_a_gif():
    assert len(path.places(path.START)) == 4
    assert all(100 % rate == 0 for rate in path.RATES)


def test_programs_get_the_cameras():
    answer = path.nerf_path([[350, 30, 4, 40], [20, 10, 3, 40]], 9, 0, False)
    assert answer["cameras"][0] == pytest.approx([350, 30, 4, 40]) and answer["cameras"][4] == pytest.approx([5, 20, 3.5, 40], abs=1e-3)
    for bad in ([[], 9, 0, False], ["x", 9, 0, False], [[[1, 2]], 9, 0, False], [[[0, 0, 4, 40]], 9, 0, "perhaps"], [[[0, 0, 4, 40]], 1, 0, True], [None, 9, 0, True]):
        with pytest.raises(PlaygroundError):
            path.nerf_path(*bad)
