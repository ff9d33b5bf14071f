"""The toys of the plane: they learn, they are each visitor's own, they are few, and hostile queries get one sentence."""

import json

import pytest
import torch

from playground.core import procedural
from playground.core.device import executor
from playground.core.errors import PlaygroundError
from playground.diffusion import toy as toys
from playground.diffusion.views import plane
from playground.ui import live
from playground.ui.plane import drive

QUERY = {"set": "gaussians", "pt": "10", "play": ""}


@pytest.fixture(autouse=True)
def nobody():
    toys._toys.clear()


def numbers(**changed):
    return executor.run(plane.plane_frame, {**QUERY, **changed}).numbers


def learn(updates: int, **changed):
    """A visitor's frames until so many updates are done."""
    play = changed.pop("play", "me,1,0,0")
    for _ in range(updates):
        shown = numbers(play=play, **changed)
        if shown["step"] >= updates:
            return shown
    raise AssertionError("a frame that plays trains at least once")


def test_the_views_constants_are_the_toys():
    assert set(plane.SETS) == set(procedural.POINTS) and plane.T == toys.T
    assert {name for name in plane.SETS if toys.exact(name)} == {"ring", "gaussians"}


def test_training_lowers_the_score_error_and_brings_the_samples_to_the_modes():
    before = numbers()
    after = learn(1000)
    assert after["step"] <= 1200 and after["error"] < before["error"] / 4
    assert max(now / size for now, size in zip(after["errors"][4:], after["sizes"][4:]) if now is not None) < 0.25
    assert float(after["share"].split()[0]) > 90 > 60 > float(before["share"].split()[0])


def test_the_exact_score_is_the_gradient_of_the_log_density():
    x = (torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) * 4 - 2).double().requires_grad_()
    for name in ("ring", "gaussians"):
        centres, std = procedural.modes(name)
        alpha_bar = toys.schedule().alpha_bar[20]
        # the noised density by its definition: each mode's Gaussian, shrunk and widened
        squares = (x[:, None] - alpha_bar.sqrt() * centres).square().sum(2)
        log_q = torch.logsumexp(-squares / (2 * (alpha_bar * std**2 + 1 - alpha_bar)), 1)
        [gradient] = torch.autograd.grad(log_q.sum(), x)
        torch.testing.assert_close(toys.exact(name).noised(alpha_bar).score(x.detach().float()).double(), gradient, atol=1e-4, rtol=1e-4)


def test_the_error_of_the_number_and_of_the_curve_are_one():
    shown = numbers(pt=str(toys.TIMES[5]))
    assert shown["error"] == pytest.approx(shown["errors"][5], rel=1e-4)


def test_only_what_plays_is_trained():
    for play in ("", "me,0,0,0", "me,0,0,0"):
        assert numbers(play=play)["step"] == 0
    playing = numbers(play="me,1,0,0")
    assert playing["step"] >= 1 and playing["more"]
    paused = [numbers(play="me,0,0,0", pt=t) for t in ("10", "50", "0")]
    assert {shown["step"] for shown in paused} == {playing["step"]} and not any(shown["more"] for shown in paused)


def test_one_update_is_one_update_however_often_it_is_asked():
    assert [numbers(play=f"me,0,{until},0")["step"] for until in (1, 1, 2, 2, 0, 3)] == [1, 1, 2, 2, 2, 3]


def test_a_single_update_of_a_million_is_a_bounded_wait():
    assert numbers(play="me,0,1000000,0")["step"] == plane.SINGLES


def test_another_start_is_other_weights_and_the_same_start_the_same():
    first, again, back = (numbers(play=f"me,0,3,{n}") for n in (0, 1, 0))
    assert first["step"] == again["step"] == back["step"] == 3
    assert first["samples"] != again["samples"] and first["samples"] == back["samples"] and first["loss"] == back["loss"]


