"""Sets of pictures by name, as one uint8 tensor; endless batches of them by number.

`PLAYGROUND_DATA` (or --data-root) names the folder of the sets torchvision knows.
"""

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from . import inputs, procedural
from .errors import PlaygroundError, register

BUILT_IN = ("glyphs", "shapes")
_TORCHVISION = {                                              # name -> (class, its folder below the data root)
    "mnist": ("MNIST", "MNIST"),
    "fashion-mnist": ("FashionMNIST", "FashionMNIST"),
    "kmnist": ("KMNIST", "KMNIST"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py"),
}
_ZIPS = {"noto-emoji": ("noto_emoji_72px.zip", 32)}          # name -> (a zip in the data root, pixels on a side): never downloaded
NAMES = (*_TORCHVISION, *BUILT_IN, *_ZIPS)

# The fixed pictures behind load(): (number, seed). The seeds lie beyond inputs.SEED_MAX, so that no stream of
# batches ever trains on a test picture.
_FIXED = {"train": (10_000, 2**40), "test": (2_000, 2**40 + 1)}

BATCH_MAX = 65_536                                            # images
SILENCE = 15.0                                                # seconds a server may say nothing before we give up

register({
    "dataset.absent": (
        "{name} is not complete in the data folder (in “{folder}”) and could not be downloaded now. Connect to the "
        "internet and try again, or name a folder that holds it with --data-root or PLAYGROUND_DATA; if “{folder}” "
        "is damaged, delete it first. These sets work now: {choices}.",
        "数据文件夹中没有完整的 {name}（“{folder}”），现在也无法下载。请联网后重试，或用 --data-root 或 PLAYGROUND_DATA "
        "指定含有它的文件夹；如果“{folder}”已损坏，请先删除。现在可用的数据集：{choices}。",
    ),
    "dataset.unwritable": (
        "{name} could not be downloaded, because the data folder cannot be written ({reason}). Name another folder "
        "with --data-root or PLAYGROUND_DATA. These sets work now: {choices}.",
        "无法下载 {name}：数据文件夹不可写（{reason}）。请用 --data-root 或 PLAYGROUND_DATA 指定另一个文件夹。"
        "现在可用的数据集：{choices}。",
    ),
    "dataset.zip": (
        "{name} is read from {file} in the data folder, which is not there; put it there, or name the folder that holds it with "
        "--data-root or PLAYGROUND_DATA. These sets work now: {choices}.",
        "{name} 需从数据文件夹中的 {file} 读取，但该文件不存在；请放入该文件，或用 --data-root 或 PLAYGROUND_DATA 指定其所在文件夹。"
        "现在可用的数据集：{choices}。",
    ),
    "dataset.own": (
        "The pictures {name} were a visitor's own and are not kept outside their run; train on them again, or choose another set.",
        "{name} 是访客自己的图片，不会在其训练任务之外保留；请重新用它们训练，或选择其他数据集。",
    ),
    "dataset.batch": (
        "{name} has {found} images, a batch was to have {expected}: choose a smaller batch, or add images.",
        "{name} 有 {found} 张图像，而一个批次需要 {expected} 张：请减小批次，或增加图像。",
    ),
})


@dataclass(frozen=True)
class ImageSet:
    """A finite set in memory. Sets by name are shared by everyone who loads them: never write into their tensors."""

    name: str
    images: Tensor                                            # uint8 (N, C, H, W)
    labels: Tensor | None                                     # int64 (N,), indices into `classes`
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    x: Tensor                                                 # float32 (B, C, H, W) in [0, 1], on the CPU
    labels: Tensor | None                                     # int64 (B,)
    indices: Tensor                                           # int64 (B,), of the images in their set or stream


def data_root() -> Path:
    """The folder of torchvision's sets: PLAYGROUND_DATA, or data/ in the project, or shared/data beside the project."""
    if named := os.environ.get("PLAYGROUND_DATA", "").strip():
        return Path(named).expanduser()
    project = Path(__file__).resolve().parents[2]
    candidates = (project / "data", project.parent / "shared" / "data")
    return next((folder for folder in candidates if folder.is_dir()), candidates[0])


# Sets by name

_loaded: dict[tuple[str, str, str], ImageSet] = {}
_locks: dict[tuple[str, str, str], threading.Lock] = {}       # one per set: a long download delays no other set
_downloading = threading.Lock()


def load(name: str, split: Literal["train", "test"] = "train") -> ImageSet:
    """A set of NAMES, kept in memory; one of torchvision's that `data_root()` lacks is downloaded (progress on stderr).

    Raises `PlaygroundError` for an unknown name or split, and for a set that is not there and cannot be downloaded.
    """
    inputs.choice("split", split, ("train", "test"))
    if isinstance(name, str) and is_own(name):
        if name not in _own:
            raise PlaygroundError("dataset.own", name=name)
        return _own[name][split]
    inputs.choice("data set", name, NAMES)
    key = (name, split, str(data_root()))
    with _locks.setdefault(key, threading.Lock()):
        if key not in _loaded:
            _loaded[key] = (_built_in(name, split) if name in BUILT_IN else _from_zip(name, split, Path(key[2])) if name in _ZIPS
                            else _torchvision(name, split, Path(key[2])))
        return _loaded[key]


def present(name: str) -> bool:
    """Whether a set can be had without a download."""
    if is_own(name):
        return name in _own
    if name in BUILT_IN or (name, "train", str(data_root())) in _loaded:
        return True
    if name in _ZIPS:
        return (data_root() / _ZIPS[name][0]).is_file()
    if name not in _TORCHVISION:
        return False
    import torchvision

    try:
        _read(getattr(torchvision.datasets, _TORCHVISION[name][0]), data_root(), "test", download=False)
    except Exception:                                         # missing or damaged
        return False
    return True


# A visitor's own pictures

OWN = "my-"                  # how the names of such sets begin
_own: dict[str, dict[str, ImageSet]] = {}


def is_own(name: str) -> bool:
    """Whether a data set's name is that of a visitor's own pictures."""
    return name.startswith(OWN)


def offer(name: str, images: ImageSet) -> None:
    """Let `load` and `batches` of this process find a visitor's pictures under `name`: every eighth is a test picture."""
    assert is_own(name), name
    _own[name] = {split: _split(name, images, split) for split in ("train", "test")}


def _split(name: str, images: ImageSet, split: str) -> ImageSet:
    """The part of a set that has no split of its own: every eighth picture is a test picture, where there are enough."""
    n = len(images.images)
    test = torch.arange(n) % 8 == 0
    where = torch.ones(n, dtype=torch.bool) if n < 16 else test if split == "test" else ~test
    return ImageSet(name, images.images[where], None if images.labels is None else images.labels[where], images.classes)


def _from_zip(name: str, split: str, root: Path) -> ImageSet:
    """A set that lies in the data root as a zip of pictures."""
    from . import pictures

    file, size = _ZIPS[name]
    if not (root / file).is_file():
        raise PlaygroundError("dataset.zip", name=name, file=file, choices=", ".join(BUILT_IN))
    return _split(name, pictures.from_zip(root / file, size), split)


def _built_in(name: str, split: str) -> ImageSet:
    number, seed = _FIXED[split]
    drawn = _draw(name, number, seed, 0)
    return ImageSet(name, drawn.images, drawn.labels, _classes(name))


def _draw(name: str, number: int, seed: int, start: int) -> procedural.Drawn:
    return {"glyphs": procedural.glyphs, "shapes": procedural.shapes}[name](number, seed, start)


def _classes(name: str) -> tuple[str, ...]:
    return {"glyphs": procedural.GLYPH_CLASSES, "shapes": procedural.SHAPE_CLASSES}[name]


def _torchvision(name: str, split: str, root: Path) -> ImageSet:
    """The set as torchvision reads it, taken whole from `.data` (its picture-by-picture path goes through PIL).

    CIFAR-10's files are pickles, which could run anything. torchvision opens them only after each one's MD5 matched
    the published one; we therefore never read them ourselves, and a file that does not match is refused.
    """
    import torchvision                                        # seconds to import, so only where it is needed

    kind, folder = _TORCHVISION[name]
    open_set = getattr(torchvision.datasets, kind)
    choices = ", ".join(BUILT_IN)
    try:
        found = _read(open_set, root, split, download=False)
    except Exception:                                         # missing: RuntimeError; damaged: EOFError, ...
        try:
            with _downloading, _patience(SILENCE):
                found = _read(open_set, root, split, download=True)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _UNWRITABLE:
                reason = os.strerror(error.errno)             # str(error) would show the server's path
                raise PlaygroundError("dataset.unwritable", name=name, reason=reason, choices=choices) from error
            raise PlaygroundError("dataset.absent", name=name, folder=folder, choices=choices) from error
    images, labels, classes = found
    return ImageSet(name, images, labels, tuple(title.split(" - ")[0] for title in classes))     # "7 - seven" is "7"


_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST)


