"""Directions that were found, not taught: the principal ones of the generator's first layer, each a slider (Harkonen et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from . import Piece, Shared, latent, model, seed, share

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

COUNT = 6                    # directions with a slider: of those that explain most
REACH = 3.0                  # standard deviations of z, either way
THUMBS = (-2.0, -1.0, 0.0, 1.0, 2.0)         # of a slider whose results are shown under it
STRIPS_MS = 180              # between two refreshments of those while a slider moves


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="gan-directions"):
        gr.HTML(parts.heading("gan.directions", "gan.directions.try"))
        with gr.Row():
            with gr.Column(scale=6, min_width=280):
                with gr.Group(elem_classes="sliders"):
                    sliders = [parts.Slider(-REACH, REACH, 0, step=0.05, label=t(f"gan.directions.slider.{i}"), elem_id=f"gan-direction{i}", buttons=["reset"]) for i in range(1, COUNT + 1)]
                values = ",".join(f"{value:g}" for value in THUMBS)
                gr.HTML("".join(f'<canvas class="foresight five" width="140" height="28" data-mirror="gan.strips:{i}" data-slider="gan-direction{i + 1}" data-values="{values}" aria-hidden="true"></canvas>'
                                for i in range(COUNT)), js_on_load="window.playground.live.under(element)", apply_default_css=False)
                zero = gr.Button(t("gan.directions.zero"), size="sm", elem_id="gan-zero")
                gr.HTML(parts.lines("gan.directions", {"shares": ("--code", "gan.directions.shares")}, low=0, first="k = 1", last="k = D", alt="gan.directions.shares"))
            with gr.Column(scale=4, min_width=260, elem_classes="held"):
                view = live.View("gan.directions", alt=both("gan.directions.alt"), tiles=2, lazy=True,
                                 captions=(f'{both("gan.pair.fake")} {parts.now("gan.directions:seed")}', both("gan.directions.after")))
                gr.HTML(parts.numbers(("gan.directions:explained", "gan.directions.explained"), ("gan.directions:norm", "gan.seeds.norm"), ("gan.directions:d", "gan.seeds.d")))
        strips = live.View("gan.strips", alt=both("gan.directions.thumbs"), tiles=COUNT, elsewhere=True, every=STRIPS_MS, lazy=True)
        parts.formula("gan.directions.f", r"z'=z+\sum_ka_kv_k,\qquad W^{\top}W\,v_k=\lambda_kv_k,\qquad \text{explained}_k=\frac{\lambda_k}{\sum_j\lambda_j}",
                      f'λ<sub>1</sub> / Σ λ = {parts.now("gan.directions:first")}, &nbsp; ‖z‖ = {parts.now("gan.directions:before")} → ‖z′‖ = {parts.now("gan.directions:norm")}')
    view.follow(checkpoint=shared.checkpoint, chosen=shared.chosen, along=sliders)
    strips.follow(checkpoint=shared.checkpoint, chosen=shared.chosen, along=sliders)
    live.register("gan.directions", directions_frame)
    live.register("gan.strips", strips_frame)
    zero.click(None, None, sliders, js=f"() => Array({COUNT}).fill(0)", **SCRIPT)
    gr.api(guarded(gan_directions), api_name="gan_directions")
    return Piece([Field("along", sliders, lambda text: inputs.numbers_in("along", text, COUNT, -REACH, REACH, pad=True, check=inputs.within), default="0")], [view, strips])


# ---- what the live views draw ----------------------------------------------------------------------------------


def _along(query: Mapping[str, str]) -> list[float]:
    return inputs.numbers_in("along", query.get("along"), COUNT, -REACH, REACH, check=inputs.within)


def moved(checkpoint: Checkpoint, z: Tensor, along: list[float]) -> Tensor:
    """z (D,) moved along the first directions, as many as there are."""
    import torch

    from .. import sample

    vectors, _ = sample.directions(checkpoint)
    count = min(len(vectors), len(along))
    return z + torch.tensor(along[:count]) @ vectors[:count]


def directions_frame(query: Mapping[str, str]) -> live.Frame:
    """The chosen seed's picture, and the same moved along the sliders' directions."""
    return _frame(model(query), seed(query, "chosen"), _along(query))


def _frame(checkpoint: Checkpoint, chosen: int, along: list[float]) -> live.Frame:
    import torch

    from .. import sample

    z = latent(checkpoint, chosen)
    after = moved(checkpoint, z, along)
    pictures = sample.draw(checkpoint, torch.stack([z, after]))
    _, shares = sample.directions(checkpoint)
    return live.Frame(images.beside(*map(images.to_uint8, pictures)), {
        "seed": chosen, "along": along, "explained": share(shares[:COUNT].sum().item()), "first": shares[0].item(), "shares": shares.tolist(),
        "before": z.norm().item(), "norm": after.norm().item(), "d": sample.opinion(checkpoint, pictures[1:]).item(),
    })


def strips_frame(query: Mapping[str, str]) -> live.Frame:
    """Under each slider what THUMBS values of it would give, the others where they are now: one tile per slider."""
    import torch

    from .. import sample

    checkpoint, chosen, along = model(query), seed(query, "chosen"), _along(query)
    z = latent(checkpoint, chosen)
    codes = [moved(checkpoint, z, [value if i == k else each for i, each in enumerate(along)]) for k in range(COUNT) for value in THUMBS]
    return live.Frame(images.strip(sample.draw(checkpoint, torch.stack(codes))), {"seed": chosen})


# The same for programs.


def gan_directions(checkpoint: str, seed: int, along: list[float]) -> dict:
    """A seed's picture moved along the principal directions of the generator's first layer. along: up to 6 strengths of +-3 standard deviations.

    Returns {"picture": before and after side by side, a PNG as a data URI, "explained": the share of the layer's variance that each direction explains,
    the largest first, "norm": of the moved code, "score": D's answer to the moved picture}.
    """
    if isinstance(along, (list, tuple)):
        along = [*along, *[0.0] * (COUNT - len(along))]
    along = inputs.vector("along", along, COUNT, -REACH, REACH, check=inputs.within)
    frame = executor.run(lambda: _frame(model({"checkpoint": checkpoint}), inputs.seed(seed), along))
    return {"picture": live.data_uri(frame.picture), "explained": frame.numbers["shares"], "norm": frame.numbers["norm"], "score": frame.numbers["d"]}
