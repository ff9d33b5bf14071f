"""The training process: drive one recipe in a run's folder, write progress, obey stop, save state, resume.

    <run>/config.json         which recipe, with which TrainConfig, by which command
    <run>/metrics.jsonl       one line per reported update: {"step", "seconds", ...metrics}
    <run>/state.safetensors   all that resumes the run, in one file: a kill cannot part its tensors from its numbers
    <run>/status.json         running, stopped, finished or failed, and how far
    <run>/checkpoint/         the finished model
    <run>/lock                held while a worker lives
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from . import families
from .core import checkpoints, device, files, states
from .core.errors import PlaygroundError, register
from .core.recipe import Progress

SAVE_EVERY = 10.0            # seconds between saves: what a kill can cost
REPORT_EVERY = 0.25          # seconds between lines of metrics.jsonl

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
})


@dataclass(frozen=True)
class Status:
    """Where a run stands; status.json holds the same."""

    state: Literal["running", "stopped", "finished", "failed"]
    step: int                                                 # updates done and saved
    steps: int                                                # updates in all
    seconds: float                                            # of training, all sittings together
    metrics: Mapping[str, float] = field(default_factory=dict)       # of the last update
    error: Mapping[str, str] = field(default_factory=dict)    # language -> sentence, where the run failed


def run(name: str, config: Any, folder: Path, report: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None, command: str = "") -> Status:
    """Train recipe `name` in `folder` until it is finished or told to stop, from wherever the folder stands.

    config: the recipe's TrainConfig; a folder begun with another one is refused. report: called a few times a second.
    stop: asked after each update; SIGINT and SIGTERM do the same, a second SIGINT interrupts at once.
    A run stopped and resumed ends with the weights of an unbroken one, bit for bit on the same machine.
    Raises `PlaygroundError` for what a person can mend; what was saved before is kept.
    """
    with _held(folder):
        command = command or f"python -m playground train {name} --config config.json"
        _claim(folder, {"recipe": name, "train": dataclasses.asdict(config), "command": command})
        found = status(folder)
        if found and found.state == "finished" and (folder / "checkpoint" / checkpoints.CONFIG).is_file():
            return found
        sitting = Sitting(name, config, folder)
        try:
            return sitting.train(report or (lambda progress: None), stop or (lambda: False))
        except PlaygroundError as error:
            sitting.fail(error.sentences())
            raise
        except Exception:
            sitting.fail({})                                  # our bug: the log knows more, the page says so
            raise


def status(folder: Path) -> Status | None:
    """What status.json says, or None where there is none. Whether a worker lives is for the lock to say."""
    try:
        return Status(**json.loads((folder / "status.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Sitting:
    """One process's work on a run: from the state it finds to the state it leaves."""

    def __init__(self, name: str, config: Any, folder: Path) -> None:
        self.name, self.config, self.folder = name, config, folder
        self.recipe = families.recipe(name)
        self.command = json.loads((folder / "config.json").read_bytes())["command"]
        self.step, self.seconds, self.metrics = 0, 0.0, {}    # as last saved

    def train(self, report: Callable[[Progress], None], stop: Callable[[], bool]) -> Status:
        import torch

        _repeatable()
        torch.manual_seed(self.config.seed)                   # for what draws without a generator, such as dropout
        state = self.recipe.init(self.config)
        if (self.folder / "state.safetensors").exists():
            self._restore(state)
        with _writing():
            metrics = open(self.folder / "metrics.jsonl", "a+b", buffering=0)
        with metrics, _asked_to_stop(stop) as stopping:
            _cut_back(metrics, self.step)
            self._tell("running")
            if self._updates(state, metrics, report, stopping):
                return self._tell("stopped")
        self._finish(state)
        return self._tell("finished")

    def _updates(self, state: Any, metrics: Any, report: Callable[[Progress], None], stopping: Callable[[], bool]) -> bool:
        """Train to the end or until asked to stop, reporting and saving on the way; True if it was stopped."""
        begun = time.perf_counter() - self.seconds
        reported = saved = time.perf_counter()
        for progress in self.recipe.train(self.config, state, self.recipe.batches(self.config, state.step)):
            for key, value in progress.metrics.items():
                if not math.isfinite(value):
                    raise PlaygroundError("state.diverged", step=progress.step, what=key)
            now = time.perf_counter()
            leaving = stopping()
            saving = leaving or progress.step == progress.steps or now - saved >= SAVE_EVERY
            if saving or now - reported >= REPORT_EVERY:
                line = {"step": progress.step, "seconds": round(now - begun, 3), **progress.metrics}
                with _writing():
                    metrics.write(json.dumps(line).encode() + b"\n")
                report(progress)
                reported = now
            if saving:
                self._save(state, now - begun, progress.metrics)
                self._tell("running")
                saved = time.perf_counter()
            if leaving and progress.step < progress.steps:
                return True
        assert state.step == self.config.steps, f"{self.name} ended at update {state.step} of {self.config.steps}"
        return False

    def _save(self, state: Any, seconds: float, metrics: Mapping[str, float]) -> None:
        with _writing():
            states.save(self.folder / "state.safetensors", state, {"seconds": seconds, "metrics": dict(metrics)})
        self.step, self.seconds, self.metrics = state.step, seconds, dict(metrics)

    def _restore(self, state: Any) -> None:
        found = states.restore(self.folder / "state.safetensors", state)
        self.step, self.seconds, self.metrics = state.step, found["seconds"], found["metrics"]

    def _finish(self, state: Any) -> None:
        import torch

        made = {"seconds": round(self.seconds, 1), "hardware": hardware(), "torch": torch.__version__,
                "date": date.today().isoformat()}
        result = self.recipe.result(self.config, state)
        with _writing():
            checkpoints.save(
                self.folder / "checkpoint", family=self.name, dataset=self.config.dataset, model=result.model,
                train=dataclasses.asdict(self.config), weights=result.weights, derived=result.derived, metrics={},
                command=self.command, made=made)

    def _tell(self, state: str, error: Mapping[str, str] = {}) -> Status:
        now = Status(state, self.step, self.config.steps, self.seconds, self.metrics, error)
        with _writing():
            files.replace(self.folder / "status.json", json.dumps(dataclasses.asdict(now), ensure_ascii=False).encode())
        return now

    def fail(self, error: Mapping[str, str]) -> None:
        """Say in status.json that the run failed, if the disk still allows it."""
        try:
            self._tell("failed", error)
        except PlaygroundError:
            log.warning("the run's folder does not take its status")


