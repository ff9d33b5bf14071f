"""The game's formulas on tensors: Goodfellow et al. 2014 (arXiv:1406.2661), and the losses and penalties that came after it.

real_logits, fake_logits: (B,), what D says before the sigmoid: D(x) = sigmoid(real_logits). Expectations are means over the batch.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

LOWEST = -2 * math.log(2)    # the least value of max_D V over G, where p_g = p_r and D = 1/2 everywhere (theorem 1)


# ---- the losses ------------------------------------------------------------------------------------------------


def value(real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    """E log D(x) and E log(1 - D(G(z))), whose sum is V(D, G), each () and at most 0. Goodfellow et al. 2014, eq. 1."""
    return F.logsigmoid(real_logits).mean(), F.logsigmoid(-fake_logits).mean()


def d_loss(loss: str, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """What D minimises, ().

    minimax, non-saturating: -V (Goodfellow et al. 2014). least-squares: labels 1 and 0 (Mao et al. 2017, eq. 9). wasserstein:
    E D(fake) - E D(real) (Arjovsky et al. 2017, eq. 2). hinge: Lim & Ye 2017; Miyato et al. 2018, eq. 16.
    """
    if loss in ("minimax", "non-saturating"):
        return -sum(value(real_logits, fake_logits))
    if loss == "least-squares":
        return 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())
    if loss == "wasserstein":
        return fake_logits.mean() - real_logits.mean()
    assert loss == "hinge", loss
    return (1 - real_logits).relu().mean() + (1 + fake_logits).relu().mean()


def g_loss(loss: str, fake_logits: Tensor) -> Tensor:
    """What G minimises, (). minimax: E log(1 - D(G(z))). non-saturating: -E log D(G(z)), the same fixed point and a stronger gradient."""
    if loss == "minimax":
        return F.logsigmoid(-fake_logits).mean()
    if loss == "non-saturating":
        return -F.logsigmoid(fake_logits).mean()
    if loss == "least-squares":
        return 0.5 * (fake_logits - 1).square().mean()
    assert loss in ("wasserstein", "hinge"), loss
    return -fake_logits.mean()


def boundary(loss: str) -> float | None:
    """The number of D above which a picture counts as real; None where it has no meaning of its own (Wasserstein)."""
    return {"wasserstein": None, "least-squares": 0.5}.get(loss, 0.0)


# ---- gradient penalties ----------------------------------------------------------------------------------------

Critic = Callable[[Tensor], Tensor]          # (B, ...) -> (B,)


def squared_slope(D: Critic, x: Tensor) -> Tensor:
    """||grad_x D(x)||^2 of each point, (B,), with its own gradient kept. x: (B, ...)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        [slope] = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return slope.flatten(1).square().sum(1)


def r1(D: Critic, x: Tensor) -> Tensor:
    """1/2 E ||grad D||^2 at real points (at fakes it is R2), (). Mescheder et al. 2018, eq. 9."""
    return 0.5 * squared_slope(D, x).mean()


