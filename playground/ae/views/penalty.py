"""What silence costs: sparse models alike but for the weight of their penalty, by their error and their active units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.i18n import both, t
from ...ui.state import Field
from .. import config
from . import Piece, Shared, drawing, pattern, shipped

if TYPE_CHECKING:
    from ...core.checkpoints import Checkpoint

STRONGEST = 12               # atoms shown: those that the visitor's picture is made of
SLIDER = "ae-penalty-at"

CHOSEN = """document.addEventListener("live:ae.penalty", ({ detail: { numbers } }) => {
  for (const canvas of element.querySelectorAll("canvas")) canvas.classList.toggle("chosen", Number(canvas.dataset.values) === numbers.at);
});"""

register({
    "ae.penalties": (
        "The models of this view ({names}) are not all here with their figures; their cards name the commands that train and measure them.",
        "此视图的模型（{names}）或其测量值不全；说明卡中有训练和测量它们的命令。",
    ),
})


def build(shared: Shared) -> Piece:
    count = len(config.PENALTIES)
    with gr.Column(elem_classes="section", elem_id="ae-penalty"):
        gr.HTML(parts.heading("ae.penalty", "ae.penalty.try"))
        with gr.Row():
            with gr.Column(scale=6, min_width=280):
                at = parts.Slider(0, count - 1, count // 2, step=1, label=t("ae.penalty.slider"), elem_id=SLIDER)
                gr.HTML(_choices(), js_on_load=CHOSEN, apply_default_css=False)
                gr.HTML(parts.numbers(("ae.penalty:error", "ae.penalty.error"), ("ae.penalty:active", "ae.wall.active"), ("ae.penalty:multiplications", "ae.penalty.multiplications")))
            with gr.Column(scale=4, min_width=280):
                gr.HTML(parts.lines("ae.penalty", {"errors": ("--model", "ae.penalty.test"), "training": ("--data", "ae.penalty.training")}, x="shares", at="share",
                                    dots=True, dashed=("training",), alt="ae.penalty.curve.alt"))
                gr.HTML(f'<p class="caption">{both("ae.penalty.axes")}</p>')
        everyone = live.View("ae.penalty.all", alt=both("ae.penalty.all"), tiles=count, elsewhere=True, lazy=True)
        gr.HTML(f'<p class="caption">{both("ae.penalty.atoms")}</p>')
        view = live.View("ae.penalty", alt=both("ae.penalty.alt"), tiles=STRONGEST, elem_classes="strip still", lazy=True,
                         captions=[parts.now(f"ae.penalty:h{i}") for i in range(STRONGEST)])
        parts.formula("ae.penalty.f", r"m=UP+\bar aUP\quad\text{instead of}\quad 2UP",
                      f"{_now('units')} · {_now('pixels')} · (1 + {_now('share')}) = {_now('multiplications')}, &nbsp; λ = {_now('penalty')}")
    view.follow(x=shared.picture, at=at)
    everyone.follow(x=shared.picture)
    live.register("ae.penalty", penalty_frame)
    live.register("ae.penalty.all", all_frame)
    return Piece([Field("weight", [at], lambda text: [_at(text)], default=str(count // 2))], [view, everyone])


def _now(key: str) -> str:
    return parts.now(f"ae.penalty:{key}")


def _choices() -> str:
    """What each place of the slider makes of the picture, under it; a click takes it."""
    names = "".join(f"<span>λ = {weight:g}</span>" for weight in config.PENALTIES)
    pictures = "".join(f'<canvas data-mirror="ae.penalty.all:{i}" data-slider="{SLIDER}" data-values="{i}" width="28" height="28"></canvas>' for i in range(len(config.PENALTIES)))
    return f'<div class="choices" style="--count: {len(config.PENALTIES)}" aria-hidden="true">{pictures}{names}</div>'


def _at(text: object) -> int:
    """A model's place on the slider."""
    return inputs.integer("place", inputs.parsed(text), 0, len(config.PENALTIES) - 1)


# ---- what the live views draw ----------------------------------------------------------------------------------


def models() -> list[Checkpoint]:
    """The models in the order of their penalties, all with the figures of their cards."""
    found = [shipped(name) for name in config.SNAPSHOTS.values()]
    if not all(each and "active_share" in each.config["metrics"] for each in found):
        raise PlaygroundError("ae.penalties", names=", ".join(config.SNAPSHOTS.values()))
    return found


def penalty_frame(query: Mapping[str, str]) -> live.Frame:
    """The atoms that the visitor's picture is mostly made of, with their share in it; the figures of the chosen model and the curve of all."""
    from .. import sample

    at, everyone = _at(query.get("at")), models()
    checkpoint, cards = everyone[at], [each.config["metrics"] for each in everyone]
    network, x = checkpoint.model, drawing(checkpoint, query.get("x"))
    [h] = sample.encode(checkpoint, x[None])
    strongest = h.topk(min(STRONGEST, len(h)))
    tiles = [pattern(network.atoms[unit].cpu().view(x.shape)) for unit in strongest.indices]
    tiles += [np.zeros_like(tiles[0])] * (STRONGEST - len(tiles))
    values = strongest.values.tolist()
    card = cards[at]
    by_share = sorted(cards, key=lambda each: each["active_share"])
    return live.Frame(images.beside(*tiles), {
        "at": at, "penalty": list(config.SNAPSHOTS)[at], "error": card["squared_error"], "share": card["active_share"],
        "active": f"{100 * card['active_share']:.1f} %", "units": network.config.units, "pixels": network.pixels,
        "multiplications": f"{card['multiplications'] / 1e6:.2f} M",
        "shares": [each["active_share"] for each in by_share], "errors": [each["squared_error"] for each in by_share],
        "training": [each["training_squared_error"] for each in by_share],
        **{f"h{i}": values[i] if i < len(values) else "" for i in range(STRONGEST)},
    })


def all_frame(query: Mapping[str, str]) -> live.Frame:
    """What each model makes of the visitor's picture, the penalty rising."""
    from .. import sample

    return live.Frame(images.beside(*(images.to_uint8(sample.look(each, drawing(each, query.get("x"))).x_hat) for each in models())))
