"""One training step by buttons: a picture, a time, a noise, a prediction, and one real update of a copy of the model.

A copy is named by what it was made from and trained on, so that whoever asks the same gets the same, nobody gets another's,
and one that was dropped is made again. The loaded model itself never changes.
"""

from __future__ import annotations

import copy
import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.device import executor
from ...core.inputs import SEED_MAX
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from . import Piece, Shared, label, model, noise_map, picture, shown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

STAGES = ("x_0", "t", "eps", "x_t", "predict", "update")      # the buttons, 1 to 6
TILES = {"x_0": 1, "eps": 3, "x_t": 4, "said": 5, "mean": 5, "mean_said": 5, "error": 5}      # picture -> the stage it appears at
SLICE = 0.1                  # seconds of updates before others get their turn
UPDATES_MAX = 20             # of one copy
LR = 5e-5                    # a twentieth of the recipe's peak: all of Adam's weights move by so much at its first update, and a
                             # finished model lies in a narrow valley (measured: at 1e-3 the error of one picture grows)
BETAS = (0.9, 0.99)          # of Adam's running means, as in the recipe
COPIES = 6                   # kept, with Adam's running means about 21 MB each; the least recently seen goes first
NOISE = 1 << 42              # place in a seed's noise
BEGIN = "1,0,0,0"            # stage, seed of t, seed of eps, updates

# What button n does to the state; 2 and 3 pressed again draw anew, and a new draw starts from the loaded model.
PRESS = f"""(text) => {{
  let [stage, time, noise, updates] = text.split(",").map(Number);
  const again = stage >= BUTTON, next = (seed) => (seed + 1) % {SEED_MAX + 1};
  if (BUTTON === 2 && again) time = next(time);
  if (BUTTON === 3 && again) noise = next(noise);
  if (BUTTON < 4) updates = 0;
  if (BUTTON === 6) updates = Math.min({UPDATES_MAX}, updates + 1);
  stage = BUTTON === 1 ? 1 : Math.max(BUTTON, updates ? stage : Math.min(stage, 5));
  return [[stage, time, noise, updates].join(",")];
}}"""
RESET = '(text) => { const [stage, time, noise] = text.split(","); return [[Math.min(stage, 5), time, noise, 0].join(",")]; }'

# Which buttons are done, and which comes next.
MARK = """document.addEventListener("live:diffusion.training-step", ({ detail: { numbers } }) => {
  document.querySelectorAll("#diffusion-training-step .stages button").forEach((button, i) => {
    button.classList.toggle("done", i < numbers.stage);
    button.classList.toggle("next", i === Math.min(numbers.stage, 5));
  });
  document.getElementById("diffusion-training-step").classList.toggle("predicted", numbers.stage >= 5);
});"""


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-training-step"):
        gr.HTML(parts.heading("diffusion.step", "diffusion.step.try"), js_on_load=MARK)
        state = gr.Textbox(BEGIN, visible=False)
        with gr.Row(elem_classes="stages"):
            stages = [gr.Button(t(f"diffusion.step.do.{stage}"), size="sm", min_width=120, elem_id=f"diffusion-step-{i}") for i, stage in enumerate(STAGES, 1)]
        view = live.View("diffusion.training-step", alt=both("diffusion.step.alt"), tiles=len(TILES), lazy=True, elem_classes="strip seven",
                         captions=[both(f"diffusion.step.{tile}") for tile in TILES])
        gr.HTML(parts.numbers(("diffusion.training-step:t", "diffusion.step.t"), ("diffusion.training-step:simple", "diffusion.step.simple"),
                              ("diffusion.training-step:weighted", "diffusion.step.weighted")))
        with gr.Row(elem_classes="halves falls"):
            with gr.Column(min_width=280):
                gr.HTML(f'<p class="caption">{both("diffusion.step.falls")}</p>' + parts.lines(
                    "diffusion.training-step", {"errors": ("--model", "diffusion.step.simple")}, low=0, first="0", last=str(UPDATES_MAX), x="axis",
                    alt="diffusion.step.falls"))
            with gr.Column(min_width=280):
                gr.HTML(f'<p class="substituted">{both("diffusion.step.updates")}: {_now("updates")}<br>{both("diffusion.step.from")}: {_now("before")} → {_now("simple")}'
                        f"<br>‖Δθ‖ / ‖θ‖ = {_now('moved')} / {_now('norm')} = {_now('share')}</p>")
                reset = gr.Button(t("diffusion.step.reset"), size="sm", elem_id="diffusion-step-reset")
        with gr.Column(elem_classes="formulas"):
            parts.formula("diffusion.step.f",
                          r"\begin{aligned}&\theta\leftarrow\theta-\eta\,\mathrm{Adam}\left(\nabla_\theta\left\lVert\epsilon-\epsilon_\theta(x_t,t)\right\rVert^2\right),\\ "
                          r"&x_t=\sqrt{\bar\alpha_t}\,x_0+\sqrt{1-\bar\alpha_t}\,\epsilon\end{aligned}",
                          f"t = {_now('t')}, √ᾱ<sub>t</sub> = {_now('a')}, √(1 − ᾱ<sub>t</sub>) = {_now('b')}, η = {_now('lr')}")
    for n, button in enumerate(stages, 1):
        button.click(None, state, state, js=PRESS.replace("BUTTON", str(n)), **SCRIPT)
    reset.click(None, state, state, js=RESET, **SCRIPT)
    view.follow(checkpoint=shared.checkpoint, y=shared.y, x=shared.source, step=state)
    live.register("diffusion.training-step", step_frame)
    gr.api(guarded(diffusion_training_step), api_name="diffusion_training_step")
    return Piece([Field("ts", [state], lambda text: [",".join(map(str, where(text)))], default=BEGIN)], [view])


