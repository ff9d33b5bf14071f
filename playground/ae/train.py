"""The autoencoder's recipe: squared error and a penalty with Adam. The loop is all here; who drives it is not its concern."""

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import datasets, device
from ..core.examples import EXAMPLES
from ..core.recipe import Progress, Result, average
from . import maths
from .config import (  # noqa: F401  (a recipe offers some of these too)
    CONTRACTIVE, DENOISER, DIGITS, FIRST, OWN_SIZE, PLAIN, PLANE, PRESETS, SIZES, SNAPSHOTS, SPARSE, ModelConfig, TrainConfig,
    suited,
)
from .model import Autoencoder, network

BEST = "loss"
CHECKPOINTS = dict.fromkeys((FIRST, PLANE, SPARSE, CONTRACTIVE, PLAIN, DENOISER, *SIZES, *SNAPSHOTS.values()), "mnist")
PREVIEW, PREVIEW_SEED = 16, 0        # held-out pictures that show how a training goes, and the noise on them
SEEN = 10_000                # training images that stand for all of them until the training has ended
FEW = 1_000                  # those that PCA is made from where an image has more than LARGE numbers
LARGE = 1_024
HELD_OUT = 2_000             # test images whose codes and errors a checkpoint carries
COMPONENTS = 64              # of PCA, which a deep one is compared with
FULL = 64                    # numbers of a code up to which the Gaussian of the codes has all its covariances


@dataclass
class State:
    model: Autoencoder
    ema: Autoencoder         # averaged weights (Polyak & Juditsky 1992)
    optimizer: torch.optim.Optimizer
    generator: torch.Generator           # all of the run's noise: corruption, and how pictures are moved
    step: int = 0


def init(config: TrainConfig) -> State:
    """Fresh networks and optimiser, from `config.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = network(model_config(config))
    model.to(device.for_("heavy"))
    return State(
        model=model,
        ema=copy.deepcopy(model).requires_grad_(False),
        optimizer=torch.optim.Adam(model.parameters(), lr=config.lr, betas=(0.9, 0.99), fused=True),
        generator=torch.Generator().manual_seed(config.seed),
    )


def model_config(config: TrainConfig) -> ModelConfig:
    """The networks' shape: the recipe's fields, with the channels and size of its data set."""
    _, channels, size, _ = datasets.load(config.dataset, "test").images.shape
    return ModelConfig(channels, size, config.network, config.latent, config.width, config.units, config.sparsity, config.keep)


def batches(config: TrainConfig, start: int) -> Iterator[Tensor]:
    """x of (B, C, H, W) in [0, 1] on the model's device, from batch number `start` on."""
    for batch in datasets.batches(config.dataset, config.batch_size, config.seed, start):
        yield batch.x.to(device.for_("heavy"), non_blocking=True)


def train(config: TrainConfig, state: State, batches: Iterable[Tensor]) -> Iterator[Progress]:
    """Fit the autoencoder, yielding after each update: the caller may report, save or stop at any yield.

    batches: x of (B, C, H, W) in [0, 1] on the model's device, from batch number state.step on. The encoder sees x corrupted,
    the error is measured against x itself. Metrics per image, averaged over the batch: `error`, the squared error summed over
    pixels; `loss`, with the weighted penalty; of a hidden layer `penalty` without its weight (nothing for top-k), and of a sparse one `active`, the share
    of units above maths.ACTIVE of their largest in the batch.
    """
    model, generator = state.model, state.generator
    where = next(model.parameters()).device.type
    model.train()
    for step, x in zip(range(state.step, config.steps), batches):
        x = maths.moved(x, config.moved, generator)
        with device.autocast(where, config.precision):
            h = model.encode(maths.corrupted(x, config.corruption, config.amount, generator))     # (B, U)
            x_hat = model.decode(h)                                                               # (B, C, H, W)
        error, penalty = maths.squared_error(x_hat, x).mean(), penalised(config, model, h)
        loss = error + config.penalty * penalty
        state.optimizer.param_groups[0]["lr"] = config.lr * cosine(config, step)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        average(state.ema, model, config.ema, step)
        state.step = step + 1
        yield Progress(state.step, config.steps, _metrics(config, loss, error, penalty, h))


def penalised(config: TrainConfig, model: Autoencoder, h: Tensor) -> Tensor:
    """What the network's kind asks of a batch of codes (B, U) beside the error, without its weight, ()."""
    if config.network == "tied":
        return maths.sigmoid_jacobian_penalty(h, model.weight).mean()
    if config.network == "sparse" and config.sparsity == "l1":
        return maths.l1(h).mean()
    if config.network == "sparse" and config.sparsity == "kl":
        return maths.kl_sparsity(config.rho, h.mean(0))
    return h.new_zeros(())


