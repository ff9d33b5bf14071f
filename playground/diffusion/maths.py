"""Ho et al. 2020 (arXiv:2006.11239), "DDPM" below, and what was built on it, as formulas on tensors.

The code's index is the paper's: t runs 1..T, and at t = 0 there is no noise (`beta[0] == 0`, `alpha_bar[0] == 1`).
Pictures are in [-1, 1] here. A denoiser is a function (x_t, t) -> (x_0, eps), its two predictions at a whole number t.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

BITS = math.log(2)           # nats in a bit


# ---- the schedule ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Schedule:
    """How much noise each step adds. All are float64 on the CPU, of length T + 1, indexed by t."""

    beta: Tensor             # variance that step t adds; beta[0] = 0
    alpha_bar: Tensor        # share of the data's variance left after step t: the product of 1 - beta up to t

    @property
    def T(self) -> int:
        return len(self.beta) - 1

    @property
    def alpha(self) -> Tensor:
        return 1 - self.beta

    @property
    def log_snr(self) -> Tensor:
        """log(alpha_bar / (1 - alpha_bar)), infinite at t = 0. In dB it is 10 / ln 10 of that."""
        return self.alpha_bar.log() - torch.log1p(-self.alpha_bar)


@cache
def schedule(name: str, T: int = 1000) -> Schedule:
    """A schedule by name, for any T >= 2: other T add the same noise in all, in finer or coarser steps.

    linear: beta from 1e-4 to 0.02 at T = 1000 (DDPM, section 4), each of which stands for 1000 / T steps of its size. cosine: Nichol & Dhariwal 2021
    (arXiv:2102.09672), eq. 17. sigmoid: Chen 2023 (arXiv:2301.10972), algorithm 1, from -3 to 3 at tau = 1.
    beta never exceeds 0.999 (Nichol & Dhariwal, section 3.2).
    """
    u = torch.arange(T + 1, dtype=torch.float64) / T
    if name == "linear":
        beta = torch.cat([torch.zeros(1).double(), 1 - (1 - torch.linspace(1e-4, 0.02, T, dtype=torch.float64)) ** (1000 / T)])
    elif name == "cosine":
        beta = betas(((u + 0.008) / 1.008 * math.pi / 2).cos().square())
    else:
        assert name == "sigmoid", name
        beta = betas(torch.tensor(3.0).double().sigmoid() - torch.sigmoid(6 * u - 3))
    return from_betas(beta.clamp(max=0.999))


def betas(alpha_bar: Tensor) -> Tensor:
    """beta_t = 1 - alpha_bar_t / alpha_bar_{t-1} for alpha_bar (T + 1,) up to a factor; beta_0 = 0."""
    return torch.cat([torch.zeros(1).double(), (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(0, 1)])


def from_betas(beta: Tensor) -> Schedule:
    """beta: (T + 1,) float64 in [0, 1), 0 first."""
    return Schedule(beta, (1 - beta).cumprod(0))


def _at(values: Tensor, t: Tensor | int) -> Tensor:
    """values[t], whatever device t is on: schedules stay on the CPU."""
    return values[t.cpu() if isinstance(t, Tensor) else t]


def _like(value: Tensor, x: Tensor) -> Tensor:
    """A coefficient per picture, (B,), or one for all, (), as something x (B, ...) can be multiplied with."""
    return value.to(x).view(-1, *[1] * (x.ndim - 1)) if value.ndim else value.to(x)


# ---- forward ---------------------------------------------------------------------------------------------------


def q_sample(x_0: Tensor, t: Tensor | int, eps: Tensor, s: Schedule) -> Tensor:
    """x_t ~ q(x_t | x_0) in one jump: sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps. DDPM, eq. 4.

    x_0, eps: (B, ...). t: (B,) int64, or one for all.
    """
    alpha_bar = _at(s.alpha_bar, t)
    return _like(alpha_bar.sqrt(), x_0) * x_0 + _like((1 - alpha_bar).sqrt(), x_0) * eps


def q_step(x_prev: Tensor, t: Tensor | int, eps: Tensor, s: Schedule) -> Tensor:
    """x_t ~ q(x_t | x_{t-1}): sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps. DDPM, eq. 2."""
    beta = _at(s.beta, t)
    return _like((1 - beta).sqrt(), x_prev) * x_prev + _like(beta.sqrt(), x_prev) * eps


def posterior(x_t: Tensor, x_0: Tensor, t: Tensor | int, s: Schedule) -> tuple[Tensor, Tensor]:
    """Mean and variance beta-tilde_t of q(x_{t-1} | x_t, x_0). DDPM, eqs. 6-7.

    Returns (B, ...) and the variance per picture, () or (B, 1, ...), which is exactly 0 at t = 1.
    """
    a, b, variance = posterior_weights(t, t - 1, s)
    return _like(a, x_0) * x_0 + _like(b, x_t) * x_t, _like(variance, x_t)


def posterior_weights(t: Tensor | int, t_prev: Tensor | int, s: Schedule) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of x_0 and of x_t in the mean of q(x_{t_prev} | x_t, x_0), and its variance, float64 like t. DDPM, eq. 7.

    t_prev may lie several steps back, in a chain that skips those between (Nichol & Dhariwal 2021, eq. 19).
    """
    alpha_bar, alpha_bar_prev = _at(s.alpha_bar, t), _at(s.alpha_bar, t_prev)
    alpha = alpha_bar / alpha_bar_prev                        # of the steps from t_prev to t together
    return (alpha_bar_prev.sqrt() * (1 - alpha) / (1 - alpha_bar),
            alpha.sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar),
            (1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha))


