"""A visitor's own pictures, from a folder or a zip: everything is checked before anything is decoded."""

import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from . import inputs
from .datasets import ImageSet
from .errors import PlaygroundError, register
from .files import replace

SIZE_MIN, SIZE_MAX = 8, 256                                   # pixels a side of an imported picture

# Raster formats with decoders that read no other file and start no program.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")

register({
    "images.kept": (
        "The pictures kept for this run are damaged; start a new run with them.",
        "为这个训练任务保存的图片已损坏；请用这些图片重新开始一个任务。",
    ),
    "images.folder": (
        "There is no folder “{name}” that can be read; give a folder of pictures.",
        "找不到可读取的文件夹“{name}”；请指定一个图片文件夹。",
    ),
    "images.zip": (
        "“{name}” is not a zip file that can be read; pack the pictures as an ordinary zip and try again.",
        "“{name}”不是可读取的 zip 文件；请把图片打包成普通的 zip 后重试。",
    ),
    "images.none": (
        "“{name}” holds no pictures; at least one PNG, JPEG, WebP, GIF or BMP file was expected.",
        "“{name}”中没有图片；至少应有一个 PNG、JPEG、WebP、GIF 或 BMP 文件。",
    ),
    "images.files": (
        "“{name}” holds more than {limit} pictures; leave out the rest.",
        "“{name}”中的图片超过 {limit} 张；请去掉多余的。",
    ),
    "images.bytes": (
        "“{file}” is larger than {limit} MB when unpacked; save it smaller, or leave it out.",
        "“{file}”解压后超过 {limit} MB；请缩小后保存，或去掉它。",
    ),
    "images.total": (
        "The pictures of “{name}” take more than {limit} MB in all; choose fewer, smaller pictures.",
        "“{name}”中的图片总共超过 {limit} MB；请减少数量或缩小图片。",
    ),
    "images.ratio": (
        "“{file}” unpacks to more than {limit} times its packed size, which no picture does; leave it out.",
        "“{file}”解压后超过压缩大小的 {limit} 倍，图片不会如此；请去掉它。",
    ),
    "images.pixels": (
        "“{file}” has more than {limit} million pixels; save it smaller, or leave it out.",
        "“{file}”超过 {limit} 百万像素；请缩小后保存，或去掉它。",
    ),
    "images.pixels_total": (
        "The pictures of “{name}” have more than {limit} million pixels in all; choose fewer, smaller pictures.",
        "“{name}”中的图片总共超过 {limit} 百万像素；请减少数量或缩小图片。",
    ),
    "images.path": (
        "“{file}” in “{name}” points outside it; pack or copy the pictures themselves, with plain names.",
        "“{name}”中的“{file}”指向其外部；请直接打包或复制图片本身，并使用普通文件名。",
    ),
    "images.packed": (
        "“{file}” is locked by a password or packed by a rare method; save the zip in the ordinary way, unlocked.",
        "“{file}”有密码保护，或使用了少见的压缩方法；请以普通方式、不加密码重新打包。",
    ),
    "images.broken": (
        "“{file}” cannot be read as a PNG, JPEG, WebP, GIF or BMP picture: it is damaged, or another kind of file "
        "with a picture's name. Repair it, or leave it out.",
        "“{file}”无法作为 PNG、JPEG、WebP、GIF 或 BMP 图片读取：文件已损坏，或只是借用了图片的扩展名。请修复或去掉它。",
    ),
})


@dataclass(frozen=True)
class Limits:
    """What a folder or zip may cost; checked on what its headers say before anything is unpacked or decoded."""

    files: int = 20_000                                       # pictures
    bytes_per_file: int = 20_000_000                          # unpacked
    bytes_total: int = 500_000_000                            # unpacked, and again as the tensor that comes back
    pixels: int = 25_000_000                                  # of one picture
    pixels_total: int = 5_000_000_000                         # to decode: about a minute of one core
    ratio: int = 200                                          # unpacked to packed bytes of one file


