"""The VAE's recipe: maximise the ELBO with Adam. The loop is all here; who drives it is not its concern."""

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import datasets, device
from ..core.examples import EXAMPLES
from ..core.recipe import Progress, Result, average
from . import maths
from .config import DIGITS, OWN_SIZE, PLANE, PRESETS, RATES, SHOWN, ModelConfig, TrainConfig, suited  # noqa: F401  (a recipe offers these too)
from .model import VAE

BEST = "loss"
CHECKPOINTS = {"vae-mnist": "mnist", PLANE: "mnist", "vae-emoji": "noto-emoji", **dict.fromkeys(RATES.values(), "mnist")}
PREVIEW, PREVIEW_SEED = 32, 0        # pictures that show how a training goes
CLOUD = 300                  # held-out pictures whose codes show it too
LOOK_EVERY = 100             # updates between two looks at how near those codes are to the prior
CLOUD_REACH = 3.5            # std of the prior at the edge of their picture
HELD_OUT = 2_000             # test images whose codes a checkpoint carries, for scatter plots and the order of the sliders


@dataclass
class State:
    model: VAE
    ema: VAE                 # averaged weights (Polyak & Juditsky 1992)
    optimizer: torch.optim.Optimizer
    generator: torch.Generator           # all of the run's noise: binarisation and eps
    step: int = 0
    away: float = 0.0        # KL of the aggregate posterior's moments from the prior, as last looked at, in nats


def init(config: TrainConfig) -> State:
    """Fresh networks and optimiser, from `config.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = VAE(model_config(config))
    model.to(device.for_("heavy"))
    return State(
        model=model,
        ema=copy.deepcopy(model).requires_grad_(False),
        optimizer=torch.optim.Adam(model.parameters(), lr=config.lr, betas=(0.9, 0.99), fused=True),
        generator=torch.Generator().manual_seed(config.seed),
    )


def model_config(config: TrainConfig) -> ModelConfig:
    """The networks' shape: the recipe's fields, with the channels and size of its data set."""
    _, channels, size, _ = datasets.load(config.dataset, "test").images.shape
    return ModelConfig(channels, size, config.latent, config.network, config.width, config.blocks, config.hidden,
                       config.likelihood, config.sigma)


def batches(config: TrainConfig, start: int) -> Iterator[Tensor]:
    """x of (B, C, H, W) in [0, 1] on the model's device, from batch number `start` on."""
    for batch in datasets.batches(config.dataset, config.batch_size, config.seed, start):
        yield batch.x.to(device.for_("heavy"), non_blocking=True)


def train(config: TrainConfig, state: State, batches: Iterable[Tensor]) -> Iterator[Progress]:
    """Fit the VAE, yielding after each update: the caller may report, save or stop at any yield.

    batches: x of (B, C, H, W) in [0, 1] on the model's device, from batch number state.step on. Under the
    Bernoulli likelihood each batch is binarised anew. Metrics in nats per image, averaged over the batch; and, looked at every
    LOOK_EVERY updates, `kl_q_prior`: how far the codes of held-out pictures, all together, are from the prior (maths.kl_of_moments, in nats).
    """
    model, generator = state.model, state.generator
    where = next(model.parameters()).device.type
    model.train()
    for step, x in zip(range(state.step, config.steps), batches):
        if config.likelihood == "bernoulli":
            x = maths.binarise(x, generator)
        eps = torch.randn((len(x), config.latent), generator=generator).to(x.device)      # CPU noise: one seed, any device
        with device.autocast(where, config.precision):
            mu, logvar = model.encode(x)                                                  # each (B, D)
            logits = model.decode(maths.reparameterise(mu, logvar, eps))                  # (B, C, H, W)
        nll = -log_likelihood(config, logits, x).mean()
        kl = maths.kl_to_standard_normal(mu, logvar).mean()
        loss = nll + config.beta * warmup(config, step) * kl
        state.optimizer.param_groups[0]["lr"] = config.lr * cosine(config, step)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 200.0)     # never reached but after a spike
        state.optimizer.step()
        average(state.ema, model, config.ema, step)
        state.step = step + 1
        nll, kl = torch.stack([nll, kl]).tolist()
        if step % LOOK_EVERY == 0:
            state.away = maths.kl_of_moments(*cloud(config, state)).item()
        yield Progress(state.step, config.steps, {"loss": nll + config.beta * kl, "nll": nll, "kl": kl, "kl_q_prior": state.away})


def log_likelihood(config: TrainConfig | ModelConfig, logits: Tensor, x: Tensor) -> Tensor:
    """log p(x | z) in nats per image under the configured likelihood. logits, x: (..., C, H, W). Returns (...)."""
    if config.likelihood == "bernoulli":
        return maths.bernoulli_log_likelihood(logits, x)
    return maths.gaussian_log_likelihood(logits, x, config.sigma)


def warmup(config: TrainConfig, step: int) -> float:
    """What multiplies beta at an update, rising linearly from 0 to 1: without it dimensions die before they are used."""
    return min(1.0, step / (config.warmup * config.steps)) if config.warmup else 1.0


