"""How good pictures are: distances between sets in the features of our own MNIST classifier, and between two images.

The features are `classifier.features`, 128 numbers per digit. A figure alone says little: beside each stands the one
of real training images against the same reference, which is what a perfect model would reach.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from . import classifier, datasets

KNOWN = 10_000               # pictures compared at once: MNIST as floats would be 190 MB
CHUNK = 1_000                # rows of a distance matrix at once: 40 MB for 5,000 columns

Figures = dict[str, float]


def frechet(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets of features. Dowson & Landau 1982; as a measure of
    generated images Heusel et al. 2017 (arXiv:1706.08500), eq. 6: |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)).

    a, b: (N, D) and (M, D), at least 2 rows each; computed in float64. Never negative; 0 for equal sets. Fewer
    rows give a larger figure even for one and the same distribution: compare only figures of equal N and M.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance                           # takes seconds to import

    assert a.shape[1] == b.shape[1] and min(len(a), len(b)) >= 2, (a.shape, b.shape)
    as_they_are = nn.Identity()                               # in place of the Inception network: we bring features
    as_they_are.num_features = a.shape[1]
    distance = FrechetInceptionDistance(feature=as_they_are)
    distance.update(a.double(), real=True)
    distance.update(b.double(), real=False)
    return max(0.0, distance.compute().item())                # rounding may leave -1e-12


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Share of fakes on the real manifold, share of reals on the fake one. Kynkaanniemi et al. 2019
    (arXiv:1904.06991), eqs. 1-2: a set's manifold is the union of balls that reach to each member's k-th neighbour.

    real: (N, D), fake: (M, D), both of more than k rows. Precision asks for quality, recall for variety; two halves of
    one distribution do not reach 1, so compare with real against real at equal N and M.
    """
    assert min(len(real), len(fake)) > k >= 1, (len(real), len(fake), k)
    centre = real.double().mean(0)                            # small coordinates: the distances lose no digits
    real, fake = real.double() - centre, fake.double() - centre
    in_real, in_fake = torch.zeros(len(fake), dtype=torch.bool), torch.zeros(len(real), dtype=torch.bool)
    radius_fake = radii(fake, k)
    for rows, radius, inside in zip(real.split(CHUNK), radii(real, k).split(CHUNK), in_fake.split(CHUNK)):
        distance = torch.cdist(rows, fake)                    # (chunk, M)
        in_real |= (distance <= radius[:, None]).any(0)
        inside |= (distance <= radius_fake).any(1)            # a view: fills in_fake
    return in_real.double().mean().item(), in_fake.double().mean().item()


def radii(x: Tensor, k: int) -> Tensor:
    """Distance of each row of x (N, D) to its k-th nearest other row, (N,)."""
    nearest = lambda rows: torch.cdist(rows, x).topk(k + 1, largest=False).values         # noqa: E731  (chunk, k + 1)
    return torch.cat([nearest(rows)[:, -1] for rows in x.split(CHUNK)])                   # the first of them is itself


