"""Memory or invention: the chosen picture beside the training pictures that are most like it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import gradio as gr

from ...core import images
from ...core.errors import PlaygroundError
from ...ui import live, parts
from ...ui.i18n import both
from . import Piece, Shared, latent, model, seed

NEAREST = 6                  # training pictures shown
MEASURED = 64                # held-out pictures that say how far from the training set is usual


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="gan-nearest"):
        gr.HTML(parts.heading("gan.nearest", "gan.nearest.try"))
        view = live.View("gan.nearest", alt=both("gan.nearest.alt"), tiles=1 + NEAREST, every=250, lazy=True, elem_classes="strip memory",
                         captions=[f'{both("gan.pair.fake")} {parts.now("gan.nearest:seed")}', *(parts.now(f"gan.nearest:rms{i}") for i in range(NEAREST))])
        gr.HTML(parts.numbers(("gan.nearest:rms0", "gan.nearest.nearest"), ("gan.nearest:usual", "gan.nearest.usual"), ("gan.nearest:known", "gan.nearest.known")))
        parts.formula("gan.nearest.f", r"\min_i\sqrt{\tfrac1P\lVert G(z)-x^i\rVert^2}\quad\text{beside the same of held-out }x",
                      f'{parts.now("gan.nearest:rms0")} : {parts.now("gan.nearest:usual")} = {parts.now("gan.nearest:ratio")}')
    view.follow(checkpoint=shared.checkpoint, chosen=shared.chosen)
    live.register("gan.nearest", nearest_frame)
    return Piece(views=[view])


def nearest_frame(query: Mapping[str, str]) -> live.Frame:
    """The chosen seed's picture and its NEAREST training pictures with their distances, RMS per number; and how far held-out ones are."""
    from ...core import datasets, metrics
    from .. import sample

    checkpoint, chosen = model(query), seed(query, "chosen")
    name = checkpoint.config["dataset"]
    if not datasets.present(name):
        raise PlaygroundError("gan.absent", name=name)
    known = datasets.load(name, "train").images
    if tuple(known.shape[1:]) != checkpoint.model.shape:
        raise PlaygroundError("gan.absent", name=name)
    x = sample.draw(checkpoint, latent(checkpoint, chosen)[None])
    distance, index = metrics.nearest(x, known, NEAREST)
    tiles = [images.to_uint8(each) for each in (x[0], *(known[index[0]].float() / 255))]
    distances = distance[0].tolist()
    tiles += [tiles[0] * 0] * (1 + NEAREST - len(tiles))
    return live.Frame(images.beside(*tiles), {"seed": chosen, "known": len(known), "usual": usual(name), "ratio": distances[0] / max(usual(name), 1e-9),
                                       **{f"rms{i}": distances[i] if i < len(distances) else "" for i in range(NEAREST)}})


@lru_cache(4)
def usual(name: str) -> float:
    """The median distance of MEASURED held-out pictures from their nearest training picture, RMS per number."""
    from ...core import datasets, metrics

    held_out = datasets.load(name, "test").images[:MEASURED].float() / 255
    return metrics.nearest(held_out, datasets.load(name, "train").images)[0].median().item()
