"""What beta buys: small models alike but for the weight of the KL, on their curve of rate and distortion (Higgins et al. 2017; Alemi et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
from . import Piece, Shared, examples

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

BETAS = config.BETAS
LOGS = tuple(round(math.log2(beta)) for beta in BETAS)       # the slider's values: each step doubles beta
STRIP = 16                   # draws from the prior
SLIDER = "vae-rate-at"

CHOSEN = """document.addEventListener("live:vae.rate", ({ detail: { numbers } }) => {
  for (const canvas of element.querySelectorAll("canvas")) canvas.classList.toggle("chosen", 2 ** canvas.dataset.values === numbers.beta);
});"""

register({
    "vae.rates": (
        "The models of this view ({names}) are not all here with their figures; their cards name the commands that train and measure them.",
        "此视图的模型（{names}）或其测量值不全；说明卡中有训练和测量它们的命令。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="vae-rate"):
        gr.HTML(parts.heading("vae.rate", "vae.rate.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                at = parts.Slider(LOGS[0], LOGS[-1], 0, step=1, label=t("vae.rate.slider"), elem_id=SLIDER)
                gr.HTML(_choices(), js_on_load=CHOSEN, apply_default_css=False)
                gr.HTML(parts.numbers(("vae.rate:rate", "vae.rate.rate"), ("vae.rate:distortion", "vae.rate.distortion"), ("vae.rate:active", "vae.rate.active")))
                gr.HTML(f'<p class="warning" role="status"><b data-live="vae.rate:collapsed"></b> {both("vae.rate.collapse")}</p>', elem_id="vae-rate-warning")
            with gr.Column(scale=3, min_width=240):
                view = live.View("vae.rate", alt=both("vae.rate.alt"), tiles=2, lazy=True, captions=(both("vae.seen"), both("vae.rate.restored")))
            with gr.Column(scale=4, min_width=280):
                gr.HTML(parts.lines("vae.rate", {"distortions": ("--model", "vae.rate.curve")}, x="rates", at="rate", slope="slope", alt="vae.rate.curve.alt"))
                gr.HTML(f'<p class="caption">{both("vae.rate.axes")}</p>')
        everyone = live.View("vae.rate.all", alt=both("vae.rate.all"), tiles=len(BETAS), elsewhere=True, lazy=True)
        gr.HTML(f'<p class="caption">{both("vae.rate.draws")} {parts.now("vae.rate:frechet")}</p>')
        draws = live.View("vae.rate.prior", alt=both("vae.rate.prior"), tiles=STRIP, elem_classes="strip still", lazy=True)
        parts.formula("vae.rate.f", r"\mathcal L_\beta=\underbrace{-\mathbb E_q\log p_\theta(x\mid z)}_{D,\ \text{distortion}}+\beta\,\underbrace{D_{KL}(q_\phi(z\mid x)\,\Vert\,p(z))}_{R,\ \text{rate}}",
                      f"D + β R = {_now('distortion')} + {_now('beta')} · {_now('rate')} = {_now('loss')}, &nbsp; −L<sub>b</sub> = D + R = {_now('total')}")
    view.follow(x=shared.picture, at=at)
    everyone.follow(x=shared.picture)
    draws.follow(seed=shared.seed, at=at)
    live.register("vae.rate", rate_frame)
    live.register("vae.rate.all", all_frame)
    live.register("vae.rate.prior", prior_frame)
    gr.api(guarded(vae_beta), api_name="vae_beta")
    return Piece([Field("rate", [at], lambda text: [_at(text)], default="0")], [view, everyone, draws])


def _now(key: str) -> str:
    return parts.now(f"vae.rate:{key}")


def _choices() -> str:
    """What each place of the slider makes of the picture, under it; a click takes it."""
    names = "".join(f"<span>β = {beta:g}</span>" for beta in BETAS)
    pictures = "".join(f'<canvas data-mirror="vae.rate.all:{i}" data-slider="{SLIDER}" data-values="{log}" width="28" height="28"></canvas>' for i, log in enumerate(LOGS))
    return f'<div class="choices" aria-hidden="true">{pictures}{names}</div>'


# ---- what the live views draw ----------------------------------------------------------------------------------


def models() -> dict[float, Checkpoint]:
    """beta -> its model, all with the figures of their cards."""
    from .. import sample

    names = {entry.name for entry in checkpoints.entries()}
    found = {beta: sample.load(name) for beta, name in config.RATES.items() if name in names}
    if len(found) < len(BETAS) or not all(each.config["metrics"] for each in found.values()):
        raise PlaygroundError("vae.rates", names=", ".join(config.RATES.values()))
    return found


def figures(checkpoint: Checkpoint) -> dict[str, Any]:
    """Rate and distortion in nats per test image, how many dimensions carry something, and how far the draws are from the data: of its card."""
    card = checkpoint.config["metrics"]
    return {"rate": card["kl"], "distortion": card["reconstruction_nll"], "dead": card["latent_dimensions"] - card["active_dimensions"],
            "active": f"{card['active_dimensions']} / {card['latent_dimensions']}", "frechet": card.get("frechet")}


def _at(text: object) -> int:
    """log2 of a model's beta, as the slider has it."""
    return inputs.integer("log2 beta", inputs.parsed(text), LOGS[0], LOGS[-1])


