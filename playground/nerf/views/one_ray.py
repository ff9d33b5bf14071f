"""Train one ray once: a step down the gradient of one pixel's loss, on the densities and colours of its own samples alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from ...core import inputs
from ...core.device import executor
from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from . import Piece, Shared, camera_at, model
from .ray import REACH, SAMPLES, Chosen, chosen, chosen_at, hexes, planes_in, rounded, samples_in, swatches

if TYPE_CHECKING:
    from torch import Tensor

TARGETS = ("own", "pixel")   # what the pixel should be: a colour of the visitor's; what the scene or, where it cannot be asked, the field shows
OWN = "#0072b2"
RATE = (0.02, 1.0, 0.3)      # eta: at 1 / (2 sum w^2) the colours alone would reach the target, beyond they jump over it
STEPS_MAX = 50               # that a page may ask for
HEX, RGB = re.compile(r"#([0-9a-fA-F]{6})"), re.compile(r"rgba?\(\s*([\d.]{1,20})\s*,\s*([\d.]{1,20})\s*,\s*([\d.]{1,20})\s*(?:,\s*[\d.]{1,20}\s*)?\)")

register({
    "nerf.colour": (
        "The colour is {found}; one such as #0072b2 was expected; choose it again.",
        "颜色的值是 {found}；应为 #0072b2 这样的颜色；请重新选择。",
    ),
})


def build(shared: Shared, samples: gr.Slider, planes: Sequence[gr.Slider]) -> Piece:
    """samples, planes: of the ray, as views/anatomy.py has them."""
    with gr.Column(elem_classes="section", elem_id="nerf-one-ray"):
        gr.HTML(parts.heading("nerf.step", "nerf.step.try"))
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                target = parts.Radio([(t(f"nerf.step.{name}"), name) for name in TARGETS], value=TARGETS[0], label=t("nerf.step.target"), elem_id="nerf-target")
                own = gr.ColorPicker(OWN, label=t("nerf.step.own"), elem_id="nerf-own")
                rate = parts.Slider(*RATE, step=0.01, label=t("nerf.step.rate"), elem_id="nerf-rate")
                count = gr.Number(0, visible=False, precision=0)
                with gr.Row(elem_classes="keep"):
                    once = gr.Button(t("nerf.step.once"), variant="primary", elem_id="nerf-once")
                    back = gr.Button(t("nerf.step.back"), elem_id="nerf-back")
                view = live.View("nerf.step", alt=both("nerf.step.alt"), tiles=3, lazy=True, elem_classes="swatches",
                                 captions=(both("nerf.step.before"), both("nerf.step.after"), both("nerf.step.wanted")))
                gr.HTML(parts.numbers(("nerf.step:steps", "nerf.step.steps"), ("nerf.step:before", "nerf.step.loss_before"), ("nerf.step:after", "nerf.step.loss_after")))
            with gr.Column(scale=6, min_width=300):
                gr.HTML(f'<p class="caption">{both("nerf.step.gradient")}</p><canvas class="plot wide framed" data-bars="nerf.step:gradient" data-range="1" data-colour="--noise"></canvas>',
                        js_on_load=None, apply_default_css=False)
                gr.HTML(parts.lines("nerf.step", {"w_before": ("--quiet", "nerf.step.w_before"), "w_after": ("--model", "nerf.step.w_after")}, x="t", ends="ends", low=0, high=1,
                                    dashed=["w_before"], chips="c", alt="nerf.step.w.alt"), js_on_load=None, apply_default_css=False)
        now = lambda key: parts.now(f"nerf.step:{key}")                          # noqa: E731
        parts.formula("nerf.step.f", r"\begin{aligned}\mathcal L&=\lVert\hat C(\mathbf r)-C(\mathbf r)\rVert^2,\qquad q_i=\frac{\partial\mathcal L}{\partial w_i}=2\,(\hat C-C)\cdot(\mathbf c_i-\mathbf c_{bg})\\ "
                      r"\frac{\partial\mathcal L}{\partial\sigma_i}&=\delta_i\Bigl(T_{i+1}\,q_i-\sum_{j>i}w_j\,q_j\Bigr),\qquad\frac{\partial\mathcal L}{\partial\mathbf c_i}=2\,w_i\,(\hat C-C)\end{aligned}",
                      f'{both("nerf.step.strongest")} i = {now("i")}: &nbsp; ∂L/∂σ<sub>i</sub> = {now("delta")} · ({now("own_part")} − {now("shade")}) = {now("steepest")}'
                      f'<br>{both("nerf.step.moves")} σ<sub>i</sub>δ<sub>i</sub> ← {now("tau")} − {now("rate")} · {now("to_tau")} = {now("tau_next")}')
    view.follow(checkpoint=shared.checkpoint, camera=shared.camera, pixel=shared.pixel, samples=samples, planes=planes, target=[target], colour=own, rate=rate, steps=count)
    live.register("nerf.step", step_frame)
    once.click(None, count, count, js=f"(count) => Math.min(count + 1, {STEPS_MAX})", **SCRIPT)
    back.click(None, None, count, js="() => 0", **SCRIPT)
    gr.api(guarded(nerf_train_ray), api_name="nerf_train_ray")
    return Piece([
        Field("target", [target], lambda text: [inputs.choice("target", text, TARGETS)], default=TARGETS[0]),
        Field("own", [own], lambda text: ["#" + hexes(colour(text)[None])[0]], default=OWN),
        Field("rate", [rate], lambda text: [inputs.within("rate", inputs.parsed(text), *RATE[:2])], default=f"{RATE[2]:g}"),
        Field("steps", [count], lambda text: [inputs.integer("steps", inputs.parsed(text), 0, STEPS_MAX)], default="0"),
    ], [view])


def colour(text: object) -> Tensor:
    """A colour picker's value, "#rrggbb" or "rgba(r, g, b, a)", as (3,) in [0, 1]; anything else raises `PlaygroundError`."""
    import torch

    if isinstance(text, str) and (found := HEX.fullmatch(text)):
        return torch.tensor(list(bytes.fromhex(found[1]))) / 255
    if isinstance(text, str) and (found := RGB.fullmatch(text)):
        values = [inputs.parsed(part) for part in found.groups()]
        return torch.tensor(inputs.vector("colour", values, 3, 0, 255)) / 255
    raise PlaygroundError("nerf.colour", found=f"“{text[:24]}”" if isinstance(text, str) else type(text).__name__)