@torch.no_grad()
def _metrics(config: TrainConfig, loss: Tensor, error: Tensor, penalty: Tensor, h: Tensor) -> dict[str, float]:
    metrics = {"loss": loss, "error": error}
    if config.network != "deep" and not (config.network == "sparse" and config.sparsity == "top-k"):
        metrics["penalty"] = penalty
    if config.network == "sparse":
        metrics["active"] = maths.active(h, h.amax(0)).float().mean()
    return dict(zip(metrics, torch.stack(list(metrics.values())).tolist()))


def cosine(config: TrainConfig, step: int) -> float:
    """What multiplies the learning rate: up in 200 updates, then down along half a cosine to 0."""
    return min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / config.steps))


@torch.no_grad()
def preview(config: TrainConfig, state: State) -> Tensor:
    """Rows of eight (2 PREVIEW, C, H, W) in [0, 1]: held-out pictures as the encoder sees them, each row above what comes back."""
    model = state.ema.eval()
    x = datasets.load(config.dataset, "test").images[:PREVIEW].float() / 255
    seen = maths.corrupted(x, config.corruption, config.amount, torch.Generator().manual_seed(PREVIEW_SEED))
    x_hat = model.picture(model.encode(seen.to(next(model.parameters()).device))).cpu()
    return torch.cat([row for pair in zip(seen.clamp(0, 1).split(8), x_hat.split(8)) for row in pair])


@torch.no_grad()
def result(config: TrainConfig, state: State) -> Result:
    """The averaged model, with what views need of the data, as numbers.

    Derived, of the training images (the first SEEN until the training has ended): mean, spread: the Gaussian of their codes, with all
    covariances if it has at most FULL numbers, see maths.spread; average, largest (U,): of each |h_j|. Of the first HELD_OUT test
    images: error (), their mean squared error; of a deep one codes (N, D), labels (N,) where the set has them. A deep one has PCA beside
    it: pca_mean (P,), pca (COMPONENTS, P), of the training images (of the first FEW where an image has more than LARGE numbers),
    pca_errors (COMPONENTS + 1,): the test images' mean squared errors by components. example_codes (EXAMPLES, U): of test
    images whose decodes there are to pick from, but neither of digits, which the page draws itself, nor of a visitor's own. No image of
    the data set is kept.
    """
    model = state.ema.eval()
    training, held_out = datasets.load(config.dataset), datasets.load(config.dataset, "test")
    seen = training.images if state.step >= config.steps else training.images[:SEEN]
    derived = described(model, seen)
    shown = held_out.images[:HELD_OUT]
    x, h = shown.float() / 255, encoded(model, shown)
    derived["error"] = torch.cat([maths.squared_error(picture(model, part), y) for part, y in zip(h.split(500), x.split(500))]).mean()
    if config.network == "deep":
        derived["codes"] = h
        if held_out.labels is not None:
            derived["labels"] = held_out.labels[:HELD_OUT]
        basis = principal(training.images)
        derived |= {"pca_mean": basis.mean, "pca": basis.components, "pca_errors": maths.pca_errors(x, basis).mean(0)}
    if config.dataset not in DIGITS and not datasets.is_own(config.dataset):
        derived["example_codes"] = h[:EXAMPLES]
    return Result(vars(model.config), model.state_dict(), derived)


def described(model: Autoencoder, images: Tensor) -> dict[str, Tensor]:
    """The codes of images (N, C, H, W) uint8 in four tensors, see `result`; summed up in float64, for there may be many large ones."""
    n, sums, largest = len(images), [0.0, 0.0, 0.0], None
    for part in images.split(500):
        h = encoded(model, part).double()
        full = h.shape[1] <= FULL
        for i, more in enumerate((h.sum(0), h.abs().sum(0), h.T @ h if full else h.square().sum(0))):
            sums[i] = sums[i] + more
        largest = h.abs().amax(0) if largest is None else torch.maximum(largest, h.abs().amax(0))
    mean, average, second = (each / n for each in sums)
    covariance = second - (torch.outer(mean, mean) if full else mean.square())
    return {"mean": mean.float(), "spread": maths.spread(covariance).float(), "average": average.float(), "largest": largest.float()}


def encoded(model: Autoencoder, images: Tensor) -> Tensor:
    """The codes of images (N, C, H, W) uint8, (N, U) on the CPU."""
    where = next(model.parameters()).device
    return torch.cat([model.encode(part.to(where).float() / 255).cpu() for part in images.split(500)])


def picture(model: Autoencoder, h: Tensor) -> Tensor:
    """The images of codes on the CPU, in [0, 1], there."""
    return model.picture(h.to(next(model.parameters()).device)).cpu()


_principal: list[tuple[Tensor, maths.PCA]] = []              # of the set last asked for: a training asks again and again


def principal(images: Tensor) -> maths.PCA:
    """PCA of a training set's images, see `result`; kept for the next time."""
    if not _principal or _principal[0][0] is not images:
        few = images if images[0].numel() <= LARGE else images[:FEW]
        _principal[:] = [(images, maths.pca(few, COMPONENTS))]
    return _principal[0][1]
