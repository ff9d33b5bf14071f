"""Re-measure a VAE's model card: the bound on the test set, what its dimensions carry, how good its samples are."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..core import datasets, metrics
from . import config, maths, sample
from .train import log_likelihood

BINARISATION_SEED = 0        # of the one pinned binarisation of the test images
NOISE_SEED = 1               # of the samples of q(z | x)
K = 200                      # importance samples per image
K_ASIDE = 10                 # of the small models of one view, which is about the bound's two terms, not its gap
ROWS = 4_000                 # decodes per pass
ACTIVE = 0.01                # nats: a dimension below carries nothing (a dead one)


@torch.no_grad()
def evaluate(name: str, full: bool = False, report: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Metrics of the checkpoint `name` on the test images of its own data set, in nats per image.

    Under a Gaussian likelihood these are of densities over pixels in [0, 1], not discretised: they may be below 0 and hold for the
    model's own sigma alone, which the card names. So the PSNR of reconstructions stands first there. How good draws from the prior
    are is measured for MNIST alone: our features are those of a classifier of digits.

    full: K = 5,000 importance samples, as in Burda et al. 2016, instead of 200, or of 10 for a model of config.ASIDE.
    report: called as report(done, total) with images done. Standard errors are over images.
    """
    checkpoint = sample.load(name)
    model, gaussian = checkpoint.model, checkpoint.model.config.likelihood == "gaussian"
    k = 5_000 if full else K_ASIDE if name in config.ASIDE else K
    x = test_images(checkpoint.config["dataset"], model.config.likelihood)
    elbo, bound, nll, kl = measure(model, x, k, report)
    per_dimension = kl.mean(0)
    return {
        "test_images": len(x), **({} if gaussian else {"binarisation_seed": BINARISATION_SEED}), "noise_seed": NOISE_SEED,
        "importance_samples": k,
        **(metrics.with_error("reconstruction_psnr", fidelity(model, x), 3) if gaussian else {}),
        **({"nats_of": f"densities of pixels in [0, 1], not discretised, sigma {model.config.sigma:g}"} if gaussian else {}),
        **metrics.with_error("importance_weighted_nll", -bound, 3),
        **metrics.with_error("negative_elbo", -elbo, 3),
        **metrics.with_error("reconstruction_nll", nll, 3),
        **metrics.with_error("kl", kl.sum(1), 3),
        "active_dimensions": int((per_dimension >= ACTIVE).sum()),
        "latent_dimensions": model.config.latent,
        **(_samples(name) if checkpoint.config["dataset"] == "mnist" else {}),
    }


def test_images(dataset: str, likelihood: str) -> Tensor:
    """All test images, (N, C, H, W): in one pinned binarisation for a Bernoulli decoder, else in [0, 1]."""
    x = datasets.load(dataset, "test").images.float() / 255
    return maths.binarise(x, torch.Generator().manual_seed(BINARISATION_SEED)) if likelihood == "bernoulli" else x


@torch.no_grad()
def fidelity(model, x: Tensor) -> Tensor:
    """PSNR of each picture's decoded mu, in dB, (N,). x: (N, C, H, W) in [0, 1]."""
    where = next(model.parameters()).device
    error = [(model.mean(model.encode(part)[0]) - part).square().flatten(1).mean(1) for part in (part.to(where) for part in x.split(sample.BATCH))]
    return -10 * torch.cat(error).log10().cpu()


@torch.no_grad()
def measure(model, x: Tensor, k: int, report: Callable[[int, int], None] | None = None) -> tuple[Tensor, ...]:
    """ELBO, importance-weighted bound, -E_q log p(x | z), each (N,), and KL per dimension (N, D), with k samples each.

    model: anything with encode, decode and config.likelihood. x: (N, C, H, W). In nats per image.
    """
    generator = torch.Generator().manual_seed(NOISE_SEED)
    where = next(model.parameters()).device
    rows: list[tuple[Tensor, ...]] = []
    for part in x.split(max(1, ROWS // k)):
        part = part.to(where)
        mu, logvar = model.encode(part)                       # each (B, D)
        log_p, log_w = [], []
        for chunk in torch.full((k,), 1).split(max(1, ROWS // len(part))):
            eps = torch.randn((len(chunk), *mu.shape), generator=generator).to(where)
            z = maths.reparameterise(mu, logvar, eps)         # (chunk, B, D)
            logits = model.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])
            log_p.append(log_likelihood(model.config, logits, part))
            log_w.append(maths.log_importance_weights(log_p[-1], z, mu, logvar))
        nll = -torch.cat(log_p).mean(0)
        kl = maths.kl_per_dimension(mu, logvar)
        bound = maths.importance_weighted_bound(torch.cat(log_w))
        rows.append((maths.elbo(-nll, kl.sum(1)).cpu(), bound.cpu(), nll.cpu(), kl.cpu()))
        if report:
            report(sum(len(row[0]) for row in rows), len(x))
    return tuple(torch.cat(column) for column in zip(*rows))


def _samples(name: str) -> dict[str, Any]:
    """Quality of samples from the prior, in the features of the playground's own MNIST classifier."""
    return metrics.sample_quality(lambda n, seed: sample.images(name, n, seed))
