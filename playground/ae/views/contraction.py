"""What contraction does: the singular values of two encoders' Jacobians, the directions they still follow, and a nudge along one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from ...core import device, images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from . import Piece, Shared, contractive, drawing, fits, number, pattern, twin

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

KINDS = ("contractive", "tied")              # with the penalty, and its twin without
TANGENTS = 5                 # directions shown of each
VALUES = 200                 # singular values drawn
LOW, HIGH = 1e-4, 10.0       # of their axis
FAR = 4.0                    # the longest nudge, in the norm of pixels: a digit has about 9
POINTS = 33                  # of the curves along it
KEPT = 16                    # pictures whose spectra are remembered
WAYS = ("tangent", "random")
FIGURES = ("norm", "rank", "ratio_tangent", "ratio_random")

register({
    "ae.pair": (
        "{name} and {other} see pictures of different sizes; choose a model of the same size as its twin at the top.",
        "{name} 与 {other} 的图片大小不同；请在顶部选择与其配对模型大小相同的模型。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="ae-contraction"):
        gr.HTML(parts.heading("ae.contraction", "ae.contraction.try"))
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                gr.HTML(parts.lines("ae.spectrum", {"contractive": ("--model", "ae.contraction.contractive"), "tied": ("--data", "ae.contraction.tied")},
                                    low=LOW, high=HIGH, log=True, first="1", last=f"{VALUES}", alt="ae.contraction.spectrum"))
                gr.HTML(f'<p class="caption">{both("ae.contraction.axes")}</p>' + _table())
            with gr.Column(scale=6, min_width=280):
                gr.HTML(f'<p class="caption">{both("ae.contraction.tangents")}</p>')
                spectrum = live.View("ae.spectrum", alt=both("ae.contraction.tangents"), tiles=2 * TANGENTS, elem_classes="strip five", lazy=True,
                                     captions=[parts.now(f"ae.spectrum:{kind}{i}") for kind in KINDS for i in range(TANGENTS)])
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                which = parts.Slider(1, TANGENTS, 1, step=1, label=t("ae.nudge.which"), elem_id="ae-tangent")
                amount = parts.Slider(-FAR, FAR, 1, step=0.05, label=t("ae.nudge.amount"), elem_id="ae-nudge")
                gr.HTML(parts.lines("ae.nudge", {
                    f"{kind}_{way}": (colour, f"ae.nudge.{kind}.{way}") for kind, colour in zip(KINDS, ("--model", "--data")) for way in WAYS},
                    x="amounts", at="amount", low=0, dashed=[f"{kind}_random" for kind in KINDS], alt="ae.nudge.curve"))
            with gr.Column(scale=6, min_width=280):
                nudge = live.View("ae.nudge", alt=both("ae.nudge.alt"), tiles=4, lazy=True,
                                  captions=(both("ae.x"), both("ae.nudge.contractive.tangent"), both("ae.nudge.tied.tangent"), both("ae.nudge.random")))
        parts.formula("ae.contraction.f", r"\mathcal L=\lVert x-x'\rVert^2+\lambda\lVert J_{g_\phi}(x)\rVert_F^2,\quad "
                      r"\lVert J\rVert_F^2=\sum_{ij}\Big(\frac{\partial h_j}{\partial x_i}\Big)^2=\sum_j\big(h_j(1-h_j)\big)^2\sum_iW_{ji}^2",
                      f"{_now('error')} + {_now('penalty')} · {_now('norm_contractive')}² = {_now('loss')}")
    spectrum.follow(checkpoint=shared.checkpoint, x=shared.picture)
    nudge.follow(checkpoint=shared.checkpoint, x=shared.picture, seed=shared.seed, which=which, amount=amount)
    live.register("ae.spectrum", spectrum_frame)
    live.register("ae.nudge", nudge_frame)
    gr.api(guarded(ae_contraction), api_name="ae_contraction")
    return Piece([
        Field("tangent", [which], lambda text: [inputs.integer("tangent", inputs.parsed(text), 1, TANGENTS)], default="1"),
        Field("nudge", [amount], lambda text: [inputs.within("nudge", inputs.parsed(text), -FAR, FAR)], default="1"),
    ], [spectrum, nudge])


def _now(key: str) -> str:
    return parts.now(f"ae.spectrum:{key}")


def _table() -> str:
    of = {"norm": "ae.spectrum:norm", "rank": "ae.spectrum:rank", "ratio_tangent": "ae.nudge:ratio_tangent", "ratio_random": "ae.nudge:ratio_random"}
    head = "".join(f'<th>{both(f"ae.contraction.{kind}")}</th>' for kind in KINDS)
    rows = "".join(f'<tr><th>{both(f"ae.contraction.{figure}")}</th>' + "".join(f'<td>{parts.now(f"{of[figure]}_{kind}")}</td>' for kind in KINDS) + "</tr>"
                   for figure in FIGURES)
    return f'<table class="figures"><tr><th></th>{head}</tr>{rows}</table>'


# ---- what the live views draw ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Local:
    """An encoder at one picture."""

    values: Tensor           # (R,), singular values of its Jacobian, largest first
    tangents: Tensor         # (TANGENTS, P), the directions it follows most


def pair(query: Mapping[str, str]) -> dict[str, Checkpoint]:
    """The contractive model and its twin, of pictures of one size."""
    found = dict(zip(KINDS, (contractive(query), twin(query))))
    one, other = found.values()
    if not fits(one, other):
        raise PlaygroundError("ae.pair", name=one.name, other=other.name)
    return found


_seen: OrderedDict[tuple[Any, ...], Local] = OrderedDict()    # touched on the inference executor alone


def local(checkpoint: Checkpoint, x: Tensor) -> Local:
    """The spectrum at a picture x (C, H, W), kept for the next request."""
    import torch

    from .. import maths, sample

    key = (checkpoint.name, id(checkpoint.model), x.numpy().tobytes())
    if key not in _seen:
        values, tangents = maths.spectrum(sample.jacobian(checkpoint, x))
        tangents = tangents[:TANGENTS]
        more = torch.where(tangents.sum(1, keepdim=True) < 0, -1.0, 1.0)         # a direction has no sign: forwards means more ink
        _seen[key] = Local(values, (more * tangents).float())
        if len(_seen) > KEPT:
            _seen.popitem(last=False)
    _seen.move_to_end(key)
    return _seen[key]


def spectrum_frame(query: Mapping[str, str]) -> live.Frame:
    """The singular values at the visitor's picture, and the leading tangent directions: the contractive model's, then its twin's."""
    from .. import maths, sample

    models = pair(query)
    tiles, numbers = [], {}
    for kind, checkpoint in models.items():
        x = drawing(checkpoint, query.get("x"))
        found = local(checkpoint, x)
        tiles += [pattern(tangent.view(x.shape)) for tangent in found.tangents]
        tiles += [tiles[-1] * 0] * (TANGENTS - len(found.tangents))
        shown = found.values[:VALUES].tolist()
        numbers |= {kind: [value if value >= LOW else None for value in shown], f"norm_{kind}": found.values.norm().item(),
                    f"rank_{kind}": f"{maths.effective_rank(found.values)} / {len(found.values)}",
                    **{f"{kind}{i}": shown[i] if i < len(shown) else "" for i in range(TANGENTS)}}
    error, weight = sample.look(models["contractive"], x).error, models["contractive"].config["train"]["penalty"]
    return live.Frame(images.beside(*tiles), {**numbers, "error": error, "penalty": weight, "loss": error + weight * numbers["norm_contractive"] ** 2})


