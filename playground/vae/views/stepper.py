"""From a picture to a picture in four steps, and what the encoder's Gaussian misses of the true posterior."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import device, images, inputs
from ...core.device import executor
from ...core.examples import joined
from ...ui import live, parts, plane
from ...ui.cursor import cursor
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.plane import Layer
from ...ui.state import SCRIPT, Field
from . import Piece, Shared, examples, flat, model, stand_in

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from ..maths import Evidence, LogJoint

STEPS = ("encode", "draw", "move", "decode")
EPS_MAX = 10_000             # draws of eps that a page may ask for
ELLIPSE = 48                 # corners of the drawn ellipse
SIDE = 196                   # pixels on a side of the posterior's picture: seven of a decoded one's 28
CELLS = 49                   # cells on a side of its density
WINDOW = 6.0                 # std of q, or more, between the encoder's mean and the edge of the window
SCALE = 3.0                  # log2 of the factor on the encoder's sigma, at most
KEPT = 16                    # pictures whose posterior is remembered
MOVE, WIDEN = ("vae-q-m1", "vae-q-m2"), ("vae-q-s1", "vae-q-s2")
LAYERS = (
    Layer("circles", "circles", "--quiet", "vae.sheet.circles", size=1, alpha=0.7),
    Layer("paths", "ellipse", "--code", "vae.stepper.q", size=2),
    Layer("arrows", "arrow", "--noise", "vae.stepper.arrow", at="from", size=2),
    Layer("points", "point", "--model", "vae.stepper.z", size=4),
)


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="vae-stepper"):
        gr.HTML(parts.heading("vae.stepper", "vae.stepper.try"))
        eps = gr.Number(0, visible=False, precision=0)
        with gr.Row():
            with gr.Column(scale=4, min_width=260):
                step = parts.Radio([(t(f"vae.stepper.{name}"), i) for i, name in enumerate(STEPS, 1)], value=len(STEPS), label=t("vae.stepper.step"), elem_id="vae-step")
                again = gr.Button(t("vae.stepper.again"), elem_id="vae-eps", size="sm")
                steps = live.View("vae.stepper", alt=both("vae.stepper.alt"), tiles=2, lazy=True, captions=(both("vae.seen"), both("vae.stepper.out")))
                gr.HTML(parts.numbers(("vae.stepper:log_likelihood", "vae.stepper.log_likelihood"), ("vae.stepper:kl", "vae.kl"), ("vae.stepper:estimate", "vae.stepper.estimate")))
            with gr.Column(scale=4, min_width=260):
                gr.HTML("".join(f'<p class="caption">{both(key)}</p><canvas class="plot wide" data-bars="vae.stepper:{name}" data-range="3" data-colour="{colour}"></canvas>'
                                for key, name, colour in (("vae.stepper.bars.mu", "mu±sigma", "--code"), ("vae.stepper.bars.eps", "eps", "--noise"), ("vae.stepper.bars.z", "z", "--model"))),
                        js_on_load=None, apply_default_css=False)
            with gr.Column(scale=3, min_width=240):
                gr.HTML(plane.plane("vae.stepper", LAYERS, alt="vae.stepper.plane"), js_on_load=None, apply_default_css=False)
        parts.formula("vae.stepper.f", r"z=\mu+\sigma\odot\epsilon,\quad\epsilon\sim\mathcal N(0,I)",
                      f"z<sub>1</sub> = μ<sub>1</sub> + σ<sub>1</sub> ε<sub>1</sub>: {_now('stepper', 'z1')} = {_now('stepper', 'mu1')} + {_now('stepper', 'sigma1')} · ({_now('stepper', 'eps1')})")
    with gr.Column(elem_classes="section", elem_id="vae-posterior"):
        gr.HTML(parts.heading("vae.posterior", "vae.posterior.try") + f'<p class="caption if"><b data-live="vae.posterior:stands_in"></b> {both("vae.posterior.stands_in")}</p>')
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                gr.HTML(cursor(f'<canvas data-mirror="vae.posterior:0" width="{SIDE}" height="{SIDE}"></canvas>', MOVE, "vae.posterior", at="moved", places="places",
                               alt="vae.posterior.alt"), js_on_load=None, apply_default_css=False)
                gr.HTML(f'<p class="legend"><span style="--line: var(--data)">{both("vae.posterior.true")}</span><span style="--line: var(--model)">{both("vae.posterior.q")}</span></p>')
                posterior = live.View("vae.posterior", alt=both("vae.posterior.alt"), elsewhere=True, lazy=True)
            with gr.Column(scale=5, min_width=280):
                gr.HTML(parts.numbers(("vae.posterior:elbo", "vae.elbo"), ("vae.posterior:gap", "vae.posterior.gap"), ("vae.posterior:log_p", "vae.posterior.log_p")))
                move = [parts.Slider(-1, 1, 0, step=0.005, label=t(f"vae.posterior.m{axis}"), elem_id=name) for axis, name in enumerate(MOVE, 1)]
                widen = [parts.Slider(-SCALE, SCALE, 0, step=0.05, label=t(f"vae.posterior.s{axis}"), elem_id=name) for axis, name in enumerate(WIDEN, 1)]
                with gr.Row(elem_classes="keep"):
                    back = gr.Button(t("vae.posterior.back"), size="sm", elem_id="vae-q-back")
                    best = gr.Button(t("vae.posterior.best"), size="sm", elem_id="vae-q-best")
        now = lambda key: _now("posterior", key)                                 # noqa: E731
        parts.formula("vae.posterior.f", r"\log p_\theta(x)=\underbrace{\mathbb E_q\log\tfrac{p_\theta(x,z)}{q(z)}}_{L_b}+D_{KL}(q(z)\,\Vert\,p_\theta(z\mid x))",
                      f"{now('log_p')} = {now('elbo')} + {now('gap')}, &nbsp; μ = ({now('mu1')}, {now('mu2')}), σ = ({now('sigma1')}, {now('sigma2')})")
    steps.follow(checkpoint=shared.checkpoint, x=shared.picture, step=step, eps=eps)
    posterior.follow(checkpoint=shared.checkpoint, x=shared.picture, move=move, widen=widen)
    live.register("vae.stepper", stepper_frame)
    live.register("vae.posterior", posterior_frame)
    again.click(None, [eps, step], [eps, step], js=f"(eps, step) => [(eps + 1) % {EPS_MAX}, Math.max(step, 2)]", **SCRIPT)
    back.click(None, None, [*move, *widen], js="() => [0, 0, 0, 0]", **SCRIPT)
    best.click(guarded(_best), [shared.checkpoint, *shared.picture, *move, *widen], [*move, *widen], show_progress="hidden", trigger_mode="always_last", api_visibility="private")
    return Piece([
        Field("step", [step], lambda text: [inputs.integer("step", inputs.parsed(text), 1, len(STEPS))], default=str(len(STEPS))),
        Field("eps", [eps], lambda text: [inputs.integer("eps", inputs.parsed(text), 0, EPS_MAX)], default="0"),
        Field("q", [*move, *widen], lambda text: inputs.numbers_in("q", text, 4, -SCALE, SCALE, pad=True, check=inputs.within), default="0"),
    ], [steps, posterior])


def _now(view: str, key: str) -> str:
    return parts.now(f"vae.{view}:{key}")


# ---- in four steps ---------------------------------------------------------------------------------------------


def stepper_frame(query: Mapping[str, str]) -> live.Frame:
    """The drawing, and from step 4 on what its code z = mu + sigma eps decodes to; the numbers know as much as the step does."""
    import torch

    from .. import sample
    from ..train import log_likelihood

    checkpoint = model(query)
    step = inputs.integer("step", inputs.parsed(query.get("step")), 1, len(STEPS))
    draw = inputs.integer("eps", inputs.parsed(query.get("eps")), 0, EPS_MAX)
    found = sample.encode(checkpoint, examples.read(checkpoint, query.get("x")))
    eps = device.noise(draw, [0], (len(found.mu),))[0]
    z = found.mu + found.sigma * eps
    seen, out = images.to_rgb(found.x), np.zeros((*images.to_rgb(found.x).shape[:2], 3), np.uint8)
    numbers: dict[str, Any] = {"mu": found.mu.tolist(), "sigma": found.sigma.tolist(), "eps": [], "z": [], "mu1": found.mu[0].item(),
                               "sigma1": found.sigma[0].item(), "kl": found.kl, "circles": (1, 2, 3), "ellipse": [_ellipse(found.mu, found.sigma)],
                               "eps1": None, "z1": None, "log_likelihood": None, "estimate": None}
    if step >= 2:
        numbers |= {"eps": eps.tolist(), "eps1": eps[0].item(), "from": _two(found.mu), "arrow": _two(z - found.mu)}
    if step >= 3:
        numbers |= {"z": z.tolist(), "z1": z[0].item(), "point": _two(z)}
    if step >= 4:
        by_dimension = torch.empty_like(z)
        by_dimension[sample.order(checkpoint)] = z
        decoded = checkpoint.model.decode(by_dimension[None].to(next(checkpoint.model.parameters()).device))
        out = images.to_rgb(checkpoint.model.picture(decoded[0]).cpu())
        nats = log_likelihood(checkpoint.model.config, decoded.cpu(), found.x[None]).item()
        numbers |= {"log_likelihood": nats, "estimate": nats - found.kl}
    return live.Frame(np.concatenate([seen, out], axis=1), numbers)


def _two(z: Tensor) -> list[float]:
    """The first two dimensions, which carry most; the second is 0 where there is none."""
    return [*z[:2].tolist(), 0.0][:2]


def _ellipse(mu: Tensor, sigma: Tensor) -> list[float]:
    angle = np.linspace(0, 2 * np.pi, ELLIPSE + 1)
    (x, y), (a, b) = _two(mu), _two(sigma)
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1).round(3).flatten().tolist()


# ---- the true posterior ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """One picture, the encoder's answer and the true posterior. Codes in slider order, float64."""

    log_joint: LogJoint
    mu: Tensor               # (2,)
    logvar: Tensor           # (2,)
    evidence: Evidence
    half: float              # of the window's side, whose middle is mu
    density: np.ndarray      # (CELLS, CELLS): p(z | x) in the window as a share of its highest point, z_2 downwards


