"""A denoiser of points in the plane, trained by the server in slices while its visitor looks on; each visitor has their own.

Toys are touched on the inference executor alone. They are kept in memory, the least recently seen go first.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..core import device, procedural, recipe
from . import maths, train
from .config import TrainConfig

STEPS = 3000                 # updates until it is done: the two Gaussians are learnt after 1,000, the ring's eight after 2,000
T = 100                      # the notes' thousand in coarser steps: a network this small tells no finer ones apart
TOYS = 32                    # kept in all, about 1.3 MB each
POINTS = 240                 # samples, and as many of the data beside them
WALK = 25                    # DDIM steps from T to 0: twice as many put as many samples on the modes, within 1 %
HELD_OUT = 300               # data points, which it was not trained on, at which a score's error is measured
TIMES = (1, 2, 3, 5, 7, 10, 14, 19, 25, 32, 40, 49, 59, 70, 84, 100)        # where that is measured for the curve
UNSEEN = 10**8               # index of the first held-out point; training takes the first STEPS * batch_size


def config(dataset: str, seed: int) -> TrainConfig:
    return TrainConfig(network="mlp", dataset=dataset, steps=STEPS, batch_size=256, lr=3e-3, ema=0.99, precision="fp32", T=T, seed=seed)


@dataclass(eq=False)
class Toy:
    config: TrainConfig
    state: train.State
    updates: Iterator[recipe.Progress]
    at: int = 0              # the time last looked at
    loss: float | None = None            # of the last update
    _known: dict[str, Any] = field(default_factory=dict)     # what was computed since that update

    @property
    def step(self) -> int:
        return self.state.step

    @property
    def done(self) -> bool:
        return self.step >= self.config.steps

    def advance(self, seconds: float) -> None:
        """Train for at most so long, at least one update, unless it is done; at 0 seconds exactly one."""
        if self.done:
            return
        progress = recipe.advance(self.updates, seconds)
        self.loss = None if progress is None else progress.metrics["loss"]
        self.state.ema.eval()
        self._known.clear()

    # what it has learnt

    def forms(self, x: Tensor, t: int | Tensor) -> maths.Forms:
        """What the averaged network predicts at x (N, 2); t in 1..T, one for all or (N,)."""
        every = t if isinstance(t, Tensor) else torch.full((len(x),), t)
        where = next(self.state.ema.parameters()).device
        said = self.state.ema(x.to(where), every.to(where)).cpu()
        return maths.forms(said, self.config.prediction, x, t, schedule())

    def chain(self) -> list[Tensor]:
        """The samples (POINTS, 2) at each of `walk()`'s times, from x_T on: DDIM without chance, from noise that stays the same."""
        if "chain" not in self._known:
            states = [device.noise(0, range(POINTS), (2,))]
            for step in maths.ddim(self._denoise, states[0], walk(), schedule(), noise=None):
                states.append(step.x_prev)
            self._known["chain"] = states
        return self._known["chain"]

    def samples(self, t: int) -> Tensor:
        """The samples at time t, (POINTS, 2): between two times of the walk a shorter step from the one before."""
        states, times = self.chain(), walk()
        k = max(k for k, time in enumerate(times) if time >= t)
        if times[k] == t:
            return states[k]
        [step] = maths.ddim(self._denoise, states[k], [times[k], t], schedule(), noise=None)
        return step.x_prev

    def _denoise(self, x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        said = self.forms(x, t)
        return said.x_0, said.eps

    def score_error(self, t: int) -> float | None:
        """sqrt(E |s_theta(x_t) - s(x_t)|^2) over the data noised to t, t in 1..T; None where the exact score s is not known."""
        if exact(self.config.dataset) is None:
            return None
        x = noised(self.config.dataset, t, HELD_OUT)
        return _size(self.forms(x, t).score - exact(self.config.dataset).noised(schedule().alpha_bar[t]).score(x))

    def score_errors(self) -> list[float] | None:
        """`score_error` at TIMES, all in one pass of the network."""
        if exact(self.config.dataset) is None:
            return None
        if "errors" not in self._known:
            x, t, score = _where_measured(self.config.dataset)
            difference = self.forms(x, t).score - score
            self._known["errors"] = [_size(part) for part in difference.chunk(len(TIMES))]
        return self._known["errors"]

    def share(self) -> float | None:
        """Share of the final samples within three sigma of a mode; None where there are none."""
        if exact(self.config.dataset) is None:
            return None
        if "share" not in self._known:
            centres, std = procedural.modes(self.config.dataset)
            self._known["share"] = (torch.cdist(self.chain()[-1], centres.float()).amin(1) < 3 * std).float().mean().item()
        return self._known["share"]


def schedule() -> maths.Schedule:
    return maths.schedule(TrainConfig.schedule, T)


def walk() -> list[int]:
    return maths.visited(WALK, T)


@cache
def exact(dataset: str) -> maths.Mixture | None:
    """The density itself, where it is a mixture of Gaussians."""
    if dataset not in ("ring", "gaussians"):
        return None
    centres, std = procedural.modes(dataset)
    K = len(centres)
    return maths.Mixture(centres.float(), torch.full((K,), std**2), torch.full((K,), 1 / K))


def noised(dataset: str, t: int, n: int = POINTS) -> Tensor:
    """Held-out data at time t, (n, 2): each point meets the same noise at every t."""
    x_0, eps = _held_out(dataset)
    return maths.q_sample(x_0[:n], t, eps[:n], schedule())


@cache
def _held_out(dataset: str) -> tuple[Tensor, Tensor]:
    return procedural.points(dataset, HELD_OUT, 0, UNSEEN), device.noise(1, range(HELD_OUT), (2,))


@cache
def _where_measured(dataset: str) -> tuple[Tensor, Tensor, Tensor]:
    """The held-out data at TIMES one after the other: x (N, 2), t (N,) and the exact score there."""
    x = [noised(dataset, t, HELD_OUT) for t in TIMES]
    score = [exact(dataset).noised(schedule().alpha_bar[t]).score(x_t) for t, x_t in zip(TIMES, x)]
    return torch.cat(x), torch.tensor(TIMES).repeat_interleave(HELD_OUT), torch.cat(score)


@cache
def score_sizes(dataset: str) -> list[float] | None:
    """sqrt(E |s|^2) of the exact score at TIMES: the error of a network that says 0."""
    return None if exact(dataset) is None else [_size(part) for part in _where_measured(dataset)[2].chunk(len(TIMES))]


def _size(difference: Tensor) -> float:
    return difference.square().sum(1).mean().sqrt().item()


# ---- whose they are --------------------------------------------------------------------------------------------

_toys: OrderedDict[tuple[str, str], Toy] = OrderedDict()


def toy(owner: str, dataset: str, seed: int) -> Toy:
    """The toy of a page for a data set, new or kept; another seed begins it again."""
    key = owner, dataset
    if key not in _toys or _toys[key].config.seed != seed:
        _toys[key] = _begin(config(dataset, seed))
    _toys.move_to_end(key)
    while len(_toys) > TOYS:
        _toys.popitem(last=False)
    return _toys[key]


def _begin(config: TrainConfig) -> Toy:
    state, where = train.init(config), device.for_("live")    # not where long runs are made: a GPU may be rented by the second
    state.model.to(where)
    state.ema.to(where).eval()
    return Toy(config, state, train.train(config, state, _batches(config, where)))


def _batches(config: TrainConfig, where: torch.device) -> Iterator[tuple[Tensor, None]]:
    start = 0
    while True:
        yield procedural.points(config.dataset, config.batch_size, config.seed, start).to(where), None
        start += config.batch_size
