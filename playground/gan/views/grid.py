"""The grid of seeds: each picture with its own seed and the discriminator's answer; one of them large beside a real picture; truncation.

    +-- z -> G -> G(z), x -> D -> its answers (the structure figure mirrors these) --+
    +-- sixty-four pictures ------------------+-- the chosen one, and a real one -----+
    +-- psi; variety and quality against psi -+---------------------------------------+
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError
from ...core.inputs import SEED_MAX
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from . import Piece, Reals, Shared, if_copies, judged, latent, model, real_pictures, seed, share

if TYPE_CHECKING:
    from ...core.checkpoints import Checkpoint

GRID = 64                    # pictures: eight rows of eight
PSI = (-1.0, 2.0)            # of the truncation: the opposite of each code, and twice as far out as it is
POINTS = 13                  # of the curves over psi
MEASURED = 32                # pictures at each of them
KEPT = 8                     # curves remembered
CARD = ("frechet", "training_images_frechet", "precision", "recall", "parzen", "parzen_training", "d_accuracy", "nearest_training_rms",
        "test_images_nearest_training_rms")                   # rows that a model's card has nothing for are not shown


def build(shared: Shared) -> Piece:
    with gr.Row(elem_classes="section", elem_id="gan-grid"):
        with gr.Column(scale=6, min_width=280):
            gr.HTML(parts.heading("gan.grid", "gan.grid.try"))
            grid = live.View("gan.grid", alt=both("gan.grid.alt"), tiles=GRID, elem_classes="strip eight",
                             captions=[f'{parts.now(f"gan.grid:seed{i}")}<br>{parts.now(f"gan.grid:d{i}")}' for i in range(GRID)],
                             picks=[both("gan.grid.pick", i=i + 1, n=GRID) for i in range(GRID)])
            gr.HTML(f'<p class="caption">{both("gan.grid.captions")}</p>')
        with gr.Column(scale=4, min_width=280):
            pair = live.View("gan.pair", alt=both("gan.pair.alt"), tiles=2, captions=(
                f'{both("gan.pair.fake")} {parts.now("gan.pair:seed")}: D(G(z)) = {parts.now("gan.pair:fake")}', f'{both("gan.pair.real")}: D(x) = {parts.now("gan.pair:real")}'))
            gr.HTML(f'<p class="caption">{if_copies("gan.pair")}</p>')
            with gr.Row(elem_classes="keep"):
                load = gr.Button(t("gan.pair.load"), size="sm", elem_id="gan-load")
                marks = [gr.Button(t(f"gan.pair.{end}"), size="sm", elem_id=f"gan-mark-{end}") for end in "ab"]
            psi = parts.Slider(*PSI, 1, step=0.05, label=t("gan.psi"), elem_id="gan-psi")
            gr.HTML(parts.numbers(("gan.truncation:variety", "gan.variety"), ("gan.truncation:sure", "gan.sure"), ("gan.truncation:taken", "gan.taken")))
            gr.HTML(parts.lines("gan.truncation", {"varieties": ("--model", "gan.variety.curve"), "sures": ("--data", "gan.sure.curve")}, x="psis", at="psi",
                                low=0, high=1, first="ψ = −1", last="ψ = 2", alt="gan.psi.alt"))
            truncation = live.View("gan.truncation", alt=both("gan.psi.alt"), elsewhere=True, lazy=True)
            with gr.Accordion(t("gan.card"), open=False):
                gr.HTML(_card() + f'<p class="caption">{both("gan.card.poor")}</p>')
                card = live.View("gan.card", alt=both("gan.card.alt"), elsewhere=True, lazy=True)
    with gr.Column(elem_classes="section formulas"):
        parts.formula("gan.f.game", r"\min_G\max_D V(D,G)=\mathbb E_{x\sim p_r}\log D(x)+\mathbb E_{z\sim p_z}\log\left(1-D(G(z))\right)",
                      f'{both("gan.f.game.here")} log {_pair("real")} + log(1 − {_pair("fake")}) = {_pair("log_real")} + ({_pair("log_fake")}) = {_pair("value")}')
        parts.formula("gan.f.truncation", r"z'=\psi\,z,\qquad z\sim\mathcal N(0,I)", f'ψ = {_pair("psi")}, &nbsp; ‖z′‖ = {_pair("norm")}, &nbsp; √D = {_pair("typical")}')
    grid.follow(checkpoint=shared.checkpoint, seed=shared.seed, psi=psi)
    pair.follow(checkpoint=shared.checkpoint, chosen=shared.chosen, psi=psi)
    truncation.follow(checkpoint=shared.checkpoint, seed=shared.seed, psi=psi)
    card.follow(checkpoint=shared.checkpoint)
    live.register("gan.grid", grid_frame)
    live.register("gan.pair", partial(pair_frame, real=shared.real))
    live.register("gan.truncation", truncation_frame)
    live.register("gan.card", card_frame)
    grid.pick(None, [shared.seed, grid], shared.chosen, js=f"(seed, tile) => (Number(seed) + tile) % {SEED_MAX + 1}", **SCRIPT)
    load.click(None, shared.chosen, shared.seed, js="(chosen) => chosen", **SCRIPT)
    for button, end in zip(marks, shared.ends):
        button.click(None, shared.chosen, end, js="(chosen) => String(chosen)", **SCRIPT)
    gr.api(guarded(gan_sample), api_name="gan_sample")
    return Piece([Field("psi", [psi], lambda text: [inputs.within("psi", inputs.parsed(text), *PSI)], default="1")], [grid, pair, truncation, card])


def _pair(key: str) -> str:
    return parts.now(f"gan.pair:{key}")


def _card() -> str:
    rows = "".join(f'<tr><th>{both(f"gan.card.{key}")}</th><td>{parts.now(f"gan.card:{key}")}</td></tr>' for key in CARD)
    return f'<table class="figures known">{rows}</table>'


# ---- what the live views draw ----------------------------------------------------------------------------------


def _psi(query: Mapping[str, str]) -> float:
    return inputs.within("psi", inputs.parsed(query.get("psi")), *PSI)


def grid_frame(query: Mapping[str, str]) -> live.Frame:
    """The pictures of GRID seeds from the first on, truncated, with D's answer to each."""
    return _grid(model(query), seed(query), _psi(query), GRID)


