"""A visitor's own pictures, from a folder or a zip: everything is checked before anything is decoded."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from . import bundles, inputs
from .bundles import File, Limits
from .datasets import ImageSet
from .errors import PlaygroundError, register
from .files import replace
from .images import pack_picture

SIZE_MIN, SIZE_MAX = 8, 256                                   # pixels a side of an imported picture
LUMA = np.array([0.299, 0.587, 0.114])                        # of red, green and blue (ITU-R BT.601)

register({
    "images.kept": (
        "The pictures kept for this run are damaged; start a new run with them.",
        "为这个训练任务保存的图片已损坏；请用这些图片重新开始一个任务。",
    ),
    "images.none": (
        "“{name}” holds no pictures; at least one PNG, JPEG, WebP, GIF or BMP file was expected.",
        "“{name}”中没有图片；至少应有一个 PNG、JPEG、WebP、GIF 或 BMP 文件。",
    ),
})


def from_folder(path: str | os.PathLike[str], size: int, *, limits: Limits = Limits()) -> ImageSet:
    """The pictures in a folder and its sub-folders, uint8 (N, 3, size, size), or (N, 1, size, size) if all are grey.

    Each is composited on white, turned upright by its EXIF tag, resized until the short side fits and cropped to the
    centre. Sub-folders' names are the classes if there are several and each picture is in one. Hidden files and other
    kinds of file are skipped. Raises `PlaygroundError` for broken pictures, links that lead out, and beyond `limits`.
    """
    path = Path(path)
    return _import(path.resolve().name, bundles.folder(path, bundles.is_picture, limits), size, limits)


def from_zip(path: str | os.PathLike[str], size: int, *, limits: Limits = Limits()) -> ImageSet:
    """Like `from_folder`, for a zip; nothing is written to disk. Zip bombs and paths that climb out are refused too."""
    path = Path(path)
    with bundles.zipped(path, bundles.is_picture, limits) as files:
        return _import(path.stem, files, size, limits)


def one(path: str | os.PathLike[str], size: int, *, limits: Limits = Limits()) -> np.ndarray:
    """One picture file, uint8 (size, size, 3), prepared like those of a folder. Raises `PlaygroundError` as they do."""
    path = Path(path)
    file = File(path.name, path.stat().st_size if path.is_file() else 0, partial(bundles.read_file, path))
    bundles.check_total([file], path.name, 0, limits)
    [picture] = bundles.opened([file], path.name, limits)
    return _decode(picture, file, inputs.integer("size", size, SIZE_MIN, SIZE_MAX))


@contextmanager
def taken(path: str | os.PathLike[str]) -> Iterator[None]:
    """While an uploaded file is looked at; afterwards it is deleted, whatever became of it."""
    try:
        yield
    finally:
        Path(path).unlink(missing_ok=True)


def packed(path: str | os.PathLike[str], channels: int, size: int) -> str:
    """One picture file as text for a URL (images.pack_picture), cut to a model's size, grey where its pictures are. Raises as `one` does."""
    picture = one(path, size)
    if channels == 1:
        picture = (picture @ LUMA).round().clip(0, 255).astype(np.uint8)
    return pack_picture(picture)


def save(path: Path, images: ImageSet) -> None:
    """Keep a set as one safetensors file. Raises OSError where the disk refuses."""
    import safetensors.torch

    tensors = {"images": images.images} | ({} if images.labels is None else {"labels": images.labels})
    text = json.dumps({"name": images.name, "classes": images.classes})
    replace(path, safetensors.torch.save(tensors, {"json": text}))


def restore(path: Path) -> ImageSet:
    """What `save` kept."""
    import safetensors

    try:
        with safetensors.safe_open(path, "pt") as file:
            meta = json.loads(file.metadata()["json"])
            images = file.get_tensor("images")
            labels = file.get_tensor("labels") if "labels" in file.keys() else None
    except Exception as error:                                # whatever a damaged file leads to
        raise PlaygroundError("images.kept") from error
    return ImageSet(meta["name"], images, labels, tuple(meta["classes"]))


def _import(name: str, files: list[File], size: int, limits: Limits) -> ImageSet:
    """Check all headers, then read and decode one file after the other."""
    size = inputs.integer("size", size, SIZE_MIN, SIZE_MAX)
    if not files:
        raise PlaygroundError("images.none", name=name)
    bundles.check_total(files, name, 3 * size**2 * len(files), limits)
    images = np.empty((len(files), 3, size, size), dtype=np.uint8)
    for image, file, picture in zip(images, files, bundles.opened(files, name, limits)):
        image[:] = _decode(picture, file, size).transpose(2, 0, 1)
    grey = (images[:, :1] == images).all()
    labels, classes = _labels([file.name for file in files])
    return ImageSet(name, torch.from_numpy(images[:, :1].copy() if grey else images), labels, classes)


def _decode(picture: Image.Image, file: File, size: int) -> np.ndarray:
    """uint8 (size, size, 3)."""
    with bundles.decoding(file):
        picture.draft("RGB", (2 * size, 2 * size))            # large JPEGs are decoded at a half, quarter or eighth
        picture = bundles.eight_bits(ImageOps.exif_transpose(picture))
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture.convert("RGBA"))
        return np.asarray(ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.BICUBIC))


def _labels(files: list[str]) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels from paths such as "cat/1.png", once folders common to all ("my_set/") are taken off; else (None, ())."""
    paths = [PurePosixPath(file).parts for file in files]
    while all(len(path) > 1 and path[0] == paths[0][0] for path in paths):
        paths = [path[1:] for path in paths]
    classes = sorted({path[0] for path in paths})
    if any(len(path) != 2 for path in paths) or len(classes) < 2:
        return None, ()
    number = {title: i for i, title in enumerate(classes)}
    return torch.tensor([number[path[0]] for path in paths]), tuple(classes)
