"""The VAE's formulas on tensors: Kingma & Welling 2014 (arXiv:1312.6114), Burda et al. 2016 (arXiv:1509.00519).

x is an image in [0, 1], z its code; everything is in nats per image, summed over pixels and latent dimensions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def reparameterise(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """z = mu + sigma * eps, a sample of q(z | x) for eps ~ N(0, I). Kingma & Welling 2014, section 2.4.

    mu, logvar: (..., D), with logvar = log sigma^2. eps: broadcasts to (..., D). Returns (..., D).
    """
    return mu + (0.5 * logvar).exp() * eps


def kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu_j, sigma_j^2) || N(0, 1)) for each j, in nats. Kingma & Welling 2014, appendix B.

    mu, logvar: (..., D). Returns (..., D), never negative; 0 where mu = 0 and sigma = 1.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(q(z | x) || N(0, I)) of a diagonal Gaussian, in nats. mu, logvar: (..., D). Returns (...)."""
    return kl_per_dimension(mu, logvar).sum(-1)


def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, diag(sigma^2)), in nats. All (..., D), logvar = log sigma^2. Returns (...)."""
    return -0.5 * (LOG_2PI + logvar + (z - mu).square() / logvar.exp()).sum(-1)


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I), the prior's density, in nats. z: (..., D). Returns (...)."""
    return -0.5 * (LOG_2PI + z.square()).sum(-1)


def bernoulli_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x | z) for pixels x ~ Bernoulli(sigmoid(logits)), in nats. Kingma & Welling 2014, appendix C.1.

    logits, x: (..., C, H, W), x in {0, 1} (for grey x in [0, 1] this is the cross-entropy, no density).
    They broadcast against each other. Returns (...).
    """
    logits, x = torch.broadcast_tensors(logits, x)
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(-3).sum(-1)


def gaussian_log_likelihood(mean: Tensor, x: Tensor, sigma: float) -> Tensor:
    """log p(x | z) for pixels x ~ N(mean, sigma^2), in nats. Kingma & Welling 2014, appendix C.2.

    mean, x: (..., C, H, W), x in [0, 1]; sigma > 0, one for all pixels. They broadcast. Returns (...).
    """
    log_sigma = math.log(sigma)
    return -0.5 * (LOG_2PI + 2 * log_sigma + ((x - mean) / sigma).square()).flatten(-3).sum(-1)


def elbo(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    """L_b = E_q log p(x | z) - beta KL(q(z | x) || p(z)) <= log p(x) for beta = 1. Kingma & Welling 2014, eq. 3.

    With beta != 1 it is the objective of Higgins et al. 2017 (beta-VAE, eq. 4) and a bound only for beta >= 1.
    """
    return log_likelihood - beta * kl


def log_importance_weights(log_likelihood: Tensor, z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log w_k = log p(x | z_k) + log p(z_k) - log q(z_k | x), in nats. Burda et al. 2016, eq. 7.

    log_likelihood: (K, B) = log p(x | z_k). z: (K, B, D), drawn from q. mu, logvar: (B, D). Returns (K, B).
    """
    return log_likelihood + log_standard_normal(z) - log_normal(z, mu, logvar)


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """L_K = log (1/K) sum_k w_k <= log p(x), in nats, by log-sum-exp. Burda et al. 2016, eq. 8.

    log_w: (K, ...). Returns (...). K = 1 is a one-sample ELBO; in expectation L_K rises with K towards log p(x).
    """
    return log_w.logsumexp(0) - math.log(len(log_w))