# ---- the folder ------------------------------------------------------------------------------------------------


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the run's folder if need be and hold its lock."""
    with ExitStack() as stack:
        with _writing():
            if folder.exists() and not (folder.is_dir() and _is_run(folder)):
                raise PlaygroundError("run.other")
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(files.locked(folder / "lock", wait=False))
            except BlockingIOError:
                raise PlaygroundError("run.busy") from None
            files.sweep(folder)                               # what a killed worker was writing
        yield


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run's, or has nothing in it that a run could spoil."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return isinstance(config, dict) and isinstance(config.get("train"), dict) and {"recipe", "command"} <= config.keys()
    except FileNotFoundError:
        return all(path.name == "lock" or path.name.endswith(".part") for path in folder.iterdir())
    except (OSError, ValueError):
        return False


def _claim(folder: Path, wanted: dict[str, Any]) -> None:
    """Write a new run's config.json; in an older run's folder, refuse settings that are not its own."""
    wanted = json.loads(json.dumps(wanted))                   # as JSON will give it back
    path = folder / "config.json"
    if not path.exists():
        with _writing():
            files.replace(path, json.dumps(wanted, indent=1, ensure_ascii=False).encode())
        return
    found = json.loads(path.read_bytes())
    if found["recipe"] != wanted["recipe"]:
        raise PlaygroundError("run.config", changed=f"recipe {found['recipe']}")
    begun, now = found["train"], wanted["train"]
    changed = [f"{key} {begun.get(key)}" for key in {**begun, **now} if begun.get(key) != now.get(key)]
    if changed:
        raise PlaygroundError("run.config", changed=", ".join(changed))


def _cut_back(file: Any, step: int) -> None:
    """Drop the lines of metrics.jsonl after `step`, and a torn one: their updates are about to be made again."""
    file.seek(0)
    keep = 0
    for line in file.read().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
        except (ValueError, KeyError, TypeError):
            break
        keep += len(line)
    file.truncate(keep)


@contextmanager
def _writing() -> Iterator[None]:
    """What the disk refuses, as one sentence."""
    try:
        yield
    except OSError as error:
        log.warning("the run's folder cannot be written", exc_info=True)
        raise PlaygroundError("run.disk") from error


# ---- the process -----------------------------------------------------------------------------------------------


@contextmanager
def _asked_to_stop(stop: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
    """A function that says whether to stop: because `stop` does, or because SIGINT or SIGTERM came meanwhile."""
    if threading.current_thread() is not threading.main_thread():            # only the main thread may handle signals
        yield stop
        return

    asked = threading.Event()
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        asked.set()
        signal.signal(number, before[number])                 # the second one is not asking

    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked.is_set() or stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _repeatable() -> None:
    """On CUDA, choose algorithms that give the same bits twice; a CPU does so anyway at one number of threads."""
    import torch

    if device.for_("heavy").type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        torch.utils.deterministic.fill_uninitialized_memory = False          # a debugging aid that costs time


def hardware() -> str:
    """The machine that trains, for the model card: the GPU's name, or the CPU's with its cores."""
    import torch

    where = device.for_("heavy")
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    return f"{cpu}, {os.cpu_count()} cores" + (", Apple GPU" if where.type == "mps" else "")
