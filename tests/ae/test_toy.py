"""What the server trains while its visitor looks on: the field of a denoiser against the exact score, readers of codes and pixels."""

import json
import math

import numpy as np
import pytest
import torch

from playground.ae import maths, sample
from playground.ae import toy as toys
from playground.ae.views import field, use
from playground.core import datasets, images, procedural
from playground.core.device import executor
from playground.core.errors import PlaygroundError
from playground.ui import live

QUERY = {"set": "gaussians", "sigma": "0.3", "steps": "3", "ink": "", "play": ""}
INK = images.pack_drawing(procedural.render_glyph(1, size=images.PAD)[0].numpy() > 127)


@pytest.fixture(autouse=True)
def nobody(tiny):
    toys._toys.clear()
    toys._readers.clear()
    toys._lessons.clear()


def numbers(**changed):
    return executor.run(field.field_frame, {**QUERY, **changed}).numbers


def learn(updates, **changed):
    """A visitor's frames until so many updates are done."""
    for _ in range(updates):
        shown = numbers(play="me,1,0,0", **changed)
        if shown["step"] >= updates:
            return shown
    raise AssertionError("a frame that plays trains at least once")


# ---- the field -------------------------------------------------------------------------------------------------


def test_the_views_constants_are_the_toys():
    assert field.SETS == toys.SETS and field.SIGMA == toys.SIGMA and use.KINDS == toys.INPUTS


def test_training_turns_the_field_to_the_exact_score():
    before = numbers()
    after = learn(1_200)
    assert after["cosine"] > 0.97 > before["cosine"]
    assert after["length"] == pytest.approx(after["length_exact"], rel=0.2)


def test_the_exact_arrows_are_sigma_squared_times_the_gradient_of_the_noised_log_density():
    x = field._grid().double().requires_grad_()
    centres, std = procedural.modes("gaussians")
    variance = std**2 + 0.3**2
    log_p = torch.logsumexp(-(x[:, None] - centres).square().sum(2) / (2 * variance), 1)
    [score] = torch.autograd.grad(log_p.sum(), x)
    push = 0.3**2 * score
    expected = 0.85 * field.CELL * push / (push.norm(dim=1, keepdim=True) + field.TYPICAL)
    np.testing.assert_allclose(np.array(numbers()["exact"]).reshape(-1, 2), expected, atol=0.006)


def test_the_cosine_is_the_mean_over_noised_points_of_the_plain_formula():
    shown, toy = numbers(play="me,0,5,0"), toys._toys["me", "gaussians"]
    x = toys.noised("gaussians", "", 0.3)
    centres, std = procedural.modes("gaussians")
    a, b = toy.repair(x, 0.3) - x, maths.mixture_score(x, centres.float(), std**2 + 0.09)
    expected = ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))).mean().item()
    assert shown["cosine"] == pytest.approx(expected, abs=1e-5)


def test_particles_walk_by_repairing_and_arrive():
    learn(1_200)
    toy = toys._toys["me", "gaussians"]
    x = field._dropped()
    for _ in range(4):
        x = toy.repair(x, 0.3)
    shown = numbers(play="me,0,0,0", steps="4")
    np.testing.assert_allclose(np.array(shown["particles"]).reshape(-1, 2), x.detach(), atol=0.006)
    assert len(shown["paths"]) == field.PATHS and len(shown["paths"][0]) == 2 * 5
    assert numbers(play="me,0,0,0", steps="0")["paths"] == []
    share = lambda steps: float(numbers(play="me,0,0,0", steps=steps)["near"].split()[0])      # noqa: E731
    assert share("10") > 90 > 60 > share("0")


def test_a_drawing_is_a_set_of_its_own_whose_score_is_known():
    shown = numbers(set="drawing", ink=INK, play="me,0,3,0")
    assert shown["step"] == 3 and shown["cosine"] is not None and shown["exact"] is not None
    data = np.array(shown["data"]).reshape(-1, 2)
    assert np.abs(data).max() <= procedural.SKETCH_SPAN + 5 * procedural.SKETCH_STD and data[:, 1].max() > 1 > -1 > data[:, 1].min()      # a 1 stands upright
    other = numbers(set="drawing", ink=images.pack_drawing(procedural.render_glyph(0, size=images.PAD)[0].numpy() > 127), play="me,0,0,0")
    assert other["step"] == 0, "another drawing begins again"
    assert numbers(set="drawing", ink="")["data"] == numbers(set="drawing", ink=images.digit(3))["data"]


def test_moons_have_no_exact_field():
    shown = numbers(set="moons")
    assert shown["exact"] is shown["cosine"] is shown["length_exact"] is None and shown["learnt"]


def test_only_what_plays_is_trained_and_one_update_is_one():
    assert {numbers(play=play)["step"] for play in ("", "me,0,0,0")} == {0}
    assert [numbers(play=f"me,0,{until},0")["step"] for until in (1, 1, 2, 0, 3)] == [1, 1, 2, 2, 3]
    assert numbers(play="me,0,1000000,0")["step"] == 3 + field.SINGLES
    playing = numbers(play="me,1,0,0")
    assert playing["step"] > 3 + field.SINGLES and playing["more"]
    assert numbers(play="me,0,0,0", sigma="0.9")["step"] == playing["step"]


def test_another_start_is_other_weights_and_two_visitors_do_not_mix():
    first, again, back = (numbers(play=f"me,0,3,{n}") for n in (0, 1, 0))
    assert first["learnt"] != again["learnt"] and first["learnt"] == back["learnt"]
    numbers(play="you,0,5,0")
    assert numbers(play="me,0,0,0")["step"] == 3


