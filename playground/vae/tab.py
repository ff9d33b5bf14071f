"""The VAE tab: drag a point through the latent space and watch the decoded digit follow; draw a digit and see its code.

    +-- the structure, live: x -> encoder -> mu, sigma -> z -> decoder -> E[x | z] --+
    +-- model, seed, sliders in order of KL --------------+-- the decoded digit -----+
    +-- KL per dimension ---------------------------------+-- three numbers ---------+
    +-- sixteen draws from the prior -------------------------------------------------+
    +-- pad ------+-- x and its reconstruction ------------------- three numbers -----+
    +-- one view after another: views/ -----------------------------------------------+
    +-- formulas with the numbers of this moment -------------------------------------+
    +-- training (folded) ------------------------------------------------------------+
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from ..core import images, inputs
from ..core.device import executor
from ..core.examples import EXAMPLES, joined, restored
from ..ui import live, parts, training
from ..ui.errors import guarded
from ..ui.i18n import both, t
from ..ui.state import SCRIPT, Field, State, restore_drawing
from . import config, views
from .views import beta, palette, sheet, stepper

Z_MAX = 3.0          # +-3 std of the prior N(0, 1): 99.7 % of its mass on each axis
STEP = 0.01          # of the sliders; a code on them is rounded to it
FIRST = 8            # sliders in sight; the rest are behind "more"
SLIDERS = 32         # sliders in all; a model's further dimensions, which carry least, stay at 0
TEMPERATURE_MAX = 2.0        # std of the draws: at 0 all are the decode of the mean, beyond 1 they leave the data
WALK = 11            # pictures along a path
STRIP = 16           # draws from the prior shown beside each other
FORESIGHT = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)           # values of a slider whose results are shown under it
STRIPS_MS = 180      # between two refreshments of those while a slider moves
DEAD = 0.01          # nats: a dimension below carries nothing
EXAMPLE = 3          # the digit on the pad when the tab opens
FIRST_EXAMPLE = "e0"         # what a model of anything but digits opens on: what it makes of a held-out picture
DRAWING = "document.querySelector('#vae-pad canvas')?.matches(':active')"       # a stroke of the visitor's, not a value of the server's


def build(tab: gr.Tab) -> None:
    """Lay out the tab inside the current gr.Tab, then wire it."""
    gr.HTML(_figure(), js_on_load=EPS, apply_default_css=False, elem_id="vae-figure")
    with gr.Row(elem_classes="section"):
        with gr.Column(scale=5, elem_id="vae-sliders"):
            gr.HTML(parts.heading("vae.slide", "vae.try"))
            with gr.Row(elem_classes="controls"):
                checkpoint = parts.checkpoint_picker("vae", first=config.FIRST, aside=config.ASIDE)
                seed = parts.seed_box()
                prior = gr.Button(t("vae.prior"), variant="primary", elem_id="vae-prior", size="md")
                zero = gr.Button(t("vae.zero"), elem_id="vae-zero", size="md")
            sliders = _sliders(range(FIRST), "vae.strips")
            strips = live.View("vae.strips", alt=both("vae.foresight"), tiles=FIRST, elsewhere=True, every=STRIPS_MS)
            with gr.Accordion(t("vae.more"), open=False):
                sliders += _sliders(range(FIRST, SLIDERS), "vae.more")
                more = live.View("vae.more", alt=both("vae.foresight"), tiles=SLIDERS - FIRST, elsewhere=True, every=STRIPS_MS)
            bars = parts.Bars(dead=DEAD, elem_id="vae-kl")
            gr.HTML(f'<p class="caption">{both("vae.bars")}</p>')
        with gr.Column(scale=3, min_width=280, elem_classes="held"):
            decoded = live.View("vae.decode", alt=both("vae.decoded"), elem_classes="large")
            gr.HTML(parts.numbers(("vae.decode:log_prior", "vae.log_prior"), ("vae.decode:norm", "vae.norm"),
                             ("vae.decode:ms", "vae.ms")))
    with gr.Column(elem_classes="section"):
        gr.HTML(parts.heading("vae.strip", "vae.strip.try"))
        temperature = parts.Slider(0, TEMPERATURE_MAX, 1, step=0.05, label=t("vae.temperature"), elem_id="vae-temperature")
        strip = live.View("vae.prior", alt=both("vae.strip.alt"), tiles=STRIP, elem_classes="strip",
                          picks=[both("vae.strip.pick", i=i + 1, n=STRIP) for i in range(STRIP)])
    with gr.Column(elem_classes="section", elem_id="vae-paths"):
        gr.HTML(parts.heading("vae.paths", "vae.paths.try"))
        with gr.Row(elem_classes="keep"):
            keep_a = gr.Button(t("vae.keep.a"), size="sm", elem_id="vae-keep-a")
            keep_b = gr.Button(t("vae.keep.b"), size="sm", elem_id="vae-keep-b")
            gr.HTML(f'<a class="quiet gif" data-gif="vae.paths" href="#vae-paths">{both("vae.gif")}</a>', apply_default_css=False)
        ends = [gr.Textbox("", visible=False), gr.Textbox("", visible=False)]         # the kept codes; "" a draw of the seed
        walk = live.View("vae.paths", alt=both("vae.paths.alt"), tiles=2 * WALK, elem_classes="strip walk")
        gr.HTML(_walk_numbers())
    with gr.Row(elem_classes="section", elem_id="vae-own"):
        with gr.Column(scale=3, min_width=280):
            gr.HTML(parts.heading("vae.own", "vae.own.try"))
            gr.HTML(f'<p class="caption">{both("vae.example")}</p><p class="caption if"><b data-live="vae.examples:made" hidden></b>{both("vae.example.made")}</p>')
            examples = live.View("vae.examples", alt=both("vae.example.alt"), tiles=EXAMPLES, elem_classes="strip ten",
                                 picks=[both("vae.example.pick", i=i, n=EXAMPLES - 1) for i in range(EXAMPLES)])
            upload = gr.UploadButton(t("vae.upload"), file_types=["image"], size="sm", elem_id="vae-upload")
            uploaded = gr.Textbox(f"e{EXAMPLE}", visible=False)          # the picture as text, or "e3" for example 3; "": the pad's drawing counts
        with gr.Column(scale=2, min_width=220):
            pad = parts.Pad(alt=both("vae.pad"), elem_id="vae-pad")
        with gr.Column(scale=4, min_width=280):
            encoded = live.View("vae.encode", alt=both("vae.encoded"), tiles=3,
                                captions=(both("vae.seen"), both("vae.restored"), both("vae.difference")))
            gr.HTML(parts.numbers(("vae.encode:log_likelihood", "vae.log_likelihood"), ("vae.encode:kl", "vae.kl"),
                             ("vae.encode:elbo", "vae.elbo")))
    shared = views.Shared(checkpoint, seed, sliders, [pad, uploaded])
    pieces = [view.build(shared) for view in VIEWS]
    with gr.Column(elem_classes="section formulas"):
        _formulas()
    panel = training.Panel("vae", config, checkpoint)

    decoded.follow(checkpoint=checkpoint, z=sliders)
    strips.follow(checkpoint=checkpoint, z=sliders)
    more.follow(checkpoint=checkpoint, z=sliders)
    strip.follow(checkpoint=checkpoint, seed=seed, temperature=temperature)
    walk.follow(checkpoint=checkpoint, seed=seed, a=ends[0], b=ends[1])
    encoded.follow(checkpoint=checkpoint, x=[pad, uploaded])
    examples.follow(checkpoint=checkpoint)
    live.register("vae.decode", decode_frame)
    live.register("vae.strips", partial(strips_frame, range(FIRST)))
    live.register("vae.more", partial(strips_frame, range(FIRST, SLIDERS)))
    live.register("vae.prior", prior_frame)
    live.register("vae.paths", paths_frame)
    live.register("vae.encode", encode_frame)
    live.register("vae.examples", examples_frame)

    quick = dict(show_progress="hidden", trigger_mode="always_last", api_visibility="private")      # queued: else no error shows
    prior.click(guarded(_another), [checkpoint, seed, temperature], [seed, *sliders], **quick)
    seed.input(guarded(_draw), [checkpoint, seed, temperature], sliders, **quick)
    strip.pick(guarded(_draw_picked), [checkpoint, seed, temperature, strip], sliders, **quick)
    zero.click(None, None, sliders, js=f"() => Array({SLIDERS}).fill(0)", queue=False, api_visibility="private")
    for keep, end in zip((keep_a, keep_b), ends):
        keep.click(None, sliders, end, js='(...z) => z.join(",").replace(/(,0)+$/, "")', queue=False, api_visibility="private")
    pad.change(None, None, uploaded, js=f"() => [{DRAWING} ? '' : undefined]", **SCRIPT)
    pad.release(guarded(_jump), [checkpoint, pad], sliders, **quick)
    upload.upload(guarded(_uploaded), [checkpoint, upload], [uploaded, *sliders], **quick)
    examples.pick(guarded(_example), [checkpoint, examples], [uploaded, pad, *sliders], **quick)
    chosen = guarded(_chosen), [checkpoint, pad, uploaded], [bars, uploaded, *sliders]
    checkpoint.input(*chosen, **quick)
    panel.board.use(guarded(panel.use), None, checkpoint, **quick).success(*chosen, **quick)

    further = [field for piece in pieces for field in piece.fields]
    state = State(tab, [
        Field("model", [checkpoint], lambda text: [parts.checkpoint_named("vae", text)]),
        Field("seed", [seed], lambda text: [inputs.seed(inputs.parsed(text))], default="0"),
        Field("z", sliders, lambda text: inputs.numbers_in("z", text, SLIDERS, -Z_MAX, Z_MAX, pad=True, check=inputs.within)),
        Field("x", [pad], restore_drawing, default=None),
        Field("own", [uploaded], lambda text: [restored(text)], default=""),
        Field("temperature", [temperature], lambda text: [inputs.within("temperature", inputs.parsed(text), 0, TEMPERATURE_MAX)], default="1"),
        *(Field(name, [end], _restore_code, default="") for name, end in zip("ab", ends)),
        *further,
        *panel.fields,
    ], views=[decoded, strips, more, strip, walk, encoded, examples, *(view for piece in pieces for view in piece.views)])

    def opening(restored: Mapping[str, list[Any]]) -> list[Any]:
        rest = [value for field in further for value in restored.get(field.name, [gr.skip()] * len(field.components))]
        return [*_opening(restored), *rest, *panel.opening(restored)]

    state.wire(opening, [checkpoint, seed, bars, pad, uploaded, temperature, *ends, *sliders, *(component for field in further for component in field.components),
                         *panel.outputs])

    gr.api(guarded(vae_decode), api_name="vae_decode")
    gr.api(guarded(vae_encode), api_name="vae_encode")
    gr.api(guarded(vae_prior), api_name="vae_prior")


VIEWS = (sheet, stepper, palette, beta)  # modules of views/, in the order of the page


def checkpoint_names() -> list[str]:
    return parts.checkpoint_names("vae", first=config.FIRST, aside=config.ASIDE)


# What the live views draw. Each runs on the inference executor; the query is hostile.


def decode_frame(query: Mapping[str, str]) -> live.Frame:
    """The decoded picture of the sliders' code, with log p(z) and the norm of z."""
    return _decoded(query.get("checkpoint"), inputs.numbers_in("z", query.get("z"), SLIDERS, -Z_MAX, Z_MAX, pad=True))


