"""Where the bound lives: what each step costs, over t, for a picture of one's own; and one prediction under its four names.

    +-- t ---------------------------------------------------------------+
    +-- L_{t-1} over t; L_0, the sum, all --+-- weights of the losses ---+
    +-- x_t, and the prediction as eps, x_0, v and score, each error ----+
    +-- formulas, and where the notes differ ----------------------------+
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from . import Piece, Shared, label, model, moment, noise_map, picture, seed, shown

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from ..maths import Forms, Schedule

START = 100                  # where t stands when the tab opens
TIMES = 24                   # from 2 to T, dense where L_{t-1} is large: their sum is then within 2 % of that of all (measured)
WEIGHTS = 40                 # points of the weights' curves
KEPT = 8                     # curves kept, so that dragging t computes one prediction and no curve
FORMS = ("eps", "x_0", "v", "score")


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-bound"):
        gr.HTML(parts.heading("diffusion.bound", "diffusion.bound.try"))
        at = parts.Slider(1, 1000, START, step=1, label=t("diffusion.bound.t"), elem_id="diffusion-bound-t")
        with gr.Row(elem_classes="halves"):
            with gr.Column(min_width=280):
                gr.HTML(f'<p class="caption">{both("diffusion.bound.curve")}</p>' + parts.lines(
                    "diffusion.bound", {"yours": ("--data", "diffusion.bound.yours"), "held_out": ("--model", "diffusion.bound.held_out")},
                    x="places", at="place", log=True, dashed=("held_out",), first="t = 2", last="t = T", alt="diffusion.bound.curve"))
            with gr.Column(min_width=280):
                colours = {"eps": "--noise", "x_0": "--data", "v": "--code", "score": "--quiet"}
                gr.HTML(f'<p class="caption">{both("diffusion.bound.weights")}</p>' + parts.lines(
                    "diffusion.bound", {**{f"weight_{form}": (colour, f"diffusion.bound.name.{form}") for form, colour in colours.items()},
                                        "weight_bound": ("--model", "diffusion.bound.weight")},
                    x="weight_places", at="place", log=True, low=1e-4, high=1e4, dashed=("weight_bound",), first="t = 2", last="t = T",
                    alt="diffusion.bound.weights"))
        gr.HTML(parts.numbers(("diffusion.bound:said_L_0", "diffusion.bound.L_0"), ("diffusion.bound:said_between", "diffusion.bound.between"),
                              ("diffusion.bound:said_total", "diffusion.bound.total")))
        view = live.View("diffusion.bound", alt=both("diffusion.bound.alt"), tiles=1 + len(FORMS), lazy=True, elem_classes="strip names", captions=[
            both("diffusion.bound.x_t"), *(f'{both(f"diffusion.bound.said.{form}")}<br>{both("diffusion.bound.error")} {_now(f"error_{form}")}' for form in FORMS)])
        with gr.Column(elem_classes="formulas"):
            for key, latex, numbers in _formulas():
                parts.formula(key, latex, numbers)
        with gr.Accordion(t("diffusion.notes"), open=False):
            gr.Markdown(t("diffusion.notes.text"))
    view.follow(checkpoint=shared.checkpoint, seed=shared.seed, y=shared.y, x=shared.source, t=at)
    live.register("diffusion.bound", bound_frame)
    gr.api(guarded(diffusion_bound), api_name="diffusion_bound")
    return Piece([Field("bt", [at], lambda text: [inputs.integer("t", inputs.parsed(text), 1, 4000)], default=str(START))], [view], [at])


def _now(key: str) -> str:
    return parts.now(f"diffusion.bound:{key}")


def _formulas() -> list[tuple[str, str, str]]:
    """What each says, the formula, the formula with the numbers of this moment."""
    return [
        ("diffusion.bound.f.sum",
         r"\begin{aligned}\mathbb E\left[-\log p_\theta(x_0)\right]&\le L_{VLB}=L_T+\sum_{t=2}^{T}L_{t-1}+L_0,\\"
         r"L_T&=D_{KL}(q(x_T\mid x_0)\,\Vert\,p(x_T)),\\ L_0&=-\log p_\theta(x_0\mid x_1)\end{aligned}",
         f"{_now('said_total')} ≈ {_now('said_L_T')} + {_now('said_between')} + {_now('said_L_0')}"),
        ("diffusion.bound.f.weight",
         r"L_{t-1}=\mathbb E\left[\frac{\beta_t^2}{2\sigma_t^2\,\alpha_t(1-\bar\alpha_t)}\left\lVert\epsilon-\epsilon_\theta(x_t,t)\right\rVert^2\right]+C",
         f"t = {_now('t')}: {_now('weight')} · {_now('squared')} = {_now('nats')} {both('diffusion.nats')} = {_now('bits')} {both('diffusion.bound.bits')}"),
        ("diffusion.bound.f.simple",
         r"\begin{aligned}L_{simple}&=\mathbb E_{t,\,x_0,\,\epsilon}\left\lVert\epsilon-\epsilon_\theta\left(\sqrt{\bar\alpha_t}\,x_0+\sqrt{1-\bar\alpha_t}\,\epsilon,\ t\right)\right\rVert^2,"
         r"\\ &t\sim U\{1..T\}\end{aligned}",
         f"{both('diffusion.bound.here')}: {_now('squared')} / {_now('dimensions')} = {_now('error_eps')}<br>{both('diffusion.bound.everywhere')}: {_now('simple')}"),
    ]


def bound_frame(query: Mapping[str, str]) -> live.Frame:
    """x_t of the picture and the prediction in its four forms with their errors, at t; and the bound's terms over all t."""
    import torch

    from .. import maths, sample

    checkpoint = model(query)
    at, y, number = moment(checkpoint, query.get("t")), label(checkpoint, query.get("y")), seed(query)
    x_0, eps, s = picture(checkpoint, query.get("x")), sample.start_noise(checkpoint, number).cpu(), sample.schedule(checkpoint)
    key = (id(checkpoint.model), query.get("x"), y, number)
    if key not in _kept:
        _kept[key] = checkpoint, curve(checkpoint, x_0, eps, y)
    _kept.move_to_end(key)
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    found = _kept[key][1]

    x_t, said = predicted(checkpoint, x_0, eps, torch.tensor([at]), y, s)
    true = maths.forms(eps, "eps", x_t, at, s)
    errors = {f"error_{form}": (getattr(said, form) - getattr(true, form)).square().mean().item() for form in FORMS}
    nats = maths.terms(x_0, eps, torch.tensor([at]), said.x_0, s).item()
    sums = {"L_0": found.L_0, "L_T": found.L_T, "between": found.between, "total": found.L_0 + found.between + found.L_T}
    spread = math.sqrt(1 - s.alpha_bar[at].item())
    tiles = [shown(x_t[0]), noise_map(said.eps[0]), shown(said.x_0[0]), noise_map(said.v[0], 2), noise_map(said.score[0], 3 / spread)]
    return live.Frame(images.beside(*tiles), {
        **_curves(checkpoint, found, s), **errors, "t": at, "place": math.log10(max(at, 2)), "nats": nats,
        "weight": weight(at, s), "squared": errors["error_eps"] * x_0.numel(), "bits": nats / (x_0.numel() * maths.BITS), "dimensions": x_0.numel(),
        **sums, **{f"said_{name}": f"{bits:.3f}" for name, bits in sums.items()}, "simple": found.simple,     # as many digits of each, to be added up
    })


