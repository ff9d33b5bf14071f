import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F

from playground.core import classifier, datasets, metrics, procedural
from playground.core.errors import PlaygroundError


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def white(n, d, seed=0):
    """n rows whose sample mean is exactly 0 and sample covariance exactly the identity."""
    x = normal(n, d, seed=seed)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T.cov())).T


# ---- Frechet distance ----


def test_frechet_agrees_with_the_matrix_square_root_of_scipy():
    a = normal(300, 12) @ normal(12, 12, seed=1) + 3
    b = normal(200, 12, seed=2) @ normal(12, 12, seed=3)
    c_a, c_b = np.cov(a.numpy(), rowvar=False), np.cov(b.numpy(), rowvar=False)
    difference = (a.mean(0) - b.mean(0)).numpy()
    expected = difference @ difference + np.trace(c_a + c_b - 2 * scipy.linalg.sqrtm(c_a @ c_b).real)
    assert metrics.frechet(a, b) == pytest.approx(expected, rel=1e-8)


def test_frechet_of_equal_covariances_is_the_squared_distance_of_the_means():
    a, shift = normal(100, 5) @ normal(5, 5, seed=1), torch.tensor([3.0, 0, -1, 0.5, 2])
    assert metrics.frechet(a, a + shift) == pytest.approx(shift.square().sum().item(), rel=1e-8)
    assert metrics.frechet(a, a) == pytest.approx(0, abs=1e-8)


def test_frechet_of_diagonal_gaussians_adds_the_squared_differences_of_the_stds():
    s_a, s_b, shift = torch.tensor([1.0, 2, 0.5]), torch.tensor([3.0, 2, 0.1]), torch.tensor([1.0, 0, 2])
    a, b = white(50, 3) * s_a, white(80, 3, seed=1) * s_b + shift
    assert metrics.frechet(a, b) == pytest.approx(((s_a - s_b).square() + shift.square()).sum().item(), rel=1e-6)


def test_frechet_bears_features_that_never_fire():
    a, b = normal(400, 6), normal(400, 6, seed=1)
    padded = [F.pad(x, (0, 3)) for x in (a, b)]               # three constant columns: singular covariances
    assert metrics.frechet(*padded) == pytest.approx(metrics.frechet(a, b), rel=1e-6)


def test_frechet_keeps_its_digits_in_single_precision_far_from_zero():
    a, b = white(500, 4).float() + 100, 2 * white(500, 4, seed=1).float() + 100
    assert metrics.frechet(a, b) == pytest.approx(4.0, rel=1e-3)      # four stds of 1 against 2


# ---- precision and recall ----


def brute_force(real, fake, k):
    """Kynkaanniemi et al. 2019, eqs. 1-2, read aloud."""
    def share_inside(points, members):
        def radius(i):
            return sorted(math.dist(members[i], other) for j, other in enumerate(members) if j != i)[k - 1]
        inside = [any(math.dist(p, m) <= radius(i) for i, m in enumerate(members)) for p in points]
        return sum(inside) / len(inside)
    real, fake = real.tolist(), fake.tolist()
    return share_inside(fake, real), share_inside(real, fake)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_precision_and_recall_agree_with_brute_force(monkeypatch, k, chunk):
    monkeypatch.setattr(metrics, "CHUNK", chunk)
    real, fake = normal(40, 3), 0.8 * normal(30, 3, seed=1) + 0.7
    expected = brute_force(real, fake, k)
    assert 0 < expected[0] < 1 and 0 < expected[1] < 1 and expected[0] != expected[1]     # a case that can tell
    assert metrics.precision_recall(real, fake, k) == pytest.approx(expected)


def test_precision_and_recall_of_a_set_with_itself_are_one():
    x = normal(200, 16)
    assert metrics.precision_recall(x, x) == (1, 1)
    assert metrics.precision_recall(x, x[torch.randperm(200)].float()) == (1, 1)


def test_precision_and_recall_of_distant_sets_are_zero():
    assert metrics.precision_recall(normal(50, 8), normal(50, 8, seed=1) + 100) == (0, 0)


def test_one_mode_of_two_is_precise_and_recalls_half():
    real = torch.cat([normal(300, 2), normal(300, 2, seed=1) + 50])
    precision, recall = metrics.precision_recall(real, normal(600, 2, seed=2))
    assert precision > 0.9
    assert 0.4 < recall <= 0.5                                # the other half of the reals has no fake near it


def test_swapping_the_sets_swaps_precision_and_recall():
    a, b = normal(60, 4), normal(80, 4, seed=1) * 1.5
    assert metrics.precision_recall(a, b) == metrics.precision_recall(b, a)[::-1]


def test_precision_and_recall_do_not_depend_on_the_origin():
    a, b = normal(60, 4), normal(80, 4, seed=1) * 1.5
    assert metrics.precision_recall(a + 1e4, b + 1e4) == metrics.precision_recall(a, b)


# ---- the small ones ----


