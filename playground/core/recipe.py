"""What every family's `train.py` offers, so that one worker can train, save, stop and resume them all.

A recipe is a generator that yields `Progress` after each update and knows nothing of processes, files or pages.
Reporting, stopping, saving and resuming happen at a yield, outside it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from . import device, inputs
from .errors import PlaygroundError, register

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

SECONDS = {"10s": 10, "1m": 60, "2m": 120, "10m": 600, "20m": 1200, "1h": 3600}          # presets that are named by their time
PRESETS = (*SECONDS, "shipped")
SLICE = 0.2                                                   # seconds the server trains a toy before others get their turn

register({
    "recipe.field": (
        "The {family} recipe has no field “{found}”; its fields are: {choices}.",
        "{family} 的训练配置没有“{found}”这一项；可用的项：{choices}。",
    ),
    "recipe.value": (
        "{name} is {found}; the {family} recipe expects {expected}.",
        "{name} 的值是 {found}；{family} 的训练配置需要{expected}。",
    ),
})


@dataclass(frozen=True)
class Progress:
    """One update done: where the run stands and what was measured on its batch."""

    step: int                                                 # updates done, 1..steps
    steps: int                                                # updates in all
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A finished model as a checkpoint holds it: what rebuilds it, its weights, and what was derived from the data."""

    model: Mapping[str, Any]                                  # fields of the family's ModelConfig
    weights: Mapping[str, Tensor]                             # the network's state_dict
    derived: Mapping[str, Tensor] = field(default_factory=dict)      # e.g. latent codes for scatter plots


@dataclass(frozen=True)
class Knob:
    """A field of a TrainConfig that the page offers to turn, within what is safe on a public host."""

    text: str                                                 # key of its label
    low: float = 0.0                                          # of a number
    high: float = 0.0
    choices: tuple[str, ...] = ()                             # of a text

    def checked(self, name: str, value: object, like: Any) -> Any:
        """`value` as the kind of `like`, in range; else `PlaygroundError`."""
        if self.choices:
            return inputs.choice(name, value, self.choices)
        check = inputs.integer if isinstance(like, int) else inputs.within
        return check(name, value, self.low, self.high)


class Recipe(Protocol):
    """The contract of a family's `train.py`. `TrainConfig` is a frozen dataclass with at least
    `dataset: str`, `steps: int` and `seed: int`; `State` a dataclass with at least `step: int`."""

    TrainConfig: type
    State: type
    PRESETS: Mapping[str, Any]                                # of PRESETS' names -> TrainConfig
    CHECKPOINTS: Mapping[str, str]                            # a shipped name -> the dataset it was trained on
    BEST: str                                                 # the metric whose smallest value marks the best state

    def init(self, config: Any) -> Any:
        """A fresh State for `config`, from its seed alone."""

    def batches(self, config: Any, start: int) -> Iterator[Any]:
        """What `train` consumes, from batch number `start` on: the same for the same (config, number) everywhere."""

    def train(self, config: Any, state: Any, batches: Iterable[Any]) -> Iterator[Progress]:
        """Updates `state` in place from `state.step` to `config.steps`, yielding after each update."""

    def preview(self, config: Any, state: Any) -> Tensor:
        """What the model makes of fixed noise, (N, C, H, W) in [0, 1] on the CPU: one frame of the training's film.

        Does not change the state.
        """

    def result(self, config: Any, state: Any) -> Result:
        """The model of this state, ready to be a checkpoint. Does not change the state."""


def advance(updates: Iterator[Progress], seconds: float = SLICE) -> Progress | None:
    """Train for at most `seconds`, at least one update; the last `Progress`, or None when there was nothing left to do.

    A toy in two dimensions is not a job: the server itself asks its generator for a slice at a time on the inference
    executor, so that play, pause and a single step answer at once and never wait for a long run.
    """
    import torch

    end, progress = time.perf_counter() + seconds, None
    with torch.enable_grad():                                 # gradients are off on that executor
        for progress in updates:
            if time.perf_counter() >= end:
                break
    return progress


def average(ema: Module, model: Module, decay: float, step: int) -> None:
    """ema <- decay * ema + (1 - decay) * model, weight by weight, for update number `step` from 0 on (Polyak & Juditsky 1992).

    The decay begins as that of a plain running mean, so that the first weights are soon forgotten.
    """
    import torch

    with torch.no_grad():
        torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - min(decay, (step + 1) / (step + 10)))


def config_from(family: str, config_type: type, values: Mapping[str, Any], base: Any = None) -> Any:
    """A TrainConfig from plain values (JSON, a command line), over `base`'s or the type's defaults.

    Raises `PlaygroundError` for unknown fields and values of the wrong kind (a whole number will do for a real one,
    a boolean for neither). Ranges are the family's own to check (`__post_init__`).
    """
    known = dataclasses.asdict(base if base is not None else config_type())
    for name, value in values.items():
        if name not in known:
            raise PlaygroundError("recipe.field", family=family, found=name, choices=", ".join(known))
        kind = type(known[name])
        wanted = {float: (int, float), tuple: (tuple, list)}.get(kind, kind)
        if not isinstance(value, wanted) or isinstance(value, bool) and kind is not bool or not _is_finite(value):
            raise PlaygroundError("recipe.value", family=family, name=name, found=value, expected=KINDS.get(kind, kind.__name__))
        known[name] = kind(value)
    return config_type(**known)


