"""Pictures between tensors, bytes and drawings."""

import base64
import binascii
import io
import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .errors import PlaygroundError, register

if TYPE_CHECKING:
    from torch import Tensor

PAD = 56                     # pixels on a side of a drawing, one bit each: 392 bytes, short enough for a URL
SCALE = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
#                            least to most: "viridis" (S. van der Walt & N. Smith 2015, CC0), even in lightness and safe for the colour-blind
MORE, LESS = np.array([255, 150, 60]), np.array([86, 180, 255])      # the model's colour and the data's, on black
JPEG_QUALITY = 85            # its blocks cannot be seen in a picture that is replaced at once
BOX = 20 / 28                # MNIST fits a digit's longer side into 20 of its 28 pixels (LeCun et al. 1998)

register({
    "image.drawing": (
        "The drawing could not be read: {expected} characters of base64 were expected, {found} came. Draw it again.",
        "无法读取该图画：应为 {expected} 个 base64 字符，实际收到 {found} 个。请重新绘制。",
    ),
    "image.picture": (
        "The picture does not fit the model: {expected} numbers were expected, {found} came. Choose the picture again.",
        "图片与模型不符：应有 {expected} 个数，实际收到 {found} 个。请重新选择图片。",
    ),
    "image.empty": (
        "The drawing is empty: draw a digit first, or pick an example.",
        "画板是空的：请先画一个数字，或选择一个示例。",
    ),
})


def to_uint8(x: "Tensor") -> np.ndarray:
    """(C, H, W) in [0, 1] to uint8 (H, W) for one channel, (H, W, 3) for three, rounded."""
    picture = (x.clamp(0, 1) * 255).round().byte().cpu().numpy()
    return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)


def to_rgb(x: "Tensor") -> np.ndarray:
    """(1 or 3, H, W) in [0, 1] to uint8 (H, W, 3)."""
    return to_uint8(x.expand(3, -1, -1))


def signed(x: "Tensor") -> np.ndarray:
    """A difference (C, H, W) in [-1, 1], averaged over its channels, as uint8 (H, W, 3): black is 0, orange more, blue less."""
    more, less = x.mean(0).clamp(0, 1)[..., None], (-x.mean(0)).clamp(0, 1)[..., None]
    return ((more.numpy() * MORE + less.numpy() * LESS).clip(0, 255)).round().astype(np.uint8)


def mapped(x: "Tensor") -> np.ndarray:
    """Numbers (H, W) from 0 to 1, beyond which all look alike, in the colours of SCALE: uint8 (H, W, 3)."""
    ends = np.array([list(bytes.fromhex(colour[1:])) for colour in SCALE], np.float64)
    at = x.clamp(0, 1).cpu().numpy() * (len(SCALE) - 1)
    return np.stack([np.interp(at, np.arange(len(SCALE)), channel) for channel in ends.T], axis=-1).round().astype(np.uint8)


def strip(x: "Tensor") -> np.ndarray:
    """Pictures side by side: (N, C, H, W) in [0, 1] to uint8 (H, N W) or (H, N W, 3)."""
    return np.concatenate([to_uint8(picture) for picture in x], axis=1)


def beside(*pictures: np.ndarray) -> np.ndarray:
    """uint8 (H, W) or (H, W, 3) tiles side by side in one row (H, n W, 3), as a live view's frame holds them."""
    return np.concatenate([np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture for picture in pictures], axis=1)


def png(picture: np.ndarray) -> bytes:
    """A small picture as PNG: exact, and at 28 pixels smaller and faster than JPEG. uint8 (H, W) or (H, W, 3)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def jpeg(picture: np.ndarray) -> bytes:
    """A picture as JPEG, its colours at full resolution: not exact, but from 100 pixels on several times smaller and quicker
    than PNG. uint8 (H, W) or (H, W, 3)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def pack_drawing(ink: np.ndarray) -> str:
    """A drawing (PAD, PAD), nonzero where there is ink, as base64 text for a URL."""
    return base64.urlsafe_b64encode(np.packbits(ink.astype(bool)).tobytes()).decode().rstrip("=")


