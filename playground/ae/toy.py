"""What the server trains in slices while its visitor looks on: a denoising autoencoder of points, and two readers of digits.

All is touched on the inference executor alone. Toys are each visitor's own and kept in memory, the least recently seen go first.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core import datasets, device, inputs, procedural, recipe
from ..core.checkpoints import Checkpoint
from ..core.errors import PlaygroundError, register
from ..core.recipe import Progress
from . import maths

TOYS = 24                    # kept of each kind

register({
    "ae.labels": (
        "Reading digits needs labelled pictures that {name} can see, and {dataset} has none here; choose a model of digits at the top.",
        "读数字需要 {name} 能处理的带标签图片，而这里的 {dataset} 没有；请在顶部选择一个数字模型。",
    ),
})


# ---- a denoising autoencoder of points in the plane ------------------------------------------------------------

SETS = ("ring", "gaussians", "moons", "drawing")
STEPS, BATCH, LR = 2_500, 256, 3e-3
WIDTH = 96                   # units of each of two layers
SIGMA = (0.05, 1.0)          # standard deviations of the corruption that it learns, all at once
HELD_OUT = 300               # points at which its field is compared with the exact one
UNSEEN = 10**8               # index of the first of them; training takes the first STEPS * BATCH


class Repair(nn.Module):
    """r(x, sigma): where a point that was moved by noise of standard deviation sigma came from. x: (N, 2). sigma: (N,).

    r = x + sigma u(x, log sigma), so that one network serves every sigma; u has two layers of SiLU units.
    """

    def __init__(self) -> None:
        super().__init__()
        self.u = nn.Sequential(nn.Linear(3, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 2))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x + sigma[:, None] * self.u(torch.cat([x, sigma.log()[:, None]], 1))


@dataclass(eq=False)
class Toy:
    """A field under training: its points' set (a drawing comes with its ink), its network, how far it is."""

    dataset: str
    ink: str                 # of "drawing": images.pack_drawing's text; else ""
    seed: int
    network: Repair
    step: int = 0
    loss: float | None = None            # of the last update: squared error per point in units of sigma^2
    at: Any = None           # what was last looked at
    updates: Iterator[Progress] = field(default=iter(()), repr=False)

    @property
    def done(self) -> bool:
        return self.step >= STEPS

    def advance(self, seconds: float) -> None:
        """Train for at most so long, at least one update, unless it is done; at 0 seconds exactly one."""
        if self.done:
            return
        progress = recipe.advance(self.updates, seconds)
        if progress is not None:
            self.step, self.loss = progress.step, progress.metrics["loss"]

    def repair(self, x: Tensor, sigma: float) -> Tensor:
        """r(x, sigma), (N, 2)."""
        return self.network(x, torch.full((len(x),), sigma))

    def walk(self, x: Tensor, sigma: float, steps: int) -> list[Tensor]:
        """x, r(x), r(r(x)), ...: steps + 1 of them, (N, 2) each."""
        states = [x]
        for _ in range(steps):
            states.append(self.repair(states[-1], sigma))
        return states

    def cosine(self, sigma: float) -> float | None:
        """The mean cosine between r(x) - x and the exact score of the data noised by sigma, at noised held-out points; None where
        that is not known."""
        known = mixture(self.dataset, self.ink)
        if known is None:
            return None
        x = noised(self.dataset, self.ink, sigma)
        centres, std = known
        return F.cosine_similarity(self.repair(x, sigma) - x, maths.mixture_score(x, centres, std**2 + sigma**2), dim=1).mean().item()


def mixture(dataset: str, ink: str) -> tuple[Tensor, float] | None:
    """Centres (K, 2) and the one std of the equally likely Gaussians that the data are; None where they are none."""
    if dataset == "drawing":
        return procedural.sketch_modes(ink)
    if dataset not in ("ring", "gaussians"):
        return None
    centres, std = procedural.modes(dataset)
    return centres.float(), std