_seen: OrderedDict[tuple[Any, ...], Seen] = OrderedDict()     # touched on the inference executor alone


def seen(checkpoint: Checkpoint, x: Tensor) -> Seen:
    """What quadrature says of a picture x (C, H, W), kept for the next request."""
    key = (checkpoint.name, id(checkpoint.model), x.numpy().tobytes())
    if key not in _seen:
        _seen[key] = _look(checkpoint, x)
        if len(_seen) > KEPT:
            _seen.popitem(last=False)
    _seen.move_to_end(key)
    return _seen[key]


def _look(checkpoint: Checkpoint, x: Tensor) -> Seen:
    import torch

    from .. import maths, sample
    from ..train import log_likelihood

    network, order = checkpoint.model, sample.order(checkpoint)
    where = next(network.parameters()).device
    if network.config.likelihood == "bernoulli":
        x = x.round()

    def log_joint(z: Tensor) -> Tensor:
        by_dimension = torch.empty_like(z)
        by_dimension[:, order] = z
        log_p = [log_likelihood(network.config, network.decode(part), x.to(where)).cpu() for part in by_dimension.float().to(where).split(sample.BATCH)]
        return torch.cat(log_p).double() + maths.log_standard_normal(z)

    mu, logvar = (part[0].cpu()[order].double() for part in network.encode(x[None].to(where)))
    found = maths.evidence(log_joint)
    half = max(WINDOW * (0.5 * logvar).exp().max().item(), (found.high - mu).max().item(), (mu - found.low).max().item())
    z, _ = maths.grid(mu - half, mu + half, CELLS)
    values = log_joint(z).unflatten(0, (CELLS, CELLS))                           # z_1 slowest
    density = (values - values.max()).exp().T.flip(0).numpy()
    return Seen(log_joint, mu, logvar, found, half, density)


