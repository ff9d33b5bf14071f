"""Where models run, and the noise they are fed: the same picture for the same seed on every machine.

`PLAYGROUND_DEVICE` (cuda, mps or cpu) overrides what is found.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from .errors import PlaygroundError, register

if TYPE_CHECKING:
    import torch
    from torch import Tensor

P, R, T = ParamSpec("P"), TypeVar("R"), TypeVar("T")

DEVICES = ("cuda", "mps", "cpu")

register({
    "device.unknown": (
        "PLAYGROUND_DEVICE is “{found}”; this machine offers: {choices}. Set it to one of them, or unset it.",
        "PLAYGROUND_DEVICE 的值是“{found}”；本机可用：{choices}。请设为其中之一，或取消设置。",
    ),
})


@cache
def for_(purpose: Literal["live", "heavy"]) -> "torch.device":
    """The device for a purpose: "live" is what a visitor drags, "heavy" is training and long sampling.

    They differ only where a GPU is rented by the second (ZeroGPU): there a slider stays on the CPU.
    Raises `PlaygroundError` where PLAYGROUND_DEVICE names a device this machine lacks.
    """
    import torch

    present = [name for name in DEVICES if _present(name)]
    wanted = os.environ.get("PLAYGROUND_DEVICE", "").strip().lower()
    if wanted and wanted not in present:
        raise PlaygroundError("device.unknown", found=wanted, choices=", ".join(present))
    if purpose == "live" and os.environ.get("SPACES_ZERO_GPU"):
        return torch.device("cpu")
    chosen = torch.device(wanted or present[0])
    if purpose == "live" and chosen.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False               # ten bits of mantissa would show: one seed, one picture
    return chosen


def _present(name: str) -> bool:
    import torch

    return {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}[name]()


def autocast(where: "torch.device | str", precision: str) -> "torch.autocast":
    """The context of a training's forward pass: bfloat16 where `precision` is "bf16" and the device computes in it.

    A processor without such instructions would only imitate them, as measured many times slower than fp32: it keeps to fp32.
    """
    import torch

    kind = torch.device(where).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16" and (kind != "cpu" or _computes_bf16()))


@cache
def _computes_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself (AVX512-BF16 or AMX)."""
    import torch

    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def threads() -> int:
    """How many of the cores a model uses. Two OpenMP threads beside anything busy (the browser, a training) wait for each
    other, as measured 5 to 15 times slower on two cores; one does not."""
    return max(1, cores() // 2)


def side_by_side(function: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """[function(part) for part in parts] on the CPU, each part on a core of its own; gradients are off.

    For what consists of many short operations: shared out one by one, as OpenMP does, they gain little, and its threads wait for each
    other wherever anything else is busy. These threads wait once, for the last part.
    """
    import torch

    def alone(part: T) -> R:
        with torch.no_grad():                                 # a thread's own affair
            return function(part)

    if len(parts) < 2 or cores() < 2:
        return [alone(part) for part in parts]
    return list(_crew().map(alone, parts))


def cores() -> int:
    return os.cpu_count() or 1


@cache
def _crew() -> ThreadPoolExecutor:
    """As many threads as cores, each of which computes alone."""
    import torch

    mine, begun = torch.get_num_threads(), threading.Barrier(cores())
    pool = ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="crew")

    def begin(_: int) -> None:
        torch.set_num_threads(1)
        begun.wait()                                          # else one thread might begin twice, and another never

    list(pool.map(begin, range(cores())))
    torch.set_num_threads(mine)                               # what later threads take over
    return pool


def noise(seed: int, indices: Iterable[int], shape: tuple[int, ...]) -> "Tensor":
    """Standard normal noise, (len(indices), *shape) float32 on the CPU: row i depends on (seed, indices[i]) alone.

    So a picture keeps its noise whatever the batch it is drawn in and the device it is drawn on.
    """
    import torch

    rows = []
    for index in indices:
        generator = torch.Generator().manual_seed(_mix(seed, index))
        rows.append(torch.randn(shape, generator=generator))
    return torch.stack(rows) if rows else torch.empty((0, *shape))


def _mix(seed: int, index: int) -> int:
    """A 63-bit seed for (seed, index) by SplitMix64 (Steele et al. 2014), so that neighbours share nothing."""
    x = (seed * 0x9E3779B97F4A7C15 + index * 0xD1B54A32D192ED03 + 0x2545F4914F6CDD1D) & (2**64 - 1)
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (x ^ (x >> 31)) >> 1


class InferenceExecutor:
    """One thread runs every model of the server: forty request threads times OpenMP would oversubscribe two cores."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._thread: threading.Thread | None = None

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Queue a call; gradients are off inside it."""
        return self._pool.submit(self._call, function, *args, **kwargs)

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Queue a call and wait for its result. From inside the executor it runs at once (no deadlock)."""
        if threading.current_thread() is self._thread:
            return function(*args, **kwargs)
        return self.submit(function, *args, **kwargs).result()

    def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        import torch

        if self._thread is None:
            self._thread = threading.current_thread()
            torch.set_num_threads(threads())
        with torch.no_grad():
            return function(*args, **kwargs)


executor = InferenceExecutor()