# ---- the step --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """Where the descent is. N samples."""

    tau: Tensor              # (N,), sigma delta
    c: Tensor                # (N, 3)
    loss: float
    estimate: Tensor         # (3,), the ray's colour
    w: Tensor                # (N,)
    to_tau: Tensor           # (N,), dL/dtau: dL/dsigma is delta times it
    to_c: Tensor             # (N, 3)


def at(tau: Tensor, c: Tensor, target: Tensor) -> Point:
    """The loss of a ray's samples and its gradients, by the backward of maths.render_packed."""
    import torch

    from .. import maths

    with torch.enable_grad():
        tau, c = tau.detach().requires_grad_(), c.detach().requires_grad_()
        rgb, w, _ = maths.render_packed(tau, c, torch.zeros(len(tau), dtype=torch.int64), 1)
        loss = (rgb[0] - target).square().sum()
        to_tau, to_c = torch.autograd.grad(loss, [tau, c])
    return Point(tau.detach(), c.detach(), loss.item(), rgb[0].detach(), w.detach(), to_tau, to_c)


def descend(tau: Tensor, c: Tensor, target: Tensor, rate: float, steps: int) -> list[Point]:
    """`steps` steps of gradient descent from the samples' tau and c, both kept in their range; the beginning first."""
    from .. import maths

    points = [at(tau, c, target)]
    for _ in range(steps):
        now = points[-1]
        points.append(at((now.tau - rate * now.to_tau).clamp(0, maths.TAU_MAX), (now.c - rate * now.to_c).clamp(0, 1), target))
    return points


