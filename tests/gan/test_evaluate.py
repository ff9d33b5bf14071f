"""The figures of a GAN's card, against plain loops, statistics and another library."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
import torch

from playground.core import checkpoints, classifier, datasets, metrics
from playground.core.card import headline
from playground.gan import evaluate, sample

N = 40                       # pictures of each kind


@pytest.fixture(autouse=True)
def models(tiny, monkeypatch):
    """The checkpoints of conftest, on fewer pictures."""
    whole = datasets.load

    def load(name, split="train"):
        found = whole(name, split)
        return type(found)(found.name, found.images[:N], None if found.labels is None else found.labels[:N], found.classes)

    monkeypatch.setattr(datasets, "load", load)


@pytest.mark.parametrize("name", ["tiny-mnist", "tiny-critic", "tiny-colour"])
def test_a_card_of_any_pictures_says_how_often_d_is_right(name):
    calls = []
    card, checkpoint = evaluate.evaluate(name, report=lambda *call: calls.append(call)), sample.load(name)
    real = datasets.load(checkpoint.config["dataset"], "test").images.float() / 255
    fake = sample.images(name, N, 0)
    with torch.no_grad():
        said = lambda x: [checkpoint.model.discriminator(2 * each[None] - 1).item() for each in x]        # noqa: E731
        right = [answer > checkpoint.derived["boundary"].item() for answer in said(real)] + [answer <= checkpoint.derived["boundary"].item() for answer in said(fake)]
    assert card["d_accuracy"] == pytest.approx(np.mean(right), abs=1e-3) and card["test_images"] == N
    assert card["d_accuracy_stderr"] == pytest.approx(math.sqrt(np.mean(right) * (1 - np.mean(right)) / (2 * N)), abs=1e-3)
    assert calls[-1][0] == calls[-1][1] and headline(card)[0] == "d_accuracy"
    assert card["sliced_distance"] > card["training_images_sliced_distance"] > 0
    assert card["nearest_training_rms"] > card["test_images_nearest_training_rms"] > 0, "hardly trained, it draws like none of them"
    assert card["parameters_generator"] == sum(p.numel() for p in checkpoint.model.generator.parameters())


def test_figures_are_the_same_each_time():
    assert evaluate.evaluate("tiny-mnist") == evaluate.evaluate("tiny-mnist", full=True)


def test_no_picture_of_a_card_counts_twice(monkeypatch):
    """Seeds that follow each other share pictures; those of the card are SAMPLES apart."""
    asked = []
    monkeypatch.setattr(evaluate, "SAMPLES", 30)
    monkeypatch.setattr(sample, "latents", lambda checkpoint, seeds: asked.extend(seeds) or torch.zeros(len(seeds), 8))
    for seed in evaluate.SEEDS:
        evaluate.drawn(sample.load("tiny-mnist"), 30, 30 * seed)
    assert len(set(asked)) == len(asked) == 150


def test_a_card_of_digits_counts_the_classes_of_the_very_pictures_it_measures(monkeypatch):
    """With the tiny model and set standing in for MNIST; what core.metrics makes of the pictures is tested there."""
    found = sample.load("tiny-mnist")
    monkeypatch.setattr(sample, "load", lambda name: dataclasses.replace(found, config={**found.config, "dataset": "mnist"}))
    whole = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, split="train": whole("glyphs", split))
    monkeypatch.setattr(evaluate, "SAMPLES", 20)
    monkeypatch.setattr(evaluate, "HELD_OUT", 8)

    def quality(draw, n, seeds, report):
        x = torch.cat([draw(n, seed) for seed in seeds])
        assert len(x) == 100 and torch.equal(x, sample.draw(found, sample.latents(found, range(100))))
        return {"frechet": 2.0, "frechet_std": 0.5, "precision": 0.5, "training_images_frechet": 0.3}

    monkeypatch.setattr(metrics, "sample_quality", quality)
    card = evaluate.evaluate("tiny-mnist")
    drawn = classifier.probabilities(sample.images("tiny-mnist", 100, 0)).argmax(1).tolist()
    assert card["class_share"] == {str(digit): pytest.approx(drawn.count(digit) / 100) for digit in range(10)}
    assert headline(card) == ("frechet", 2.0) and card["frechet_stderr"] == pytest.approx(0.5 / 5**0.5, abs=1e-4)
    assert "parzen" in card and card["precision"] == 0.5


def test_log_likelihoods_are_those_of_scipy_s_gaussians():
    x, windows = torch.rand(3, 1, 2, 2, dtype=torch.float64), torch.rand(5, 1, 2, 2, dtype=torch.float64)
    found = evaluate.log_likelihoods(x, windows, [0.3, 0.5])
    for row, sigma in zip(found, (0.3, 0.5)):
        expected = [np.log(np.mean([scipy.stats.multivariate_normal(w.ravel(), sigma**2 * np.eye(4)).pdf(point.ravel()) for w in windows.numpy()])) for point in x.numpy()]
        np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_sigma_is_the_likeliest():
    windows = torch.rand(50, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    x = windows[:20] + 0.2 * torch.randn(20, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    best = evaluate.best_sigma(x, windows, evaluate.SIGMAS)
    values = {sigma: evaluate.log_likelihoods(x, windows, [sigma]).mean().item() for sigma in evaluate.SIGMAS}
    assert values[best] == max(values.values()) and 0.15 < best < 0.3


def test_the_parzen_window_says_little(monkeypatch):
    """It gives training images, which are as good as it gets, hardly more than what is laid around blurred ones: Theis et al. 2016."""
    training, test = datasets.load("glyphs").images, datasets.load("glyphs", "test").images
    monkeypatch.setattr(evaluate, "HELD_OUT", 8)
    found = evaluate.parzen(sample.load("tiny-mnist"), training, test)
    assert {"parzen", "parzen_stderr", "parzen_sigma", "parzen_training"} <= found.keys()
    windows = training[:-8].float() / 255
    values = evaluate.log_likelihoods(test.float() / 255, windows, [evaluate.best_sigma(training[-8:].float() / 255, windows, evaluate.SIGMAS)])[0]
    assert found["parzen_training"] == pytest.approx(values.mean().item(), abs=0.01)


# ---- the shipped checkpoint ------------------------------------------------------------------------------------


def card_of(name):
    """The metrics of a shipped card."""
    found = [entry for entry in checkpoints.entries() if entry.name == name and entry.shipped]
    if not found or not found[0].config["metrics"]:
        pytest.skip(f"{name} is not shipped yet, or its card has no metrics: python -m playground evaluate {name} --write")
    return found[0].config["metrics"]


def test_the_shipped_digits_are_near_the_real_ones_and_of_all_classes():
    card = card_of("gan-mnist")
    assert card["frechet"] <= 15 * card["training_images_frechet"], "the floor"
    assert min(card["class_share"].values()) >= 0.05, "no digit below half its share"
    assert headline(card)[0] == "frechet" and 0 < card["precision"] <= 1 and 0 < card["recall"] <= 1
    assert card["parzen_stderr"] < 5 and metrics
