"""The recipe of a radiance field: render rays of posed pictures and follow the gradient of their error, with Adam.

The loop is all here; who drives it is not its concern.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core import device, scenes
from ..core.recipe import Progress, Result
from . import maths, voxels
from .config import BY_VIEWS, ENCODED, OWN, OWN_SIZE, PRESETS, ModelConfig, TrainConfig, suited  # noqa: F401  (a recipe offers these too)
from .model import Field, build
from .voxels import pack_cells

BEST = "loss"
CHECKPOINTS = {"nerf-lego": "lego", "nerf-lego-mlp": "lego", "nerf-solids": "solids", **dict.fromkeys(BY_VIEWS.values(), "lego"), **dict.fromkeys(ENCODED.values(), "solids")}

STAGES = ((0.0, 32, 0.0), (0.05, 64, 0.0), (0.15, 0, 0.62), (0.25, 0, 0.88), (0.45, 0, 1.0))         # share of the steps; cells a side: at least, and as a share of the last
SMALL = 0.08                 # share of the steps that learn from pictures of half the size, where they are large
LARGE = 150                  # pixels a side
DECAY = 0.15                 # what is left of the learning rate at the end
FASTER = 3.0                 # a density's learning rate, in that of a colour
NETWORK = 0.02               # a network's, in that of a voxel's colour
DARK = 40                    # updates after which samples that nobody sees get no gradient
T_MIN, TAU_MIN = 1e-3, 1e-2  # of those: no light comes so far, or goes by almost whole
PRUNE, LEAST = 0.03, 0.5     # a cell that never has this weight is taken out; where nothing has much yet, one below this share of the largest
LOOK = 65_536                # rays that look for it
HELD_OUT_EVERY = 25          # updates between two looks at
HELD_OUT = 1024              # rays of held-out pictures
HELD_OUT_SEED = 2**40        # beyond every run's
BUDGET = 8                   # mlp: coarse samples of an update, for each ray of a full batch; while all is asked for, there are fewer rays
MAP = 64                     # mlp: cells a side of its map of empty space
MAP_EVERY = 16               # mlp: updates between two looks at
MAP_SHARE = 8                # one in so many cells, whether it is empty
FORGET = 0.7                 # mlp: of the largest density found in a cell, what is left at the next look
FIRST = 0.5                  # mlp: the density a cell is thought to hold before it is looked at
CAP = 2.0                    # mlp: what a larger density than that counts: soon forgotten, where it was a mistake
EMPTY = 0.01                 # mlp: optical depth of a cell's side below which it is empty
PREVIEW = 100                # pixels a side of a film's frame, at most
PREVIEW_MLP = 48             # and of a network's
PREVIEW_VIEW = (-50.0, 28.0, 4.0)        # azimuth, elevation, distance, in degrees and bounds of a scene of bound 1.3


@dataclass
class State:
    field: Field
    optimizer: torch.optim.Optimizer
    generator: torch.Generator           # all of the run's noise: shifts of the samples, and the rays that look for empty cells
    step: int = 0
    stage: int = 0           # of STAGES
    held_out: float = 0.0    # PSNR of held-out rays as last looked at
    found: Tensor | None = None          # mlp: the largest density of late in each cell of its map, (n^3,)


@dataclass(frozen=True)
class Rays:
    o: Tensor                # (R, 3)
    d: Tensor                # (R, 3), of length 1
    rgb: Tensor              # (R, 3) in [0, 1], what was seen along them


def init(config: TrainConfig) -> State:
    """A fresh field and optimiser, from `config.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        field = build(vars(model_config(config))).to(device.for_("heavy"))
    found = None if config.field == "voxels" else torch.full((MAP**3,), FIRST, device=field.device)
    return State(field, _optimizer(config, field), torch.Generator().manual_seed(config.seed), found=found)


def model_config(config: TrainConfig) -> ModelConfig:
    """The field a run begins with, in its scene's cube."""
    bound = _scene(config).bound
    if config.field == "mlp":
        return ModelConfig("mlp", bound, MAP, width=config.width, depth=config.depth, coarse=config.coarse,
                           frequencies=config.frequencies, samples=config.samples, fine=config.fine)
    resolution = _resolution(config, 0)
    return ModelConfig("voxels", bound, resolution, (resolution + 1) ** 3)


def _resolution(config: TrainConfig, stage: int) -> int:
    """Cells a side in a stage."""
    _, least, share = STAGES[stage]
    return min(config.resolution, max(least, STAGES[max(0, stage - 1)][1], round(share * config.resolution)))


def _optimizer(config: TrainConfig, field: Field) -> torch.optim.Optimizer:
    groups = [[field.raw], [field.sh]] if config.field == "voxels" else [list(field.parameters())]
    return torch.optim.Adam([{"params": group} for group in groups], betas=(0.9, 0.99), fused=True)


# ---- pictures as rays ------------------------------------------------------------------------------------------


def _scene(config: TrainConfig) -> scenes.Scene:
    """The scene a run trains on: of a built-in one only those pictures are drawn that are needed."""
    if config.dataset in scenes.BUILT_IN:
        return scenes.load(config.dataset, config.size, views=config.views)          # its first ones are spread evenly, however many
    return scenes.load(config.dataset, config.size)


@lru_cache(maxsize=4)
def _pictures(train: scenes.Views, views: int, small: bool) -> tuple[Tensor, Tensor, float]:
    """Those of the pictures to learn from, (N, H, W, 3) uint8, their poses (N, 4, 4) and their field of view."""
    chosen = spread(train.poses, views)
    images = train.images[chosen]
    if small:
        images = F.avg_pool2d(images.permute(0, 3, 1, 2).float(), 2).round().byte().permute(0, 2, 3, 1).contiguous()
    return images, train.poses[chosen], train.field_of_view


def spread(poses: Tensor, n: int) -> Tensor:
    """n of the poses (N, 4, 4) as evenly as they come, int64 ascending: one after the other the farthest from those taken."""
    at = F.normalize(torch.as_tensor(poses)[:, :3, 3], dim=1)
    if n >= len(at):
        return torch.arange(len(at))
    chosen = [0]
    nearest = (at - at[0]).norm(dim=1)
    while len(chosen) < n:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (at - at[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen).sort().values


def batches(config: TrainConfig, start: int) -> Iterator[Rays]:
    """Twice as many rays as an update takes, since some meet nothing; on the field's device, from batch number `start` on.

    Each epoch goes through all pixels in an order of its own. The first updates see the pictures at half their size.
    """
    return _batches(config, _scene(config).train, start)      # which refuses at the call


def _batches(config: TrainConfig, train: scenes.Views, start: int) -> Iterator[Rays]:
    number, where = start, device.for_("heavy")
    small_until = round(SMALL * config.steps) if config.size >= LARGE else 0
    order, of = None, None
    while True:
        small = number < small_until
        images, poses, field_of_view = _pictures(train, config.views, small)
        N, H, W, _ = images.shape
        size = min(2 * config.batch_size, N * H * W)
        epoch, place = divmod(number if small else number - small_until, N * H * W // size)
        if of != (small, epoch):
            order, of = _permutation(N * H * W, config.seed, 2 * epoch + small), (small, epoch)
        rays = _rays(images, poses, field_of_view, order[place * size:(place + 1) * size])
        yield Rays(rays.o.to(where), rays.d.to(where), rays.rgb.to(where))
        number += 1


def _permutation(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed + 2**31 * epoch))


@lru_cache(maxsize=4)
def _held_out(held_out: scenes.Views) -> Rays:
    """The same HELD_OUT rays of held-out pictures for every run."""
    index = torch.randperm(held_out.images[..., 0].numel(), generator=torch.Generator().manual_seed(HELD_OUT_SEED))[:HELD_OUT]
    return _rays(held_out.images, held_out.poses, held_out.field_of_view, index)


def _rays(images: Tensor, poses: Tensor, field_of_view: float, index: Tensor) -> Rays:
    """The rays of some pixels of pictures (N, H, W, 3) uint8, by their numbers among all N H W."""
    _, H, W, _ = images.shape
    view, pixel = index // (H * W), index % (H * W)
    o, d = maths.camera_rays(poses[view], field_of_view, H, W, torch.stack([pixel // W, pixel % W], dim=1))
    return Rays(o, d, images.view(-1, 3).index_select(0, index).float() / 255)


# ---- the loop --------------------------------------------------------------------------------------------------


def train(config: TrainConfig, state: State, batches: Iterable[Rays]) -> Iterator[Progress]:
    """Fit the field, yielding after each update: the caller may report, save or stop at any yield.

    batches: rays on the field's device, from batch number state.step on. Metrics: the mean square error of the update's rays,
    the same as PSNR in dB, and as last looked at the PSNR of held-out rays.
    """
    for step, rays in zip(range(state.step, config.steps), batches):
        voxels_ = config.field == "voxels"
        (_grow if voxels_ else _map)(config, state)
        for group, factor in zip(state.optimizer.param_groups, (FASTER, 1.0) if voxels_ else (NETWORK,)):
            group["lr"] = factor * config.lr * DECAY ** (step / config.steps)
        mse, loss = (error if voxels_ else errors)(config, state, rays)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        state.step = step + 1
        if step % HELD_OUT_EVERY == 0 or state.step == config.steps:
            state.held_out = _psnr_held_out(config, state.field)
        yield Progress(state.step, config.steps, {"loss": loss.item(), "psnr": psnr(mse.item()), "psnr_held_out": state.held_out})


def error(config: TrainConfig, state: State, rays: Rays) -> tuple[Tensor, Tensor]:
    """The mean square error of the first batch_size rays that meet a kept cell, and the loss, which is the same: NeRF, eq. 6,
    for a field without a coarse one."""
    field = state.field
    samples = field.march(rays.o, rays.d, torch.rand(len(rays.o), generator=state.generator).to(rays.o))
    samples, met = samples.first(config.batch_size)
    R, d = len(met), rays.d.index_select(0, met)
    if state.step >= DARK:
        w, T, tau = field.weights(samples, R)
        samples = samples[((T > T_MIN) & (tau > TAU_MIN)).nonzero()[:, 0]]
    raw, sh = voxels.interpolate(field, samples)
    rgb = maths.sh_colour(sh, maths.sh_basis(d).index_select(0, samples.ray))
    colour, _, _ = maths.render_packed(maths.raw_to_tau(raw), rgb, samples.ray, R)
    mse = (colour - rays.rgb.index_select(0, met)).square().sum() / max(1, 3 * R)
    return mse.detach(), mse


def errors(config: TrainConfig, state: State, rays: Rays) -> tuple[Tensor, Tensor]:
    """The fine network's mean square error, and the loss: NeRF, eq. 6, both networks' errors, per colour of a ray.

    Of the first rays that meet a cell which may hold something: batch_size, or fewer where BUDGET would not suffice.
    """
    field = state.field
    near, far = maths.box_interval(rays.o, rays.d, field.box)
    asked = field._may_hold(rays.o, rays.d, maths.strata(near, far, config.samples)).sum(1)
    met = asked.nonzero()[:, 0][:config.batch_size]
    met = met[:max(1, int((asked[met].cumsum(0) <= BUDGET * config.batch_size).sum()))]
    coarse, fine = field.passes(rays.o[met], rays.d[met], state.generator)
    coarse_mse, fine_mse = ((each.colour - rays.rgb[met]).square().sum() / max(1, 3 * len(met)) for each in (coarse, fine))
    return fine_mse.detach(), coarse_mse + fine_mse


@torch.no_grad()
def _map(config: TrainConfig, state: State) -> None:
    """Look at some cells of the map, and take those for empty where the fine network's density has been low for some time: a
    running maximum, as in Mueller et al. 2022 (arXiv:2201.05989), appendix C."""
    if state.step % MAP_EVERY or not state.step:
        return
    field, n = state.field, state.field.config.resolution
    cells = (state.step // MAP_EVERY % MAP_SHARE + MAP_SHARE * torch.arange(n**3 // MAP_SHARE)).to(field.device)
    place = torch.stack([cells // (n * n), cells // n % n, cells % n], dim=1)
    x = (place + torch.rand(len(cells), 3, generator=state.generator).to(field.device)) * (2 / n) - 1
    sigma = torch.cat([field.fine.trunk(part)[0] for part in x.split(1 << 14)])
    state.found[cells] = torch.maximum(FORGET * state.found[cells].clamp(max=CAP), sigma)
    field.cells = pack_cells((state.found * (2 * field.bound / n) > EMPTY).view(n, n, n))
    field.index()


def _grow(config: TrainConfig, state: State) -> None:
    """Go on to a finer grid without the cells that no ray has seen anything in, when it is time."""
    stage = max(i for i, (share, *_) in enumerate(STAGES) if state.step >= share * config.steps)
    if stage == state.stage:
        return
    resolution, before = _resolution(config, stage), state.field.resolution
    if resolution > before or stage == len(STAGES) - 1:
        pictures = _pictures(_scene(config).train, config.views, False)
        rays = _rays(*pictures, torch.randint(pictures[0][..., 0].numel(), (LOOK,), generator=state.generator))
        seen = voxels.seen(state.field, rays.o.to(state.field.device), rays.d.to(state.field.device))
        voxels.regrid(state.field, resolution, seen > min(PRUNE, LEAST * seen.max().item()))
        state.optimizer = _optimizer(config, state.field)
    state.stage = stage


def psnr(mse: float) -> float:
    """In dB, of pictures in [0, 1]; at most 100."""
    return -10 * math.log10(max(mse, 1e-10))


@torch.no_grad()
def _psnr_held_out(config: TrainConfig, field: Field) -> float:
    rays = _held_out(_scene(config).held_out)
    seen = field.trace(rays.o.to(field.device), rays.d.to(field.device))
    return psnr((seen.rgb.cpu() - rays.rgb).square().mean().item())


# ---- what is shown and kept ------------------------------------------------------------------------------------


@torch.no_grad()
def preview(config: TrainConfig, state: State) -> Tensor:
    """The scene and its depth from one place, (2, 3, P, P) in [0, 1]: near is bright."""
    most = PREVIEW if config.field == "voxels" else PREVIEW_MLP
    size, (azimuth, elevation, distance) = min(config.size, most), PREVIEW_VIEW
    bound, where = state.field.bound, state.field.device
    o, d = maths.camera_rays(maths.orbit_pose(azimuth, elevation, distance * bound / 1.3), _scene(config).train.field_of_view, size, size)
    seen = state.field.trace(o.view(-1, 3).to(where), d.view(-1, 3).to(where))
    near = (distance / 1.3 + 1.2 - seen.depth / bound) / 2.4             # from the front of the scene to its back
    grey = torch.where(seen.opacity > 0.5, near, 0).clamp(0, 1)[:, None].expand(-1, 3)
    return torch.stack([seen.rgb.clamp(0, 1), grey]).view(2, size, size, 3).permute(0, 3, 1, 2).contiguous().cpu()


@torch.no_grad()
def result(config: TrainConfig, state: State) -> Result:
    """The field, a grid's numbers in 8 bits; derived: the training views' poses (N, 4, 4), the first held-out
    one's (4, 4), and their field of view ()."""
    if config.field == "voxels":
        fields, weights = voxels.compressed(state.field)
    else:
        fields, weights = vars(state.field.config), {key: value.cpu().clone() for key, value in state.field.state_dict().items()}
    scene = _scene(config)
    _, poses, field_of_view = _pictures(scene.train, config.views, False)
    return Result(fields, weights, {"poses": poses, "held_out": scene.held_out.poses[0], "field_of_view": torch.tensor(field_of_view)})
