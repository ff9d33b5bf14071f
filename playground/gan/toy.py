"""What the server trains while its visitor looks on: the game between points of the plane, four games from one start, and the game on a line.

All is touched on the inference executor alone. Games are each visitor's own and kept in memory, the least recently seen go first.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from ..core import inputs, procedural, recipe
from ..core.recipe import Progress
from . import maths
from .config import PROBABLE

GAMES_KEPT = 24              # of each kind

# ---- the game in the plane -------------------------------------------------------------------------------------

SETS = ("ring", "moons", "drawing")
BATCH = 256                  # points of each kind in an update
WIDTH = 64                   # units of each of the three layers of both players
STEPS = 10_000               # updates until a game ends
HELD_OUT = 2_000             # points of each kind by which a game is judged
UNSEEN = 10**8               # index of the first of the real ones; training takes the first STEPS * BATCH
CELLS, EXTENT = 30, 3.0      # of the grid on which JS is estimated, and how far it reaches
NEAR = 3.0                   # standard deviations from a mode within which a point counts as its own
COVERED = 0.02               # share of the fakes a mode must have to count as covered; a fair one of eight is 0.125
HISTORY = 96                 # looks that are remembered; then every other one is forgotten: a frame's numbers travel in a header
CLUMP = 0.2                  # of the real points' spread, below which the fakes are one clump


@dataclass(frozen=True)
class Game:
    """By what both play."""

    loss: str
    penalty: str = "none"
    gamma: float = 0.0       # weight of the penalty
    lr: float = 1e-3         # Adam's, of both
    momentum: float = 0.5    # Adam's first beta
    pace: tuple[int, int] = (1, 1)       # updates of D, and of G, in a round


PACES = {"5:1": (5, 1), "1:1": (1, 1), "1:2": (1, 2), "1:5": (1, 5)}
GAMES = {                    # what the page offers: the one that works, one that collapses on purpose, and the losses as they were first written
    "stable": Game("non-saturating", "r1", 0.1, 2e-3, 0.0),
    "minimax": Game("minimax", pace=PACES["1:5"]),            # a D that lags is gone round: all fakes run to where it is wrong
    "non-saturating": Game("non-saturating"),
    "least-squares": Game("least-squares"),
    "wasserstein": Game("wasserstein", "gp", 0.1, pace=PACES["5:1"]),
    "hinge": Game("hinge"),
}
ABREAST = ("minimax", "non-saturating", "least-squares", "wasserstein")          # side by side from one start, at one pace


def players() -> tuple[nn.Module, nn.Module]:
    """A generator z (N, 2) in [-1, 1] -> (N, 2), a discriminator (N, 2) -> (N, 1)."""
    layers = lambda outputs: nn.Sequential(nn.Linear(2, WIDTH), nn.LeakyReLU(0.2), nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(0.2),        # noqa: E731
                                           nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(0.2), nn.Linear(WIDTH, outputs))
    return layers(2), layers(1)


@dataclass(eq=False)
class Toy:
    """Both players, how far they are, and what the looks at them have found."""

    dataset: str
    ink: str                 # of "drawing": images.pack_drawing's text; else ""
    rules: Game
    seed: int                # of the first weights, the noise and the real points
    G: nn.Module
    D: nn.Module
    optimizers: dict[str, torch.optim.Optimizer]
    noise: torch.Generator
    d_moves: int = 0
    g_moves: int = 0
    d_loss: float | None = None          # of each player's last update
    g_loss: float | None = None
    slope: float | None = None           # norm of the gradient of G's weights in its last update
    history: dict[str, list[float]] = field(default_factory=lambda: {key: [] for key in ("step", "value", "js", "covered", "slope")})
    updates: Iterator[Progress] = field(default=iter(()), repr=False)
    at: object = None        # what was last looked at

    @property
    def step(self) -> int:
        """Updates of G; of D there may be more or fewer, where one has moved alone."""
        return self.g_moves

    @property
    def done(self) -> bool:
        return self.g_moves >= STEPS

    def advance(self, seconds: float) -> None:
        """Let both play for at most so long, at least one update, unless it is done; at 0 seconds exactly one."""
        if not self.done:
            recipe.advance(self.updates, seconds)

    # each player's turn

    def d_move(self) -> None:
        """One update of D: on the next batch of real points and as many fakes."""
        with torch.enable_grad():
            real = points(self.dataset, self.ink, BATCH, self.seed, self.d_moves * BATCH)
            with torch.no_grad():
                fake = self.G(self._z())
            answers = self.D(torch.cat([real, fake]))[:, 0]
            loss = maths.d_loss(self.rules.loss, *answers.chunk(2))
            total = loss
            if self.rules.penalty == "r1":
                total = loss + self.rules.gamma * maths.r1(self.critic, real)
            elif self.rules.penalty == "gp":
                share = torch.rand(BATCH, generator=self.noise)
                total = loss + self.rules.gamma * maths.gradient_penalty(self.critic, maths.between(real, fake, share))
            self.optimizers["D"].zero_grad(set_to_none=True)
            total.backward()
            self.optimizers["D"].step()
        self.d_loss, self.d_moves = loss.item(), self.d_moves + 1

    def g_move(self) -> None:
        """One update of G, whose fakes follow the gradient that D gives them."""
        with torch.enable_grad():
            self.D.requires_grad_(False)
            loss = maths.g_loss(self.rules.loss, self.critic(self.G(self._z())))
            self.optimizers["G"].zero_grad(set_to_none=True)
            loss.backward()
            self.slope = torch.stack([p.grad.square().sum() for p in self.G.parameters()]).sum().sqrt().item()
            self.optimizers["G"].step()
            self.D.requires_grad_(True)
        self.g_loss, self.g_moves = loss.item(), self.g_moves + 1

    def play(self) -> Iterator[Progress]:
        """Round after round at the game's pace."""
        while self.g_moves < STEPS:
            for _ in range(self.rules.pace[0]):
                self.d_move()
            for _ in range(self.rules.pace[1]):
                self.g_move()
            yield Progress(self.g_moves, STEPS)

    def critic(self, x: Tensor) -> Tensor:
        return self.D(x)[:, 0]

    def _z(self) -> Tensor:
        return 2 * torch.rand(BATCH, 2, generator=self.noise) - 1

    # what is to be seen

    def fakes(self, n: int = HELD_OUT) -> Tensor:
        """G of noise that stays the same, (n, 2)."""
        return self.G(still(n))

    def pull(self, x: Tensor) -> Tensor:
        """-dL_G/dx of one fake at x, (N, 2): where D sends it."""
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            [slope] = torch.autograd.grad(len(x) * maths.g_loss(self.rules.loss, self.critic(x)), x)
        return -slope

    def answers(self, x: Tensor) -> Tensor:
        """What D says at x (N, 2), in [0, 1]: D(x) where it is a probability; else 0 where it answers as to the mean fake, 1 as to the mean real point."""
        said = self.critic(x)
        if self.rules.loss in PROBABLE:
            return said.sigmoid()
        real, fake = self.critic(self.real()).mean(), self.critic(self.fakes()).mean()
        gap = real - fake
        return ((said - fake) / (gap if gap.abs() > 1e-6 else 1e-6)).clamp(0, 1)

    def real(self, n: int = HELD_OUT) -> Tensor:
        """Points that were not trained on, (n, 2)."""
        return points(self.dataset, self.ink, n, 0, UNSEEN)

    def value(self) -> tuple[float, float] | None:
        """E log D and E log(1 - D(G(z))) over points that were not trained on; None where D is no probability."""
        if self.rules.loss not in PROBABLE:
            return None
        return tuple(each.item() for each in maths.value(self.critic(self.real()), self.critic(self.fakes())))

    def js(self) -> float:
        """JS of real points and fakes on a grid of CELLS x CELLS, in nats: with so few points never 0, see `js_floor`."""
        return maths.jensen_shannon(histogram(self.real()), histogram(self.fakes())).item()

    def shares(self) -> Tensor | None:
        """The share of the fakes that each mode has, (K,); None where the data has none."""
        if self.dataset != "ring":
            return None
        return mode_shares(self.fakes())

    def covered(self) -> int | None:
        shares = self.shares()
        return None if shares is None else int((shares >= COVERED).sum())

    def collapsed(self) -> bool:
        """Whether the fakes are one clump, or of a ring's modes at most half are covered though many fakes lie on one."""
        if self.fakes().std(0).norm() < CLUMP * self.real().std(0).norm():
            return True
        shares = self.shares()
        return shares is not None and int((shares >= COVERED).sum()) <= len(shares) // 2 and shares.sum().item() > 0.25

    def look(self) -> None:
        """Remember V, JS, the modes and the gradient of this moment, once for each update."""
        past = self.history
        if past["step"] and past["step"][-1] == self.step:
            for each in past.values():
                each.pop()
        value = self.value()
        for key, found in (("step", self.step), ("value", None if value is None else sum(value)), ("js", self.js()), ("covered", self.covered()), ("slope", self.slope)):
            past[key].append(found)
        if len(past["step"]) > HISTORY:
            self.history = {key: each[::2] for key, each in past.items()}