def posterior_mean_from_eps(x_t: Tensor, eps: Tensor, t: Tensor | int, s: Schedule) -> Tensor:
    """The same mean, written with the noise: (x_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_t). DDPM, eq. 11."""
    beta, alpha, alpha_bar = _at(s.beta, t), _at(s.alpha, t), _at(s.alpha_bar, t)
    return (x_t - _like(beta / (1 - alpha_bar).sqrt(), x_t) * eps) / _like(alpha.sqrt(), x_t)


# ---- one prediction, four names --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forms:
    """One prediction about x_t, written four ways, each like x_t."""

    x_0: Tensor              # the clean picture
    eps: Tensor              # the noise: x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps
    v: Tensor                # sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, arXiv:2202.00512, appendix D)
    score: Tensor            # grad log q(x_t) = -eps / sqrt(1 - alpha_bar) (Song & Ermon 2019)


def forms(prediction: Tensor, kind: str, x_t: Tensor, t: Tensor | int, s: Schedule) -> Forms:
    """What a prediction of one kind, "x_0", "eps", "v" or "score", says in all four. t in 1..T."""
    alpha_bar = _at(s.alpha_bar, t)
    a, b = _like(alpha_bar.sqrt(), x_t), _like((1 - alpha_bar).sqrt(), x_t)
    match kind:
        case "x_0":
            x_0 = prediction
            eps = (x_t - a * x_0) / b
        case "v":
            x_0 = a * x_t - b * prediction
            eps = b * x_t + a * prediction
        case "eps" | "score":
            eps = prediction if kind == "eps" else -b * prediction
            x_0 = (x_t - b * eps) / a
        case _:
            raise AssertionError(kind)
    return Forms(x_0, eps, a * eps - b * x_0, -eps / b)


def target(kind: str, x_0: Tensor, eps: Tensor, t: Tensor | int, s: Schedule) -> Tensor:
    """What a network that predicts `kind` ("x_0", "eps" or "v") should have said."""
    if kind == "v":
        alpha_bar = _at(s.alpha_bar, t)
        return _like(alpha_bar.sqrt(), x_0) * eps - _like((1 - alpha_bar).sqrt(), x_0) * x_0
    return {"x_0": x_0, "eps": eps}[kind]


def loss_weights(kind: str, s: Schedule) -> Tensor:
    """What a unit of squared error in one form, at t = 1..T, counts in a squared error of eps, (T,).

    Each form errs by a multiple of the others' error: of x_0 by sqrt((1 - alpha_bar) / alpha_bar), of v by
    1 / sqrt(alpha_bar), of the score by 1 / sqrt(1 - alpha_bar) times the error of eps, so that an equal weight on one
    is a weight by t on another (Salimans & Ho 2022, section 4).
    """
    alpha_bar = s.alpha_bar[1:]
    return {"eps": torch.ones_like(alpha_bar), "x_0": alpha_bar / (1 - alpha_bar), "v": alpha_bar, "score": 1 - alpha_bar}[kind]


