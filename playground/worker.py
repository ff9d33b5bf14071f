"""The training process: drive one recipe in a run's folder (core/runs.py), write progress, obey stop, save, resume.

Started from the command line it trains at once. Started by the server (core/jobs.py) it imports torch, then waits on a
socket: it looks at a visitor's pictures and measures recipes when asked, until it is handed a run and becomes its worker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import math
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from . import families
from .core import checkpoints, device, files, jobs, own, recipe, runs, states
from .core.errors import PlaygroundError, register
from .core.recipe import Progress
from .core.runs import Status

SAVE_EVERY = 10.0            # seconds between saves at most: what a kill can cost; less while a run is young
PUBLISH_EVERY = 5.0          # seconds between models that can be used while it trains, at least
OVERHEAD = 0.05              # share of the time that saving and publishing may take
REPORT_EVERY = 0.25          # seconds between lines of metrics.jsonl; more where a run has become long
LINES = 400                  # about so many lines by then
FRAMES = 48                  # of the film, denser where a training is young
MEASURE = 1.0                # seconds of updates behind an estimate
NICE = 19                    # lowest priority: whoever drags a slider goes first

log = logging.getLogger(__name__)

register({
    "run.limit": (
        "Stopped after {limit} seconds of training, which is the limit here; the model so far can be used.",
        "已训练 {limit} 秒，达到此处的上限，训练已停止；目前的模型可以使用。",
    ),
    "run.pictures": (
        "The pictures of this run are not there any more; start a new run with them.",
        "这个训练任务的图片已不存在；请用这些图片重新开始一个任务。",
    ),
})


def run(name: str, config: Any, folder: Path, report: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None, command: str = "", waiting: Callable[[], None] | None = None) -> Status:
    """Train recipe `name` in `folder` until it is finished or told to stop, from wherever the folder stands.

    config: the recipe's TrainConfig; a folder begun with another one is refused. report: called a few times a second.
    stop: asked after each update; SIGINT and SIGTERM do the same, a second SIGINT interrupts at once; so does a file
    called "stop" in the folder. waiting: called once where another run on this device goes first.
    A run stopped and resumed ends with the weights of an unbroken one, bit for bit on the same machine.
    Raises `PlaygroundError` for what a person can mend; what was saved before is kept.
    """
    lock = runs.hold(folder)
    try:
        command = command or f"python -m playground train {name} --config config.json"
        runs.claim(folder, name, dataclasses.asdict(config), command)
        found = runs.status(folder)
        if found and found.state == "finished" and (folder / runs.CHECKPOINT / checkpoints.CONFIG).is_file():
            return found
        runs.enqueue(folder, dataclasses.replace(runs.read(folder).job, queued=time.time()))     # its owner stays its owner
        return _sit(name, config, folder, report, stop, waiting)
    finally:
        os.close(lock)


def _sit(name: str, config: Any, folder: Path, report: Callable[[Progress], None] | None = None,
         stop: Callable[[], bool] | None = None, waiting: Callable[[], None] | None = None) -> Status:
    """One sitting at a run whose lock is held and which stands in line: wait for its turn, train, say how it ended."""
    with _asked_to_stop(lambda: bool(stop and stop()) or (folder / runs.STOP).exists()) as stopping:
        sitting = Sitting(name, config, folder)
        try:
            with _turn(folder, stopping, waiting) as mine:
                if not mine:
                    return sitting.tell("stopped")
                return sitting.train(report or (lambda progress: None), stopping)
        except PlaygroundError as error:
            if error.key == "state.diverged":                 # what was good until then can be used
                sitting._publish_saved(runs.STATE, runs.CHECKPOINT)
            sitting.fail(error.sentences())
            raise
        except Exception:
            sitting.fail({})                                  # our bug: the log knows more, the page says so
            raise


class Sitting:
    """One process's work on a run: from the state it finds to the state it leaves."""

    def __init__(self, name: str, config: Any, folder: Path) -> None:
        self.name, self.config, self.folder = name, config, folder
        self.recipe = families.recipe(name)
        found = runs.read(folder)
        self.command, self.job = found.command, found.job
        self.now = dataclasses.replace(found.status, sitting=found.status.sitting + 1)        # as last saved
        self.best = math.inf                                  # smallest mean of the BEST metric between two saves
        self.window: list[float] = []                         # its values since the last save
        self.clock = lambda: self.now.seconds                 # seconds of training, all sittings together
        self.costs = {"save": 0.0, "publish": 0.0}            # seconds of the last one

    def train(self, report: Callable[[Progress], None], stopping: Callable[[], bool]) -> Status:
        import torch

        _repeatable()
        _own(self.recipe, self.config.dataset, self.folder / runs.PICTURES)
        torch.manual_seed(self.config.seed)                   # for what draws without a generator, such as dropout
        state = self.recipe.init(self.config)
        if (self.folder / runs.STATE).exists():
            self._restore(state)
        else:
            self.now = dataclasses.replace(self.now, step=0, seconds=0.0, metrics={}, best=0)
        with runs.writing():
            metrics = open(self.folder / runs.METRICS, "a+b", buffering=0)
            (self.folder / runs.PREVIEWS).mkdir(exist_ok=True)
        with metrics:
            _cut_back(metrics, self.now.step)
            for step in runs.frames(self.folder):
                if step > self.now.step:
                    (self.folder / runs.PREVIEWS / f"{step}.png").unlink(missing_ok=True)
            self.tell("running")
            ended = self._updates(state, metrics, report, stopping)
        self._publish(state)
        self._publish_best()
        why = ended if isinstance(ended, Mapping) else {}
        if why or not ended:                                  # it will not go on: what was uploaded for it goes
            (self.folder / runs.PICTURES).unlink(missing_ok=True)
            if jobs.public():
                jobs.forget(self.job.pictures)
        return self.tell("stopped", why) if ended else self.tell("finished")

    def _updates(self, state: Any, metrics: Any, report: Callable[[Progress], None],
                 stopping: Callable[[], bool]) -> bool | Mapping[str, str]:
        """Train to the end or until asked to stop, reporting and saving on the way.

        False at the end, True if it was stopped, the sentences of why where it stopped by itself.
        """
        begun = time.perf_counter() - self.now.seconds
        self.clock = lambda: time.perf_counter() - begun
        reported = saved = published = time.perf_counter()
        film = film_steps(self.config.steps)
        if state.step == 0:
            self._film(state)
        for progress in self.recipe.train(self.config, state, self.recipe.batches(self.config, state.step)):
            for key, value in progress.metrics.items():
                if not math.isfinite(value):
                    raise PlaygroundError("state.diverged", step=progress.step, what=key)
            self.window.append(progress.metrics[self.recipe.BEST])
            now, seconds = time.perf_counter(), self.clock()
            over = bool(self.job.limit) and seconds >= self.job.limit
            leaving = over or stopping()
            ending = leaving or progress.step == progress.steps
            saving = ending or now - saved >= min(SAVE_EVERY, max(seconds / 5, self.costs["save"] / OVERHEAD))
            if saving or now - reported >= max(REPORT_EVERY, seconds / LINES):
                text = json.dumps({"step": progress.step, "seconds": round(seconds, 3), **progress.metrics})
                with runs.writing():
                    metrics.write(text.encode() + b"\n")
                report(progress)
                reported = now
            if progress.step in film:
                self._film(state)
            if saving:
                self._save(state, seconds, progress.metrics)
                self.tell("running")
                saved = time.perf_counter()
                if not ending and saved - published >= max(PUBLISH_EVERY, self.costs["publish"] / OVERHEAD):
                    self._publish(state)
                    published = time.perf_counter()
            if leaving and progress.step < progress.steps:
                limit = PlaygroundError("run.limit", limit=f"{self.job.limit:.0f}")
                return limit.sentences() if over else True
        assert state.step == self.config.steps, f"{self.name} ended at update {state.step} of {self.config.steps}"
        return False

    def _save(self, state: Any, seconds: float, metrics: Mapping[str, float]) -> None:
        """The state, and under a second name if it is the best so far: a link, so that it costs nothing."""
        begun = time.perf_counter()
        mean = sum(self.window) / len(self.window) if self.window else math.inf
        better = mean < self.best
        numbers = {"seconds": seconds, "metrics": dict(metrics), "best": min(self.best, mean),
                   "best_step": state.step if better else self.now.best}
        with runs.writing():
            states.save(self.folder / runs.STATE, state, numbers)
            if better:
                files.link(self.folder / runs.STATE, self.folder / runs.BEST)
        self.best, self.window = numbers["best"], []
        self.now = dataclasses.replace(self.now, step=state.step, seconds=seconds, metrics=dict(metrics), best=numbers["best_step"])
        self.costs["save"] = time.perf_counter() - begun

    def _restore(self, state: Any) -> None:
        found = states.restore(self.folder / runs.STATE, state)
        if found["best_step"] == state.step:                  # a kill may have come before its second name
            with runs.writing():
                files.link(self.folder / runs.STATE, self.folder / runs.BEST)
        self.best = found["best"]
        self.now = dataclasses.replace(self.now, step=state.step, seconds=found["seconds"], metrics=found["metrics"],
                                       best=found["best_step"])

    def _film(self, state: Any) -> None:
        """One more frame of the film, where the recipe draws any."""
        if hasattr(self.recipe, "preview"):
            with runs.writing():
                files.replace(self.folder / runs.PREVIEWS / f"{state.step}.png", _png(self.recipe.preview(self.config, state)))

    def _publish(self, state: Any, to: str = runs.CHECKPOINT) -> None:
        """Make the model of this state one that can be used."""
        import torch

        begun = time.perf_counter()
        with torch.random.fork_rng():                         # what draws without a generator must not notice
            result = self.recipe.result(self.config, state)
        made = {"seconds": round(self.now.seconds, 1), "updates": state.step, "hardware": hardware(),
                "torch": torch.__version__, "date": date.today().isoformat()}
        with runs.writing():
            checkpoints.save(
                self.folder / to, family=self.name, dataset=self.config.dataset, model=result.model,
                train=dataclasses.asdict(self.config), weights=result.weights, derived=result.derived, metrics={},
                command=self.command, made=made)
        self.costs["publish"] = time.perf_counter() - begun

    def _publish_best(self) -> None:
        """The best state's model beside the last one's, where they are not the same."""
        if 0 < self.now.best < self.now.step:
            self._publish_saved(runs.BEST, runs.BEST_CHECKPOINT)

    def _publish_saved(self, file: str, to: str) -> None:
        """The model of a state as it was saved, if it was."""
        if (self.folder / file).exists():
            state = self.recipe.init(self.config)
            states.restore(self.folder / file, state)
            self._publish(state, to)

    def tell(self, state: runs.State, error: Mapping[str, str] = {}) -> Status:
        self.now = dataclasses.replace(self.now, state=state, steps=self.config.steps, error=error)
        with runs.writing():
            runs.tell(self.folder, self.now)
        return self.now

    def fail(self, error: Mapping[str, str]) -> None:
        """Say in status.json that the run failed, if the disk still allows it."""
        try:
            self.tell("failed", error)
        except PlaygroundError:
            log.warning("the run's folder does not take its status")