# ---- points ----------------------------------------------------------------------------------------------------


def points(dataset: str, ink: str, n: int, seed: int, start: int) -> Tensor:
    """Samples start..start+n-1 of a set, (n, 2)."""
    return procedural.sketch(ink, n, seed, start) if dataset == "drawing" else procedural.points(dataset, n, seed, start)


@cache
def still(n: int) -> Tensor:
    """Noise that stays the same, (n, 2) uniform in [-1, 1]."""
    return torch.from_numpy(2 * np.stack([procedural.uniform(UNSEEN, np.arange(n), axis) for axis in (0, 1)], axis=1) - 1).float()


def mode_shares(x: Tensor) -> Tensor:
    """The share of points x (N, 2) within NEAR standard deviations of each mode of the ring, (8,)."""
    centres, std = procedural.modes("ring")
    distance, nearest = torch.cdist(x, centres.float()).min(1)
    return torch.bincount(nearest[distance < NEAR * std], minlength=len(centres)) / len(x)


def histogram(x: Tensor) -> Tensor:
    """How many points (N, 2) fall into each cell of the grid over [-EXTENT, EXTENT]^2, (CELLS^2,); those beyond count at its edge."""
    cell = ((x + EXTENT) / (2 * EXTENT) * CELLS).long().clamp(0, CELLS - 1)
    return torch.bincount(cell[:, 0] * CELLS + cell[:, 1], minlength=CELLS**2).double()


