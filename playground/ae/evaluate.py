"""Re-measure an autoencoder's model card on its test images: how well it restores, and what its kind promises beside that."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..core import datasets, metrics
from ..core.checkpoints import Checkpoint
from . import config, maths, sample, train

NOISE_SEED = 1               # of the corruption of the test images


@torch.no_grad()
def evaluate(name: str, full: bool = False, report: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Metrics of the checkpoint `name` on all test images of its own data set; squared errors per image, summed over its pixels.

    A deep one stands beside PCA with as many components, of the training images; a sparse one says how many of its units are active
    and how many multiplications a picture takes if silent ones are skipped; any says ||J||_F of its encoder but a deep one, whose
    Jacobian has no closed form. Standard errors are over images. `full` changes nothing, the quick one is complete.
    report: called as report(done, total) with images done.
    """
    checkpoint = sample.load(name)
    made, kind = checkpoint.config["train"], checkpoint.model.config
    images = datasets.load(checkpoint.config["dataset"], "test").images
    training = datasets.load(checkpoint.config["dataset"]).images
    error, share, jacobian = measure(checkpoint, images, report)
    out = {
        "test_images": len(images),
        **_with_error("squared_error", error),
        **_with_error("training_squared_error", measure(checkpoint, training[:len(images)])[0]),
        "code": kind.code, "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
    }
    if kind.network == "deep":
        out |= _with_error("pca_squared_error", _pca(training, images, kind.latent))
    else:
        out |= _with_error("jacobian_norm", jacobian)
    if kind.network == "sparse":
        active = share.mean().item()
        out |= {**_with_error("active_share", share, 5), "dead_units": int((checkpoint.derived["largest"] <= 0).sum()),
                "multiplications": round(kind.units * checkpoint.model.pixels * (1 + active)),
                "multiplications_without_skipping": 2 * kind.units * checkpoint.model.pixels}
    if made.get("corruption", "none") != "none":
        out |= _repair(checkpoint, images, made)
    if kind.network == "deep" and checkpoint.config["dataset"] == "mnist" and name == config.FIRST:
        out |= metrics.sample_quality(lambda n, seed: sample.images(name, n, seed))
    return out


def measure(checkpoint: Checkpoint, images: Tensor, report: Callable[[int, int], None] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Of each image: squared error, share of active units, ||J||_F of the encoder (0 of a deep one), each (N,).

    images: (N, C, H, W) uint8.
    """
    model, rows = checkpoint.model, []
    where = next(model.parameters()).device
    largest = checkpoint.derived["largest"].to(where)
    for part in images.split(sample.BATCH):
        x = part.to(where).float() / 255
        h = model.encode(x)
        rows.append((maths.squared_error(model.picture(h), x).cpu(), maths.active(h, largest).float().mean(1).cpu(), _norm(model, h).cpu()))
        if report:
            report(sum(len(row[0]) for row in rows), len(images))
    return tuple(torch.cat(column) for column in zip(*rows))


def _norm(model: Any, h: Tensor) -> Tensor:
    """||J||_F at the pictures of codes (N, U), (N,)."""
    if model.config.network == "deep":
        return h.new_zeros(len(h))
    if model.config.network == "tied" or model.config.sparsity == "kl":
        return maths.sigmoid_jacobian_penalty(h, model.weight).sqrt()
    return ((h > 0).to(h) @ model.weight.square().sum(1)).sqrt()


def _pca(training: Tensor, images: Tensor, d: int) -> Tensor:
    """The squared error of each image (N,) with d components of the training images, not clamped."""
    basis = maths.pca(training if training[0].numel() <= train.LARGE else training[:train.FEW], d)
    return torch.cat([maths.pca_errors(part.float() / 255, basis)[:, -1] for part in images.split(1_000)])


def _repair(checkpoint: Checkpoint, images: Tensor, made: Any) -> dict[str, Any]:
    """Squared error to the clean test images before and after the repair, under the corruption it was trained with."""
    generator, before, after = torch.Generator().manual_seed(NOISE_SEED), [], []
    for part in images.split(sample.BATCH):
        x = part.float() / 255
        seen = maths.corrupted(x, made["corruption"], made["amount"], generator)
        before.append(maths.squared_error(seen, x))
        after.append(maths.squared_error(sample.decode(checkpoint, sample.encode(checkpoint, seen)), x))
    return {**_with_error("corrupted_squared_error", torch.cat(before)), **_with_error("repaired_squared_error", torch.cat(after))}


def _with_error(name: str, values: Tensor, digits: int = 4) -> dict[str, float]:
    return {name: round(values.mean().item(), digits), f"{name}_stderr": round((values.std() / len(values) ** 0.5).item(), digits)}