def between(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Points on the way from each fake to its real partner, like both. share: (B,) in [0, 1], of the real one."""
    share = share.view(-1, *[1] * (real.ndim - 1))
    return share * real + (1 - share) * fake


def gradient_penalty(D: Critic, x: Tensor) -> Tensor:
    """E (||grad D|| - 1)^2 at points between real and fake, (). Gulrajani et al. 2017, eq. 3."""
    return ((squared_slope(D, x) + 1e-12).sqrt() - 1).square().mean()


def spectral_norm(W: Tensor, iterations: int = 50) -> Tensor:
    """The largest singular value of W (out, ...), (), by power iteration. Miyato et al. 2018, algorithm 1."""
    W = W.flatten(1)
    u = torch.ones(len(W)).to(W)
    for _ in range(iterations):
        v = F.normalize(W.T @ u, dim=0)
        u = F.normalize(W @ v, dim=0)
    return u @ W @ v


# ---- the optimum, where the densities are known ------------------------------------------------------------------


def optimal(p_r: Tensor, p_g: Tensor) -> Tensor:
    """D* = p_r / (p_r + p_g) in [0, 1], like both; 1/2 where neither has mass. Goodfellow et al. 2014, proposition 1."""
    total = p_r + p_g
    return torch.where(total > 0, p_r / total.clamp(min=torch.finfo(total.dtype).tiny), 0.5)


def payoff(y: Tensor, p_r: Tensor, p_g: Tensor) -> Tensor:
    """p_r log y + p_g log(1 - y): what an answer y in [0, 1] to a point earns D; largest at D*. 0 log 0 is 0. They broadcast."""
    return torch.xlogy(p_r, y) + torch.xlogy(p_g, 1 - y)


def integral(f: Tensor, x: Tensor) -> Tensor:
    """Of values f (..., N) over places x (N,), (...): trapezoids."""
    return torch.trapezoid(f, x, dim=-1)


def optimal_logit(p_r: Tensor, p_g: Tensor) -> Tensor:
    """log p_r - log p_g, whose sigmoid is D*: exact too where D* is 1 but for a hair. 0 where neither has mass."""
    return torch.where(p_r + p_g > 0, p_r.log() - p_g.log(), 0)


def value_on_grid(logits: Tensor, p_r: Tensor, p_g: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The two expectations of V for D = sigmoid(logits) (N,) and densities (N,) at places x (N,), each ()."""
    weighted = lambda p, log: torch.where(p > 0, p * log, 0)                      # noqa: E731  (0 log 0 is 0)
    return integral(weighted(p_r, F.logsigmoid(logits)), x), integral(weighted(p_g, F.logsigmoid(-logits)), x)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """JS(p || q) of two lists of probabilities (K,) in nats, (): from 0 to log 2. They are scaled to sum to 1."""
    p, q = p / p.sum(), q / q.sum()
    middle = 0.5 * (p + q)
    return 0.5 * (torch.xlogy(p, p) - torch.xlogy(p, middle) + torch.xlogy(q, q) - torch.xlogy(q, middle)).sum()


def jensen_shannon_on_grid(p: Tensor, q: Tensor, x: Tensor) -> Tensor:
    """JS(p || q) of densities (N,) at places x (N,), in nats, ()."""
    middle = 0.5 * (p + q)
    return 0.5 * integral(torch.xlogy(p, p) - torch.xlogy(p, middle) + torch.xlogy(q, q) - torch.xlogy(q, middle), x)


def normal(x: Tensor, mean: float, std: float) -> Tensor:
    """The density of N(mean, std^2) at x."""
    return (-0.5 * ((x - mean) / std).square()).exp() / (std * math.sqrt(2 * math.pi))


# ---- in the latent space ---------------------------------------------------------------------------------------


def slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """The great circle from a to b, (K, D), lengths changing evenly along it. White 2016 (arXiv:1609.04468).

    a, b: (D,), not 0. share: (K,), 0 is a and 1 is b. Where they all but coincide or oppose each other: the straight line.
    """
    share = share[:, None]
    length_a, length_b = a.norm(), b.norm()
    cosine = (a @ b / (length_a * length_b)).clamp(-1, 1)
    angle = cosine.acos()
    if angle.sin() < 1e-4:
        return lerp(a, b, share[:, 0])
    direction = (((1 - share) * angle).sin() * a / length_a + (share * angle).sin() * b / length_b) / angle.sin()
    return ((1 - share) * length_a + share * length_b) * direction


def lerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """The straight line from a to b, (K, D). share: (K,)."""
    return a + share[:, None] * (b - a)


def weights_of_four(u: Tensor, v: Tensor) -> Tensor:
    """How much the neighbours (0, 0), (1, 0), (0, 1), (1, 1) of a place count, (..., 4): bilinear weights over the root of their squared
    sum, so that a blend of independent z ~ N(0, I) is N(0, I) again. u, v: (...) in [0, 1]."""
    w = torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], dim=-1)
    return w / w.norm(dim=-1, keepdim=True)