@lru_cache(GAMES_KEPT)
def js_floor(dataset: str, ink: str) -> float:
    """JS of two sets of HELD_OUT real points on that grid: what a perfect generator would reach."""
    return maths.jensen_shannon(*(histogram(points(dataset, ink, HELD_OUT, 0, UNSEEN + i * HELD_OUT)) for i in (0, 1))).item()


# ---- whose they are --------------------------------------------------------------------------------------------

_toys: OrderedDict[tuple[str, ...], tuple[object, Toy]] = OrderedDict()
_asked: OrderedDict[tuple[str, str], list[object]] = OrderedDict()           # owner, place -> start, single moves of D and of G made since it


def begin(dataset: str, ink: str, rules: Game, seed: int) -> Toy:
    """A new game: first weights and noise from the seed alone, whatever the rules."""
    if dataset == "drawing":
        procedural.sketch_modes(ink)                          # refuses one that cannot be read
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        G, D = players()
    adam = lambda network: torch.optim.Adam(network.parameters(), lr=rules.lr, betas=(rules.momentum, 0.99))       # noqa: E731
    toy = Toy(dataset, ink, rules, seed, G, D, {"G": adam(G), "D": adam(D)}, torch.Generator().manual_seed(seed))
    toy.updates = toy.play()
    return toy