def strips_frame(sliders: Sequence[int], query: Mapping[str, str]) -> live.Frame:
    """Under each slider what FORESIGHT values of it would give, the others where they are now: one tile per slider."""
    sample = _sample()
    checkpoint = sample.load(query.get("checkpoint"))
    code = _code_of(checkpoint, inputs.numbers_in("z", query.get("z"), SLIDERS, -Z_MAX, Z_MAX, pad=True))
    pictures = sample.foresight(checkpoint, code, sliders, FORESIGHT)
    return live.Frame(images.strip(pictures.flatten(0, 1)), {"z": code.tolist()})


def prior_frame(query: Mapping[str, str]) -> live.Frame:
    """STRIP pictures decoded from draws of the prior."""
    sample = _sample()
    checkpoint = sample.load(query.get("checkpoint"))
    z = _warmth(inputs.parsed(query.get("temperature", "1"))) * sample.draw(checkpoint, STRIP, inputs.seed(inputs.parsed(query.get("seed"))))
    return live.Frame(images.strip(sample.decode(checkpoint, z.clamp(-Z_MAX, Z_MAX))))


def paths_frame(query: Mapping[str, str]) -> live.Frame:
    """WALK decodes along the straight line from code a to code b, and WALK along the great circle, with ‖z‖ and log p(z) on both.

    An end that is not kept is a draw of the seed.
    """
    import torch

    from . import maths

    sample = _sample()
    checkpoint = sample.load(query.get("checkpoint"))
    draws = sample.draw(checkpoint, 2, inputs.seed(inputs.parsed(query.get("seed")))).clamp(-Z_MAX, Z_MAX)
    a, b = (_code_of(checkpoint, inputs.numbers_in(name, query[name], SLIDERS, -Z_MAX, Z_MAX, pad=True)) if query.get(name) else draw
            for name, draw in zip("ab", draws))
    codes = sample.paths(a, b, WALK)                          # (2, WALK, D)
    pictures = sample.decode(checkpoint, codes.flatten(0, 1))
    film = [images.strip(torch.stack([straight, round_])) for straight, round_ in zip(pictures[:WALK], pictures[WALK:])]
    norms, log_priors = codes.norm(dim=-1), maths.log_standard_normal(codes)
    return live.Frame(images.strip(pictures), {
        **{f"{name}_{path}": row.tolist() for name, rows in {"norm": norms, "log_prior": log_priors}.items()
           for path, row in zip(("straight", "round"), rows)},
        "least_straight": norms[0].min().item(), "least_round": norms[1].min().item(), "typical": len(a) ** 0.5,
    }, film)


