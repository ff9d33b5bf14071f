"""A list of places that sliders stood at: kept by a button, shown as pictures, gone back to, moved and taken out (keyframes.js)."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from .i18n import both


class Keyframes(gr.HTML):
    """Its value is a text: the sliders' values at each place joined by commas, the places by colons.

    sliders: with elem_ids. view: the live view that follows the list, each tile of its frames the picture of one place.
    most: of places. home: what it begins with, and goes back to; not `value`, which Gradio leaves out where it builds a component again. keep: key of the button that keeps where the sliders stand.
    """

    def __init__(self, view: str, sliders: Sequence[gr.Slider], *, most: int, home: str, keep: str, **kwargs: Any) -> None:
        ids = ",".join(slider.elem_id for slider in sliders)
        button = lambda do, sign: (f'<button type="button" data-do="{do}"><span aria-hidden="true">{sign}</span>'       # noqa: E731
                                   f'<span class="visually-hidden">{both(f"keyframes.{do}")}</span></button>')
        super().__init__(
            value=home, apply_default_css=False, js_on_load="window.playground.keyframes.mount(element, props, watch)",
            html_template=f'<div class="keyframes" data-view="{view}" data-sliders="{ids}" data-most="{most}" data-home="{home}"><ol></ol>'
                          f'<template><li><button type="button" class="go" data-do="go"><canvas width="64" height="64" aria-hidden="true"></canvas><b></b>'
                          f'<span class="visually-hidden">{both("keyframes.go")}</span></button>'
                          f'<div>{button("earlier", "‹")}{button("later", "›")}{button("out", "×")}</div></li></template>'
                          f'<div class="actions"><button type="button" class="quiet add" data-do="add">+ {both(keep)}</button>'
                          f'<button type="button" class="quiet" data-do="home">{both("keyframes.home")}</button></div></div>', **kwargs)

    def preprocess(self, payload: Any) -> Any:
        return payload

    def postprocess(self, value: Any) -> Any:
        return value
