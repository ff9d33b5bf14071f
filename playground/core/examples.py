"""The picture a visitor brings to a model that encodes: drawn on the pad, uploaded, or one of ten to pick from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import images
from .errors import PlaygroundError

if TYPE_CHECKING:
    from torch import Tensor

    from .checkpoints import Checkpoint

EXAMPLES = 10                # examples to pick from: drawn digits; a model of anything else carries the codes of held-out pictures, and shows their decodes
NAMED = re.compile("e[0-9]")         # "e3" is example 3
LONGEST = 8192               # characters of an uploaded picture as text: those of 32x32 pixels in colour take half


def joined(drawn: object, instead: object) -> object:
    """The visitor's picture as one text, as a live view's query holds it: "<drawing of the pad>,<what is shown instead, or nothing>"."""
    return f"{drawn},{instead}" if isinstance(instead, str) and instead else drawn


def restored(text: str) -> str:
    """What is shown instead of the drawing, as it stands in the URL; whether it fits the model is checked where it is shown."""
    if text and not NAMED.fullmatch(text) and (len(text) > LONGEST or not text.startswith("p")):
        images.unpack_picture(text, 1, 1)                     # refuses it
    return text


@dataclass(frozen=True)
class Examples:
    """Those of a family whose models encode pictures: every checkpoint that does not draw digits carries codes of its own."""

    units: Callable[[Checkpoint], int]                        # numbers of a code
    decode: Callable[[Checkpoint, Tensor], Tensor]            # codes as they are kept (N, units) -> (N, C, H, W) in [0, 1]

    def kept(self, checkpoint: Checkpoint) -> bool:
        """Whether a model carries codes of examples of its own."""
        codes = checkpoint.derived.get("example_codes")
        return codes is not None and codes.shape == (EXAMPLES, self.units(checkpoint))

    def pictures(self, checkpoint: Checkpoint) -> Tensor:
        """(EXAMPLES, C, H, W) in [0, 1]: what the model makes of held-out ones, else drawn digits.

        Of the held-out ones the checkpoint carries the codes alone: whoever picks one encodes its decode.
        """
        import torch

        if self.kept(checkpoint):
            return self.decode(checkpoint, checkpoint.derived["example_codes"])
        shape = checkpoint.model.config
        digits = [images.centred(images.unpack_drawing(images.digit(i)), shape.size) for i in range(EXAMPLES)]
        return torch.stack(digits).expand(-1, shape.channels, -1, -1)

    def holds(self, checkpoint: Checkpoint, picture: str) -> bool:
        """Whether a picture that is shown instead of the drawing is one of the model's own kind."""
        if NAMED.fullmatch(picture):
            return self.kept(checkpoint)
        try:
            images.unpack_picture(picture, checkpoint.model.config.channels, checkpoint.model.config.size)
            return True
        except PlaygroundError:
            return False

    def read(self, checkpoint: Checkpoint, text: object, stands_in: bool = False) -> Tensor:
        """The visitor's picture (see `joined`) as the model sees pictures, (C, H, W) in [0, 1].

        Instead of the drawing: an upload as images.pack_picture writes it, or "e3" for example 3, of the model's own. stands_in: the model
        may not be the chosen one; if that picture is of another kind, it takes the drawing, or where there is none an example of its own.
        """
        shape = checkpoint.model.config
        drawn, _, picture = text.partition(",") if isinstance(text, str) else (text, "", "")
        if stands_in and not self.holds(checkpoint, picture) and (drawn or not NAMED.fullmatch(picture)):
            picture = ""
        if NAMED.fullmatch(picture):
            return self.pictures(checkpoint)[int(picture[1:])]
        if picture:
            return images.picture(picture, shape.channels, shape.size)
        return images.centred(images.unpack_drawing(drawn), shape.size).expand(shape.channels, -1, -1)