@dataclass(frozen=True)
class _File:
    name: str                                                 # path inside the folder or zip, with "/"
    bytes: int                                                # unpacked, as the headers say
    read: Callable[[int], bytes]                              # at most so many bytes of it, whatever the headers say


def from_folder(path: str | os.PathLike[str], size: int, *, limits: Limits = Limits()) -> ImageSet:
    """The pictures in a folder and its sub-folders, uint8 (N, 3, size, size), or (N, 1, size, size) if all are grey.

    Each is composited on white, turned upright by its EXIF tag, resized until the short side fits and cropped to the
    centre. Sub-folders' names are the classes if there are several and each picture is in one. Hidden files and other
    kinds of file are skipped. Raises `PlaygroundError` for broken pictures, links that lead out, and beyond `limits`.
    """
    root = Path(path)
    if not root.is_dir() or not os.access(root, os.R_OK | os.X_OK):
        raise PlaygroundError("images.folder", name=root.name)
    name = root.resolve().name
    files = []
    for file in _walk(root, name):
        files.append(file)
        if len(files) > limits.files:                         # a disk of a million files is not listed to the end
            break
    return _import(name, files, size, limits)


def one(path: str | os.PathLike[str], size: int, *, limits: Limits = Limits()) -> np.ndarray:
    """One picture file, uint8 (size, size, 3), prepared like those of a folder. Raises `PlaygroundError` as they do."""
    path = Path(path)
    file = _File(path.name, path.stat().st_size if path.is_file() else 0, partial(_read_file, path))
    _check_bytes(file, file.bytes, limits)
    return _decode(_open(_bytes(file, limits), file, limits), file, inputs.integer("size", size, SIZE_MIN, SIZE_MAX))


def save(path: Path, images: ImageSet) -> None:
    """Keep a set as one safetensors file. Raises OSError where the disk refuses."""
    import safetensors.torch

    tensors = {"images": images.images} | ({} if images.labels is None else {"labels": images.labels})
    text = json.dumps({"name": images.name, "classes": images.classes})
    replace(path, safetensors.torch.save(tensors, {"json": text}))


def load(path: Path) -> ImageSet:
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


def _walk(root: Path, name: str) -> Iterator[_File]:
    inside = root.resolve()
    for folder, folders, files in os.walk(root):              # does not follow linked folders
        for entry in (Path(folder) / each for each in (*folders, *files)):
            relative = entry.relative_to(root).as_posix()
            if _hidden(relative) or not (entry.is_dir() or _is_picture(relative)):
                continue
            # realpath, because resolve() raises on a link that leads to itself
            if entry.is_symlink() and not Path(os.path.realpath(entry)).is_relative_to(inside):
                raise PlaygroundError("images.path", file=entry.name, name=name)
            if entry.is_file():                               # not a pipe or a device, which might never end
                yield _File(relative, entry.stat().st_size, partial(_read_file, entry))


def _read_file(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def from_zip(path: str | os.PathLike[str], size: int, *, limits: Limits = Limits()) -> ImageSet:
    """Like `from_folder`, for a zip; nothing is written to disk. Zip bombs and paths that climb out are refused too."""
    path = Path(path)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:                                # a stranger's bytes: zipfile raises many kinds of error
        raise PlaygroundError("images.zip", name=path.name) from error
    with archive:
        files = []
        for info in archive.infolist():
            _check_entry(info, path.name)
            if info.is_dir() or _hidden(info.filename) or not _is_picture(info.filename):
                continue
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise PlaygroundError("images.packed", file=_base(info.filename))
            if info.file_size > limits.ratio * max(info.compress_size, 1):
                raise PlaygroundError("images.ratio", file=_base(info.filename), limit=limits.ratio)
            read = partial(_read_entry, archive, info)
            files.append(_File(info.filename, info.file_size, read))
        return _import(path.stem, files, size, limits)


def _check_entry(info: zipfile.ZipInfo, name: str) -> None:
    """Nothing is ever extracted, so such a name could do no harm; but its maker meant harm, or will lose files."""
    file = info.filename
    climbs = file.startswith("/") or "\\" in file or re.match("[A-Za-z]:", file) or ".." in file.split("/")
    if climbs or stat.S_ISLNK(info.external_attr >> 16):
        raise PlaygroundError("images.path", file=file, name=name)


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, count: int) -> bytes:
    with archive.open(info) as file:
        return file.read(count)


