"""The tab's views, one file each: what it shows, what it asks the models for, how it is wired. `build(shared)` lays one out.

What they have in common is here: the controls at the top of the tab, and how a query is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from ...core import inputs
from ...core.errors import PlaygroundError, register
from ...ui.i18n import both
from ...ui.live import View
from ...ui.state import Field

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint


register({
    "gan.absent": (
        "The pictures of {name} are not in this machine's data folder, so that there are no real ones to show beside the fakes; the model itself works without them.",
        "本机的数据文件夹中没有 {name} 的图片，因此没有真实图片可与伪造图片对照；模型本身不需要它们。",
    ),
})


@dataclass(frozen=True)
class Real:
    """Held-out pictures of a data set, or copies of them: decodes of the codes that another model has kept."""

    pictures: Tensor         # uint8 (N, C, H, W)
    copies: bool


Reals = Callable[["Checkpoint"], Real]
Lent = Callable[[], tuple]   # what the page hands over: (a data set's name, copies of its held-out pictures, (N, C, H, W) in [0, 1])


@dataclass(frozen=True)
class Shared:
    """The controls at the top of the tab, which the views follow."""

    checkpoint: gr.Dropdown
    seed: gr.Number          # of the grid's first picture
    chosen: gr.Number        # the seed of the picture that was clicked
    ends: Sequence[gr.components.Component]      # the seeds A and B as texts; "" where none was marked
    real: Reals              # where real pictures come from


@dataclass(frozen=True)
class Piece:
    """What a view adds to the tab's state: its fields in the URL, and the live views that follow the controls."""

    fields: Sequence[Field] = ()
    views: Sequence[View] = ()


# ---- how a query is read ---------------------------------------------------------------------------------------


def model(query: Mapping[str, str]) -> Checkpoint:
    """The GAN a query names."""
    from .. import sample

    return sample.load(query.get("checkpoint"))


def seed(query: Mapping[str, str], name: str = "seed") -> int:
    return inputs.seed(inputs.parsed(query.get(name)))


def number(query: Mapping[str, str], name: str, low: int, high: int) -> int:
    """A whole number of a query."""
    return inputs.integer(name, inputs.parsed(query.get(name)), low, high)


def needed(query: Mapping[str, str], name: str) -> str:
    """A text of a query that must be there, though it may be empty."""
    if not isinstance(query.get(name), str):
        inputs.numbers_in(name, None, 1, 0, 0)                # refused as anything else that is none
    return query[name]


def latent(checkpoint: Checkpoint, number: int) -> Tensor:
    """z (D,) of a seed."""
    from .. import sample

    return sample.latents(checkpoint, [number])[0]


def real_pictures(checkpoint: Checkpoint, lent: Lent | None = None) -> Real:
    """Real pictures of the kind that a model learnt from. No repository may hold them: where the data set is not on this machine either,
    there may be copies. Raises `PlaygroundError` where there is neither."""
    from ...core import datasets

    name = checkpoint.config["dataset"]
    if datasets.present(name):
        found = Real(datasets.load(name, "test").images, False)
    elif lent and (kept := lent())[0] == name:
        found = Real((255 * kept[1]).round().byte(), True)
    else:
        raise PlaygroundError("gan.absent", name=name)
    if tuple(found.pictures.shape[1:]) != checkpoint.model.shape:
        raise PlaygroundError("gan.absent", name=name)
    return found


# ---- how things look -------------------------------------------------------------------------------------------


def if_copies(view: str) -> str:
    """A sentence that stands where a view's real pictures are copies: its number `copies` says whether."""
    return f'<span class="if"><b data-live="{view}:copies" hidden></b>{both("gan.copies")}</span>'


def judged(checkpoint: Checkpoint) -> bool:
    """Whether our classifier of digits can look at its pictures."""
    from ...core import classifier

    return checkpoint.model.shape == (1, classifier.SIZE, classifier.SIZE)


def share(value: float) -> str:
    """A number in [0, 1] in per cent."""
    return f"{100 * value:.0f} %"