def points(dataset: str, ink: str, n: int, seed: int, start: int) -> Tensor:
    """Samples start..start+n-1 of a set, (n, 2)."""
    return procedural.sketch(ink, n, seed, start) if dataset == "drawing" else procedural.points(dataset, n, seed, start)


def noised(dataset: str, ink: str, sigma: float, n: int = HELD_OUT) -> Tensor:
    """Held-out points moved by noise, (n, 2): each meets the same noise at every sigma."""
    return points(dataset, ink, n, 0, UNSEEN) + sigma * device.noise(1, range(n), (2,))


def _fit(toy: Toy, seed: int) -> Iterator[Progress]:
    """min E ||r(x + sigma eps, sigma) - x||^2 / sigma^2 over points x, noise eps and sigma, uniform in log sigma (Vincent et al. 2008)."""
    optimizer = torch.optim.Adam(toy.network.parameters(), lr=LR)
    generator = torch.Generator().manual_seed(seed)
    low, high = math.log(SIGMA[0]), math.log(SIGMA[1])
    for step in range(STEPS):
        x = points(toy.dataset, toy.ink, BATCH, seed, step * BATCH)
        sigma = (low + (high - low) * torch.rand(BATCH, generator=generator)).exp()
        repaired = toy.network(x + sigma[:, None] * torch.randn(BATCH, 2, generator=generator), sigma)
        loss = ((repaired - x).square().sum(1) / sigma**2).mean()
        optimizer.param_groups[0]["lr"] = LR * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield Progress(step + 1, STEPS, {"loss": loss.item()})


_toys: OrderedDict[tuple[str, ...], Toy] = OrderedDict()


def toy(owner: str, dataset: str, ink: str, seed: int) -> Toy:
    """The field of a page for a set, new or kept; another seed begins it again, another drawing is another set."""
    inputs.choice("set", dataset, SETS)
    ink = ink if dataset == "drawing" else ""
    key = owner, dataset
    if key not in _toys or (_toys[key].seed, _toys[key].ink) != (seed, ink):
        if ink:
            procedural.sketch_modes(ink)                      # refuses one that cannot be read
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = Toy(dataset, ink, seed, Repair())
        fresh.updates = _fit(fresh, seed)
        _toys[key] = fresh
    _toys.move_to_end(key)
    while len(_toys) > TOYS:
        _toys.popitem(last=False)
    return _toys[key]


# ---- two readers, one of codes and one of pixels ---------------------------------------------------------------

LEARNT, TESTED = 10_000, 2_000       # labelled pictures
READ_STEPS, READ_BATCH, READ_LR = 1_500, 64, 3e-3
HIDDEN = 32                  # units of each reader's one layer
LOOK = 25                    # updates between two looks at the test pictures
INPUTS = ("code", "pixels")


@dataclass(frozen=True)
class Lesson:
    """Labelled pictures as a model's codes and as pixels, both standardised by the training ones."""

    dataset: str
    train: dict[str, Tensor]             # of INPUTS -> (LEARNT, D)
    test: dict[str, Tensor]              # -> (TESTED, D)
    labels: tuple[Tensor, Tensor]        # (LEARNT,), (TESTED,)


_lessons: WeakKeyDictionary[Any, Lesson] = WeakKeyDictionary()       # network -> what its readers learn from


def lesson(checkpoint: Checkpoint) -> Lesson:
    """The first pictures of the model's own data set where this machine has it, else drawn digits, which need no file."""
    if checkpoint.model not in _lessons:
        _lessons[checkpoint.model] = _prepare(checkpoint)
    return _lessons[checkpoint.model]


def _prepare(checkpoint: Checkpoint) -> Lesson:
    own = checkpoint.config["dataset"]
    name = own if not datasets.is_own(own) and datasets.present(own) else "glyphs"
    train, test = datasets.load(name), datasets.load(name, "test")
    if train.labels is None or len(train.classes) > 10 or tuple(train.images.shape[1:]) != checkpoint.model.shape:
        raise PlaygroundError("ae.labels", name=checkpoint.name, dataset=name)
    where = next(checkpoint.model.parameters()).device
    coded = lambda x: torch.cat([checkpoint.model.encode(part.to(where)).cpu() for part in x.split(500)])      # noqa: E731
    pixels = _pixels(name)
    codes = [coded(found.images[:n].float() / 255) for found, n in ((train, LEARNT), (test, TESTED))]
    kept = [dict(zip(INPUTS, pair)) for pair in zip(_standard(*codes), pixels)]
    return Lesson(name, *kept, (train.labels[:LEARNT], test.labels[:TESTED]))