def encode_frame(query: Mapping[str, str]) -> live.Frame:
    """The drawing as the encoder sees it beside its reconstruction, with its code and the terms of the bound."""
    return _encoded_frame(query.get("checkpoint"), query.get("x"))


def examples_frame(query: Mapping[str, str]) -> live.Frame:
    """The pictures to pick from, and how many of them the model makes of held-out ones: all or, where they are drawn digits, none."""
    checkpoint = views.model(query)
    return live.Frame(images.strip(views.examples.pictures(checkpoint)), {"made": EXAMPLES if views.examples.kept(checkpoint) else ""})


# The same for programs: named endpoints of the API.


def vae_decode(checkpoint: str, z: list[float]) -> dict:
    """Decode a code. z: up to 32 numbers, clamped to +-3, in order of the KL of their dimensions; the rest are 0.

    Returns {"picture": a PNG as a data URI, "log_prior": nats, "norm": of z, "z": as used}.
    """
    if isinstance(z, (list, tuple)):
        z = [*z, *[0.0] * (SLIDERS - len(z))]
    frame = executor.run(_decoded, checkpoint, inputs.vector("z", z, SLIDERS, -Z_MAX, Z_MAX))
    return {"picture": live.data_uri(frame.picture), **frame.numbers}


def vae_encode(checkpoint: str, drawing: str) -> dict:
    """Encode a drawing: 56x56 pixels of one bit, row by row, as URL-safe base64 (523 characters).

    Returns {"picture": x and its reconstruction side by side as a data URI, "mu", "sigma", "log_likelihood", "kl",
    "elbo", "bound", ...}, in nats.
    """
    frame = executor.run(_encoded_frame, checkpoint, drawing)
    return {"picture": live.data_uri(frame.picture), **frame.numbers}