def _hidden(file: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(file).parts)


def _is_picture(file: str) -> bool:
    return PurePosixPath(file).suffix.lower() in SUFFIXES


def _base(file: str) -> str:
    return PurePosixPath(file).name


def _import(name: str, files: list[_File], size: int, limits: Limits) -> ImageSet:
    """Check all headers, then read and decode one file after the other, in the order of their names."""
    size = inputs.integer("size", size, SIZE_MIN, SIZE_MAX)
    if not files:
        raise PlaygroundError("images.none", name=name)
    if len(files) > limits.files:
        raise PlaygroundError("images.files", name=name, limit=limits.files)
    files = sorted(files, key=lambda file: file.name)
    for file in files:
        _check_bytes(file, file.bytes, limits)
    tensor_bytes = 3 * size**2 * len(files)
    if max(sum(file.bytes for file in files), tensor_bytes) > limits.bytes_total:
        raise PlaygroundError("images.total", name=name, limit=_millions(limits.bytes_total))
    images = np.empty((len(files), 3, size, size), dtype=np.uint8)
    pixels, read = 0, 0
    for image, file in zip(images, files):
        data = _bytes(file, limits)
        read += len(data)
        if read > limits.bytes_total:                         # a zip's headers can lie, and a folder's files can grow
            raise PlaygroundError("images.total", name=name, limit=_millions(limits.bytes_total))
        picture = _open(data, file, limits)
        pixels += math.prod(picture.size)
        if pixels > limits.pixels_total:
            raise PlaygroundError("images.pixels_total", name=name, limit=_millions(limits.pixels_total))
        image[:] = _decode(picture, file, size).transpose(2, 0, 1)
    grey = (images[:, :1] == images).all()
    labels, classes = _labels([file.name for file in files])
    return ImageSet(name, torch.from_numpy(images[:, :1].copy() if grey else images), labels, classes)


def _check_bytes(file: _File, count: int, limits: Limits) -> None:
    if count > limits.bytes_per_file:
        raise PlaygroundError("images.bytes", file=_base(file.name), limit=_millions(limits.bytes_per_file))


def _bytes(file: _File, limits: Limits) -> bytes:
    try:
        data = file.read(limits.bytes_per_file + 1)           # one more than allowed shows that there is more
    except Exception as error:                                # a stranger's bytes: zlib, zipfile, the disk
        raise PlaygroundError("images.broken", file=_base(file.name)) from error
    _check_bytes(file, len(data), limits)
    return data


def _open(data: bytes, file: _File, limits: Limits) -> Image.Image:
    """The picture with its header read and no pixel decoded."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PlaygroundError("images.pixels", file=_base(file.name), limit=_millions(limits.pixels)) from error
    except Exception as error:                                # a stranger's bytes: decoders raise many kinds of error
        raise PlaygroundError("images.broken", file=_base(file.name)) from error
    if math.prod(picture.size) > limits.pixels:
        raise PlaygroundError("images.pixels", file=_base(file.name), limit=_millions(limits.pixels))
    return picture


def _decode(picture: Image.Image, file: _File, size: int) -> np.ndarray:
    """uint8 (size, size, 3)."""
    try:
        picture.draft("RGB", (2 * size, 2 * size))            # large JPEGs are decoded at a half, quarter or eighth
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):                      # 16-bit grey: PIL would clip it to 255, not scale it
            picture = Image.fromarray((np.asarray(picture, dtype=np.int64).clip(0, 2**16 - 1) >> 8).astype(np.uint8))
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture.convert("RGBA"))
        return np.asarray(ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.BICUBIC))
    except Exception as error:                                # as above
        raise PlaygroundError("images.broken", file=_base(file.name)) from error


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


def _millions(count: int) -> str:
    return f"{count / 1e6:g}"
