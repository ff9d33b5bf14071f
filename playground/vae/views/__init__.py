"""The tab's further views, one file each: what it shows, what it asks the models for, how it is wired. `build(shared)` lays one out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from ...core import images
from ...core.errors import PlaygroundError, register
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


def joined(drawn: object, uploaded: object) -> object:
    """The visitor's picture as one text, as a live view's query holds it."""
    return f"{drawn},{uploaded}" if isinstance(uploaded, str) and uploaded else drawn


def drawing(checkpoint: Checkpoint, text: object) -> Tensor:
    """The visitor's picture as the model sees pictures, (C, H, W) in [0, 1]: "<drawing of the pad>,<uploaded picture or nothing>"."""
    import torch

    shape = checkpoint.model.config
    drawn, _, picture = text.partition(",") if isinstance(text, str) else (text, "", "")
    if picture:
        pixels = torch.from_numpy(images.unpack_picture(picture, shape.channels, shape.size).copy()).float() / 255
        return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return images.centred(images.unpack_drawing(drawn), shape.size).expand(shape.channels, -1, -1)