def tightening(log_w: Tensor) -> Tensor:
    """Estimates of L_K for K = 1, 2, 4, ..., each the mean over all disjoint groups of K of the same weights, in nats.

    log_w: (2^m, ...), of independent draws. Returns (m + 1, ...): the first is the ELBO's estimate, the last `importance_weighted_bound`.
    """
    n = len(log_w)
    assert n & (n - 1) == 0, n
    return torch.stack([importance_weighted_bound(log_w.unflatten(0, (n // k, k)).transpose(0, 1)).mean(0)
                        for k in (2**i for i in range(n.bit_length()))])


# ---- a code of two dimensions, by quadrature -------------------------------------------------------------------

LogJoint = Callable[[Tensor], Tensor]        # z (N, 2) -> log p(x, z) = log p(x | z) + log p(z) of one picture, (N,)
REACH = 6.0                  # std of the prior searched for the posterior: 4e-9 of the mass is beyond
KEPT = 16.0                  # nats below the highest point of the posterior that still count


@dataclass(frozen=True)
class Evidence:
    """log p(x) by quadrature, and the rectangle that holds the true posterior."""

    log_p: Tensor            # (), nats
    low: Tensor              # (2,)
    high: Tensor             # (2,)


def grid(low: Tensor, high: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """n x n points of a rectangle, (n^2, 2), z_1 varying slowest, and the area that each stands for, ()."""
    axes = [torch.linspace(a, b, n, dtype=torch.float64) for a, b in zip(low.tolist(), high.tolist())]
    return torch.cartesian_prod(*axes), ((high - low) / (n - 1)).prod()


def evidence(log_joint: LogJoint, n: int = 31, rounds: int = 8, fine: int = 61) -> Evidence:
    """log p(x) = log of the integral of p(x | z) p(z) over z in R^2 (Kingma & Welling 2014, section 2.1).

    The rectangle closes in on where the integrand is, in rounds of n x n points; then fine x fine points sum it up.
    """
    low, high = torch.full((2,), -REACH, dtype=torch.float64), torch.full((2,), REACH, dtype=torch.float64)
    for _ in range(rounds):
        z, area = grid(low, high, n)
        values = log_joint(z)
        near, cell = z[values > values.max() - KEPT], (high - low) / (n - 1)
        closer_low, closer_high = torch.maximum(near.amin(0) - cell, low), torch.minimum(near.amax(0) + cell, high)
        if ((closer_high - closer_low) > 0.8 * (high - low)).all():
            break
        low, high = closer_low, closer_high
    z, area = grid(low, high, fine)
    values = log_joint(z)
    return Evidence(values.logsumexp(0) + area.log(), low, high)


def gaussian_nodes(mu: Tensor, logvar: Tensor, n: int = 16) -> tuple[Tensor, Tensor]:
    """Points z (n^2, 2) and weights (n^2,) whose weighted sums are expectations under N(mu, diag(sigma^2)): Gauss-Hermite."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(n))
    z = reparameterise(mu, logvar, torch.cartesian_prod(x, x).to(mu))
    return z, (w[:, None] * w).flatten().to(mu) / (2 * math.pi)


def elbo_and_gap(log_joint: LogJoint, log_p: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """L_b of q = N(mu, diag(sigma^2)) and KL(q || p(z | x)), in nats, both (): they sum to log p(x) (eqs. 1 and 3).

    mu, logvar: (2,) float64. log_p: of `evidence`.
    """
    z, weights = gaussian_nodes(mu, logvar)
    joint, log_q = log_joint(z), log_normal(z, mu, logvar)
    entropy = 0.5 * (logvar + LOG_2PI + 1).sum()
    return weights @ joint + entropy, weights @ (log_q - (joint - log_p))


def kl_of_moments(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(m, S) || N(0, I)) in nats, (), of the Gaussian with the mean and covariance of the aggregate posterior q(z).

    q(z) is the average of the N(mu_i, diag(sigma_i^2)) over pictures i (Hoffman & Johnson 2016). mu, logvar: (N, D). It sees no
    more of q(z) than its first two moments: 0 where those are the prior's.
    """
    m = mu.mean(0)
    S = torch.cov(mu.T, correction=0).reshape(len(m), len(m)) + logvar.exp().mean(0).diag()
    return 0.5 * (S.diagonal().sum() + m.square().sum() - len(m) - torch.linalg.slogdet(S).logabsdet)


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(1 - t) a + t b, the straight line. a, b: (D,), t: (N,) in [0, 1]. Returns (N, D)."""
    return (1 - t[:, None]) * a + t[:, None] * b


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The great circle from a to b, its length going from that of a to that of b. Shoemake 1985; White 2016 (arXiv:1609.04468).

    a, b: (D,), t: (N,) in [0, 1]. Returns (N, D); the straight line where the two are parallel, opposite, or one is 0.
    """
    cos = F.cosine_similarity(a, b, dim=0).clamp(-1, 1)
    omega = cos.acos()
    if cos.abs() > 1 - 1e-6 or not a.any() or not b.any():
        return lerp(a, b, t)
    t = t[:, None]
    length = (1 - t) * a.norm() + t * b.norm()
    return length * (((1 - t) * omega).sin() * a / a.norm() + (t * omega).sin() * b / b.norm()) / omega.sin()


def moments(x: Tensor) -> Tensor:
    """How thick and how slanted white strokes on black are, (N, 2): the mean of the pixels in per cent, and the tangent of the lean.

    x: (N, C, H, W) in [0, 1]. The lean is -mu_11 / mu_02 of the central moments (Hu 1962), y downwards: to the right if positive,
    0 for an empty picture.
    """
    ink = x.mean(1)                                                               # (N, H, W)
    y, column = (torch.arange(size, dtype=ink.dtype, device=ink.device) for size in ink.shape[1:])
    mass = ink.sum((1, 2)).clamp(min=1e-6)
    dy = y[:, None] - ((ink * y[:, None]).sum((1, 2)) / mass)[:, None, None]
    dx = column - ((ink * column).sum((1, 2)) / mass)[:, None, None]
    lean = -(ink * dx * dy).sum((1, 2)) / (ink * dy.square()).sum((1, 2)).clamp(min=1e-6)
    return torch.stack([100 * ink.mean((1, 2)), lean], dim=1)


def binarise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels drawn as Bernoulli(x): the binarised MNIST of Salakhutdinov & Murray 2008, drawn anew at each call.

    x: (...) in [0, 1]. Returns (...) in {0, 1}; noise from the CPU generator, so one seed serves any device.
    """
    return (torch.rand(x.shape, generator=generator).to(x.device) < x).to(x.dtype)
