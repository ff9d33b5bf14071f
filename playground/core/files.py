"""Files that are whole or not there, whenever the process is killed; a lock that dies with its holder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a reader, even after a kill or a power cut, finds the old file or the new one.

    A kill may leave `.<name>.<pid>.part` behind; `sweep` removes such. Raises OSError (a full disk, no permission).
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())                           # the bytes must be on the disk before the name is
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def rename(source: Path, target: Path) -> None:
    """`os.replace`, and the new name is on the disk when this returns."""
    os.replace(source, target)
    _sync(target.parent)


def sweep(folder: Path) -> None:
    """Remove what a killed `replace` left in `folder`; call it while holding the lock that its writers hold."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold an advisory lock on `path` (a folder, or a file that is made when missing); the system frees it at death.

    With `wait=False` raises BlockingIOError where another process, or another call in this one, holds it.
    """
    import fcntl                                              # not on Windows, where only training needs it

    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
