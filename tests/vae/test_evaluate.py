"""The figures of a VAE's card, against quadrature, brute force and plain statistics."""

import dataclasses
import statistics
from types import SimpleNamespace

import pytest
import torch
from torch import distributions as D
from torch import nn

from playground.core import checkpoints, datasets, metrics
from playground.vae import evaluate, sample, train

pytestmark = pytest.mark.usefixtures("one_cpu_thread")


class Curve(nn.Module):
    """One latent dimension, three binary pixels with logits b + a z + c z^2, and a rough Gaussian for the posterior."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(likelihood="bernoulli")
        self.coefficients = nn.Parameter(torch.tensor([[0.3, -0.6, 0.1], [1.5, 1.0, -2.0], [0.2, -0.3, 0.4]]))

    def encode(self, x):
        mu = 0.7 * (x.flatten(1) * torch.tensor([0.8, 0.5, -1.0])).sum(1, keepdim=True)
        return mu, torch.full_like(mu, -0.4) + 0.1 * mu

    def decode(self, z):
        return (torch.cat([z**0, z, z**2], 1).to(self.coefficients) @ self.coefficients)[:, None, None]


ALL = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).reshape(8, 1, 1, 3)          # every picture there is


def exact():
    """log p(x), the ELBO and the KL of Curve for ALL, each (8,), by quadrature in float64."""
    z = torch.linspace(-12, 12, 8_001, dtype=torch.float64)
    model = Curve().double()
    mu, logvar = (value.double() for value in Curve().encode(ALL))
    with torch.no_grad():
        log_p = torch.stack([D.Bernoulli(logits=model.decode(z[:, None])).log_prob(x.double()).sum((1, 2, 3)) for x in ALL])
    prior, q = D.Normal(torch.tensor(0.0).double(), 1.0), D.Normal(mu, (0.5 * logvar).exp())
    density = q.log_prob(z).exp()
    evidence = torch.trapezoid((log_p + prior.log_prob(z)).exp(), z)
    kl = torch.trapezoid(density * (q.log_prob(z) - prior.log_prob(z)), z)
    return evidence.log(), torch.trapezoid(density * log_p, z) - kl, kl


@pytest.mark.parametrize("rows", [4_000, 64])
def test_measure_agrees_with_quadrature_however_it_is_split(rows, monkeypatch):
    """64 rows a pass: one picture at a time, its samples in two passes. 4,000: forty pictures at a time in one."""
    monkeypatch.setattr(evaluate, "ROWS", rows)
    log_p, elbo, kl = exact()
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-6)
    assert (log_p - elbo).min() > 0.01                        # else the two could be mixed up unseen
    copies, k = 60, 100
    found_elbo, found_bound, found_nll, found_kl = evaluate.measure(Curve(), ALL.repeat_interleave(copies, 0), k)
    for found, expected, bias in ((found_elbo, elbo, 0), (found_bound, log_p, 0.01), (-found_nll, elbo + kl, 0)):
        found = found.reshape(8, copies).double()
        error = found.std(1) / copies**0.5
        assert error.max() < 0.02
        assert ((found.mean(1) - expected).abs() < 4 * error + bias).all()
    torch.testing.assert_close(found_kl.reshape(8, copies).double(), kl[:, None].expand(8, copies), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_decibels_of_pictures_in_colour_are_those_of_each_alone(monkeypatch):
    monkeypatch.setattr(sample, "BATCH", 4)
    model = train.init(train.TrainConfig(dataset="shapes", latent=2, network="mlp", hidden=8, likelihood="gaussian")).model.eval()
    x = datasets.load("shapes", "test").images[:9].float() / 255
    expected = [metrics.psnr(model.mean(model.encode(one[None])[0]), one[None]) for one in x]
    assert evaluate.fidelity(model, x).tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@torch.no_grad()
def test_measure_agrees_with_a_loop_over_pictures_and_samples(likelihood):
    torch.manual_seed(0)
    config = train.TrainConfig(dataset="shapes", latent=2, network="mlp", hidden=8, likelihood=likelihood, sigma=0.5)
    model = train.init(config).model.eval()
    x, k = torch.rand((3, 3, 32, 32), generator=torch.Generator().manual_seed(1)), 5
    x = x.round() if likelihood == "bernoulli" else x
    elbo, bound, nll, kl = evaluate.measure(model, x, k)
    noise = torch.randn((k, 3, 2), generator=torch.Generator().manual_seed(evaluate.NOISE_SEED))
    for i in range(3):
        mu, logvar = (value[0].double() for value in model.encode(x[i:i + 1]))
        q, prior = D.Normal(mu, (0.5 * logvar).exp()), D.Normal(0.0, 1.0)
        log_p, log_w = [], []
        for j in range(k):
            z = mu + q.scale * noise[j, i].double()
            out = model.decode(z[None].float())[0].double()
            pixels = D.Bernoulli(logits=out) if likelihood == "bernoulli" else D.Normal(out, 0.5)
            log_p.append(pixels.log_prob(x[i].double()).sum().item())
            log_w.append(log_p[-1] + (prior.log_prob(z) - q.log_prob(z)).sum().item())
        assert nll[i].item() == pytest.approx(-statistics.mean(log_p), rel=1e-5)
        assert kl[i].tolist() == pytest.approx(D.kl_divergence(q, prior).tolist(), rel=1e-4, abs=1e-6)
        assert elbo[i].item() == pytest.approx(-nll[i].item() - kl[i].sum().item(), rel=1e-6)
        assert bound[i].item() == pytest.approx((torch.tensor(log_w).logsumexp(0) - torch.tensor(k).log()).item(), rel=1e-5)


def test_measure_reports_every_picture_once():
    calls = []
    evaluate.measure(Curve(), ALL, evaluate.ROWS // 3, lambda *call: calls.append(call))
    assert calls == [(3, 8), (6, 8), (8, 8)]


def test_measure_gives_the_same_figures_each_time():
    for a, b in zip(evaluate.measure(Curve(), ALL, 7), evaluate.measure(Curve(), ALL, 7)):
        assert torch.equal(a, b)


def test_test_images_come_in_one_pinned_binarisation():
    grey = evaluate.test_images("glyphs", "gaussian")
    assert grey.shape == (2_000, 1, 28, 28) and len(grey.unique()) > 2 and grey.max() == 1
    x = evaluate.test_images("glyphs", "bernoulli")
    torch.rand(9)
    assert torch.equal(x, evaluate.test_images("glyphs", "bernoulli"))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert ((x - grey)[(grey == 0) | (grey == 1)] == 0).all()                # only grey pixels are drawn
    error = (grey * (1 - grey)).sum().sqrt() / x.numel()
    assert 0 < (x.mean() - grey.mean()).abs() < 4 * error


# ---- the whole card --------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A checkpoint named tiny with two useful dimensions and one that is dead."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path))
    config = train.TrainConfig(dataset="glyphs", latent=3, network="mlp", hidden=8)
    state = train.init(config)
    with torch.no_grad():
        for row, gain in ((0, 0.5), (1, 2.0), (2, 0.0), (5, 0.0)):           # mu 0, mu 1, mu 2, logvar 2
            state.ema.encoder[-1].weight[row] *= gain
            state.ema.encoder[-1].bias[row] = 0.3 * gain
        state.ema.encoder[-1].bias[5] = 0
    made = train.result(config, state)
    checkpoints.save(tmp_path / "tiny" / "checkpoint", family="vae", dataset="glyphs", model=made.model,
                     train=dataclasses.asdict(config), weights=made.weights, derived=made.derived, metrics={},
                     command="made by a test", made={})
    x = evaluate.test_images("glyphs", "bernoulli")[:40]
    monkeypatch.setattr(evaluate, "test_images", lambda dataset, likelihood: {("glyphs", "bernoulli"): x}[dataset, likelihood])
    monkeypatch.setattr(evaluate, "K", 6)
    return x


def test_a_card_holds_means_over_images_with_their_standard_errors(tiny):
    calls = []
    card = evaluate.evaluate("tiny", report=lambda *call: calls.append(call))
    elbo, bound, nll, kl = evaluate.measure(sample.load("tiny").model, tiny, 6)
    figures = {"importance_weighted_nll": -bound, "negative_elbo": -elbo, "reconstruction_nll": nll, "kl": kl.sum(1)}
    for name, values in figures.items():
        assert card[name] == pytest.approx(statistics.mean(values.tolist()), abs=6e-4)
        assert card[f"{name}_stderr"] == pytest.approx(statistics.stdev(values.tolist()) / 40**0.5, abs=6e-4)
        assert card[f"{name}_stderr"] > 0
    assert card["negative_elbo"] == pytest.approx(card["reconstruction_nll"] + card["kl"], abs=2e-3)
    assert card["test_images"] == 40 and calls[-1] == (40, 40)
    assert (card["importance_samples"], card["binarisation_seed"], card["noise_seed"]) == (6, 0, 1)
    assert next(iter(figures)) == checkpoints_headline(card)


def checkpoints_headline(card):
    from playground.core.card import headline

    return headline(card)[0]


def test_a_card_of_pictures_in_colour_begins_with_decibels_and_says_what_its_nats_are_of(tmp_path, monkeypatch):
    from playground.core import card

    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path))
    config = train.TrainConfig(dataset="shapes", latent=3, network="mlp", hidden=8, likelihood="gaussian", sigma=0.35)
    made = train.result(config, train.init(config))
    checkpoints.save(tmp_path / "tiny" / "checkpoint", family="vae", dataset="shapes", model=made.model, train=dataclasses.asdict(config),
                     weights=made.weights, derived=made.derived, metrics={}, command="made by a test", made={})
    x = datasets.load("shapes", "test").images[:30].float() / 255
    monkeypatch.setattr(evaluate, "test_images", lambda dataset, likelihood: {("shapes", "gaussian"): x}[dataset, likelihood])
    monkeypatch.setattr(evaluate, "K", 4)
    found = evaluate.evaluate("tiny")
    assert card.headline(found) == ("reconstruction_psnr", pytest.approx(evaluate.fidelity(sample.load("tiny").model, x).mean().item(), abs=6e-4))
    elbo, bound, nll, _ = evaluate.measure(sample.load("tiny").model, x, 4)
    assert found["negative_elbo"] == pytest.approx(-elbo.mean().item(), abs=6e-4) and found["importance_weighted_nll"] == pytest.approx(-bound.mean().item(), abs=6e-4)
    assert found["nats_of"] == "densities of pixels in [0, 1], not discretised, sigma 0.35"
    assert "binarisation_seed" not in found and "frechet" not in found, "no coins are thrown, and no features know such pictures"


def test_the_card_of_a_model_of_the_emoji_names_their_licence_and_its_metrics_in_words():
    from playground.core import card

    config = train.suited("shipped", "noto-emoji")
    text = card.card("vae-emoji", {"family": "vae", "dataset": "noto-emoji", "made": {"seconds": 1.0, "hardware": "a test", "torch": "2", "date": "today"},
                                   "train": dataclasses.asdict(config), "command": "made by a test",
                                   "metrics": {"reconstruction_psnr": 20.0, "reconstruction_psnr_stderr": 0.1, "nats_of": "densities"}})
    assert "trained on `noto-emoji` (Noto Emoji (Google), Apache-2.0, composited on white)" in text
    assert "| reconstruction_psnr | 20 | 0.1 |" in text and "| nats_of | densities | – |" in text


def test_a_dimension_below_a_hundredth_of_a_nat_counts_as_dead(tiny):
    kl = evaluate.measure(sample.load("tiny").model, tiny, 1)[3].mean(0)
    assert kl[2] < evaluate.ACTIVE < kl[:2].min()
    card = evaluate.evaluate("tiny")
    assert card["active_dimensions"] == 2 and card["latent_dimensions"] == 3


def test_full_asks_for_5000_samples(tiny, monkeypatch):
    asked = []
    measure = evaluate.measure
    monkeypatch.setattr(evaluate, "measure", lambda model, x, k, report: asked.append(k) or measure(model, x, 2, report))
    assert evaluate.evaluate("tiny", full=True)["importance_samples"] == 5_000
    evaluate.evaluate("tiny")
    assert asked == [5_000, 6]


# ---- the shipped checkpoint ------------------------------------------------------------------------------------


@pytest.fixture
def shipped():
    """The metrics of the shipped vae-mnist's card."""
    metrics = checkpoints.entry("vae-mnist").config["metrics"]
    if not metrics:
        pytest.skip("the card of vae-mnist has no metrics yet: python -m playground evaluate vae-mnist")
    return metrics


def test_the_shipped_card_is_within_the_goal(shipped):
    """At most 86.8 nats: Burda et al. 2016, table 1, the one-layer VAE."""
    assert shipped["importance_weighted_nll"] <= 86.8
    assert shipped["importance_weighted_nll"] <= shipped["negative_elbo"]
    assert shipped["importance_weighted_nll_stderr"] < 0.5
    assert shipped["importance_samples"] >= 200 and shipped["test_images"] == 10_000
    assert 16 <= shipped["latent_dimensions"] <= 32


@pytest.mark.slow
@pytest.mark.data
def test_the_shipped_model_needs_less_than_90_nats_for_a_test_picture(shipped, mnist):
    assert len(mnist("test").images) == 10_000
    x = evaluate.test_images("mnist", "bernoulli")[::50]      # 200 of them, from both halves of the set
    elbo, bound, _, _ = evaluate.measure(sample.load("vae-mnist").model, x, 200)
    assert -bound.mean() < 90
    assert (bound > elbo).float().mean() > 0.95
    error = (bound.std() / len(x) ** 0.5).item()
    assert -bound.mean().item() == pytest.approx(shipped["importance_weighted_nll"], abs=4 * error)       # the card tells the truth
