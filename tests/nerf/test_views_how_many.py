"""Six balls in place of six fields: the small ones stand in for what floats before the surface of the last."""

import json
import math

import numpy as np
import pytest

from nerf import ball
from playground.core import checkpoints, images, metrics, scenes
from playground.core.errors import PlaygroundError
from playground.nerf import config, sample
from playground.nerf.views import cameras, how_many

RADII = (0.9, 0.7, 0.7, 0.7, 0.7, 0.7)                        # the field of two pictures is thicker than that of 80
PSNRS = (10.0, 12.5, 15.0, 20.0, 25.0, 30.0)


@pytest.fixture(scope="module", autouse=True)
def runs(bench):
    folder, patch = bench
    patch.setattr(config, "BY_VIEWS", {views: f"ball-{views}" for views in config.VIEWS})
    for views, radius, psnr in zip(config.VIEWS, RADII, PSNRS):
        ball.save(folder, f"ball-{views}", views=views, radius=radius, psnr=psnr)
    return folder


def frame(at):
    return how_many.count_frame({"at": str(at)})


def truth():
    return scenes.load("solids", how_many.SIDE).held_out.images[0].permute(2, 0, 1).float() / 255


def loaded():
    cameras.pictures("solids").result()


def test_the_three_pictures_are_the_scene_s_the_field_s_and_their_difference():
    loaded()
    shown = frame(5)
    one = sample.load("ball-80")
    seen = sample.render(one, one.derived["held_out"], float(one.derived["field_of_view"]), 100, 100).rgb.permute(2, 0, 1)
    np.testing.assert_array_equal(shown.picture[:, :100], images.to_rgb(truth()))
    np.testing.assert_array_equal(shown.picture[:, 100:200], images.to_rgb(seen))
    np.testing.assert_array_equal(shown.picture[:, 200:], images.signed((seen - truth()) / how_many.FULL))
    assert shown.numbers["psnr"] == pytest.approx(metrics.psnr(seen, truth())) and shown.numbers["mean"] == PSNRS[5] and shown.numbers["psnrs"] == list(PSNRS)


def test_what_floats_is_the_light_lost_in_the_shell_before_the_last_field_s_surface():
    """From a camera at distance r the larger ball of radius 0.9 covers a disk; all light on it is lost before the smaller one's surface."""
    numbers = frame(0).numbers
    distance, half = scenes.DISTANCE, math.tan(scenes.FIELD_OF_VIEW / 2)
    covered = math.pi * (RADII[0] / math.sqrt(distance**2 - RADII[0] ** 2)) ** 2 / (2 * half) ** 2
    assert numbers["floats"][0] == pytest.approx(100 * covered, rel=0.06)
    assert len(set(numbers["floats"][1:])) == 1 and 0 < numbers["floats"][1] < 1.5, "nothing but the surface's own skin"
    assert numbers["floating"] == f"{numbers['floats'][0]:.2f} %"


def test_all_six_stand_side_by_side_and_programs_get_one():
    loaded()
    strip = how_many.all_frame({"at": "0"}).picture
    assert strip.shape == (100, 600, 3)
    for i in range(6):
        np.testing.assert_array_equal(strip[:, 100 * i:100 * i + 100], frame(i).picture[:, 100:200])
    told = how_many.nerf_views(4)
    assert told["count"] == 4 and told["mean"] == PSNRS[1] and told["picture"].startswith("data:image/png;base64,")
    for wrong in (3, 0, 81, "x", None, [2]):
        with pytest.raises(PlaygroundError):
            how_many.nerf_views(wrong)


def test_without_the_scene_the_fields_are_shown_all_the_same(monkeypatch):
    monkeypatch.setattr(scenes, "present", lambda name: False)
    shown = frame(3)
    assert (shown.picture[:, :100] == 255).all() and shown.numbers["psnr"] is None and not shown.numbers["more"]
    np.testing.assert_array_equal(shown.picture[:, 100:200], how_many.all_frame({"at": "3"}).picture[:, 300:400])


@pytest.mark.parametrize("at", ["", "x", "-1", "6", "1.5", "NaN", None, "1e9"])
def test_a_place_that_is_none_is_refused(at):
    with pytest.raises(PlaygroundError):
        how_many.count_frame({"at": at} if at is not None else {})


def test_a_field_that_is_missing_or_was_not_measured_is_named_in_one_sentence(monkeypatch, runs):
    monkeypatch.setattr(config, "BY_VIEWS", {**config.BY_VIEWS, 2: "ball-nowhere"})
    with pytest.raises(PlaygroundError, match="ball-nowhere"):
        frame(0)


def test_the_shipped_fields_saw_as_many_pictures_as_their_names_say_and_more_are_better():
    names = [f"nerf-lego-views-{views}" for views in config.VIEWS]
    cards = [json.loads((checkpoints.SHIPPED / name / "config.json").read_text()) for name in names]
    assert [card["train"]["views"] for card in cards] == list(config.VIEWS)
    assert len({json.dumps({**card["train"], "views": 0}, sort_keys=True) for card in cards}) == 1, "alike but for that"
    psnrs = [card["metrics"]["psnr"] for card in cards]
    assert psnrs == sorted(psnrs) and psnrs[-1] > psnrs[0] + 8
