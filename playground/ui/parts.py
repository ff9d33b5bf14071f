"""Controls that tabs share. Their values reach the handlers as they came: the handlers check them (core/inputs.py)."""

from typing import Any

import gradio as gr

from ..core import checkpoints, inputs, jobs
from ..core.images import PAD
from ..core.inputs import SEED_MAX
from .i18n import both, t


class Slider(gr.Slider):
    """A slider whose value is checked by the handler alone: Gradio's own refusal knows one language only."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Dropdown(gr.Dropdown):
    """A dropdown whose value is checked by the handler alone."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Radio(gr.Radio):
    """Choices side by side whose value is checked by the handler alone."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Number(gr.Number):
    """A number box whose value is checked by the handler alone."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Pad(gr.HTML):
    """A pad to draw on; its value is the drawing as `images.pack_drawing` writes it, "" when empty.

    Events: `.change` at each movement, `.release` when a stroke ends or the pad is cleared.
    alt: what it is for, HTML in both languages, read out to who cannot see it.
    """

    def __init__(self, *, alt: str, elem_id: str, **kwargs: Any) -> None:
        super().__init__(
            value="", elem_id=elem_id,
            html_template=f'<div class="pad"><canvas width="{PAD}" height="{PAD}" role="img" aria-labelledby="{elem_id}-alt"></canvas>'
                          f'<span id="{elem_id}-alt" class="visually-hidden">{alt}</span>'
                          f'<button type="button" class="quiet">{both("pad.clear")}</button></div>',
            js_on_load="window.playground.pad.mount(element, props, trigger, watch) /* 'release' */",
            apply_default_css=False, **kwargs)


class Bars(gr.HTML):
    """A row of labelled bars for a list of numbers >= 0, those below `dead` greyed."""

    def __init__(self, *, dead: float, **kwargs: Any) -> None:
        super().__init__(
            value=[],
            html_template=f'<ol class="bars" data-dead="{dead}"></ol>',
            js_on_load="window.playground.bars.mount(element, props, watch)",
            apply_default_css=False, **kwargs)

    def postprocess(self, value: list[float] | None) -> list[float]:
        return [float(number) for number in value or []]


def checkpoint_names(family: str, visitor: str = "") -> list[str]:
    """All checkpoints of a family that a visitor may see, the shipped ones first; visitor: the secret of their browser."""
    entries = [entry for entry in checkpoints.entries() if entry.family == family]
    if jobs.public():
        mine = {run.name for run in jobs.visible(visitor, family)}
        entries = [entry for entry in entries if entry.shipped or entry.name in mine or entry.name.removesuffix("-best") in mine]
    return [entry.name for entry in sorted(entries, key=lambda entry: (not entry.shipped, entry.name))]


def checkpoint_named(family: str, name: str) -> str:
    """`name` if it is a checkpoint of the family: one of the list, or whoever knows its name (a link to a trained model)."""
    names = checkpoint_names(family)
    if name not in names and any(entry.name == name and entry.family == family for entry in checkpoints.entries()):
        return name
    return inputs.choice("model", name, names)


def checkpoint_picker(family: str) -> Dropdown:
    names = checkpoint_names(family)
    return Dropdown(names, value=names[0] if names else None, label=t("part.checkpoint"), filterable=False)


def seed_box() -> Number:
    return Number(0, label=t("part.seed"), precision=0, minimum=0, maximum=SEED_MAX)
