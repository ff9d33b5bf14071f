"""Start, stop, resume and delete runs, and say what one will cost before it begins; one seam for where it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import checkpoints, files, own, runs
from .errors import PlaygroundError, register
from .runs import Job, Run

WORKER = "playground.worker"             # started as a module of its own: nothing here imports what is above
UPDATES = 0.5                # share of the time a visitor gives that goes into updates, however long on a busy machine the rest takes
OVERHEAD = 1.06              # of the seconds of the updates: saving, reporting, the models that can be used on the way
STEPS_MAX = 1_000_000        # updates, however fast the machine is
SLOWED_SECONDS = 60.0        # for which a measurement beside a run holds
PATIENCE = 120.0             # seconds for an answer of the helper process: a cold disk, a data set being downloaded
KEPT_SECONDS = 24 * 3600     # of a run on a public host: after a day without news it goes
UNUSED_SECONDS = 1800        # of pictures on a public host that no run has taken
UPLOADS = ".pictures"        # in the runs folder: pictures that were looked at and wait for a run

log = logging.getLogger("playground")

register({
    "job.line": (
        "{found} trainings wait already, which is as many as this machine takes; try again when one has ended.",
        "已有 {found} 个训练任务在排队，达到本机上限；请等其中一个结束后再试。",
    ),
    "job.kept": (
        "You keep {found} runs here and {limit} are allowed; delete one, then start again.",
        "您在此保留了 {found} 个训练任务，上限为 {limit} 个；请删除一个后再开始。",
    ),
    "job.disk": (
        "The runs take {found} MB of the {limit} MB that are theirs; delete one, then start again.",
        "训练任务已占用 {found} MB，上限为 {limit} MB；请删除一个后再开始。",
    ),
    "job.lives": (
        "This run trains or waits already; there is nothing to resume.",
        "此训练任务正在训练或排队，无需继续。",
    ),
    "job.finished": (
        "This run is finished; start it again with other settings instead.",
        "此训练任务已完成；请用其他设置重新开始一个。",
    ),
    "job.still": (
        "This run does not train at the moment; there is nothing to stop.",
        "此训练任务目前没有在训练，无需停止。",
    ),
    "job.helper": (
        "The process that measures and trains gave no answer; the page goes on without it, try again in a moment.",
        "负责测量和训练的进程没有回应；页面不受影响，请稍后再试。",
    ),
})


@dataclass(frozen=True)
class Limits:
    """What runs may take; a public host says so before the click."""

    seconds: float           # of training, one run; 0: any
    kept: int                # runs of one visitor; 0: any
    waiting: int             # runs in line, of all visitors
    disk: int                # bytes of all runs
    upload: int              # bytes of a zip of pictures


LOCAL = Limits(seconds=0, kept=0, waiting=16, disk=20_000_000_000, upload=200_000_000)
PUBLIC = Limits(seconds=120, kept=3, waiting=6, disk=1_000_000_000, upload=25_000_000)


def public() -> bool:
    """Whether strangers use this server: on a Space, over a share link, or because PLAYGROUND_PUBLIC says so."""
    return bool(os.environ.get("SPACE_ID") or os.environ.get("PLAYGROUND_PUBLIC"))


def limits() -> Limits:
    return PUBLIC if public() else LOCAL


# ---- where a run executes --------------------------------------------------------------------------------------


class Place(Protocol):
    """Where runs execute. A run's folder is all that the two sides share."""

    def run(self, folder: Path, lock: int) -> None:
        """Let a worker take over the run, and the open file that locks it."""

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The worker's answer to a request of `worker.serve`; raises `PlaygroundError` for a refusal."""

    def leave(self) -> None:
        """The server ends: let its workers save and stop."""


