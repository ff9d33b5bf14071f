"""A family small enough to train in a moment, for the tests of what drives families; and a command line that knows it.

    python tests/toy.py train toy ...          the real command line, with this family
    python tests/toy.py --kill FOLDER STEPS    train in FOLDER, killed with SIGKILL at random moments until it is done
"""

import copy
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from playground import families, worker
from playground.core import checkpoints, device, runs
from playground.core.recipe import Progress, Result

BEST = "loss"
CHECKPOINTS = {}


@dataclass(frozen=True)
class TrainConfig:
    dataset: str = "noise"
    steps: int = 40
    seed: int = 0
    lr: float = 1e-2
    optimizer: str = "adam"
    pause: float = 0.0       # seconds per update
    bad_metric_at: int = 0   # the update whose loss is NaN
    bad_weight_at: int = 0   # the update that leaves a NaN weight behind


PRESETS = {"10s": TrainConfig(steps=20), "1m": TrainConfig(steps=400, pause=0.02)}


@dataclass
class State:
    """One field of every kind that a State may hold."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    grid: torch.Tensor                                        # grows as it trains
    ema: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    best: float = float("inf")
    note: str | None = None
    done: bool = False
    step: int = 0


class Model(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.width = width
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.rest = nn.Sequential(nn.BatchNorm2d(width), nn.Dropout(0.2), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x):
        return self.rest(self.conv(x)).sigmoid()


def init(config):
    generator = torch.Generator().manual_seed(config.seed)
    model = Model()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    model = model.to(device.for_("heavy"), memory_format=torch.channels_last)
    optimizer = (torch.optim.Adam(model.parameters(), config.lr, betas=(0.9, 0.99)) if config.optimizer == "adam"
                 else torch.optim.SGD(model.parameters(), config.lr, momentum=0.9))
    return State(model, optimizer, generator, grid=torch.zeros(2, 2))


def batches(config, start):
    while True:
        yield torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(config.seed * 1_000_003 + start))
        start += 1


def train(config, state, batches):
    where = next(state.model.parameters()).device
    state.model.train()
    for step, x in zip(range(state.step, config.steps), batches):
        noisy = x + 0.1 * torch.randn(x.shape, generator=state.generator)
        noisy, x = noisy.to(where, memory_format=torch.channels_last), x.to(where)
        loss = (state.model(noisy) - x).square().mean()
        state.optimizer.param_groups[0]["lr"] = config.lr * (1 - step / config.steps)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        for name, tensor in state.model.state_dict().items():
            state.ema[name] = tensor.clone() if step == 0 else 0.9 * state.ema[name] + 0.1 * tensor
        if step % 5 == 4:
            state.grid = torch.cat([state.grid, state.grid[:1] + step])
        state.step = step + 1
        state.best = min(state.best, loss.item())
        state.history = [*state.history[-3:], (state.step, loss.item())]
        state.note = f"after {state.step}"
        if state.step == config.bad_weight_at:
            with torch.no_grad():
                state.model.conv.bias[0] = torch.nan
        time.sleep(config.pause)
        yield Progress(state.step, config.steps, {"loss": float("nan") if state.step == config.bad_metric_at else loss.item()})


def preview(config, state):
    """Four pictures of noise that stays the same."""
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return copy.deepcopy(state.model).eval()(x.to(state.model.conv.weight.device)).cpu()


def result(config, state):
    return Result({"width": state.model.width}, state.model.state_dict(), {"grid": state.grid, **state.ema})


def build(model):
    return Model(**model)


def images(name, n, seed):
    checkpoints.load(name, "toy", build)
    return torch.rand(n, 3 if "color" in name else 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def reconstruct(name, x):
    checkpoints.load(name, "toy", build)
    return x.flip(-1)


def evaluate(name, full=False, report=None):
    checkpoints.load(name, "toy", build)
    print("a library that chats on stdout")
    for i in range(3):
        report(i + 1, 3)
    return {"images": 3, "loss": 0.25 if full else 0.5, "loss_stderr": 0.01}


def register(replace=setattr):
    """Make this module the only family; `replace` may be a monkeypatch's setattr."""
    here = sys.modules[__name__]
    replace(families, "FAMILIES", ("toy",))
    replace(families, "RECIPES", ("toy", "classifier"))
    replace(families, "load", lambda family, part: here)
    replace(families, "recipe", lambda name: here)
    return here


def killed_at_random(folder: Path, steps: int) -> None:
    """Workers, each a fork of this process, save after every update; each is killed soon after its first save or later.

    Prints the kills, at how many different saved updates they came, and the last worker's exit code.
    """
    state = init(TrainConfig())
    for _ in train(TrainConfig(steps=1), state, batches(TrainConfig(), 0)):
        worker._png(preview(TrainConfig(), state))            # what the first update and the first frame import, once for all forks
    worker.SAVE_EVERY = 0
    chance, kills, reached = random.Random(0), 0, {0}
    while True:
        pid = os.fork()
        if pid == 0:
            worker.run("toy", TrainConfig(steps=steps), folder)
            os._exit(0)
        ended, code = 0, 0
        while kills < 12 and not ended and getattr(runs.status(folder), "step", 0) <= max(reached):
            time.sleep(0.001)
            ended, code = os.waitpid(pid, os.WNOHANG)
        if kills < 12 and not ended:
            time.sleep(chance.uniform(0, 0.1))
            os.kill(pid, signal.SIGKILL)
        if not ended:
            _, code = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(code):
            break
        kills += 1
        reached.add(runs.status(folder).step)
    print(kills, len(reached) - 1, code)


if __name__ == "__main__":
    torch.set_num_threads(1)
    register()
    if sys.argv[1] == "--kill":
        killed_at_random(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        from playground.__main__ import main

        sys.exit(main())
