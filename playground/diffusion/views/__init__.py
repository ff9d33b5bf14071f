"""The tab's views, one file each: what it shows, what it asks the models for, how it is wired. `build(shared)` lays one out.

What they have in common is here: the controls at the top of the tab, and how a live view's query, all of it hostile, is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr

from ...core import images, inputs
from ...core.errors import PlaygroundError, register
from ...ui.live import View
from ...ui.state import Field

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

EXAMPLE = 3                  # the digit that stands for a picture until the visitor brings one
ANY = "any"                  # the class that asks for none
SOURCE_MAX = 8192            # characters of a picture as text: those of 32x32 pixels in colour take half
OWN_KEPT = 64                # of a model's samples, those that were asked for: a picture is dragged through many frames

register({
    "diffusion.time": (
        "t is {found}; this model's noise has the steps 1 to {expected}: choose one of them.",
        "t 的值是 {found}；该模型的噪声步为 1 到 {expected}：请从中选择。",
    ),
})


@dataclass(frozen=True)
class Shared:
    """The controls at the top of the tab, which several views follow."""

    checkpoint: gr.Dropdown
    seed: gr.Number
    y: gr.Dropdown           # ANY, or a class's name
    source: gr.Textbox       # the visitor's picture as text, see `picture`; not in sight


@dataclass(frozen=True)
class Piece:
    """What a view adds to the tab's state: its fields in the URL, and the live views that follow the controls."""

    fields: Sequence[Field] = ()
    views: Sequence[View] = ()
    described: Sequence[Any] = ()             # sliders over t, whose end is the model's T
    limited: Sequence[Any] = ()               # sliders over steps, which end at T at the latest
    cleared: Sequence[Any] = ()               # texts that mean something to one model only


def model(query: Mapping[str, str]) -> Checkpoint:
    """The U-Net a query names."""
    from .. import sample

    return sample.load_unet(query.get("checkpoint"))


def seed(query: Mapping[str, str]) -> int:
    return inputs.seed(inputs.parsed(query.get("seed", "0")))


def label(checkpoint: Checkpoint, text: Any) -> int | None:
    """The class a control names, by its index; None for any."""
    if text in (None, "", ANY):
        return None
    if not checkpoint.model.config.classes:
        raise PlaygroundError("diffusion.class", name=checkpoint.name)
    return int(inputs.choice("class", text, [str(y) for y in range(checkpoint.model.config.classes)]))


def moment(checkpoint: Checkpoint, value: Any, low: int = 1) -> int:
    """A time low..T; any other is refused, for another time would be another answer."""
    T = checkpoint.model.config.T
    try:
        return inputs.integer("t", inputs.parsed(value), low, T)
    except PlaygroundError:
        found = value if isinstance(value, (int, float, str)) and len(str(value)) < 20 else type(value).__name__
        raise PlaygroundError("diffusion.time", found=found, expected=T) from None


def picture(checkpoint: Checkpoint, text: Any) -> Tensor:
    """The picture x_0 (1, C, H, W) in [-1, 1] that the shared `source` stands for.

    "": a drawn digit, or for a model of other pictures one of its own samples. "s<seed>": a sample. "p<base64>": pixels.
    Anything else: a drawing of the pad.
    """
    from ...core import procedural

    config = checkpoint.model.config
    if text is None or text == "":
        if config.channels > 1:
            return own(checkpoint, 0)
        return 2 * (procedural.render_glyph(EXAMPLE, size=config.size).float() / 255)[None] - 1
    if isinstance(text, str) and text.startswith("s") and len(text) <= 11:
        return own(checkpoint, inputs.seed(inputs.parsed(text[1:])))
    if isinstance(text, str) and text.startswith("p"):
        return 2 * images.picture(text, config.channels, config.size)[None] - 1
    return 2 * images.centred(images.unpack_drawing(text), config.size).expand(config.channels, -1, -1)[None] - 1


_own: WeakKeyDictionary[Any, dict[int, Tensor]] = WeakKeyDictionary()      # model -> its samples; touched on the inference executor alone


def own(checkpoint: Checkpoint, number: int) -> Tensor:
    """One of the model's own samples, (1, C, H, W) in [-1, 1], of the class that the seed's last digit is."""
    from .. import sample

    kept = _own.setdefault(checkpoint.model, {})
    if number not in kept:
        if len(kept) >= OWN_KEPT:
            kept.clear()
        classes = checkpoint.model.config.classes
        kept[number] = 2 * sample.grid(checkpoint, [number], number % classes if classes else None) - 1
    return kept[number]


def restore_source(text: str) -> list[str]:
    """The shared picture as it stands in the URL: its form is checked here, its fit with the model where it is shown."""
    if len(text) > SOURCE_MAX or text and not text.startswith(("s", "p")):
        images.unpack_drawing(text)                           # refuses what is too long, too
    return [text]


def shown(x: Tensor):
    """x (C, H, W) in [-1, 1] as a uint8 (H, W, 3) tile."""
    from .. import maths

    return images.to_rgb(maths.picture(x))


def noise_map(eps: Tensor, scale: float = 3.0):
    """Noise (C, H, W) as a signed tile: black is 0, orange more, blue less, full colour at +-scale."""
    return images.signed(eps / scale)