class LocalProcess:
    """Processes of this machine, of the lowest priority and in sessions of their own, so that a worker outlives a killed
    server. One of them has torch imported and waits: a run that begins at once must not pay four seconds for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._helper: tuple[subprocess.Popen, socket.socket] | None = None
        self._workers: list[subprocess.Popen] = []

    def warm_up(self) -> None:
        """Have a process ready."""
        with self._lock:
            self._ready()

    def run(self, folder: Path, lock: int) -> None:
        with self._lock:
            process, connection = self._ready()
            request = json.dumps({"do": "run", "folder": str(folder.resolve())}).encode() + b"\n"
            try:
                socket.send_fds(connection, [request], [lock])
            except OSError:                                   # it died while it waited: a fresh one will do
                self._helper = None
                process, connection = self._ready()
                socket.send_fds(connection, [request], [lock])
            connection.close()
            self._helper = None
            self._workers = [each for each in self._workers if each.poll() is None] + [process]
            with contextlib.suppress(OSError):                # a machine that starts no more processes: this run has its own
                self._ready()                                 # for the next one

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:                                      # one at a time: two measurements would measure each other
            _, connection = self._ready()
            try:
                connection.settimeout(PATIENCE)
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    answer = json.loads(lines.readline())
                connection.settimeout(None)
            except (OSError, ValueError) as error:
                log.warning("the helper process does not answer", exc_info=True)
                self._drop()
                raise PlaygroundError("job.helper") from error
        if "error" in answer:
            raise Refused(answer["error"]) if answer["error"] else PlaygroundError("job.helper")
        return answer

    def leave(self) -> None:
        with self._lock:
            self._drop()
            for process in self._workers:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)       # it saves and stops

    def _ready(self) -> tuple[subprocess.Popen, socket.socket]:
        if self._helper and self._helper[0].poll() is not None:
            self._drop()
        if self._helper is None:
            ours, theirs = socket.socketpair()
            process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [checkpoints.PROJECT, *sys.path]))})
            theirs.close()
            self._helper = process, ours
        return self._helper

    def _drop(self) -> None:
        if self._helper:
            process, connection = self._helper
            connection.close()
            process.kill()
            process.wait()
            self._helper = None


class Refused(PlaygroundError):
    """A refusal that a worker has already put into words."""

    def __init__(self, sentences: Mapping[str, str]) -> None:
        super().__init__("job.helper")
        self._said = dict(sentences)

    def sentence(self, language: str = "en") -> str:
        return self._said.get(language) or super().sentence(language)


place: Place = LocalProcess()


# ---- before the click ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """What a training takes on this machine, measured."""

    update: float            # seconds
    once: float              # seconds of what is done once: data, networks, film, model

    def seconds(self, steps: int) -> float:
        return self.once + steps * self.update * OVERHEAD

    def steps(self, seconds: float) -> int:
        """As many updates as fit, but those of UPDATES of the time at least: a model of one update is no model."""
        return max(1, int(max(seconds - self.once, UPDATES * seconds) / (self.update * OVERHEAD)))


_estimates: dict[str, tuple[Estimate, float]] = {}           # and until when it holds


def estimate(recipe: str, config: Any, pictures: Path | None = None) -> Estimate:
    """Measured by a second of real updates in the helper process; remembered for as long as the server lives, or, if a run
    beside it made it slow, for a moment."""
    train = {**dataclasses.asdict(config), "steps": 10_000, "seed": 0}       # neither changes what an update costs
    key = json.dumps([recipe, train, str(pictures or "")], sort_keys=True)
    measured, until = _estimates.get(key, (None, 0.0))
    if time.monotonic() > until:
        alone = not runs.line(runs.all_runs())
        answer = place.ask({"do": "measure", "name": recipe, "train": train, "pictures": str(pictures.resolve()) if pictures else ""})
        measured = Estimate(answer["update"], answer["once"])
        _estimates[key] = measured, math.inf if alone else time.monotonic() + SLOWED_SECONDS
    return measured


def fitted(recipe: str, config: Any, seconds: float, pictures: Path | None = None) -> tuple[Any, Estimate]:
    """`config` with as many updates as fit into `seconds` on this machine, and what was measured."""
    measured = estimate(recipe, config, pictures)
    return dataclasses.replace(config, steps=min(measured.steps(seconds), STEPS_MAX)), measured


@dataclass(frozen=True)
class Pictures:
    """A visitor's own pictures, or a scene's, looked at and kept until a run takes them."""

    token: str
    name: str                # as a data set: "my-..."
    images: int
    train: int               # how many of them are to train on: the others are test pictures
    channels: int

    @property
    def path(self) -> Path:
        return _pictures_path(self.token)


def look(path: Path, size: int, kind: own.Kind = "pictures") -> Pictures:
    """Check and read a visitor's zip of pictures or of a scene; the zip itself is deleted, whatever is in it."""
    token = secrets.token_hex(8)
    try:
        if path.stat().st_size > limits().upload:
            raise PlaygroundError("images.total", name=path.name, limit=f"{limits().upload / 1e6:g}")
        _sweep()
        _check_disk()
        with runs.writing():
            _pictures_path(token).parent.mkdir(parents=True, exist_ok=True)
        found = place.ask({"do": "look", "path": str(path.resolve()), "size": size, "kind": kind, "out": str(_pictures_path(token).resolve())})
    finally:
        path.unlink(missing_ok=True)
    slug = checkpoints.slug(found["name"])[:32].strip("-") or "pictures"
    pictures = Pictures(token, f"my-{slug}", found["images"], found["train"], found["channels"])
    with runs.writing():
        files.replace(_pictures_path(token).with_suffix(".json"), json.dumps(dataclasses.asdict(pictures)).encode())
    return pictures


def kept(token: str) -> Pictures | None:
    """The pictures of a token, if they are still there."""
    try:
        found = Pictures(**json.loads(_pictures_path(token).with_suffix(".json").read_bytes()))
        return found if found.path.is_file() else None
    except (OSError, ValueError, TypeError):
        return None


def forget(token: str) -> None:
    """Delete a visitor's pictures, a run's own copy apart."""
    for path in (checkpoints.runs_dir() / UPLOADS).glob(f"{token}.*") if token.isalnum() else ():
        path.unlink(missing_ok=True)


def _pictures_path(token: str) -> Path:
    assert token.isalnum(), token
    return checkpoints.runs_dir() / UPLOADS / f"{token}.safetensors"


