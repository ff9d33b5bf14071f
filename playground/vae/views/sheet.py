"""The manifold sheet: a two-dimensional latent space laid out flat, each place decoded, with a cursor (Kingma & Welling 2014, figure 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts, plane
from ...ui.cursor import cursor
from ...ui.errors import guarded
from ...ui.i18n import both
from ...ui.plane import Layer
from ...ui.state import Field
from . import Piece, Shared, flat, stand_in

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

SIDE = 20                    # pictures on a side of the sheet
REACH = 3.0                  # of the plane and the sliders, in standard deviations of the prior
LOG_2PI = math.log(2 * math.pi)
SHOWN = 400                  # test digits on the plane: a frame's numbers travel in a header
CIRCLES = (1, 2, 3)          # standard deviations of the prior
SLIDERS = ("vae-plane-z1", "vae-plane-z2")
LAYERS = (
    Layer("circles", "circles", "--quiet", "vae.sheet.circles", size=1.2, alpha=0.8),
    Layer("marks", "codes", "--code", "vae.sheet.codes", at="labels", size=10, alpha=0.85),
)


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="vae-sheet"):
        gr.HTML(parts.heading("vae.sheet", "vae.sheet.try") + f'<p class="caption if"><b data-live="vae.sheet:stands_in"></b> {both("vae.sheet.stands_in")}</p>')
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                gr.HTML(cursor('<canvas data-mirror="vae.sheet:0" width="560" height="560"></canvas>', SLIDERS, "vae.place", at="z", places="quantiles",
                               alt="vae.sheet.alt"), js_on_load=None, apply_default_css=False)
                gr.HTML(f'<p class="caption">{both("vae.sheet.laid")}</p>')
                sheet = live.View("vae.sheet", alt=both("vae.sheet.alt"), elsewhere=True, lazy=True)
            with gr.Column(scale=4, min_width=280, elem_classes="latent"):
                gr.HTML(_with_cursor(plane.plane("vae.codes", LAYERS, alt="vae.sheet.plane.alt", extent=REACH)), js_on_load=None, apply_default_css=False)
                codes = live.View("vae.codes", alt=both("vae.sheet.plane.alt"), elsewhere=True, lazy=True)
            with gr.Column(scale=3, min_width=240):
                place = live.View("vae.place", alt=both("vae.sheet.place"), elem_classes="large", lazy=True)
                gr.HTML(parts.numbers(("vae.place:text", "vae.sheet.z"), ("vae.place:norm", "vae.sheet.norm"), ("vae.place:log_prior", "vae.log_prior")))
                z = [parts.Slider(-REACH, REACH, 0, step=0.01, label=f"z{axis}", elem_id=name) for axis, name in enumerate(SLIDERS, 1)]
        parts.formula("vae.sheet.f", r"\begin{aligned}z_{ij}&=\left(\Phi^{-1}\!\left(\tfrac{i-1/2}{20}\right),\ \Phi^{-1}\!\left(\tfrac{j-1/2}{20}\right)\right)\\ "
                      r"\log p(z)&=-\log2\pi-\tfrac12\lVert z\rVert^2\end{aligned}",
                      f"−{LOG_2PI:.3f} − ½ · {parts.now('vae.place:square')} = {parts.now('vae.place:log_prior')}")
    sheet.follow(checkpoint=shared.checkpoint)
    codes.follow(checkpoint=shared.checkpoint)
    place.follow(checkpoint=shared.checkpoint, z=z)
    live.register("vae.sheet", sheet_frame)
    live.register("vae.codes", codes_frame)
    live.register("vae.place", place_frame)
    gr.api(guarded(vae_sheet), api_name="vae_sheet")
    return Piece([Field("plane", z, lambda text: inputs.numbers_in("z", text, 2, -REACH, REACH, pad=True, check=inputs.within), default="0")], [sheet, codes, place])


def _with_cursor(drawn: str) -> str:
    """The plane with a cursor over its canvas alone; its legend stays below."""
    end = drawn.index("</canvas>") + len("</canvas>")
    return cursor(drawn[:end], SLIDERS, "vae.place", at="z", places="plane", alt="vae.sheet.plane.alt") + drawn[end:]


# What the live views draw.


def quantiles() -> Tensor:
    """Where the sheet's columns stand, (SIDE,): each has the same share of the prior."""
    import torch

    return torch.distributions.Normal(0, 1).icdf((torch.arange(SIDE) + 0.5) / SIDE)


_sheets: WeakKeyDictionary[Any, np.ndarray] = WeakKeyDictionary()       # model -> its sheet; touched on the inference executor alone


def sheet_frame(query: Mapping[str, str]) -> live.Frame:
    """SIDE x SIDE decodes, z_1 growing to the right and z_2 upwards."""
    checkpoint = flat(query)
    if checkpoint.model not in _sheets:
        _sheets[checkpoint.model] = _sheet(checkpoint)
    return live.Frame(_sheets[checkpoint.model], {"model": checkpoint.name, "stands_in": stand_in(checkpoint, query)})


def _sheet(checkpoint: Checkpoint) -> np.ndarray:
    import torch

    from .. import sample

    places = quantiles()
    z = torch.cartesian_prod(places.flip(0), places).flip(1)                  # row by row from the top: (z_1, z_2)
    rows = sample.decode(checkpoint, z).unflatten(0, (SIDE, SIDE))
    return np.concatenate([images.strip(row) for row in rows])


def codes_frame(query: Mapping[str, str]) -> live.Frame:
    """Where the encoder puts the first test digits (their mu), and circles of the prior."""
    from .. import sample

    checkpoint = flat(query)
    mu = checkpoint.derived["mu"][:SHOWN, sample.order(checkpoint)]
    labels = checkpoint.derived.get("labels")
    return live.Frame(np.zeros((1, 1), np.uint8), {
        "codes": [round(value, 2) for value in mu.flatten().tolist()], "circles": CIRCLES,
        "labels": "•" * len(mu) if labels is None else "".join(str(label % 10) for label in labels[:SHOWN].tolist()),
    })


def place_frame(query: Mapping[str, str]) -> live.Frame:
    """The decode at the cursor, with z, its norm and log p(z); and what the two cursors need to know of their pictures."""
    return _place(flat(query), inputs.numbers_in("z", query.get("z"), 2, -REACH, REACH))


def _place(checkpoint: Checkpoint, z: list[float]) -> live.Frame:
    import torch

    from .. import maths, sample

    code = torch.tensor(z)
    return live.Frame(images.to_uint8(sample.decode(checkpoint, code[None])[0]), {
        "z": z, "text": "({:.2f}, {:.2f})".format(*z), "norm": code.norm().item(), "square": code.square().sum().item(),
        "log_prior": maths.log_standard_normal(code).item(), "quantiles": quantiles().tolist(),
        "plane": [-REACH / 2, REACH / 2],
    })


def vae_sheet(checkpoint: str, z: list[float]) -> dict:
    """Decode a place of the two-dimensional latent space. z: two numbers, clamped to +-3; a model of more dimensions gives way to the shipped one of two.

    Returns {"picture": a PNG as a data URI, "z", "norm", "log_prior": nats, ...}.
    """
    frame = executor.run(lambda: _place(flat({"checkpoint": checkpoint}), inputs.vector("z", z, 2, -REACH, REACH)))
    return {"picture": live.data_uri(frame.picture), **frame.numbers}
