"""What a code is good for: the same small reader of digits trained live on a code and on pixels, and codes coloured by a class never seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np

from ...ui import live, parts, plane
from ...ui.i18n import both
from ...ui.plane import Layer
from . import Piece, Shared, model

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("code", "pixels")   # toy.INPUTS: the page is built without torch
FIGURES = ("inputs", "weights", "accuracy", "seconds")
SLICE = 0.12                 # seconds of training in a frame
SINGLES = 10                 # single updates in a frame, however fast one clicks
SHOWN = 400                  # codes on the plane: a frame's numbers travel in a header
EXTENT = 3.0                 # of the plane, in standard deviations of the codes' first two components
LAYERS = (Layer("marks", "codes", "--code", "ae.use.codes", at="labels", size=10, alpha=0.85),)


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="ae-use"):
        gr.HTML(parts.heading("ae.use", "ae.use.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                trainer = plane.Trainer("ae.use", elem_id="ae-use-trainer")
                gr.HTML(parts.lines("ae.use", {"curve_code": ("--code", "ae.use.code"), "curve_pixels": ("--data", "ae.use.pixels")}, x="looked", low=0, high=100,
                                    ends="ends", alt="ae.use.curve"))
                gr.HTML(f'<p class="caption">{both("ae.use.axes")}</p>' + _table())
                view = live.View("ae.use", alt=both("ae.use.curve"), elsewhere=True, lazy=True)
            with gr.Column(scale=4, min_width=280):
                gr.HTML(plane.plane("ae.use.codes", LAYERS, alt="ae.use.plane", extent=EXTENT), js_on_load=None, apply_default_css=False)
                codes = live.View("ae.use.codes", alt=both("ae.use.plane"), elsewhere=True, lazy=True)
        parts.formula("ae.use.f", r"\#\theta=32\,(d+1)+10\,(32+1)",
                      f"{parts.now('ae.use:inputs_code')} → {parts.now('ae.use:weights_code')}, &nbsp; {parts.now('ae.use:inputs_pixels')} → {parts.now('ae.use:weights_pixels')}")
    view.follow(checkpoint=shared.checkpoint, play=trainer)
    codes.follow(checkpoint=shared.checkpoint)
    live.register("ae.use", use_frame)
    live.register("ae.use.codes", codes_frame)
    return Piece((), [view, codes])


def _table() -> str:
    head = "".join(f'<th>{both(f"ae.use.{kind}")}</th>' for kind in KINDS)
    rows = "".join(f'<tr><th>{both(f"ae.use.{figure}")}</th>' + "".join(f"<td>{parts.now(f'ae.use:{figure}_{kind}')}</td>" for kind in KINDS) + "</tr>" for figure in FIGURES)
    return f'<table class="figures"><tr><th></th>{head}</tr>{rows}</table>'


# ---- what the live views draw ----------------------------------------------------------------------------------


def use_frame(query: Mapping[str, str]) -> live.Frame:
    """Train the page's two readers for a moment if they play; their accuracy on pictures they have not seen, their weights and seconds."""
    from .. import toy as toys

    drive = plane.drive(query.get("play"))
    readers = toys.readers(drive.owner, model(query), drive.again)
    for _ in range(min(SINGLES, drive.until - readers.step)):
        readers.advance(0)
    if drive.playing:
        readers.advance(SLICE)
    numbers: dict[str, Any] = {}
    for kind in KINDS:
        numbers |= {f"curve_{kind}": readers.curve[kind], f"accuracy_{kind}": f"{readers.curve[kind][-1]:.1f} %", f"weights_{kind}": readers.weights(kind),
                    f"inputs_{kind}": readers.lesson.train[kind].shape[1], f"seconds_{kind}": readers.seconds[kind]}
    return live.Frame(np.zeros((1, 1), np.uint8), {
        **numbers, "step": readers.step, "done": readers.done, "more": drive.playing and not readers.done, "looked": readers.looked,
        "ends": [0, toys.READ_STEPS], "dataset": readers.lesson.dataset,
    })


_flat: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()     # network -> its codes on the plane; touched on the inference executor alone


def codes_frame(query: Mapping[str, str]) -> live.Frame:
    """The codes of test pictures on their two strongest directions, each the class that the training of the autoencoder never saw."""
    from .. import toy as toys

    checkpoint = model(query)
    found = toys.lesson(checkpoint)
    if checkpoint.model not in _flat:
        _flat[checkpoint.model] = projected(found.test["code"])[:SHOWN]
    return live.Frame(np.zeros((1, 1), np.uint8), {
        "codes": [round(value, 2) for value in _flat[checkpoint.model].flatten().tolist()],
        "labels": "".join(str(y) for y in found.labels[1][:SHOWN].tolist()), "dataset": found.dataset,
    })


def projected(codes: Tensor) -> Tensor:
    """Codes (N, D) on their first two principal directions, (N, 2), each in its standard deviations; one of one number on a line."""
    import torch

    away = codes - codes.mean(0)
    if codes.shape[1] < 2:
        return torch.cat([away / away.std().clamp(min=1e-9), torch.zeros_like(away)], 1)
    vectors = torch.linalg.eigh((away.T @ away).double()).eigenvectors.flip(1)[:, :2].to(codes)
    along = away @ vectors
    return along / along.std(0).clamp(min=1e-9)
