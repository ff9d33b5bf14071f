"""From your scribble, and fill the hole: start the reverse process from a picture of one's own instead of from noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ...core import images, inputs
from ...ui import live, parts
from ...ui.i18n import both, t
from ...ui.state import Field, restore_drawing
from . import Piece, Shared, label, model, picture, seed, shown

SAMPLES = 4                  # ways on from the same start
STEPS, FILL_STEPS = 10, 25   # of the fast solver from a scribble; of DDPM into a hole
HOLE = 14                    # where no hole is drawn, the lower half: from this share of 28 rows on


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-repair"):
        gr.HTML(parts.heading("diffusion.repair", "diffusion.repair.try"))
        strength = parts.Slider(0.05, 1, 0.6, step=0.01, label=t("diffusion.strength"), elem_id="diffusion-strength")
        scribble = live.View("diffusion.scribble", alt=both("diffusion.scribble.alt"), tiles=2 + SAMPLES, every=60, lazy=True, elem_classes="strip six",
                             captions=[both("diffusion.scribble.x_0"), both("diffusion.scribble.x_t"), *[both("diffusion.scribble.sample", i=i + 1) for i in range(SAMPLES)]])
        gr.HTML(parts.numbers(("diffusion.scribble:t", "diffusion.scribble.t"), ("diffusion.scribble:kept", "diffusion.scribble.kept"),
                              ("diffusion.scribble:ms", "diffusion.ms")))
        gr.HTML(f'<h3>{both("diffusion.hole")}</h3><p>{both("diffusion.hole.try")}</p>')
        with gr.Row():
            with gr.Column(scale=1, min_width=200):
                hole = parts.Pad(alt=both("diffusion.hole.pad"), elem_id="diffusion-hole")
            with gr.Column(scale=4, min_width=280):
                filled = live.View("diffusion.fill", alt=both("diffusion.fill.alt"), tiles=1 + SAMPLES, every=250, lazy=True, elem_classes="strip five",
                                   captions=[both("diffusion.fill.holed"), *[both("diffusion.scribble.sample", i=i + 1) for i in range(SAMPLES)]])
                gr.HTML(parts.numbers(("diffusion.fill:hidden", "diffusion.fill.hidden"), ("diffusion.fill:known", "diffusion.fill.known"),
                                      ("diffusion.fill:ms", "diffusion.ms")))
    scribble.follow(checkpoint=shared.checkpoint, seed=shared.seed, y=shared.y, x=shared.source, strength=strength)
    filled.follow(checkpoint=shared.checkpoint, seed=shared.seed, y=shared.y, x=shared.source, hole=hole)
    live.register("diffusion.scribble", scribble_frame)
    live.register("diffusion.fill", fill_frame)
    return Piece([
        Field("strength", [strength], lambda text: [inputs.within("strength", inputs.parsed(text), 0.05, 1)], default="0.6"),
        Field("hole", [hole], restore_drawing, default=""),
    ], [scribble, filled])


def scribble_frame(query: Mapping[str, str]) -> live.Frame:
    """The picture, its noised self at t_0, and SAMPLES ways back from there (Meng et al. 2022)."""
    import torch

    from .. import maths, sample

    checkpoint = model(query)
    x_0, s = picture(checkpoint, query.get("x")), sample.schedule(checkpoint)
    strength = inputs.within("strength", inputs.parsed(query.get("strength", "0.6")), 0.05, 1)
    start = max(1, round(strength * s.T))
    eps = torch.cat([sample.start_noise(checkpoint, _seed(query, i)) for i in range(SAMPLES)]).cpu()
    x = noised = maths.q_sample(x_0.expand(SAMPLES, -1, -1, -1), start, eps, s)
    denoise = sample.denoiser(checkpoint, _labels(checkpoint, query))
    for step in maths.dpm_solver(denoise, x, maths.visited(min(STEPS, start), s.T, start), s, noise=None):
        x = step.x_prev
    return live.Frame(images.beside(shown(x_0[0]), shown(noised[0]), *map(shown, x)), {
        "t": start, "kept": s.alpha_bar[start].sqrt().item(), "moved": (x - x_0).square().mean().sqrt().item() / 2})


def fill_frame(query: Mapping[str, str]) -> live.Frame:
    """The picture with a hole, and SAMPLES ways to fill it; outside the hole each is the picture itself."""
    import torch

    from .. import maths, sample

    checkpoint = model(query)
    x_0, s, config = picture(checkpoint, query.get("x")), sample.schedule(checkpoint), checkpoint.model.config
    hole = _hole(query.get("hole"), config.size).expand_as(x_0)
    seeds = [_seed(query, i) for i in range(SAMPLES)]
    noise = lambda t: torch.cat([sample.step_noise(checkpoint, number)(t) for number in seeds]).cpu()      # noqa: E731
    x = torch.cat([sample.start_noise(checkpoint, number) for number in seeds]).cpu()
    denoise = maths.filling(sample.denoiser(checkpoint, _labels(checkpoint, query)), x_0, hole, s)
    for step in maths.ddpm(denoise, x, maths.visited(min(FILL_STEPS, s.T), s.T), s, noise):
        x = step.x_prev
    known = (x - x_0).abs().mul(1 - hole).max().item()
    grey = torch.where(hole > 0, torch.zeros_like(x_0), x_0)
    return live.Frame(images.beside(shown(grey[0]), *map(shown, x)), {"hidden": hole.mean().item(), "known": known})


def _hole(drawing: Any, size: int) -> Any:
    """1 where the visitor has drawn, (1, 1, size, size); without a drawing the lower half."""
    import torch
    import torch.nn.functional as F

    from ...core import images

    if not drawing:
        hole = torch.zeros(1, 1, size, size)
        hole[..., round(HOLE / 28 * size):, :] = 1
        return hole
    ink = torch.from_numpy(images.unpack_drawing(drawing)).float()[None, None]
    return (F.interpolate(ink, size=(size, size), mode="area") > 0).float()


def _labels(checkpoint: Any, query: Mapping[str, str]) -> Any:
    import torch

    y = label(checkpoint, query.get("y"))
    return None if y is None else torch.full((SAMPLES,), y)


def _seed(query: Mapping[str, str], i: int) -> int:
    return (seed(query) + i) % (inputs.SEED_MAX + 1)
