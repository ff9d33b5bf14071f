"""The autoencoders' formulas on tensors: Hinton & Salakhutdinov 2006 (Science 313), Rifai et al. 2011 (ICML), Alain & Bengio 2014
(arXiv:1211.4246).

x is an image in [0, 1], h = g(x) its code, x_hat = f(h); squared errors are summed over the pixels of an image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVE = 0.01                # of a unit's largest activation, above which it counts as active; of the largest singular value likewise


# ---- errors and penalties --------------------------------------------------------------------------------------


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """||x - x_hat||^2 of each image, summed over its pixels. Hinton & Salakhutdinov 2006 (their 3.00 is its mean).

    x_hat, x: (..., C, H, W). They broadcast. Returns (...).
    """
    return (x_hat - x).square().flatten(-3).sum(-1)


def psnr(x_hat: Tensor, x: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image in dB: -10 log10 of the mean squared error of a pixel; infinite if equal.

    x_hat, x: (..., C, H, W) in [0, 1]. Returns (...).
    """
    return -10 * (x_hat - x).square().flatten(-3).mean(-1).log10()


def l1(h: Tensor) -> Tensor:
    """||h||_1 of each code, (...). h: (..., U)."""
    return h.abs().sum(-1)


def kl_sparsity(rho: float, mean: Tensor) -> Tensor:
    """sum_j KL(Bernoulli(rho) || Bernoulli(mean_j)) in nats, (): asks that unit j be on a share rho of the time (Ng 2011).

    mean: (U,) in [0, 1], each unit's mean activation over a batch. Never negative; 0 where all means are rho.
    """
    mean = mean.clamp(1e-6, 1 - 1e-6)
    return (rho * (math.log(rho) - mean.log()) + (1 - rho) * (math.log(1 - rho) - (1 - mean).log())).sum()


def sigmoid_jacobian_penalty(h: Tensor, W: Tensor) -> Tensor:
    """||J||_F^2 of h = sigmoid(W x + b), exactly: sum_j (h_j (1 - h_j))^2 sum_i W_ji^2. Rifai et al. 2011, section 5.

    h: (..., U). W: (U, P). Returns (...).
    """
    return (h * (1 - h)).square() @ W.square().sum(1)


# ---- sparse codes ----------------------------------------------------------------------------------------------


def top_k(h: Tensor, k: int) -> Tensor:
    """The code with all but its k largest numbers set to 0 (Makhzani & Frey 2014). h: (..., U). Returns (..., U)."""
    k = min(k, h.shape[-1])
    largest = h.topk(k, dim=-1)
    return torch.zeros_like(h).scatter(-1, largest.indices, largest.values)


def active(h: Tensor, largest: Tensor) -> Tensor:
    """Which units are active: above ACTIVE of that unit's largest activation on the training set; a dead unit never is.

    h: (..., U). largest: (U,), of |h|. Returns bool (..., U).
    """
    return (h.abs() > ACTIVE * largest) & (largest > 0)


# ---- the encoder's Jacobian ------------------------------------------------------------------------------------


