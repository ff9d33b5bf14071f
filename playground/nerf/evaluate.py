"""Re-measure a field's model card: how close its pictures come to the held-out ones, how fast, and how much of its cube is empty."""

import time
from collections.abc import Callable
from statistics import mean, median, stdev
from typing import Any

import torch

from ..core import metrics, scenes
from . import sample

SIZE = 200                   # pixels a side; of a field that has seen smaller pictures, theirs
SIZES = (100, 200, 400)      # full: each of them


def evaluate(name: str, full: bool = False, report: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Metrics of the checkpoint `name` on the held-out views of its own scene, at SIZE pixels a side, or at those of
    the pictures it has learnt from where they were smaller; standard errors are over views.

    full: at 100 and 400 pixels too. report: called as report(done, total) with views done.
    """
    checkpoint = sample.load(name)
    field, usual = checkpoint.model, min(SIZE, checkpoint.config["train"]["size"])
    figures = {
        **_figures(checkpoint, usual, report),
        "bytes": sum(tensor.nbytes for tensor in field.state_dict().values()),
        "empty_percent": round(100 * field.empty, 2),
        **({"vertices": len(field.vertices)} if checkpoint.config["model"]["field"] == "voxels" else {}),
    }
    if full:
        figures |= {f"at_{size}": _figures(checkpoint, size, report) for size in SIZES if size != usual}
    return figures


@torch.no_grad()
def _figures(checkpoint: Any, size: int, report: Callable[[int, int], None] | None) -> dict[str, Any]:
    """PSNR in dB, SSIM and seconds a frame, of held-out views at one size."""
    views = scenes.load(checkpoint.config["dataset"], size).held_out
    sample.render(checkpoint, views.poses[0], views.field_of_view, size, size)               # the first one is slower
    psnr, ssim, seconds = [], [], []
    for i, (picture, pose) in enumerate(zip(views.images, views.poses)):
        begun = time.perf_counter()
        seen = sample.render(checkpoint, pose, views.field_of_view, size, size).rgb.permute(2, 0, 1)[None]
        seconds.append(time.perf_counter() - begun)
        truth = torch.as_tensor(picture).permute(2, 0, 1)[None].float() / 255
        psnr.append(metrics.psnr(seen, truth))
        ssim.append(metrics.ssim(seen, truth))
        if report:
            report(i + 1, len(views.images))
    return {
        "held_out_views": len(psnr), "pixels": size,
        "psnr": round(mean(psnr), 3), "psnr_stderr": round(_stderr(psnr), 3),
        "ssim": round(mean(ssim), 4), "ssim_stderr": round(_stderr(ssim), 4),
        "seconds_per_frame": round(median(seconds), 4),
    }


def _stderr(values: list[float]) -> float:
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
