"""Files that are whole or not there, whenever the process is killed; a lock that dies with its holder."""

import math
import os
import time
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


def link(source: Path, target: Path) -> None:
    """Give the file at `source` a second name, over an older `target`: when `source` is replaced, `target` keeps its bytes."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:                                           # a file system without links
        return replace(target, source.read_bytes())
    rename(part, target)


def sweep(folder: Path) -> None:
    """Remove what a killed `replace` left in `folder`; call it while holding the lock that its writers hold."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def lock(path: Path, patience: float = 0.2) -> int:
    """Take an advisory lock on `path` (a folder, or a file that is made when missing) as an open file, for good.

    The system frees it when the last copy of the file is closed, a child's too, at the latest at death. Raises
    BlockingIOError where it is held for longer than `patience` seconds by another process, or elsewhere in this one;
    infinity waits.
    """
    import fcntl                                              # not on Windows, where only training needs it

    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags, 0o644)
    end = time.monotonic() + patience
    try:
        if patience == math.inf:
            fcntl.flock(handle, fcntl.LOCK_EX)
            return handle
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            except BlockingIOError:                           # `held` takes it for a moment when it looks
                if time.monotonic() >= end:
                    raise
                time.sleep(0.01)
    except BaseException:
        os.close(handle)
        raise


@contextmanager
def locked(path: Path, patience: float = math.inf) -> Iterator[None]:
    """Hold `lock` for the length of a block."""
    handle = lock(path, patience)
    try:
        yield
    finally:
        os.close(handle)


def held(path: Path) -> bool:
    """Whether anyone holds the lock on `path` at this moment."""
    import fcntl

    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
