"""Re-measure a diffusion model's card: where its bound lives, how good its samples are and what they cost, what a classifier knows at each time."""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core import classifier, datasets, device, metrics
from ..core.checkpoints import Checkpoint
from . import maths, sample

Report = Callable[[int, int], None]

IMAGES, STRATA = 1_000, 40   # test pictures for the bound, and parts of 2..T in which each meets one t
N, N_DDPM = 5_000, 500       # samples behind a Frechet distance
SEEDS = (0,)                 # of the samples; --full takes five
RUNS = {                     # name -> sampler, steps, samples; DDPM walks all T
    "ddim_50": ("ddim", 50, N), "ddim_20": ("ddim", 20, N), "dpm_solver_20": ("dpm-solver", 20, N), "dpm_solver_10": ("dpm-solver", 10, N),
    "ddpm": ("ddpm", 0, N_DDPM),
}
RESAMPLES = 20               # bootstrap draws behind the standard deviation of a Frechet distance
NEAREST = 500                # samples whose nearest training picture is looked for
SHARES = (0.1, 0.25, 0.5, 0.75)                               # of T, at which a classifier of noisy pictures is examined


@torch.no_grad()
def evaluate(name: str, full: bool = False, report: Report | None = None) -> dict[str, Any]:
    """Metrics of the checkpoint `name` on the test pictures of its own data set.

    full: all test pictures, and Frechet distances over five seeds (about 6 times the time). report: called as
    report(done, total) with calls of the network, in pictures. Standard errors are over pictures; the `_std` of a
    Frechet distance is a bootstrap's over its samples.
    """
    checkpoint = sample.load(name)
    if checkpoint.model.config.network == "classifier":
        return _accuracies(checkpoint, report)
    checkpoint = sample.load_unet(name)
    images = 10_000 if full else IMAGES
    numbers = {**bound(checkpoint, images, report), "noise_seed": 0}
    if checkpoint.config["dataset"] == "mnist":
        numbers |= _samples(checkpoint, range(5) if full else SEEDS, report)
    name = checkpoint.config["dataset"]
    numbers |= metrics.memory(sample.draw(checkpoint, NEAREST, 0), datasets.load(name, "train").images, datasets.load(name, "test").images)
    return {**numbers, "parameters": sum(p.numel() for p in checkpoint.model.parameters()), "multiplications_per_call": multiplications(checkpoint)}


def bound(checkpoint: Checkpoint, images: int = IMAGES, report: Report | None = None) -> dict[str, Any]:
    """The three terms of -log p(x_0 | y) and their sum, in bits per dimension, on the first test pictures, told their class.

    L_T is exact, L_0 has one draw of eps per picture, the sum over t = 2..T one t and eps per picture in each of STRATA
    parts of it, which are short where t is small and the terms are large: unbiased. The reverse variance is beta-tilde_t.
    """
    s, where = sample.schedule(checkpoint), next(checkpoint.model.parameters()).device
    held_out = datasets.load(checkpoint.config["dataset"], "test")
    x_0 = 2 * held_out.images[:images].float() / 255 - 1
    labels = None if held_out.labels is None or not checkpoint.model.config.classes else held_out.labels[:images]
    edges = maths.log_spaced(STRATA + 1, s.T + 1)
    generator = torch.Generator().manual_seed(0)

    def term(low: int, high: int) -> Tensor:
        """L_{t-1} in bits per dimension of each picture, for one t of low..high - 1 each."""
        out = []
        for rows in torch.arange(len(x_0)).split(sample.BATCH):
            x = x_0[rows].to(where)
            t = torch.randint(low, high, (len(rows),), generator=generator).to(where)
            eps = torch.randn(x.shape, generator=generator).to(where)
            y = None if labels is None else labels[rows].to(where)
            said = maths.forms(checkpoint.model(maths.q_sample(x, t, eps, s), t, y), checkpoint.model.config.prediction,
                               maths.q_sample(x, t, eps, s), t, s)
            out.append(maths.bits_per_dimension(maths.terms(x, eps, t, said.x_0.clamp(-1, 1), s), x).cpu())
        return torch.cat(out)

    L_0 = term(1, 2)
    L_T = maths.bits_per_dimension(maths.prior_term(x_0.double(), s), x_0)
    between = torch.zeros(len(x_0))
    for i, (low, high) in enumerate(zip(edges.tolist(), edges.tolist()[1:])):
        between += (high - low) * term(low, high)
        if report:
            report((i + 2) * len(x_0), (len(edges)) * len(x_0))
    return {"test_images": len(x_0), **metrics.with_error("bits_per_dimension", L_T + between + L_0), **metrics.with_error("L_T", L_T),
            **metrics.with_error("L_1_to_T_minus_1", between), **metrics.with_error("L_0", L_0)}


