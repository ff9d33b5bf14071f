"""Measure a GAN's model card again: how near its pictures come to the real ones, how varied they are, what D says; nothing of it is a likelihood."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core import classifier, datasets, metrics
from ..core.checkpoints import Checkpoint
from . import maths, sample, train

SAMPLES = 5_000              # pictures of a seed of the card
SEEDS = range(5)             # picture i of seed s is that of the seed SAMPLES * s + i: no picture counts twice
NEAREST = 500                # samples whose nearest training picture is looked for
WINDOWS = 10_000             # samples around which the Parzen window is laid
HELD_OUT = 1_000             # training pictures by which its width is chosen
SIGMAS = tuple(0.1 * 1.12**i for i in range(12))             # widths to choose from, 0.1 to 0.35


def evaluate(name: str, full: bool = False, report: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Metrics of the checkpoint `name`. `full` changes nothing, the quick one is complete. report: called as report(done, total).

    Of digits: `frechet`, `precision`, `recall` of SAMPLES pictures against the test images, over SEEDS, beside those of as many real
    training images, see core.metrics; `class_share`, how often each digit is drawn, of all of them together; `parzen`, the Parzen window's log-likelihood of the
    test images in nats (Goodfellow et al. 2014, section 5), with `parzen_training` for real training images in place of the samples,
    which shows how little it says. Of any pictures: `sliced_distance` from the test images, beside that of training images;
    `d_accuracy`, how often D tells test images and its opponent's apart; how near NEAREST of them lie to a training picture, see
    core.metrics.memory.
    """
    checkpoint = sample.load(name)
    dataset = checkpoint.config["dataset"]
    training, test = datasets.load(dataset).images, datasets.load(dataset, "test").images
    out: dict[str, Any] = {}
    total = len(SEEDS) + 2
    if dataset == "mnist":
        counts = torch.zeros(classifier.CLASSES, dtype=torch.int64)

        def draw(n: int, seed: int) -> Tensor:
            x = drawn(checkpoint, n, n * seed)
            counts.add_(metrics.class_histogram(classifier.probabilities(x)))
            return x

        found = metrics.sample_quality(draw, n=SAMPLES, seeds=SEEDS, report=report and (lambda done, _: report(done, total)))
        out = {"frechet": found.pop("frechet"), "frechet_stderr": round(found.pop("frechet_std") / len(SEEDS) ** 0.5, 4), **found,
               "class_share": {str(digit): round(share, 4) for digit, share in enumerate((counts / counts.sum()).tolist())}}
    n = min(SAMPLES, len(test), len(training))
    out |= _apart(checkpoint, test[:n], training[:n]) | metrics.memory(drawn(checkpoint, NEAREST, 0), training, test)
    if report:
        report(total - 1, total)
    if dataset == "mnist":
        out |= parzen(checkpoint, training, test)
    if report:
        report(total, total)
    return out | {"parameters_generator": sum(p.numel() for p in checkpoint.model.generator.parameters()),
                  "parameters_discriminator": sum(p.numel() for p in checkpoint.model.discriminator.parameters())}


def drawn(checkpoint: Checkpoint, n: int, start: int) -> Tensor:
    """The pictures of the seeds start, start + 1, ..., (n, C, H, W)."""
    return sample.draw(checkpoint, sample.latents(checkpoint, sample.following(start, n)))


def _apart(checkpoint: Checkpoint, test: Tensor, training: Tensor) -> dict[str, float]:
    """The sliced distance of as many samples from the test images, and what D makes of both. test, training: (n, C, H, W) uint8."""
    n, real = len(test), test.float() / 255
    fake = drawn(checkpoint, n, 0)
    lines = torch.randn((real[0].numel(), train.LINES), generator=torch.Generator().manual_seed(train.LOOK_SEED))
    lines = lines / lines.norm(dim=0)
    apart = lambda x: round(maths.sliced(x.flatten(1), real.flatten(1), lines).item(), 5)            # noqa: E731
    right = torch.cat([sample.taken_for_real(checkpoint, real), ~sample.taken_for_real(checkpoint, fake)]).float()
    accuracy = right.mean().item()
    return {"test_images": n, "sliced_distance": apart(fake), "training_images_sliced_distance": apart(training.float() / 255),
            "d_accuracy": round(accuracy, 4), "d_accuracy_stderr": round((accuracy * (1 - accuracy) / len(right)) ** 0.5, 4)}


def parzen(checkpoint: Checkpoint, training: Tensor, test: Tensor) -> dict[str, float]:
    """The Parzen window's log-likelihood of the test images (M, C, H, W), in nats, around samples and around training images.

    Its sigma is the best of SIGMAS for the last HELD_OUT training images, which are among neither.
    """
    held_out, known = training[-HELD_OUT:], training[:-HELD_OUT][:WINDOWS]
    out = {}
    for name, windows in {"parzen": drawn(checkpoint, len(known), 0), "parzen_training": known.float() / 255}.items():
        sigma = best_sigma(held_out.float() / 255, windows, SIGMAS)
        values = log_likelihoods(test.float() / 255, windows, [sigma])[0]
        out |= {name: round(values.mean().item(), 2), f"{name}_stderr": round((values.std() / len(values) ** 0.5).item(), 2),
                f"{name}_sigma": round(sigma, 4)}
    return out


def best_sigma(x: Tensor, windows: Tensor, sigmas: Sequence[float]) -> float:
    """The sigma under which x (N, ...) is most likely."""
    return max(zip(log_likelihoods(x, windows, sigmas).mean(1).tolist(), sigmas))[1]


def log_likelihoods(x: Tensor, windows: Tensor, sigmas: Sequence[float]) -> Tensor:
    """maths.parzen of points x (N, ...) around samples (S, ...), (len(sigmas), N), in float64 where it matters."""
    flat, centres = x.flatten(1), windows.flatten(1)
    rows = []
    for part in flat.split(500):
        squared = torch.cdist(part, centres).double().square()
        rows.append(torch.stack([maths.parzen(squared, sigma, flat.shape[1]) for sigma in sigmas]))
    return torch.cat(rows, dim=1)


