"""How many views? Small fields alike but for the number of pictures they have seen, from a place where none of them was taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from ...core import checkpoints, images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from .. import config
from . import Piece, Shared
from .cameras import pictures

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from ..sample import Rendered

COUNTS = config.VIEWS
START = COUNTS.index(8)      # of the slider, whose values are places in COUNTS
SIDE = 100                   # pixels a side, as of the pictures they learnt from
FULL = 0.25                  # error in [0, 1] that has the full colour
MARGIN = 0.1                 # world units before the surface, from which on what is met counts as floating
SAMPLES = 48                 # of a ray's way up to there
THERE = 0.5                  # opacity from which on a pixel counts as showing a surface
SLIDER = "nerf-count"

CHOSEN = """document.addEventListener("live:nerf.count", ({ detail: { numbers } }) => {
  for (const canvas of element.querySelectorAll("canvas")) canvas.classList.toggle("chosen", Number(canvas.dataset.values) === numbers.at);
});"""

register({
    "nerf.counts": (
        "The fields of this view ({names}) are not all here with their figures; their cards name the commands that train and measure them.",
        "此视图的场（{names}）或其测量值不全；说明卡中有训练和测量它们的命令。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-how-many"):
        gr.HTML(parts.heading("nerf.count", "nerf.count.try"))
        with gr.Row():
            with gr.Column(scale=6, min_width=280):
                at = parts.Slider(0, len(COUNTS) - 1, START, step=1, label=t("nerf.count.slider"), elem_id=SLIDER)
                gr.HTML(_choices(), js_on_load=CHOSEN, apply_default_css=False)
                view = live.View("nerf.count", alt=both("nerf.count.alt"), tiles=3, lazy=True, elem_classes="smooth",
                                 captions=tuple(both(f"nerf.count.{tile}") for tile in ("truth", "shown", "error")))
            with gr.Column(scale=4, min_width=280):
                gr.HTML(parts.numbers(("nerf.count:psnr", "nerf.count.psnr"), ("nerf.count:mean", "nerf.count.mean"), ("nerf.count:floating", "nerf.count.floating")))
                ends = dict(first=str(COUNTS[0]), last=str(COUNTS[-1]))
                gr.HTML(parts.lines("nerf.count", {"psnrs": ("--model", "nerf.count.curve")}, x="places", at="at", dots=True, alt="nerf.count.curve.alt", **ends))
                gr.HTML(parts.lines("nerf.count", {"floats": ("--code", "nerf.count.floats")}, x="places", at="at", dots=True, low=0, alt="nerf.count.floats.alt", **ends))
                gr.HTML(f'<table class="figures"><tr><th>{both("nerf.count.paper")}</th><td>100</td><td>50</td><td>25</td></tr>'
                        f'<tr><th>PSNR, dB</th><td>31.0</td><td>29.8</td><td>27.8</td></tr></table><p class="caption">{both("nerf.count.claim")}</p>')
        everyone = live.View("nerf.count.all", alt=both("nerf.count.all"), tiles=len(COUNTS), elsewhere=True, lazy=True)
        parts.formula("nerf.count.f", r"F=\frac1{|\mathcal R|}\sum_{\mathbf r\in\mathcal R}\;\sum_{t_i<\hat t_{80}(\mathbf r)-0.1}w_i=\frac1{|\mathcal R|}\sum_{\mathbf r\in\mathcal R}\Big(1-e^{-\int_{t_n}^{\hat t_{80}-0.1}\sigma\,dt}\Big)",
                      f"F = {_now('floating')}")
    view.follow(at=at)
    everyone.follow(at=at)
    live.register("nerf.count", count_frame)
    live.register("nerf.count.all", all_frame)
    gr.api(guarded(nerf_views), api_name="nerf_views")
    return Piece([Field("count", [at], lambda text: [_at(text)], default=str(START))], [view, everyone])


def _now(key: str) -> str:
    return parts.now(f"nerf.count:{key}")


def _choices() -> str:
    """What each place of the slider shows, under it; a click takes it."""
    names = "".join(f"<span>{count}</span>" for count in COUNTS)
    seen = "".join(f'<canvas data-mirror="nerf.count.all:{i}" data-slider="{SLIDER}" data-values="{i}" width="{SIDE}" height="{SIDE}"></canvas>' for i in range(len(COUNTS)))
    return f'<div class="choices smooth" aria-hidden="true">{seen}{names}</div>'


def _at(text: object) -> int:
    """A place in COUNTS."""
    return inputs.integer("count", inputs.parsed(text), 0, len(COUNTS) - 1)


# ---- the fields ------------------------------------------------------------------------------------------------


def models() -> dict[int, Checkpoint]:
    """Number of pictures -> the field that has seen so many, all with the figures of their cards."""
    from .. import sample

    names = {entry.name for entry in checkpoints.entries()}
    found = {count: sample.load(name) for count, name in config.BY_VIEWS.items() if name in names}
    if len(found) < len(COUNTS) or not all(each.config["metrics"] and "held_out" in each.derived for each in found.values()):
        raise PlaygroundError("nerf.counts", names=", ".join(config.BY_VIEWS.values()))
    return found


_known: dict[str, tuple[Checkpoint, Rendered, float]] = {}               # field -> itself, what it shows, and F; touched on the inference executor alone


def known(everyone: Mapping[int, Checkpoint], count: int) -> tuple[Rendered, float]:
    """What a field shows from the held-out place, and how much floats before the surface that the last field shows there."""
    from .. import sample

    one = everyone[count]
    if one.name not in _known or _known[one.name][0] is not one:
        seen = sample.render(one, one.derived["held_out"], float(one.derived["field_of_view"]), SIDE, SIDE)
        reference = seen if count == COUNTS[-1] else known(everyone, COUNTS[-1])[0]
        _known[one.name] = one, seen, floating(one, reference)
    return _known[one.name][1:]


def floating(one: Checkpoint, reference: Rendered) -> float:
    """The mean over pixels of the light that the field holds back before the reference's surface, in [0, 1]; where the reference
    shows none, on the ray's whole way."""
    import torch

    from .. import maths

    field = one.model
    o, d = (each.reshape(-1, 3) for each in maths.camera_rays(one.derived["held_out"], float(one.derived["field_of_view"]), SIDE, SIDE))
    near, far = maths.box_interval(o, d, field.bound)
    surface = torch.where(reference.opacity > THERE, reference.depth - MARGIN, far.view_as(reference.depth)).view(-1)
    far = torch.maximum(near, torch.minimum(far, surface))
    t = maths.strata(near, far, SAMPLES)
    x = (o[:, None] + t[..., None] * d[:, None]).view(-1, 3)
    sigma = torch.cat([field.density(part.to(field.device)).cpu() for part in x.split(65_536)]).view_as(t)
    return -torch.expm1(-(sigma * ((far - near) / SAMPLES)[:, None]).sum(1)).mean().item()


