"""The view of one dimension: Bayes' rule by brute force, the KL of the notes' table, and what a hostile query gets."""

import json
import math

import pytest
import torch

from playground.core.errors import PlaygroundError
from playground.diffusion.views import line
from playground.ui import live

QUERY = {"beta": "0.2", "ab": "0.9", "xt": "0", "x0": "1"}


def numbers(**changed):
    return line.line_frame({**QUERY, **{name: str(value) for name, value in changed.items()}}).numbers


@pytest.mark.parametrize("beta, ab, xt, x0", [(0.2, 0.9, 0.0, 1.0), (0.01, 0.5, -1.3, 0.4), (0.95, 0.99, 2.0, -1.5), (0.001, 0.05, 0.7, 0.0)])
def test_the_posterior_is_the_product_of_prior_and_likelihood_made_to_sum_to_one(beta, ab, xt, x0):
    x = torch.linspace(-12, 12, 400_001, dtype=torch.float64)
    product = torch.exp(-(x - ab**0.5 * x0)**2 / (2 * (1 - ab)) - (xt - (1 - beta)**0.5 * x)**2 / (2 * beta))
    product /= torch.trapezoid(product, x)
    mean = torch.trapezoid(product * x, x).item()
    variance = torch.trapezoid(product * (x - mean)**2, x).item()
    shown = numbers(beta=beta, ab=ab, xt=xt, x0=x0)
    assert shown["mean"] == pytest.approx(mean, abs=1e-6)
    assert shown["variance"] == pytest.approx(variance, rel=1e-5)
    assert float(shown["variance_text"]) == pytest.approx(variance, rel=6e-3), "it is shown to three digits"
    assert shown["a"] * x0 + shown["b"] * xt == pytest.approx(shown["mean"]), "the formula with its numbers"
    assert shown["left"] / shown["left_t"] * beta == pytest.approx(variance, rel=1e-5)
    nearest = (x[None] - torch.tensor(shown["x"]).double()[:, None]).abs().argmin(1)
    torch.testing.assert_close(torch.tensor(shown["posterior"]).double(), product[nearest], atol=0.02 * product.max().item(), rtol=0)


def test_the_drawn_posterior_is_proportional_to_the_drawn_prior_times_the_drawn_likelihood():
    shown = numbers(beta=0.3, xt=0.5)
    prior, likelihood, posterior = (torch.tensor(shown[name]) for name in ("prior", "likelihood", "posterior"))
    seen = posterior > 0.1
    ratio = (prior * likelihood / posterior)[seen]
    assert ratio.std() / ratio.mean() < 0.02 and (posterior.max() > torch.maximum(prior.max(), likelihood.max())), "narrower than both"


@pytest.mark.parametrize("beta, kl", [(0.001, 3.3e-6), (0.01, 0.0052), (0.05, 0.107), (0.2, 0.314), (0.95, 0.450)])
def test_the_kl_of_the_true_step_from_its_gaussian_is_that_of_the_notes(beta, kl):
    assert numbers(beta=beta)["kl"] == pytest.approx(kl, rel=0.02)


def test_the_kl_agrees_with_a_sum_over_samples():
    reverse = line._reverse(0.2, 0.9, 0.3)
    generator = torch.Generator().manual_seed(0)
    which = torch.multinomial(reverse.weights, 400_000, replacement=True, generator=generator)
    x = reverse.means[which, 0] + reverse.variances[which].sqrt() * torch.randn(len(which), generator=generator).double()
    m, v = reverse.moments()
    ratio = reverse.log_density(x[:, None]) + (x - m)**2 / (2 * v) + 0.5 * (2 * math.pi * v).log()
    assert line.kl_to_matched(reverse) == pytest.approx(ratio.mean().item(), abs=5 * ratio.std().item() / len(x)**0.5)


def test_the_curve_of_the_kl_rises_with_beta_and_passes_through_the_number_shown():
    shown = numbers()
    drawn = [kl for kl in shown["kls"] if kl is not None]
    assert drawn == sorted(drawn) and len(drawn) >= 18 and drawn[0] < 5e-4
    place = shown["log_beta"]
    k = max(k for k, at in enumerate(shown["log_betas"]) if at <= place)
    assert shown["kls"][k] <= shown["kl"] <= shown["kls"][k + 1]


def test_where_one_peak_explains_it_all_the_step_is_gaussian():
    assert numbers(beta=0.2, xt=1.5)["kl"] < 1e-3 < numbers(beta=0.2, xt=0)["kl"]


@pytest.mark.parametrize("name", QUERY)
@pytest.mark.parametrize("value", ["nan", "inf", "-1e308", "1e400", "", "0x10", "[]", "9" * 5000, "2.51", "-2.51"])
def test_a_hostile_query_is_refused_in_one_sentence(name, value):
    with pytest.raises(PlaygroundError) as refused:
        line.line_frame({**QUERY, name: value})
    assert all(sentence.count("\n") == 0 and len(sentence) < 300 for sentence in refused.value.sentences().values())


@pytest.mark.parametrize("name", QUERY)
def test_a_query_that_lacks_a_number_is_refused(name):
    with pytest.raises(PlaygroundError):
        line.line_frame({key: value for key, value in QUERY.items() if key != name})


@pytest.mark.parametrize("ends", [{name: line.RANGES[name][side] for name in QUERY} for side in (0, 1)])
def test_at_the_ends_of_every_range_all_numbers_are_finite_and_fit_the_header(ends):
    shown = numbers(**ends)
    text = json.dumps(live._rounded(shown), separators=(",", ":"))
    assert "NaN" not in text and None not in shown.values() and len(text) < live.NUMBERS_MAX


def test_the_endpoint_says_what_the_view_says():
    said = line.diffusion_line(0.05, 0.9, 0, 1)
    assert said["kl"] == pytest.approx(0.107, abs=5e-4) and said["mean"] == pytest.approx(numbers(beta=0.05)["mean"])
    with pytest.raises(PlaygroundError):
        line.diffusion_line(float("nan"), 0.9, 0, 1)
