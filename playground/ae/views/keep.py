"""A digit from few units: the strongest ones of a sparse code, added one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both
from ...ui.state import Field
from . import Piece, Shared, drawing, pattern, sparse

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

BARS = 96                    # units drawn, the strongest first
STEPS = 400                  # units that the player can add, at most
LIT, DARK = "d55e00", "8a94a3"       # of the bars: kept (the model's colour), and not


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="ae-keep"):
        gr.HTML(parts.heading("ae.keep", "ae.keep.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                player = parts.Player("ae.keep", alt=both("ae.keep.player"), elem_id="ae-keep-player")
                gr.HTML('<canvas class="plot wide" data-tinted="ae.keep:values±colours" role="img" aria-labelledby="ae-keep-bars"></canvas>'
                        f'<p class="caption" id="ae-keep-bars">{both("ae.keep.bars")}</p>', js_on_load=None, apply_default_css=False)
                gr.HTML(parts.lines("ae.keep", {"errors": ("--model", "ae.keep.curve")}, x="counts", at="kept", low=0, first="0", alt="ae.keep.curve.alt"))
            with gr.Column(scale=5, min_width=280):
                view = live.View("ae.keep", alt=both("ae.keep.alt"), tiles=4, lazy=True,
                                 captions=(both("ae.x"), both("ae.keep.so_far"), both("ae.keep.left"), both("ae.keep.atom")))
                gr.HTML(parts.numbers(("ae.keep:error", "ae.row.error"), ("ae.keep:l1", "ae.keep.l1"), ("ae.keep:energy", "ae.keep.energy")))
        parts.formula("ae.keep.f", r"\lVert x-\hat x\rVert^2+\lambda\lVert h\rVert_1,\qquad \hat x=c+\sum_{j}h_j\,a_j,\quad \lVert a_j\rVert=1",
                      f"‖h‖<sub>0</sub> = {_now('kept')}, &nbsp; {_now('error')} + {_now('penalty')} · {_now('l1')} = {_now('loss')}")
    view.follow(checkpoint=shared.checkpoint, x=shared.picture, k=player)
    live.register("ae.keep", keep_frame)
    gr.api(guarded(ae_keep), api_name="ae_keep")
    return Piece([Field("k", [player], lambda text: [inputs.integer("step", inputs.parsed(text), -1, STEPS)], default="-1")], [view])


def _now(key: str) -> str:
    return parts.now(f"ae.keep:{key}")


def keep_frame(query: Mapping[str, str]) -> live.Frame:
    """The picture from the k + 1 strongest units of its code, what is left to explain, and the atom added last; k = -1: all there are."""
    checkpoint = sparse(query)
    return _frame(checkpoint, drawing(checkpoint, query.get("x")), inputs.integer("step", inputs.parsed(query.get("k", "-1")), -1, STEPS))


def _frame(checkpoint: Checkpoint, x: Tensor, k: int) -> live.Frame:
    import torch

    from .. import maths, sample

    network, made = checkpoint.model, checkpoint.config["train"]
    [h] = sample.encode(checkpoint, x[None])
    order = h.argsort(descending=True, stable=True)
    total = max(1, min(STEPS, int(maths.active(h, checkpoint.derived["largest"]).sum())))
    kept = total if k < 0 or k >= total else k + 1
    codes = torch.zeros(total + 1, len(h))                    # row n holds the n strongest
    for n in range(1, total + 1):
        codes[n] = codes[n - 1]
        codes[n, order[n - 1]] = h[order[n - 1]]
    pictures = sample.decode(checkpoint, codes)
    errors = maths.squared_error(pictures, x)
    atom = network.atoms[order[kept - 1]].cpu().view(x.shape)
    error, l1 = errors[kept].item(), maths.l1(codes[kept]).item()
    weight = made["penalty"] if made["sparsity"] == "l1" else 0.0
    return live.Frame(images.beside(images.to_uint8(x), images.to_uint8(pictures[kept]), images.signed(x - pictures[kept]), pattern(atom)), {
        "k": kept - 1, "total": total, "kept": kept, "counts": list(range(total + 1)), "errors": errors.tolist(),
        "values": h[order[:BARS]].tolist(), "colours": [LIT if i < kept else DARK for i in range(min(BARS, len(h)))],
        "error": error, "l1": l1, "energy": f"{100 * (codes[kept].square().sum() / h.square().sum().clamp(min=1e-12)).item():.0f} %",
        "penalty": weight, "loss": error + weight * l1, "unit": int(order[kept - 1]),
    })


def ae_keep(checkpoint: str, drawing: str, k: int) -> dict:
    """Rebuild a drawing from the k strongest units of its sparse code, k from 1 on; a model that is not sparse gives way to the shipped one.

    drawing: 56x56 pixels of one bit, row by row, as URL-safe base64 (523 characters). Returns {"picture": x, x_hat, what is left and the atom added last side
    by side as a data URI, "kept", "error": squared, summed over pixels, "l1": of the kept units, "energy": their share of the code's, "errors": for 0, 1, ... units}.
    """
    frame = executor.run(keep_frame, {"checkpoint": checkpoint, "x": drawing, "k": inputs.integer("k", k, 1, STEPS + 1) - 1})
    return {"picture": live.data_uri(frame.picture), **{name: frame.numbers[name] for name in ("kept", "error", "l1", "energy", "errors")}}