def _now(key: str) -> str:
    return parts.now(f"diffusion.training-step:{key}")


def where(text: Any) -> tuple[int, int, int, int]:
    """Stage 1..6, seed of t, seed of eps, and updates, of the state's text."""
    stage, time, noise, updates = inputs.numbers_in("step", text, 4, 0, SEED_MAX, check=inputs.within)
    updates = inputs.integer("updates", updates, 0, UPDATES_MAX)
    return inputs.integer("step", stage, len(STAGES) if updates else 1, len(STAGES)), inputs.seed(time), inputs.seed(noise), updates


def step_frame(query: Mapping[str, str]) -> live.Frame:
    """What the training step has come to: one tile each for x_0, eps, x_t, the prediction, both means and the squared error."""
    import torch

    from ...core import device
    from .. import maths, sample

    checkpoint = model(query)
    stage, time_seed, noise_seed, updates = where(query.get("step"))
    x_0, y, s = picture(checkpoint, query.get("x")), label(checkpoint, query.get("y")), sample.schedule(checkpoint)
    at = int(torch.randint(1, s.T + 1, (1,), generator=torch.Generator().manual_seed(time_seed)))
    eps = device.noise(noise_seed, [NOISE], tuple(x_0.shape[1:]))
    x_t = maths.q_sample(x_0, at, eps, s)
    tiles = {"x_0": shown(x_0[0]), "eps": noise_map(eps[0]), "x_t": shown(x_t[0])}
    numbers: dict[str, Any] = {"stage": stage, "t": at if stage >= TILES["eps"] - 1 else None, "updates": updates, "axis": list(range(UPDATES_MAX + 1)),
                               **dict.fromkeys(("a", "b", "simple", "weighted", "before", "moved", "norm", "share")), "lr": LR, "errors": []}
    if stage >= TILES["x_t"]:
        numbers |= {"a": s.alpha_bar[at].sqrt().item(), "b": (1 - s.alpha_bar[at]).sqrt().item()}
    if stage >= TILES["said"]:
        trained = trained_copy(checkpoint, (query.get("x"), y, time_seed, noise_seed), x_0, at, eps, y)
        trained.advance(updates, SLICE)
        wanted, updates = updates, min(updates, len(trained.said) - 1)
        numbers |= {"updates": updates, "more": updates < wanted}
        said, moved = trained.said[updates], trained.moved[updates]
        mean, mean_said = (maths.posterior_mean_from_eps(x_t, noise, at, s) for noise in (eps, said))
        tiles |= {"said": noise_map(said[0]), "mean": shown(mean[0]), "mean_said": shown(mean_said[0]), "error": noise_map((said - eps)[0].square(), 2)}
        errors = [(each - eps).square().mean().item() for each in trained.said[:updates + 1]]
        nats = maths.terms(x_0, eps, torch.tensor([at]), maths.forms(said, "eps", x_t, at, s).x_0, s)
        numbers |= {"simple": errors[-1], "weighted": maths.bits_per_dimension(nats, x_0).item(), "before": errors[0],
                    "moved": moved, "norm": trained.norm, "share": f"{100 * moved / trained.norm:.2f} %", "errors": errors}
    return live.Frame(images.beside(*(tiles[tile] if stage >= first else _empty(x_0.shape[2]) for tile, first in TILES.items())), numbers)


