"""Ray anatomy: the samples on one ray, how they become its colour, and what too few of them cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.cursor import cursor
from ...ui.errors import guarded
from ...ui.i18n import both, say, t
from ...ui.state import SCRIPT, Field
from . import PIXEL, PIXEL_IDS, Piece, Shared, camera_at, model, one_ray, space
from .ray import REACH, SAMPLES, Chosen, chosen, chosen_at, hexes, planes_in, rounded, samples_in, swatches, triple

if TYPE_CHECKING:
    from torch import Tensor

PLANES = (-1.5, 1.5)         # where the near and the far plane stand at first: 2.1 and 6.0 for a training camera
DRAWS = 10_000               # of samples that a page may ask for
DENSE = 128                  # places at which the field itself is drawn, each the largest of
WITHIN = 8                   # so many: a thin surface falls through nothing coarser
COUNTS = (4, 8, 16, 32, 64, 128)             # samples per ray that are compared
SEEDS = 32                   # rays of other random numbers, of which bias and spread are measured
PICTURE = '<canvas data-mirror="nerf.orbit:0" width="200" height="200"></canvas>'


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-anatomy"):
        gr.HTML(parts.heading("nerf.ray", "nerf.ray.try"))
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                gr.HTML(cursor(PICTURE, PIXEL_IDS, "nerf.ray", at="at", places="places", alt="nerf.ray.cursor"), js_on_load=None, apply_default_css=False)
                with gr.Row(elem_classes="halves"):
                    for slider in shared.pixel:
                        slider.render()
                samples = parts.Slider(*SAMPLES, step=1, label=t("nerf.ray.samples"), elem_id="nerf-samples")
                with gr.Row(elem_classes="halves"):
                    planes = [parts.Slider(-REACH, REACH, start, step=0.01, label=t(f"nerf.ray.{name}"), elem_id=f"nerf-{name}")
                              for name, start in zip(("near", "far"), PLANES)]
                draw = gr.Number(0, visible=False, precision=0)
                again = gr.Button(t("nerf.ray.again"), size="sm", elem_id="nerf-draw")
            with gr.Column(scale=6, min_width=300):
                ray = live.View("nerf.ray", alt=both("nerf.ray.alt"), tiles=3, elem_classes="swatches",
                                captions=(both("nerf.ray.estimate"), both("nerf.ray.integral"), both("nerf.ray.pixel")))
                gr.HTML(parts.numbers(("nerf.ray:sum_w", "nerf.ray.sum_w"), ("nerf.ray:depth", "nerf.ray.depth"), ("nerf.ray:entropy", "nerf.ray.entropy")))
                gr.HTML(parts.lines("nerf.ray", {"density": ("--code", "nerf.ray.sigma")}, x="dense", ends="ends", at="depth", low=0, alt="nerf.ray.sigma.alt",
                                    ticks={"coarse": ("--data", "nerf.ray.coarse"), "fine": ("--model", "nerf.ray.fine")}), js_on_load=None, apply_default_css=False)
                gr.HTML(parts.lines("nerf.ray", {"T": ("--noise", "nerf.ray.T"), "w": ("--model", "nerf.ray.w")}, x="t", ends="ends", at="depth", low=0, high=1,
                                    chips="c", alt="nerf.ray.w.alt"), js_on_load=None, apply_default_css=False)
                gr.HTML(f'<p class="caption">{both("nerf.ray.chips")}</p>')
        now = lambda key: parts.now(f"nerf.ray:{key}")                           # noqa: E731
        parts.formula("nerf.ray.f", r"\begin{aligned}C(\mathbf r)&=\int_{t_n}^{t_f}T(t)\,\sigma(\mathbf r(t))\,\mathbf c(\mathbf r(t),\mathbf d)\,dt,\quad "
                      r"T(t)=e^{-\int_{t_n}^{t}\sigma(\mathbf r(s))\,ds}\\ \hat C(\mathbf r)&=\sum_i w_i\,\mathbf c_i+\Bigl(1-\sum_i w_i\Bigr)\mathbf c_{bg},\quad "
                      r"w_i=T_i\,(1-e^{-\sigma_i\delta_i}),\quad T_i=e^{-\sum_{j<i}\sigma_j\delta_j}\end{aligned}",
                      f'{both("nerf.ray.heaviest")} w<sub>{now("i")}</sub> = T (1 − e<sup>−σδ</sup>) = {now("T_i")} · (1 − e<sup>−{now("sigma_i")} · {now("delta_i")}</sup>) = {now("w_i")}'
                      f'<br>Ĉ = {now("light")} + (1 − {now("sum_w")}) · (1, 1, 1) = {now("estimate")}')
        with gr.Row():
            with gr.Column(scale=6, min_width=300):
                gr.HTML(f'<h3>{both("nerf.bias")}</h3><p>{both("nerf.bias.try")}</p>')
                bias = live.View("nerf.bias", alt=both("nerf.bias.alt"), elsewhere=True, lazy=True, every=150)
                gr.HTML(parts.numbers(("nerf.bias:bias", "nerf.bias.bias"), ("nerf.bias:spread", "nerf.bias.spread"), ("nerf.bias:hierarchical", "nerf.bias.hierarchical")))
            with gr.Column(scale=5, min_width=280):
                gr.HTML(parts.lines("nerf.bias", {"biases": ("--data", "nerf.bias.bias"), "spreads": ("--model", "nerf.bias.spread")}, x="log_counts", at="log_count",
                                    low=1e-4, high=1, log=True, first=f"N = {COUNTS[0]}", last=f"N = {COUNTS[-1]}", alt="nerf.bias.alt"), js_on_load=None, apply_default_css=False)
        parts.formula("nerf.bias.f", r"\mathbb E\,\lVert\hat C_N-C\rVert^2=\lVert\mathbb E\,\hat C_N-C\rVert^2+\operatorname{Var}\hat C_N",
                      f'N = {parts.now("nerf.bias:count")}: &nbsp; {parts.now("nerf.bias:rms")}² = {parts.now("nerf.bias:bias")}² + {parts.now("nerf.bias:spread")}²')
        with gr.Accordion(t("nerf.space"), open=False, elem_id="nerf-space") as folded:
            gr.HTML(f'<p>{both("nerf.space.try")}</p>')
            figure = gr.Plot(show_label=False, container=False)
            rest = live.Rest("nerf.ray")
    step = one_ray.build(shared, samples, planes)

    ray.follow(checkpoint=shared.checkpoint, camera=shared.camera, pixel=shared.pixel, samples=samples, planes=planes, draw=draw)
    bias.follow(checkpoint=shared.checkpoint, camera=shared.camera, pixel=shared.pixel, samples=samples, planes=planes)
    live.register("nerf.ray", ray_frame)
    live.register("nerf.bias", bias_frame)
    again.click(None, draw, draw, js=f"(draw) => (draw + 1) % {DRAWS}", **SCRIPT)
    shown = [shared.checkpoint, *shared.camera, *shared.pixel, samples, *planes, draw]
    for event in (folded.expand, rest.rest):
        event(guarded(_figure), shown, figure, show_progress="hidden", trigger_mode="always_last", api_visibility="private")
    gr.api(guarded(nerf_ray), api_name="nerf_ray")
    return Piece([
        Field("pixel", shared.pixel, lambda text: inputs.numbers_in("pixel", text, 2, 0, 1, pad=True, check=inputs.within), default="{:g},{:g}".format(*PIXEL)),
        Field("samples", [samples], lambda text: [inputs.integer("samples", inputs.parsed(text), *SAMPLES[:2])], default=str(SAMPLES[2])),
        Field("planes", planes, lambda text: inputs.numbers_in("planes", text, 2, -REACH, REACH, pad=True, check=inputs.within), default="{:g},{:g}".format(*PLANES)),
        Field("draw", [draw], lambda text: [inputs.integer("draw", inputs.parsed(text), 0, DRAWS)], default="0"),
        *step.fields,
    ], [ray, bias, *step.views])


# ---- what happens along it -------------------------------------------------------------------------------------


def ray_frame(query: Mapping[str, str]) -> live.Frame:
    """Three swatches: the colour from the ray's samples, from the integral, and the pixel's; and what happens at each sample."""
    return _anatomy(chosen(query), samples_in(query), planes_in(query), inputs.integer("draw", inputs.parsed(query.get("draw")), 0, DRAWS))


def _anatomy(ray: Chosen, samples: int, planes: Sequence[float], draw: int) -> live.Frame:
    from .. import maths, sample

    near, far = ray.interval(planes)
    seen = sample.along(ray.checkpoint, ray.o, ray.d, samples, near, far, seed=draw, fine=samples)
    field = sample.along(ray.checkpoint, ray.o, ray.d, DENSE * WITHIN, near, far)
    pixel = ray.exact().rgb[0, 0]
    i = int(seen.w.argmax())
    return live.Frame(swatches(seen.colour, field.colour, pixel), {
        "at": list(ray.pixel), "places": [0.25, 0.75], "camera": ray.camera.numbers,
        "sum_w": seen.opacity, "depth": seen.depth if seen.opacity > sample.PRESENT else None, "entropy": maths.entropy(seen.w).item(),
        "dense": rounded(field.t.view(DENSE, WITHIN).mean(1), 3), "density": rounded(field.sigma.view(DENSE, WITHIN).amax(1), 2),
        "t": rounded(seen.t, 3), "T": rounded(seen.T, 3), "w": rounded(seen.w, 4), "c": hexes(seen.rgb), "sigma": rounded(seen.sigma, 1),
        "coarse": rounded(seen.coarse, 3), "fine": rounded(seen.fine, 3), "ends": [near, far],
        "i": i + 1, "T_i": seen.T[i].item(), "sigma_i": seen.sigma[i].item(), "delta_i": seen.delta[i].item(), "w_i": seen.w[i].item(),
        "light": triple(seen.w @ seen.rgb), "estimate": triple(seen.colour), "pixel": triple(pixel), "o": triple(ray.o), "d": triple(ray.d),
        "loss": (seen.colour - pixel).square().sum().item(), "count": len(seen.t),
    })


# ---- bias and noise --------------------------------------------------------------------------------------------


def bias_frame(query: Mapping[str, str]) -> live.Frame:
    """How wrong the colour is in the mean, and how much it scatters, for each of COUNTS samples per ray and for the query's own."""
    ray, samples, (near, far) = chosen(query), samples_in(query), chosen(query).interval(planes_in(query))
    truth = integral(ray, near, far)
    errors = {count: error(estimates(ray, count, near, far), truth) for count in {*COUNTS, samples}}
    bias, spread = errors[samples]
    best = math.hypot(*error(estimates(ray, samples - samples // 2, near, far, fine=samples // 2), truth))
    return live.Frame(np.zeros((1, 1), np.uint8), {
        "bias": bias, "spread": spread, "rms": math.hypot(bias, spread), "hierarchical": f"{best:.3f} / {math.hypot(bias, spread):.3f}", "count": samples,
        "biases": [errors[count][0] for count in COUNTS], "spreads": [errors[count][1] for count in COUNTS],
        "log_counts": [math.log2(count) for count in COUNTS], "log_count": math.log2(samples),
    })


def integral(ray: Chosen, near: float, far: float) -> Tensor:
    """The ray's colour (3,) from so many samples that more change nothing."""
    from .. import sample

    return sample.along(ray.checkpoint, ray.o, ray.d, DENSE * WITHIN, near, far).colour


def estimates(ray: Chosen, samples: int, near: float, far: float, fine: int = 0) -> Tensor:
    """The ray's colours (SEEDS, 3) from `samples` stratified samples, and `fine` by the inverse of their weights' distribution."""
    import torch

    from .. import maths

    field = ray.checkpoint.model
    generator = torch.Generator().manual_seed(samples)
    low, high = (torch.full((SEEDS,), end, device=field.device) for end in (near, far))
    o, d = ray.o.to(field.device), ray.d.to(field.device)
    at = lambda t: (o + t[..., None] * d).view(-1, 3)                            # noqa: E731
    t = maths.strata(low, high, samples, generator)           # (SEEDS, N)
    sigma = field.density(at(t)).view_as(t)
    if fine:
        ends = maths.edges(t, low, high)
        more = maths.importance(ends, maths.weights(sigma, ends.diff())[0], fine, generator)
        t, order = torch.cat([t, more], dim=1).sort(dim=1)
        sigma = torch.cat([sigma, field.density(at(more)).view_as(more)], dim=1).gather(1, order)
    w, _ = maths.weights(sigma, maths.edges(t, low, high).diff())
    return maths.composite(w, field.colour(at(t), d.expand(t.numel(), 3)).view(*t.shape, 3)).cpu()


def error(found: Tensor, truth: Tensor) -> tuple[float, float]:
    """Bias and spread of colours (K, 3): root mean squares over the channels of the mean's error and of the scatter around the mean."""
    mean = found.mean(0)
    return (mean - truth).square().mean().sqrt().item(), (found - mean).square().mean().sqrt().item()


# ---- in space, and for programs --------------------------------------------------------------------------------


def _figure(name: Any, *values: Any) -> Any:
    """The ray in space, for gr.Plot."""
    seen, pixel = values[:4], inputs.vector("pixel", values[4:6], 2, 0, 1)
    samples, planes = inputs.integer("samples", values[6], *SAMPLES[:2]), inputs.vector("planes", values[7:9], 2, -REACH, REACH)
    draw = inputs.integer("draw", values[9], 0, DRAWS)

    def look() -> Any:
        from .. import sample

        ray = chosen_at(model({"checkpoint": name}), camera_at(seen), pixel)
        near, far = ray.interval(planes)
        return ray, sample.along(ray.checkpoint, ray.o, ray.d, samples, near, far, seed=draw, fine=samples)

    ray, found = executor.run(look)
    return space.figure(ray, found, say)


def nerf_ray(checkpoint: str, camera: list[float], pixel: list[float], samples: int, planes: list[float], seed: int) -> dict:
    """All that happens on one ray. camera: azimuth, elevation (degrees), distance, field of view (degrees), clamped to what the page
    offers. pixel: to the right and upwards, in [0, 1]. samples: coarse ones, 4..128; as many again are fine. planes: near and far,
    in half sides of the scene's cube from its middle, -1.8..1.8. seed: of the samples' places, 0..10000.

    Returns {"t", "T", "w", "c": one for each sample, "density" at "dense", "sum_w", "depth", "entropy", "estimate", "pixel", ...}.
    """
    frame = executor.run(lambda: _anatomy(chosen_at(model({"checkpoint": checkpoint}), camera_at(camera), inputs.vector("pixel", pixel, 2, 0, 1)),
                                          inputs.integer("samples", samples, *SAMPLES[:2]), inputs.vector("planes", planes, 2, -REACH, REACH),
                                          inputs.integer("seed", seed, 0, DRAWS)))
    return {"picture": live.data_uri(frame.picture), **frame.numbers}
