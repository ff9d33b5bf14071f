"""Which ray the views look at: that of a pixel of the shared camera's picture; and how its colours and numbers travel to the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core import images, inputs
from . import Camera, camera, model

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from ..sample import Rendered

SIDE = 200                   # pixels a side of the picture that is pointed into: a ray goes through the middle of one of them
SAMPLES = (4, 128, 32)       # on a ray: least, most, at the opening
REACH = 1.8                  # of the near and far planes, in half sides of the scene's cube from its middle: a corner is at 1.73
GAP = 0.05                   # between them, at least


@dataclass(frozen=True)
class Chosen:
    """The ray r(t) = o + t d through the middle of a pixel of the shared camera's picture."""

    checkpoint: Checkpoint
    camera: Camera
    pixel: Sequence[float]   # as asked for, to the right and upwards, in [0, 1]
    o: Tensor                # (3,)
    d: Tensor                # (3,), of length 1

    def interval(self, planes: Sequence[float]) -> tuple[float, float]:
        """t at the near and the far plane, given in half sides of the scene's cube from its middle."""
        bound, middle = self.checkpoint.model.bound, self.camera.numbers[2]
        near = max(middle + bound * planes[0], 0.0)
        return near, max(middle + bound * planes[1], near + bound * GAP)

    def exact(self) -> Rendered:
        """The renderer's own answer for this ray, a picture of one pixel."""
        import torch
        from torch.nn import functional as F

        from .. import sample

        right = F.normalize(torch.linalg.cross(self.d, self.camera.pose[:, 1]), dim=0)
        pose = torch.stack([right, torch.linalg.cross(right, self.d), -self.d, self.o], dim=1)       # its middle looks along d
        return sample.render(self.checkpoint, pose, self.camera.field_of_view, 1, 1)


def chosen(query: Mapping[str, str]) -> Chosen:
    """The ray a query names, "pixel=<u>,<v>"."""
    return chosen_at(model(query), camera(query), inputs.numbers_in("pixel", query.get("pixel"), 2, 0, 1))


def chosen_at(checkpoint: Checkpoint, seen: Camera, pixel: Sequence[float]) -> Chosen:
    import torch

    from .. import maths

    u, v = inputs.vector("pixel", pixel, 2, 0, 1)
    at = torch.tensor([min(int((1 - v) * SIDE), SIDE - 1), min(int(u * SIDE), SIDE - 1)])        # row, column
    return Chosen(checkpoint, seen, (u, v), *maths.camera_rays(seen.pose, seen.field_of_view, SIDE, SIDE, at))


def planes_in(query: Mapping[str, str]) -> list[float]:
    return inputs.numbers_in("planes", query.get("planes"), 2, -REACH, REACH)


def samples_in(query: Mapping[str, str]) -> int:
    return inputs.integer("samples", inputs.parsed(query.get("samples")), *SAMPLES[:2])


def swatches(*colours: Tensor) -> np.ndarray:
    """Pictures of one pixel side by side, of colours (3,) in [0, 1]."""
    import torch

    return images.strip(torch.stack([colour.cpu().view(3, 1, 1) for colour in colours]))


def hexes(rgb: Tensor) -> list[str]:
    """Colours (N, 3) in [0, 1] as "rrggbb"."""
    return [bytes(row).hex() for row in (rgb.clamp(0, 1) * 255).round().byte().tolist()]


def triple(vector: Tensor) -> str:
    return "({:.2f}, {:.2f}, {:.2f})".format(*(round(value, 2) + 0.0 for value in vector.tolist())).replace("-", "−")


def rounded(values: Tensor, digits: int) -> list[float]:
    """Short enough for a frame's header."""
    return [round(value, digits) for value in values.tolist()]
