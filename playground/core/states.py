"""All that resumes a run, in one file: a kill cannot part its tensors from its numbers.

A safetensors file whose metadata holds the JSON: what `recipe.pack` makes of the State, torch's own random states, the
number of threads (sums are split by thread: another count, other bits), and whatever numbers the worker adds.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import device, files, recipe
from .errors import PlaygroundError, register

if TYPE_CHECKING:
    from torch import Tensor

RANDOM = "/random/"          # no State has such a field

log = logging.getLogger(__name__)

register({
    "state.damaged": (
        "The saved state of this run is damaged or of another version and was left as it is; train in another folder.",
        "该任务保存的状态已损坏或来自其他版本，文件保持原样；请在另一个文件夹中重新训练。",
    ),
    "state.diverged": (
        "Training stopped at update {step}: {what} is no longer a finite number; try a smaller learning rate.",
        "训练在第 {step} 次更新时停止：{what} 不再是有限数；请尝试更小的学习率。",
    ),
})


def save(path: Path, state: Any, numbers: Mapping[str, Any]) -> None:
    """Replace the file at `path` by this state and `numbers` (JSON). Raises OSError where the disk refuses.

    A state with a number that is not finite raises `PlaygroundError`: the last good one must stay the last good one.
    """
    files.replace(path, dumps(state, numbers))


def dumps(state: Any, numbers: Mapping[str, Any]) -> bytes:
    """What `save` writes."""
    import safetensors.torch
    import torch

    tensors, packed = recipe.pack(state)
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise PlaygroundError("state.diverged", step=state.step, what=key)
    tensors |= {f"{RANDOM}{i}": each for i, each in enumerate(_random_states())}
    text = json.dumps({"state": packed, "threads": torch.get_num_threads(), "numbers": dict(numbers)})
    return safetensors.torch.save(tensors, {"json": text, "checksum": _checksum(tensors, text)})


def restore(path: Path, state: Any) -> dict[str, Any]:
    """Put a saved state into a freshly made one of the same config, in place; returns the numbers saved with it.

    Sets torch's random states and number of threads too. Raises `PlaygroundError` for a damaged file.
    """
    import safetensors
    import torch

    try:
        with safetensors.safe_open(path, "pt") as file:
            tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
        if _checksum(tensors, metadata["json"]) != metadata["checksum"]:
            raise ValueError("the checksum differs")
        meta = json.loads(metadata["json"])
        recipe.unpack(state, tensors, meta["state"])
        _set_random_states([tensors[key] for key in sorted(tensors) if key.startswith(RANDOM)])
    except Exception as error:                                # whatever a damaged file leads to
        log.warning("the saved state cannot be restored", exc_info=True)
        raise PlaygroundError("state.damaged") from error
    torch.set_num_threads(meta["threads"])
    return meta["numbers"]


def _random_states() -> list[Tensor]:
    """torch's own, the CPU's first, for networks that draw without a generator, such as those with dropout."""
    import torch

    cuda = torch.cuda.get_rng_state_all() if device.for_("heavy").type == "cuda" else []
    return [torch.get_rng_state(), *cuda]


def _set_random_states(random: list[Tensor]) -> None:
    import torch

    torch.set_rng_state(random[0])
    if random[1:] and len(random) - 1 == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(random[1:])


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """CRC-32 over the JSON and every tensor's name and bytes: safetensors itself would not notice a flipped bit."""
    import torch

    crc = zlib.crc32(text.encode())
    for key in sorted(tensors):
        crc = zlib.crc32(key.encode(), crc)
        crc = zlib.crc32(tensors[key].reshape(-1).view(torch.uint8).numpy(), crc)
    return f"{crc:08x}"
