"""One picture, four models: a plain, a sparse and a contractive autoencoder and PCA side by side, and what the code's size costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.errors import PlaygroundError
from ...ui import live, parts
from ...ui.i18n import both, t
from ...ui.state import Field
from .. import config
from . import Piece, Shared, contractive, drawing, fits, model, number, plain, shipped, sparse

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

SIZES = 64                   # components that a checkpoint carries: the slider's end
START = 30                   # where it stands when the tab opens: the paper's code
KINDS = ("plain", "sparse", "contractive", "pca")
FIGURES = ("error", "norm", "active", "jacobian")


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="ae-row"):
        gr.HTML(parts.heading("ae.row", "ae.row.try"))
        d = parts.Slider(1, SIZES, START, step=1, label=t("ae.row.d"), elem_id="ae-d")
        with gr.Row():
            with gr.Column(scale=6, min_width=280):
                view = live.View("ae.row", alt=both("ae.row.alt"), tiles=2 * (1 + len(KINDS)), lazy=True, elem_classes="strip five",
                                 captions=[both("ae.x"), *(both(f"ae.row.{kind}") for kind in KINDS), both("ae.row.signed")])
                gr.HTML(_table())
            with gr.Column(scale=4, min_width=280):
                gr.HTML(parts.lines("ae.row", {"pca_errors": ("--data", "ae.row.curve.pca"), "deep_errors": ("--model", "ae.row.curve.deep")},
                                    x="sizes", at="d", log=True, dots=True, first="d = 1", last=f"d = {SIZES}", alt="ae.row.curve.alt"))
                gr.HTML(f'<p class="caption">{both("ae.row.axes")}</p>')
                gr.HTML(parts.numbers(("ae.row:curve_pca", "ae.row.now.pca"), ("ae.row:curve_deep", "ae.row.now.deep"), ("ae.row:explained", "ae.row.explained")))
        parts.formula("ae.row.f", r"L(\theta,\phi)=\frac1n\sum_{i=1}^n\lVert x^i-f_\theta(g_\phi(x^i))\rVert_2^2",
                      f"‖x − f(g(x))‖² = {_now('error_plain')}, &nbsp; PCA: ‖x − x̄ − V<sub>d</sub>ᵀV<sub>d</sub>(x − x̄)‖² = {_now('error_pca')}, d = {_now('d')}")
    view.follow(checkpoint=shared.checkpoint, x=shared.picture, d=d)
    live.register("ae.row", row_frame)
    return Piece([Field("d", [d], lambda text: [inputs.integer("d", inputs.parsed(text), 1, SIZES)], default=str(START))], [view])


def _now(key: str) -> str:
    return parts.now(f"ae.row:{key}")


def _table() -> str:
    head = "".join(f'<th>{both(f"ae.row.{kind}")}</th>' for kind in KINDS)
    rows = "".join(f'<tr><th>{both(f"ae.row.{figure}")}</th>' + "".join(f'<td>{_now(f"{figure}_{kind}")}</td>' for kind in KINDS) + "</tr>" for figure in FIGURES)
    return f'<table class="figures"><tr><th></th>{head}</tr>{rows}</table>'


# ---- what the live view draws ----------------------------------------------------------------------------------


def sizes(like: Checkpoint) -> dict[int, Checkpoint]:
    """Deep models of the same data by the size of their code: the shipped ones, and `like`."""
    found = [shipped(name) for name in (config.FIRST, config.PLANE, *config.SIZES)]
    return {each.model.config.code: each for each in (*found, like) if each and each.config["dataset"] == like.config["dataset"]}


def nearest(found: Mapping[int, Checkpoint], d: int) -> Checkpoint:
    """The largest of them whose code has at most d numbers; where none has, the smallest."""
    return found[max((size for size in found if size <= d), default=min(found))]


def models(query: Mapping[str, str], d: int) -> dict[str, Checkpoint | None]:
    """The model of each kind; None where there is none for pictures of the chosen one's size."""
    chosen, found = model(query), {}
    for kind, choose in (("plain", plain), ("sparse", sparse), ("contractive", contractive)):
        try:
            found[kind] = choose(query)
        except PlaygroundError:                               # the others can be looked at without it
            found[kind] = None
        if found[kind] is not None and not fits(found[kind], chosen):
            found[kind] = None
    if found["plain"] is not None:
        found["plain"] = nearest(sizes(found["plain"]), d)
    return found


def row_frame(query: Mapping[str, str]) -> live.Frame:
    """The visitor's picture, and below each other what each model makes of it and the signed error; their figures; the errors of all sizes."""
    from .. import maths, sample

    d, chosen = number(query, "d", 1, SIZES), model(query)
    found = models(query, d)
    x = drawing(chosen, query.get("x"))
    above, below, numbers = [images.to_uint8(x)], [np.zeros(x.shape[1:], np.uint8)], {"d": d}
    for kind, each in found.items():
        seen = None if each is None else sample.look(each, x)
        _add(above, below, x, None if seen is None else seen.x_hat)
        numbers |= _figures(kind, None) if seen is None else _figures(kind, (
            seen.error, seen.h.norm().item(), f"{seen.active} / {len(seen.h)}", seen.jacobian))
    basis = None if found["plain"] is None else sample.principal(found["plain"])
    if basis is None or len(basis.components) < d:
        _add(above, below, x, None)
        return live.Frame(np.concatenate([images.beside(*above), images.beside(*below)], axis=1), numbers | _figures("pca", None))
    z = basis.encode(x[None], d)
    x_hat = basis.decode(z).view(x.shape)
    _add(above, below, x, x_hat)
    numbers |= _figures("pca", (maths.squared_error(x_hat, x).item(), z.norm().item(), f"{d} / {d}", d**0.5))      # V has orthonormal rows
    return live.Frame(np.concatenate([images.beside(*above), images.beside(*below)], axis=1), numbers | _curves(found["plain"], d))


def _add(above: list[Any], below: list[Any], x: Tensor, x_hat: Tensor | None) -> None:
    """One more model's picture and error; black where it has none."""
    blank = np.zeros((*x.shape[1:], 3), np.uint8)
    above.append(blank if x_hat is None else images.to_uint8(x_hat))
    below.append(blank if x_hat is None else images.signed(x_hat - x))


def _figures(kind: str, values: tuple[Any, ...] | None) -> dict[str, Any]:
    return {f"{figure}_{kind}": value for figure, value in zip(FIGURES, values or [None] * len(FIGURES))}


def _curves(shown: Checkpoint, d: int) -> dict[str, Any]:
    """Mean squared errors on held-out pictures, of PCA at every size and of the deep models at theirs."""
    errors, trained = shown.derived["pca_errors"].tolist(), sizes(shown)
    deep = {size: each.derived["error"].item() for size, each in trained.items()}
    return {"sizes": list(range(1, len(errors))), "pca_errors": errors[1:], "deep_errors": [deep.get(size) for size in range(1, len(errors))],
            "curve_pca": errors[d], "curve_deep": shown.derived["error"].item(), "explained": f"{100 * (1 - errors[d] / errors[0]):.0f} %"}
