"""A picture as a function of a place in it, fitted by small networks in slices while their visitor looks on; each visitor has their own.

In the manner of Tancik et al. 2020 (arXiv:2006.10739), section 6: every second pixel is learnt, the others tell what lies between. Labs are
touched on the inference executor alone. They are kept in memory, the least recently seen go first.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core import metrics, recipe, solids
from . import maths

LS = range(11)               # numbers of frequencies there is a fit for
SIZE = 77                    # pixels a side; odd, since the frequencies are powers of two: on 64 pixels the 7th would be 0 at each of them
VIEW = (-50.0, 34.0, 4.03)   # azimuth, elevation (degrees) and distance of the camera
FIELD_OF_VIEW = 20.0         # degrees: half the training cameras', so a detail in the middle of the scene
WIDTH = 64                   # units in each of three hidden layers
STEPS = 500                  # updates until a fit is done: 2 s on one core
BATCH = 1024                 # pixels of an update, a third of those that are learnt
LR, DECAY = 1e-2, 0.1        # Adam's at the start, and what is left of it at the end
LABS = 24                    # kept in all, about 2 MB each
FLOOR = -70.0                # dB: a spectrum goes no lower
HALF = 0.5                   # of a kernel: how far places are alike


# ---- the picture -----------------------------------------------------------------------------------------------


@cache
def target() -> Tensor:
    """What the fits should become, (3, SIZE, SIZE): a detail of the built-in scene's exact picture."""
    return solids.render(maths.orbit_pose(*VIEW), math.radians(FIELD_OF_VIEW), SIZE).rgb.permute(2, 0, 1).contiguous()


@cache
def places() -> Tensor:
    """p = (x, y) of each pixel, (SIZE^2, 2) in [-1, 1], row after row: x to the right, y downwards."""
    centres = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    return torch.cartesian_prod(centres, centres).flip(1)


@cache
def seen() -> Tensor:
    """Which pixels are learnt, (SIZE^2,) bool: those of one colour of a chessboard."""
    return torch.arange(SIZE**2) % 2 == 0                     # the side is odd, so that the next row begins with the other one


def inputs(p: Tensor, L: int) -> Tensor:
    """What a network is told of places p (N, 2), (N, 2 + 4 L): p and gamma(p), as in NeRF's own code; at L = 0 only p is left."""
    return torch.cat([p, maths.encoding(p, L)], dim=1)


# ---- fits ------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Fit:
    """One network at one L."""

    L: int
    network: nn.Module
    updates: Iterator[recipe.Progress]
    step: int = 0
    _known: dict[str, Tensor | float] = field(default_factory=dict)          # what was computed since the last update

    @property
    def done(self) -> bool:
        return self.step >= STEPS

    def advance(self, seconds: float) -> None:
        """Train for at most so long, at least one update, unless it is done; at 0 seconds exactly one."""
        if not self.done:
            self.step = recipe.advance(self.updates, seconds).step
            self._known.clear()

    def picture(self) -> Tensor:
        """What the network has at each pixel, (3, SIZE, SIZE)."""
        if "picture" not in self._known:
            with torch.no_grad():
                self._known["picture"] = self.network(inputs(places(), self.L)).T.reshape(3, SIZE, SIZE)
        return self._known["picture"]

    def psnr(self, learnt: bool) -> float:
        """In dB, of the pixels that are learnt, or of the others."""
        if learnt not in self._known:
            some = (seen() == learnt).view(SIZE, SIZE)
            self._known[learnt] = metrics.psnr(self.picture()[:, some], target()[:, some])
        return self._known[learnt]


def _begin(L: int, seed: int) -> Fit:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [2 + 4 * L, WIDTH, WIDTH, WIDTH]
        hidden = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Linear(a, b), nn.ReLU())]
        network = nn.Sequential(*hidden, nn.Linear(WIDTH, 3), nn.Sigmoid())
    return Fit(L, network, _updates(network, L, seed))


def _updates(network: nn.Module, L: int, seed: int) -> Iterator[recipe.Progress]:
    x, rgb = inputs(places()[seen()], L), target().flatten(1).T[seen()]
    optimizer, generator = torch.optim.Adam(network.parameters(), fused=True), torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * DECAY ** (step / STEPS)
        some = torch.randint(len(x), (BATCH,), generator=generator)
        loss = F.mse_loss(network(x[some]), rgb[some])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield recipe.Progress(step + 1, STEPS, {"loss": loss.item()})


