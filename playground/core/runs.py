"""A run is a folder: what stands in it, how it is read, and which of the living ones is whose turn.

    <run>/config.json         which recipe, with which TrainConfig, by which command
    <run>/job.json            who asked for it and when, what it may take: written anew at each start and resume
    <run>/status.json         queued, running, stopped, finished or failed, and how far
    <run>/metrics.jsonl       one line per reported update: {"step", "seconds", ...metrics}
    <run>/previews/<step>.png the training's film: pictures from fixed noise
    <run>/state.safetensors   all that resumes the run, in one file: a kill cannot part its tensors from its numbers
    <run>/best.safetensors    the state whose BEST metric was smallest
    <run>/checkpoint/, best/  the model of the last and of the best state, ready to use
    <run>/pictures.safetensors   a visitor's own pictures
    <run>/log.txt             what the worker printed
    <run>/lock                held while a worker lives, and from the moment of the click
    <run>/stop                asks the worker to save and stop

Everything that anyone shows of a run is read from here, so a reload, a second browser and a restarted server agree.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import checkpoints, files
from .errors import PlaygroundError, register

CONFIG, JOB, STATUS, METRICS, PREVIEWS = "config.json", "job.json", "status.json", "metrics.jsonl", "previews"
STATE, BEST, PICTURES, LOG, LOCK, STOP = "state.safetensors", "best.safetensors", "pictures.safetensors", "log.txt", "lock", "stop"
CHECKPOINT, BEST_CHECKPOINT = "checkpoint", "best"
STATUS_BYTES = 2048          # of status.json, padded: on a full disk it can still be written over
PACE = 3.0                   # seconds of training after which a run's own pace says more than what was expected
POLL = 0.2                   # seconds between looks at whose turn it is

State = Literal["queued", "running", "stopped", "finished", "failed"]

log = logging.getLogger(__name__)

register({
    "run.busy": (
        "This run is already being trained by another process; wait for it, or stop it first.",
        "另一个进程正在训练这个任务；请等待其结束，或先停止它。",
    ),
    "run.other": (
        "This folder already holds something that is not a run; choose another folder.",
        "该文件夹中已有其他内容，不是训练任务；请选择另一个文件夹。",
    ),
    "run.config": (
        "This run was begun with other settings ({changed}); repeat those to resume it, or choose another folder.",
        "这个任务是用不同的设置（{changed}）开始的；请使用原来的设置继续，或选择另一个文件夹。",
    ),
    "run.disk": (
        "The run's folder cannot be written: the disk is full or read-only; what was saved before is kept.",
        "无法写入训练文件夹：磁盘已满或只读；之前保存的内容仍然保留。",
    ),
    "run.unknown": (
        "There is no run “{name}” here that is yours; choose one from the list.",
        "这里没有属于您的训练任务“{name}”；请从列表中选择。",
    ),
})


@dataclass(frozen=True)
class Status:
    """Where a run stands; status.json holds the same."""

    state: State
    step: int                                                 # updates done and saved
    steps: int                                                # updates in all
    seconds: float                                            # of training, all sittings together
    metrics: Mapping[str, float] = field(default_factory=dict)       # of the last update
    error: Mapping[str, str] = field(default_factory=dict)    # language -> sentence, where the run failed or reached a limit
    best: int = 0                                             # update of the best state so far
    sitting: int = 0                                          # how often a worker has sat down to it


@dataclass(frozen=True)
class Job:
    """What whoever started or resumed a run said; job.json holds the same."""

    queued: float = 0.0                                       # when, seconds since 1970: earlier ones train first
    owner: str = ""                                           # SHA-256 of a browser's secret; "" for the command line
    expected: float = 0.0                                     # seconds of training as measured before the start; 0 unknown
    limit: float = 0.0                                        # seconds of training after which it is stopped; 0 never
    pictures: str = ""                                        # token of the visitor's own pictures it trains on


@dataclass(frozen=True)
class Run:
    """A run's folder as it was read."""

    name: str
    folder: Path
    recipe: str
    train: Mapping[str, Any]                                  # fields of its TrainConfig
    command: str
    job: Job
    status: Status
    lives: bool                                               # a worker holds its lock

    @property
    def state(self) -> str:
        """As in Status; "interrupted" where a worker died before it could say how it ended."""
        unended = self.status.state in ("queued", "running")
        return "interrupted" if unended and not self.lives else self.status.state

    @property
    def active(self) -> bool:
        """It trains, or waits for its turn. A worker that has said how it ended lives a moment longer."""
        return self.state in ("queued", "running")

    @property
    def remaining(self) -> float:
        """Seconds of training to go, from its own pace, or before it has one from what was expected."""
        done, status = self.status.seconds, self.status
        if status.step and (done >= PACE or not self.job.expected):
            return done / status.step * (status.steps - status.step)
        return max(0.0, self.job.expected - done)


# ---- reading ---------------------------------------------------------------------------------------------------


def status(folder: Path) -> Status | None:
    """What status.json says, or None where there is none. Whether a worker lives is for the lock to say."""
    return _object(folder / STATUS, Status)


