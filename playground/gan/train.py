"""The GAN's recipe: two players, each with Adam, in turns. The loop is all here; who drives it is not its concern."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from ..core import datasets, device
from ..core.recipe import Progress, Result, average
from . import maths
from .config import FIRST, OWN_SIZE, PRESETS, PROBABLE, ModelConfig, TrainConfig, moments, suited  # noqa: F401  (a recipe offers these too)
from .model import GAN, Generator

BEST = "distance"
CHECKPOINTS = {FIRST: "mnist", "gan-emoji": "noto-emoji"}
PREVIEW, PREVIEW_SEED = 32, 0        # fakes that show how a training goes, of noise that stays the same
LOOK_EVERY = 50              # updates between two looks at how far the fakes are from held-out pictures
LOOK, LINES = 256, 128       # pictures in such a look, and lines that they are projected on
LOOK_SEED = 2**31            # of both: no run's own
MIDDLE = 500                 # pictures of each kind that say where a critic's scores part
BETAS = (0.0, 0.99)          # Adam's: without momentum, which would carry a player past its opponent (Karras et al. 2018)


@dataclass
class State:
    model: GAN
    ema: Generator           # averaged weights (Yazici et al. 2019), which are the result
    d_optimizer: torch.optim.Optimizer
    g_optimizer: torch.optim.Optimizer
    generator: torch.Generator           # all of the run's noise: z, points between, augmentation
    step: int = 0
    penalty: float = 0.0     # the last one, without its weight
    distance: float = 0.0    # at the last look
    snapshots: dict[str, Tensor] = field(default_factory=dict)      # "<update>.weights" and "<update>.scales", see `packed`


def init(config: TrainConfig) -> State:
    """Fresh networks and optimisers, from `config.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = GAN(model_config(config))
    model.to(device.for_("heavy"), memory_format=torch.channels_last)
    adam = lambda network: torch.optim.Adam(network.parameters(), lr=config.lr, betas=BETAS, fused=True)       # noqa: E731
    return State(
        model=model,
        ema=copy.deepcopy(model.generator).requires_grad_(False),
        d_optimizer=adam(model.discriminator), g_optimizer=adam(model.generator),
        generator=torch.Generator().manual_seed(config.seed),
    )


def model_config(config: TrainConfig) -> ModelConfig:
    """The networks' shape: the recipe's fields, with the channels and size of its data set."""
    _, channels, size, _ = datasets.load(config.dataset, "test").images.shape
    return ModelConfig(channels, size, config.latent, config.width, config.loss, config.spectral)


def batches(config: TrainConfig, start: int) -> Iterator[Tensor]:
    """x of (critics, B, C, H, W) in [0, 1] on the model's device, from update number `start` on: one batch for each of D's updates."""
    where, stream = device.for_("heavy"), datasets.batches(config.dataset, config.batch_size, config.seed, start * config.critics)
    while True:
        yield torch.stack([next(stream).x for _ in range(config.critics)]).to(where, non_blocking=True)


def train(config: TrainConfig, state: State, batches: Iterable[Tensor]) -> Iterator[Progress]:
    """Let both play, yielding after each update of both: the caller may report, save or stop at any yield.

    batches: x of (critics, B, C, H, W) in [0, 1] on the model's device, from update number state.step on. Metrics: `d_loss` and `g_loss`
    as the loss names them; `real` and `fake`, D's mean answer, a probability where it is one; `penalty` without its weight, where there
    is one; `distance`, the sliced Wasserstein distance of the averaged fakes from held-out pictures, looked at every LOOK_EVERY updates.
    """
    D, G, moment = state.model.discriminator, state.model.generator, moments(config.steps)
    state.model.train()
    for step, reals in zip(range(state.step, config.steps), batches):
        for optimizer in (state.d_optimizer, state.g_optimizer):
            optimizer.param_groups[0]["lr"] = config.lr * falling(config, step)
        for i, x in enumerate(reals):
            real = 2 * x - 1
            metrics = d_step(config, state, D, G, real, penalised=config.penalty != "none" and (step * len(reals) + i) % config.every == 0)
        metrics |= g_step(config, state, D, G, len(real))
        average(state.ema, G, config.ema, step)
        state.step = step + 1
        if step % LOOK_EVERY == 0:
            state.distance = distance(config, state)
        if state.step in moment and state.step < config.steps:
            weights, scales = packed(weights_of(state))
            state.snapshots |= {f"{state.step}.weights": weights, f"{state.step}.scales": scales}
        if config.penalty != "none":
            metrics["penalty"] = state.penalty
        yield Progress(state.step, config.steps, {**metrics, "distance": state.distance})


def d_step(config: TrainConfig, state: State, D: torch.nn.Module, G: torch.nn.Module, real: Tensor, penalised: bool) -> dict[str, float]:
    """One update of the discriminator on real pictures (B, C, H, W) in [-1, 1] and as many fakes; the generator only draws."""
    D.requires_grad_(True)
    with torch.no_grad(), device.autocast(real.device.type, config.precision):
        fake = G(noise(config, state, len(real), real.device)).float()
    real, fake = seen(config, state, real), seen(config, state, fake)
    with device.autocast(real.device.type, config.precision):
        logits = D(torch.cat([real, fake])).float()
    real_logits, fake_logits = logits.chunk(2)
    loss = total = maths.d_loss(config.loss, real_logits, fake_logits)
    if penalised:
        penalty = penalise(config, state, D, real, fake)
        total = loss + config.every * config.gamma * penalty
        state.penalty = penalty.item()
    state.d_optimizer.zero_grad(set_to_none=True)
    total.backward()
    state.d_optimizer.step()
    return {"d_loss": loss.item(), "real": said(config, real_logits), "fake": said(config, fake_logits)}


def g_step(config: TrainConfig, state: State, D: torch.nn.Module, G: torch.nn.Module, count: int) -> dict[str, float]:
    """One update of the generator on `count` fakes; the discriminator only answers."""
    where = next(G.parameters()).device
    D.requires_grad_(False)
    with device.autocast(where.type, config.precision):
        fake = G(noise(config, state, count, where))
        logits = D(seen(config, state, fake)).float()
    loss = maths.g_loss(config.loss, logits)
    state.g_optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.g_optimizer.step()
    D.requires_grad_(True)
    return {"g_loss": loss.item()}


def noise(config: TrainConfig, state: State, count: int, where: torch.device) -> Tensor:
    """z of (count, latent): CPU noise, so that one seed is one run on any device."""
    return torch.randn((count, config.latent), generator=state.generator).to(where)


def seen(config: TrainConfig, state: State, x: Tensor) -> Tensor:
    """Pictures as D sees them."""
    if not config.augment:
        return x
    return maths.augmented(x.float(), config.augment, torch.rand((len(x), 5), generator=state.generator).to(x.device))


def said(config: TrainConfig, logits: Tensor) -> float:
    """D's mean answer: a probability where the loss makes it one."""
    logits = logits.detach()
    return (logits.sigmoid() if config.loss in PROBABLE else logits).mean().item()


def penalise(config: TrainConfig, state: State, D: torch.nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The gradient penalty without its weight, ()."""
    if config.penalty == "gp":
        share = torch.rand(len(real), generator=state.generator).to(real.device)
        return maths.gradient_penalty(D, maths.between(real, fake, share))
    return maths.r1(D, real) + (maths.r1(D, fake) if config.penalty == "r1+r2" else 0)


def falling(config: TrainConfig, step: int) -> float:
    """What multiplies both learning rates: 1 for half of the training, then falling to 0 in a straight line (Zhu et al. 2017, section 4)."""
    return min(1.0, 2 * (1 - step / config.steps))


@torch.no_grad()
def fakes(generator: torch.nn.Module, z: Tensor) -> Tensor:
    """(N, C, H, W) in [0, 1] on the CPU."""
    where = next(generator.parameters()).device
    return torch.cat([((generator(part.to(where)).float() + 1) / 2).cpu() for part in z.split(64)])


@torch.no_grad()
def distance(config: TrainConfig, state: State) -> float:
    """How far LOOK averaged fakes are from as many held-out pictures (repeated where there are fewer): maths.sliced, per pixel, in [0, 1]."""
    held_out = datasets.load(config.dataset, "test").images
    real = held_out[torch.arange(LOOK) % len(held_out)].flatten(1).float() / 255
    lines = torch.randn((real.shape[1], LINES), generator=torch.Generator().manual_seed(LOOK_SEED))
    fake = fakes(state.ema, device.noise(LOOK_SEED, range(LOOK), (config.latent,))).flatten(1)
    return maths.sliced(fake, real, lines / lines.norm(dim=0)).item()


@torch.no_grad()
def preview(config: TrainConfig, state: State) -> Tensor:
    """The averaged generator's pictures of fixed noise, (PREVIEW, C, H, W) in [0, 1]."""
    return fakes(state.ema, device.noise(PREVIEW_SEED, range(PREVIEW), (config.latent,)))


@torch.no_grad()
def result(config: TrainConfig, state: State) -> Result:
    """The averaged generator with its opponent of this moment, and what views need beside them.

    Derived: boundary (), the number of D above which a picture counts as real, see `boundary`; step (), updates so far; for each snapshot
    taken "<update>.weights" and "<update>.scales", see `unpacked`. No picture of the data set is kept.
    """
    weights = weights_of(state)
    derived = {"boundary": torch.tensor(boundary(config, state)), "step": torch.tensor(state.step), **state.snapshots}
    return Result(asdict(state.model.config), weights, derived)


def weights_of(state: State) -> dict[str, Tensor]:
    """The checkpoint's weights: the averaged generator's, the discriminator's as they are."""
    return {f"generator.{key}": value for key, value in state.ema.state_dict().items()} | {
        f"discriminator.{key}": value for key, value in state.model.discriminator.state_dict().items()}


@torch.no_grad()
def boundary(config: TrainConfig, state: State) -> float:
    """The loss's own, or where it has none (Wasserstein) the middle between D's mean answers to real pictures and to fakes."""
    known = maths.boundary(config.loss)
    if known is not None:
        return known
    D, training = state.model.discriminator, datasets.load(config.dataset).images[:MIDDLE]
    where, was = next(D.parameters()).device, D.training
    D.eval()                                                  # spectral normalisation goes on with its iteration in training
    answer = lambda x: torch.cat([D(2 * part.to(where) - 1).cpu() for part in x.split(100)]).mean().item()      # noqa: E731
    middle = 0.5 * (answer(training.float() / 255) + answer(fakes(state.ema, device.noise(LOOK_SEED, range(len(training)), (config.latent,)))))
    D.train(was)
    return middle


# ---- a snapshot in a byte a weight -----------------------------------------------------------------------------


def packed(weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """All weights as int8 (N,) with one scale for each row of each tensor (R,) float32: a weight is scale times its byte, within half a scale."""
    rows = [_rows(tensor.detach().cpu().float()) for tensor in weights.values()]
    scales = [row.abs().amax(1).clamp(min=1e-12) / 127 for row in rows]
    return (torch.cat([(row / scale[:, None]).round().to(torch.int8).flatten() for row, scale in zip(rows, scales)]), torch.cat(scales))


def unpacked(like: Mapping[str, Tensor], weights: Tensor, scales: Tensor) -> dict[str, Tensor]:
    """What `packed` took from tensors of these names and shapes. Raises ValueError where they do not fit."""
    rows = {key: _rows(tensor) for key, tensor in like.items()}
    if weights.shape != (sum(row.numel() for row in rows.values()),) or scales.shape != (sum(len(row) for row in rows.values()),):
        raise ValueError("not these networks' weights")
    out, at, row_at = {}, 0, 0
    for key, row in rows.items():
        bytes_, scale = weights[at:at + row.numel()].view(row.shape), scales[row_at:row_at + len(row)]
        out[key] = (bytes_.float() * scale[:, None]).view(like[key].shape)
        at, row_at = at + row.numel(), row_at + len(row)
    return out


def _rows(tensor: Tensor) -> Tensor:
    """A tensor as rows, one for each of its outputs; a bias or number is one row."""
    return tensor.reshape(len(tensor), -1) if tensor.ndim > 1 else tensor.reshape(1, -1)
