"""The diffusion recipe: L_simple with Adam, for a U-Net, an MLP on points, or the classifier that guides. Who drives it is not its concern."""

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core import datasets, device, procedural
from ..core.recipe import Progress, Result, average
from . import maths
from .config import OWN_SIZE, PRESETS, ModelConfig, TrainConfig, suited  # noqa: F401  (a recipe offers these too)
from .model import network

BEST = "loss"
CHECKPOINTS = {"ddpm-mnist": "mnist", "classifier-noisy-mnist": "mnist", "ddpm-emoji": "noto-emoji"}
PREVIEW, PREVIEW_SEED, PREVIEW_STEPS = 16, 0, 8      # pictures that show how a training goes, and solver steps of each
PLANE = 3.0                  # points of the plane lie within +-3 on both axes
TIMES, HELD_OUT = 50, 64     # a finished model's errors are measured at t = 1 and at most so many times from 2 to T, with so many test pictures


@dataclass
class State:
    model: nn.Module
    ema: nn.Module           # averaged weights (Polyak & Juditsky 1992)
    optimizer: torch.optim.Optimizer
    generator: torch.Generator           # all of the run's noise: t, eps, and which classes are withheld
    step: int = 0


def init(config: TrainConfig) -> State:
    """Fresh networks and optimiser, from `config.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = network(model_config(config))
    model.to(device.for_("heavy"))
    return State(
        model=model,
        ema=copy.deepcopy(model).requires_grad_(False),
        optimizer=torch.optim.Adam(model.parameters(), lr=config.lr, betas=(0.9, 0.99), fused=True),
        generator=torch.Generator().manual_seed(config.seed),
    )


def model_config(config: TrainConfig) -> ModelConfig:
    """The network's shape: the recipe's fields, with the channels, size and classes of its data set."""
    shape = {"classes": 0}
    if config.network != "mlp":
        test = datasets.load(config.dataset, "test")
        _, channels, size, _ = test.images.shape
        shape = {"channels": channels, "size": size, "classes": 0 if test.labels is None else len(test.classes)}
    return ModelConfig(**shape, network=config.network, width=config.width, blocks=config.blocks, T=config.T, schedule=config.schedule,
                       prediction=config.prediction)


def batches(config: TrainConfig, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """x_0 (B, C, H, W) in [-1, 1] with labels (B,) or None, or points (B, 2), on the model's device, from batch number `start` on."""
    where = device.for_("heavy")
    if config.network == "mlp":
        while True:
            yield procedural.points(config.dataset, config.batch_size, config.seed, start * config.batch_size).to(where), None
            start += 1
    for batch in datasets.batches(config.dataset, config.batch_size, config.seed, start):
        labels = None if batch.labels is None else batch.labels.to(where, non_blocking=True)
        yield (2 * batch.x - 1).to(where, non_blocking=True), labels


