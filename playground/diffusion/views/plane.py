"""In two dimensions: a denoiser of points, trained here and now, its samples and its score beside what is exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import inputs
from ...ui import live, parts, plane
from ...ui.i18n import both, t
from ...ui.plane import Layer
from ...ui.state import Field
from . import Piece, Shared

if TYPE_CHECKING:
    from torch import Tensor

SETS = ("ring", "gaussians", "moons", "spirals", "checkerboard")     # procedural.POINTS; of the first two all is known
T = 100                      # toy.T: the page is built without torch
START = 10                   # where t stands when the tab opens: the samples have all but arrived, the score still has a say
SLICE = 0.12                 # seconds of training in a frame
QUICK = 0.02                 # and in one of a time that is being dragged
SINGLES = 10                 # single updates in a frame, however fast one clicks
PATHS = 12                   # trajectories drawn
GRID, REACH = 11, 2.75       # arrows on a side, and where the last one begins
CELL = 2 * REACH / (GRID - 1)
ERROR_LOW, ERROR_HIGH = 0.01, 100.0          # of the curves' axis
TYPICAL = 2**0.5             # length of noise in two dimensions: an arrow that long is drawn half as long as it may be


LAYERS = (
    Layer("points", "data", "--data", "diffusion.plane.data", size=1.6, alpha=0.5),
    Layer("paths", "paths", "--model", "diffusion.plane.paths", size=1.2, alpha=0.55),
    Layer("arrows", "exact", "--data", "diffusion.plane.exact", at="grid", size=2.4, alpha=0.4),
    Layer("arrows", "learnt", "--model", "diffusion.plane.learnt", at="grid", size=1.1),
    Layer("points", "samples", "--model", "diffusion.plane.samples", size=2.1, alpha=0.9),
)


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-plane"):
        gr.HTML(parts.heading("diffusion.plane", "diffusion.plane.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                gr.HTML(plane.plane("diffusion.plane", LAYERS, alt="diffusion.plane.alt"), js_on_load=None, apply_default_css=False)
                view = live.View("diffusion.plane", alt=both("diffusion.plane.alt"), elsewhere=True, lazy=True)
            with gr.Column(scale=4, min_width=280):
                dataset = parts.Radio([(t(f"diffusion.plane.set.{name}"), name) for name in SETS], value=SETS[0],
                                      label=t("diffusion.plane.set"), elem_id="diffusion-set")
                trainer = plane.Trainer("diffusion.plane", elem_id="diffusion-trainer")
                with gr.Column(elem_classes="axis"):
                    time = parts.Slider(0, T, START, step=1, label=t("diffusion.plane.t"), elem_id="diffusion-pt")
                    gr.HTML(f'<p class="ends caption"><span>{both("diffusion.plane.left")}</span><span>{both("diffusion.plane.right")}</span></p>')
                gr.HTML(parts.numbers(("diffusion.plane:step", "diffusion.plane.step"), ("diffusion.plane:error", "diffusion.plane.error"),
                                      ("diffusion.plane:share", "diffusion.plane.share")))
                gr.HTML(parts.lines("diffusion.plane", {
                    "errors": ("--model", "diffusion.plane.errors"), "sizes": ("--data", "diffusion.plane.sizes")},
                    x="times", at="mark", low=ERROR_LOW, high=ERROR_HIGH, log=True, dashed=["sizes"], first="t = 1", last=f"t = {T}",
                    alt="diffusion.plane.errors"), elem_classes="exact")
                gr.HTML(f'<p class="caption">{both("diffusion.plane.known")}</p>')
        with gr.Column(elem_classes="formulas"):
            now = lambda key: parts.now(f"diffusion.plane:{key}")                # noqa: E731
            parts.formula("diffusion.plane.loss", r"L=\mathbb E\,\lVert v-v_\theta(x_t,t)\rVert^2,\quad "
                          r"v=\sqrt{\bar\alpha_t}\,\epsilon-\sqrt{1-\bar\alpha_t}\,x_0", f'{both("diffusion.plane.batch")} L = {now("loss")}')
            parts.formula("diffusion.plane.says", r"s_\theta(x_t,t)=-\frac{\epsilon_\theta(x_t,t)}{\sqrt{1-\bar\alpha_t}},\quad "
                          r"\epsilon_\theta=\sqrt{1-\bar\alpha_t}\,x_t+\sqrt{\bar\alpha_t}\,v_\theta",
                          f'√(1 − ᾱ<sub>{now("t")}</sub>) = {now("b")}, &nbsp; √ᾱ<sub>{now("t")}</sub> = {now("a")}')
            parts.formula("diffusion.plane.score", r"\begin{aligned}\nabla\log q(x_t)&=\sum_k w_k(x_t)\,\frac{\sqrt{\bar\alpha_t}\,m_k-x_t}"
                          r"{\bar\alpha_t\sigma^2+1-\bar\alpha_t}\\ w_k(x_t)&\propto\exp\Big({-\tfrac{\lVert x_t-\sqrt{\bar\alpha_t}\,m_k\rVert^2}"
                          r"{2(\bar\alpha_t\sigma^2+1-\bar\alpha_t)}}\Big)\end{aligned}",
                          f'ᾱ<sub>{now("t")}</sub>σ² + 1 − ᾱ<sub>{now("t")}</sub> = {now("variance")}')
    view.follow(set=dataset, pt=time, play=trainer)
    live.register("diffusion.plane", plane_frame)
    return Piece([
        Field("set", [dataset], lambda text: [inputs.choice("set", text, SETS)], default=SETS[0]),
        Field("pt", [time], lambda text: [inputs.integer("t", inputs.parsed(text), 0, T)], default=str(START)),
    ], [view])


def plane_frame(query: Mapping[str, str]) -> live.Frame:
    """Train the page's toy for a moment if it plays; then what it has learnt, at time t, beside the data and the exact score.

    A score has no meaning at t = 0, where no noise is left: error, arrows and `exact` are None there, and `exact` wherever
    the density is no mixture of Gaussians.
    """
    from .. import toy as toys

    name, at = inputs.choice("set", query.get("set"), SETS), inputs.integer("t", inputs.parsed(query.get("pt")), 0, T)
    drive = plane.drive(query.get("play"))
    toy, s = toys.toy(drive.owner, name, drive.again), toys.schedule()
    for _ in range(min(SINGLES, drive.until - toy.step)):
        toy.advance(0)
    if drive.playing:
        toy.advance(SLICE if at == toy.at else QUICK)
    toy.at = at

    alpha_bar, mixture = s.alpha_bar[at].item(), toys.exact(name)
    learnt = exact = None
    if at:
        learnt = _flat(_arrows(toy.forms(_grid(), at).score, alpha_bar))
        exact = mixture and _flat(_arrows(mixture.noised(alpha_bar).score(_grid()), alpha_bar))
    share = toy.share()
    return live.Frame(np.zeros((1, 1), np.uint8), {
        "t": at, "step": toy.step, "loss": toy.loss, "done": toy.done, "more": drive.playing and not toy.done,
        "error": toy.score_error(at) if at else None, "share": None if share is None else f"{100 * share:.0f} %",
        "mark": at or None, "times": toys.TIMES, "errors": _from(ERROR_LOW, toy.score_errors()), "sizes": toys.score_sizes(name),
        "a": alpha_bar**0.5, "b": (1 - alpha_bar)**0.5, "variance": mixture and mixture.noised(alpha_bar).variances[0].item(),
        "data": _flat(toys.noised(name, at)), "samples": _flat(toy.samples(at)), "paths": _paths(toy, at),
        "grid": _flat(_grid()), "learnt": learnt, "exact": exact,
    })


def _from(low: float, values: Sequence[float] | None) -> list[float | None] | None:
    """Those below the axis are left out of a curve."""
    return values and [value if value >= low else None for value in values]


@cache
def _grid() -> Tensor:
    """Where the arrows begin, (GRID^2, 2)."""
    import torch

    line = torch.linspace(-REACH, REACH, GRID)
    return torch.cartesian_prod(line, line)


def _arrows(score: Tensor, alpha_bar: float) -> Tensor:
    """Scores (N, 2) as arrows that fit their cells: directions as they are, lengths of the noise -eps they mean, compressed."""
    eps = (1 - alpha_bar)**0.5 * score
    return 0.85 * CELL * eps / (eps.norm(dim=1, keepdim=True) + TYPICAL)


def _paths(toy: Any, t: int) -> list[list[float]]:
    """The way of the first PATHS samples from T down to t."""
    import torch

    from .. import toy as toys

    states = [x[:PATHS] for x, time in zip(toy.chain(), toys.walk()) if time > t]
    return [_flat(path) for path in torch.stack([*states, toy.samples(t)[:PATHS]], dim=1)]


def _flat(points: Tensor) -> Sequence[float]:
    """(N, 2) as x, y, x, y, ... to a hundredth: a frame's numbers travel in a header."""
    return [round(value, 2) for value in points.flatten().tolist()]