def posterior_frame(query: Mapping[str, str]) -> live.Frame:
    """The true posterior of the drawing with q's ellipses at one and two sigma, and the three numbers of the derivation."""
    from .. import maths

    checkpoint = flat(query)
    found = seen(checkpoint, examples.read(checkpoint, query.get("x"), stands_in=bool(stand_in(checkpoint, query))))
    moved = inputs.numbers_in("move", query.get("move"), 2, -1, 1)
    mu, logvar = _q(found, moved, inputs.numbers_in("widen", query.get("widen"), 2, -SCALE, SCALE))
    elbo, gap = maths.elbo_and_gap(found.log_joint, found.evidence.log_p, mu, logvar)
    sigma = (0.5 * logvar).exp()
    return live.Frame(_picture(found, mu, sigma), {
        "elbo": elbo.item(), "gap": gap.item(), "log_p": found.evidence.log_p.item(), "moved": moved, "places": [-0.5, 0.5], "stands_in": stand_in(checkpoint, query),
        **{f"{name}{axis + 1}": value for name, values in {"mu": mu, "sigma": sigma}.items() for axis, value in enumerate(values.tolist())},
    })


def _q(found: Seen, moved: list[float], widened: list[float]) -> tuple[Tensor, Tensor]:
    """q's mu and log sigma^2: the encoder's, moved by shares of the window's half and widened by powers of two."""
    import torch

    return found.mu + found.half * torch.tensor(moved).double(), found.logvar + 2 * np.log(2) * torch.tensor(widened).double()


