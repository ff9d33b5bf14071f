"""Corrupt a picture and let an autoencoder repair it, by kind and amount of the corruption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from .. import config
from . import Piece, Shared, drawing, fits, judged, model, shipped

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

KINDS = config.CORRUPTED
START = 0.4                  # of the amount: a digit can still be read
POINTS = 21                  # amounts of the curves, 0 to 1


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="ae-repair"):
        gr.HTML(parts.heading("ae.repair", "ae.repair.try"))
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                kind = parts.Radio([(t(f"ae.repair.{name}"), name) for name in KINDS], value=KINDS[0], label=t("ae.repair.kind"), elem_id="ae-corruption")
                amount = parts.Slider(0, 1, START, step=0.01, label=t("ae.repair.amount"), elem_id="ae-amount")
                gr.HTML(parts.lines("ae.repair", {"after_all": ("--model", "ae.repair.after"), "before_all": ("--noise", "ae.repair.before")}, x="amounts", at="amount",
                                    first="0", last="1", alt="ae.repair.curve"))
                gr.HTML(f'<p class="caption">{both("ae.repair.axes")}</p>')
            with gr.Column(scale=6, min_width=280):
                view = live.View("ae.repair", alt=both("ae.repair.alt"), tiles=4, lazy=True,
                                 captions=(both("ae.x"), both("ae.repair.seen"), both("ae.repair.repaired"), both("ae.repair.difference")))
                gr.HTML(parts.numbers(("ae.repair:before", "ae.repair.before"), ("ae.repair:after", "ae.repair.after"), ("ae.repair:fails", "ae.repair.fails")))
                gr.HTML(f'<p class="caption">{both("ae.repair.by")} <b data-live="ae.repair:by"></b></p>')
        parts.formula("ae.repair.f", r"L=\lVert x-f_\theta(g_\phi(\tilde x))\rVert^2,\quad\tilde x\sim q(\tilde x\mid x);\qquad "
                      r"\mathrm{PSNR}=-10\log_{10}\tfrac1P\lVert x-\hat x\rVert^2",
                      f"‖x − x̃‖² = {_now('error_before')} → {_now('before')} dB, &nbsp; ‖x − f(g(x̃))‖² = {_now('error_after')} → {_now('after')} dB")
    view.follow(checkpoint=shared.checkpoint, x=shared.picture, seed=shared.seed, kind=kind, amount=amount)
    live.register("ae.repair", repair_frame)
    gr.api(guarded(ae_repair), api_name="ae_repair")
    return Piece([
        Field("noise", [kind], lambda text: [inputs.choice("corruption", text, KINDS)], default=KINDS[0]),
        Field("share", [amount], lambda text: [inputs.within("amount", inputs.parsed(text), 0, 1)], default=f"{START:g}"),
    ], [view])


def _now(key: str) -> str:
    return parts.now(f"ae.repair:{key}")


# ---- what the live view draws ----------------------------------------------------------------------------------


def mender(query: Mapping[str, str]) -> Checkpoint:
    """The chosen model if it was trained to repair; else the shipped one that was, where its pictures are of the same size; else the chosen one."""
    chosen = model(query)
    other = shipped(config.DENOISER) if chosen.config["train"]["corruption"] == "none" else None
    return other if other and fits(other, chosen) else chosen


def repair_frame(query: Mapping[str, str]) -> live.Frame:
    """The picture, corrupted, repaired, and the signed difference between repaired and clean; PSNR before and after at all amounts.

    fails: the smallest amount of the curves at which our classifier reads another digit in the repaired picture than in the clean one;
    None where it never does, and for pictures that it cannot look at.
    """
    import torch

    from ...core import classifier
    from .. import maths, sample

    checkpoint, kind = mender(query), inputs.choice("corruption", query.get("kind"), KINDS)
    amount = inputs.within("amount", inputs.parsed(query.get("amount")), 0, 1)
    seed, x = inputs.seed(inputs.parsed(query.get("seed", "0"))), drawing(checkpoint, query.get("x"))
    amounts = [i / (POINTS - 1) for i in range(POINTS)]
    seen = torch.cat([_corrupted(x, kind, each, seed) for each in [amount, *amounts]])
    repaired = sample.decode(checkpoint, sample.encode(checkpoint, seen))
    before, after = maths.psnr(seen, x), maths.psnr(repaired, x)
    fails = None
    if judged(checkpoint):
        read = classifier.probabilities(torch.cat([x[None], repaired[1:]])).argmax(1)
        fails = next((amounts[i] for i, digit in enumerate(read[1:].tolist()) if digit != read[0]), None)
    return live.Frame(images.beside(images.to_uint8(x), images.to_uint8(seen[0]), images.to_uint8(repaired[0]), images.signed(repaired[0] - x)), {
        "amount": amount, "amounts": amounts, "before": before[0].item(), "after": after[0].item(), "fails": fails, "by": checkpoint.name,
        "before_all": _finite(before[1:]), "after_all": _finite(after[1:]),
        "error_before": maths.squared_error(seen[0], x).item(), "error_after": maths.squared_error(repaired[0], x).item(),
    })


def _corrupted(x: Tensor, kind: str, amount: float, seed: int) -> Tensor:
    """(1, C, H, W): of one seed a larger amount hits more of the same pixels."""
    import torch

    from .. import maths

    return maths.corrupted(x[None], kind, amount, torch.Generator().manual_seed(seed))


def _finite(values: Tensor) -> list[float | None]:
    """An untouched picture has no PSNR."""
    return [value if value < 100 else None for value in values.tolist()]


# The same for programs.


def ae_repair(checkpoint: str, drawing: str, kind: str, amount: float, seed: int) -> dict:
    """Corrupt a drawing and repair it. kind: "mask", "gaussian" or "salt-pepper"; amount: 0 to 1, a share of the pixels, or the noise's
    standard deviation. A model that was not trained to repair gives way to the shipped one that was.

    drawing: 56x56 pixels of one bit, row by row, as URL-safe base64 (523 characters). Returns {"picture": x, corrupted, repaired and the difference side by
    side as a data URI, "before", "after": PSNR in dB, "fails": the amount from which on another digit is read, or null, "by": the model}.
    """
    frame = executor.run(repair_frame, {"checkpoint": checkpoint, "x": drawing, "kind": kind, "amount": inputs.within("amount", amount, 0, 1), "seed": inputs.seed(seed)})
    return {"picture": live.data_uri(frame.picture), **{name: frame.numbers[name] for name in ("before", "after", "fails", "by")}}
