"""A file is whole or not there, and a lock dies with its last holder, whichever process that is."""

import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from playground.core import files

ROOT = Path(__file__).resolve().parents[2]
HOLD = "import sys, time; from pathlib import Path; from playground.core import files; files.lock(Path(sys.argv[1])); print(1, flush=True); time.sleep(600)"


@contextmanager
def process(code, *arguments, **options):
    """Another Python that has printed its first line; killed at the end."""
    other = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, **options)
    try:
        other.stdout.readline()
        yield other
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


def released(path, seconds=20):
    end = time.monotonic() + seconds
    while files.held(path) and time.monotonic() < end:
        time.sleep(0.005)
    return not files.held(path)


# ---- the lock --------------------------------------------------------------------------------------------------


def test_a_lock_keeps_another_process_out_until_it_is_killed(tmp_path):
    path = tmp_path / "lock"
    assert not files.held(path)
    with process(HOLD, path) as other:
        assert files.held(path)
        with pytest.raises(BlockingIOError):
            files.lock(path, patience=0)
        other.send_signal(signal.SIGKILL)
        other.wait()
        os.close(files.lock(path, patience=0))
    assert not files.held(path)


def test_a_lock_keeps_out_the_same_process_too(tmp_path):
    handle = files.lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        files.lock(tmp_path / "lock", patience=0)
    os.close(handle)
    os.close(files.lock(tmp_path / "lock", patience=0))


def test_a_lock_handed_to_a_child_lives_as_long_as_the_child(tmp_path):
    path = tmp_path / "lock"
    handle = files.lock(path)
    with process("import time; print(1, flush=True); time.sleep(600)", pass_fds=[handle]):
        os.close(handle)
        assert files.held(path), "our copy is closed, the child's is not"
        with pytest.raises(BlockingIOError):
            files.lock(path, patience=0)
    assert released(path)


def test_a_lock_is_not_handed_on_unasked(tmp_path):
    handle = files.lock(tmp_path / "lock")
    with process("import time; print(1, flush=True); time.sleep(600)"):
        os.close(handle)
        assert released(tmp_path / "lock")


def test_looking_at_a_lock_neither_takes_it_nor_makes_it(tmp_path):
    assert not files.held(tmp_path / "none" / "lock") and not list(tmp_path.iterdir())
    (tmp_path / "lock").touch()
    for _ in range(100):
        assert not files.held(tmp_path / "lock")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    files.held(tmp_path / "lock")
    assert not before or len(os.listdir("/proc/self/fd")) == before, "an open file is left"


def test_a_look_at_the_wrong_moment_is_waited_for_and_no_lock_for_another_look(tmp_path):
    look = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDONLY | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_SH)
print(1, flush=True)
time.sleep(0.3)
"""
    with process(look, tmp_path / "lock"):
        assert not files.held(tmp_path / "lock")
        os.close(files.lock(tmp_path / "lock", patience=20))


# ---- whole or not there ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(call, tmp_path, monkeypatch):
    files.replace(tmp_path / "file", b"old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError):
        files.replace(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_keeps_its_bytes_when_the_first_is_replaced(links, tmp_path, monkeypatch):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "Operation not permitted")))
    state, best = tmp_path / "state", tmp_path / "best"
    best.write_bytes(b"older")
    files.replace(state, b"good")
    files.link(state, best)
    assert best.samefile(state) == links and best.read_bytes() == b"good"
    files.replace(state, b"worse")
    assert (state.read_bytes(), best.read_bytes()) == (b"worse", b"good")
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_kill_left_is_swept_and_nothing_else(tmp_path):
    for name in (".state.123.part", ".best.9.part", "state", ".hidden", "a.part"):
        (tmp_path / name).write_bytes(b"")
    files.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"state", ".hidden", "a.part"}
    files.sweep(tmp_path / "none")