def read(folder: Path) -> Run | None:
    """The run in `folder`, or None where there is none."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        recipe, train, command = config["recipe"], dict(config["train"]), config["command"]
        steps = int(train.get("steps", 0))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    lives = files.held(folder / LOCK)                         # before the status: a worker says how it ended, then lets go
    found = status(folder) or Status("queued", 0, steps, 0.0)
    return Run(folder.name, folder, str(recipe), train, str(command), _object(folder / JOB, Job) or Job(), found, lives)


def all_runs() -> list[Run]:
    """Every run of the runs folder, the newest first."""
    root = checkpoints.runs_dir()
    found = [read(folder) for folder in root.iterdir() if checkpoints.NAME.fullmatch(folder.name)] if root.is_dir() else []
    return sorted(filter(None, found), key=lambda run: (-run.job.queued, run.name))


def find(name: object) -> Run:
    """The run called `name`; raises `PlaygroundError` where there is none."""
    run = read(checkpoints.runs_dir() / checkpoints.check_name(name))
    if run is None:
        raise PlaygroundError("run.unknown", name=name)
    return run


def line(runs: list[Run]) -> list[Run]:
    """The active ones in the order in which they train: the running one, then by the moment they were asked for."""
    return sorted((run for run in runs if run.active), key=lambda run: (run.state != "running", run.job.queued, run.name))


def frames(folder: Path) -> list[int]:
    """The updates of which the film has a frame."""
    names = (path.stem for path in (folder / PREVIEWS).glob("*.png"))
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def size(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:                                       # replaced under our hands
            pass
    return total


def _object(path: Path, kind: type) -> Any:
    try:
        return kind(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


# ---- writing ---------------------------------------------------------------------------------------------------


@contextmanager
def writing() -> Iterator[None]:
    """What the disk refuses, as one sentence."""
    try:
        yield
    except OSError as error:
        log.warning("a run's folder cannot be written", exc_info=True)
        raise PlaygroundError("run.disk") from error


def hold(folder: Path) -> int:
    """Make the run's folder if need be and take its lock: an open file, which a child may inherit; closing it lets go.

    Raises `PlaygroundError` where something else is in the folder, or a worker lives.
    """
    with writing():
        if folder.exists() and not (folder.is_dir() and _is_run(folder)):
            raise PlaygroundError("run.other")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = files.lock(folder / LOCK)
        except BlockingIOError:
            raise PlaygroundError("run.busy") from None
        for each in (folder, folder / PREVIEWS):
            files.sweep(each)                                 # what a killed worker was writing
        return lock


def claim(folder: Path, recipe: str, train: Mapping[str, Any], command: str) -> None:
    """Write a new run's config.json; in an older run's folder, refuse settings that are not its own."""
    wanted = json.loads(json.dumps({"recipe": recipe, "train": train, "command": command}))      # as JSON will give it back
    path = folder / CONFIG
    if not path.exists():
        with writing():
            files.replace(path, json.dumps(wanted, indent=1, ensure_ascii=False).encode())
        return
    found = json.loads(path.read_bytes())
    if found["recipe"] != wanted["recipe"]:
        raise PlaygroundError("run.config", changed=f"recipe {found['recipe']}")
    begun, now = found["train"], wanted["train"]
    changed = [f"{key} {begun.get(key)}" for key in {**begun, **now} if begun.get(key) != now.get(key)]
    if changed:
        raise PlaygroundError("run.config", changed=", ".join(changed))


def enqueue(folder: Path, job: Job) -> None:
    """Say that the run, whose lock the caller holds, waits for its turn from now on."""
    now = status(folder) or Status("queued", 0, int(read(folder).train.get("steps", 0)), 0.0)
    with writing():
        (folder / STOP).unlink(missing_ok=True)
        files.replace(folder / JOB, json.dumps(dataclasses.asdict(job)).encode())
        tell(folder, dataclasses.replace(now, state="queued", error={}))


def tell(folder: Path, now: Status) -> None:
    """Write status.json. On a full disk it is written over where it stands; OSError where even that fails."""
    data = json.dumps(dataclasses.asdict(now), ensure_ascii=False).encode().ljust(STATUS_BYTES)
    try:
        files.replace(folder / STATUS, data)
    except OSError:
        with open(folder / STATUS, "r+b") as file:
            file.write(data)
            file.truncate()


def remove(folder: Path) -> None:
    """Delete a run whose lock the caller holds: at once for every reader, whatever a kill leaves behind."""
    with writing():
        gone = folder.with_name(f".deleted-{folder.name}-{time.time_ns()}")
        files.rename(folder, gone)
        shutil.rmtree(gone, ignore_errors=True)


def sweep() -> None:
    """Finish the deletions that a kill has cut short."""
    for gone in checkpoints.runs_dir().glob(".deleted-*"):
        shutil.rmtree(gone, ignore_errors=True)


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run's, or has nothing in it that a run could spoil."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        return isinstance(config, dict) and isinstance(config.get("train"), dict) and {"recipe", "command"} <= config.keys()
    except FileNotFoundError:
        return all(path.name in (LOCK, PICTURES) or path.name.endswith(".part") for path in folder.iterdir())
    except (OSError, ValueError):
        return False