@pytest.mark.parametrize("known", [10_000, 999])
def test_the_nearest_training_pictures_are_found_as_by_brute_force(known, monkeypatch):
    monkeypatch.setattr(metrics, "KNOWN", known)
    train = datasets.load("glyphs", "train").images
    x = train[[7, 1234]].float() / 255
    x[1] = (x[1] + 0.02 * torch.randn(x[1].shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    distance, index = metrics.nearest(x, train, 3)
    by_hand = (x[1] - train.float() / 255).square().mean((1, 2, 3)).sqrt()
    assert index[:, 0].tolist() == [7, 1234] and index[1].tolist() == by_hand.argsort()[:3].tolist()
    torch.testing.assert_close(distance[1], by_hand.sort().values[:3], atol=1e-4, rtol=1e-3)
    assert metrics.nearest(x, train[:2], 3)[1].shape == (2, 2), "no more than there are"


def test_copies_lie_nearer_to_the_training_pictures_than_unseen_ones():
    train, unseen = (procedural.glyphs(n, 0, start).images for n, start in ((400, 0), (50, 400)))
    copied = metrics.memory(train[:50].float() / 255, train, unseen)
    new = metrics.memory(procedural.glyphs(50, 1).images.float() / 255, train, unseen)
    assert copied["nearest_training_rms"] < 0.01 < 0.5 * copied["test_images_nearest_training_rms"] and copied["samples_compared"] == 50
    error = new["nearest_training_rms_stderr"] + new["test_images_nearest_training_rms_stderr"]
    assert abs(new["nearest_training_rms"] - new["test_images_nearest_training_rms"]) < 4 * error


def test_class_histogram_counts_the_likeliest_classes():
    p = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1]])
    assert metrics.class_histogram(p).tolist() == [1, 2, 0]


def test_psnr_of_a_tenth_everywhere_is_twenty_decibels():
    a = torch.full((2, 1, 8, 8), 0.5)
    assert metrics.psnr(a, a + 0.1) == pytest.approx(20, abs=1e-3)
    assert metrics.psnr(a, a) == math.inf


def test_ssim_of_flat_images_is_its_luminance_term():
    a, b = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6)
    c1 = 0.01**2
    assert metrics.ssim(a, b) == pytest.approx((2 * 0.12 + c1) / (0.04 + 0.36 + c1), rel=1e-5)


def test_ssim_is_one_for_equal_images_and_falls_with_noise():
    a = torch.rand((2, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    near, far = ((a + s * normal(*a.shape).float()).clamp(0, 1) for s in (0.05, 0.5))
    assert metrics.ssim(a, a) == pytest.approx(1, abs=1e-5)
    assert 1 > metrics.ssim(a, near) > metrics.ssim(a, far)


# ---- a model's samples ----


@pytest.fixture
def without_data(monkeypatch):
    """A world in which a digit is a flat image, the brighter the higher, and the classifier sees that at once."""
    def load(name, split):
        size, seed = {"test": (1000, 0), "train": (2000, 1)}[split]
        grey = torch.randint(256, (size, 1, 1, 1), generator=torch.Generator().manual_seed(seed))
        return SimpleNamespace(images=grey.to(torch.uint8).expand(-1, 1, 28, 28))

    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.setattr(classifier, "features", lambda x: x.mean((1, 2, 3))[:, None] * torch.tensor([10.0, 1.0]))
    monkeypatch.setattr(classifier, "judge", lambda f: F.one_hot(f[:, 0].long().clamp(0, 9), 10).float())
    metrics.training_figures.cache_clear(), metrics.reference.cache_clear()
    yield
    metrics.training_figures.cache_clear(), metrics.reference.cache_clear()


def draw(n, seed, lowest=0.0, highest=1.0):
    grey = torch.rand((n, 1, 1, 1), generator=torch.Generator().manual_seed(seed))
    return (lowest + (highest - lowest) * grey).expand(n, 1, 28, 28)


def test_a_model_that_draws_half_the_digits_is_precise_but_recalls_half(without_data):
    good, half = metrics.sample_quality(draw, n=300), metrics.sample_quality(lambda n, s: draw(n, s, 0, 0.5), n=300)
    assert good["recall"] > 0.9 and 0.4 < half["recall"] < 0.6
    assert half["precision"] > 0.9
    assert half["frechet"] > 5 * good["frechet"]
    assert good["smallest_class_share"] > 0.05 and half["smallest_class_share"] == 0
    assert good["training_images_frechet"] == half["training_images_frechet"]


def test_sample_quality_draws_with_each_seed_and_reports_flat_json(without_data):
    calls, reports = [], []
    found = metrics.sample_quality(
        lambda n, seed: calls.append((n, seed)) or draw(n, seed), n=200, seeds=[3, 5, 8],
        report=lambda done, total: reports.append((done, total)),
    )
    assert calls == [(200, 3), (200, 5), (200, 8)] and reports == [(1, 3), (2, 3), (3, 3)]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(isinstance(value, (int, float)) for value in found.values())
    assert {"frechet_std", "recall_std", "training_images_precision"} <= found.keys()


def test_a_summary_is_mean_and_standard_deviation():
    assert metrics.summarise([{"a": 1.0}, {"a": 3.0}]) == {"a": 2.0, "a_std": round(math.sqrt(2), 4)}


@pytest.mark.slow
def test_blur_moves_digits_away_from_the_test_images():
    if not (Path(datasets.data_root()) / "MNIST/raw/t10k-images-idx3-ubyte").exists():
        pytest.skip("MNIST is not in the data root (PLAYGROUND_DATA)")
    try:
        classifier.load()
    except PlaygroundError as error:
        pytest.skip(f"no shipped classifier: {error}")
    digits = datasets.load("mnist", "train").images

    def blurred(n, seed):
        return F.avg_pool2d(digits[seed * n:][:n].float() / 255, 5, stride=1, padding=2)

    found = metrics.sample_quality(blurred, n=1_000, seeds=range(2))
    assert found["frechet"] > 3 * found["training_images_frechet"]
    assert found["precision"] < found["training_images_precision"]