def picture(x: Tensor) -> Tensor:
    """x in [-1, 1], or beyond, as something to look at: in [0, 1]."""
    return ((x + 1) / 2).clamp(0, 1)


# ---- the bound -------------------------------------------------------------------------------------------------


def gaussian_kl(mean: Tensor, variance: Tensor, mean_p: Tensor, variance_p: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(mean_p, variance_p)) per element, in nats; the variances are positive."""
    return 0.5 * (variance_p.log() - variance.log() + (variance + (mean - mean_p).square()) / variance_p - 1)


def _per_picture(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


def prior_term(x_0: Tensor, s: Schedule) -> Tensor:
    """L_T = KL(q(x_T | x_0) || N(0, I)) in nats per picture, (B,). DDPM, eq. 5. It has no parameters."""
    alpha_bar = s.alpha_bar[s.T].to(x_0)
    zero, one = torch.zeros_like(x_0), torch.ones_like(x_0)
    return _per_picture(gaussian_kl(alpha_bar.sqrt() * x_0, 1 - alpha_bar, zero, one))


def step_term(x_0: Tensor, x_t: Tensor, x_0_hat: Tensor, t: Tensor, s: Schedule, variance: str = "small") -> Tensor:
    """L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) in nats per picture, (B,), for t >= 2. DDPM, eq. 5.

    variance: of the reverse step, "small" beta-tilde_t or "large" beta_t (DDPM, section 3.2).
    """
    mean, beta_tilde = posterior(x_t, x_0, t, s)
    mean_p, _ = posterior(x_t, x_0_hat, t, s)
    variance_p = beta_tilde if variance == "small" else _like(_at(s.beta, t), x_t)
    return _per_picture(gaussian_kl(mean, beta_tilde, mean_p, variance_p))


def step_term_from_eps(eps: Tensor, eps_hat: Tensor, t: Tensor, s: Schedule, sigma_squared: Tensor) -> Tensor:
    """L_{t-1} up to its constant: beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)) |eps - eps_hat|^2. DDPM, eq. 12."""
    return simple_weight(t, s, sigma_squared).to(eps) * _per_picture((eps - eps_hat).square())


def simple_weight(t: Tensor | int, s: Schedule, sigma_squared: Tensor) -> Tensor:
    """The weight that L_simple (DDPM, eq. 14) leaves out of L_{t-1} (eq. 12), float64 like t."""
    return _at(s.beta, t).square().to(sigma_squared) / (2 * sigma_squared * (_at(s.alpha, t) * (1 - _at(s.alpha_bar, t))).to(sigma_squared))


def decoder_term(x_0: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """L_0 = -log p(x_0 | x_1) in nats per picture, (B,), with the discretised decoder of DDPM, eq. 13.

    x_0: (B, ...) in [-1, 1], multiples of 2/255: each pixel's probability is the mass of N(mean, sigma^2) on its bin of
    1/255 to both sides, the outermost bins open.
    """
    upper = torch.where(x_0 > 0.999, math.inf, (x_0 + 1 / 255 - mean) / sigma)
    lower = torch.where(x_0 < -0.999, -math.inf, (x_0 - 1 / 255 - mean) / sigma)
    mirrored = lower > 0                                      # the tail where differences of the distribution lose no digits
    lower, upper = torch.where(mirrored, -upper, lower), torch.where(mirrored, -lower, upper)
    log_upper, log_lower = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    mass = log_upper + torch.log1p(-(log_lower - log_upper).exp().clamp(max=1 - 1e-12))
    return -_per_picture(mass)


def bits_per_dimension(nats: Tensor, x: Tensor) -> Tensor:
    """Nats per picture as bits per number of x (B, ...)."""
    return nats / (x[0].numel() * BITS)


def terms(x_0: Tensor, eps: Tensor, t: Tensor, x_0_hat: Tensor, s: Schedule, variance: str = "small") -> Tensor:
    """L_{t-1} of each picture in nats, (B,), L_0 where t = 1; x_0_hat as predicted from `q_sample(x_0, t, eps, s)`.

    With t uniform in 1..T, T times the mean is an unbiased estimate of L_0 + ... + L_{T-1}. L_0's sigma^2 is beta_1.
    """
    x_t = q_sample(x_0, t, eps, s)
    later = step_term(x_0, x_t, x_0_hat, t.clamp(min=2), s, variance)
    mean, _ = posterior(x_t, x_0_hat, t, s)
    return torch.where((t == 1).to(x_0.device), decoder_term(x_0, mean, s.beta[1].sqrt().to(x_0)), later)


# ---- guidance --------------------------------------------------------------------------------------------------


def classifier_guided(eps: Tensor, gradient: Tensor, t: int, s: Schedule, scale: float) -> Tensor:
    """eps - scale sqrt(1 - alpha_bar_t) grad log p(y | x_t): subtracted, for eps points towards the noise.

    Dhariwal & Nichol 2021 (arXiv:2105.05233), algorithm 2 with its scale; with the exact classifier, scale 1 gives the
    noise of the conditional distribution.
    """
    return eps - scale * (1 - s.alpha_bar[t]).sqrt().to(eps) * gradient


def classifier_free(eps: Tensor, eps_y: Tensor, scale: float) -> Tensor:
    """eps + scale (eps_y - eps): 0 ignores the class, 1 obeys it, more exaggerates it.

    Ho & Salimans 2022 (arXiv:2207.12598), eq. 6, with scale = 1 + w: then it means what it means for a classifier,
    whose gradient is (eps - eps_y) / sqrt(1 - alpha_bar_t) here.
    """
    return eps + scale * (eps_y - eps)


def class_gradient(classify: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, t: int, y: Tensor) -> Tensor:
    """grad log p(y | x_t, t) with respect to x_t, like x_t. classify: (x_t, t (B,)) -> logits (B, classes). y: (B,)."""
    with torch.enable_grad():
        x = x_t.detach().requires_grad_()
        log_p = classify(x, torch.full((len(x),), t, device=x.device)).log_softmax(1)
        return torch.autograd.grad(log_p.gather(1, y[:, None]).sum(), x)[0]


# ---- samplers --------------------------------------------------------------------------------------------------

Denoiser = Callable[[Tensor, int], tuple[Tensor, Tensor]]     # x_t, t -> x_0, eps
Noise = Callable[[int], Tensor]                               # the time a step arrives at -> z ~ N(0, I) like x


@dataclass(frozen=True)
class Step:
    """One step from t down to t_prev: x_prev = a aim + b x_t + sigma z, where the first two terms are the mean."""

    t: int
    t_prev: int
    x_t: Tensor
    x_0: Tensor              # as predicted from x_t
    eps: Tensor              # as predicted from x_t
    aim: Tensor              # x_0, or a fast solver's extrapolation of it
    a: float
    b: float
    sigma: float
    mean: Tensor
    x_prev: Tensor


class Sampler(Protocol):
    """One signature for all of them: from x at times[0] down to times[-1], yielding every step.

    times: descending, within T..0. noise: asked once per step that has sigma > 0. eta: how much chance, in [0, 1].
    before: the step that led to x, where a trajectory is continued; so it ends in the bits of an unbroken one.
    """

    def __call__(self, denoise: Denoiser, x: Tensor, times: Sequence[int], s: Schedule, noise: Noise, *, eta: float = 0.0,
                 before: Step | None = None) -> Iterator[Step]: ...


def ddpm(denoise: Denoiser, x: Tensor, times: Sequence[int], s: Schedule, noise: Noise, *, eta: float = 0.0,
         before: Step | None = None) -> Iterator[Step]:
    """Ancestral sampling: DDPM, algorithm 2, on the chain that visits `times`; its last step, to t = 0, adds no noise.

    sigma_t^2 is beta-tilde_t at eta = 0 and beta_t at eta = 1, the two that DDPM tried, and between them geometrically
    (Nichol & Dhariwal 2021, eq. 15).
    """
    def weights(t: int, t_prev: int) -> tuple[Tensor, ...]:
        a, b, small = posterior_weights(t, t_prev, s)
        large = 1 - s.alpha_bar[t] / s.alpha_bar[t_prev]
        return a, b, (small ** (1 - eta) * large**eta).sqrt() if t_prev else torch.zeros(())

    return _walk(weights, denoise, x, times, noise)


def ddim(denoise: Denoiser, x: Tensor, times: Sequence[int], s: Schedule, noise: Noise, *, eta: float = 0.0,
         before: Step | None = None) -> Iterator[Step]:
    """Song et al. 2020 (arXiv:2010.02502), eqs. 12 and 16: a map without chance at eta = 0, DDPM with beta-tilde at eta = 1."""
    def weights(t: int, t_prev: int) -> tuple[Tensor, ...]:
        alpha_bar, alpha_bar_prev = s.alpha_bar[t], s.alpha_bar[t_prev]
        sigma = eta * ((1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev)).sqrt()
        b = ((1 - alpha_bar_prev - sigma.square()).clamp(min=0) / (1 - alpha_bar)).sqrt()      # eps stands for x_t and x_0
        return alpha_bar_prev.sqrt() - alpha_bar.sqrt() * b, b, sigma

    return _walk(weights, denoise, x, times, noise)


def dpm_solver(denoise: Denoiser, x: Tensor, times: Sequence[int], s: Schedule, noise: Noise, *, eta: float = 0.0,
               before: Step | None = None) -> Iterator[Step]:
    """DPM-Solver++(2M), Lu et al. 2022 (arXiv:2211.01095), algorithm 2: DDIM's map with x_0 extrapolated along lambda,
    half the log-SNR, from the last two predictions. Its first step, and the one to t = 0, are of first order.

    It knows no chance: eta and noise are ignored.
    """
    half_log_snr = s.log_snr / 2

    def weights(t: int, t_prev: int) -> tuple[Tensor, ...]:
        b = ((1 - s.alpha_bar[t_prev]) / (1 - s.alpha_bar[t])).sqrt()
        return s.alpha_bar[t_prev].sqrt() - s.alpha_bar[t].sqrt() * b, b, torch.zeros(())

    def extrapolate(x_0: Tensor, t: int, t_prev: int, before: Step | None) -> Tensor:
        if before is None or t_prev == 0:
            return x_0
        r = ((half_log_snr[t] - half_log_snr[before.t]) / (half_log_snr[t_prev] - half_log_snr[t])).item()
        return x_0 + (x_0 - before.x_0) / (2 * r)

    return _walk(weights, denoise, x, times, noise, extrapolate, before)


def _walk(weights: Callable[[int, int], tuple[Tensor, ...]], denoise: Denoiser, x: Tensor, times: Sequence[int], noise: Noise,
          aim: Callable[[Tensor, int, int, Step | None], Tensor] = lambda x_0, *_: x_0, before: Step | None = None) -> Iterator[Step]:
    """The loop all samplers share. weights: (t, t_prev) -> a, b, sigma. aim: what `a` weighs, from the predicted x_0."""
    for t, t_prev in pairwise(times):
        a, b, sigma = (weight.item() for weight in weights(t, t_prev))
        x_0, eps = denoise(x, t)
        towards = aim(x_0, t, t_prev, before)
        mean = a * towards + b * x
        x_prev = mean + sigma * noise(t_prev) if sigma else mean
        yield (before := Step(t, t_prev, x, x_0, eps, towards, a, b, sigma, mean, x_prev))
        x = x_prev


def denoiser(predict: Callable[[Tensor, Tensor], Tensor], kind: str, s: Schedule, bound: float = 1.0) -> Denoiser:
    """A network's predictions of one kind, (x_t, t (B,)) -> like x_t, as the samplers ask for them.

    bound: of each number of the data, that no predicted x_0 need exceed; 1 for pictures (DDPM's own code does the same).
    """
    def denoise(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        said = forms(predict(x, torch.full((len(x),), t, device=x.device)), kind, x, t, s)
        x_0 = said.x_0.clamp(-bound, bound)
        return x_0, forms(x_0, "x_0", x, t, s).eps

    return denoise


def filling(denoise: Denoiser, x_0: Tensor, hole: Tensor, s: Schedule) -> Denoiser:
    """The denoiser that knows the picture x_0 except where `hole` (like x_0) is 1: there it predicts, elsewhere it knows.

    Under DDPM the known pixels then walk q(x_{t-1} | x_t, x_0), so that at each t they are distributed as Lugmayr et al. 2022
    (arXiv:2201.09865), eq. 8a, draw them afresh.
    """
    def known(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        filled = hole * denoise(x, t)[0] + (1 - hole) * x_0
        return filled, forms(filled, "x_0", x, t, s).eps

    return known


SAMPLERS = {"ddpm": ddpm, "ddim": ddim, "dpm-solver": dpm_solver}


def visited(steps: int, T: int, start: int | None = None) -> list[int]:
    """`steps` + 1 whole numbers from `start` (T) down to 0, as evenly as they go; steps is at most `start`."""
    start = T if start is None else start
    return [round(start * (1 - i / steps)) for i in range(steps + 1)]


def log_spaced(n: int, T: int) -> Tensor:
    """At most n of the times 2..T, both ends among them, as evenly over log t as whole numbers go: int64. The bound's terms
    change most where they are dense."""
    return torch.logspace(math.log10(2), math.log10(T), n, dtype=torch.float64).round().long().unique()


# ---- where everything is known: mixtures of Gaussians ----------------------------------------------------------


@dataclass(frozen=True)
class Mixture:
    """A density sum_k w_k N(m_k, variance_k I). means: (K, D); variances and weights: (K,), weights summing to 1."""

    means: Tensor
    variances: Tensor
    weights: Tensor

    def noised(self, alpha_bar: Tensor | float) -> "Mixture":
        """q(x_t) where this is q(x_0): each peak shrinks towards 0 and widens. DDPM, eq. 4."""
        alpha_bar = torch.as_tensor(alpha_bar, dtype=self.means.dtype, device=self.means.device)
        return Mixture(alpha_bar.sqrt() * self.means, alpha_bar * self.variances + 1 - alpha_bar, self.weights)

    def given(self, x_t: Tensor, alpha: Tensor | float) -> "Mixture":
        """The exact reverse: q(x_{t-1} | x_t) where this is q(x_{t-1}) and x_t = sqrt(alpha) x_{t-1} + sqrt(1 - alpha) eps.

        x_t: (D,). Prior times likelihood, peak by peak; the new weights are how well each peak explains x_t. alpha < 1.
        """
        alpha = torch.as_tensor(alpha, dtype=self.means.dtype, device=self.means.device)
        beta = 1 - alpha
        seen = Mixture(alpha.sqrt() * self.means, alpha * self.variances + beta, self.weights)
        variances = 1 / (1 / self.variances + alpha / beta)
        means = variances[:, None] * (self.means / self.variances[:, None] + alpha.sqrt() / beta * x_t)
        return Mixture(means, variances, seen.log_joint(x_t[None])[0].softmax(0))

    def log_joint(self, x: Tensor) -> Tensor:
        """log w_k N(x; m_k, variance_k I), (N, K), for x (N, D)."""
        squared = (x[:, None] - self.means).square().sum(2)
        D = x.shape[1]
        return self.weights.log() - squared / (2 * self.variances) - D / 2 * (2 * math.pi * self.variances).log()

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (N,), for x (N, D)."""
        return self.log_joint(x).logsumexp(1)

    def score(self, x: Tensor) -> Tensor:
        """grad log p(x), (N, D): towards each peak, as much as it explains x."""
        explains = self.log_joint(x).softmax(1)
        return (explains[:, :, None] * (self.means - x[:, None]) / self.variances[:, None]).sum(1)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and variance (D,) of each coordinate."""
        mean = (self.weights[:, None] * self.means).sum(0)
        return mean, (self.weights[:, None] * (self.variances[:, None] + self.means.square())).sum(0) - mean.square()


def exact_denoiser(mixture: Mixture, s: Schedule) -> Denoiser:
    """What a perfect network would say for data from `mixture`: eps = -sqrt(1 - alpha_bar_t) score. For t in 1..T."""
    def denoise(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        both = forms(mixture.noised(s.alpha_bar[t]).score(x), "score", x, t, s)
        return both.x_0, both.eps

    return denoise
