"""The VAE's formulas on tensors: Kingma & Welling 2014 (arXiv:1312.6114), Burda et al. 2016 (arXiv:1509.00519).

x is an image in [0, 1], z its code; everything is in nats per image, summed over pixels and latent dimensions.
"""

import math

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


def binarise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels drawn as Bernoulli(x): the binarised MNIST of Salakhutdinov & Murray 2008, drawn anew at each call.

    x: (...) in [0, 1]. Returns (...) in {0, 1}; noise from the CPU generator, so one seed serves any device.
    """
    return (torch.rand(x.shape, generator=generator).to(x.device) < x).to(x.dtype)