def _own(module: Any, dataset: str, path: Path) -> None:
    """Let a recipe find a visitor's own pictures or scene, if that is what it trains on."""
    from .core import datasets

    if datasets.is_own(dataset):
        if not path.exists():
            raise PlaygroundError("run.pictures")
        own.offer(own.kind(module), dataset, path)


def film_steps(steps: int) -> set[int]:
    """The updates after which the film gets a frame: the first and the last, most of them where changes are quick."""
    return {round(1 + (steps - 1) * (i / (FRAMES - 1)) ** 2) for i in range(FRAMES)}


def _png(x: Any) -> bytes:
    """Pictures (N, C, H, W) in [0, 1] as one grid."""
    from torchvision.utils import make_grid

    from .core.images import png, to_uint8

    grid = make_grid(x, nrow=math.ceil(math.sqrt(2 * len(x))), padding=1, pad_value=0.5)
    return png(to_uint8(grid if x.shape[1] == 3 else grid[:1]))


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


# ---- whose turn it is ------------------------------------------------------------------------------------------


@contextmanager
def _turn(folder: Path, stopping: Callable[[], bool], waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Wait until this run is first in line and hold the device; False where it was told to stop before."""
    with runs.writing():
        root = checkpoints.runs_dir()
        root.mkdir(parents=True, exist_ok=True)
        path = root / f".device-{_device()}.lock"
        path.touch()                                          # refused here, not when it is locked
    mine = runs.read(folder)
    lock = None
    while lock is None:
        ahead = any(run.state == "queued" and (run.job.queued, run.name) < (mine.job.queued, mine.name)
                    for run in runs.all_runs() if run.folder.resolve() != folder.resolve())
        try:
            lock = None if ahead else files.lock(path, patience=0)
        except BlockingIOError:
            pass
        if lock is None:
            if waiting:
                waiting()
                waiting = None
            time.sleep(runs.POLL)
            if stopping():                                    # just before it looks again: it does not begin only to stop
                break
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _device() -> str:
    return device.for_("heavy").type


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


# ---- at the server's call --------------------------------------------------------------------------------------


def serve(connection: socket.socket) -> None:
    """Answer the server's requests, one line of JSON each, until it hands over a run, or is gone.

    {"do": "look", "path", "size", "kind", "out"}  a zip, see own.py -> {"name", "images", "train", "channels"}; kept at `out`
    {"do": "measure", "name", "train", "pictures"} -> {"update", "once"}: seconds of an update, and of all that is done once
    {"do": "run", "folder"} with the open file of its lock: become that run's worker, answer nothing
    A refusal is {"error": {language: sentence}}; {} where the mistake is ours.
    """
    _step_back()
    _warm_up()
    for request, lock in _requests(connection):
        if request["do"] == "run":
            connection.close()
            return adopt(Path(request["folder"]), lock)
        try:
            answer = {"look": _look, "measure": _measure}[request.pop("do")](**request)
        except PlaygroundError as error:
            answer = {"error": error.sentences()}
        except Exception:
            log.exception("a request of the server failed")
            answer = {"error": {}}
        connection.sendall(json.dumps(answer).encode() + b"\n")


def adopt(folder: Path, lock: int) -> None:
    """Train a run that the server has put in line, holding the lock it handed over; log.txt has what is printed."""
    with contextlib.suppress(OSError), open(folder / runs.LOG, "ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    found = runs.read(folder)
    config = None
    try:
        config_type = families.recipe(found.recipe).TrainConfig
        config = recipe.config_from(found.recipe, config_type, found.train)
        _sit(found.recipe, config, folder)
    except PlaygroundError as error:
        log.warning("the run failed: %s", error)
        if config is None:                                    # a damaged description: no sitting has said so
            runs.tell(folder, dataclasses.replace(found.status, state="failed", error=error.sentences()))
    finally:
        os.close(lock)


def _step_back() -> None:
    """Take the lowest priority, for the whole session: Linux may share the cores among sessions first (autogroup), and then
    a nice process in a session of its own would get as much as all the others together."""
    os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICE))


def _warm_up() -> None:
    """What every training needs first: the recipes, and torch's own start, which its first update would pay for."""
    import torch

    torch.set_num_threads(device.threads())
    for name in families.FAMILIES:
        families.recipe(name)
    layer = torch.nn.Linear(8, 8)
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.randn(8, 8)).sum().backward()
    optimizer.step()


