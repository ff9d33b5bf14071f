"""What a trained VAE answers: decode a code, encode a picture, draw from the prior.

Codes are passed around in the order of the sliders: z[0] belongs to the dimension that carries most (the largest KL).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..core import checkpoints, device
from ..core.checkpoints import Checkpoint
from ..core.errors import PlaygroundError, register
from . import config, maths
from .model import VAE, ModelConfig
from .train import log_likelihood

BATCH = 250                  # pictures per pass: enough to be fast, small enough to let the next request in
ESTIMATE = 256               # samples of q(z | x) behind the numbers of one picture

register({
    "vae.derived": (
        "The checkpoint {name} does not say what each of its latent dimensions carries; train it again with this version.",
        "检查点 {name} 没有记录各隐变量维度携带的信息；请用当前版本重新训练。",
    ),
})


def build(config: Mapping[str, Any]) -> VAE:
    """The networks for a checkpoint's `model` fields, their weights still random."""
    return VAE(ModelConfig(**config))


def load(name: str) -> Checkpoint:
    """A VAE checkpoint by name, from the cache when it is there. Raises `PlaygroundError` for any that will not do."""
    checkpoint = checkpoints.load(name, "vae", build)
    kl = checkpoint.derived.get("kl")
    if kl is None or kl.shape != (checkpoint.model.config.latent,):
        raise PlaygroundError("vae.derived", name=name)
    return checkpoint


def order(checkpoint: Checkpoint) -> Tensor:
    """Latent dimensions from the most informative to the least, (D,) int64, by their mean KL on held-out images."""
    return checkpoint.derived["kl"].argsort(descending=True, stable=True)


def draw(checkpoint: Checkpoint, n: int, seed: int, start: int = 0) -> Tensor:
    """z ~ N(0, I), (n, D), in slider order: picture i of a seed is the same whatever the batch and the device."""
    return device.noise(seed, range(start, start + n), (checkpoint.model.config.latent,))


def decode(checkpoint: Checkpoint, z: Tensor) -> Tensor:
    """E[x | z] as (N, C, H, W) in [0, 1] on the CPU, for codes (N, D) in slider order."""
    by_dimension = torch.empty_like(z)
    by_dimension[:, order(checkpoint)] = z
    where = next(checkpoint.model.parameters()).device
    return torch.cat([checkpoint.model.mean(part.to(where)).cpu() for part in by_dimension.split(BATCH)])


def plane() -> tuple[Hashable, Callable[[Tensor], Tensor], Tensor, Tensor | None]:
    """The shipped latent plane, for a tab that sets another one beside it: (a key that changes with the model, its `decode` of codes (N, 2),
    held-out codes (M, 2), their labels (M,) or None)."""
    checkpoint = load(config.PLANE)
    return ((checkpoint.name, id(checkpoint.model)), partial(decode, checkpoint), checkpoint.derived["mu"][:, order(checkpoint)],
            checkpoint.derived.get("labels"))


def paths(a: Tensor, b: Tensor, n: int) -> Tensor:
    """n codes from a to b along a straight line and along a great circle, (2, n, D). a, b: (D,)."""
    t = torch.linspace(0, 1, n)
    return torch.stack([maths.lerp(a, b, t), maths.slerp(a, b, t)])


def foresight(checkpoint: Checkpoint, z: Tensor, sliders: Sequence[int], values: Sequence[float]) -> Tensor:
    """What each slider would give at each of `values` with the others where they are: (sliders, values, C, H, W) in [0, 1].

    z: (D,) in slider order. A slider beyond the code's dimensions changes nothing.
    """
    codes = z.repeat(len(sliders), len(values), 1)            # (S, V, D)
    for row, slider in enumerate(sliders):
        if slider < len(z):
            codes[row, :, slider] = torch.tensor(values)
    return decode(checkpoint, codes.flatten(0, 1)).unflatten(0, codes.shape[:2])


@torch.no_grad()
def images(name: str, n: int, seed: int) -> Tensor:
    """n pictures drawn from the prior, (n, C, H, W) in [0, 1]. The same (seed, index) is always the same picture."""
    checkpoint = load(name)
    return decode(checkpoint, draw(checkpoint, n, seed))


@torch.no_grad()
def reconstruct(name: str, x: Tensor) -> Tensor:
    """Each picture encoded to mu and decoded again, (N, C, H, W) in [0, 1] like x; grey pixels are taken as they are."""
    model = load(name).model
    where = next(model.parameters()).device
    return torch.cat([model.mean(model.encode(part.to(where))[0]).cpu() for part in x.split(BATCH)])


@dataclass(frozen=True)
class Encoded:
    """One picture as the VAE sees it. Codes in slider order; numbers in nats."""

    x: Tensor                # (C, H, W), what was encoded
    mu: Tensor               # (D,)
    sigma: Tensor            # (D,)
    x_hat: Tensor            # (C, H, W), the decoded mu
    log_likelihood: float    # E_q log p(x | z), over ESTIMATE samples
    log_likelihood_error: float          # its standard error
    kl: float                # exact
    bounds: tuple[float, ...]            # the importance-weighted bound with K = 1, 2, 4, ..., ESTIMATE of the same samples
    samples: int = ESTIMATE

    @property
    def bound(self) -> float:
        return self.bounds[-1]

    @property
    def elbo(self) -> float:
        return float(maths.elbo(self.log_likelihood, self.kl))


def encode(checkpoint: Checkpoint, x: Tensor, seed: int = 0) -> Encoded:
    """Encode one picture x (C, H, W) in [0, 1]; a Bernoulli decoder's pixels are rounded to 0 or 1 first."""
    model: VAE = checkpoint.model
    where = next(model.parameters()).device
    if model.config.likelihood == "bernoulli":
        x = x.round()
    mu, logvar = model.encode(x[None].to(where))              # each (1, D)
    eps = device.noise(seed, range(ESTIMATE), (1, model.config.latent)).to(where)
    z = maths.reparameterise(mu, logvar, eps)                 # (K, 1, D)
    out = model.decode(torch.cat([mu, z[:, 0]]))              # mu and the K samples in one pass
    log_p = log_likelihood(model.config, out[1:], x.to(where))                    # (K,)
    log_w = maths.log_importance_weights(log_p[:, None], z, mu, logvar)
    by_kl = order(checkpoint)
    return Encoded(
        x=x, mu=mu[0].cpu()[by_kl], sigma=(0.5 * logvar[0]).exp().cpu()[by_kl], x_hat=model.picture(out[0]).cpu(),
        log_likelihood=log_p.mean().item(), log_likelihood_error=log_p.std().item() / ESTIMATE**0.5,
        kl=maths.kl_to_standard_normal(mu, logvar).item(), bounds=tuple(maths.tightening(log_w)[:, 0].tolist()),
    )