def _picture(found: Seen, mu: Tensor, sigma: Tensor) -> np.ndarray:
    """uint8 (SIDE, SIDE, 3): the posterior's density in the data's blue, q's ellipses in the model's orange."""
    cells = SIDE // CELLS
    density = np.kron(found.density**0.5, np.ones((cells, cells)))[..., None]
    picture = density * images.LESS
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = axis[None], -axis[:, None]
    (mx, my), (sx, sy) = ((mu - found.mu) / found.half).tolist(), (sigma / found.half).tolist()
    radius = np.hypot((x - mx) / sx, (y - my) / sy)
    slope = np.hypot((x - mx) / sx**2, (y - my) / sy**2) / np.maximum(radius, 1e-9)        # of the radius, per unit of the window
    for level, strength in ((1, 1.0), (2, 0.6)):
        line = strength * np.clip(1.5 - np.abs(radius - level) / np.maximum(slope * 2 / SIDE, 1e-9), 0, 1)[..., None]
        picture = picture + line * (images.MORE - picture)
    return picture.clip(0, 255).round().astype(np.uint8)


def _best(name: Any, drawn: Any, uploaded: Any, *q: Any) -> list[float]:
    """The q nearest to the true posterior among diagonal Gaussians, as the four sliders say it, found from where they are."""
    moved, widened = inputs.vector("q", q[:2], 2, -1, 1), inputs.vector("q", q[2:], 2, -SCALE, SCALE)

    def climb() -> list[float]:
        import torch

        from .. import maths

        checkpoint = flat({"checkpoint": name})
        found = seen(checkpoint, examples.read(checkpoint, joined(drawn, uploaded), stands_in=checkpoint.name != name))
        mu, logvar = _q(found, moved, widened)
        for _ in range(12):                                   # the moments of the posterior, seen through q: adaptive importance sampling
            z, weights = maths.gaussian_nodes(mu, logvar, 24)
            log_w = found.log_joint(z) - maths.log_normal(z, mu, logvar) + weights.log()
            share = log_w.softmax(0)[:, None]
            mu, old = (share * z).sum(0), logvar
            logvar = (share * (z - mu).square()).sum(0).clamp(min=1e-8).log().clamp(old - 1, old + 1)
        for tensor in (mu, logvar):
            tensor.requires_grad_(True)
        with torch.enable_grad():
            optimiser = torch.optim.Adam([mu, logvar], lr=0.02)
            for _ in range(40):                               # then up the bound itself
                optimiser.zero_grad()
                (-maths.elbo_and_gap(found.log_joint, found.evidence.log_p, mu, logvar)[0]).backward()
                optimiser.step()
        return [*((mu.detach() - found.mu) / found.half).tolist(), *((logvar.detach() - found.logvar) / (2 * np.log(2))).tolist()]

    m1, m2, s1, s2 = executor.run(climb)
    return [*(round(min(max(m, -1), 1), 3) for m in (m1, m2)), *(round(min(max(s, -SCALE), SCALE), 2) for s in (s1, s2))]