def _requests(connection: socket.socket) -> Iterator[tuple[dict[str, Any], int]]:
    """Each request with the open file that came with it, or -1."""
    data, handles = b"", []
    while True:
        part, sent, _, _ = socket.recv_fds(connection, 1 << 16, 1)
        handles += sent
        if not part:
            return
        data += part
        while b"\n" in data:
            text, data = data.split(b"\n", 1)
            yield json.loads(text), handles.pop() if handles else -1


def _look(path: str, size: int, kind: own.Kind, out: str) -> dict[str, Any]:
    """Read a visitor's zip, here rather than in the server: a stranger's bytes, and seconds of work."""
    found = own.read(kind, Path(path), size)
    own.keep(kind, found, Path(out))
    return own.summary(kind, found)


def _measure(name: str, train: dict[str, Any], pictures: str) -> dict[str, float]:
    """Seconds of one update, and of what a training does once (first batch, networks, film, model), on this machine now."""
    import torch

    module = families.recipe(name)
    config = recipe.config_from(name, module.TrainConfig, train)
    _own(module, config.dataset, Path(pictures))
    begun = time.perf_counter()
    torch.manual_seed(config.seed)
    state = module.init(config)
    updates = module.train(config, state, module.batches(config, 0))
    for _ in range(2):                                        # the first ones choose their kernels
        next(updates)
    once = time.perf_counter() - begun
    spent: list[float] = []
    while sum(spent) < MEASURE and len(spent) < config.steps:
        begun = time.perf_counter()
        if next(updates, None) is None:
            break
        spent.append(time.perf_counter() - begun)
    update = sum(spent) / len(spent) if spent else once / 2
    if hasattr(module, "preview"):
        _png(module.preview(config, state))                   # the first one imports what it needs
        begun = time.perf_counter()
        _png(module.preview(config, state))
        once += (time.perf_counter() - begun) * FRAMES
    begun = time.perf_counter()
    module.result(config, state)
    with io.BytesIO() as nowhere:
        nowhere.write(states.dumps(state, {}))
    return {"update": update, "once": once + time.perf_counter() - begun}


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    serve(socket.socket(fileno=int(sys.argv[1])))
