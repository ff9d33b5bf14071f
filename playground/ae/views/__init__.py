"""The tab's views, one file each: what it shows, what it asks the models for, how it is wired. `build(shared)` lays one out.

What they have in common is here: the controls at the top of the tab, which model a view takes, and how a query is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from ...core import images, inputs
from ...core.errors import PlaygroundError, register
from ...core.examples import Examples
from ...ui.live import View
from ...ui.state import Field
from .. import config

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

register({
    "ae.absent": (
        "This view needs a model like {name}, which is not there; train one with the network “{network}” below, or choose one at the top.",
        "此视图需要 {name} 这样的模型，但找不到它；请在下方用网络“{network}”训练一个，或在顶部选择一个。",
    ),
})


@dataclass(frozen=True)
class Shared:
    """The controls at the top of the tab and the visitor's picture, which the views follow."""

    checkpoint: gr.Dropdown
    seed: gr.Number
    picture: Sequence[gr.components.Component]       # the pad, and what is shown instead of it: `drawing` reads both


@dataclass(frozen=True)
class Piece:
    """What a view adds to the tab's state: its fields in the URL, and the live views that follow the controls."""

    fields: Sequence[Field] = ()
    views: Sequence[View] = ()


# ---- which model -----------------------------------------------------------------------------------------------


def model(query: Mapping[str, str]) -> Checkpoint:
    """The autoencoder a query names."""
    from .. import sample

    return sample.load(query.get("checkpoint"))


def shipped(name: str) -> Checkpoint | None:
    """A model by its name; None where it is not there."""
    from .. import sample

    try:
        return sample.load(name)
    except PlaygroundError as error:
        if error.key != "checkpoint.unknown":                 # a damaged one is named
            raise
        return None


def standing(name: str, network: str) -> Checkpoint:
    """The shipped model that stands in where the chosen one is of another kind."""
    found = shipped(name)
    if found is None:
        raise PlaygroundError("ae.absent", name=name, network=network)
    return found


def plain(query: Mapping[str, str]) -> Checkpoint:
    """The chosen model if it is a deep one, else the shipped one."""
    chosen = model(query)
    return chosen if chosen.model.config.network == "deep" else standing(config.FIRST, "deep")


def sparse(query: Mapping[str, str]) -> Checkpoint:
    """The chosen model if it is a sparse one, else the shipped one."""
    chosen = model(query)
    return chosen if chosen.model.config.network == "sparse" else standing(config.SPARSE, "sparse")


def contractive(query: Mapping[str, str]) -> Checkpoint:
    """The chosen model if it is a tied one with a penalty, else the shipped one."""
    chosen = model(query)
    return chosen if chosen.model.config.network == "tied" and chosen.config["train"]["penalty"] else standing(config.CONTRACTIVE, "tied")


def twin(query: Mapping[str, str]) -> Checkpoint:
    """The chosen model if it is a tied one without a penalty, else the shipped one."""
    chosen = model(query)
    return chosen if chosen.model.config.network == "tied" and not chosen.config["train"]["penalty"] else standing(config.PLAIN, "tied")


def fits(checkpoint: Checkpoint, other: Checkpoint) -> bool:
    """Whether two models see pictures of one size and number of channels."""
    return checkpoint.model.shape == other.model.shape


# ---- the visitor's picture -------------------------------------------------------------------------------------


def _decode(checkpoint: Checkpoint, codes: Tensor) -> Tensor:
    from .. import sample

    return sample.decode(checkpoint, codes)


examples = Examples(lambda checkpoint: checkpoint.model.config.code, _decode)


def drawing(checkpoint: Checkpoint, text: object) -> Tensor:
    """The visitor's picture as the model sees pictures, (C, H, W) in [0, 1]; see `Examples.read`."""
    return examples.read(checkpoint, text, stands_in=True)


def judged(checkpoint: Checkpoint) -> bool:
    """Whether our classifier of digits can look at its pictures."""
    from ...core import classifier

    return checkpoint.model.shape == (1, classifier.SIZE, classifier.SIZE)


# ---- how things look -------------------------------------------------------------------------------------------


def pattern(weights: Tensor):
    """A filter (C, H, W) as a signed tile, its strongest weight in full colour: black is 0, orange more, blue less."""
    return images.signed(weights / weights.abs().max().clamp(min=1e-9))


def number(query: Mapping[str, str], name: str, low: int, high: int) -> int:
    """A whole number of a query."""
    return inputs.integer(name, inputs.parsed(query.get(name)), low, high)