def test_two_visitors_toys_do_not_mix():
    mine = numbers(play="me,0,5,0")
    yours = numbers(play="you,1,0,0")
    assert numbers(play="me,0,0,0") == mine and yours["step"] != 0
    assert numbers(play="")["step"] == 0, "who has not touched it sees it untrained"
    assert numbers(play="me,0,0,0", set="moons")["step"] == 0, "each data set has its own"


def test_toys_are_kept_up_to_a_bound_and_the_least_recently_seen_goes():
    for i in range(toys.TOYS):
        numbers(play=f"v{i},0,1,0")
    numbers(play="v0,0,0,0")
    numbers(play="new,0,1,0")
    assert len(toys._toys) == toys.TOYS
    assert ("v0", "gaussians") in toys._toys and ("v1", "gaussians") not in toys._toys


def test_when_all_updates_are_done_there_is_no_more():
    numbers(play="me,0,1,0")
    toy = toys._toys["me", "gaussians"]
    toy.state.step = toys.STEPS
    shown = numbers(play="me,1,0,0")
    assert shown["done"] and not shown["more"] and shown["step"] == toys.STEPS


def test_the_samples_walk_from_the_noise_at_T_to_the_data_at_0():
    learn(600)
    at_T, between, at_0 = (numbers(play="me,0,0,0", pt=t) for t in ("100", "51", "0"))
    assert all(len(path) == 2 for path in at_T["paths"]) and len(at_0["paths"][0]) > len(between["paths"][0]) > 2
    for path, start, end in zip(at_0["paths"], zip(*[iter(at_T["samples"])] * 2), zip(*[iter(at_0["samples"])] * 2)):
        assert tuple(path[:2]) == start and tuple(path[-2:]) == end
    centres, std = procedural.modes("gaussians")
    samples = torch.tensor(at_0["samples"]).view(-1, 2)
    assert torch.cdist(samples, centres.float()).amin(1).mean() < 2 * std
    assert abs(torch.tensor(at_T["samples"]).std() - 1) < 0.1


def test_at_time_zero_there_is_no_score():
    shown = numbers(pt="0")
    assert shown["error"] is shown["learnt"] is shown["exact"] is shown["mark"] is None


@pytest.mark.parametrize("name", plane.SETS)
@pytest.mark.parametrize("t", ["0", "1", "10", "100"])
def test_every_frame_is_finite_and_fits_the_header(name, t):
    text = json.dumps(live._rounded(numbers(set=name, pt=t, play="me,0,1,0")), separators=(",", ":"))
    assert len(text) < live.NUMBERS_MAX and "NaN" not in text


@pytest.mark.parametrize("changed", [
    *({"pt": value} for value in ("", "-1", "101", "nan", "inf", "1e308", "2.5", "ten", "9" * 5000)),
    *({"set": value} for value in ("", "mnist", "../../etc", "x" * 5000)),
    *({"play": value} for value in (
        "me", "me,1", "me,2,0,0", "me,1,-1,0", "me,nan,0,0", "me,1,1e9,0", "me,1,0,1e308", ",1,0,0", "../x,1,0,0", "é,1,0,0",
        "me,1,0,0,0", "a" * 17 + ",1,0,0", "x" * 5000, "me,0.5,0,0")),
])
def test_a_hostile_query_is_refused_in_one_sentence(changed):
    with pytest.raises(PlaygroundError) as refused:
        numbers(**changed)
    assert all("\n" not in sentence and len(sentence) < 300 for sentence in refused.value.sentences().values())
    assert not toys._toys, "and begins no toy"


@pytest.mark.parametrize("missing", ["set", "pt"])
def test_a_query_that_lacks_a_value_is_refused(missing):
    with pytest.raises(PlaygroundError):
        executor.run(plane.plane_frame, {key: value for key, value in QUERY.items() if key != missing})


@pytest.mark.parametrize("value", [None, ""])
def test_before_the_first_click_nobody_plays(value):
    assert drive(value) == drive("") and not drive(value).playing