def diffusion_bound(checkpoint: str, picture: str, seed: int, label: str, t: int) -> dict:
    """The variational bound of a picture in bits per dimension, estimated with one noise, and its term at time t.

    picture: as for diffusion_noise. label: a class's index as text, or "any" for none. Returns {"L_0", "between": the sum of
    L_1 ... L_{T-1}, "L_T", "total", "simple": L_simple per dimension, "bits": the term at t, "picture": x_t and the prediction
    as noise, picture, v and score, a PNG as a data URI}.
    """
    frame = executor.run(bound_frame, {"checkpoint": checkpoint, "x": picture, "seed": seed, "y": label, "t": t})
    return {"picture": live.data_uri(frame.picture), **{name: frame.numbers[name] for name in ("L_0", "between", "L_T", "total", "simple", "bits")}}


def weight(t: int, s: Schedule) -> float | None:
    """What L_simple leaves out of L_{t-1}, with sigma_t^2 = beta-tilde_t; L_0 has no such weight."""
    from .. import maths

    return None if t == 1 else maths.simple_weight(t, s, maths.posterior_weights(t, t - 1, s)[2]).item()


def _curves(checkpoint: Checkpoint, found: Curve, s: Schedule) -> dict[str, Any]:
    """The chart's lists: the terms over log t, of the picture and of the test pictures; and the weights over log t."""
    from .. import maths

    out: dict[str, Any] = {"places": np.log10(found.times).tolist(), "yours": found.bits.tolist()}
    if "bound" in checkpoint.derived:
        times, bits = checkpoint.derived["times"].numpy()[1:], checkpoint.derived["bound"].numpy()[1:]      # the first is L_0
        out["held_out"] = [interpolated(times, bits, place) if place >= times[0] else None for place in found.times.tolist()]
    points = maths.log_spaced(WEIGHTS, s.T)
    out["weight_places"] = points.double().log10().tolist()
    for form in FORMS:
        out[f"weight_{form}"] = maths.loss_weights(form, s)[points - 1].tolist()
    sigma_squared = maths.posterior_weights(points, points - 1, s)[2]
    out["weight_bound"] = maths.simple_weight(points, s, sigma_squared).tolist()
    return out


