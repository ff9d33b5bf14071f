"""One training step: it is real, it lowers the error of its example, and nobody else's model changes by a bit."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from playground.core import device
from playground.core.device import executor
from playground.core.errors import PlaygroundError
from playground.diffusion import maths, sample, views
from playground.diffusion.views import training_step
from playground.ui import live

pytestmark = pytest.mark.usefixtures("tiny")

ASK = {"checkpoint": "tiny", "x": "", "y": "3", "step": "6,1,2,3"}
HOSTILE = {
    "checkpoint": ("", "nowhere", "tiny-guide"), "x": ("<b>", "s-1", "pAAAA", "A" * 523), "y": ("10", "-1", "nan"),
    "step": ("", "1", "0,0,0,0", "7,0,0,0", "nan,0,0,0", "6,0,0,21", "6,0,0,-1", "6,-1,0,1", "6,0,2147483648,1", "1.5,0,0,0", "5,0,0,1", "6,0,0,0.5", "1,0,0,0,0", "a,b,c,d",
             "1," * 9999),
}


@pytest.fixture(autouse=True)
def no_copies(monkeypatch):
    monkeypatch.setattr(training_step, "_copies", OrderedDict())


def ask(step=ASK["step"], **changed):
    """The frame of a step when there is no more to come."""
    while (frame := executor.run(training_step.step_frame, {**ASK, "step": step, **changed})).numbers.get("more"):
        pass
    return frame


def error(step, **changed):
    return ask(step, **changed).numbers["simple"]


@pytest.mark.parametrize("key, value", [(key, value) for key, values in HOSTILE.items() for value in values])
def test_what_cannot_be_is_refused_in_one_sentence(key, value):
    with pytest.raises(PlaygroundError) as refused:
        ask(**{key: value})
    assert "\n" not in refused.value.sentence("en")


@pytest.mark.parametrize("stage, seen", [(1, 1), (2, 1), (3, 2), (4, 3), (5, 7), (6, 7)])
def test_pictures_and_numbers_appear_as_far_as_the_step_has_come(stage, seen):
    frame = ask(f"{stage},1,2,0")
    empty = training_step._empty(28)
    assert [not np.array_equal(tile, empty) for tile in np.split(frame.picture, 7, axis=1)] == [True] * seen + [False] * (7 - seen)
    n = frame.numbers
    assert (n["t"] is not None) == (stage >= 2) and (n["simple"] is not None) == (stage >= 5) and n["updates"] == 0
    assert len(training_step._copies) == (stage >= 5), "no model is copied before it is needed"


def test_the_tiles_are_the_example():
    frame = ask("5,1,2,0")
    tiles, n = np.split(frame.picture, 7, axis=1), frame.numbers
    checkpoint = sample.load("tiny")
    s, x_0, eps, t = sample.schedule(checkpoint), views.picture(checkpoint, ""), device.noise(2, [training_step.NOISE], (1, 28, 28)), n["t"]
    x_t = maths.q_sample(x_0, t, eps, s)
    mean, _ = maths.posterior(x_t, x_0, t, s)
    with torch.no_grad():
        said = maths.forms(checkpoint.model(x_t, torch.tensor([t]), torch.tensor([3])), "v", x_t, t, s)
    mean_said, _ = maths.posterior(x_t, said.x_0, t, s)
    for i, expected in {0: views.shown(x_0[0]), 1: views.noise_map(eps[0]), 2: views.shown(x_t[0]), 3: views.noise_map(said.eps[0]),
                        4: views.shown(mean[0]), 5: views.shown(mean_said[0])}.items():
        assert np.abs(tiles[i].astype(int) - expected).max() <= 1
    assert n["simple"] == pytest.approx((said.eps - eps).square().mean().item(), rel=1e-4)
    weight = maths.simple_weight(t, s, maths.posterior_weights(t, t - 1, s)[2]).item()
    assert n["weighted"] == pytest.approx(weight * n["simple"] / np.log(2), rel=1e-3)
    assert n["a"]**2 + n["b"]**2 == pytest.approx(1)


@pytest.mark.parametrize("name", ["tiny", "tiny-eps"])
@pytest.mark.parametrize("seeds", ["0,0", "1,2", "5,9"])
def test_every_update_lowers_the_error_of_its_example_and_the_shared_model_keeps_every_bit(name, seeds):
    model = sample.load(name).model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    n = ask(f"6,{seeds},8", checkpoint=name).numbers
    assert n["updates"] == 8 and len(n["errors"]) == 9
    assert all(later < earlier for earlier, later in zip(n["errors"], n["errors"][1:]))
    assert n["simple"] == n["errors"][-1] < n["before"] == n["errors"][0] and n["moved"] > 0
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(weights.requires_grad or weights.grad is not None for weights in model.parameters())
    assert error(f"5,{seeds},0", checkpoint=name) == n["before"], "reset: the trained weights again"


def test_an_update_is_torchs_adam():
    import copy

    checkpoint = sample.load("tiny")
    ask("6,1,2,4")
    [mine] = training_step._copies.values()
    model = copy.deepcopy(checkpoint.model).requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=training_step.LR, betas=training_step.BETAS)
    s = sample.schedule(checkpoint)
    x_t, target = maths.q_sample(mine.x_0, mine.t, mine.eps, s), maths.target("v", mine.x_0, mine.eps, mine.t, s)
    for _ in range(4):
        optimizer.zero_grad()
        F.mse_loss(model(x_t, mine.t, mine.y), target).backward()
        optimizer.step()
    moved = [(mine - theirs).abs().max().item() for mine, theirs in zip(model.parameters(), checkpoint.model.parameters())]
    off = [(a - b).abs().max().item() for a, b in zip(model.parameters(), mine.model.parameters())]
    assert max(moved) > 1e-4 and max(off) < 2e-2 * max(moved)


def test_two_visitors_copies_do_not_mix():
    alone = [error(f"6,1,2,{k}") for k in range(1, 5)]
    other = [error(f"6,4,2,{k}") for k in range(1, 5)]
    training_step._copies.clear()
    mixed = [(error(f"6,1,2,{k}"), error(f"6,4,2,{k}")) for k in range(1, 5)]
    assert mixed == list(zip(alone, other))
    assert len(training_step._copies) == 2


def test_another_picture_class_or_noise_is_another_example():
    asks = [dict(), dict(x="s1"), dict(y="any"), dict(y="4"), dict(step="6,1,3,3"), dict(step="6,2,2,3")]
    assert len({ask(**changed).numbers["simple"] for changed in asks}) == len(asks)


def test_few_copies_are_kept_and_one_that_was_dropped_is_made_again_to_the_bit():
    first = ask("6,1,2,3")
    for seed in range(10, 10 + training_step.COPIES + 2):
        ask(f"6,{seed},2,1")
        assert len(training_step._copies) <= training_step.COPIES
    again = ask("6,1,2,3")
    np.testing.assert_array_equal(again.picture, first.picture)
    assert again.numbers == first.numbers


def test_going_back_and_on_again_trains_nothing_twice(monkeypatch):
    ask("6,1,2,5")
    monkeypatch.setattr(training_step.Trained, "adam", lambda *a: pytest.fail("trained again"))
    errors = [error(f"6,1,2,{k}") for k in (1, 3, 5, 2)]
    assert errors[0] > errors[3] > errors[1] > errors[2]


def test_times_are_drawn_evenly_from_one_to_T():
    drawn = [ask(f"2,{seed},0,0").numbers["t"] for seed in range(200)]
    assert min(drawn) >= 1 and max(drawn) <= 100 and len(set(drawn)) > 70
    assert np.mean(drawn) == pytest.approx(50.5, abs=8)


def test_the_numbers_fit_into_their_header():
    assert len(json.dumps(live._rounded({**ask("6,1,2,20", checkpoint="tiny-colour", y="any").numbers, "ms": 1.0}))) < live.NUMBERS_MAX


def test_the_endpoint_answers_as_the_view_does_and_refuses_as_it_does():
    answer = training_step.diffusion_training_step("tiny", "", "3", 1, 2, 3)
    assert answer["errors"] == ask().numbers["errors"] and len(answer["errors"]) == 4
    for wrong in (("tiny", [1], "3", 1, 2, 3), ("tiny", "", 3, 1, 2, 3), ("tiny", "", "3", 1, 2, 21), ("tiny", "", "3", float("nan"), 2, 3),
                  ("tiny", "", "3", 1, "2", 3), ({}, "", "3", 1, 2, 3)):
        with pytest.raises(PlaygroundError):
            training_step.diffusion_training_step(*wrong)