def _grid(checkpoint: Checkpoint, first: int, psi: float, n: int) -> live.Frame:
    from .. import maths, sample

    seeds = sample.following(first, n)
    pictures = sample.draw(checkpoint, maths.truncated(sample.latents(checkpoint, seeds), psi))
    said = sample.opinion(checkpoint, pictures).tolist()
    return live.Frame(images.strip(pictures), {"seed": first, "psi": psi, **{f"seed{i}": each for i, each in enumerate(seeds)},
                                               **{f"d{i}": f"{answer:.2f}".replace("-", "−") for i, answer in enumerate(said)}})


def pair_frame(query: Mapping[str, str], real: Reals = real_pictures) -> live.Frame:
    """The chosen seed's picture beside a held-out real one, and D's answer to both; the terms of V where that is a probability.
    Where there are no real ones it stands alone."""
    import torch

    from .. import maths, sample

    checkpoint, chosen, psi = model(query), seed(query, "chosen"), _psi(query)
    z = maths.truncated(latent(checkpoint, chosen), psi)
    [fake] = sample.draw(checkpoint, z[None])
    try:
        found = real(checkpoint)
    except PlaygroundError:
        found = None
    shown = [fake] if found is None else [fake, found.pictures[chosen % len(found.pictures)].float() / 255]
    logits = sample.score(checkpoint, torch.stack(shown))
    said = sample.opinion(checkpoint, torch.stack(shown)).tolist()
    numbers: dict[str, Any] = dict.fromkeys(("real", "log_real", "log_fake", "value"))
    if found:
        numbers["real"] = said[1]
        if sample.probable(checkpoint):
            log_real, log_fake = (each.item() for each in maths.value(logits[1:], logits[:1]))
            numbers |= {"log_real": log_real, "log_fake": log_fake, "value": log_real + log_fake}
    tiles = [images.to_uint8(each) for each in (shown if found else [fake, torch.zeros_like(fake)])]
    return live.Frame(images.beside(*tiles), {**numbers, "copies": "1" * bool(found and found.copies), "seed": chosen, "psi": psi, "fake": said[0], "z": z.tolist(), "norm": z.norm().item(), "typical": len(z) ** 0.5})