def diffusion_training_step(checkpoint: str, picture: str, label: str, time_seed: int, noise_seed: int, updates: int) -> dict:
    """Train a copy of a model on one picture, time and noise by 0 to 20 updates; the model itself stays as it is.

    picture: as for diffusion_noise. label: a class's index as text, or "any" for none. Returns {"errors": of the noise, per
    dimension, after 0, 1, ... updates, "t": as drawn, "moved": the distance of the weights, "picture": x_0, the noise, x_t,
    the prediction, the true and the predicted mean and the squared error, a PNG as a data URI}.
    """
    step = ",".join(f"{inputs.integer(name, value, 0, SEED_MAX)}" for name, value in
                    {"time_seed": time_seed, "noise_seed": noise_seed, "updates": updates}.items())
    query = {"checkpoint": checkpoint, "x": picture, "y": label, "step": f"{len(STAGES)},{step}"}
    while (frame := executor.run(step_frame, query)).numbers.get("more"):
        pass
    return {"picture": live.data_uri(frame.picture), **{name: frame.numbers[name] for name in ("errors", "t", "moved")}}


def _empty(size: int) -> np.ndarray:
    """A tile whose picture is still to come."""
    rows, columns = np.indices((size, size))
    return np.repeat(np.where((rows + columns) % 7 < 2, 44, 32).astype(np.uint8)[..., None], 3, axis=2)


# The copies that are trained.


@dataclass(eq=False)
class Trained:
    """A copy of a model, trained on one picture, time and noise; what it said, and how far its weights had come, at each update."""

    checkpoint: Checkpoint   # held, so that its identity in the key stays its own
    model: torch.nn.Module
    x_0: Tensor
    t: Tensor                # (1,)
    eps: Tensor
    y: Tensor | None         # (1,)
    norm: float              # of all the loaded model's weights
    said: list[Tensor] = field(default_factory=list)          # eps_theta(x_t) after 0, 1, ... updates
    moved: list[float] = field(default_factory=list)          # the distance of its weights from the loaded ones
    first: list[Tensor] = field(default_factory=list)         # Adam's running means of each weight's gradient
    second: list[Tensor] = field(default_factory=list)        # and of its square

    def advance(self, updates: int, seconds: float = math.inf) -> None:
        """Update until there were so many, or for so long and at least one: the recipe's loss, on this one example."""
        import torch
        import torch.nn.functional as F

        from .. import maths, sample

        s, kind, weights = sample.schedule(self.checkpoint), self.model.config.prediction, list(self.model.parameters())
        x_t, target = maths.q_sample(self.x_0, self.t, self.eps, s), maths.target(kind, self.x_0, self.eps, self.t, s)
        end = time.perf_counter() + seconds
        while len(self.said) <= updates and (len(self.said) < 2 or time.perf_counter() < end):
            if self.said:
                with torch.enable_grad():
                    loss = F.mse_loss(self.model(x_t, self.t, self.y), target)
                    gradient = torch.autograd.grad(loss, weights)
                self.adam(weights, gradient, len(self.said))
            with torch.no_grad():
                self.said.append(maths.forms(self.model(x_t, self.t, self.y), kind, x_t, self.t, s).eps.cpu())
                self.moved.append(_norm([mine - theirs for mine, theirs in zip(weights, self.checkpoint.model.parameters())]))

    def adam(self, weights: list[Tensor], gradient: Sequence[Tensor], k: int) -> None:
        """Update number k by Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1. (The first optimiser that torch makes in a
        process costs it seconds, which all visitors would wait for.)"""
        import torch

        (b1, b2), self.first = BETAS, self.first or [torch.zeros_like(g) for g in gradient]
        self.second = self.second or [torch.zeros_like(g) for g in gradient]
        with torch.no_grad():
            for w, g, m, v in zip(weights, gradient, self.first, self.second):
                m.lerp_(g, 1 - b1)
                v.lerp_(g.square(), 1 - b2)
                w -= LR * (m / (1 - b1**k)) / ((v / (1 - b2**k)).sqrt() + 1e-8)


def _norm(tensors: Iterable[Tensor]) -> float:
    """Of all their numbers together."""
    return sum(tensor.square().sum().item() for tensor in tensors) ** 0.5


_copies: OrderedDict[tuple[Any, ...], Trained] = OrderedDict()      # touched on the inference executor alone


def trained_copy(checkpoint: Checkpoint, example: tuple[Any, ...], x_0: Tensor, at: int, eps: Tensor, y: int | None) -> Trained:
    """The copy trained on an example, as it stands or new. example: all that x_0, at, eps and y follow from."""
    import torch

    key = (id(checkpoint.model), *example)
    if key not in _copies:
        mine = copy.deepcopy(checkpoint.model).requires_grad_(True)
        device = next(mine.parameters()).device
        _copies[key] = Trained(checkpoint, mine, x_0.to(device), torch.tensor([at], device=device), eps.to(device),
                               None if y is None else torch.tensor([y], device=device), _norm(checkpoint.model.parameters()))
    _copies.move_to_end(key)
    while len(_copies) > COPIES:
        _copies.popitem(last=False)
    return _copies[key]
