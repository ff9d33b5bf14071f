"""One dimension, exactly: Bayes' rule for one step back, and how far the true step back is from a Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from ...core import inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from . import Piece, Shared

if TYPE_CHECKING:
    from torch import Tensor

    from ..maths import Mixture

# name in the URL -> lowest, highest, where it stands when the tab opens, step. None reaches the ends where a Gaussian has no width.
RANGES = {
    "beta": (0.001, 0.95, 0.2, 0.001),
    "ab": (0.05, 0.99, 0.9, 0.01),       # alpha_bar of t - 1
    "xt": (-2.0, 2.0, 0.0, 0.01),        # two standard deviations of x_T
    "x0": (-1.5, 1.5, 1.0, 0.01),        # the peaks are at +-1
}
PEAK, WIDTH = 1.0, 0.05      # the two-peak data: centres at +-PEAK, std WIDTH (row 172 of the notes' numbers)
EDGE = 2.5                   # of the axis of x_{t-1}
COARSE, FINE = 141, 41       # points along the axis, and within FAR std of each peak
FAR = 4.0
QUADRATURE = 4001            # points of an integral over a mixture
TAIL = 8.0                   # std of the outermost peak at which it begins and ends: 1e-15 of the mass is beyond
BETAS = 25                   # of the curve of the KL, equally far from each other on a logarithmic axis
KL_LOW = 1e-4                # nats: where its axis begins; what is below is not drawn


def build(shared: Shared) -> Piece:
    now = lambda key: parts.now(f"diffusion.line:{key}")      # noqa: E731
    with gr.Column(elem_classes="section", elem_id="diffusion-line"):
        gr.HTML(parts.heading("diffusion.line", "diffusion.line.try"))
        view = live.View("diffusion.line", alt=both("diffusion.line.bayes.alt"), elsewhere=True, lazy=True)
        with gr.Group(elem_classes="sliders"):
            sliders = {name: parts.Slider(low, high, start, step=step, label=t(f"diffusion.line.{name}"), elem_id=f"diffusion-{name}")
                       for name, (low, high, start, step) in RANGES.items()}
        with gr.Row():
            with gr.Column(min_width=280):
                gr.HTML(f'<h3>{both("diffusion.line.bayes")}</h3>' + parts.lines("diffusion.line", {
                    "prior": ("--data", "diffusion.line.prior"), "likelihood": ("--noise", "diffusion.line.likelihood"),
                    "posterior": ("--code", "diffusion.line.posterior")},
                    x="x", low=0, first=f"x = −{EDGE:g}", last=f"x = {EDGE:g}", alt="diffusion.line.bayes.alt")
                    + parts.numbers(("diffusion.line:mean", "diffusion.line.mean"), ("diffusion.line:variance_text", "diffusion.line.variance")))
            with gr.Column(min_width=280):
                gr.HTML(f'<h3>{both("diffusion.line.reverse")}</h3>' + parts.lines("diffusion.line", {
                    "reverse": ("--data", "diffusion.line.true"), "matched": ("--model", "diffusion.line.matched")},
                    x="x_reverse", low=0, first=f"x = −{EDGE:g}", last=f"x = {EDGE:g}", dashed=["matched"], alt="diffusion.line.reverse.alt")
                    + parts.numbers(("diffusion.line:kl_text", "diffusion.line.kl")))
            with gr.Column(min_width=280):
                gr.HTML(f'<h3>{both("diffusion.line.small")}</h3>' + parts.lines("diffusion.line", {
                    "kls": ("--model", "diffusion.line.kls")}, x="log_betas", at="log_beta", low=KL_LOW, high=1, log=True,
                    first=f"β = {RANGES['beta'][0]:g}", last=f"β = {RANGES['beta'][1]:g}", alt="diffusion.line.kls.alt")
                    + f'<p class="caption">{both("diffusion.line.why")}</p>')
        with gr.Column(elem_classes="formulas"):
            parts.formula(
                "diffusion.line.D3.mean", r"\tilde\mu_t=\frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t}\,x_0"
                r"+\frac{\sqrt{\alpha_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\,x_t",
                f'{now("a")} · {now("x0")} + {now("b")} · {now("xt")} = {now("mean")}')
            parts.formula(
                "diffusion.line.D3.variance", r"\tilde\beta_t=\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\,\beta_t",
                f'{now("left")} / {now("left_t")} · {now("beta_text")} = {now("variance_text")}')
    view.follow(**sliders)
    live.register("diffusion.line", line_frame)
    gr.api(guarded(diffusion_line), api_name="diffusion_line")
    return Piece([Field(name, [slider], lambda text, name=name: [_read(name, text)], default=str(RANGES[name][2]))
                  for name, slider in sliders.items()], [view])


def _read(name: str, value: object) -> float:
    low, high, *_ = RANGES[name]
    return inputs.within({"ab": "alpha_bar", "xt": "x_t", "x0": "x_0"}.get(name, name), inputs.parsed(value), low, high)


def line_frame(query: Mapping[str, str]) -> live.Frame:
    """Prior, likelihood and posterior of x_{t-1}; the exact reverse of two peaks and its Gaussian, with their KL, in nats."""
    import torch

    from .. import maths

    beta, ab, xt, x0 = (_read(name, query.get(name)) for name in RANGES)
    s = maths.from_betas(torch.tensor([0, 1 - ab, beta], dtype=torch.float64))       # t - 1 = 1 in a chain of two steps
    a, b, variance = (weight.item() for weight in maths.posterior_weights(2, 1, s))
    mean, alpha = a * x0 + b * xt, 1 - beta
    peaks = [(ab**0.5 * x0, 1 - ab), (xt / alpha**0.5, beta / alpha), (mean, variance)]      # the likelihood as one of x_{t-1}
    x = _axis(peaks)
    prior, likelihood, posterior = (_normal(x, *peak) for peak in peaks)

    reverse = _reverse(beta, ab, xt)
    m, v = (moment.item() for moment in reverse.moments())
    x_reverse = _axis([*zip(reverse.means[:, 0].tolist(), reverse.variances.tolist()), (m, v)])
    betas, kls = _curve(ab, xt)
    kl = kl_to_matched(reverse)
    return live.Frame(np.zeros((1, 1), np.uint8), {
        "x": _short(x), "prior": _short(prior), "likelihood": _short(likelihood / alpha**0.5), "posterior": _short(posterior),
        "mean": mean, "variance": variance, "variance_text": _text(variance), "a": a, "b": b, "x0": x0, "xt": xt, "left": 1 - ab, "left_t": 1 - ab * alpha, "beta_text": _text(beta),
        "x_reverse": _short(x_reverse), "reverse": _short(reverse.log_density(x_reverse[:, None]).exp()), "matched": _short(_normal(x_reverse, m, v)),
        "kl": kl, "kl_text": _text(kl), "log_beta": np.log10(beta).item(), "log_betas": np.log10(betas).tolist(), "kls": [kl if kl >= KL_LOW else None for kl in kls],
    })


def diffusion_line(beta: float, alpha_bar_prev: float, x_t: float, x_0: float) -> dict:
    """One step back in one dimension, exactly. beta: 0.001 to 0.95; alpha_bar_prev: of t - 1, 0.05 to 0.99; x_t in +-2; x_0 in +-1.5.

    Returns {"mean", "variance": of q(x_{t-1} | x_t, x_0), "kl": nats from the exact q(x_{t-1} | x_t) of data with peaks at
    +-1 of width 0.05 to the Gaussian of the same mean and variance}.
    """
    frame = executor.run(line_frame, {"beta": beta, "ab": alpha_bar_prev, "xt": x_t, "x0": x_0})
    return {"mean": frame.numbers["mean"], "variance": frame.numbers["variance"], "kl": frame.numbers["kl"]}


def _reverse(beta: float, ab: float, xt: float) -> Mixture:
    """q(x_{t-1} | x_t) for data with two peaks, float64."""
    import torch

    from .. import maths

    data = maths.Mixture(torch.tensor([[-PEAK], [PEAK]]).double(), torch.full((2,), WIDTH**2).double(), torch.full((2,), 0.5).double())
    return data.noised(ab).given(torch.tensor([xt]).double(), 1 - beta)


def kl_to_matched(mixture: Mixture) -> float:
    """KL(mixture || the Gaussian of its mean and variance) in one dimension, in nats, by quadrature."""
    import torch

    m, v = mixture.moments()
    centres, far = mixture.means[:, 0], TAIL * mixture.variances.sqrt()
    x = torch.linspace((centres - far).min().item(), (centres + far).max().item(), QUADRATURE, dtype=torch.float64)
    log_p = mixture.log_density(x[:, None])
    log_g = -(x - m).square() / (2 * v) - 0.5 * (2 * torch.pi * v).log()
    return max(0.0, torch.trapezoid(log_p.exp() * (log_p - log_g), x).item())


@lru_cache(256)
def _curve(ab: float, xt: float) -> tuple[list[float], list[float]]:
    """The KL at BETAS values of beta."""
    low, high, *_ = RANGES["beta"]
    betas = np.geomspace(low, high, BETAS).tolist()
    return betas, [kl_to_matched(_reverse(beta, ab, xt)) for beta in betas]


def _axis(peaks: list[tuple[float, float]]) -> Tensor:
    """Places of x_{t-1} in +-EDGE, (N,), dense where a peak (mean, variance) is: one may be a thirtieth as wide as another."""
    import torch

    fine = [mean + variance**0.5 * torch.linspace(-FAR, FAR, FINE, dtype=torch.float64) for mean, variance in peaks]
    x = torch.cat([torch.linspace(-EDGE, EDGE, COARSE, dtype=torch.float64), *fine])
    return x[x.abs() <= EDGE].sort().values


def _normal(x: Tensor, mean: float, variance: float) -> Tensor:
    return (-(x - mean).square() / (2 * variance)).exp() / (2 * np.pi * variance)**0.5


def _short(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.tolist()]


def _text(value: float) -> str:
    """A number that may be tiny, to three digits."""
    return f"{value:.3g}" if value >= 1e-4 else f"{value:.1e}" if value else "0"
