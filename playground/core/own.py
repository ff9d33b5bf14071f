"""A visitor's own data of either kind: read from a zip or folder, kept in a file, offered to the recipes of a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .datasets import ImageSet
    from .scenes import Scene

Kind = Literal["pictures", "scene"]


def kind(recipe: Any) -> Kind:
    """What a family's recipe or config says that it trains on; pictures where it says nothing."""
    return getattr(recipe, "OWN", "pictures")


def read(kind: Kind, source: Path, size: int) -> ImageSet | Scene:
    """What is in a zip or folder, `size` pixels a side. Raises `PlaygroundError` for whatever is not as it should be."""
    module = _module(kind)
    return module.from_folder(source, size) if source.is_dir() else module.from_zip(source, size)


def keep(kind: Kind, found: ImageSet | Scene, path: Path) -> None:
    """Put it in a file. Raises OSError where the disk refuses."""
    _module(kind).save(path, found)


def offer(kind: Kind, name: str, path: Path) -> None:
    """Let the recipes of this process find it under `name`. Raises `PlaygroundError` for a file that `keep` has not made."""
    from . import datasets

    module = _module(kind)
    found = module.restore(path)
    (module if kind == "scene" else datasets).offer(name, found)


def summary(kind: Kind, found: ImageSet | Scene) -> dict[str, Any]:
    """Its name, how many pictures, how many of them to train on (see datasets.offer), their channels."""
    if kind == "scene":
        train = len(found.train)
        return {"name": found.name, "images": train + (len(found.held_out) if found.held_out is not found.train else 0), "train": train, "channels": 3}
    n, channels = found.images.shape[:2]
    return {"name": found.name, "images": n, "train": n - -(-n // 8) if n >= 16 else n, "channels": channels}


def _module(kind: Kind) -> Any:
    from . import pictures, scenes                            # they bring torch, for which a page does not wait

    return {"pictures": pictures, "scene": scenes}[kind]
