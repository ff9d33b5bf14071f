"""The tab's further views, one file each: what it shows, what it asks the models for, how it is wired. `build(shared)` lays one out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from ...core.errors import PlaygroundError, register
from ...core.examples import Examples
from ...ui.live import View
from ...ui.state import Field
from .. import config

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

register({
    "vae.plane": (
        "This view needs a model with a two-dimensional code, and {name} is not there; train one with D = 2 below, or choose one at the top.",
        "此视图需要编码为二维的模型，但找不到 {name}；请在下方用 D = 2 训练一个，或在顶部选择一个。",
    ),
})


@dataclass(frozen=True)
class Shared:
    """The controls at the top of the tab and the visitor's picture, which several views follow."""

    checkpoint: gr.Dropdown
    seed: gr.Number
    sliders: Sequence[gr.Slider]
    picture: Sequence[gr.components.Component]       # the pad, and what was uploaded instead: `drawing` reads both


@dataclass(frozen=True)
class Piece:
    """What a view adds to the tab's state: its fields in the URL, and the live views that follow the controls."""

    fields: Sequence[Field] = ()
    views: Sequence[View] = ()


def model(query: Mapping[str, str]) -> Checkpoint:
    """The VAE a query names."""
    from .. import sample

    return sample.load(query.get("checkpoint"))


def flat(query: Mapping[str, str]) -> Checkpoint:
    """The VAE a query names if its code has two dimensions, else the shipped one whose code has."""
    from ...core import checkpoints
    from .. import sample

    found = model(query)
    if found.model.config.latent == 2:
        return found
    if all(entry.name != config.PLANE for entry in checkpoints.entries()):
        raise PlaygroundError("vae.plane", name=config.PLANE)
    return sample.load(config.PLANE)


def stand_in(shown: Checkpoint, query: Mapping[str, str]) -> str:
    """The name of the model shown if it is not the one a query names, else nothing."""
    return shown.name if shown.name != query.get("checkpoint") else ""


def _decode(checkpoint: Checkpoint, codes: Tensor) -> Tensor:
    from .. import sample

    return sample.decode(checkpoint, codes[:, sample.order(checkpoint)])


examples = Examples(lambda checkpoint: checkpoint.model.config.latent, _decode)