def toy(owner: str, dataset: str, ink: str, game: str, seed: int, times: int, place: str = "", pace: str = "") -> Toy:
    """The game of a page, new or kept; another seed begins with other weights, another number of `times` again with the same.

    place: of the page, where it has several at once. pace: of PACES, with the plain losses all else alike; else the game's own.
    """
    inputs.choice("set", dataset, SETS)
    inputs.choice("game", game, GAMES)
    rules = GAMES[game]
    if pace:
        rules = Game(rules.loss, rules.penalty, rules.gamma, pace=PACES[inputs.choice("pace", pace, PACES)])
    ink = ink if dataset == "drawing" else ""
    key, now = (owner, dataset, game, place), (ink, rules, seed, times)
    if key not in _toys or _toys[key][0] != now:
        _toys[key] = now, begin(dataset, ink, rules, seed)
    _toys.move_to_end(key)
    while len(_toys) > GAMES_KEPT * len(GAMES):
        _toys.popitem(last=False)
    return _toys[key][1]


def single(owner: str, place: str, start: object, asked: tuple[int, int], most: int, toys: list[Toy]) -> str:
    """Make the single moves that a page asks for and has not had yet, D first, at most `most` of each; who moved last, "D", "G" or "".

    asked: how many of D and of G since the page's last start: the same request twice moves once.
    """
    made = _asked.setdefault((owner, place), [start, 0, 0])
    _asked.move_to_end((owner, place))
    while len(_asked) > GAMES_KEPT:
        _asked.popitem(last=False)
    if made[0] != start:
        made[:] = [start, 0, 0]
    last = ""
    for i, name in enumerate("DG", 1):
        for _ in range(min(most, asked[i - 1] - made[i])):
            for each in toys:
                (each.d_move if name == "D" else each.g_move)()
            last = name
        made[i] = max(made[i], asked[i - 1])
    return last


# ---- the game on a line ----------------------------------------------------------------------------------------

EDGE = 6.0                   # the line reaches from -EDGE to EDGE
PLACES = 481                 # of the quadrature along it
NODES = 64                   # of G's: quantiles of its noise
LINE_WIDTH = 48              # units of each of D's two layers
D_LR, G_LR = 1e-2, 0.03      # Adam's
D_MOVES = 20                 # updates of D for one of G (algorithm 1's k): the theorem is about a D at its optimum
LINE_STEPS = 2_000           # updates of G until the game ends
SETTLED = 3_000              # updates of D after which it rests, if it stands still by then or not
CLOSE = 0.004                # its largest distance from D*, where there is data, at which it rests before that
DATA = 0.02                  # of the densities' largest sum: where there is data
NARROWEST = 0.05             # of the generated density


