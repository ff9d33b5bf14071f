"""DDPM, DDIM and a fast solver from one x_T: three films side by side, what each costs, and where they end."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import gradio as gr

from ...core import images, inputs
from ...ui import live, parts
from ...ui.i18n import both, t
from ...ui.state import Field
from ..config import NAMES, SAMPLERS
from . import Piece, Shared, label, model, seed, shown

FILM = 8                     # pictures of each film
PAIR = "ddim,dpm-solver"     # compared at first
STEPS_MAX = 250              # a film of more would keep others waiting for little


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-samplers"):
        gr.HTML(parts.heading("diffusion.samplers", "diffusion.samplers.try"))
        with gr.Row(elem_classes="decisions"):
            steps = parts.Slider(2, STEPS_MAX, 10, step=1, label=t("diffusion.samplers.steps"), elem_id="diffusion-samplers-steps")
            pair = parts.Radio([(f"{NAMES[a]} | {NAMES[b]}", f"{a},{b}") for a, b in combinations(SAMPLERS, 2)],
                               value=PAIR, label=t("diffusion.samplers.pair"), elem_id="diffusion-samplers-pair")
            wipe = parts.Slider(0, 1, 0.5, step=0.01, label=t("diffusion.samplers.wipe"), elem_id="diffusion-samplers-wipe")
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                view = live.View("diffusion.samplers", alt=both("diffusion.samplers.alt"), tiles=3 * FILM + 2, every=60, lazy=True,
                                 elem_classes="strip eight films")
                gr.HTML('<table class="figures"><tr><th></th>' + "".join(f'<th>{both(f"diffusion.samplers.{column}")}</th>' for column in
                        ("calls", "seconds", "change")) + "</tr>" + "".join(
                    f"<tr><th>{name}</th>" + "".join(f'<td>{parts.now(f"diffusion.samplers:{column}_{key}")}</td>' for column in ("calls", "seconds", "change"))
                    + "</tr>" for key, name in NAMES.items()) + "</table>")
            with gr.Column(scale=2, min_width=220):
                gr.HTML(f'<div class="pair"><figure><canvas data-mirror="diffusion.samplers:{3 * FILM}" width="28" height="28" role="img" '
                        f'aria-labelledby="diffusion-wipe"></canvas><figcaption id="diffusion-wipe">{both("diffusion.samplers.wiped")}: {parts.now("diffusion.samplers:left")} | {parts.now("diffusion.samplers:right")}</figcaption></figure>'
                        f'<figure><canvas data-mirror="diffusion.samplers:{3 * FILM + 1}" width="28" height="28" role="img" '
                        f'aria-labelledby="diffusion-apart"></canvas><figcaption id="diffusion-apart">{both("diffusion.samplers.difference")} ±{parts.now("diffusion.samplers:most")}</figcaption></figure></div>',
                        js_on_load=None, apply_default_css=False)
    view.follow(checkpoint=shared.checkpoint, seed=shared.seed, y=shared.y, steps=steps, pair=pair, wipe=wipe)
    live.register("diffusion.samplers", samplers_frame)
    return Piece([
        Field("n", [steps], lambda text: [inputs.integer("steps", inputs.parsed(text), 2, STEPS_MAX)], default="10"),
        Field("pair", [pair], lambda text: [",".join(_pair(text))], default=PAIR),
        Field("wipe", [wipe], lambda text: [inputs.within("wipe", inputs.parsed(text), 0, 1)], default="0.5"),
    ], [view], limited=[steps])


def _pair(text: Any) -> tuple[str, str]:
    first, _, second = str(text).partition(",")
    return inputs.choice("sampler", first, SAMPLERS), inputs.choice("sampler", second, SAMPLERS)


def samplers_frame(query: Mapping[str, str]) -> live.Frame:
    """FILM predicted pictures of each sampler's way from the same x_T; two of their ends wiped over each other, and their difference."""
    import torch

    from .. import sample

    checkpoint = model(query)
    T, y, number = checkpoint.model.config.T, label(checkpoint, query.get("y")), seed(query)
    steps = sample.choice(0, None, "free", 1, "ddim", inputs.parsed(query.get("steps", "10")), 0, T).steps
    inputs.integer("steps", steps, 2, STEPS_MAX)
    first, second = _pair(query.get("pair", PAIR))
    wipe = inputs.within("wipe", inputs.parsed(query.get("wipe", "0.5")), 0, 1)

    def film(sampler: str, steps: int) -> Any:
        return sample.in_sight(checkpoint, (sample.Leg(T, sample.Choice(number, y, sampler=sampler, steps=min(steps, T))),))

    films, finer = {name: film(name, steps) for name in SAMPLERS}, {name: film(name, 2 * steps) for name in SAMPLERS[1:]}
    tiles = []
    for each in films.values():
        for i in range(FILM):
            k = round(i * (each.steps - 1) / (FILM - 1))
            tiles.append(shown(each.x_0[k][0] if k < each.reached else torch.full_like(each.x[0][0], -1)))
    a, b = (films[name].x[-1][0].clamp(-1, 1) for name in (first, second))
    column = round(wipe * a.shape[-1])
    difference = (b - a) / 2
    most = difference.abs().max().item()
    tiles += [shown(torch.cat([a[..., :column], b[..., column:]], dim=-1)), images.signed(difference / max(most, 1e-9))]
    every = [*films.values(), *finer.values()]
    numbers: dict[str, Any] = {"more": any(each.reached < each.steps for each in every), "apart": (b - a).norm().item(), "most": most,
                               "left": NAMES[first], "right": NAMES[second]}
    for name, each in films.items():
        other = finer.get(name)
        settled = other is not None and each.reached == each.steps and other.reached == other.steps
        numbers |= {f"calls_{name}": each.calls, f"seconds_{name}": each.seconds,
                    f"change_{name}": (each.x[-1] - other.x[-1]).square().mean().sqrt().item() / 2 if settled else None}
    return live.Frame(images.beside(*tiles), numbers)