def nearest(x: Tensor, known: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """The k nearest among known pictures (M, C, H, W) uint8 of each of x (N, C, H, W) in [0, 1]: RMS difference per number, and index, (N, k) each."""
    least, indices = torch.empty(len(x), 0), torch.empty(len(x), 0, dtype=torch.int64)
    for start in range(0, len(known), KNOWN):
        found = torch.cdist(x.flatten(1), known[start:start + KNOWN].float().flatten(1) / 255)
        least = torch.cat([least, found], 1)
        indices = torch.cat([indices, torch.arange(start, start + found.shape[1]).expand(len(x), -1)], 1)
        least, best = least.topk(min(k, least.shape[1]), dim=1, largest=False)
        indices = indices.gather(1, best)
    return least / x[0].numel() ** 0.5, indices


def memory(x: Tensor, training: Tensor, held_out: Tensor) -> Figures:
    """How near samples x (N, C, H, W) in [0, 1] lie to their nearest training picture, beside how near as many held-out pictures do.

    training, held_out: (M, C, H, W) uint8. RMS per number in [0, 1], with standard errors: samples much nearer than held-out ones are copies.
    """
    unseen = held_out[:len(x)].float() / 255
    return {"samples_compared": len(x), "test_images_compared": len(unseen), **with_error("nearest_training_rms", nearest(x, training)[0][:, 0]),
            **with_error("test_images_nearest_training_rms", nearest(unseen, training)[0][:, 0])}


def with_error(name: str, values: Tensor, digits: int = 4) -> Figures:
    """The mean of values (N,) as `name`, and its standard error as `name`_stderr."""
    return {name: round(values.mean().item(), digits), f"{name}_stderr": round((values.std() / len(values) ** 0.5).item(), digits)}


def class_histogram(probabilities: Tensor) -> Tensor:
    """How many images fall to each class, (K,) int64, for p(class | x) of shape (N, K)."""
    return torch.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all pixels of two image sets in [0, 1] of one shape; infinite if equal."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return peak_signal_noise_ratio(a, b, data_range=1.0).item()


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity, at most 1, averaged over the images. Wang et al. 2004; a Gaussian window of 11x11.

    a, b: (N, C, H, W) in [0, 1], sides of at least 11 pixels; in float64, for flat regions lose float32's digits.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    return structural_similarity_index_measure(a.double(), b.double(), data_range=1.0).item()


def sample_quality(
    draw: Callable[[int, int], Tensor], *, n: int = 5_000, seeds: Sequence[int] = range(5),
    report: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """How close a model's digits come to MNIST, as flat JSON: mean over the seeds and, as `<name>_std`, their standard
    deviation (that of one draw of n; the mean's standard error is it divided by the root of the number of seeds).

    draw: (n, seed) -> (n, 1, 28, 28) in [0, 1], what the model shows (a Bernoulli VAE's mean, not its coin flips).
    n: images per seed, 4 to 10,000. seeds: at least two. report: called as report(done, total) with seeds done.

    `frechet`: to the 10,000 test images. `precision`, `recall`: against n test images chosen by the seed.
    `smallest_class_share`: of the digit drawn most rarely, as the classifier judges; 0.09 for MNIST itself.
    `training_images_<name>`: the same of n training images chosen by the seed. The classifier has learnt from those,
    so that they lie a little farther from the test images than fresh digits would.
    `seconds_per_image`: what `draw` took for each, on the machine that the card names.
    """
    seeds = tuple(seeds)
    assert len(seeds) >= 2, "a standard deviation needs two seeds"
    model, training, seconds = [], [], 0.0
    for done, seed in enumerate(seeds, 1):
        begun = time.perf_counter()
        x = draw(n, seed)
        seconds += time.perf_counter() - begun
        assert len(x) == n, (len(x), n)
        model.append(figures(x, seed))
        training.append(training_figures(n, seed))
        if report:
            report(done, len(seeds))
    summary = summarise(model) | {f"training_images_{name}": value for name, value in summarise(training).items()}
    return {"samples_per_seed": n, "sample_seeds": len(seeds), "seconds_per_image": round(seconds / n / len(seeds), 6), **summary}


def summarise(runs: Sequence[Figures]) -> Figures:
    """Mean and, as `<name>_std`, standard deviation of each figure over at least two runs, to four digits."""
    summary: Figures = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        summary[name], summary[f"{name}_std"] = round(mean(values), 4), round(stdev(values), 4)
    return summary


def figures(x: Tensor, seed: int) -> Figures:
    """Frechet distance, precision, recall and smallest class share of x (n, 1, 28, 28) in [0, 1] against MNIST's
    test images; the seed chooses the n of them that precision and recall compare with."""
    known = reference()                                       # (10,000, 128)
    features = classifier.features(x)
    precision, recall = precision_recall(known[_choice(len(known), len(x), seed)], features)
    counts = class_histogram(classifier.judge(features))
    return {
        "frechet": frechet(features, known), "precision": precision, "recall": recall,
        "smallest_class_share": counts.min().item() / len(x),
    }


@cache
def training_figures(n: int, seed: int) -> Figures:
    """What `figures` says of n training images chosen by the seed: what a perfect model would reach."""
    images = datasets.load("mnist", "train").images
    return figures(images[_choice(len(images), n, seed)].float() / 255, seed)


@cache
def reference() -> Tensor:
    """The features of all test images, (10,000, 128)."""
    return classifier.features(datasets.load("mnist", "test").images.float() / 255)


def _choice(total: int, n: int, seed: int) -> Tensor:
    """n different indices below total, by the seed."""
    assert n <= total, (n, total)
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:n]