_curves: OrderedDict[tuple[Any, ...], tuple[list[float], list[float] | None]] = OrderedDict()     # touched on the inference executor alone


def truncation_frame(query: Mapping[str, str]) -> live.Frame:
    """Variety and quality of the grid's first pictures at psi, and over all psi."""
    import numpy as np

    checkpoint, first, psi = model(query), seed(query), _psi(query)
    psis = np.linspace(*PSI, POINTS).round(3).tolist()
    key = checkpoint.name, id(checkpoint.model), first
    if key not in _curves:
        found = [measured(checkpoint, first, each) for each in psis]
        _curves[key] = [each[0] for each in found], [each[1] for each in found] if judged(checkpoint) else None
        if len(_curves) > KEPT:
            _curves.popitem(last=False)
    _curves.move_to_end(key)
    varieties, sures = _curves[key]
    variety, sure, taken = measured(checkpoint, first, psi)
    return live.Frame(np.zeros((1, 1), np.uint8), {"psi": psi, "psis": psis, "varieties": varieties, "sures": sures, "variety": variety,
                                                   "sure": None if sure is None else share(sure), "taken": share(taken)})


def measured(checkpoint: Checkpoint, first: int, psi: float) -> tuple[float, float | None, float]:
    """The mean distance of two of MEASURED pictures, RMS per pixel; how sure our classifier of digits is of them on average, None where it cannot
    look at them; the share that D takes for real."""
    from ...core import classifier
    from .. import maths, sample

    pictures = sample.draw(checkpoint, maths.truncated(sample.latents(checkpoint, sample.following(first, MEASURED)), psi))
    sure = classifier.probabilities(pictures).amax(1).mean().item() if judged(checkpoint) else None
    return maths.pairwise(pictures).item(), sure, sample.taken_for_real(checkpoint, pictures).float().mean().item()


def card_frame(query: Mapping[str, str]) -> live.Frame:
    """What was measured of the model, from its card; nothing for what is measured of digits alone."""
    import numpy as np

    metrics = model(query).config["metrics"]
    return live.Frame(np.zeros((1, 1), np.uint8), {key: _with_error(metrics, key) for key in CARD})


def _with_error(metrics: Mapping[str, Any], key: str) -> str:
    value, error = metrics.get(key), metrics.get(f"{key}_stderr", metrics.get(f"{key}_std"))
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    return f"{value:g}" + (f" ± {error:g}" if isinstance(error, (int, float)) else "")


# The same for programs.


def gan_sample(checkpoint: str, seed: int, n: int, psi: float) -> dict:
    """The pictures of n seeds (1 to 64) from one on, as the page's grid and `python -m playground sample` draw them. psi: -1 to 2; 1 leaves them.

    Returns {"picture": all side by side, a PNG as a data URI, "seeds", "scores": D's answer to each, a probability where its loss makes it one}.
    """
    n, psi = inputs.integer("n", n, 1, GRID), inputs.within("psi", psi, *PSI)
    frame = executor.run(lambda: _grid(model({"checkpoint": checkpoint}), inputs.seed(seed), psi, n))
    return {"picture": live.data_uri(frame.picture), "seeds": [frame.numbers[f"seed{i}"] for i in range(n)],
            "scores": [float(frame.numbers[f"d{i}"].replace("−", "-")) for i in range(n)]}
