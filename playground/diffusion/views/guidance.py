"""Guidance taken apart: what a classifier's gradient, or the difference a class makes, adds to the noise; and what too much of it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ...core import images, inputs
from ...core.errors import PlaygroundError
from ...ui import live, parts
from ...ui.i18n import both, t
from ...ui.state import Field
from . import Piece, Shared, label, model, noise_map, seed, shown

STEPS = 20                   # of DDIM: a map without chance, so that only the guidance differs
SCALES = (0, 1, 2, 4, 8)
KINDS = ("classifier", "free")
PARTS = ("free", "push", "guided", "sample")
COLOURS = ("--quiet", "--data", "--code", "--noise", "--model")


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-guided"):
        gr.HTML(parts.heading("diffusion.guided", "diffusion.guided.try"))
        with gr.Row(elem_classes="decisions"):
            scale = parts.Slider(0, 10, 2, step=0.1, label=t("diffusion.scale"), elem_id="diffusion-guided-scale")
            step = parts.Slider(0, STEPS - 1, 8, step=1, label=t("diffusion.guided.step"), elem_id="diffusion-guided-step")
        view = live.View("diffusion.guided", alt=both("diffusion.guided.alt"), tiles=2 * len(PARTS), every=60, lazy=True, elem_classes="strip four",
                         captions=[both(f"diffusion.guided.{kind}.{part}") for kind in KINDS for part in PARTS])
        gr.HTML(parts.numbers(("diffusion.guided:t", "diffusion.guided.t"), ("diffusion.guided:ratio_classifier", "diffusion.guided.ratio.classifier"),
                              ("diffusion.guided:ratio_free", "diffusion.guided.ratio.free")))
        parts.formula("diffusion.f.guidance", r"\begin{aligned}\hat\epsilon&=\epsilon_\theta(x_t)-s\,\sqrt{1-\bar\alpha_t}\;\nabla_{x_t}\log p_\phi(y\mid x_t)\\"
                      r"\hat\epsilon&=\epsilon_\theta(x_t)+s\,\big(\epsilon_\theta(x_t,y)-\epsilon_\theta(x_t)\big)\end{aligned}",
                      f"s = {parts.now('diffusion.guided:scale')}, √(1 − ᾱ<sub>t</sub>) = {parts.now('diffusion.guided:noise_weight')}, "
                      f"‖∇‖ = {parts.now('diffusion.guided:gradient')}, log p(y | x<sub>t</sub>) = {parts.now('diffusion.guided:log_p')}")
        gr.HTML(f'<h3>{both("diffusion.scales")}</h3><p>{both("diffusion.scales.try")}</p>')
        strip = live.View("diffusion.scales", alt=both("diffusion.scales.alt"), tiles=2 * len(SCALES), every=250, lazy=True, elem_classes="strip five",
                          captions=[f's = {s}: {parts.now(f"diffusion.scales:guide_{kind}_{s}")} / {parts.now(f"diffusion.scales:judge_{kind}_{s}")}'
                                    for kind in KINDS for s in SCALES])
        with gr.Row():
            for kind in KINDS:
                gr.HTML(f'<p class="caption">{both(f"diffusion.scales.{kind}")}</p>' + parts.lines(
                    "diffusion.scales", {f"p_{kind}_{s}": (colour, f"diffusion.scales.{s}") for s, colour in zip(SCALES, COLOURS)},
                    x="at", low=0, high=1, alt=f"diffusion.scales.{kind}", first="t = T", last="t = 0"))
    view.follow(checkpoint=shared.checkpoint, seed=shared.seed, y=shared.y, scale=scale, k=step)
    strip.follow(checkpoint=shared.checkpoint, seed=shared.seed, y=shared.y)
    live.register("diffusion.guided", guided_frame)
    live.register("diffusion.scales", scales_frame)
    return Piece([
        Field("gs", [scale], lambda text: [inputs.within("scale", inputs.parsed(text), 0, 20)], default="2"),
        Field("gk", [step], lambda text: [inputs.integer("step", inputs.parsed(text), 0, STEPS - 1)], default="8"),
    ], [view, strip])


def guided_frame(query: Mapping[str, str]) -> live.Frame:
    """At step k of the way guided by a classifier, and of the classifier-free one: the noise, the push, both together, and the sample."""
    import torch

    from .. import sample

    checkpoint = model(query)
    scale = inputs.within("scale", inputs.parsed(query.get("scale", "2")), 0, sample.SCALE_MAX)
    k, y = inputs.integer("step", inputs.parsed(query.get("k", "8")), 0, STEPS - 1), _class(checkpoint, query)
    films = [_film(checkpoint, query, y, kind, scale) for kind in KINDS]
    s, labels = sample.schedule(checkpoint), torch.tensor([y])
    tiles, numbers = [], {}
    for kind, film in zip(KINDS, films):
        at = min(k, film.reached - 1)
        at_t, x = film.times[at], film.x[at]
        said = sample.guided(checkpoint, x, at_t, labels, kind, scale)
        push = said.eps - said.eps_free
        tiles += [noise_map(said.eps_free[0]), noise_map(push[0], push.abs().max().item() + 1e-9), noise_map(said.eps[0]), shown((film.x if film.reached == film.steps else film.x_0)[-1][0])]
        numbers |= {f"ratio_{kind}": (push.norm() / said.eps_free.norm()).item()}
        if kind == "classifier":
            numbers |= {"gradient": said.gradient.norm().item(), "log_p": said.log_p.item()}
    return live.Frame(images.beside(*tiles), {
        **numbers, "t": at_t, "scale": scale, "y": y, "noise_weight": (1 - s.alpha_bar[at_t]).sqrt().item(),
        "more": any(film.reached < film.steps for film in films)})


def scales_frame(query: Mapping[str, str]) -> live.Frame:
    """The sample for each of SCALES, guided each way; p(y | x_t) along the way, and at the end as an independent classifier sees it."""
    import torch

    from ...core import classifier
    from .. import maths, sample

    checkpoint = model(query)
    y = _class(checkpoint, query)
    films = {(kind, scale): _film(checkpoint, query, y, kind, float(scale)) for kind in KINDS for scale in SCALES}
    done = all(film.reached == film.steps for film in films.values())
    guide = sample.asked(sample.guide(checkpoint))
    ends = torch.cat([film.x[-1] for film in films.values()])
    judged = classifier.probabilities(maths.picture(ends))[:, y].tolist() if checkpoint.config["dataset"] == "mnist" else [None] * len(films)
    numbers: dict[str, Any] = {"at": [-t for t in next(iter(films.values())).times[:-1]]}
    for ((kind, scale), film), judge in zip(films.items(), judged):
        k = film.steps - 1 if done else film.reached - 1      # the guide knows no t = 0
        x, times = torch.cat(film.x[0 if done else k:k + 1]), film.times[0 if done else k:k + 1]
        p = guide(x, torch.tensor(times)).softmax(1)[:, y].tolist()
        numbers |= {f"p_{kind}_{scale}": p if done else [], f"guide_{kind}_{scale}": p[-1], f"judge_{kind}_{scale}": judge}
    return live.Frame(images.beside(*(shown(end) for end in ends)), {**numbers, "y": y, "more": not done})


def _class(checkpoint: Any, query: Mapping[str, str]) -> int:
    """The class that guides; where none is asked for, the seed's last digit."""
    from .. import sample

    y = label(checkpoint, query.get("y"))
    if not checkpoint.model.config.classes:
        raise PlaygroundError("diffusion.class", name=checkpoint.name)
    if sample.guide(checkpoint) is None:
        raise PlaygroundError("diffusion.guide", found=checkpoint.config["dataset"])
    return seed(query) % checkpoint.model.config.classes if y is None else y


def _film(checkpoint: Any, query: Mapping[str, str], y: int, kind: str, scale: float) -> Any:
    from .. import sample

    T = checkpoint.model.config.T
    return sample.in_sight(checkpoint, (sample.Leg(T, sample.Choice(seed(query), y, kind, scale, "ddim", min(STEPS, T))),))
