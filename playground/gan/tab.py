"""The GAN tab: seeds and walks through what the generator has learnt, and the two players' game made visible.

    +-- the structure, live: z -> generator -> G(z), x -> discriminator -> D(G(z)), D(x) --+
    +-- model, seed ------------------------------------------------------------------------+
    +-- the grid of seeds; the chosen picture beside a real one; truncation ----------------+
    +-- one view after another: views/ ------------------------------------------------------+
    +-- where the notes differ; training (folded) --------------------------------------------+
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from ..core import inputs
from ..ui import parts, training
from ..ui.errors import guarded
from ..ui.i18n import both, t
from ..ui.state import Field, State
from . import config, views
from .views import directions, four, game, grid, line, nearest, quiz, seeds, walk


def build(tab: gr.Tab, ae: views.Lent | None = None) -> None:
    """Lay out the tab inside the current gr.Tab, then wire it. ae: that family's copies of held-out pictures, which the page hands over."""
    gr.HTML(_figure(), js_on_load=None, apply_default_css=False, elem_id="gan-figure")
    with gr.Row(elem_classes="section controls one"):
        checkpoint = parts.checkpoint_picker("gan", first=config.FIRST)
        seed = parts.seed_box()
        another = gr.Button(t("gan.another"), variant="primary", elem_id="gan-another", size="md")
    chosen = gr.Number(0, visible=False, precision=0)
    ends = [gr.Textbox("", visible=False), gr.Textbox("", visible=False)]
    shared = views.Shared(checkpoint, seed, chosen, ends, partial(views.real_pictures, lent=ae))
    pieces = [view.build(shared) for view in VIEWS]
    with gr.Column(elem_classes="section"):
        gr.HTML(parts.heading("gan.none", "gan.none.text"))
        with gr.Accordion(t("gan.notes"), open=False):
            gr.Markdown(t("gan.notes.text"))
    panel = training.Panel("gan", config, checkpoint)

    quick = dict(show_progress="hidden", trigger_mode="always_last", api_visibility="private")      # queued: else no error shows
    another.click(guarded(_another), seed, [seed, chosen], **quick)
    seed.input(guarded(_first), seed, chosen, **quick)
    panel.board.use(guarded(panel.use), None, checkpoint, **quick)

    fields = [
        Field("model", [checkpoint], lambda text: [parts.checkpoint_named("gan", text)]),
        Field("seed", [seed], lambda text: [inputs.seed(inputs.parsed(text))], default="0"),
        Field("chosen", [chosen], lambda text: [inputs.seed(inputs.parsed(text))], default="0"),
    ]
    further = [each for piece in pieces for each in piece.fields]
    state = State(tab, [*fields, *further, *panel.fields], views=[view for piece in pieces for view in piece.views])

    def opening(restored: Mapping[str, list[Any]]) -> list[Any]:
        rest = [value for each in further for value in restored.get(each.name, [gr.skip()] * len(each.components))]
        return [*_opening(restored), *rest, *panel.opening(restored)]

    state.wire(opening, [checkpoint, seed, chosen, *(component for each in further for component in each.components), *panel.outputs])


VIEWS = (grid, seeds, walk, directions, quiz, nearest, game, four, line)         # modules of views/, in the order of the page


def checkpoint_names() -> list[str]:
    return parts.checkpoint_names("gan", first=config.FIRST)


# What the buttons do.


def _opening(restored: Mapping[str, list[Any]]) -> list[Any]:
    """Values of model, seed and chosen picture when the tab opens: those of the URL; a seed without a chosen one shows its own picture."""
    names = checkpoint_names()
    [name] = restored.get("model", names[:1] or [None])
    [seed] = restored.get("seed", [0])
    [chosen] = restored.get("chosen", [seed])
    return [gr.update(choices=[*dict.fromkeys([*names, *([name] if name else [])])], value=name), seed, chosen]


def _another(seed: Any) -> list[int]:
    """The next grid's first seed, which is chosen too."""
    following = (inputs.seed(seed) + grid.GRID) % (inputs.SEED_MAX + 1)
    return [following, following]


def _first(seed: Any) -> int:
    """A seed that was written down is the chosen one."""
    return inputs.seed(seed)


def warm_up() -> None:
    """Make the first picture fast: import torch, load the first checkpoint, draw the grid once."""
    for name in checkpoint_names()[:1]:
        grid.grid_frame({"checkpoint": name, "seed": "0", "psi": "1"})


# How it looks.


def _figure() -> str:
    """The chapter's structure figure; each edge carries what is on it now, each box leads to its view."""
    def edge(canvas: str, key: str) -> str:
        return f'<div class="edge"><canvas {canvas}></canvas><span>{both(key)}</span></div>'

    def box(href: str, key: str, formula: str) -> str:
        return f'<a class="box model" href="#{href}"><b>{both(key)}</b><span class="tex">{formula}</span></a>'

    def tile(i: int, key: str) -> str:
        return edge(f'data-mirror="gan.pair:{i}" width="28" height="28" class="tile"', key)

    return (f'<div class="figure" role="group" aria-labelledby="gan-figure-alt">'
            f'<span class="visually-hidden" id="gan-figure-alt">{both("gan.figure")}</span>'
            + edge('data-bars="gan.pair:z" data-range="3" class="plot"', "gan.figure.z")
            + box("gan-directions", "gan.generator", "G(z)")
            + f'<div class="edge meeting">{tile(0, "gan.figure.fake")}{tile(1, "gan.figure.real")}</div>'
            + box("gan-quiz", "gan.discriminator", "D(x)")
            + '<div class="edge op"><span class="tex">D(G(z))</span><span><b data-live="gan.pair:fake">–</b></span>'
              '<span class="tex">D(x)</span><span><b data-live="gan.pair:real">–</b></span></div>'
            + "</div>")
