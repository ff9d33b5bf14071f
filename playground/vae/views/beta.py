"""What beta buys: one model for each weight of the KL, on the curve of rate against distortion (Higgins et al. 2017; Alemi et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import checkpoints, images, inputs
from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.i18n import both, t
from ...ui.state import Field
from .. import config
from . import Piece, Shared, drawing

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

BETAS = config.BETAS
DIGITS = 10                  # drawn digits that every model reconstructs
DEAD = 0.01                  # nats: a dimension below carries nothing
MIDDLE = BETAS.index(1)

register({
    "vae.betas": (
        "The models of this view ({names}) are not all here; their cards name the command that trains each.",
        "此视图的模型（{names}）不全；其说明卡中有训练各模型的命令。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="vae-beta"):
        gr.HTML(parts.heading("vae.beta", "vae.beta.try"))
        with gr.Row():
            with gr.Column(scale=6, min_width=280):
                at = parts.Slider(0, len(BETAS) - 1, MIDDLE, step=1, label=t("vae.beta.slider"), elem_id="vae-beta-at")
                gr.HTML(f'<p class="ends caption"><span>β = {BETAS[0]:g}</span><span>β = {BETAS[-1]:g}</span></p>')
                seen = live.View("vae.beta.x", alt=both("vae.beta.alt"), tiles=DIGITS + 1, elem_classes="strip", lazy=True)
                view = live.View("vae.beta", alt=both("vae.beta.alt"), tiles=DIGITS + 1, elem_classes="strip", lazy=True)
                gr.HTML(parts.numbers(("vae.beta:rate", "vae.beta.rate"), ("vae.beta:distortion", "vae.beta.distortion"), ("vae.beta:active", "vae.beta.active")))
                gr.HTML(f'<p class="warning">{both("vae.beta.collapse")} {parts.now("vae.beta:warning")}</p>', elem_id="vae-beta-warning")
            with gr.Column(scale=5, min_width=280):
                gr.HTML(parts.lines("vae.beta", {"distortions": ("--model", "vae.beta.curve")}, x="rates", at="rate", first="", last="", alt="vae.beta.curve.alt"))
                gr.HTML(f'<p class="caption">{both("vae.beta.axis")}</p>')
        parts.formula("vae.beta.f", r"L_\beta=\underbrace{-\mathbb E_q\log p_\theta(x\mid z)}_{\text{distortion}}+\beta\,\underbrace{D_{KL}(q_\phi(z\mid x)\,\Vert\,p(z))}_{\text{rate}}",
                      f"{parts.now('vae.beta:distortion')} + {parts.now('vae.beta:beta')} · {parts.now('vae.beta:rate')} = {parts.now('vae.beta:loss')}")
    seen.follow(x=shared.picture)
    view.follow(x=shared.picture, beta=at)
    live.register("vae.beta", beta_frame)
    live.register("vae.beta.x", seen_frame)
    return Piece([Field("beta", [at], lambda text: [inputs.integer("beta", inputs.parsed(text), 0, len(BETAS) - 1)], default=str(MIDDLE))], [seen, view])


def snapshots() -> list[Checkpoint]:
    """The models, one for each of BETAS."""
    from .. import sample

    names = {entry.name for entry in checkpoints.entries()}
    wanted = [config.snapshot(beta) for beta in BETAS]
    if not names.issuperset(wanted):
        raise PlaygroundError("vae.betas", names=", ".join(wanted))
    return [sample.load(name) for name in wanted]


def measured(checkpoint: Checkpoint) -> dict[str, Any]:
    """Rate and distortion in nats per picture, on the held-out pictures whose codes it carries; its active dimensions."""
    kl = checkpoint.derived["kl"]
    return {"rate": kl.sum().item(), "distortion": checkpoint.derived["nll"].item(), "active": int((kl >= DEAD).sum()), "latent": len(kl)}


def _pictures(query: Mapping[str, str]) -> Tensor:
    """Ten drawn digits and the visitor's own, (DIGITS + 1, 1, 28, 28), rounded to 0 and 1 as a Bernoulli decoder has them."""
    import torch

    first = snapshots()[0]
    own = drawing(first, query["x"]) if query.get("x", "").strip(",") else torch.zeros(1, first.model.config.size, first.model.config.size)
    return torch.cat([_digits(first.model.config.size), own[None]]).round()


@cache
def _digits(size: int) -> Tensor:
    """The built-in digits, placed as MNIST places its own, (DIGITS, 1, size, size)."""
    import torch

    from ...core import procedural

    return torch.stack([images.centred(procedural.render_glyph(digit, size=images.PAD)[0].numpy() > 127, size) for digit in range(DIGITS)])


def seen_frame(query: Mapping[str, str]) -> live.Frame:
    """What every model is given."""
    return live.Frame(images.strip(_pictures(query)))


def beta_frame(query: Mapping[str, str]) -> live.Frame:
    """The same pictures reconstructed by the model of one beta, with where it stands on the curve."""
    at = inputs.integer("beta", inputs.parsed(query.get("beta")), 0, len(BETAS) - 1)
    models = snapshots()
    checkpoint, x = models[at], _pictures(query)
    mu, _ = checkpoint.model.encode(x.to(next(checkpoint.model.parameters()).device))
    found, everyone = measured(checkpoint), [measured(each) for each in models]
    dead = found["latent"] - found["active"]
    return live.Frame(images.strip(checkpoint.model.mean(mu).cpu()), {
        **found, "active": f"{found['active']} / {found['latent']}", "beta": BETAS[at], "loss": found["distortion"] + BETAS[at] * found["rate"],
        "rates": [each["rate"] for each in everyone], "distortions": [each["distortion"] for each in everyone],
        "warning": "" if 2 * dead < found["latent"] else f"{dead} / {found['latent']}",
    })
