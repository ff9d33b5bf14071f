"""The figures of an autoencoder's card, against plain loops and statistics."""

import statistics

import pytest
import torch

from playground.ae import evaluate, maths, sample
from playground.core import checkpoints, datasets
from playground.core.card import headline

N = 60                       # test pictures


@pytest.fixture(autouse=True)
def models(tiny, monkeypatch):
    """The checkpoints of conftest, on fewer test pictures."""
    whole = datasets.load

    def load(name, split="train"):
        found = whole(name, split)
        return type(found)(found.name, found.images[:N], None if found.labels is None else found.labels[:N], found.classes) if split == "test" else found

    monkeypatch.setattr(datasets, "load", load)


def by_hand(name):
    """Squared error, share of active units and ||J||_F of each test picture, one at a time."""
    checkpoint, rows = sample.load(name), []
    for x in datasets.load("glyphs", "test").images.float() / 255:
        with torch.no_grad():
            [h] = checkpoint.model.encode(x[None])
            error = (checkpoint.model.decode(h[None])[0].clamp(0, 1) - x).square().sum().item()
        on = (h.abs() > 0.01 * checkpoint.derived["largest"]) & (checkpoint.derived["largest"] > 0)
        rows.append((error, on.float().mean().item(), maths.jacobian(checkpoint.model.encode, x).norm().item()))
    return [list(column) for column in zip(*rows)]


@pytest.mark.parametrize("name", ["tiny-30d", "tiny-sparse", "tiny-top-k", "tiny-kl", "tiny-contractive"])
def test_a_card_holds_means_over_images_with_their_standard_errors(name):
    calls = []
    card = evaluate.evaluate(name, report=lambda *call: calls.append(call))
    error, share, jacobian = by_hand(name)
    expected = {"squared_error": error} | ({} if name == "tiny-30d" else {"jacobian_norm": jacobian})
    if name in ("tiny-sparse", "tiny-top-k", "tiny-kl"):
        expected["active_share"] = share
    for key, values in expected.items():
        assert card[key] == pytest.approx(statistics.mean(values), rel=1e-3, abs=1e-4)
        assert card[f"{key}_stderr"] == pytest.approx(statistics.stdev(values) / N**0.5, rel=1e-2, abs=1e-4)
    assert card["test_images"] == N and calls[-1] == (N, N)
    assert headline(card)[0] == "squared_error"


def test_a_deep_one_stands_beside_pca_with_as_many_components():
    card = evaluate.evaluate("tiny-30d")
    x, basis = datasets.load("glyphs", "test").images.float() / 255, maths.pca(datasets.load("glyphs").images, 12)
    errors = maths.squared_error(basis.decode(basis.encode(x, 12)).view(x.shape), x)
    assert card["pca_squared_error"] == pytest.approx(errors.mean().item(), rel=1e-3)
    assert card["code"] == 12 and card["parameters"] == sum(p.numel() for p in sample.load("tiny-30d").model.parameters())


def test_multiplications_are_those_of_a_loop_that_skips_silent_units():
    card, checkpoint = evaluate.evaluate("tiny-sparse"), sample.load("tiny-sparse")
    x = datasets.load("glyphs", "test").images.float() / 255
    counted = [40 * 784 + 784 * sample.look(checkpoint, each).active for each in x]      # all of the encoder, the atoms that are on
    assert card["multiplications"] == pytest.approx(statistics.mean(counted), rel=1e-4)
    assert card["multiplications_without_skipping"] == 2 * 40 * 784


def test_a_denoiser_is_measured_under_its_own_corruption():
    card = evaluate.evaluate("tiny-denoiser")
    x = datasets.load("glyphs", "test").images.float() / 255
    seen = maths.corrupted(x, "mask", 0.4, torch.Generator().manual_seed(evaluate.NOISE_SEED))
    assert card["corrupted_squared_error"] == pytest.approx(maths.squared_error(seen, x).mean().item(), rel=1e-4)
    repaired = sample.decode(sample.load("tiny-denoiser"), sample.encode(sample.load("tiny-denoiser"), seen))
    assert card["repaired_squared_error"] == pytest.approx(maths.squared_error(repaired, x).mean().item(), rel=1e-4)


def test_figures_are_the_same_each_time():
    assert evaluate.evaluate("tiny-denoiser") == evaluate.evaluate("tiny-denoiser", full=True)


# ---- the shipped checkpoints -----------------------------------------------------------------------------------


def card_of(name):
    """The metrics of a shipped card."""
    found = [entry for entry in checkpoints.entries() if entry.name == name and entry.shipped]
    if not found or not found[0].config["metrics"]:
        pytest.skip(f"{name} is not shipped yet, or its card has no metrics: python -m playground evaluate {name} --write")
    return found[0].config["metrics"]


def test_the_shipped_30_numbers_beat_the_paper_s():
    """Hinton & Salakhutdinov 2006: 3.00, PCA with 30 components 13.87."""
    card = card_of("ae-mnist-30d")
    assert card["squared_error"] <= 3.00 and card["test_images"] == 10_000 and card["code"] == 30
    assert card["pca_squared_error"] == pytest.approx(13.87, rel=0.02)


def test_the_shipped_sparse_one_is_silent_and_restores():
    card = card_of("ae-sparse-mnist")
    assert card["active_share"] <= 0.05 and card["code"] >= 1024
    assert card["squared_error"] <= 2 * card_of("ae-mnist-30d")["squared_error"]


def test_the_shipped_contractive_one_is_half_as_steep_as_its_twin_and_restores():
    card, plain = card_of("ae-contractive-mnist"), card_of("ae-tied-mnist")
    assert card["code"] == plain["code"]
    assert card["jacobian_norm"] <= 0.5 * plain["jacobian_norm"] and card["squared_error"] <= 1.3 * plain["squared_error"]
