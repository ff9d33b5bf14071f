"""Arithmetic in the latent space: directions measured from the data ("more 7", "thicker", "slanted"), and a palette of four corners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.cursor import cursor
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from .. import config
from . import Piece, Shared, model

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

CLASSES = tuple(str(digit) for digit in range(10))
TRAITS = ("thicker", "slanted")              # measured from the pictures themselves: maths.moments
AMOUNT = 3.0                 # lengths of a direction, at most, either way
PICKED = 5                   # the class whose direction the tab opens on ("more 5")
SIDE = 7                     # pictures on a side of the palette
EDGE = ("vae-corner-x", "vae-corner-y")
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
Z_MAX, SLIDERS = 3.0, 32     # of the tab's sliders

register({
    "vae.direction": (
        "{name} does not keep the classes or shapes of its test pictures, from which “{found}” is measured; choose another direction or model.",
        "{name} 没有保存其测试图片的类别或形状，无法由此测出“{found}”；请选择其他方向或模型。",
    ),
    "vae.directions": (
        "{name} learnt from pictures in colour without classes, and ink and slant are those of grey strokes: there is no direction to measure; choose a model of digits at the top for this view.",
        "{name} 的训练图片是彩色的且没有类别，而粗细与倾斜只适用于灰度笔画：没有可测的方向；请在顶部为此视图选择一个数字模型。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="vae-arithmetic"):
        gr.HTML(parts.heading("vae.arithmetic", "vae.arithmetic.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                trait = parts.Dropdown([*((f"+ {y}", y) for y in CLASSES), *((t(f"vae.arithmetic.{name}"), name) for name in TRAITS)],
                                       value=str(PICKED), label=t("vae.arithmetic.trait"), filterable=False, elem_id="vae-trait")
                amount = parts.Slider(-AMOUNT, AMOUNT, 1, step=0.02, label=t("vae.arithmetic.amount"), elem_id="vae-amount")
                put = gr.Button(t("vae.arithmetic.put"), size="sm", elem_id="vae-put")
            with gr.Column(scale=5, min_width=260):
                view = live.View("vae.arithmetic", alt=both("vae.arithmetic.alt"), tiles=2, lazy=True, captions=(both("vae.arithmetic.before"), both("vae.arithmetic.after")))
                gr.HTML(parts.numbers(("vae.arithmetic:judge", "vae.arithmetic.judge"), ("vae.arithmetic:change", "vae.arithmetic.change"),
                                      ("vae.arithmetic:accuracy", "vae.arithmetic.accuracy")))
        parts.formula("vae.arithmetic.f", r"z'=z+a\,v,\qquad v_{\text{more }y}=\overline{\mu}_{\,y}-\overline{\mu}",
                      f"a = {parts.now('vae.arithmetic:amount')}, ‖v‖ = {parts.now('vae.arithmetic:length')}, ‖z′‖ = {parts.now('vae.arithmetic:norm')}")
    with gr.Column(elem_classes="section", elem_id="vae-palette"):
        gr.HTML(parts.heading("vae.palette", "vae.palette.try"))
        with gr.Row():
            with gr.Column(scale=4, min_width=280):
                gr.HTML(cursor('<canvas data-mirror="vae.palette:0" width="196" height="196"></canvas>', EDGE, "vae.blend", at="at", places="places", alt="vae.palette.alt"),
                        js_on_load=None, apply_default_css=False)
                palette = live.View("vae.palette", alt=both("vae.palette.alt"), elsewhere=True, lazy=True)
            with gr.Column(scale=3, min_width=200):
                blend = live.View("vae.blend", alt=both("vae.palette.blend"), elem_classes="large", lazy=True)
                gr.HTML(parts.numbers(("vae.blend:judge", "vae.arithmetic.judge"), ("vae.blend:norm", "vae.norm")))
            with gr.Column(scale=4, min_width=240):
                with gr.Row(elem_classes="keep"):
                    keeps = [gr.Button(t(f"vae.palette.{corner}"), size="sm", min_width=100, elem_id=f"vae-keep-{corner}") for corner in CORNERS]
                at = [parts.Slider(0, 1, 0.5, step=0.005, label=t(f"vae.palette.{axis}"), elem_id=name) for axis, name in zip("xy", EDGE)]
                load = gr.Button(t("vae.arithmetic.put"), size="sm", elem_id="vae-put-blend")
        kept = [gr.Textbox("", visible=False) for _ in CORNERS]                  # codes; "" a draw of the seed
        parts.formula("vae.palette.f", r"\begin{aligned}z={}&(1-v)\left[(1-u)\,z_{\swarrow}+u\,z_{\searrow}\right]\\&+v\left[(1-u)\,z_{\nwarrow}+u\,z_{\nearrow}\right]\end{aligned}",
                      f"u = {parts.now('vae.blend:u')}, v = {parts.now('vae.blend:v')}, ‖z‖ = {parts.now('vae.blend:norm')}")
    view.follow(checkpoint=shared.checkpoint, z=shared.sliders, trait=trait, amount=amount)
    corners = dict(zip(("a", "b", "c", "d"), kept))
    palette.follow(checkpoint=shared.checkpoint, seed=shared.seed, **corners)
    blend.follow(checkpoint=shared.checkpoint, seed=shared.seed, at=at, **corners)
    live.register("vae.arithmetic", arithmetic_frame)
    live.register("vae.palette", palette_frame)
    live.register("vae.blend", blend_frame)
    for button, text in zip(keeps, kept):
        button.click(None, shared.sliders, text, js='(...z) => z.join(",").replace(/(,0)+$/, "")', **SCRIPT)
    for button, name in ((put, "vae.arithmetic"), (load, "vae.blend")):           # what is in sight goes on the sliders
        button.click(None, None, shared.sliders, js=f"() => {{ const z = playground.live.view('{name}').numbers?.z ?? []; "
                     f"return Array.from({{ length: {SLIDERS} }}, (_, i) => Math.max(-{Z_MAX}, Math.min({Z_MAX}, Math.round(100 * (z[i] ?? 0)) / 100))); }}", **SCRIPT)
    return Piece([
        Field("trait", [trait], lambda text: [inputs.choice("direction", text, (*CLASSES, *TRAITS))], default=str(PICKED)),
        Field("amount", [amount], lambda text: [inputs.within("amount", inputs.parsed(text), -AMOUNT, AMOUNT)], default="1"),
        Field("uv", at, lambda text: inputs.numbers_in("uv", text, 2, 0, 1, pad=True, check=inputs.within), default="0.5,0.5"),
        *(Field(f"corner{i}", [text], restore_code, default="") for i, text in enumerate(kept, 1)),
    ], [view, palette, blend])


def restore_code(text: str) -> list[str]:
    """A kept code, as it stands in the URL."""
    if text:
        inputs.numbers_in("z", text, SLIDERS, -Z_MAX, Z_MAX, pad=True, check=inputs.within)
    return [text]


def code(checkpoint: Checkpoint, text: Any) -> Tensor:
    """The sliders' values as a code of the model's length, (D,)."""
    import torch

    values, z = inputs.numbers_in("z", text, SLIDERS, -Z_MAX, Z_MAX, pad=True), torch.zeros(checkpoint.model.config.latent)
    z[:SLIDERS] = torch.tensor(values)[:len(z)]
    return z


# ---- directions ------------------------------------------------------------------------------------------------

_directions: WeakKeyDictionary[Any, dict[str, tuple[Tensor, float]]] = WeakKeyDictionary()       # touched on the inference executor alone


def direction(checkpoint: Checkpoint, trait: str) -> tuple[Tensor, float]:
    """A direction v (D,) in slider order, and how well it tells the held-out test pictures it was not measured on, in [0, 1].

    A class: from the mean of all codes to the mean of its own. A trait: from the mean code of the quarter of the pictures that have
    least of it to that of the quarter that have most. Measured on every other picture; the rest are told apart by which side
    of the middle they project to.
    """
    kept = _directions.setdefault(checkpoint.model, {})
    if trait not in kept:
        kept[trait] = _measure(checkpoint, trait)
    return kept[trait]


def _measure(checkpoint: Checkpoint, trait: str) -> tuple[Tensor, float]:
    import torch

    from .. import sample

    mu, derived = checkpoint.derived["mu"][:, sample.order(checkpoint)], checkpoint.derived
    if "labels" not in derived and "moments" not in derived:
        raise PlaygroundError("vae.directions", name=checkpoint.name)
    if ("labels" if trait in CLASSES else "moments") not in derived:
        raise PlaygroundError("vae.direction", name=checkpoint.name, found=trait)
    if trait in CLASSES:
        has = derived["labels"] == int(trait)
        lacks = ~has
    else:
        values = derived["moments"][:, TRAITS.index(trait)]
        low, high = values.quantile(torch.tensor([0.25, 0.75]))
        has, lacks = values >= high, values <= low
    seen = torch.arange(len(mu)) % 2 == 0
    if not (has & seen).any() or not (lacks & seen).any() or not (has & ~seen).any() or not (lacks & ~seen).any():
        raise PlaygroundError("vae.direction", name=checkpoint.name, found=trait)
    start = mu[seen].mean(0) if trait in CLASSES else mu[lacks & seen].mean(0)
    v = mu[has & seen].mean(0) - start
    along, middle = mu @ v, 0.5 * ((mu[has & seen] @ v).mean() + (mu[lacks & seen] @ v).mean())
    right = ((along[has & ~seen] > middle).float().mean() + (along[lacks & ~seen] <= middle).float().mean()) / 2
    return v, right.item()


def arithmetic_frame(query: Mapping[str, str]) -> live.Frame:
    """The sliders' decode, and that of z + a v; what an independent classifier says of the second, and how its ink or slant changed."""
    import torch

    from ...core import classifier
    from .. import maths, sample

    checkpoint = model(query)
    trait = inputs.choice("direction", query.get("trait"), (*CLASSES, *TRAITS))
    amount = inputs.within("amount", inputs.parsed(query.get("amount")), -AMOUNT, AMOUNT)
    z = code(checkpoint, query.get("z"))
    v, accuracy = direction(checkpoint, trait)
    moved = z + amount * v
    before, after = sample.decode(checkpoint, torch.stack([z, moved]))
    changed = None
    if trait in TRAITS:
        (low, high) = maths.moments(torch.stack([before, after]))[:, TRAITS.index(trait)].tolist()
        changed = f"{low:.2f} → {high:.2f}"
    elif judged(checkpoint):
        low, high = classifier.probabilities(torch.stack([before, after]))[:, int(trait)].tolist()
        changed = f"{100 * low:.0f} % → {100 * high:.0f} %"
    return live.Frame(np.concatenate([images.to_rgb(before), images.to_rgb(after)], axis=1), {
        "z": moved.tolist(), "amount": amount, "length": v.norm().item(), "norm": moved.norm().item(), "judge": verdict(checkpoint, after),
        "change": changed, "accuracy": f"{100 * accuracy:.0f} %",
    })


