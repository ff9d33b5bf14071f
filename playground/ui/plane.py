"""What toys in two dimensions need on the page: the plane they live in (plane.js draws it), with buttons to train them."""

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from ..core import inputs
from .i18n import both

KINDS = ("points", "marks", "circles", "paths", "arrows")        # of layers, in the order of the legend
COUNT_MAX = 10**6            # updates, and clicks on a button of one page


@dataclass(frozen=True)
class Layer:
    """What is drawn of one list in a frame's numbers, x and y in turn: the first layer first.

    kind: "points"; "marks", characters of the text `at` in the colours of their classes; "circles" around the origin, whose list
    holds their radii; "paths", whose list holds one such list for each path; "arrows", from the points of the list `at`, each as
    long as the list of the same length says. colour: a CSS variable. label: key of its place in the legend.
    """

    kind: str
    key: str
    colour: str
    label: str
    at: str = ""             # of arrows: the key of where they begin; of marks: that of their characters
    size: float = 2.0        # CSS pixels: a point's radius, a mark's height, a line's width
    alpha: float = 1.0


def plane(view: str, layers: Sequence[Layer], *, alt: str, extent: float = 3.0, name: str = "") -> str:
    """A square of the plane, [-extent, extent] on both sides with y upwards, from a live view's numbers, and its legend.

    A list that the numbers lack, or that is null, is not drawn. alt: key of what it shows. name: of this one, where a view has several.
    """
    name = f"{view}-{name}{'-' * bool(name)}plane".replace(".", "-")
    drawn = html.escape(json.dumps([asdict(layer) for layer in layers]))
    legend = "".join(f'<span class="{layer.kind} {layer.key}" style="--line: var({layer.colour})">{both(layer.label)}</span>' for layer in sorted(layers, key=lambda layer: KINDS.index(layer.kind)))
    return (f'<canvas class="plane" data-plane="{view}" data-extent="{extent}" data-layers="{drawn}" role="img" aria-labelledby="{name}"></canvas>'
            f'<p class="legend">{legend}</p><span class="visually-hidden" id="{name}">{both(alt)}</span>')


class Trainer(gr.HTML):
    """Buttons for what is trained while one looks on: play and pause, one update, start again.

    view: the live view that trains it: its handler gets the value, to be read by `drive`, and its numbers hold the "step"
    that was reached and a true "done" where nothing is left to train. The token is drawn by the page at the first click.
    """

    def __init__(self, view: str, **kwargs: Any) -> None:
        self.view = view
        super().__init__(
            value="",
            html_template=f'<div class="trainer" data-view="{view}">'
                          f'<button type="button" class="play"><span class="paused">▶ {both("trainer.play")}</span>'
                          f'<span class="playing">❚❚ {both("trainer.pause")}</span></button>'
                          f'<button type="button" class="quiet one">{both("trainer.one")}</button>'
                          f'<button type="button" class="quiet again">{both("trainer.again")}</button></div>',
            js_on_load="window.playground.plane.trainer(element, props, watch)",
            apply_default_css=False, **kwargs)


@dataclass(frozen=True)
class Drive:
    """What the buttons say."""

    owner: str = ""          # the page's token; "" before the first click
    playing: bool = False
    until: int = 0           # a single update: the step to be reached, 0 once it is
    again: int = 0           # times begun again


def drive(text: object) -> Drive:
    """A Trainer's value, hostile: "<token>,<1 if playing, else 0>,<step to reach>,<times begun again>", or ""."""
    if text is None or text == "":
        return Drive()
    owner, _, rest = text[:64].partition(",") if isinstance(text, str) else ("", "", text)
    if not (owner.isascii() and owner.isalnum() and len(owner) <= 16):
        inputs.numbers_in("play", None, 4, 0, COUNT_MAX)      # refused as anything else that is no such value
    playing, until, again = (inputs.integer("play", value, 0, high) for value, high in zip(
        inputs.numbers_in("play", rest, 3, 0, COUNT_MAX, check=inputs.within), (1, COUNT_MAX, COUNT_MAX)))
    return Drive(owner, bool(playing), until, again)