def jacobian(encode: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """J of any encoder at one image: J_ji = dh_j / dx_i, (U, P). encode: (1, C, H, W) -> (1, U). x: (C, H, W)."""
    flat = torch.func.jacrev(lambda pixels: encode(pixels.view(1, *x.shape))[0])
    return flat(x.reshape(-1))


def spectrum(J: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values of J, largest first, (R,), and the right singular vectors, the tangent directions, (R, P); float64.

    J: (U, P); R = min(U, P). By the eigenvectors of J J^T or J^T J, whichever is smaller: values below 1e-7 of the largest are
    rounding. A vector of a singular value 0 is 0.
    """
    J = J.double()
    small = J @ J.T if len(J) <= J.shape[1] else J.T @ J
    values, vectors = torch.linalg.eigh(small)
    values, vectors = values.flip(0).clamp(min=0).sqrt(), vectors.flip(1).T               # (R,), rows
    if len(J) > J.shape[1]:
        return values, vectors
    return values, torch.where(values[:, None] > 0, vectors @ J / values[:, None].clamp(min=1e-300), 0)


def effective_rank(values: Tensor) -> int:
    """How many singular values are above ACTIVE of the largest. values: (R,)."""
    return int((values > ACTIVE * values.max()).sum())


# ---- principal components --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PCA:
    """The linear autoencoder of least squared error (Bourlard & Kamp 1988): code = components (x - mean)."""

    mean: Tensor             # (P,)
    components: Tensor       # (D, P), orthonormal rows, the strongest first

    def encode(self, x: Tensor, d: int) -> Tensor:
        """The first d numbers of the code, (N, d), of images (N, ..., P pixels in all)."""
        return (x.flatten(1) - self.mean) @ self.components[:d].T

    def decode(self, z: Tensor) -> Tensor:
        """(N, P), not clamped, of codes (N, d) of any length d up to D."""
        return self.mean + z @ self.components[:z.shape[1]]


def pca(images: Tensor, d: int, chunk: int = 5_000) -> PCA:
    """The first d principal components of images (N, C, H, W) uint8, exactly, pixels in [0, 1].

    By the eigenvectors of the covariance (P, P), or of the Gram matrix (N, N) where there are fewer images than pixels. Where
    images or pixels are fewer than d, so are the components.
    """
    n, pixels = len(images), images[0].numel()
    rows = lambda: (part.flatten(1).float() / 255 for part in images.split(chunk))        # noqa: E731
    mean = sum(part.double().sum(0) for part in rows()) / n
    if n < pixels:
        x = torch.cat(list(rows())).double() - mean
        values, vectors = torch.linalg.eigh(x @ x.T)
        components = vectors.flip(1).T[:d] @ x / values.flip(0)[:d, None].clamp(min=1e-12).sqrt()
        components = components[values.flip(0)[:d] > 1e-9 * values.max()]
    else:
        covariance = sum((part - mean.float()).T.matmul(part - mean.float()).double() for part in rows()) / n
        components = torch.linalg.eigh(covariance).eigenvectors.flip(1).T[:d]
    return PCA(mean.float(), components.float())


def pca_errors(x: Tensor, basis: PCA) -> Tensor:
    """Squared error of each image with 0, 1, ..., D components, (N, D + 1): each takes its own part of ||x - mean||^2 away.

    x: (N, C, H, W) in [0, 1].
    """
    away = (x.flatten(1) - basis.mean).square().sum(1, keepdim=True)                      # (N, 1)
    return torch.cat([away, away - basis.encode(x, len(basis.components)).square().cumsum(1)], dim=1).clamp(min=0)


# ---- corruptions -----------------------------------------------------------------------------------------------


def corrupted(x: Tensor, kind: str, amount: float | Tensor, generator: torch.Generator) -> Tensor:
    """What a denoising autoencoder is shown instead of x. Vincent et al. 2008 ("mask"), 2010 ("gaussian", "salt-pepper").

    x: (B, C, H, W) in [0, 1]. mask: a share `amount` of the pixels is 0; salt-pepper: of these, half are 0 and half are 1, all
    channels alike; gaussian: x + amount eps, not clamped; "none": x; mixed: each image in one of the three ways, by an amount of its
    own, uniform below `amount`. An amount may be (B, 1, 1, 1). Noise from the CPU generator: a pixel that is hit by some amount is
    hit by every larger one.
    """
    if kind == "none":
        return x
    if kind == "mixed":
        way = torch.randint(3, (len(x), 1, 1, 1), generator=generator).to(x)
        own = amount * torch.rand((len(x), 1, 1, 1), generator=generator).to(x)
        masked, noisy, peppered = (corrupted(x, each, own, generator) for each in ("mask", "gaussian", "salt-pepper"))
        return torch.where(way == 0, masked, torch.where(way == 1, noisy, peppered))
    if kind == "gaussian":
        return x + amount * torch.randn(x.shape, generator=generator).to(x)
    hit = torch.rand((len(x), 1, *x.shape[2:]), generator=generator).to(x) < amount
    if kind == "mask":
        return x.masked_fill(hit, 0)
    salt = (torch.rand((len(x), 1, *x.shape[2:]), generator=generator) < 0.5).to(x)
    return torch.where(hit, salt, x)


TURN, SHEAR, STRETCH, SHIFT = 8.0, 0.1, 0.08, 0.75           # of `moved`, at most: degrees, tangent, share, pixels


def moved(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A share of the images turned, sheared, stretched each way and shifted a little, as other hands would have drawn them.

    x: (B, C, H, W). The first round(share * B) of them are moved, the rest stay; what comes in at an edge repeats it.
    Draws (n, 6) uniform numbers from the CPU generator. Returns (B, C, H, W).
    """
    n = round(share * len(x))
    if not n:
        return x
    u = (2 * torch.rand(n, 6, generator=generator) - 1).to(x)                             # in [-1, 1]
    turn, shear = math.radians(TURN) * u[:, 0], SHEAR * u[:, 1]
    wide, high = 1 + STRETCH * u[:, 2], 1 + STRETCH * u[:, 3]
    shift = 2 * SHIFT / x.shape[-1] * u[:, 4:]                # affine_grid's side is 2
    cos, sin = turn.cos(), turn.sin()
    rows = torch.stack([wide * cos, shear - sin, shift[:, 0], sin, high * cos, shift[:, 1]], 1)
    grid = F.affine_grid(rows.view(-1, 2, 3), [n, *x.shape[1:]], align_corners=False)
    return torch.cat([F.grid_sample(x[:n], grid, padding_mode="border", align_corners=False), x[n:]])


# ---- codes drawn at random -------------------------------------------------------------------------------------


def spread(covariance: Tensor) -> Tensor:
    """L (D, D), lower triangular, with L L^T the covariance (D, D), so that mean + L eps has it for eps ~ N(0, I); of variances (D,)
    the standard deviations (D,)."""
    if covariance.ndim == 1:
        return covariance.clamp(min=0).sqrt()
    ridge = 1e-9 + 1e-6 * covariance.diagonal().mean()        # codes may lie in a plane of fewer dimensions
    return torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance)).to(covariance))


# ---- the plane: mixtures of Gaussians --------------------------------------------------------------------------


def mixture_score(x: Tensor, centres: Tensor, variance: float) -> Tensor:
    """grad log p(x) of the mixture of equally likely N(m_k, variance I): sum_k w_k(x) (m_k - x) / variance.

    x: (N, 2). centres: (K, 2). Data of that form noised by sigma is of that form too, with variance + sigma^2. Returns (N, 2).
    """
    weights = (-torch.cdist(x, centres).square() / (2 * variance)).softmax(1)             # (N, K): which component x is of
    return (weights @ centres - x) / variance


def best_repair(x: Tensor, centres: Tensor, variance: float, sigma: float) -> Tensor:
    """r*(x) = E[clean | x] = x + sigma^2 grad log p_sigma(x), p_sigma the density of the noised data: what a denoising
    autoencoder of least squared error does. Tweedie's formula (Robbins 1956; Alain & Bengio 2014 for small sigma).

    x: (N, 2). centres (K, 2), variance: of the clean mixture. Returns (N, 2).
    """
    return x + sigma**2 * mixture_score(x, centres, variance + sigma**2)
