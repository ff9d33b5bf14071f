"""A server without a page and its workers, as real processes: what the tests of faults start, ask and kill.

    python tests/served.py    the server: one JSON object a line asks, one a line answers; it ends with its stdin
    python -m served FD       its worker: the real one, but for saving many times a second and knowing the toy family too
"""

import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from playground import families  # noqa: E402
from playground.core import jobs, runs  # noqa: E402
from playground.core.errors import PlaygroundError  # noqa: E402

SAVE_EVERY = 0.05            # seconds


@dataclass(frozen=True)
class Toy:
    """The toy's TrainConfig as far as a test sets it: the server imports no torch."""

    dataset: str = "noise"
    steps: int = 40
    seed: int = 0
    pause: float = 0.0
    bad_metric_at: int = 0


def start(recipe: str, train: dict) -> str:
    config = Toy(**train) if recipe == "toy" else families.load(recipe, "config").TrainConfig(**train)
    return jobs.start(recipe, config, kind="test", command=f"python -m playground train {recipe}")


def listed() -> dict[str, tuple]:
    return {run.name: (run.state, run.status.step, run.status.sitting, run.status.error.get("en")) for run in runs.all_runs()}


def worker_id() -> int:
    """Of the process that was handed a run last."""
    return jobs.place._workers[-1].pid


def leave() -> None:
    jobs.place.leave()


DO = {"start": start, "list": listed, "worker": worker_id, "stop": jobs.stop, "resume": jobs.resume, "delete": jobs.delete,
      "warm_up": jobs.place.warm_up, "leave": leave}


def become_another() -> None:
    """Root may write anywhere: a test of folders that cannot be written needs someone else."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def server() -> None:
    jobs.WORKER = "served"
    if os.environ.get("SERVED_BY_ANOTHER"):
        become_another()
    for line in sys.stdin:
        do, *arguments = json.loads(line)
        try:
            answer = [DO[do](*arguments), None]
        except PlaygroundError as error:
            answer = [None, str(error)]
        print(json.dumps(answer), flush=True)


def worker(connection: int) -> None:
    import toy
    from playground import worker

    recipe = families.recipe
    families.recipe = lambda name: toy if name == "toy" else recipe(name)
    worker.SAVE_EVERY = SAVE_EVERY
    worker.NICE = 0                                           # beside a busy test the lowest priority gets nothing
    worker.serve(socket.socket(fileno=connection))


if __name__ == "__main__":
    os.environ.setdefault("PLAYGROUND_DEVICE", "cpu")
    server() if len(sys.argv) == 1 else worker(int(sys.argv[1]))
