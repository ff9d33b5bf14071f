"""What the units of a hidden layer look for: their filters, what excites one most, and a picture without it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...ui import live, parts
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from .. import config
from . import Piece, Shared, drawing, examples, model, number, pattern, standing

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

TILES = 32                   # filters in sight
PAGES = 64                   # of the slider: as many as the largest layer that the page trains fills
EXCITING = 16                # pictures that excite a unit most


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="ae-wall"):
        gr.HTML(parts.heading("ae.wall", "ae.wall.try"))
        with gr.Row(elem_classes="halves"):
            page = parts.Slider(1, PAGES, 1, step=1, label=t("ae.wall.page"), elem_id="ae-page")
            gr.HTML(parts.numbers(("ae.wall:pages", "ae.wall.pages"), ("ae.wall:active", "ae.wall.active"), ("ae.wall:dead", "ae.wall.dead")))
        wall = live.View("ae.wall", alt=both("ae.wall.alt"), tiles=TILES, elem_classes="strip", lazy=True,
                         captions=[parts.now(f"ae.wall:mean{i}") for i in range(TILES)],
                         picks=[both("ae.wall.pick", i=i + 1, n=TILES) for i in range(TILES)])
        gr.HTML(f'<p class="caption">{both("ae.wall.means")}</p>')
        unit = gr.Number(-1, visible=False, precision=0)     # the chosen one's place in the order of the wall; -1: the picture's strongest
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                chosen = live.View("ae.unit", alt=both("ae.unit.alt"), tiles=4, lazy=True,
                                   captions=(both("ae.unit.filter"), both("ae.unit.with"), both("ae.unit.without"), both("ae.unit.difference")))
                gr.HTML(parts.numbers(("ae.unit:now", "ae.unit.now"), ("ae.unit:mean", "ae.unit.mean"), ("ae.unit:cost", "ae.unit.cost")))
            with gr.Column(scale=4, min_width=280):
                gr.HTML(f'<p class="caption">{both("ae.unit.exciting")}</p>')
                exciting = live.View("ae.exciting", alt=both("ae.unit.exciting"), tiles=EXCITING, elem_classes="strip eight still", lazy=True)
        parts.formula("ae.wall.f", r"x^{\ast}=\arg\max_{\lVert x\rVert\le1}W_jx=\frac{W_j}{\lVert W_j\rVert}",
                      f"j = {parts.now('ae.unit:unit')}, &nbsp; ‖W<sub>j</sub>‖ = {parts.now('ae.unit:norm')}, &nbsp; W<sub>j</sub>x = {parts.now('ae.unit:projection')}")
    wall.follow(checkpoint=shared.checkpoint, leaf=page)                  # "page" is what a browser's page is called
    chosen.follow(checkpoint=shared.checkpoint, x=shared.picture, unit=unit)
    exciting.follow(checkpoint=shared.checkpoint, x=shared.picture, unit=unit)
    live.register("ae.wall", wall_frame)
    live.register("ae.unit", unit_frame)
    live.register("ae.exciting", exciting_frame)
    wall.pick(None, [page, wall], unit, js=f"(page, tile) => {TILES} * (page - 1) + tile", **SCRIPT)
    return Piece([
        Field("page", [page], lambda text: [inputs.integer("page", inputs.parsed(text), 1, PAGES)], default="1"),
        Field("unit", [unit], lambda text: [inputs.integer("unit", inputs.parsed(text), -1, PAGES * TILES - 1)], default="-1"),
    ], [wall, chosen, exciting])


# ---- what the live views draw ----------------------------------------------------------------------------------


def layer(query: Mapping[str, str]) -> Checkpoint:
    """The chosen model if it has one hidden layer, else the shipped sparse one."""
    chosen = model(query)
    return chosen if chosen.model.config.network != "deep" else standing(config.SPARSE, "sparse")


def order(checkpoint: Checkpoint) -> Tensor:
    """The units as they stand on the wall, (U,) int64: by their mean activation, the largest first."""
    return checkpoint.derived["average"].argsort(descending=True, stable=True)


def wall_frame(query: Mapping[str, str]) -> live.Frame:
    """TILES filters of a page, with their mean activations; a page beyond the last one is the last one."""
    checkpoint = layer(query)
    units, network = order(checkpoint), checkpoint.model
    pages = -(-len(units) // TILES)
    page = min(pages, inputs.integer("page", inputs.parsed(query.get("leaf")), 1, PAGES))
    shown = units[TILES * (page - 1):TILES * page]
    tiles = [pattern(network.weight[unit].cpu().view(network.shape)) for unit in shown]
    tiles += [np.zeros((*network.shape[1:], 3), np.uint8)] * (TILES - len(tiles))
    means = checkpoint.derived["average"][shown].tolist()
    share, dead = activity(checkpoint)
    return live.Frame(images.beside(*tiles), {
        "page": page, "pages": f"{page} / {pages}", "active": f"{100 * share:.1f} %", "dead": f"{dead} / {len(units)}",
        **{f"mean{i}": means[i] if i < len(means) else "" for i in range(TILES)},
    })


def _unit(checkpoint: Checkpoint, query: Mapping[str, str], x: Tensor) -> int:
    """The chosen unit, or that which the picture x excites most; a place beyond a smaller layer is its last."""
    from .. import sample

    units, place = order(checkpoint), number(query, "unit", -1, PAGES * TILES - 1)
    return int(sample.encode(checkpoint, x[None])[0].argmax() if place < 0 else units[min(len(units) - 1, place)])


def unit_frame(query: Mapping[str, str]) -> live.Frame:
    """A unit's filter, the visitor's picture restored with it and without it, and the difference."""
    from .. import maths, sample

    checkpoint = layer(query)
    network, x = checkpoint.model, drawing(checkpoint, query.get("x"))
    unit = _unit(checkpoint, query, x)
    [h] = sample.encode(checkpoint, x[None])
    silenced = h.clone()
    silenced[unit] = 0
    before, after = sample.decode(checkpoint, h[None])[0], sample.decode(checkpoint, silenced[None])[0]
    weight = network.weight[unit].cpu()
    return live.Frame(images.beside(pattern(weight.view(x.shape)), images.to_uint8(before), images.to_uint8(after), images.signed(after - before)), {
        "unit": unit, "now": h[unit].item(), "mean": checkpoint.derived["average"][unit].item(), "norm": weight.norm().item(),
        "projection": (weight @ x.flatten()).item(), "cost": (maths.squared_error(after, x) - maths.squared_error(before, x)).item(),
    })


def exciting_frame(query: Mapping[str, str]) -> live.Frame:
    """The EXCITING pictures that excite a unit most, the strongest first."""
    checkpoint = layer(query)
    x, h = pool(checkpoint)
    excites = h[:, _unit(checkpoint, query, drawing(checkpoint, query.get("x")))]
    best = excites.topk(min(EXCITING, len(x)))
    tiles = [images.to_rgb(x[i].float() / 255) for i in best.indices]
    tiles += [np.zeros_like(tiles[0])] * (EXCITING - len(tiles))
    return live.Frame(images.beside(*tiles), {"largest": best.values[0].item()})


# ---- what they stand on ----------------------------------------------------------------------------------------

_pools: WeakKeyDictionary[Any, Tensor] = WeakKeyDictionary()     # network -> codes of its pool; touched on the inference executor alone


def pool(checkpoint: Checkpoint) -> tuple[Tensor, Tensor]:
    """Pictures that anyone has, uint8 (N, C, H, W), and their codes (N, U): drawn digits, or what the checkpoint carries."""
    from .. import sample

    x = (255 * examples.pictures(checkpoint)).round().byte() if examples.kept(checkpoint) or not _digits(checkpoint) else drawn()
    if checkpoint.model not in _pools:
        _pools[checkpoint.model] = sample.encode(checkpoint, x.float() / 255)
    return x, _pools[checkpoint.model]


def _digits(checkpoint: Checkpoint) -> bool:
    return checkpoint.model.shape == (1, 28, 28)


@cache
def drawn() -> Tensor:
    """The built-in set's test digits, uint8 (N, 1, 28, 28)."""
    from ...core import datasets

    return datasets.load("glyphs", "test").images


def activity(checkpoint: Checkpoint) -> tuple[float, int]:
    """Mean share of active units, and how many are never active: of the card, else as the pool has it."""
    from .. import maths

    card, dead = checkpoint.config["metrics"], int((checkpoint.derived["largest"] <= 0).sum())
    if "active_share" in card:
        return card["active_share"], card["dead_units"]
    return maths.active(pool(checkpoint)[1], checkpoint.derived["largest"]).float().mean().item(), dead
