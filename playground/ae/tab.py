"""The autoencoder tab: compress a picture to a code and restore it; three ways to keep the code honest; why none of them generates.

    +-- the structure, live: x -> encoder -> code -> decoder -> x_hat ---------------------+
    +-- model, seed; pad ----+-- x, x_hat and the error ---------------- three numbers -----+
    +-- one picture, four models; the error of all code sizes -------------------------------+
    +-- one view after another: views/ -------------------------------------------------------+
    +-- training (folded) --------------------------------------------------------------------+
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from ..core import images, inputs
from ..core.device import executor
from ..core.examples import EXAMPLES, restored
from ..ui import i18n, live, parts, training
from ..ui.errors import guarded
from ..ui.i18n import both, t
from ..ui.state import SCRIPT, Field, State, restore_drawing
from . import config, views
from .views import contraction, field, keep, penalty, planes, repair, row, use, wall

EXAMPLE = 3                  # the digit on the pad when the tab opens
FIRST_EXAMPLE = "e0"         # what a model of anything but digits opens on
BARS = 64                    # numbers of a code drawn in the figure: the first of them
DRAWING = "document.querySelector('#ae-pad canvas')?.matches(':active')"        # a stroke of the visitor's, not a value of the server's


def build(tab: gr.Tab, vae: planes.Lent | None = None) -> None:
    """Lay out the tab inside the current gr.Tab, then wire it. vae: the plane of that family's model, which the page hands over."""
    gr.HTML(_figure(), js_on_load=None, apply_default_css=False, elem_id="ae-figure")
    with gr.Column(elem_classes="section", elem_id="ae-own"):
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                gr.HTML(parts.heading("ae.own", "ae.own.try"))
                with gr.Row(elem_classes="controls few"):
                    checkpoint = parts.checkpoint_picker("ae", first=config.FIRST, aside=config.ASIDE)
                    seed = parts.seed_box()
            with gr.Column(scale=2, min_width=220):
                pad = parts.Pad(alt=both("ae.pad"), elem_id="ae-pad")
            with gr.Column(scale=4, min_width=280):
                look = live.View("ae.look", alt=both("ae.look.alt"), tiles=3, captions=(both("ae.x"), both("ae.x_hat"), both("ae.difference")))
                gr.HTML(parts.numbers(("ae.look:error", "ae.row.error"), ("ae.look:active", "ae.row.active"), ("ae.look:jacobian", "ae.row.jacobian")))
        gr.HTML(f'<p class="caption">{both("ae.example")}</p>')
        examples = live.View("ae.examples", alt=both("ae.example.alt"), tiles=EXAMPLES, elem_classes="strip ten",
                             picks=[both("ae.example.pick", i=i, n=EXAMPLES - 1) for i in range(EXAMPLES)])
        upload = gr.UploadButton(t("ae.upload"), file_types=["image"], size="sm", elem_id="ae-upload")
        uploaded = gr.Textbox(f"e{EXAMPLE}", visible=False)          # the picture as text, or "e3" for example 3; "": the pad's drawing counts
    shared = views.Shared(checkpoint, seed, [pad, uploaded])
    pieces = [build_view(shared) for build_view in (row.build, partial(planes.build, lent=vae), *(view.build for view in VIEWS))]
    with gr.Column(elem_classes="section"):
        gr.HTML(parts.heading("ae.none", "ae.none.text"))
        with gr.Accordion(t("ae.notes"), open=False):
            gr.Markdown(t("ae.notes.text"))
    panel = training.Panel("ae", config, checkpoint)

    look.follow(checkpoint=checkpoint, x=[pad, uploaded])
    examples.follow(checkpoint=checkpoint)
    live.register("ae.look", look_frame)
    live.register("ae.examples", examples_frame)

    quick = dict(show_progress="hidden", trigger_mode="always_last", api_visibility="private")      # queued: else no error shows
    pad.change(None, None, uploaded, js=f"() => [{DRAWING} ? '' : undefined]", **SCRIPT)
    upload.upload(guarded(_uploaded), [checkpoint, upload], uploaded, **quick)
    examples.pick(guarded(_example), [checkpoint, examples], [uploaded, pad], **quick)
    chosen = guarded(_chosen), [checkpoint, pad, uploaded], uploaded
    checkpoint.input(*chosen, **quick)
    panel.board.use(guarded(panel.use), None, checkpoint, **quick).success(*chosen, **quick)

    fields = [
        Field("model", [checkpoint], lambda text: [parts.checkpoint_named("ae", text)]),
        Field("seed", [seed], lambda text: [inputs.seed(inputs.parsed(text))], default="0"),
        Field("x", [pad], restore_drawing, default=None),
        Field("own", [uploaded], lambda text: [restored(text)], default=""),
    ]
    further = [each for piece in pieces for each in piece.fields]
    state = State(tab, [*fields, *further, *panel.fields], views=[look, examples, *(view for piece in pieces for view in piece.views)])

    def opening(restored: Mapping[str, list[Any]]) -> list[Any]:
        rest = [value for each in further for value in restored.get(each.name, [gr.skip()] * len(each.components))]
        return [*_opening(restored), *rest, *panel.opening(restored)]

    state.wire(opening, [checkpoint, seed, pad, uploaded, *(component for each in further for component in each.components), *panel.outputs])

    gr.api(guarded(ae_reconstruct), api_name="ae_reconstruct")


VIEWS = (keep, wall, penalty, contraction, repair, field, use)          # modules of views/, in the order of the page, after the first two


