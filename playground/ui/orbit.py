"""A camera around the origin, held by a picture of a live view: pointer, fingers, wheel and keys move its four sliders (orbit.js)."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from .i18n import both


class Orbit(gr.HTML):
    """The picture of a live view, on a canvas that turns the camera.

    A drag or an arrow key turns, a wheel, a pinch, + or - changes the distance, Shift with the wheel the field of view, 0 goes back.
    The view follows the sliders, `elsewhere=True`, as one parameter: view.follow(camera=sliders, ...). With moving="quality=coarse"
    it asks for a coarse picture while they move. Below the canvas stand its pixels, the pictures a second of the last movement,
    "samples" of the frame's numbers (the mean along a ray), and who has drawn it.

    sliders: azimuth, elevation, field of view in degrees and distance, in the order azimuth, elevation, distance, field of view, each
    with an elem_id; the first goes around where it ends. alt: what the picture shows, HTML in both languages.
    camera: the view's parameter that follows them. volume: what volume.py serves to a query of the view without the camera; where it
    serves one, the visitor's browser draws the picture itself (march.js), and the server is asked no more.
    """

    def __init__(self, view: str, sliders: Sequence[gr.Slider], *, alt: str, camera: str = "camera", volume: str = "", **kwargs: Any) -> None:
        knobs, home = ",".join(slider.elem_id for slider in sliders), ",".join(f"{slider.value:g}" for slider in sliders)
        name = f"orbit-{view.replace('.', '-')}"
        said = lambda kind, key, text="": f'<span><b data-{kind}="{view}:{key}">–</b>{text and " " + both(text)}</span>'      # noqa: E731
        super().__init__(
            elem_id=name, apply_default_css=False, js_on_load="window.playground.orbit.mount(element)",
            html_template=f'<div class="orbit" data-view="{view}" data-sliders="{knobs}" data-home="{home}" data-camera="{camera}" '
                          f'data-volume="{volume}" data-by="server"><div class="stage" tabindex="0" role="group" aria-labelledby="{name}-hint">'
                          f'<canvas data-mirror="{view}:0" width="200" height="200" role="img" aria-labelledby="{name}-alt"></canvas></div>'
                          f'<span class="visually-hidden" id="{name}-alt">{alt}</span><span class="visually-hidden" id="{name}-hint">{both("orbit.hint")}</span>'
                          f'<p class="caption">{said("orbit", "size")}{said("orbit", "rate", "orbit.rate")}{said("live", "samples", "orbit.samples")}'
                          f'<span class="browser">{both("orbit.browser")}</span>'
                          f'<span class="server">{both("orbit.server")}</span></p>'
                          f'<div class="keys"><button type="button" class="quiet" data-do="home">{both("orbit.home")}</button>'
                          f'<button type="button" class="quiet" data-do="by" hidden><span class="browser">{both("orbit.to_server")}</span>'
                          f'<span class="server">{both("orbit.to_browser")}</span></button></div></div>', **kwargs)