def cosine(config: TrainConfig, step: int) -> float:
    """What multiplies the learning rate: up in 200 updates, then down along half a cosine to 0."""
    return min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / config.steps))


@torch.no_grad()
def cloud(config: TrainConfig, state: State) -> tuple[Tensor, Tensor]:
    """mu and log sigma^2 of the first CLOUD held-out pictures, (CLOUD, D) each on the CPU: the averaged encoder's aggregate posterior."""
    model, held_out = state.ema, datasets.load(config.dataset, "test")
    x = held_out.images[:CLOUD].float() / 255
    if config.likelihood == "bernoulli":
        x = x.round()
    mu, logvar = model.encode(x.to(next(model.parameters()).device))
    return mu.float().cpu(), logvar.float().cpu()


@torch.no_grad()
def preview(config: TrainConfig, state: State) -> Tensor:
    """How far it is, as one picture (1, 3, H, W) in [0, 1]: PREVIEW decodes of codes that stay the same from update to update, and
    beside them the held-out pictures' codes in the two dimensions that carry most, closing on the prior's circles."""
    from torchvision.utils import make_grid

    model = state.ema.eval()
    z = device.noise(PREVIEW_SEED, range(PREVIEW), (config.latent,))
    decodes = make_grid(model.mean(z.to(next(model.parameters()).device)).cpu(), nrow=PREVIEW // 4, padding=1, pad_value=0.5)      # (3, H, W)
    mu, logvar = cloud(config, state)
    strongest = maths.kl_per_dimension(mu, logvar).mean(0).argsort(descending=True, stable=True)[:2]
    labels = datasets.load(config.dataset, "test").labels
    codes = scatter(mu[:, strongest], None if labels is None else labels[:CLOUD], decodes.shape[1])
    return torch.cat([decodes, codes], dim=2)[None]


def scatter(points: Tensor, labels: Tensor | None, size: int) -> Tensor:
    """Points (N, 1 or 2) of the plane as a picture (3, size, size) in [0, 1], coloured by label, over circles at 1, 2 and 3."""
    axis = CLOUD_REACH * (2 * (torch.arange(size) + 0.5) / size - 1)
    radius = (axis.square() + axis[:, None].square()).sqrt()
    on_circle = ((radius - radius.round()).abs() < CLOUD_REACH / size) & (radius < 3.3) & (radius > 0.5)
    picture = (0.08 + 0.3 * on_circle).expand(3, -1, -1).clone()
    x, y = points[:, 0], points[:, -1] if points.shape[1] > 1 else torch.zeros(len(points))
    column, row = (((value / CLOUD_REACH + 1) / 2 * size).floor().long() for value in (x, -y))
    inside = (column >= 0) & (column < size - 1) & (row >= 0) & (row < size - 1)
    hue = torch.zeros(len(points)) if labels is None else labels.float() / 10
    colour = (0.6 + 0.4 * torch.cos(2 * math.pi * (hue[:, None] + torch.tensor([0.0, 1 / 3, 2 / 3])))).clamp(0, 1)      # (N, 3)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):      # two pixels a side, the last one on top
        picture[:, row[inside] + down, column[inside] + right] = colour[inside].T
    return picture


@torch.no_grad()
def result(config: TrainConfig, state: State) -> Result:
    """The averaged model, with the codes of the first held-out images (binarised as in training) and what each dimension carries.

    Derived: mu, logvar (N, D); kl (D,), mean nats per dimension; nll (), mean of -log p(x | z) in nats per image, one z each;
    labels (N,) where the set has them; moments (N, 2) of grey images, see maths.moments; example_codes (EXAMPLES, D), mu of held-out
    images whose decodes there are to pick from, but neither of digits, which the page draws itself, nor of a visitor's own. No image
    of the data set is in it.
    """
    model = state.ema.eval()
    held_out = datasets.load(config.dataset, "test")
    x = grey = held_out.images[:HELD_OUT].float() / 255
    if config.likelihood == "bernoulli":
        x = maths.binarise(x, torch.Generator().manual_seed(0))
    where = next(model.parameters()).device
    parts = []
    eps = device.noise(PREVIEW_SEED, range(len(x)), (config.latent,))
    for some, noise in zip(x.split(500), eps.split(500)):
        some, noise = some.to(where), noise.to(where)
        mu, logvar = model.encode(some)
        parts.append((mu, logvar, -log_likelihood(config, model.decode(maths.reparameterise(mu, logvar, noise)), some)))
    mu, logvar, nll = (torch.cat(part) for part in zip(*parts))
    derived = {"mu": mu, "logvar": logvar, "kl": maths.kl_per_dimension(mu, logvar).mean(0), "nll": nll.mean()}
    if held_out.labels is not None:
        derived["labels"] = held_out.labels[:HELD_OUT]
    if x.shape[1] == 1:
        derived["moments"] = maths.moments(grey)
    if config.dataset not in DIGITS and not datasets.is_own(config.dataset):
        derived["example_codes"] = mu[list(SHOWN.get(config.dataset, range(EXAMPLES)))]
    return Result(vars(model.config), model.state_dict(), {name: value.cpu() for name, value in derived.items()})