def checkpoint_names() -> list[str]:
    return parts.checkpoint_names("ae", first=config.FIRST, aside=config.ASIDE)


# What the live views draw. Each runs on the inference executor; the query is hostile.


def look_frame(query: Mapping[str, str]) -> live.Frame:
    """The visitor's picture as the encoder sees it, what comes back, and the signed error; its code and three figures."""
    from . import sample

    checkpoint = views.model(query)
    x = views.drawing(checkpoint, query.get("x"))
    seen = sample.look(checkpoint, x)
    scale = checkpoint.derived["largest"].clamp(min=1e-9)
    return live.Frame(images.beside(images.to_uint8(x), images.to_uint8(seen.x_hat), images.signed(seen.x_hat - x)), {
        "error": seen.error, "active": f"{seen.active} / {len(seen.h)}", "jacobian": seen.jacobian, "norm": seen.h.norm().item(),
        "code": (seen.h / scale)[:BARS].tolist(), "units": len(seen.h), "pixels": x.numel(),
    })


def examples_frame(query: Mapping[str, str]) -> live.Frame:
    """The pictures to pick from."""
    return live.Frame(images.strip(views.examples.pictures(views.model(query))))


# The same for programs: named endpoints of the API.


def ae_reconstruct(checkpoint: str, drawing: str) -> dict:
    """Encode a drawing and restore it: 56x56 pixels of one bit, row by row, as URL-safe base64 (523 characters).

    Returns {"picture": x, x_hat and their signed difference side by side as a data URI, "error": squared, summed over pixels,
    "active": units above 1 % of their largest, of how many, "jacobian": ||J||_F of the encoder there, "norm": of the code, ...}.
    """
    frame = executor.run(look_frame, {"checkpoint": checkpoint, "x": drawing})
    return {"picture": live.data_uri(frame.picture), **frame.numbers}


# What the buttons do.


def _opening(restored: Mapping[str, list[Any]]) -> list[Any]:
    """Values of model, seed, pad and uploaded picture when the tab opens: those of the URL, else a drawn digit."""
    [name] = restored.get("model", checkpoint_names()[:1] or [None])
    [seed] = restored.get("seed", [0])
    [drawing] = restored.get("x", [None])
    [own] = restored.get("own", [FIRST_EXAMPLE if drawing is None and name and _keeps_examples(name) else ""])
    if drawing is None:
        drawing = images.digit(EXAMPLE)
    names = checkpoint_names()
    return [gr.update(choices=[*dict.fromkeys([*names, *([name] if name else [])])], value=name), seed, drawing, own]


def _chosen(name: Any, drawn: Any, uploaded: Any) -> str:
    """What another model changes: one of anything but digits begins with a picture of its own kind."""
    if isinstance(uploaded, str) and executor.run(lambda: views.examples.holds(views.model({"checkpoint": name}), uploaded)):
        return uploaded
    return FIRST_EXAMPLE if _keeps_examples(name) or not drawn else ""


def _keeps_examples(name: Any) -> bool:
    return executor.run(lambda: views.examples.kept(views.model({"checkpoint": name})))


def _example(name: Any, index: Any) -> list[Any]:
    """A picture to pick from, shown instead of the pad's, which a digit is drawn on."""
    i = inputs.integer("index", index, 0, EXAMPLES - 1)
    return [f"e{i}", gr.skip()] if _keeps_examples(name) else ["", images.digit(i)]


def _uploaded(name: Any, path: Any) -> Any:
    """A visitor's picture as text, cut to the model's size and colours, which is said; the file is not kept."""
    if not isinstance(path, str):
        return gr.skip()

    from ..core import pictures

    with pictures.taken(path):
        shape = executor.run(lambda: views.model({"checkpoint": name}).model.config)
        text = pictures.packed(path, shape.channels, shape.size)         # not on the executor: a large photograph takes its time
    gr.Info(i18n.say("ae.resized" if shape.channels > 1 else "ae.resized.grey").format(size=shape.size), title="")
    return text


def warm_up() -> None:
    """Make the first picture fast: import torch, load the first checkpoint, look at a digit once."""
    for name in checkpoint_names()[:1]:
        look_frame({"checkpoint": name, "x": images.digit(EXAMPLE)})


# How it looks.


def _figure() -> str:
    """The chapter's structure figure; each edge carries what is on it now, each box leads to its view."""
    def edge(canvas: str, key: str) -> str:
        return f'<div class="edge"><canvas {canvas}></canvas><span>{both(key)}</span></div>'

    def box(href: str, key: str, formula: str) -> str:
        return f'<a class="box model" href="#{href}"><b>{both(key)}</b><span class="tex">{formula}</span></a>'

    return (f'<div class="figure" role="group" aria-labelledby="ae-figure-alt">'
            f'<span class="visually-hidden" id="ae-figure-alt">{both("ae.figure")}</span>'
            + edge('data-mirror="ae.look:0" width="28" height="28" class="tile"', "ae.figure.x")
            + box("ae-contraction", "ae.encoder", "g<sub>φ</sub>(x)")
            + edge('data-bars="ae.look:code" data-range="1" class="plot"', "ae.figure.code")
            + box("ae-planes", "ae.decoder", "f<sub>θ</sub>(h)")
            + edge('data-mirror="ae.look:1" width="28" height="28" class="tile"', "ae.figure.x_hat")
            + '<div class="edge op"><span class="tex">‖x − x̂‖²</span><span><b data-live="ae.look:error">–</b></span></div>'
            + "</div>")
