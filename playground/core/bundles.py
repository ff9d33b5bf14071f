"""The files of a folder or zip that a stranger made: listed, read and decoded within limits, never unpacked to the disk."""

import io
import math
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from .errors import PlaygroundError, register

# Raster formats with decoders that read no other file and start no program.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")

register({
    "images.folder": (
        "There is no folder “{name}” that can be read; give a folder of pictures.",
        "找不到可读取的文件夹“{name}”；请指定一个图片文件夹。",
    ),
    "images.zip": (
        "“{name}” is not a zip file that can be read; pack the pictures as an ordinary zip and try again.",
        "“{name}”不是可读取的 zip 文件；请把图片打包成普通的 zip 后重试。",
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
class File:
    name: str                                                 # path inside the folder or zip, with "/"
    bytes: int                                                # unpacked, as the headers say
    read: Callable[[int], bytes]                              # at most so many bytes of it, whatever the headers say


def folder(path: Path, wanted: Callable[[str], bool], limits: Limits = Limits()) -> list[File]:
    """The wanted files of a folder and its sub-folders, in the order of their names; hidden ones are skipped.

    wanted: of a path inside. Raises `PlaygroundError` for links that lead out, and beyond `limits.files`.
    """
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        raise PlaygroundError("images.folder", name=path.name)
    name = path.resolve().name
    files = []
    for file in _walk(path, name, wanted):
        files.append(file)
        if len(files) > limits.files:                         # a disk of a million files is not listed to the end
            break
    return _checked(files, name, limits)


@contextmanager
def zipped(path: Path, wanted: Callable[[str], bool], limits: Limits = Limits()) -> Iterator[list[File]]:
    """Like `folder`, for a zip, which is open as long as the block lasts. Zip bombs and paths that climb out are refused too."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:                                # a stranger's bytes: zipfile raises many kinds of error
        raise PlaygroundError("images.zip", name=path.name) from error
    with archive:
        files = []
        for info in archive.infolist():
            check_path(info.filename, path.name)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise PlaygroundError("images.path", file=info.filename, name=path.name)
            if info.is_dir() or _hidden(info.filename) or not wanted(info.filename):
                continue
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise PlaygroundError("images.packed", file=base(info.filename))
            if info.file_size > limits.ratio * max(info.compress_size, 1):
                raise PlaygroundError("images.ratio", file=base(info.filename), limit=limits.ratio)
            read = partial(_read_entry, archive, info)
            files.append(File(info.filename, info.file_size, read))
        yield _checked(files, path.stem, limits)


def check_path(file: str, name: str) -> None:
    """Nothing is ever extracted, so a path out of `name` could do no harm; but its maker meant harm, or will lose files."""
    if file.startswith("/") or "\\" in file or re.match("[A-Za-z]:", file) or ".." in file.split("/"):
        raise PlaygroundError("images.path", file=file, name=name)


def check_total(files: Sequence[File], name: str, tensor: int, limits: Limits) -> None:
    """Whether the headers of the files that will be read, and the bytes of what becomes of them, are within limits."""
    for file in files:
        _check_bytes(file, file.bytes, limits)
    if max(sum(file.bytes for file in files), tensor) > limits.bytes_total:
        raise PlaygroundError("images.total", name=name, limit=millions(limits.bytes_total))


def opened(files: Sequence[File], name: str, limits: Limits) -> Iterator[Image.Image]:
    """One picture after the other, its header read and no pixel decoded; all that was really read counts too."""
    pixels, read = 0, 0
    for file in files:
        data = content(file, limits)
        read += len(data)
        if read > limits.bytes_total:                         # a zip's headers can lie, and a folder's files can grow
            raise PlaygroundError("images.total", name=name, limit=millions(limits.bytes_total))
        picture = _open(data, file, limits)
        pixels += math.prod(picture.size)
        if pixels > limits.pixels_total:
            raise PlaygroundError("images.pixels_total", name=name, limit=millions(limits.pixels_total))
        yield picture


def content(file: File, limits: Limits = Limits()) -> bytes:
    """All of a file."""
    try:
        data = file.read(limits.bytes_per_file + 1)           # one more than allowed shows that there is more
    except Exception as error:                                # a stranger's bytes: zlib, zipfile, the disk
        raise PlaygroundError("images.broken", file=base(file.name)) from error
    _check_bytes(file, len(data), limits)
    return data


@contextmanager
def decoding(file: File) -> Iterator[None]:
    """What decoders raise for a stranger's bytes, as one sentence."""
    try:
        yield
    except Exception as error:                                # many kinds
        raise PlaygroundError("images.broken", file=base(file.name)) from error


def eight_bits(picture: Image.Image) -> Image.Image:
    """A picture with 8 bits a channel."""
    if picture.mode.startswith("I"):                          # 16-bit grey: PIL would clip it to 255, not scale it
        return Image.fromarray((np.asarray(picture, dtype=np.int64).clip(0, 2**16 - 1) >> 8).astype(np.uint8))
    return picture


def is_picture(file: str) -> bool:
    return PurePosixPath(file).suffix.lower() in SUFFIXES


def base(file: str) -> str:
    return PurePosixPath(file).name


def millions(count: int) -> str:
    return f"{count / 1e6:g}"


def read_file(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, count: int) -> bytes:
    with archive.open(info) as file:
        return file.read(count)


def _walk(root: Path, name: str, wanted: Callable[[str], bool]) -> Iterator[File]:
    inside = root.resolve()
    for folder, folders, files in os.walk(root):              # does not follow linked folders
        for entry in (Path(folder) / each for each in (*folders, *files)):
            relative = entry.relative_to(root).as_posix()
            if _hidden(relative) or not (entry.is_dir() or wanted(relative)):
                continue
            # realpath, because resolve() raises on a link that leads to itself
            if entry.is_symlink() and not Path(os.path.realpath(entry)).is_relative_to(inside):
                raise PlaygroundError("images.path", file=entry.name, name=name)
            if entry.is_file():                               # not a pipe or a device, which might never end
                yield File(relative, entry.stat().st_size, partial(read_file, entry))


def _hidden(file: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(file).parts)


def _checked(files: list[File], name: str, limits: Limits) -> list[File]:
    if len(files) > limits.files:
        raise PlaygroundError("images.files", name=name, limit=limits.files)
    return sorted(files, key=lambda file: file.name)


def _check_bytes(file: File, count: int, limits: Limits) -> None:
    if count > limits.bytes_per_file:
        raise PlaygroundError("images.bytes", file=base(file.name), limit=millions(limits.bytes_per_file))


def _open(data: bytes, file: File, limits: Limits) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PlaygroundError("images.pixels", file=base(file.name), limit=millions(limits.pixels)) from error
    except Exception as error:                                # a stranger's bytes: decoders raise many kinds of error
        raise PlaygroundError("images.broken", file=base(file.name)) from error
    if math.prod(picture.size) > limits.pixels:
        raise PlaygroundError("images.pixels", file=base(file.name), limit=millions(limits.pixels))
    return picture