def vae_prior(checkpoint: str, seed: int, index: int) -> list[float]:
    """The code of draw `index` (0..15) of a seed, in order of the KL of its dimensions, clamped to +-3."""
    return executor.run(_code, checkpoint, seed, index)


# What the buttons do.


def _opening(restored: Mapping[str, list[Any]]) -> list[Any]:
    """Values of model, seed, bars, pad, uploaded picture, temperature, ends and sliders when the tab opens: those of the URL, else a drawn digit and its code."""
    [name] = restored.get("model", checkpoint_names()[:1])
    [seed] = restored.get("seed", [0])
    [drawing] = restored.get("x", [None])
    bars, *updates = _describe(name)
    [own] = restored.get("own", [FIRST_EXAMPLE if drawing is None and _keeps_examples(name) else ""])
    if drawing is None:
        drawing = images.digit(EXAMPLE)
    z = restored.get("z") or (_jump(name, joined(drawing, own)) if drawing or own else _draw(name, seed, *restored.get("temperature", [1])))
    return [gr.update(choices=[*dict.fromkeys([*checkpoint_names(), name])], value=name), seed, bars, drawing, own, *(restored.get(name, [gr.skip()])[0] for name in ("temperature", "a", "b")), *({**update, "value": value} for update, value in zip(updates, z))]


def _restore_code(text: str) -> list[str]:
    """A kept code, as it stands in the URL."""
    inputs.numbers_in("z", text, SLIDERS, -Z_MAX, Z_MAX, pad=True, check=inputs.within)
    return [text]


