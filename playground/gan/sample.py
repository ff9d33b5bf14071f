"""What a trained GAN answers: the picture of a seed, D's opinion of any picture, and both as they were early in the training."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..core import checkpoints, device
from ..core.checkpoints import Checkpoint
from ..core.errors import PlaygroundError, register
from ..core.inputs import SEED_MAX
from . import maths
from .config import PROBABLE
from .model import GAN, ModelConfig
from .train import unpacked

BATCH = 100                  # pictures per pass: enough to be fast, small enough to let the next request in

register({
    "gan.derived": (
        "The checkpoint {name} does not say where its discriminator's answers part, or its snapshots are damaged; train it again with this version.",
        "检查点 {name} 没有记录其判别器的分界，或其快照已损坏；请用当前版本重新训练。",
    ),
})


def build(config: Mapping[str, Any]) -> GAN:
    """The networks for a checkpoint's `model` fields, their weights still random."""
    return GAN(ModelConfig(**config)).to(memory_format=torch.channels_last)              # a third faster on a CPU


def load(name: str) -> Checkpoint:
    """A GAN by name, from the cache when it is there. Raises `PlaygroundError` for any that will not do."""
    checkpoint = checkpoints.load(name, "gan", build)
    if any(key not in checkpoint.derived or checkpoint.derived[key].shape != () for key in ("boundary", "step")):
        raise PlaygroundError("gan.derived", name=name)
    return checkpoint


# ---- seeds -----------------------------------------------------------------------------------------------------


def latents(checkpoint: Checkpoint, seeds: Iterable[int]) -> Tensor:
    """z (N, D), one for each seed: its noise of index 0, so that a picture belongs to one number."""
    return torch.cat([torch.empty(0, checkpoint.model.config.latent), *(device.noise(seed, [0], (checkpoint.model.config.latent,)) for seed in seeds)])


def following(seed: int, n: int) -> list[int]:
    """The n seeds from this one on; after the largest comes 0."""
    return [(seed + i) % (SEED_MAX + 1) for i in range(n)]


@torch.no_grad()
def draw(checkpoint: Checkpoint, z: Tensor) -> Tensor:
    """Pictures (N, C, H, W) in [0, 1] on the CPU of z (N, D)."""
    where = next(checkpoint.model.parameters()).device
    return torch.cat([checkpoint.model.picture(part.to(where)).cpu() for part in z.split(BATCH)]).clamp(0, 1)


def images(name: str, n: int, seed: int) -> Tensor:
    """n pictures (n, C, H, W) in [0, 1]: of this seed and the n - 1 that follow. A seed is always the same picture."""
    checkpoint = load(name)
    return draw(checkpoint, latents(checkpoint, following(seed, n)))


# ---- D's opinion -----------------------------------------------------------------------------------------------


@torch.no_grad()
def score(checkpoint: Checkpoint, x: Tensor) -> Tensor:
    """D's number (N,) for pictures (N, C, H, W) in [0, 1], on the CPU: a logit, or whatever its loss made of it."""
    where = next(checkpoint.model.parameters()).device
    return torch.cat([checkpoint.model.score(part.to(where)).cpu() for part in x.split(BATCH)])


def probable(checkpoint: Checkpoint) -> bool:
    """Whether D's number, through a sigmoid, is a probability."""
    return checkpoint.model.config.loss in PROBABLE


def opinion(checkpoint: Checkpoint, x: Tensor) -> Tensor:
    """What D says of pictures, (N,): D(x) in [0, 1] where it is a probability, else its score."""
    logits = score(checkpoint, x)
    return logits.sigmoid() if probable(checkpoint) else logits


def taken_for_real(checkpoint: Checkpoint, x: Tensor) -> Tensor:
    """Whether D takes pictures for real ones, bool (N,)."""
    return score(checkpoint, x) > checkpoint.derived["boundary"]


# ---- the same pair early in the training -----------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """Both players after so many updates."""

    step: int
    checkpoint: Checkpoint   # with that moment's weights


_moments: WeakKeyDictionary[GAN, list[Moment]] = WeakKeyDictionary()     # touched on the inference executor alone


def moments(checkpoint: Checkpoint) -> list[Moment]:
    """The snapshots that a checkpoint carries, from early to late; the last is the checkpoint itself."""
    if checkpoint.model not in _moments:
        _moments[checkpoint.model] = _unpack(checkpoint)
    return [*_moments[checkpoint.model], Moment(int(checkpoint.derived["step"]), checkpoint)]


def _unpack(checkpoint: Checkpoint) -> list[Moment]:
    steps = sorted(int(key.removesuffix(".weights")) for key in checkpoint.derived if key.endswith(".weights"))
    found, own = [], checkpoint.model.state_dict()
    for step in steps:
        try:
            weights = unpacked(own, checkpoint.derived[f"{step}.weights"], checkpoint.derived[f"{step}.scales"])
        except (KeyError, ValueError):
            raise PlaygroundError("gan.derived", name=checkpoint.name) from None
        model = copy.deepcopy(checkpoint.model)
        model.load_state_dict(weights)
        found.append(Moment(step, Checkpoint(checkpoint.name, checkpoint.family, checkpoint.config, model.eval(), checkpoint.derived, 0)))
    return found


# ---- what views ask for ----------------------------------------------------------------------------------------


def blend(checkpoint: Checkpoint, seeds: Iterable[int], u: float, v: float) -> tuple[Tensor, Tensor]:
    """z (D,) between the four seeds at (0, 0), (1, 0), (0, 1), (1, 1), and the weight of each, (4,): see maths.weights_of_four."""
    weights = maths.weights_of_four(torch.tensor(u), torch.tensor(v))
    return weights @ latents(checkpoint, seeds), weights


def path(checkpoint: Checkpoint, a: Tensor, b: Tensor, n: int) -> Tensor:
    """n codes from a to b, each (D,): (2, n, D), along the straight line and along the great circle."""
    share = torch.linspace(0, 1, n)
    return torch.stack([maths.lerp(a, b, share), maths.slerp(a, b, share)])


_directions: WeakKeyDictionary[GAN, tuple[Tensor, Tensor]] = WeakKeyDictionary()


def directions(checkpoint: Checkpoint) -> tuple[Tensor, Tensor]:
    """The principal directions of the generator's first layer, (R, D) of length 1, and the share each explains, (R,)."""
    if checkpoint.model not in _directions:
        found, share = maths.principal(checkpoint.model.generator.first.weight.cpu())
        _directions[checkpoint.model] = found.float(), share.float()
    return _directions[checkpoint.model]
