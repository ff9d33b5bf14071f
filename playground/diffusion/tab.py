"""The diffusion tab: noise a picture and watch a network take the noise away again, each step laid open.

    +-- the structure, live: x_0 -> q -> x_t -> q -> x_T, and back by the network -------------+
    +-- model, class, seed; sixteen samples at once -------------------------------------------+
    +-- the reverse process as a debugger: play, step, branch; its film ----------------------+
    +-- one view after another: views/ ---------------------------------------------------------+
    +-- training (folded) ----------------------------------------------------------------------+
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import gradio as gr

from ..core import images, inputs
from ..core.device import executor
from ..core.inputs import SEED_MAX
from ..ui import live, parts, training
from ..ui.errors import guarded
from ..ui.i18n import both, say, t
from ..ui.state import Field, State
from . import config, views
from .views import bound, forward, guidance, line, memory, plane, repair, reverse, samplers, training_step

GRID = 16                    # samples side by side


def build(tab: gr.Tab) -> None:
    """Lay out the tab inside the current gr.Tab, then wire it."""
    gr.HTML(_figure(), apply_default_css=False, elem_id="diffusion-figure", js_on_load=None)
    with gr.Column(elem_classes="section", elem_id="diffusion-samples"):
        gr.HTML(parts.heading("diffusion.samples", "diffusion.try"))
        with gr.Row(elem_classes="controls three"):
            checkpoint = parts.checkpoint_picker("diffusion", config.PICKED, config.FIRST)
            y = parts.Dropdown([(t("diffusion.class.any"), views.ANY)], value=views.ANY, label=t("diffusion.class"), filterable=False, elem_id="diffusion-class")
            seed = parts.seed_box()
            another = gr.Button(t("diffusion.another"), variant="primary", elem_id="diffusion-another", size="md")
        grid = live.View("diffusion.grid", alt=both("diffusion.grid.alt"), tiles=GRID, elem_classes="strip",
                         picks=[both("diffusion.grid.pick", i=i + 1, n=GRID) for i in range(GRID)])
    source = gr.Textbox("", visible=False)
    shared = views.Shared(checkpoint, seed, y, source)
    pieces = [view.build(shared) for view in VIEWS]
    panel = training.Panel("diffusion", config, checkpoint)

    grid.follow(checkpoint=checkpoint, seed=seed, y=y)
    live.register("diffusion.grid", grid_frame)
    quick = dict(show_progress="hidden", trigger_mode="always_last", api_visibility="private")      # queued: else no error shows
    another.click(guarded(_another), seed, seed, **quick)
    grid.pick(guarded(_picked), [checkpoint, seed, y, grid], [seed, y], **quick)
    sliders = [slider for piece in pieces for slider in (*piece.described, *piece.limited)]
    ends = [0 if slider in piece.described else slider.maximum for piece in pieces for slider in (*piece.described, *piece.limited)]
    cleared = [text for piece in pieces for text in piece.cleared]
    describe = dict(fn=guarded(lambda name, *values: [*_describe(ends, name, *values), *[""] * len(cleared)]), inputs=[checkpoint, *sliders],
                    outputs=[y, *sliders, *cleared], **quick)
    checkpoint.input(**describe)
    panel.board.use(guarded(panel.use), None, checkpoint, **quick).success(**describe)

    fields = [
        Field("model", [checkpoint], lambda text: [parts.checkpoint_named("diffusion", text, config.PICKED)]),
        Field("seed", [seed], lambda text: [inputs.seed(inputs.parsed(text))], default="0"),
        Field("y", [y], lambda text: [text if text == views.ANY else str(inputs.integer("class", inputs.parsed(text), 0, 999))], default=views.ANY),
        Field("x", [source], views.restore_source, default=""),
        *(field for piece in pieces for field in piece.fields),
    ]
    kept = [component for field in fields[1:] for component in field.components if component is not y]
    state = State(tab, [*fields, *panel.fields], views=[grid, *(view for piece in pieces for view in piece.views)])

    def opening(restored: Mapping[str, list[Any]]) -> list[Any]:
        """The URL's model with what it can do, and the URL's values; all else stays as it was laid out."""
        [name] = restored.get("model", checkpoint_names()[:1])
        described, *tops = _describe(ends, name)
        values = {id(component): value for field in fields if field.name in restored
                  for component, value in zip(field.components, restored[field.name])}
        described = {**described, "value": values.get(id(y), views.ANY)}
        choices = [*dict.fromkeys([*checkpoint_names(), name])]
        rest = [values.get(id(component), gr.skip()) for component in kept]
        for slider, top in zip(sliders, tops):
            if slider in kept:
                rest[kept.index(slider)] = {**top, **({"value": values[id(slider)]} if id(slider) in values else {})}
        return [gr.update(choices=choices, value=name), described, *rest,
                *(top for slider, top in zip(sliders, tops) if slider not in kept), *panel.opening(restored)]

    state.wire(opening, [checkpoint, y, *kept, *(slider for slider in sliders if slider not in kept), *panel.outputs])

    gr.api(guarded(diffusion_sample), api_name="diffusion_sample")


VIEWS = (forward, reverse, guidance, samplers, repair, memory, bound, training_step, plane, line)           # modules of views/, in the order of the page


def checkpoint_names() -> list[str]:
    return parts.checkpoint_names("diffusion", only=config.PICKED, first=config.FIRST)


# What the live views draw. Each runs on the inference executor; the query is hostile.


def grid_frame(query: Mapping[str, str]) -> live.Frame:
    """GRID samples in a few steps of the fast solver: of the seeds from `seed` on, of one class or of all in turn."""
    return _grid(views.model(query), views.seed(query), query.get("y"), GRID)


def _grid(checkpoint: Any, seed: int, y: Any, n: int) -> live.Frame:
    from . import sample

    seeds = [(seed + i) % (SEED_MAX + 1) for i in range(n)]
    pictures = sample.grid(checkpoint, seeds, views.label(checkpoint, y))
    return live.Frame(images.beside(*(views.shown(2 * picture - 1) for picture in pictures)), {"steps": sample.GRID_STEPS, "seed": seed})


# The same for programs: named endpoints of the API.


def diffusion_sample(checkpoint: str, seed: int, label: str, n: int) -> dict:
    """Draw pictures with the fast solver. seed: picture i has seed + i. label: a class's index as text, or "any" for all in turn.

    n: 1 to 16. Returns {"picture": n pictures side by side, a PNG as a data URI, "steps": of the solver}.
    """
    n = inputs.integer("n", n, 1, GRID)
    frame = executor.run(lambda: _grid(views.model({"checkpoint": checkpoint}), inputs.seed(seed), label, n))
    return {"picture": live.data_uri(frame.picture), **frame.numbers}


# What the buttons do.


def _describe(ends: Sequence[int], name: str, *values: Any) -> list[Any]:
    """The classes a model knows, and for each slider over times or steps where it ends: at T, or at its own end if that is
    nearer (0: it has none). A value beyond goes back to the end."""
    def describe() -> tuple[int, int]:
        from . import sample

        found = sample.load_unet(name).model.config
        return found.classes, found.T

    classes, T = executor.run(describe)
    tops = [min(T, end) if end else T for end in ends]
    return [gr.update(choices=[(say("diffusion.class.any"), views.ANY), *map(str, range(classes))], value=views.ANY), *(
        gr.update(maximum=top, value=top) if isinstance(value, (int, float)) and value > top else gr.update(maximum=top)
        for top, value in zip_longest(tops, values[:len(tops)]))]


def _picked(name: str, seed: Any, y: Any, index: Any) -> list[Any]:
    """The seed and the class of a picture of the grid."""
    def find() -> list[Any]:
        checkpoint = views.model({"checkpoint": name})
        classes, i = checkpoint.model.config.classes, inputs.integer("index", index, 0, GRID - 1)
        label = views.label(checkpoint, y)
        return [(inputs.seed(seed) + i) % (SEED_MAX + 1), views.ANY if not classes else str(i % classes if label is None else label)]

    return executor.run(find)


def _another(seed: Any) -> int:
    return (inputs.seed(seed) + GRID) % (SEED_MAX + 1)


def warm_up() -> None:
    """Make the first pictures fast: import torch, load the first checkpoint, draw once."""
    for name in checkpoint_names()[:1]:
        grid_frame({"checkpoint": name, "seed": "0"})
    plane.plane_frame({"set": "ring", "pt": "10"})


# How it looks.


def _figure() -> str:
    """The chapter's structure figure, with what is on it now; each box leads to its view."""
    def edge(canvas: str, key: str) -> str:
        return f'<div class="edge"><canvas {canvas}></canvas><span>{both(key)}</span></div>'

    def arrows(href: str, formula: str, back: str, back_href: str) -> str:
        return (f'<div class="both-ways"><a class="box noise" href="#{href}"><span class="tex">{formula}</span> <b>→</b></a>'
                f'<a class="box model" href="#{back_href}"><b>←</b> <span class="tex">{back}</span></a></div>')

    tile = 'width="28" height="28" class="tile" data-mirror='
    return (f'<div class="figure chain" role="group" aria-labelledby="diffusion-figure-alt">'
            f'<span class="visually-hidden" id="diffusion-figure-alt">{both("diffusion.figure")}</span>'
            + edge(f'{tile}"diffusion.chain:0"', "diffusion.x_0")
            + arrows("diffusion-forward", "q(x<sub>t</sub> | x<sub>t−1</sub>)", "p<sub>θ</sub>(x<sub>t−1</sub> | x<sub>t</sub>)", "diffusion-reverse")
            + edge(f'{tile}"diffusion.chain:1"', "diffusion.x_t")
            + arrows("diffusion-forward", "q", "p<sub>θ</sub>", "diffusion-reverse")
            + edge(f'{tile}"diffusion.chain:2"', "diffusion.x_T")
            + "</div>")