def test_toys_are_kept_up_to_a_bound():
    for i in range(toys.TOYS + 3):
        numbers(play=f"v{i},0,0,0")
    assert len(toys._toys) == toys.TOYS and ("v0", "gaussians") not in toys._toys


def test_when_all_updates_are_done_there_is_no_more():
    numbers(play="me,0,1,0")
    toys._toys["me", "gaussians"].step = toys.STEPS
    shown = numbers(play="me,1,0,0")
    assert shown["done"] and not shown["more"] and shown["step"] == toys.STEPS


# ---- the readers -----------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(toys, "LEARNT", 1_500)
    monkeypatch.setattr(toys, "TESTED", 400)
    toys._pixels.cache_clear()
    yield
    toys._pixels.cache_clear()


def read(**changed):
    return executor.run(use.use_frame, {"checkpoint": "tiny-30d", "play": "", **changed}).numbers


def test_a_lesson_is_the_model_s_codes_and_pixels_of_the_same_pictures(small):
    found = executor.run(toys.lesson, sample.load("tiny-30d"))
    training = datasets.load("glyphs")
    assert found.dataset == "glyphs" and torch.equal(found.labels[0], training.labels[:1_500])
    x = training.images[:1_500].flatten(1).float() / 255
    standard = (x - x.mean(0)) / (x - x.mean(0)).square().mean().sqrt()
    torch.testing.assert_close(found.train["pixels"], standard)
    h = sample.encode(sample.load("tiny-30d"), training.images[:1_500].float() / 255)
    torch.testing.assert_close(found.train["code"], (h - h.mean(0)) / (h - h.mean(0)).square().mean().sqrt(), rtol=1e-3, atol=1e-4)


def test_readers_learn_from_labels_and_count_their_weights(small):
    start = read()
    assert (start["weights_code"], start["weights_pixels"]) == (32 * 13 + 330, 32 * 785 + 330)
    assert (start["inputs_code"], start["inputs_pixels"]) == (12, 784) and start["looked"] == [0]
    for _ in range(400):
        shown = read(play="me,1,0,0")
        if shown["step"] >= 400:
            break
    assert shown["curve_code"][-1] > 55 and shown["curve_pixels"][-1] > 75 and shown["curve_code"][0] < 40
    assert shown["looked"] == [0, *range(toys.LOOK, shown["step"] + 1, toys.LOOK)] and len(shown["curve_code"]) == len(shown["looked"])
    assert 0 < shown["seconds_code"] < shown["seconds_pixels"] * 3
    toy = toys._readers["me", "tiny-30d", id(sample.load("tiny-30d").model)]
    lesson, network = toy.lesson, toy.networks["code"]
    right = sum(int(network(h[None]).argmax() == y) for h, y in zip(lesson.test["code"][:400], lesson.labels[1]))
    toy.look()
    assert toy.curve["code"][-1] == pytest.approx(100 * right / 400)


def test_one_update_of_the_readers_is_one_and_another_start_begins_again(small):
    assert [read(play=f"me,0,{until},0")["step"] for until in (1, 2, 0)] == [1, 2, 2]
    assert read(play="me,0,0,1")["step"] == 0


def test_the_plane_s_axes_are_the_two_strongest_directions(small):
    codes = torch.randn(500, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.1, 3.0, 0.2, 1.0, 0.3])
    flat = use.projected(codes)
    assert abs(np.corrcoef(flat[:, 0], codes[:, 1])[0, 1]) > 0.98 and abs(np.corrcoef(flat[:, 1], codes[:, 3])[0, 1]) > 0.98
    torch.testing.assert_close(flat.std(0), torch.ones(2), rtol=1e-4, atol=1e-4)
    assert use.projected(codes[:, :1]).shape == (500, 2)
    shown = executor.run(use.codes_frame, {"checkpoint": "tiny-2d"}).numbers
    assert len(shown["labels"]) == min(use.SHOWN, 400) and math.isfinite(sum(shown["codes"]))


def test_a_model_of_pictures_without_ten_classes_is_refused_in_a_sentence():
    with pytest.raises(PlaygroundError, match="tiny-"):
        toys._prepare(_strange())


def _strange():
    """A model of colour pictures trained on a set that is not here."""
    import dataclasses
    from types import MappingProxyType

    found = sample.load("tiny-colour")
    return dataclasses.replace(found, config=MappingProxyType({**found.config, "dataset": "my-holiday"}))


@pytest.mark.parametrize("query", [
    {"set": "cats"}, {"sigma": "0"}, {"sigma": "NaN"}, {"steps": "21"}, {"steps": "-1"}, {"play": "a,b"}, {"play": "me,2,0,0"}, {"set": "drawing", "ink": "A" * 523}, {"set": "drawing", "ink": "no"},
])
def test_what_makes_no_sense_is_refused_in_one_sentence(query):
    with pytest.raises(PlaygroundError):
        numbers(**query)


@pytest.mark.parametrize("dataset", toys.SETS)
def test_the_longest_frame_fits_its_header(dataset):
    """Untrained, twenty steps may lead far away."""
    for play in ("far,0,0,5", "far,0,3,5"):
        shown = numbers(set=dataset, ink=INK, steps=str(field.STEPS), sigma="1", play=play)
        assert len(json.dumps(live._rounded({**shown, "ms": 123.456}), separators=(",", ":"))) < live.NUMBERS_MAX - 500