def _describe(name: str) -> list[Any]:
    """KL per dimension in slider order, and one slider per latent dimension."""
    def describe() -> list[float]:
        checkpoint = _sample().load(name)
        return checkpoint.derived["kl"][_sample().order(checkpoint)].tolist()

    kl = executor.run(describe)
    return [kl, *(gr.update(visible=i < len(kl)) for i in range(SLIDERS))]


def _chosen(name: Any, drawn: Any, uploaded: Any) -> list[Any]:
    """What another model changes: its bars and sliders; and a model of anything but digits begins with a picture of its own kind."""
    bars, *updates = _describe(name)
    shown = uploaded if isinstance(uploaded, str) and executor.run(lambda: views.examples.holds(_sample().load(name), uploaded)) else ""
    shown = shown or (FIRST_EXAMPLE if _keeps_examples(name) else "")
    if shown == uploaded or not (shown or drawn):             # the same picture: the sliders stay
        return [bars, shown, *updates]
    return [bars, shown, *({**update, "value": value} for update, value in zip(updates, _jump(name, joined(drawn, shown))))]


def _keeps_examples(name: Any) -> bool:
    return executor.run(lambda: views.examples.kept(_sample().load(name)))


def _another(name: str, seed: Any, temperature: Any) -> list[Any]:
    """The next seed, and its first draw from the prior."""
    following = (inputs.seed(seed) + 1) % (inputs.SEED_MAX + 1)
    return [following, *_draw(name, following, temperature)]


def _draw(name: str, seed: Any, temperature: Any = 1) -> list[float]:
    return _on_sliders(executor.run(_code, name, seed, 0, temperature))


def _draw_picked(name: str, seed: Any, temperature: Any, index: Any) -> list[float]:
    return _on_sliders(executor.run(_code, name, seed, index, temperature))


def _jump(name: str, drawing: Any) -> list[float] | list[dict]:
    """The mean of the drawing's code on the sliders; an emptied pad leaves them where they are."""
    if drawing == "":
        return [gr.skip()] * SLIDERS
    return _on_sliders(executor.run(_encoded, name, drawing).mu.tolist())


def _example(name: Any, index: Any) -> list[Any]:
    """A picture to pick from, shown instead of the pad's, which a digit is drawn on."""
    i = inputs.integer("index", index, 0, EXAMPLES - 1)
    if _keeps_examples(name):
        return [f"e{i}", gr.skip(), *_jump(name, joined("", f"e{i}"))]
    return ["", images.digit(i), *_jump(name, images.digit(i))]


def _uploaded(name: Any, path: Any) -> list[Any]:
    """A visitor's picture as text, cut to the model's size, and the mean of its code on the sliders; the file is not kept."""
    if not isinstance(path, str):
        return [gr.skip()] * (1 + SLIDERS)

    from ..core import pictures

    with pictures.taken(path):
        shape = executor.run(lambda: _sample().load(name).model.config)
        text = pictures.packed(path, shape.channels, shape.size)         # not on the executor: a large photograph takes its time
    return [text, *_jump(name, joined("", text))]


def warm_up() -> None:
    """Make the first picture fast: import torch, load the first checkpoint, decode once."""
    for name in checkpoint_names()[:1]:
        _decoded(name, [0.0] * SLIDERS)


# What they all stand on, for the inference executor.


def _sample():
    """The sampling module, imported when it is first needed: it brings torch, and the page must not wait for that."""
    from . import sample

    return sample


def _decoded(name: Any, z: list[float]) -> live.Frame:
    import torch

    from . import maths

    sample = _sample()
    checkpoint = sample.load(name)
    code = _code_of(checkpoint, z)
    return live.Frame(images.to_uint8(sample.decode(checkpoint, code[None])[0]), {
        "z": code.tolist(), "log_prior": maths.log_standard_normal(code).item(), "norm": code.norm().item(),
        "latent": len(code), "typical": len(code) ** 0.5,
        "log_normaliser": maths.log_standard_normal(torch.zeros_like(code)).item(), "half_square": 0.5 * code.square().sum().item(),
    })


def _code_of(checkpoint: Any, z: list[float]) -> Any:
    """The sliders' values as a code of the model's length."""
    import torch

    code = torch.zeros(checkpoint.model.config.latent)
    code[:len(z)] = torch.tensor(z[:len(code)])
    return code


def _encoded(name: Any, drawing: Any):
    sample = _sample()
    checkpoint = sample.load(name)
    return sample.encode(checkpoint, views.examples.read(checkpoint, drawing))


