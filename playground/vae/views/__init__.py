"""The tab's further views, one file each: what it shows, what it asks the models for, how it is wired. `build(shared)` lays one out."""

from __future__ import annotations

import re
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


def stand_in(shown: Checkpoint, query: Mapping[str, str]) -> str:
    """The name of the model shown if it is not the one a query names, else nothing."""
    return shown.name if shown.name != query.get("checkpoint") else ""


def joined(drawn: object, uploaded: object) -> object:
    """The visitor's picture as one text, as a live view's query holds it."""
    return f"{drawn},{uploaded}" if isinstance(uploaded, str) and uploaded else drawn


def drawing(checkpoint: Checkpoint, text: object, stands_in: bool = False) -> Tensor:
    """The visitor's picture as the model sees pictures, (C, H, W) in [0, 1]: "<drawing of the pad>,<what is shown instead, or nothing>".

    Instead: an uploaded picture as images.pack_picture writes it, or "e3" for example 3, of the model's own. stands_in: the model is not
    the chosen one; if that picture is of another kind, it takes the drawing, or where there is none an example of its own.
    """
    import torch

    shape = checkpoint.model.config
    drawn, _, picture = text.partition(",") if isinstance(text, str) else (text, "", "")
    if stands_in and not holds(checkpoint, picture) and (drawn or not EXAMPLE.fullmatch(picture)):
        picture = ""
    if EXAMPLE.fullmatch(picture):
        return examples(checkpoint)[int(picture[1:])]
    if picture:
        pixels = torch.from_numpy(images.unpack_picture(picture, shape.channels, shape.size).copy()).float() / 255
        return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return images.centred(images.unpack_drawing(drawn), shape.size).expand(shape.channels, -1, -1)


EXAMPLE = re.compile("e[0-9]")


def examples(checkpoint: Checkpoint) -> Tensor:
    """Pictures to pick from, (config.EXAMPLES, C, H, W) in [0, 1]: what the model makes of held-out ones, else drawn digits.

    Of the held-out ones the checkpoint carries the codes alone: whoever picks one encodes its decode.
    """
    import torch

    from .. import sample

    if keeps_examples(checkpoint):
        return sample.decode(checkpoint, checkpoint.derived["example_codes"][:, sample.order(checkpoint)])
    shape = checkpoint.model.config
    digits = [images.centred(images.unpack_drawing(images.digit(i)), shape.size) for i in range(config.EXAMPLES)]
    return torch.stack(digits).expand(-1, shape.channels, -1, -1)


def holds(checkpoint: Checkpoint, picture: str) -> bool:
    """Whether a picture that is shown instead of the drawing is one of the model's own kind."""
    if EXAMPLE.fullmatch(picture):
        return keeps_examples(checkpoint)
    try:
        images.unpack_picture(picture, checkpoint.model.config.channels, checkpoint.model.config.size)
        return True
    except PlaygroundError:
        return False


def keeps_examples(checkpoint: Checkpoint) -> bool:
    kept = checkpoint.derived.get("example_codes")
    return kept is not None and kept.shape == (config.EXAMPLES, checkpoint.model.config.latent)
