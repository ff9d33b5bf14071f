"""The bound's view: its terms are those of a direct computation, its sums are close to the whole sums, its forms one prediction."""

import json
import math
from collections import OrderedDict

import numpy as np
import pytest
import torch

from playground.core.device import executor
from playground.core.errors import PlaygroundError
from playground.diffusion import maths, sample, views
from playground.diffusion.views import bound
from playground.ui import live

pytestmark = pytest.mark.usefixtures("tiny")

ASK = {"checkpoint": "tiny", "seed": "2", "x": "", "y": "3", "t": "20"}
HOSTILE = {
    "checkpoint": ("", "nowhere", "tiny-guide"), "seed": ("-1", "nan", "x"), "x": ("<b>", "s-1", "pAAAA", "A" * 523),
    "y": ("10", "-1", "nan", "three"), "t": ("0", "101", "nan", "inf", "1.5", "", "1e99"),
}


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(bound, "_kept", OrderedDict())


def ask(**changed):
    return executor.run(bound.bound_frame, {**ASK, **changed})


def every_term(name="tiny", y=3, seed=2, x=""):
    """L_0, L_1, ... L_{T-1} of the picture in bits per dimension, and |eps - eps_theta|^2 per dimension, one time after the other."""
    checkpoint = sample.load(name)
    s, x_0 = sample.schedule(checkpoint), views.picture(checkpoint, x)
    eps, bits, squared = sample.start_noise(checkpoint, seed), [], []
    with torch.no_grad():
        for t in range(1, s.T + 1):
            now = torch.tensor([t])
            x_t = s.alpha_bar[t].sqrt() * x_0 + (1 - s.alpha_bar[t]).sqrt() * eps
            raw = checkpoint.model(x_t.float(), now, None if y is None else torch.tensor([y]))
            said = maths.forms(raw, checkpoint.model.config.prediction, x_t.float(), t, s).x_0.clamp(-1, 1)
            bits.append(maths.bits_per_dimension(maths.terms(x_0, eps, now, said, s), x_0).item())
            squared.append((maths.forms(said, "x_0", x_t.float(), t, s).eps - eps).square().mean().item())
    return np.array(bits), np.array(squared)


@pytest.mark.parametrize("key, value", [(key, value) for key, values in HOSTILE.items() for value in values])
def test_what_cannot_be_is_refused_in_one_sentence(key, value):
    with pytest.raises(PlaygroundError) as refused:
        ask(**{key: value})
    assert "\n" not in refused.value.sentence("zh")


@pytest.mark.parametrize("name, y", [("tiny", 3), ("tiny", None), ("tiny-eps", 3)])
def test_the_terms_are_those_of_a_direct_computation_and_the_sums_come_close(name, y):
    bits, squared = every_term(name, y)
    n = ask(checkpoint=name, y="any" if y is None else str(y)).numbers
    times = np.round(10 ** np.array(n["places"])).astype(int)
    np.testing.assert_allclose(n["yours"], bits[times - 1], rtol=1e-3)
    assert n["L_0"] == pytest.approx(bits[0], rel=1e-4) and n["bits"] == pytest.approx(bits[19], rel=1e-3)
    assert n["between"] == pytest.approx(bits[1:].sum(), rel=0.03)
    assert n["simple"] == pytest.approx(squared.mean(), rel=0.05)
    assert n["total"] == pytest.approx(n["L_0"] + n["L_T"] + n["between"])
    shown = [float(n[f"said_{name}"]) for name in ("L_0", "L_T", "between", "total")]
    assert sum(shown[:3]) == pytest.approx(shown[3], abs=0.0016), "as it is read: three digits of each"


@pytest.mark.parametrize("t", [2, 20, 100])
def test_the_weighted_error_of_the_noise_is_the_term(t):
    n = ask(t=str(t)).numbers
    assert n["weight"] * n["squared"] == pytest.approx(n["nats"], rel=2e-3)
    assert n["bits"] == pytest.approx(n["nats"] / (784 * math.log(2)))
    assert n["squared"] / n["dimensions"] == pytest.approx(n["error_eps"])