@dataclass(eq=False)
class Line:
    """Real density N(mean, std^2), a generator z -> a + b z, and a discriminator of the line, trained on all of it at once by quadrature."""

    p: tuple[float, float]   # of the real density: mean and std
    q: tuple[float, float]   # of the generated one, where the sliders put it
    loss: str
    D: nn.Module
    G: Tensor                # (2,): a, and the logarithm of b
    optimizers: dict[str, torch.optim.Optimizer]
    step: int = 0
    d_moves: int = 0         # since the densities were last moved by hand
    updates: Iterator[Progress] = field(default=iter(()), repr=False)

    @property
    def done(self) -> bool:
        return self.step >= LINE_STEPS

    def generated(self) -> tuple[float, float]:
        """Mean and std of the generated density now."""
        return self.G[0].item(), self.G[1].exp().item()

    def densities(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """p_r and p_g at x, float64."""
        return maths.normal(x, *self.p), maths.normal(x, *self.generated())

    def logits(self, x: Tensor) -> Tensor:
        """D's, (N,) float64, of places x (N,)."""
        return self.D((x.float() / 2)[:, None])[:, 0].double()

    def d_move(self) -> None:
        """One update of D up V, by quadrature over the line: no sample stands between it and D*."""
        x = line()
        with torch.enable_grad():
            p_r, p_g = (each.detach() for each in self.densities(x))
            loss = -sum(maths.value_on_grid(self.logits(x), p_r, p_g, x))
            for group in self.optimizers["D"].param_groups:
                group["lr"] = D_LR * 0.5 ** (self.d_moves / 400)
            self.optimizers["D"].zero_grad(set_to_none=True)
            loss.backward()
            self.optimizers["D"].step()
        self.d_moves += 1

    def g_move(self) -> None:
        """One update of G down its loss, by quadrature over its noise."""
        with torch.enable_grad():
            loss = maths.g_loss(self.loss, self.logits(self.G[0] + self.G[1].exp() * quantiles()))
            self.optimizers["G"].zero_grad(set_to_none=True)
            loss.backward()
            self.optimizers["G"].step()
        with torch.no_grad():
            self.G[0].clamp_(-EDGE / 2, EDGE / 2)
            self.G[1].clamp_(math.log(NARROWEST), math.log(EDGE / 3))
        self.step += 1

    def play(self) -> Iterator[Progress]:
        """The game itself: D_MOVES of D, one of G."""
        while self.step < LINE_STEPS:
            self.d_moves = min(self.d_moves, 400)             # it must go on following
            for _ in range(D_MOVES):
                self.d_move()
            self.g_move()
            yield Progress(self.step, LINE_STEPS)

    def advance(self, seconds: float) -> None:
        """Let both play for at most so long, at least one update, unless it is done; at 0 seconds exactly one."""
        if not self.done:
            recipe.advance(self.updates, seconds)

    def settle(self, seconds: float) -> bool:
        """Train D alone for at most so long; whether it rests: close to D*, or after SETTLED updates."""
        def follow() -> Iterator[Progress]:
            while self.d_moves < SETTLED and self.gap() > CLOSE:
                for _ in range(10):
                    self.d_move()
                yield Progress(self.d_moves, SETTLED)

        return recipe.advance(follow(), seconds) is None or self.d_moves >= SETTLED or self.gap() <= CLOSE

    def gap(self) -> float:
        """The largest |D - D*| where there is data: where p_r + p_g is at least DATA of its largest."""
        x = line()
        p_r, p_g = self.densities(x)
        there = p_r + p_g >= DATA * (p_r + p_g).max()
        return (self.logits(x).sigmoid() - maths.optimal(p_r, p_g))[there].abs().max().item()

    def slopes(self) -> dict[str, float]:
        """E |d/dx of each loss| over the fakes: what the generator would be pulled by."""
        x = (self.G[0] + self.G[1].exp() * quantiles()).detach()
        out = {}
        for loss in PROBABLE:
            with torch.enable_grad():
                at = x.clone().requires_grad_(True)
                [slope] = torch.autograd.grad(len(at) * maths.g_loss(loss, self.logits(at)), at)
            out[loss] = slope.abs().mean().item()
        return out


@cache
def line() -> Tensor:
    """The places of the quadrature, (PLACES,) float64."""
    return torch.linspace(-EDGE, EDGE, PLACES, dtype=torch.float64)


@cache
def quantiles() -> Tensor:
    """The middles of NODES equally likely parts of N(0, 1), (NODES,) float64."""
    return torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(NODES, dtype=torch.float64) + 0.5) / NODES)


_lines: OrderedDict[str, tuple[object, Line]] = OrderedDict()


def line_game(owner: str, p: tuple[float, float], q: tuple[float, float], loss: str, seed: int) -> Line:
    """The game on the line of a page. Densities moved by hand are where the hand put them, and D follows from where it was; another seed
    begins it with another D."""
    inputs.choice("loss", loss, PROBABLE)
    now = p, q, loss
    kept = _lines.get(owner)
    if kept is None or kept[0][-1] != seed:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            D = nn.Sequential(nn.Linear(1, LINE_WIDTH), nn.SiLU(), nn.Linear(LINE_WIDTH, LINE_WIDTH), nn.SiLU(), nn.Linear(LINE_WIDTH, 1))
    elif kept[0][:-1] != now:
        D = kept[1].D
    else:
        _lines.move_to_end(owner)
        return kept[1]
    G = torch.tensor([q[0], math.log(q[1])], dtype=torch.float64, requires_grad=True)
    fresh = Line(p, q, loss, D, G, {"D": torch.optim.Adam(D.parameters(), lr=D_LR, betas=(0.9, 0.99)), "G": torch.optim.Adam([G], lr=G_LR, betas=(0.5, 0.99))})
    fresh.updates = fresh.play()
    _lines[owner] = (*now, seed), fresh
    _lines.move_to_end(owner)
    while len(_lines) > GAMES_KEPT:
        _lines.popitem(last=False)
    return fresh