def _samples(checkpoint: Checkpoint, seeds: Any, report: Report | None) -> dict[str, Any]:
    """Quality and cost of unguided samples, whose classes are as frequent as in the training set, by each of RUNS."""
    labels = datasets.load("mnist", "train").labels
    T = sample.schedule(checkpoint).T
    total = sum((steps or T) * n for _, steps, n in RUNS.values()) * len(seeds)
    done, numbers = 0, {"samples": N, "samples_ddpm": N_DDPM, "sample_seeds": len(seeds)}
    for name, (sampler, steps, n) in RUNS.items():
        runs, seconds = [], 0.0
        for seed in seeds:
            chosen = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:n]]
            begin = time.perf_counter()
            x = sample.draw(checkpoint, n, seed, sampler, steps or T, labels=chosen)
            seconds += time.perf_counter() - begin
            runs.append(metrics.figures(x, seed) | {"spread": _spread(x)})
            done += (steps or T) * n
            if report:
                report(done, total)
        mean = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
        numbers |= {f"frechet_{name}": round(mean["frechet"], 4), f"frechet_{name}_std": round(mean["spread"], 4),
                    f"precision_{name}": round(mean["precision"], 4), f"recall_{name}": round(mean["recall"], 4),
                    f"seconds_per_image_{name}": round(seconds / n / len(seeds), 5)}
    for n in (N, N_DDPM):
        numbers[f"training_images_frechet_{n}"] = round(metrics.training_figures(n, 0)["frechet"], 4)
    return numbers


def _spread(x: Tensor) -> float:
    """Standard deviation of the Frechet distance of samples like x (N, 1, 28, 28), by resampling them."""
    features, generator = classifier.features(x), torch.Generator().manual_seed(0)
    draws = [metrics.frechet(features[torch.randint(len(x), (len(x),), generator=generator)], metrics.reference()) for _ in range(RESAMPLES)]
    return torch.tensor(draws).std().item()


def _accuracies(checkpoint: Checkpoint, report: Report | None) -> dict[str, Any]:
    """Accuracy at some times, and the cross-entropy in nats per picture at uniform t, on all test pictures with fixed noise."""
    s, where = sample.schedule(checkpoint), next(checkpoint.model.parameters()).device
    held_out = datasets.load(checkpoint.config["dataset"], "test")
    generator, rows = torch.Generator().manual_seed(0), []
    for part, y in zip((2 * held_out.images.float() / 255 - 1).split(sample.BATCH), held_out.labels.split(sample.BATCH)):
        part, y = part.to(where), y.to(where)
        row = []
        for share in (*SHARES, None):
            t = torch.randint(1, s.T + 1, (len(y),), generator=generator) if share is None else torch.full((len(y),), round(share * s.T))
            eps = torch.randn(part.shape, generator=generator).to(where)
            logits = checkpoint.model(maths.q_sample(part, t.to(where), eps, s), t.to(where))
            row.append(F.cross_entropy(logits, y, reduction="none") if share is None else (logits.argmax(1) == y).float())
        rows.append(torch.stack(row).cpu())
        if report:
            report(sum(each.shape[1] for each in rows), len(held_out.images))
    every = torch.cat(rows, dim=1)
    named = {f"accuracy_at_{share:g}_T": values for share, values in zip(SHARES, every)}
    return {"test_images": every.shape[1], "noise_seed": 0, **{key: value for name, values in named.items() for key, value in metrics.with_error(name, values).items()},
            **metrics.with_error("cross_entropy", every[-1])}


def multiplications(checkpoint: Checkpoint) -> int:
    """Multiply-accumulates of one call on one picture, as torch counts them (its figure counts both, so a half of it)."""
    from torch.utils.flop_counter import FlopCounterMode

    where = next(checkpoint.model.parameters()).device
    x = device.noise(0, [0], sample.shape(checkpoint)).to(where)
    with FlopCounterMode(display=False) as counter:
        checkpoint.model(x, torch.ones(1, dtype=torch.int64, device=where))
    return counter.get_total_flops() // 2
