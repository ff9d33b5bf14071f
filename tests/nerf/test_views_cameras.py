"""The camera ring of a ball that was taken for the built-in scene: each number against the pictures it is said to compare."""

import json
import math
from statistics import mean

import numpy as np
import pytest
import torch

from nerf import ball
from playground.core import images, metrics, scenes
from playground.core.errors import PlaygroundError
from playground.nerf import maths, sample
from playground.nerf.views import cameras
from playground.ui import live

SIZE, TRAIN, HELD_OUT = 12, 20, 4


@pytest.fixture(scope="module", autouse=True)
def runs(bench):
    folder, patch = bench
    patch.setenv("PLAYGROUND_DATA", str(folder / "data"))
    patch.setattr(cameras, "SIZE", SIZE)
    patch.setattr(cameras, "_scenes", {})
    patch.setattr(scenes, "VIEWS", TRAIN)
    patch.setattr(scenes, "VIEWS_HELD_OUT", HELD_OUT)
    ball.save(folder, views=TRAIN)
    ball.save(folder, "ball-few", views=9)
    ball.save(folder, "ball-lego", dataset="lego", views=80)
    return folder


def frames(name=ball.NAME, shot="7"):
    """The ring's frames until there is nothing more to compare."""
    cameras.pictures("solids").result()
    found = []
    while not found or found[-1].numbers["more"]:
        found.append(cameras.ring_frame({"checkpoint": name, "shot": shot}))
    return found


def brute(name, pose, truth):
    seen = sample.render(sample.load(name), pose, scenes.FIELD_OF_VIEW, SIZE, SIZE).rgb
    return metrics.psnr(seen[None], truth[None].float() / 255)


def test_each_camera_s_psnr_and_the_held_out_mean_are_those_of_its_pictures():
    last, scene = frames()[-1].numbers, scenes.load("solids", SIZE)
    assert len(last["cameras"]) == len(last["values"]) == 24 and last["kinds"] == "0" * 20 + "2" * 4
    for i, (views, k) in ((0, (scene.train, 0)), (13, (scene.train, 13)), (22, (scene.held_out, 2))):
        assert last["values"][i] == pytest.approx(brute(ball.NAME, views.poses[k], views.images[k]), abs=0.01)
        assert last["cameras"][i] == pytest.approx([axis.item() for column in (3, 2, 1) for axis in views.poses[k][:3, column]], abs=1e-3)
    held_out = [brute(ball.NAME, pose, truth) for pose, truth in zip(scene.held_out.poses, scene.held_out.images)]
    assert last["mean"] == pytest.approx(mean(held_out), abs=1e-3) and last["measured"] == "24 / 24"
    assert (last["low"], last["high"]) == pytest.approx((min(last["values"]), max(last["values"])), abs=0.01)
    assert len(json.dumps(live._rounded(last))) < live.NUMBERS_MAX


def test_the_pictures_are_compared_a_few_in_a_frame_the_held_out_ones_first(monkeypatch):
    monkeypatch.setattr(cameras, "SLICE", 0.0)
    monkeypatch.setattr(cameras, "_cameras", type(cameras._cameras)())
    cameras.pictures("solids").result()
    first, second = (cameras.ring_frame({"checkpoint": ball.NAME, "shot": "1"}).numbers for _ in range(2))
    assert [sum(value is not None for value in numbers["values"]) for numbers in (first, second)] == [1, 2]
    assert second["values"][20] is not None and second["more"] and second["values"][:20] == [None] * 20


def test_a_camera_shows_its_truth_what_the_field_shows_and_their_difference():
    cameras.pictures("solids").result()
    shown, scene = cameras.shot_frame({"checkpoint": ball.NAME, "shot": "23"}), scenes.load("solids", SIZE)
    truth, picture, error = np.split(shown.picture, 3, axis=1)
    np.testing.assert_array_equal(truth, scene.held_out.images[2].numpy())
    expected = sample.render(sample.load(ball.NAME), scene.held_out.poses[2], scenes.FIELD_OF_VIEW, SIZE, SIZE).rgb
    np.testing.assert_array_equal(picture, images.to_rgb(expected.permute(2, 0, 1)))
    difference = expected.numpy().mean(-1) - truth.mean(-1) / 255
    orange, blue = error[..., 0] > error[..., 2], error[..., 2] > error[..., 0]
    assert (difference[orange] > 0).all() and (difference[blue] < 0).all() and (orange | blue).any()
    assert shown.numbers["psnr"] == pytest.approx(-10 * math.log10(shown.numbers["mse"]))


def test_cameras_it_has_not_learnt_from_are_told_apart():
    assert frames("ball-few")[-1].numbers["kinds"] == "0" * 9 + "1" * 11 + "2" * 4


def test_without_its_pictures_the_ring_stands_and_one_sentence_says_what_is_missing():
    numbers = cameras.ring_frame({"checkpoint": "ball-lego", "shot": "80"}).numbers
    assert len(numbers["cameras"]) == 80 and numbers["values"] == [None] * 80 and not numbers["more"] and numbers["chosen"] == 79
    with pytest.raises(PlaygroundError) as refused:
        cameras.shot_frame({"checkpoint": "ball-lego", "shot": "1"})
    assert refused.value.key == "nerf.pictures" and "lego" in refused.value.sentence("en")
    with pytest.raises(PlaygroundError):
        cameras.nerf_shot("ball-lego", 1)


def test_the_points_amid_the_ring_lie_on_the_ball():
    places, colours = frames()[-1].picture
    at = (places / 255 * 2 - 1) * ball.BOUND
    assert np.abs(np.linalg.norm(at, axis=1) - ball.RADIUS).max() < 1.5 * ball.STEP
    assert np.abs(colours - 255 * np.array(ball.RGB)).max() < 3


def test_the_camera_above_is_sent_where_the_chosen_one_stands():
    azimuth, elevation, distance, field = frames(shot="7")[-1].numbers["there"]
    assert torch.allclose(maths.orbit_pose(azimuth, elevation, distance), scenes.around(7)[6], atol=0.02)
    assert math.radians(field) == pytest.approx(scenes.FIELD_OF_VIEW, abs=1e-3)


def test_a_number_beyond_the_last_is_the_last_and_none_is_refused():
    assert frames(shot="1000")[-1].numbers["chosen"] == 23
    for shot in ("0", "1001", "1.5", "", None, "x"):
        with pytest.raises(PlaygroundError):
            cameras.ring_frame({"checkpoint": ball.NAME, "shot": shot})
        with pytest.raises(PlaygroundError):
            cameras.shot_frame({"checkpoint": ball.NAME, "shot": shot})


def test_many_cameras_are_thinned_evenly():
    assert cameras._spread(1000, 100) == list(range(0, 1000, 10)) and cameras._spread(3, 10) == [0, 1, 2] and cameras._spread(0) == []


def test_programs_get_a_camera():
    answer = cameras.nerf_shot(ball.NAME, 21)
    scene = scenes.load("solids", SIZE)
    assert answer["kind"] == "held out" and answer["psnr"] == pytest.approx(brute(ball.NAME, scene.held_out.poses[0], scene.held_out.images[0]), abs=1e-3)