def _read(open_set: Callable[..., Any], root: Path, split: str, *, download: bool) -> tuple[Tensor, Tensor, list[str]]:
    """uint8 (N, C, H, W), int64 (N,) and the class names."""
    found = open_set(root, train=split == "train", download=download)
    images = torch.as_tensor(found.data)
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    labels = torch.as_tensor(found.targets, dtype=torch.int64)
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images, {len(labels)} labels")
    return images, labels, list(found.classes)


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give up on a server that says nothing for so long: torchvision waits for ever, as behind a silent firewall.

    It offers no time-out of its own, and Python's default one is the only one that reaches its sockets.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


# Batches by number


def batches(name: str | ImageSet, batch_size: int, seed: int, start: int = 0) -> Iterator[Batch]:
    """Endless batches from number `start` on; batch k depends on (name, batch_size, seed, k) alone.

    Built-in sets by name never repeat an image. Finite sets go through epochs, each in an order of its own, dropping
    the last batch where it is incomplete; a set by name is its "train" split. Raises `PlaygroundError` at the call.
    """
    batch_size = inputs.integer("batch_size", batch_size, 1, BATCH_MAX)
    seed = inputs.seed(seed)
    assert start >= 0, start
    if isinstance(name, str) and name in BUILT_IN:
        return _stream(name, batch_size, seed, start)
    images = name if isinstance(name, ImageSet) else load(name)
    if batch_size > len(images.images):
        raise PlaygroundError("dataset.batch", name=images.name, found=len(images.images), expected=batch_size)
    return _epochs(images, batch_size, seed, start)