# ---- what the live views draw ----------------------------------------------------------------------------------


def count_frame(query: Mapping[str, str]) -> live.Frame:
    """The held-out picture, what the field of one number of pictures shows from there, and their difference."""
    return _frame(COUNTS[_at(query.get("at"))])


def _frame(count: int) -> live.Frame:
    everyone = models()
    seen, floats = known(everyone, count)
    picture = seen.rgb.permute(2, 0, 1)
    truth, loading = _truth(everyone[count])
    blank = np.full((SIDE, SIDE, 3), 255, np.uint8)
    tiles = [blank if truth is None else images.to_rgb(truth), images.to_rgb(picture), blank if truth is None else images.signed((picture - truth) / FULL)]
    return live.Frame(np.concatenate(tiles, axis=1), {
        "at": COUNTS.index(count), "count": count, "psnr": None if truth is None else _psnr(picture, truth), "mean": everyone[count].config["metrics"]["psnr"],
        "floating": f"{100 * floats:.2f} %", "places": list(range(len(COUNTS))), "psnrs": [each.config["metrics"]["psnr"] for each in everyone.values()],
        "floats": [round(100 * known(everyone, each)[1], 3) for each in COUNTS], "more": loading,
    })


def _psnr(picture: Tensor, truth: Tensor) -> float:
    from ...core import metrics

    return metrics.psnr(picture, truth)


def _truth(one: Checkpoint) -> tuple[Tensor | None, bool]:
    """The held-out picture itself, (3, SIDE, SIDE), where the scene is here; and whether it is still being loaded."""
    import torch

    loading = pictures(one.config["dataset"])
    if loading is None or not loading.done():
        return None, loading is not None
    return torch.as_tensor(loading.result().held_out.images)[0].permute(2, 0, 1).float() / 255, False


def all_frame(query: Mapping[str, str]) -> live.Frame:
    """What each field shows from the held-out place, the number of pictures rising; the same wherever the slider stands."""
    _at(query.get("at"))
    everyone = models()
    return live.Frame(np.concatenate([images.to_rgb(known(everyone, count)[0].rgb.permute(2, 0, 1)) for count in everyone], axis=1))


def nerf_views(views: int) -> dict:
    """What the field that has seen so many pictures (2, 4, 8, 16, 32 or 80) shows from a place where none of them was taken.

    Returns {"picture": the held-out picture (white where the scene is not here), the field's and their difference as one PNG data URI,
    "mean": PSNR in dB over the held-out views, of its card, "psnrs": of all six, "floats": percent of the light that floats, ...}.
    """
    count = int(inputs.choice("views", str(inputs.integer("views", views, COUNTS[0], COUNTS[-1])), [str(each) for each in COUNTS]))
    frame = executor.run(_frame, count)
    return {"picture": live.data_uri(frame.picture), **frame.numbers}