def judged(checkpoint: Checkpoint) -> bool:
    """Whether its pictures are what our classifier tells apart: digits."""
    from ...core import classifier

    shape = checkpoint.model.config
    return checkpoint.config["dataset"] in config.DIGITS and (shape.channels, shape.size) == (1, classifier.SIZE)


def verdict(checkpoint: Checkpoint, x: Tensor) -> str | None:
    """What the classifier says of a picture (C, H, W): the class and its probability."""
    from ...core import classifier

    if not judged(checkpoint):
        return None
    share, y = classifier.probabilities(x[None])[0].max(0)
    return f"{y.item()} ({100 * share.item():.0f} %)"


# ---- the palette -----------------------------------------------------------------------------------------------


def _corners(checkpoint: Checkpoint, query: Mapping[str, str]) -> Tensor:
    """The four corners' codes, (4, D), in the order of CORNERS: kept ones, else draws of the seed."""
    import torch

    from .. import sample

    draws = sample.draw(checkpoint, len(CORNERS), inputs.seed(inputs.parsed(query.get("seed")))).clamp(-Z_MAX, Z_MAX)
    return torch.stack([code(checkpoint, query[name]) if query.get(name) else draw for name, draw in zip("abcd", draws)])


def blended(corners: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Codes at places (N,) of the square, u to the right and v upwards, both in [0, 1]: bilinear, (N, D). corners: (4, D)."""
    u, v = u[:, None], v[:, None]
    top, bottom = (1 - u) * corners[0] + u * corners[1], (1 - u) * corners[2] + u * corners[3]
    return v * top + (1 - v) * bottom


def palette_frame(query: Mapping[str, str]) -> live.Frame:
    """SIDE x SIDE decodes of the square between the corners; the corners themselves stand in its corners."""
    import torch

    from .. import sample

    checkpoint = model(query)
    line = torch.linspace(0, 1, SIDE)
    v, u = torch.meshgrid(line.flip(0), line, indexing="ij")
    pictures = sample.decode(checkpoint, blended(_corners(checkpoint, query), u.flatten(), v.flatten())).unflatten(0, (SIDE, SIDE))
    return live.Frame(np.concatenate([images.strip(row) for row in pictures]))


def blend_frame(query: Mapping[str, str]) -> live.Frame:
    """The decode at the cursor."""
    import torch

    from .. import sample

    checkpoint = model(query)
    u, v = inputs.numbers_in("uv", query.get("at"), 2, 0, 1)
    z = blended(_corners(checkpoint, query), torch.tensor([u]), torch.tensor([v]))
    picture = sample.decode(checkpoint, z)[0]
    return live.Frame(images.to_uint8(picture), {
        "u": u, "v": v, "at": [u, v], "z": z[0].tolist(), "norm": z.norm().item(), "judge": verdict(checkpoint, picture),
        "places": places(SIDE),
    })


def places(side: int) -> Sequence[float]:
    """What stands at the centres of the columns of a sheet whose outermost pictures are 0 and 1."""
    return [i / (side - 1) for i in range(side)]