def _forget_old_pictures() -> None:
    for path in (checkpoints.runs_dir() / UPLOADS).glob("*"):            # a kill may have left a file without its other one
        with contextlib.suppress(OSError):                    # gone meanwhile, or a folder that cannot be written
            if time.time() - path.stat().st_mtime > (UNUSED_SECONDS if public() else KEPT_SECONDS):
                path.unlink()


# ---- a run's life ----------------------------------------------------------------------------------------------


def owner(secret: str) -> str:
    """What a run remembers of the browser that started it."""
    return hashlib.sha256(secret.encode()).hexdigest() if secret else ""


def mine(run: Run, secret: str) -> bool:
    """Whether a visitor may see and steer a run: on a public host only who started it."""
    return not public() or bool(run.job.owner) and secrets.compare_digest(run.job.owner, owner(secret))


def visible(secret: str, recipe: str | None = None) -> list[Run]:
    """The runs a visitor may see, the newest first."""
    return [run for run in runs.all_runs() if mine(run, secret) and recipe in (None, run.recipe)]


def find(name: object, secret: str) -> Run:
    """The run called `name`, if this visitor may see it."""
    run = runs.find(name)
    if not mine(run, secret):
        raise PlaygroundError("run.unknown", name=name)
    return run


def wait(run: Run, everyone: list[Run]) -> float:
    """Seconds until a queued run begins: what those ahead of it still have to train."""
    line = runs.line(everyone)
    ahead = line[:next((i for i, each in enumerate(line) if each.name == run.name), 0)]
    return sum(each.remaining for each in ahead)


def start(recipe: str, config: Any, *, kind: str, command: str, secret: str = "", expected: float = 0.0,
          pictures: Pictures | None = None) -> str:
    """Put a new run in line and return its name. Raises `PlaygroundError` where it may not be started."""
    _sweep()
    everyone, allowed = runs.all_runs(), limits()
    waiting = len(runs.line(everyone))
    if waiting >= allowed.waiting:
        raise PlaygroundError("job.line", found=waiting)
    own = [run for run in everyone if mine(run, secret)]
    if allowed.kept and len(own) >= allowed.kept:
        raise PlaygroundError("job.kept", found=len(own), limit=allowed.kept)
    _check_disk()
    name = f"{checkpoints.slug(f'{recipe}-{config.dataset}-{kind}')[:50].strip('-')}-{secrets.token_hex(4)}"       # and "-best"
    folder = checkpoints.runs_dir() / name
    lock = runs.hold(folder)
    try:
        if pictures:
            with runs.writing():
                files.link(pictures.path, folder / runs.PICTURES)
        runs.claim(folder, recipe, dataclasses.asdict(config), command)
        _hand_over(folder, lock, Job(time.time(), owner(secret), expected, allowed.seconds, pictures.token if pictures else ""))
    except BaseException:
        runs.remove(folder)
        raise
    finally:
        os.close(lock)
    return name


def resume(name: object, secret: str = "") -> None:
    """Put a run that is stopped, interrupted or failed in line again."""
    run = find(name, secret)
    if run.active:
        raise PlaygroundError("job.lives")
    if run.state == "finished":
        raise PlaygroundError("job.finished")
    lock = runs.hold(run.folder)
    try:
        _hand_over(run.folder, lock, dataclasses.replace(run.job, queued=time.time()))
    finally:
        os.close(lock)


def _hand_over(folder: Path, lock: int, job: Job) -> None:
    runs.enqueue(folder, job)
    place.run(folder, lock)


def stop(name: object, secret: str = "") -> None:
    """Ask a run's worker to save and stop, wherever it runs; it does so after the update it is at."""
    run = find(name, secret)
    if not run.active:
        raise PlaygroundError("job.still")
    with runs.writing():
        (run.folder / runs.STOP).touch()


def delete(name: object, secret: str = "", patience: float = 10.0) -> None:
    """Stop a run if need be and delete its folder with all that is in it."""
    run = find(name, secret)
    end = time.monotonic() + patience
    if run.lives:
        with runs.writing():
            (run.folder / runs.STOP).touch()
        while files.held(run.folder / runs.LOCK) and time.monotonic() < end:
            time.sleep(0.05)
    _remove(run)


def _check_disk() -> None:
    """What visitors uploaded counts too, or it would be no limit."""
    taken, limit = runs.size(checkpoints.runs_dir()), limits().disk
    if taken > limit:
        raise PlaygroundError("job.disk", found=f"{taken / 1e6:.0f}", limit=f"{limit / 1e6:.0f}")


def _sweep() -> None:
    """Finish cut-short deletions, drop pictures that no run has taken; on a public host also what a day has passed over."""
    runs.sweep()
    _forget_old_pictures()
    for run in runs.all_runs() if public() else ():
        if not run.lives and time.time() - run.job.queued > KEPT_SECONDS:
            try:
                _remove(run)
            except PlaygroundError:
                log.warning("%s cannot be deleted", run.name)


def _remove(run: Run) -> None:
    if public():
        forget(run.job.pictures)
    lock = runs.hold(run.folder)
    try:
        runs.remove(run.folder)
    finally:
        os.close(lock)
