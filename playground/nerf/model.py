"""The paper's radiance field: two networks from a place and a direction to a density and a colour (NeRF, sections 3 and 5).

`build` makes this one or the grid of voxels (voxels.py); both answer the same questions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import maths
from .config import ModelConfig
from .voxels import Traced, VoxelField, pack_cells, unpack_cells

THICK = 12.0                 # log of a density per world unit, at most: exp(12) lets nothing through
THIN = -1.0                  # and at first: 0.4 per world unit
HIDDEN = 1e-3                # light left by the coarse network below which its samples are not asked of the fine one
CHUNK = 512                  # rays at once: what they need stays in the cache, twice as fast as 8,192

Field = Any                  # a VoxelField or an MLPField


class Network(nn.Module):
    """sigma from gamma(x), rgb from that layer's features and gamma(d): x (S, 3) in [-1, 1], d (S, 3) of length 1.

    As the paper's figure 7, narrower: layers of `width` with ReLU, the position coming in again half way; the density is an
    exponential, as in Mueller et al. 2022 (arXiv:2201.05989). x itself stands beside gamma(x), as in the authors' program.
    """

    def __init__(self, width: int, depth: int, frequencies: int, directions: int) -> None:
        super().__init__()
        self.frequencies, self.directions, self.again = frequencies, directions, depth // 2
        place, towards = 3 + 6 * frequencies, 3 + 6 * directions
        self.layers = nn.ModuleList(
            nn.Linear(place if i == 0 else width + place * (i == self.again), width) for i in range(depth))
        self.to_density = nn.Linear(width, 1)
        self.features = nn.Linear(width, width)
        self.seen_from = nn.Linear(width + towards, width // 2)
        self.to_colour = nn.Linear(width // 2, 3)
        nn.init.constant_(self.to_density.bias, THIN)

    def trunk(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """sigma (S,) per world unit, and the last layer (S, width)."""
        place = torch.cat([x, maths.encoding(x, self.frequencies)], dim=1)
        h = place
        for i, layer in enumerate(self.layers):
            h = F.relu(layer(torch.cat([h, place], dim=1) if i == self.again and i else h))
        return torch.exp(self.to_density(h)[:, 0].clamp(max=THICK)), h

    def forward(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (S, 3) in [0, 1] and sigma (S,)."""
        sigma, h = self.trunk(x)
        towards = torch.cat([d, maths.encoding(d, self.directions)], dim=1)
        h = F.relu(self.seen_from(torch.cat([self.features(h), towards], dim=1)))
        return torch.sigmoid(self.to_colour(h)), sigma


@dataclass(frozen=True)
class Pass:
    """What one of the two networks sees on some rays: S samples of all of them, one ray after the other."""

    colour: Tensor           # (R, 3), on white
    opacity: Tensor          # (R,)
    w: Tensor                # (S,)
    t: Tensor                # (S,)
    ray: Tensor              # (S,) int64 ascending