def train(config: TrainConfig, state: State, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Iterator[Progress]:
    """Fit the network, yielding after each update: the caller may report, save or stop at any yield.

    batches: x_0 and labels as `batches` gives them, from batch number state.step on. `loss`: of a denoiser the mean
    squared error of what it predicts; of a classifier the cross-entropy in nats per picture.
    """
    model, generator, s = state.model, state.generator, maths.schedule(config.schedule, config.T)
    model.train()
    for step, (x_0, y) in zip(range(state.step, config.steps), batches):
        t = times(len(x_0), config.T, generator).to(x_0.device)
        eps = torch.randn(x_0.shape, generator=generator).to(x_0)                         # CPU noise: one seed, any device
        x_t = maths.q_sample(x_0, t, eps, s)
        with device.autocast(x_0.device, config.precision):
            if config.network == "classifier":
                loss = F.cross_entropy(model(x_t, t), y)
            else:
                y = withheld(y, model.config.classes, config.drop, generator)
                loss = F.mse_loss(model(x_t, t, y), maths.target(config.prediction, x_0, eps, t, s))
        state.optimizer.param_groups[0]["lr"] = config.lr * cosine(config, step)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        state.optimizer.step()
        average(state.ema, model, config.ema, step)
        state.step = step + 1
        yield Progress(state.step, config.steps, {"loss": loss.item()})


def times(n: int, T: int, generator: torch.Generator) -> Tensor:
    """n times in 1..T, uniform, one in each n-th part of the range, so that batches differ less (Kingma et al. 2021, appendix I.1)."""
    u = (torch.arange(n) + torch.rand(1, generator=generator)) / n
    return (u * T).long().clamp(max=T - 1)[torch.randperm(n, generator=generator)] + 1


def withheld(y: Tensor | None, classes: int, share: float, generator: torch.Generator) -> Tensor | None:
    """Labels with a share of them replaced by `classes`, which says that none is given (Ho & Salimans 2022, algorithm 1)."""
    if y is None or not classes:
        return None
    return torch.where((torch.rand(len(y), generator=generator) < share).to(y.device), classes, y)


def cosine(config: TrainConfig, step: int) -> float:
    """What multiplies the learning rate: up in 200 updates (a tenth of a short training), then down along half a cosine to 0."""
    return min(1.0, (step + 1) / min(200, max(1, config.steps // 10))) * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def preview(config: TrainConfig, state: State) -> Tensor:
    """Pictures in [0, 1] on the CPU that show how far it is, from noise that stays the same from update to update.

    Of a U-Net: samples, of each class in turn. Of a classifier: which way it would push each pixel of half-noised grey to
    make it more like that class, from black (darker) to white. Of an MLP: where 1,024 of its points lie.
    """
    model, s = state.ema.eval(), maths.schedule(config.schedule, config.T)
    shape = (2,) if config.network == "mlp" else (model.config.channels, model.config.size, model.config.size)
    where = next(model.parameters()).device
    x = device.noise(PREVIEW_SEED, range(1024 if config.network == "mlp" else PREVIEW), shape).to(where)
    classes = model.config.classes
    y = torch.arange(len(x), device=where) % classes if classes else None
    if config.network == "classifier":
        gradient = maths.class_gradient(model, x, config.T // 2, y).cpu()
        return (0.5 + gradient / (2 * gradient.abs().amax((1, 2, 3), keepdim=True) + 1e-12)).clamp(0, 1)
    with torch.no_grad():
        x = sampled(model, s, y, x, PREVIEW_STEPS).cpu()
    if config.network == "mlp":
        counts = torch.histogramdd(x.flip(1), [48, 48], range=2 * [-PLANE, PLANE]).hist.flip(0)
        return (counts / counts.max().clamp(min=1))[None, None]
    return maths.picture(x)


def sampled(model: nn.Module, s: maths.Schedule, y: Tensor | None, x: Tensor, steps: int) -> Tensor:
    """x_0 like x, by the fast solver from x_T = x."""
    bound = 1.0 if model.config.network == "unet" else PLANE
    denoise = maths.denoiser(lambda x, t: model(x, t, y), model.config.prediction, s, bound)
    for step in maths.dpm_solver(denoise, x, maths.visited(min(steps, s.T), s.T), s, noise=None):
        x = step.x_prev
    return x


@torch.no_grad()
def result(config: TrainConfig, state: State) -> Result:
    """The averaged model, with how it errs over t on HELD_OUT test pictures at each of its times, told their class.

    Derived, of a U-Net: times (n,), dense where the bound's terms are large; bound, bound_stderr: L_{t-1} in bits per dimension; error_eps, error_x_0,
    error_v, error_score: mean squared errors; L_T. Of a classifier: times, accuracy.
    """
    model = state.ema.eval()
    derived = {} if config.network == "mlp" else {name: value.cpu() for name, value in errors(config, model).items()}
    return Result(vars(model.config), model.state_dict(), derived)


def errors(config: TrainConfig, model: nn.Module) -> dict[str, Tensor]:
    """See `result`. The noise is fixed: picture i meets the same noise at every time."""
    s, where = maths.schedule(config.schedule, config.T), next(model.parameters()).device
    held_out = datasets.load(config.dataset, "test")
    x_0 = (2 * held_out.images[:HELD_OUT].float() / 255 - 1).to(where)
    y = None if held_out.labels is None else held_out.labels[:HELD_OUT].to(where)
    eps = device.noise(PREVIEW_SEED, range(len(x_0)), tuple(x_0.shape[1:])).to(where)
    rows: dict[str, list[Tensor]] = {}
    measured = torch.cat([torch.ones(1, dtype=torch.int64), maths.log_spaced(TIMES, config.T)])
    for t in measured.tolist():
        x_t, every = maths.q_sample(x_0, t, eps, s), torch.full((len(x_0),), t, device=where)
        if config.network == "classifier":
            row = {"accuracy": (model(x_t, every).argmax(1) == y).float().mean()}
        else:
            said, true = maths.forms(model(x_t, every, y), config.prediction, x_t, t, s), maths.forms(eps, "eps", x_t, t, s)
            nats = maths.terms(x_0, eps, every, said.x_0.clamp(-1, 1), s)
            bits = maths.bits_per_dimension(nats, x_0)
            row = {"bound": bits.mean(), "bound_stderr": bits.std() / len(bits) ** 0.5,
                   **{f"error_{form}": (getattr(said, form) - getattr(true, form)).square().mean() for form in ("eps", "x_0", "v", "score")}}
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    out = {"times": measured, **{name: torch.stack(values) for name, values in rows.items()}}
    if config.network != "classifier":
        out["L_T"] = maths.bits_per_dimension(maths.prior_term(x_0, s), x_0).mean()
    return out
