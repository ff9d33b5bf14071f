"""What a trained autoencoder answers: the code of a picture, the picture of a code, how the one moves with the other.

It has no prior: pictures drawn "from" it are decodes of a Gaussian fitted to the codes of its training images, and show why that
is not enough.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..core import checkpoints, device
from ..core.checkpoints import Checkpoint
from ..core.errors import PlaygroundError, register
from . import config, maths
from .model import Autoencoder, ModelConfig, network

BATCH = 250                  # pictures per pass: enough to be fast, small enough to let the next request in

register({
    "ae.derived": (
        "The checkpoint {name} does not say how large its units' activations become; train it again with this version.",
        "检查点 {name} 没有记录各单元激活值的大小；请用当前版本重新训练。",
    ),
})


def build(config: Mapping[str, Any]) -> Autoencoder:
    """The network for a checkpoint's `model` fields, its weights still random."""
    return network(ModelConfig(**config))


def load(name: str) -> Checkpoint:
    """An autoencoder by name, from the cache when it is there. Raises `PlaygroundError` for any that will not do."""
    checkpoint = checkpoints.load(name, "ae", build)
    units = (checkpoint.model.config.code,)
    if any(key not in checkpoint.derived or checkpoint.derived[key].shape != units for key in ("mean", "average", "largest")):
        raise PlaygroundError("ae.derived", name=name)
    return checkpoint


@torch.no_grad()
def encode(checkpoint: Checkpoint, x: Tensor) -> Tensor:
    """Codes (N, U) on the CPU of pictures (N, C, H, W) in [0, 1]."""
    where = next(checkpoint.model.parameters()).device
    return torch.cat([checkpoint.model.encode(part.to(where)).cpu() for part in x.split(BATCH)])


@torch.no_grad()
def decode(checkpoint: Checkpoint, h: Tensor) -> Tensor:
    """Pictures (N, C, H, W) in [0, 1] on the CPU of codes (N, U)."""
    where = next(checkpoint.model.parameters()).device
    return torch.cat([checkpoint.model.picture(part.to(where)).cpu() for part in h.split(BATCH)])


def copies() -> tuple[str, Tensor]:
    """What the shipped model makes of held-out pictures, from the codes that it carries: (their data set, (N, C, H, W) in [0, 1]).

    For a tab that needs real pictures where there is no data set.
    """
    checkpoint = load(config.FIRST)
    if checkpoint.model not in _copies:
        _copies[checkpoint.model] = decode(checkpoint, checkpoint.derived["codes"])
    return checkpoint.config["dataset"], _copies[checkpoint.model]


_copies: WeakKeyDictionary[Autoencoder, Tensor] = WeakKeyDictionary()          # touched on the inference executor alone


def draw(checkpoint: Checkpoint, n: int, seed: int) -> Tensor:
    """Codes (n, U) from the Gaussian fitted to the training codes, within what the units can be; code i is the same for every n."""
    eps = device.noise(seed, range(n), (checkpoint.model.config.code,))
    mean, spread = checkpoint.derived["mean"], checkpoint.derived["spread"]
    h = mean + (eps @ spread.T if spread.ndim == 2 else eps * spread)
    kind = checkpoint.model.config
    if kind.network == "deep":
        return h
    return h.clamp(min=0) if kind.network == "sparse" and kind.sparsity != "kl" else h.clamp(0, 1)


def images(name: str, n: int, seed: int) -> Tensor:
    """n decodes of codes drawn from the Gaussian fitted to the training codes, (n, C, H, W) in [0, 1]: no samples of the model, which
    has no distribution to draw from. The same (seed, index) is always the same picture."""
    checkpoint = load(name)
    return decode(checkpoint, draw(checkpoint, n, seed))


def reconstruct(name: str, x: Tensor) -> Tensor:
    """Each picture encoded and decoded again, (N, C, H, W) in [0, 1] like x."""
    checkpoint = load(name)
    return decode(checkpoint, encode(checkpoint, x))


def jacobian(checkpoint: Checkpoint, x: Tensor) -> Tensor:
    """dh_j / dx_i of the encoder at one picture x (C, H, W), (U, P) on the CPU: of a hidden layer in closed form."""
    model = checkpoint.model
    x = x.to(next(model.parameters()).device)
    if model.config.network == "deep":
        return maths.jacobian(model.encode, x).cpu()
    [h] = model.encode(x[None])
    slope = h * (1 - h) if model.config.network == "tied" or model.config.sparsity == "kl" else (h > 0).to(h)
    return (slope[:, None] * model.weight).cpu()


@dataclass(frozen=True)
class Seen:
    """One picture as an autoencoder sees it."""

    h: Tensor                # (U,)
    x_hat: Tensor            # (C, H, W)
    error: float             # squared, summed over pixels
    active: int              # units above maths.ACTIVE of their largest activation
    jacobian: float          # ||J||_F, of the encoder, there


@torch.no_grad()
def look(checkpoint: Checkpoint, x: Tensor) -> Seen:
    """Encode one picture x (C, H, W) in [0, 1], and decode it again."""
    [h] = encode(checkpoint, x[None])
    [x_hat] = decode(checkpoint, h[None])
    return Seen(h, x_hat, maths.squared_error(x_hat, x).item(), int(maths.active(h, checkpoint.derived["largest"]).sum()),
                jacobian(checkpoint, x).norm().item())


def principal(checkpoint: Checkpoint) -> maths.PCA | None:
    """PCA of a deep one's training set; None of any other."""
    if "pca" not in checkpoint.derived:
        return None
    return maths.PCA(checkpoint.derived["pca_mean"], checkpoint.derived["pca"])
