"""One dimension, with the optimum drawn in: two densities moved by hand or trained, the learnt D beside p/(p + q), and what an answer earns at a point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import inputs
from ...core.device import executor
from ...ui import live, parts, plane
from ...ui.cursor import cursor
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from . import Piece, Shared, needed

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = ("non-saturating", "minimax")       # config.PROBABLE, the one that trains first
EDGE = 6.0                   # toy.EDGE
SLICE = 0.12                 # seconds of training in a frame
SINGLES = 10                 # single updates in a frame, however fast one clicks
# name in the URL -> lowest, highest, where it stands when the tab opens, step
RANGES = {
    "mp": (-3.0, 3.0, -1.0, 0.01),       # of the real density: mean and standard deviation
    "sp": (0.3, 2.0, 0.7, 0.01),
    "mq": (-3.0, 3.0, 1.0, 0.01),        # of the generated one
    "sq": (0.3, 2.0, 1.0, 0.01),
    "at": (-5.0, 5.0, 0.3, 0.01),        # the point that is looked at
}
SLIDERS = {name: f"gan-line-{name}" for name in RANGES}
DRAWN = 121                  # places of the curves
ANSWERS = 99                 # answers y, from 0.01 to 0.99
LOWEST = -1.3863             # -2 log 2


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="gan-line"):
        gr.HTML(parts.heading("gan.line", "gan.line.try"))
        with gr.Row():
            with gr.Column(scale=6, min_width=280):
                gr.HTML(_charts(), js_on_load=None, apply_default_css=False)
                view = live.View("gan.line", alt=both("gan.line.alt"), elsewhere=True, lazy=True)
            with gr.Column(scale=5, min_width=280):
                with gr.Group(elem_classes="sliders"):
                    sliders = {name: parts.Slider(low, high, start, step=step, label=t(f"gan.line.{name}"), elem_id=SLIDERS[name]) for name, (low, high, start, step) in RANGES.items()}
                loss = parts.Radio([(t(f"gan.game.{name}"), name) for name in LOSSES], value=LOSSES[0], label=t("gan.line.loss"), elem_id="gan-line-loss")
                trainer = plane.Trainer("gan.line", elem_id="gan-line-trainer")
                gr.HTML(f'<p class="caption">{both("gan.line.now")} N({now("mean")}, {now("std")}²), {both("gan.line.gap")} {now("gap")}</p>')
                gr.HTML(f'<p class="caption">{both("gan.line.payoff")} x = {now("at")}: D*(x) = {now("star")}, D(x) = {now("learnt")}</p>' + parts.lines(
                    "gan.line", {"payoff": ("--code", "gan.line.payoff.curve")}, x="ys", at="star", first="y = 0", last="y = 1", alt="gan.line.payoff.alt"))
                gr.HTML(parts.numbers(("gan.line:value_text", "gan.line.value"), ("gan.line:best_text", "gan.line.best"), ("gan.line:js_text", "gan.line.js")))
        with gr.Column(elem_classes="formulas"):
            parts.formula("gan.line.f.value", r"V(D,G)=\underbrace{\int p_r\log D\,dx}_{\text{real}}+\underbrace{\int p_g\log(1-D)\,dx}_{\text{fake}}",
                          f'{now("log_real")} + ({now("log_fake")}) = {now("value_text")}')
            parts.formula("gan.line.f.optimal", r"D^{\ast}(x)=\frac{p_r(x)}{p_r(x)+p_g(x)}=\arg\max_y\left[p_r(x)\log y+p_g(x)\log(1-y)\right]",
                          f'{now("p_at")} / ({now("p_at")} + {now("q_at")}) = {now("star")}, &nbsp; {both("gan.line.earned")} {now("earned")} ({both("gan.line.earns")} {now("earns")})')
            parts.formula("gan.line.f.js", r"V(D^{\ast},G)=2\,D_{JS}(p_r\Vert p_g)-2\log2",
                          f'2 · {now("js_text")} − 1.3863 = {now("bound_text")}, &nbsp; V(D*, G) = {now("best_text")}')
            parts.formula("gan.line.f.vanishing", r"\mathbb E\left|\tfrac{\partial}{\partial x}\log(1-D)\right|=\mathbb E\left|D\,\ell'\right|,\quad \mathbb E\left|\tfrac{\partial}{\partial x}\log D\right|=\mathbb E\left|(1-D)\,\ell'\right|,\quad D=\sigma(\ell)",
                          f'{both("gan.game.minimax")}: {now("slope_minimax")}, &nbsp; {both("gan.game.non-saturating")}: {now("slope_other")}')
    view.follow(**sliders, loss=loss, play=trainer)
    live.register("gan.line", line_frame)
    gr.api(guarded(gan_line), api_name="gan_line")
    return Piece([*(Field(name, [slider], lambda text, name=name: [_read(name, text)], default=f"{RANGES[name][2]:g}") for name, slider in sliders.items()),
                  Field("line", [loss], lambda text: [inputs.choice("loss", text, LOSSES)], default=LOSSES[0])], [view])


def now(key: str) -> str:
    return parts.now(f"gan.line:{key}")


def _charts() -> str:
    """The densities above, D and D* below, each with a line at the point that is looked at, which the pointer moves."""
    densities = parts.lines("gan.line", {"p": ("--data", "gan.line.p"), "q": ("--model", "gan.line.q")}, x="x", at="at", low=0, first=f"x = −{EDGE:g}", last=f"x = {EDGE:g}", alt="gan.line.densities")
    answers = parts.lines("gan.line", {"d": ("--code", "gan.line.d"), "d_star": ("--ink", "gan.line.d_star")}, x="x", at="at", low=0, high=1, dashed=("d_star",),
                          first=f"x = −{EDGE:g}", last=f"x = {EDGE:g}", alt="gan.line.answers")
    over = lambda name: cursor("", (SLIDERS["at"],), "gan.line", at="places_at", places="places", alt="gan.line.cursor", name=name)        # noqa: E731
    return f'<div class="pointed">{over("densities")}{densities}</div><div class="pointed">{over("answers")}{answers}</div>'


def _read(name: str, value: object) -> float:
    low, high, *_ = RANGES[name]
    return inputs.within(name, inputs.parsed(value), low, high)


# ---- what the live view draws ----------------------------------------------------------------------------------


def line_frame(query: Mapping[str, str]) -> live.Frame:
    """Let D follow the densities, or both play for a moment; the densities, D and D*, the terms of V, and what answers earn at a point."""
    from .. import toy as toys

    values = {name: _read(name, query.get(name)) for name in RANGES}
    loss, drive = inputs.choice("loss", query.get("loss"), LOSSES), plane.drive(needed(query, "play"))
    game = toys.line_game(drive.owner, (values["mp"], values["sp"]), (values["mq"], values["sq"]), loss, drive.again)
    for _ in range(min(SINGLES, drive.until - game.step)):
        game.advance(0)
    if drive.playing:
        game.advance(SLICE)
    rests = game.settle(0 if drive.playing else SLICE)
    return live.Frame(np.zeros((1, 1), np.uint8), {
        **_numbers(game, values["at"]), "step": game.step, "done": game.done, "more": drive.playing and not game.done or not rests,
    })


def _numbers(game: Any, at: float) -> dict[str, Any]:
    import torch

    from .. import maths
    from .. import toy as toys

    x = toys.line()
    p, q = game.densities(x)
    logits, star = game.logits(x), maths.optimal_logit(p, q)
    log_real, log_fake = (each.item() for each in maths.value_on_grid(logits, p, q, x))
    best = sum(each.item() for each in maths.value_on_grid(star, p, q, x))
    js = maths.jensen_shannon_on_grid(p, q, x).item()
    drawn = torch.linspace(-EDGE, EDGE, DRAWN, dtype=torch.float64)
    p_drawn, q_drawn = game.densities(drawn)
    point = torch.tensor([at], dtype=torch.float64)
    p_at, q_at = (each[0] for each in game.densities(point))
    learnt, star_at = game.logits(point).sigmoid()[0], maths.optimal(p_at, q_at)
    y = torch.linspace(0.01, 0.99, ANSWERS, dtype=torch.float64)
    slopes = game.slopes()
    return {
        "x": short(drawn), "p": short(p_drawn), "q": short(q_drawn), "d": short(game.logits(drawn).sigmoid()), "d_star": short(maths.optimal(p_drawn, q_drawn)),
        "at": at, "places_at": [at], "places": [-EDGE / 2, EDGE / 2], "ys": short(y), "payoff": maths.payoff(y, p_at, q_at).tolist(), "star": star_at.item(),
        "learnt": learnt.item(), "p_at": p_at.item(), "q_at": q_at.item(), "earned": maths.payoff(star_at, p_at, q_at).item(), "earns": maths.payoff(learnt, p_at, q_at).item(),
        "log_real": log_real, "log_fake": log_fake, "value": log_real + log_fake, "best": best, "js": js, "bound": 2 * js + maths.LOWEST,
        **{f"{name}_text": f"{value:.4f}".replace("-", "−") for name, value in (("value", log_real + log_fake), ("best", best), ("js", js), ("bound", 2 * js + maths.LOWEST))},
        "mean": game.generated()[0], "std": game.generated()[1], "gap": game.gap(), "slope_minimax": slopes["minimax"], "slope_other": slopes["non-saturating"],
    }


def short(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.tolist()]


# The same for programs.


def gan_line(p_mean: float, p_std: float, q_mean: float, q_std: float, x: float) -> dict:
    """The game's optimum for a real density N(p_mean, p_std^2) and a generated one N(q_mean, q_std^2). Means: -3 to 3; stds: 0.3 to 2; x: -5 to 5.

    Returns {"js": the Jensen-Shannon divergence in nats, "value": V(D*, G) by quadrature, "bound": 2 js - 2 log 2, "star": D*(x)}.
    """
    values = {name: inputs.within(name, value, *RANGES[name][:2]) for name, value in zip(RANGES, (p_mean, p_std, q_mean, q_std, x))}

    def optimum() -> dict[str, float]:
        import torch

        from .. import maths
        from .. import toy as toys

        places, point = toys.line(), torch.tensor(values["at"], dtype=torch.float64)
        p, q = (lambda at: maths.normal(at, values["mp"], values["sp"])), (lambda at: maths.normal(at, values["mq"], values["sq"]))
        js = maths.jensen_shannon_on_grid(p(places), q(places), places).item()
        value = sum(each.item() for each in maths.value_on_grid(maths.optimal_logit(p(places), q(places)), p(places), q(places), places))
        return {"js": js, "value": value, "bound": 2 * js + maths.LOWEST, "star": maths.optimal(p(point), q(point)).item()}

    return executor.run(optimum)