class MLPField(nn.Module):
    """A coarse network, which says where to look, and a fine one, which says what is there; cells known to be empty are not asked.

    `cells` (n, n, ceil(n / 8)) uint8 is a bit for each cell of the cube, as a voxel field's. The fine network is the field.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.coarse = Network(config.coarse, 2, min(config.frequencies, 6), 1)
        self.fine = Network(config.width, config.depth, config.frequencies, config.directions)
        n = config.resolution
        self.register_buffer("cells", pack_cells(torch.ones(n, n, n, dtype=torch.bool)))
        for name in ("kept", "box"):
            self.register_buffer(name, None, persistent=False)
        self.register_load_state_dict_post_hook(lambda field, keys: field.index())
        self.index()

    @property
    def bound(self) -> float:
        return self.config.bound

    @property
    def device(self) -> torch.device:
        return self.cells.device

    @property
    def step(self) -> float:
        """A distance over which a network of so many frequencies can change, in world units."""
        return 2 * self.bound / 128

    @property
    def empty(self) -> float:
        """The share of the cube that is known to be empty."""
        return 1 - self.kept.float().mean().item()

    def index(self) -> None:
        """From the bits: the map of cells, and the box around those that may hold something."""
        cells = unpack_cells(self.cells)
        self.kept = cells.flatten()
        n = len(cells)
        ends = []
        for axis in range(3):
            some = cells.movedim(axis, 0).flatten(1).any(1).nonzero()[:, 0]
            ends.append([int(some[0]), int(some[-1]) + 1] if len(some) else [0, 0])
        self.box = (torch.tensor(ends).T * (2 * self.bound / n) - self.bound).float().to(cells.device)

    def may_hold(self, x: Tensor) -> Tensor:
        """Whether points (S, 3) lie in a cell that is not known to be empty, (S,)."""
        n = self.config.resolution
        i = ((x / self.bound + 1) * (n / 2)).int().clamp_(0, n - 1)
        return self.kept.index_select(0, (i[:, 0] * n + i[:, 1]) * n + i[:, 2]) & (x.abs() <= self.bound).all(1)

    # ---- answers at points -------------------------------------------------------------------------------------

    def density(self, x: Tensor) -> Tensor:
        """sigma at x (S, 3), (S,), per world unit."""
        sigma = torch.zeros(len(x), device=x.device)
        where = self.may_hold(x).nonzero()[:, 0]
        return sigma.index_copy(0, where, self.fine.trunk(x[where] / self.bound)[0])

    def colour(self, x: Tensor, d: Tensor) -> Tensor:
        """rgb at x (S, 3) seen along unit d (S, 3), (S, 3) in [0, 1]."""
        return self.fine(x / self.bound, d)[0]

    def forward(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (S, 3) and sigma (S,)."""
        rgb, sigma = self.fine(x / self.bound, d)
        return rgb, torch.where(self.may_hold(x), sigma, 0)

    # ---- answers along rays ------------------------------------------------------------------------------------

    def passes(self, o: Tensor, d: Tensor, generator: torch.Generator | None = None) -> tuple[Pass, Pass]:
        """What both networks see along rays o, d (R, 3): NeRF, section 5.2. A generator scatters the samples (eq. 2)."""
        near, far = maths.box_interval(o, d, self.box)
        t = maths.strata(near, far, self.config.samples, generator)                          # (R, N)
        kept = self._may_hold(o, d, t)
        coarse, w = self._see(self.coarse, o, d, t, near, far, kept)
        lit = 1 - (w.cumsum(1) - w) > HIDDEN                  # the light that is left when it comes there
        more = maths.importance(maths.edges(t, near, far), w, self.config.fine, generator)
        t, order = torch.cat([t, more], dim=1).sort(dim=1)
        kept = torch.cat([kept & lit, self._may_hold(o, d, more)], dim=1).gather(1, order)
        return coarse, self._see(self.fine, o, d, t, near, far, kept)[0]

    def _may_hold(self, o: Tensor, d: Tensor, t: Tensor) -> Tensor:
        return self.may_hold(torch.addcmul(o[:, None], t[..., None], d[:, None]).view(-1, 3)).view_as(t)

    def _see(self, network: Network, o: Tensor, d: Tensor, t: Tensor, near: Tensor, far: Tensor, kept: Tensor) -> tuple[Pass, Tensor]:
        """Ask a network at those t (R, N) that are kept, and render; with its weights (R, N), 0 where it was not asked."""
        index = kept.view(-1).nonzero()[:, 0]
        ray = index // t.shape[1]
        at = t.view(-1).index_select(0, index)
        along = d.index_select(0, ray)
        rgb, sigma = network((o.index_select(0, ray) + at[:, None] * along) / self.bound, along)
        delta = maths.edges(t, near, far).diff().view(-1).index_select(0, index)
        colour, w, opacity = maths.render_packed(sigma * delta, rgb, ray, len(o))
        dense = torch.zeros(t.numel(), device=t.device).index_copy_(0, index, w.detach()).view_as(t)
        return Pass(colour, opacity, w, at, ray), dense

    @torch.no_grad()
    def trace(self, o: Tensor, d: Tensor, stop: float = 0.0) -> Traced:
        """What the rays o, d (R, 3) see, on white; `stop` is a voxel field's."""
        parts = []
        for some_o, some_d in zip(o.split(CHUNK), d.split(CHUNK)):
            coarse, fine = self.passes(some_o, some_d)
            depth = torch.zeros_like(fine.opacity).index_add_(0, fine.ray, fine.w * fine.t) / fine.opacity
            parts.append((fine.colour, torch.where(fine.opacity > HIDDEN, depth, torch.inf), fine.opacity, len(coarse.t) + len(fine.t)))
        rgb, depth, opacity, samples = zip(*parts)
        return Traced(torch.cat(rgb), torch.cat(depth), torch.cat(opacity), sum(samples))


def build(fields: Mapping[str, Any]) -> Field:
    """The field for a checkpoint's `model` fields, its weights still random or 0."""
    config = ModelConfig(**fields)
    return VoxelField(config) if config.field == "voxels" else MLPField(config)