def test_at_the_last_step_there_is_a_likelihood_and_no_weight():
    n = ask(t="1").numbers
    assert n["weight"] is None and n["bits"] == pytest.approx(n["L_0"], rel=1e-4)


@pytest.mark.parametrize("t", [1, 20, 95])
def test_the_four_errors_are_one_error_under_the_weights_of_the_chart(t):
    n, s = ask(t=str(t)).numbers, sample.schedule(sample.load("tiny"))
    for form in bound.FORMS:
        assert n[f"error_{form}"] * maths.loss_weights(form, s)[t - 1].item() == pytest.approx(n["error_eps"], rel=1e-3)
    times = np.round(10 ** np.array(n["weight_places"])).astype(int)
    np.testing.assert_allclose(n["weight_x_0"], (s.alpha_bar / (1 - s.alpha_bar))[times])
    assert [bound.weight(int(t), s) for t in times[:3]] == pytest.approx(n["weight_bound"][:3])


def test_the_curve_of_the_test_pictures_is_what_was_measured_when_the_model_was_made():
    derived, n = sample.load("tiny").derived, ask().numbers
    for place, value in zip(n["places"], n["held_out"]):
        t = round(10**place)
        if t in derived["times"]:
            assert value == pytest.approx(derived["bound"][derived["times"] == t].item(), rel=1e-4)
    assert all(value is not None for value in n["held_out"]), "from t = 2, where the bound lives, to T"


def test_the_prediction_in_sight_is_clipped_and_stands_in_its_tile():
    frame = ask(t="60")
    x_t, eps, x_0, v, score = np.split(frame.picture, 5, axis=1)
    checkpoint = sample.load("tiny")
    clean, noise, s = views.picture(checkpoint, ""), sample.start_noise(checkpoint, 2), sample.schedule(checkpoint)
    with torch.no_grad():
        noisy, said = bound.predicted(checkpoint, clean, noise, torch.tensor([60]), 3, s)
    assert said.x_0.abs().max() <= 1
    np.testing.assert_array_equal(x_t, views.shown(noisy[0]))
    np.testing.assert_array_equal(x_0, views.shown(said.x_0[0]))
    np.testing.assert_array_equal(score, views.noise_map(-said.eps[0]))
    assert (v != eps).any()


def test_dragging_t_computes_no_curve_again_and_few_are_kept(monkeypatch):
    made, curve = [], bound.curve
    monkeypatch.setattr(bound, "curve", lambda *a: made.append(a) or curve(*a))
    for t in range(1, 30):
        ask(t=str(t))
    assert len(made) == 1
    for seed in range(bound.KEPT + 3):
        ask(seed=str(seed))
    assert len(bound._kept) == bound.KEPT


def test_interpolation_is_exact_for_a_power_of_t():
    times = maths.log_spaced(bound.TIMES, 4000).numpy()
    every = np.arange(2, 4001)
    np.testing.assert_allclose(bound.interpolated(times, 3.0 * times**-1.5, every), 3 * every**-1.5)


def test_the_numbers_fit_into_their_header():
    assert len(json.dumps(live._rounded({**ask(checkpoint="tiny-colour", y="any").numbers, "ms": 1.0}))) < live.NUMBERS_MAX


def test_the_endpoint_answers_as_the_view_does_and_refuses_as_it_does():
    answer = bound.diffusion_bound("tiny", "", 2, "3", 20)
    assert answer["total"] == ask().numbers["total"] and answer["picture"] == live.data_uri(ask().picture)
    for wrong in (("tiny", [1], 2, "3", 20), ("tiny", "", 2, 3, 20), ("tiny", "", 2, "3", float("nan")), ("tiny", "", "2x", "3", 20), ([], "", 2, "3", 20)):
        with pytest.raises(PlaygroundError):
            bound.diffusion_bound(*wrong)