def _stream(name: str, batch_size: int, seed: int, start: int) -> Iterator[Batch]:
    first = start * batch_size
    while True:
        drawn = _draw(name, batch_size, seed, first)
        yield Batch(_unit(drawn.images.numpy()), drawn.labels, torch.arange(first, first + batch_size))
        first += batch_size


def _epochs(images: ImageSet, batch_size: int, seed: int, start: int) -> Iterator[Batch]:
    pixels = images.images.numpy()
    per_epoch = len(pixels) // batch_size
    epoch, position = divmod(start, per_epoch)
    while True:
        order = _permutation(len(pixels), seed, epoch)
        for i in range(position * batch_size, per_epoch * batch_size, batch_size):
            indices = order[i:i + batch_size]
            labels = None if images.labels is None else images.labels[indices]
            yield Batch(_unit(pixels[indices.numpy()]), labels, indices)
        epoch, position = epoch + 1, 0


def _permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order of an epoch, int64 (n,). Our own arithmetic: no library's release can change a shipped run."""
    return torch.from_numpy(np.argsort(procedural.random_bits(seed, np.arange(n), epoch), kind="stable"))


def _unit(images: np.ndarray) -> Tensor:
    """uint8 to float32 in [0, 1]. In NumPy: PyTorch would wake all its threads for 0.2 ms of work, and where another
    process holds a core they wait for each other (20 ms measured for 128 MNIST images beside a training run)."""
    return torch.from_numpy(images.astype(np.float32) / np.float32(255))