@lru_cache(2)
def _pixels(name: str) -> tuple[Tensor, Tensor]:
    """A set's first training and test pictures, each a row of standardised pixels; all lessons on it share them."""
    return _standard(*(datasets.load(name, split).images[:n].flatten(1).float() / 255 for split, n in (("train", LEARNT), ("test", TESTED))))


def _standard(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both without the training rows' mean, in their one standard deviation: a silent pixel stays silent."""
    mean = train.mean(0)
    scale = (train - mean).square().mean().sqrt().clamp(min=1e-9)
    return (train - mean) / scale, (test - mean) / scale


@dataclass(eq=False)
class Readers:
    """The same small network twice, on codes and on pixels, given the same pictures in the same order."""

    lesson: Lesson
    seed: int
    networks: dict[str, nn.Module]
    step: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(INPUTS, 0.0))        # of each one's updates
    curve: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in INPUTS})     # accuracy in per cent at `looked`
    looked: list[int] = field(default_factory=list)
    updates: Iterator[Progress] = field(default=iter(()), repr=False)

    @property
    def done(self) -> bool:
        return self.step >= READ_STEPS

    def advance(self, seconds: float) -> None:
        """Train both for at most so long, at least one update each, unless they are done; at 0 seconds exactly one."""
        if not self.done and (progress := recipe.advance(self.updates, seconds)) is not None:
            self.step = progress.step

    def weights(self, kind: str) -> int:
        return sum(p.numel() for p in self.networks[kind].parameters())

    @torch.no_grad()
    def look(self) -> None:
        """Measure both on the test pictures."""
        for kind, network in self.networks.items():
            right = network(self.lesson.test[kind]).argmax(1) == self.lesson.labels[1]
            self.curve[kind].append(100 * right.float().mean().item())
        self.looked.append(self.step)


def _learn(readers: Readers, seed: int) -> Iterator[Progress]:
    """Cross-entropy with Adam, one update of each at a time."""
    optimizers = {kind: torch.optim.Adam(network.parameters(), lr=READ_LR) for kind, network in readers.networks.items()}
    order = torch.Generator().manual_seed(seed)
    labels = readers.lesson.labels[0]
    for step in range(READ_STEPS):
        chosen = torch.randint(len(labels), (READ_BATCH,), generator=order)
        for kind, network in readers.networks.items():
            begun = time.perf_counter()
            loss = F.cross_entropy(network(readers.lesson.train[kind][chosen]), labels[chosen])
            optimizers[kind].zero_grad(set_to_none=True)
            loss.backward()
            optimizers[kind].step()
            readers.seconds[kind] += time.perf_counter() - begun
        readers.step = step + 1
        if readers.step % LOOK == 0 or readers.step == READ_STEPS:
            readers.look()
        yield Progress(step + 1, READ_STEPS)


_readers: OrderedDict[tuple[str, str, int], Readers] = OrderedDict()


def readers(owner: str, checkpoint: Checkpoint, seed: int) -> Readers:
    """The readers of a page for a model, new or kept; another seed begins them again."""
    key = owner, checkpoint.name, id(checkpoint.model)
    if key not in _readers or _readers[key].seed != seed:
        found = lesson(checkpoint)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            networks = {kind: nn.Sequential(nn.Linear(found.train[kind].shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10)) for kind in INPUTS}
        fresh = Readers(found, seed, networks)
        fresh.look()
        fresh.updates = _learn(fresh, seed)
        _readers[key] = fresh
    _readers.move_to_end(key)
    while len(_readers) > TOYS:
        _readers.popitem(last=False)
    return _readers[key]