KINDS = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a text", tuple: "a list"}


def _is_finite(value: Any) -> bool:
    try:
        return not isinstance(value, (int, float)) or math.isfinite(value)
    except OverflowError:                                     # a whole number beyond the largest float
        return False


# ---- a state as tensors and JSON, and back ---------------------------------------------------------------------
# One flattener for every family's State: networks, optimisers, CPU generators, tensors, numbers, texts, None, and
# lists, tuples and dicts of those. What is not plain JSON becomes {"kind": ..., ...}; tensors go to a dict of their own.


def pack(state: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A State dataclass as (tensors on the CPU, JSON that points at them), exact to the bit; `state` is not changed."""
    tensors: dict[str, Tensor] = {}
    meta = {f.name: _pack(getattr(state, f.name), f.name, tensors) for f in dataclasses.fields(state)}
    return tensors, meta


def unpack(state: Any, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Put what `pack` took from a state into a freshly made one of the same config, in place.

    Networks, optimisers, generators and tensors keep their identity (an optimiser still holds its network's
    parameters) and their device; tensors may come back in another shape than they were made. KeyError, ValueError
    or RuntimeError where the two do not belong together.
    """
    for f in dataclasses.fields(state):
        setattr(state, f.name, _unpack(getattr(state, f.name), meta[f.name], tensors))


def _pack(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    import torch

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        assert path not in tensors, f"two tensors of a State are called {path}"
        copy = value.detach().cpu().clone()                   # keeps a dense memory layout, such as channels last
        tensors[path] = copy.contiguous()
        return {"kind": "tensor", "key": path, "stride": list(copy.stride()), "cpu": value.device.type == "cpu"}
    if isinstance(value, torch.Generator):
        assert value.device.type == "cpu", f"{path}: a run's noise is drawn on the CPU"
        return {"kind": "generator", "state": _pack(value.get_state(), path, tensors)}
    if isinstance(value, torch.nn.Module):
        return {"kind": "module", "state": _pack(dict(value.state_dict()), path, tensors)}
    if isinstance(value, torch.optim.Optimizer):
        return {"kind": "optimizer", "state": _pack(value.state_dict(), path, tensors)}
    if isinstance(value, Mapping):                            # pairs: an optimiser's keys are numbers
        return {"kind": "dict", "items": [[key, _pack(item, f"{path}.{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_pack(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"kind": "tuple", "items": items}
    raise TypeError(f"{path}: a State cannot hold a {type(value).__name__}")


def _unpack(fresh: Any, packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(packed, list):
        return _unpack_items(fresh, packed, tensors)
    if not isinstance(packed, dict):
        return packed
    match packed["kind"]:
        case "tensor":
            return _unpack_tensor(fresh, packed, tensors)
        case "generator":
            fresh.set_state(_unpack(None, packed["state"], tensors))
        case "module":
            own = fresh.state_dict()
            saved = _unpack(None, packed["state"], tensors)
            for key, tensor in own.items():
                if key in saved and saved[key].shape != tensor.shape:        # a grid that has grown since `init`
                    _of(fresh, key).data = saved[key].to(tensor)
            fresh.load_state_dict(saved)
        case "optimizer":
            fresh.load_state_dict(_unpack(None, packed["state"], tensors))
        case "dict":
            own = fresh if isinstance(fresh, Mapping) else {}
            return {key: _unpack(own.get(key), item, tensors) for key, item in packed["items"]}
        case "tuple":
            return tuple(_unpack_items(fresh, packed["items"], tensors))
        case kind:
            raise ValueError(f"not a packed state: {kind!r}")
    return fresh


def _unpack_items(fresh: Any, items: list[Any], tensors: Mapping[str, Tensor]) -> list[Any]:
    own = list(fresh) if isinstance(fresh, (list, tuple)) else []
    return [_unpack(own[i] if i < len(own) else None, item, tensors) for i, item in enumerate(items)]


def _unpack_tensor(fresh: Any, packed: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensor:
    import torch

    saved = tensors[packed["key"]]
    saved = torch.empty_strided(saved.shape, packed["stride"], dtype=saved.dtype).copy_(saved)
    if isinstance(fresh, torch.Tensor) and fresh.dtype == saved.dtype:
        fresh.data = saved.to(fresh.device)                   # the same object: an optimiser may hold it
        return fresh
    return saved if packed["cpu"] else saved.to(device.for_("heavy"))


def _of(module: Any, key: str) -> Tensor:
    """The parameter or buffer that a state_dict's key names."""
    *path, name = key.split(".")
    return getattr(module.get_submodule(".".join(path)), name)