# The bound of one picture.


@dataclass(frozen=True)
class Curve:
    """The terms of one picture's bound in bits per dimension, from one noise."""

    times: np.ndarray        # of those that were computed, from 2 to T
    bits: np.ndarray         # L_{t-1} at them
    L_0: float
    L_T: float
    between: float           # the sum of L_{t-1} from t = 2 to T, estimated from those
    simple: float            # the mean of |eps - eps_theta|^2 per dimension over t = 1..T, estimated too


_kept: OrderedDict[tuple[Any, ...], tuple[Checkpoint, Curve]] = OrderedDict()     # touched on the inference executor alone


def curve(checkpoint: Checkpoint, x_0: Tensor, eps: Tensor, y: int | None) -> Curve:
    """The terms at TIMES times and at t = 1, all in one batch; between them log L is taken to be linear in log t."""
    import torch

    from .. import maths, sample

    s = sample.schedule(checkpoint)
    times = maths.log_spaced(TIMES, s.T).numpy()
    t = torch.from_numpy(np.concatenate([[1], times]))
    x_0, eps = (x.expand(len(t), -1, -1, -1) for x in (x_0, eps))
    _, said = predicted(checkpoint, x_0, eps, t, y, s)
    bits = maths.bits_per_dimension(maths.terms(x_0, eps, t, said.x_0, s), x_0).double().numpy()
    squared = (said.eps - eps).square().flatten(1).mean(1).double().numpy()
    every = np.arange(1, s.T + 1)
    return Curve(times, bits[1:], float(bits[0]), maths.bits_per_dimension(maths.prior_term(x_0[:1], s), x_0).item(),
                 float(interpolated(times, bits[1:], every[1:]).sum()), float(interpolated(t.numpy(), squared, every).mean()))


def predicted(checkpoint: Checkpoint, x_0: Tensor, eps: Tensor, t: Tensor, y: int | None, s: Schedule) -> tuple[Tensor, Forms]:
    """x_t, and what the model says about it, its x_0 clipped to [-1, 1] as sampling does; on the CPU."""
    import torch

    from .. import maths

    where = next(checkpoint.model.parameters()).device
    x_t = maths.q_sample(x_0, t, eps, s)
    told = None if y is None else torch.full((len(t),), y, device=where)
    raw = checkpoint.model(x_t.to(where), t.to(where), told).cpu()
    said = maths.forms(raw, checkpoint.model.config.prediction, x_t, t, s)
    return x_t, maths.forms(said.x_0.clamp(-1, 1), "x_0", x_t, t, s)


def interpolated(times: np.ndarray, values: np.ndarray, at: Any) -> Any:
    """Positive values between times, linear in the logarithms of both."""
    return np.exp(np.interp(np.log(at), np.log(times), np.log(np.maximum(values, 1e-30))))