def unpack_drawing(text: object) -> np.ndarray:
    """The ink (PAD, PAD) bool of `pack_drawing`'s text. Raises `PlaygroundError` for anything else."""
    expected = -(-PAD * PAD // 8 * 4 // 3)
    if not text:
        raise PlaygroundError("image.empty")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True) if len(text) == expected else b""
    except (binascii.Error, TypeError, ValueError):
        data = b""
    if len(data) != PAD * PAD // 8:
        raise PlaygroundError("image.drawing", expected=expected, found=len(text) if isinstance(text, str) else type(text).__name__)
    return np.unpackbits(np.frombuffer(data, np.uint8)).reshape(PAD, PAD).astype(bool)


@cache
def digit(i: int) -> str:
    """A digit 0 to 9 of the built-in set as `pack_drawing` writes it, straight and a little bold."""
    from . import procedural

    return pack_drawing(procedural.render_glyph(i, size=PAD)[0].numpy() > 127)


def pack_picture(picture: np.ndarray) -> str:
    """A small picture, uint8 (H, W) or (H, W, 3), as text for a URL: "p", then its pixels in base64."""
    return "p" + base64.urlsafe_b64encode(picture.tobytes()).decode().rstrip("=")


def unpack_picture(text: str, channels: int, size: int) -> np.ndarray:
    """The picture (size, size) or (size, size, 3) of `pack_picture`'s text. Raises `PlaygroundError` for anything else."""
    shape = (size, size) if channels == 1 else (size, size, channels)
    count = math.prod(shape)
    try:
        data = base64.b64decode(text[1:] + "=" * (-(len(text) - 1) % 4), altchars=b"-_", validate=True) if len(text) <= 2 + count * 4 // 3 + 3 else b""
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != count:
        raise PlaygroundError("image.picture", expected=f"{channels}×{size}×{size}", found=len(data))
    return np.frombuffer(data, np.uint8).reshape(shape)


def picture(text: str, channels: int, size: int) -> "Tensor":
    """The picture (channels, size, size) in [0, 1] of `pack_picture`'s text. Raises `PlaygroundError` for anything else."""
    import torch

    pixels = torch.from_numpy(unpack_picture(text, channels, size).copy()).float() / 255
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def centred(ink: np.ndarray, size: int) -> "Tensor":
    """A drawing as MNIST prepares its digits (LeCun et al. 1998): fitted into a box, its centre of mass in the middle.

    ink: (H, W), nonzero where there is ink. Returns (1, size, size) in [0, 1]. Raises `PlaygroundError` if it is empty.
    """
    import torch
    from PIL import Image

    rows, columns = np.nonzero(ink)
    if not len(rows):
        raise PlaygroundError("image.empty")
    cut = Image.fromarray(ink[rows.min():rows.max() + 1, columns.min():columns.max() + 1].astype(bool).astype(np.float32))
    scale = BOX * size / max(cut.size)
    fitted = cut.resize([max(1, round(side * scale)) for side in cut.size], Image.Resampling.BOX if scale < 0.5
                        else Image.Resampling.BILINEAR)
    digit = np.asarray(fitted).clip(0, 1)
    mass = digit.sum()
    # Up to the next pixel, not to the nearest: MNIST's own centres of mass lie in [13.5, 14.5), the mean is 14.0.
    y, x = (math.ceil((size - 1) / 2 - (digit.sum(1 - axis) @ np.arange(digit.shape[axis])) / mass) for axis in (0, 1))
    height, width = digit.shape
    y, x = np.clip(y, 0, size - height), np.clip(x, 0, size - width)
    out = torch.zeros(1, size, size)
    out[0, y:y + height, x:x + width] = torch.from_numpy(digit.copy())
    return out