# ---- what the encoding does ------------------------------------------------------------------------------------


def alike(L: int) -> Tensor | None:
    """How alike gamma finds each place and the picture's middle q, (SIZE, SIZE) in [-1, 1]: gamma(p) . gamma(q) / |gamma|^2.

    None at L = 0, where gamma is empty.
    """
    middle = maths.encoding(torch.zeros(2), L)
    return (maths.encoding(places(), L) @ middle / (2 * L)).view(SIZE, SIZE) if L else None


def kernel(d: Tensor, L: int) -> Tensor:
    """The same of one coordinate at a distance d, (...,): sum_l cos(2^l pi d) / L, l = 0..L - 1, for L >= 1. Tancik et al. 2020, section 4."""
    return (d[..., None] * math.pi * 2.0 ** torch.arange(L)).cos().mean(-1)


def reach(L: int) -> float | None:
    """The distance in pixels at which that has fallen to HALF for the first time; None at L = 0."""
    d = torch.linspace(0, 2, 40_001)
    return (kernel(d, L) < HALF).int().argmax().item() * 2 / 40_000 * SIZE / 2 if L else None


# ---- spectra ---------------------------------------------------------------------------------------------------


def spectrum(picture: Tensor) -> Tensor:
    """The amplitude of each frequency, (SIZE, SIZE) in dB below the target's largest, no lower than FLOOR; the lowest in the middle.

    picture: (3, SIZE, SIZE). Of its brightness without the mean, under a Hann window: its edges would be edges in it.
    """
    return (20 * (_amplitude(picture) / _amplitude(target()).max()).clamp(min=1e-9).log10()).clamp(min=FLOOR)


def rings(picture: Tensor) -> list[float]:
    """The spectrum by frequency in any direction, 1, 2, ... cycles a side up to the pixels' own: root mean squares of rings, in dB as there."""
    power = (_amplitude(picture) / _amplitude(target()).max()).square().flatten()
    line = torch.arange(SIZE) - SIZE // 2
    ring = (line[:, None] ** 2 + line ** 2).float().sqrt().round().long().flatten()
    mean = torch.zeros(SIZE).index_add_(0, ring, power) / torch.bincount(ring, minlength=SIZE).clamp(min=1)
    return (10 * mean[1:SIZE // 2 + 1].clamp(min=10 ** (FLOOR / 10)).log10()).tolist()


def _amplitude(picture: Tensor) -> Tensor:
    brightness, window = picture.mean(0), torch.hann_window(SIZE, periodic=False)
    return torch.fft.fftshift(torch.fft.fft2((brightness - brightness.mean()) * window[:, None] * window)).abs()


# ---- whose they are --------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Lab:
    """The fits of one visitor."""

    seed: int
    at: int = -1             # the L last looked at
    _fits: dict[int, Fit] = field(default_factory=dict)

    def fit(self, L: int) -> Fit:
        if L not in self._fits:
            self._fits[L] = _begin(L, self.seed)
        return self._fits[L]

    @property
    def step(self) -> int:
        """Updates of all fits together."""
        return sum(fit.step for fit in self._fits.values())

    @property
    def done(self) -> bool:
        return self.step >= STEPS * len(LS)

    def advance(self, L: int, seconds: float) -> None:
        """Train for at most so long: the fit at L, and once that is done the others, one after the other."""
        for each in (L, *LS):
            if not self.fit(each).done:
                return self.fit(each).advance(seconds)

    def curve(self, learnt: bool) -> list[float | None]:
        """PSNR over LS; None where nothing was trained yet."""
        return [self._fits[L].psnr(learnt) if L in self._fits and self._fits[L].step else None for L in LS]


_labs: OrderedDict[str, Lab] = OrderedDict()


def lab(owner: str, seed: int) -> Lab:
    """The lab of a page, new or kept; another seed begins it again. That of "" is everyone's."""
    if owner not in _labs or _labs[owner].seed != seed:
        _labs[owner] = Lab(seed)
    _labs.move_to_end(owner)
    while len(_labs) > LABS:
        _labs.popitem(last=False)
    return _labs[owner]