def nudge_frame(query: Mapping[str, str]) -> live.Frame:
    """The picture nudged along a tangent of each model and along a random direction, and how far each code moves."""
    import torch

    which, amount = number(query, "which", 1, TANGENTS), inputs.within("nudge", inputs.parsed(query.get("amount")), -FAR, FAR)
    models = pair(query)
    x = drawing(models["contractive"], query.get("x"))
    stray = device.noise(inputs.seed(inputs.parsed(query.get("seed", "0"))), [0], tuple(x.shape))[0]
    stray = stray / stray.norm()
    amounts = torch.linspace(-FAR, FAR, POINTS)
    tiles, numbers = [images.to_uint8(x)], {"amount": amount, "amounts": amounts.tolist()}
    for kind, checkpoint in models.items():
        tangents = local(checkpoint, x).tangents
        along = tangents[min(which, len(tangents)) - 1].view(x.shape)
        for way, direction in (("tangent", along), ("random", stray)):
            numbers[f"{kind}_{way}"] = displacements(checkpoint, x, direction, amounts).tolist()
            near = displacements(checkpoint, x, direction, torch.tensor([amount if amount else 1e-3]))
            numbers[f"ratio_{way}_{kind}"] = (near / abs(amount or 1e-3)).item()
        tiles.append(images.to_uint8(x + amount * along))
    return live.Frame(images.beside(*tiles, images.to_uint8(x + amount * stray)), numbers)


def displacements(checkpoint: Checkpoint, x: Tensor, direction: Tensor, amounts: Tensor) -> Tensor:
    """||g(x + a v) - g(x)|| for each a, (N,). x, v: (C, H, W), v of length 1. amounts: (N,)."""
    from .. import sample

    codes = sample.encode(checkpoint, x + amounts[:, None, None, None] * direction)
    return (codes - sample.encode(checkpoint, x[None])).norm(dim=1)


# The same for programs.


def ae_contraction(checkpoint: str, drawing: str) -> dict:
    """The singular values of the encoder's Jacobian at a drawing, of the contractive model and of its twin without the penalty.

    drawing: 56x56 pixels of one bit, row by row, as URL-safe base64 (523 characters). Returns {"contractive", "tied": the largest 200, null where below 1e-4,
    "norm_contractive", "norm_tied": ||J||_F, "rank_contractive", "rank_tied": how many are above 1 % of the largest}.
    """
    numbers = executor.run(spectrum_frame, {"checkpoint": checkpoint, "x": drawing}).numbers
    return {name: numbers[name] for kind in KINDS for name in (kind, f"norm_{kind}", f"rank_{kind}")}