def _encoded_frame(name: Any, drawing: Any) -> live.Frame:
    encoded = _encoded(name, drawing)
    pictures = [images.to_rgb(encoded.x), images.to_rgb(encoded.x_hat), images.signed(encoded.x_hat - encoded.x)]
    return live.Frame(np.concatenate(pictures, axis=1), _terms(encoded))


def _code(name: Any, seed: Any, index: Any, temperature: Any = 1) -> list[float]:
    sample = _sample()
    index = inputs.integer("index", index, 0, STRIP - 1)
    z = _warmth(temperature) * sample.draw(sample.load(name), 1, inputs.seed(seed), start=index)[0]
    return z.clamp(-Z_MAX, Z_MAX).tolist()


def _warmth(temperature: Any) -> float:
    return inputs.number("temperature", temperature, 0, TEMPERATURE_MAX)


def _terms(encoded) -> dict[str, Any]:
    return {
        "bounds": encoded.bounds, "mu": encoded.mu.tolist(), "sigma": encoded.sigma.tolist(),
        "log_likelihood": encoded.log_likelihood, "log_likelihood_error": encoded.log_likelihood_error,
        "kl": encoded.kl, "elbo": encoded.elbo, "bound": encoded.bound, "gap": encoded.bound - encoded.elbo,
        "mu_squared": encoded.mu.square().sum().item(), "sigma_squared": encoded.sigma.square().sum().item(),
        "log_sigma_squared": 2 * encoded.sigma.log().sum().item(), "latent": len(encoded.mu), "samples": encoded.samples,
    }


def _on_sliders(code: list[float]) -> list[float]:
    """A code of any length as SLIDERS values a slider can hold."""
    return [round(min(max(value, -Z_MAX), Z_MAX), 2) for value in [*code, *[0.0] * SLIDERS][:SLIDERS]]


# How it looks.


def _sliders(indices: range, strips: str) -> list[parts.Slider]:
    """One slider per index, with its tile of the view `strips` below it."""
    values = ",".join(f"{value:g}" for value in FORESIGHT)
    with gr.Group(elem_classes="sliders"):
        sliders = [parts.Slider(-Z_MAX, Z_MAX, 0, step=STEP, label=f"z{i + 1}", elem_id=f"vae-z{i + 1}", buttons=["reset"]) for i in indices]
    gr.HTML("".join(f'<canvas class="foresight" width="196" height="28" data-mirror="{strips}:{tile}" data-slider="vae-z{i + 1}" data-values="{values}" '
                    f'aria-hidden="true"></canvas>' for tile, i in enumerate(indices)),
            js_on_load="window.playground.live.under(element)", apply_default_css=False)
    return sliders


def _walk_numbers() -> str:
    """The two norms along the paths as one drawing, and the smallest of each."""
    lines = "".join(f'<canvas class="norms" data-curve="vae.paths:norm_{path}" data-first="A" data-last="B" role="img" '
                    f'aria-labelledby="vae-norm-{path}"></canvas>' for path in ("straight", "round"))
    names = "".join(f'<span class="caption" id="vae-norm-{path}">{both(f"vae.paths.{path}")}</span>' for path in ("straight", "round"))
    return (f'<div class="two">{lines}{names}</div>' + parts.numbers(
        ("vae.paths:least_straight", "vae.paths.least.straight"), ("vae.paths:least_round", "vae.paths.least.round"),
        ("vae.paths:typical", "vae.paths.typical")))


def _figure() -> str:
    """The chapter's structure figure; each edge carries what is on it now, each box leads to its view."""
    def edge(canvas: str, key: str) -> str:
        return f'<div class="edge"><canvas {canvas}></canvas><span>{both(key)}</span></div>'

    def box(href: str, key: str, formula: str, colour: str) -> str:
        return f'<a class="box {colour}" href="#{href}"><b>{both(key)}</b><span class="tex">{formula}</span></a>'

    return (f'<div class="figure" role="group" aria-labelledby="vae-figure-alt">'
            f'<span class="visually-hidden" id="vae-figure-alt">{both("vae.figure")}</span>'
            + edge('data-mirror="vae.encode:0" width="28" height="28" class="tile"', "vae.x")
            + box("vae-own", "vae.encoder", "q<sub>φ</sub>(z | x)", "model")
            + edge('data-bars="vae.encode:mu±sigma" data-range="3" class="plot"', "vae.code")
            + f'<div class="edge op"><span class="tex">z = μ + σ ⊙ ε</span><span>‖ε‖ = {_eps("norm")}</span></div>'
            + edge('data-bars="vae.decode:z" data-range="3" class="plot"', "vae.z")
            + box("vae-sliders", "vae.decoder", "p<sub>θ</sub>(x | z)", "model")
            + edge('data-mirror="vae.decode:0" width="28" height="28" class="tile"', "vae.x_hat")
            + "</div>")