def step_frame(query: Mapping[str, str]) -> live.Frame:
    """Swatches of the ray's colour before the query's steps, after them, and of the one that is wanted; the next step's gradient."""
    return _step(chosen(query), samples_in(query), planes_in(query), inputs.choice("target", query.get("target"), TARGETS),
                 query.get("colour"), inputs.within("rate", inputs.parsed(query.get("rate")), *RATE[:2]),
                 inputs.integer("steps", inputs.parsed(query.get("steps")), 0, STEPS_MAX))


def _step(ray: Chosen, samples: int, planes: Sequence[float], target: str, own: object, rate: float, steps: int) -> live.Frame:
    import torch

    from .. import maths, sample

    near, far = ray.interval(planes)
    seen = sample.along(ray.checkpoint, ray.o, ray.d, samples, near, far)
    wanted = colour(own)                                      # refused even where it does not count
    wanted = wanted if target == "own" else pixel(ray)
    points = descend((seen.sigma * seen.delta).clamp(max=maths.TAU_MAX), seen.rgb, wanted, rate, steps)
    first, last = points[0], points[-1]
    to_sigma = seen.delta * last.to_tau
    free = (last.tau > 0) | (to_sigma < 0)                    # what is empty already cannot be thinned
    i, largest = int((to_sigma.abs() * free).argmax()), to_sigma.abs().max().item()
    q = 2 * (last.c - 1) @ (last.estimate - wanted)
    own_part = (maths.weights(last.tau, torch.ones_like(last.tau))[1] * (-last.tau).exp() * q)[i].item()
    return live.Frame(swatches(first.estimate, last.estimate, wanted), {
        "steps": steps, "before": first.loss, "after": last.loss, "losses": [point.loss for point in points], "rate": rate,
        "gradient": rounded(to_sigma / max(largest, 1e-12), 3), "steepest": to_sigma[i].item(), "i": i + 1, "delta": seen.delta[i].item(),
        "own_part": own_part, "shade": own_part - last.to_tau[i].item(), "to_tau": last.to_tau[i].item(), "tau": last.tau[i].item(),
        "tau_next": min(max(last.tau[i].item() - rate * last.to_tau[i].item(), 0), maths.TAU_MAX),
        "t": rounded(seen.t, 3), "ends": [near, far], "w_before": rounded(first.w, 4), "w_after": rounded(last.w, 4), "c": hexes(last.c),
    })


def pixel(ray: Chosen) -> Tensor:
    """The true colour (3,) of a pixel of the built-in scene; of another, the field's own."""
    from ...core import solids

    if ray.checkpoint.config["dataset"] != "solids":
        return ray.exact().rgb[0, 0]
    _, which = (hit := solids.trace(ray.o[None], ray.d[None]))
    return solids.shade(ray.o + hit[0][:, None] * ray.d, ray.d[None], which)[0] if which.item() >= 0 else ray.o.new_ones(3)


def nerf_train_ray(checkpoint: str, camera: list[float], pixel: list[float], samples: int, planes: list[float], colour: str, rate: float, steps: int) -> dict:
    """Gradient descent on the densities and colours of one ray's samples, which changes no model. The ray as in nerf_ray, with `samples`
    even samples. colour: what its pixel should be, "#rrggbb". rate: 0.02..1. steps: 0..50.

    Returns {"losses": before each step and at the end, "gradient": dL/dsigma as shares of "steepest", "w_before", "w_after", ...}.
    """
    frame = executor.run(lambda: _step(chosen_at(model({"checkpoint": checkpoint}), camera_at(camera), inputs.vector("pixel", pixel, 2, 0, 1)),
                                       inputs.integer("samples", samples, *SAMPLES[:2]), inputs.vector("planes", planes, 2, -REACH, REACH),
                                       "own", colour, inputs.within("rate", rate, *RATE[:2]), inputs.integer("steps", steps, 0, STEPS_MAX)))
    return {"picture": live.data_uri(frame.picture), **frame.numbers}