def restored(checkpoint: Checkpoint, x: Tensor) -> Tensor:
    """A picture (C, H, W) encoded to mu and decoded again, as `sample.encode` has it."""
    mu, _ = checkpoint.model.encode(x.round()[None].to(next(checkpoint.model.parameters()).device))
    return checkpoint.model.mean(mu)[0].cpu()


def rate_frame(query: Mapping[str, str]) -> live.Frame:
    """The visitor's picture beside what the model of one beta makes of it, and where that model stands on the curve."""
    return _frame(2.0 ** _at(query.get("at")), query.get("x"))


def _frame(beta: float, drawn: object) -> live.Frame:
    everyone = models()
    x, found, curve = examples.read(everyone[beta], drawn, stands_in=True), figures(everyone[beta]), [figures(each) for each in everyone.values()]
    dead = found.pop("dead")
    return live.Frame(np.concatenate([images.to_uint8(x.round()), images.to_uint8(restored(everyone[beta], x))], axis=1), {
        **found, "beta": beta, "slope": -beta, "loss": found["distortion"] + beta * found["rate"], "total": found["distortion"] + found["rate"],
        "rates": [each["rate"] for each in curve], "distortions": [each["distortion"] for each in curve],
        "collapsed": f"{dead} / {found['active'].split(' / ')[1]}" if dead else "",
    })


def all_frame(query: Mapping[str, str]) -> live.Frame:
    """What each model makes of the visitor's picture, beta rising."""
    import torch

    return live.Frame(images.strip(torch.stack([restored(each, examples.read(each, query.get("x"), stands_in=True)) for each in models().values()])))


def prior_frame(query: Mapping[str, str]) -> live.Frame:
    """STRIP draws from the prior, decoded by the model of one beta: of one seed, the same z for each."""
    from .. import sample

    checkpoint = models()[2.0 ** _at(query.get("at"))]
    return live.Frame(images.strip(sample.decode(checkpoint, sample.draw(checkpoint, STRIP, inputs.seed(inputs.parsed(query.get("seed")))))))


def vae_beta(beta: float, drawing: str) -> dict:
    """What the model trained with a weight beta of the KL (0.25, 0.5, 1, 2, 4 or 8) makes of a drawing, and where it stands on the curve.

    drawing: as `vae_encode` takes it. Returns {"picture": x and its reconstruction side by side as a data URI, "rate", "distortion":
    nats per test image, "active": dimensions of 0.01 nats or more, "rates", "distortions": of all six, ...}.
    """
    wanted = float(inputs.choice("beta", f"{inputs.number('beta', beta, BETAS[0], BETAS[-1]):g}", [f"{each:g}" for each in BETAS]))
    frame = executor.run(_frame, wanted, drawing)
    return {"picture": live.data_uri(frame.picture), **frame.numbers}