def truncated(z: Tensor, psi: float) -> Tensor:
    """z drawn towards the mean of all z, which is 0: psi z. After Karras et al. 2019, section B; psi = 1 leaves it, -1 is its opposite."""
    return psi * z


def principal(W: Tensor) -> tuple[Tensor, Tensor]:
    """The directions of z that move a first layer W z + b most, (R, D) of length 1, and the share of the layer's variance each explains, (R,).

    W: (U, D). z ~ N(0, I) makes the layer's covariance W W^T: its principal components are exactly W v of the right singular vectors v
    (Harkonen et al. 2020, section 3, in closed form). The sign: the sum of W v is not negative. float64.
    """
    W = W.double()
    values, vectors = torch.linalg.eigh(W.T @ W)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1).T
    sign = torch.where((vectors @ W.T).sum(1, keepdim=True) < 0, -1.0, 1.0)
    return sign * vectors, values / values.sum().clamp(min=1e-300)


# ---- how good samples are --------------------------------------------------------------------------------------


def parzen(squared: Tensor, sigma: float, dimensions: int) -> Tensor:
    """log of the mean of Gaussians of std sigma around S samples, in nats, (N,), at N points. Breuleux et al. 2011.

    squared: (N, S), squared distances between points and samples.
    """
    log_mean = torch.logsumexp(-squared / (2 * sigma**2), dim=1) - math.log(squared.shape[1])
    return log_mean - 0.5 * dimensions * math.log(2 * math.pi * sigma**2)


def sliced(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """The sliced Wasserstein distance of two sets of as many points, (): on each line their sorted shadows, RMS apart, then the mean of the
    squares over lines, and its root. Rabin et al. 2011.

    a, b: (N, D). directions: (D, L), each of length 1.
    """
    return ((a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values).square().mean().sqrt()


def pairwise(x: Tensor) -> Tensor:
    """The mean distance of two different pictures of x (N, ...), RMS per number, (); at least two."""
    flat = x.flatten(1)
    return torch.pdist(flat).mean() / flat.shape[1] ** 0.5


# ---- what D sees of few pictures -------------------------------------------------------------------------------


def augmented(x: Tensor, strength: float, u: Tensor) -> Tensor:
    """Pictures changed at random, with gradients: brighter or darker, shifted, a square cut out. Zhao et al. 2020 (arXiv:2006.10738).

    x: (B, C, H, W) in [-1, 1]. u: (B, 5) uniform in [0, 1), on x's device. strength 1 shifts by up to an eighth of the side, cuts out
    a square of up to half of it and changes brightness by up to 1/2; what comes in at an edge repeats it. 0 leaves x.
    """
    if not strength:
        return x
    B, _, H, W = x.shape
    u = 2 * u - 1
    x = x + (0.5 * strength * u[:, 0]).view(B, 1, 1, 1)
    shift = 2 * strength / 8 * u[:, 1:3]                      # the grid's side is 2
    move = torch.eye(2, 3).to(x).repeat(B, 1, 1)
    move[:, :, 2] = shift
    x = F.grid_sample(x, F.affine_grid(move, list(x.shape), align_corners=False), padding_mode="border", align_corners=False)
    half = 0.25 * strength
    rows = ((torch.arange(H) + 0.5) / H * 2 - 1).to(x)
    columns = ((torch.arange(W) + 0.5) / W * 2 - 1).to(x)
    inside = ((rows[None] - u[:, 3:4]).abs() < 2 * half)[:, None, :, None] & ((columns[None] - u[:, 4:5]).abs() < 2 * half)[:, None, None, :]
    return x.masked_fill(inside, 0)
