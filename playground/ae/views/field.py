"""Where the autoencoder pushes you: a denoising autoencoder of points, trained here and now, and its field r(x) - x beside the exact one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...ui import live, parts, plane
from ...ui.i18n import both, t
from ...ui.plane import Layer
from ...ui.state import Field, restore_drawing
from . import Piece, Shared

if TYPE_CHECKING:
    from torch import Tensor

SETS = ("ring", "gaussians", "moons", "drawing")             # toy.SETS: the page is built without torch
SIGMA = (0.05, 1.0)          # toy.SIGMA
START = 0.3                  # of sigma when the tab opens: the modes of the ring are still apart
SLICE, QUICK = 0.12, 0.02    # seconds of training in a frame, and in one of a sigma that is being dragged
SINGLES = 10                 # single updates in a frame, however fast one clicks
STEPS = 20                   # times x <- r(x), at most
AFTER = 3                    # so many when the tab opens
PARTICLES, PATHS = 80, 20    # dropped, and those whose way is drawn
DATA = 240                   # points of the data
NEAR = 0.15                  # from a point of the data, at which a particle has arrived
GRID, REACH = 11, 2.75       # arrows on a side, and where the last one begins
CELL = 2 * REACH / (GRID - 1)
TYPICAL = 0.5                # an arrow that long is drawn half as long as it may be
DROPPED = 7                  # seed of the particles' first places
LAYERS = (
    Layer("points", "data", "--data", "ae.field.data", size=1.6, alpha=0.5),
    Layer("arrows", "exact", "--data", "ae.field.exact", at="grid", size=2.4, alpha=0.4),
    Layer("arrows", "learnt", "--model", "ae.field.learnt", at="grid", size=1.1),
    Layer("paths", "paths", "--model", "ae.field.paths", size=1.0, alpha=0.5),
    Layer("points", "particles", "--model", "ae.field.particles", size=2.3, alpha=0.9),
)


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="ae-field"):
        gr.HTML(parts.heading("ae.field", "ae.field.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                gr.HTML(plane.plane("ae.field", LAYERS, alt="ae.field.alt"), js_on_load=None, apply_default_css=False)
                view = live.View("ae.field", alt=both("ae.field.alt"), elsewhere=True, lazy=True)
            with gr.Column(scale=4, min_width=280):
                dataset = parts.Radio([(t(f"ae.field.set.{name}"), name) for name in SETS], value=SETS[0], label=t("ae.field.set"), elem_id="ae-set")
                trainer = plane.Trainer("ae.field", elem_id="ae-trainer")
                sigma = parts.Slider(*SIGMA, START, step=0.01, label=t("ae.field.sigma"), elem_id="ae-sigma")
                steps = parts.Slider(0, STEPS, AFTER, step=1, label=t("ae.field.steps"), elem_id="ae-steps")
                gr.HTML(parts.numbers(("ae.field:step", "ae.field.updates"), ("ae.field:cosine", "ae.field.cosine"), ("ae.field:near", "ae.field.near")))
                gr.HTML(f'<p class="caption">{both("ae.field.draw")}</p>')
                pad = parts.Pad(alt=both("ae.field.pad"), elem_id="ae-field-pad")
        with gr.Column(elem_classes="formulas"):
            parts.formula("ae.field.f", r"r_\sigma^{\ast}(x)-x=\sigma^2\,\nabla\log p_\sigma(x),\qquad p_\sigma=p\ast\mathcal N(0,\sigma^2I)",
                          f"σ² = {_now('variance')}, &nbsp; {both('ae.field.mean')}: ‖r(x) − x‖ = {_now('length')}, σ²‖∇ log p<sub>σ</sub>‖ = {_now('length_exact')}")
    view.follow(set=dataset, sigma=sigma, steps=steps, ink=pad, play=trainer)
    live.register("ae.field", field_frame)
    return Piece([
        Field("set", [dataset], lambda text: [inputs.choice("set", text, SETS)], default=SETS[0]),
        Field("sigma", [sigma], lambda text: [inputs.within("sigma", inputs.parsed(text), *SIGMA)], default=f"{START:g}"),
        Field("steps", [steps], lambda text: [inputs.integer("steps", inputs.parsed(text), 0, STEPS)], default=str(AFTER)),
        Field("ink", [pad], restore_drawing, default=""),
    ], [view])


def _now(key: str) -> str:
    return parts.now(f"ae.field:{key}")


def field_frame(query: Mapping[str, str]) -> live.Frame:
    """Train the page's field for a moment if it plays; then its arrows at sigma beside the exact ones, and where particles have come to.

    The exact field is None where the data are no mixture of Gaussians. An empty pad stands for a drawn digit.
    """
    import torch

    from .. import maths
    from .. import toy as toys

    name = inputs.choice("set", query.get("set"), SETS)
    sigma = inputs.within("sigma", inputs.parsed(query.get("sigma")), *SIGMA)
    steps = inputs.integer("steps", inputs.parsed(query.get("steps")), 0, STEPS)
    ink = query.get("ink") or images.digit(3)
    images.unpack_drawing(ink)                                # refuses what is none
    ink = ink if name == "drawing" else ""
    drive = plane.drive(query.get("play"))
    toy = toys.toy(drive.owner, name, ink, drive.again)
    for _ in range(min(SINGLES, drive.until - toy.step)):
        toy.advance(0)
    if drive.playing:
        toy.advance(SLICE if toy.at == (sigma, steps) else QUICK)
    toy.at = (sigma, steps)

    grid, known = _grid(), toys.mixture(name, ink)
    learnt = toy.repair(grid, sigma) - grid
    exact = None if known is None else maths.best_repair(grid, known[0], known[1] ** 2, sigma) - grid
    way = torch.stack(toy.walk(_dropped(), sigma, steps), dim=1)                           # (PARTICLES, steps + 1, 2)
    data = toys.points(name, ink, DATA, 0, toys.UNSEEN)
    x = toys.noised(name, ink, sigma)
    return live.Frame(np.zeros((1, 1), np.uint8), {
        "step": toy.step, "loss": toy.loss, "done": toy.done, "more": drive.playing and not toy.done, "sigma": sigma, "variance": sigma**2,
        "cosine": toy.cosine(sigma), "near": f"{100 * (torch.cdist(way[:, -1], data).amin(1) < NEAR).float().mean().item():.0f} %",
        "length": (toy.repair(x, sigma) - x).norm(dim=1).mean().item(),
        "length_exact": None if known is None else (maths.best_repair(x, known[0], known[1] ** 2, sigma) - x).norm(dim=1).mean().item(),
        "data": _flat(data), "grid": _flat(grid), "learnt": _flat(_arrows(learnt)), "exact": None if exact is None else _flat(_arrows(exact)),
        "particles": _flat(way[:, -1]), "paths": [_flat(path) for path in way[:PATHS]] if steps else [],
    })


@cache
def _grid() -> Tensor:
    """Where the arrows begin, (GRID^2, 2)."""
    import torch

    line = torch.linspace(-REACH, REACH, GRID)
    return torch.cartesian_prod(line, line)


@cache
def _dropped() -> Tensor:
    """Where the particles are dropped, (PARTICLES, 2), evenly over the plane."""
    import torch

    return REACH * (2 * torch.rand(PARTICLES, 2, generator=torch.Generator().manual_seed(DROPPED)) - 1)


def _arrows(push: Tensor) -> Tensor:
    """Displacements (N, 2) as arrows that fit their cells: directions as they are, lengths compressed."""
    return 0.85 * CELL * push / (push.norm(dim=1, keepdim=True) + TYPICAL)


def _flat(points: Tensor) -> Sequence[float]:
    """(N, 2) as x, y, x, y, ... to a hundredth, far outside the plane cut off: a frame's numbers travel in a header."""
    return [round(value, 2) for value in points.clamp(-9.99, 9.99).flatten().tolist()]