def _eps(name: str) -> str:
    """A number of the eps that leads from the digit's code to the sliders' z, filled in by EPS."""
    return f'<b data-eps="{name}">–</b>'


def _formulas() -> None:
    gr.HTML(f'<h2>{both("vae.formulas")}</h2>')
    for key, latex, numbers in FORMULAS:
        parts.formula(key, latex, numbers, _tightening() if key == "vae.f.gap" else "")
    with gr.Accordion(t("vae.notes"), open=False):
        gr.Markdown(t("vae.notes.text"))


def _tightening() -> str:
    return ('<canvas class="tightening" data-curve="vae.encode:bounds" data-first="K = 1" data-last="K = 256" role="img" '
            f'aria-labelledby="vae-tightening"></canvas><p class="caption" id="vae-tightening">{both("vae.tightening")}</p>')


# The eps = (z - mu) / sigma that leads from the drawing's code to the sliders' z, from the numbers of the two views.
EPS = """
const names = ["vae.decode", "vae.encode"];
const show = () => {
  const [{ z } = {}, { mu, sigma } = {}] = names.map((name) => playground.live.view(name).numbers ?? {});
  if (!z || !mu || z.length !== mu.length) return;
  const eps = z.map((value, i) => (value - mu[i]) / sigma[i]);
  const values = { norm: Math.hypot(...eps), z: z[0], mu: mu[0], sigma: sigma[0], eps: eps[0] };
  playground.live.write("eps", "", values);
};
for (const name of names) document.addEventListener(`live:${name}`, show);
"""

FORMULAS = [                 # (what it says, the formula, the formula with the numbers of this moment)
    ("vae.f.sample", r"z=\mu+\sigma\odot\epsilon,\qquad \epsilon\sim\mathcal N(0,I)",
     f"z<sub>1</sub> = μ<sub>1</sub> + σ<sub>1</sub> ε<sub>1</sub>: {_eps('z')} = {_eps('mu')} + {_eps('sigma')} · ({_eps('eps')})"),
    ("vae.f.bound", r"\begin{aligned}L_b&=\mathbb E_{q_\phi(z\mid x)}\log p_\theta(x\mid z)-D_{KL}(q_\phi(z\mid x)\,\Vert\,p(z))\\"
                    r"&\le\log p_\theta(x)\end{aligned}",
     f"{parts.now('vae.encode:elbo')} = {parts.now('vae.encode:log_likelihood')} − {parts.now('vae.encode:kl')}"
     f" (± {parts.now('vae.encode:log_likelihood_error')})"),
    ("vae.f.kl", r"D_{KL}=\tfrac12\sum_j\left(\mu_j^2+\sigma_j^2-1-\log\sigma_j^2\right)",
     f"½ ({parts.now('vae.encode:mu_squared')} + {parts.now('vae.encode:sigma_squared')} − {parts.now('vae.encode:latent')}"
     f" − ({parts.now('vae.encode:log_sigma_squared')})) = {parts.now('vae.encode:kl')}"),
    ("vae.f.gap", r"\log p_\theta(x)\ \ge\ L_K=\mathbb E\log\frac1K\sum_{k=1}^K\frac{p_\theta(x\mid z_k)\,p(z_k)}{q_\phi(z_k\mid x)}\ \ge\ L_b",
     f"L<sub>K</sub> = {parts.now('vae.encode:bound')}, L<sub>K</sub> − L<sub>b</sub> = {parts.now('vae.encode:gap')},"
     f" K = {parts.now('vae.encode:samples')}"),
    ("vae.f.prior", r"\log p(z)=-\tfrac D2\log2\pi-\tfrac12\lVert z\rVert^2",
     f"{parts.now('vae.decode:log_normaliser')} − {parts.now('vae.decode:half_square')} = {parts.now('vae.decode:log_prior')},"
     f" D = {parts.now('vae.decode:latent')}"),
]
