"""Positional encoding: a picture fitted here and now with L frequencies, its spectrum, and a radiance field without and with them (Tancik et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import checkpoints, images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError, register
from ...ui import live, parts, plane
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from .. import config
from . import Piece, Shared, camera

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

L_MAX = 10                   # the last of toy.LS: the page is built without torch
START = 4                    # where L stands when the tab opens: about the best of this picture
TILES = ("target", "fitted", "residual", "target-spectrum", "spectrum", "alike")
SLICE = 0.12                 # seconds of training in a frame
QUICK = 0.02                 # and in one of an L that is being dragged
SINGLES = 10                 # single updates in a frame, however fast one clicks
AMPLIFIED = 2                # times: the residual
PSNR_LOW, PSNR_HIGH = 10.0, 35.0         # dB, of the curve's axis
SIDE = 64                    # pixels a side of the fields' pictures: a network takes its time
EVERY = 250                  # ms between two of them while the camera moves

register({
    "nerf.encoding.missing": (
        "The two fields of this strip ({names}) are not here; their cards name the commands that train them.",
        "此处没有该对比所用的两个场（{names}）；它们的说明卡中有训练命令。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-encoding"):
        gr.HTML(parts.heading("nerf.encoding", "nerf.encoding.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                view = live.View("nerf.encoding", alt=both("nerf.encoding.alt"), tiles=len(TILES), lazy=True, elem_classes="strip still thirds",
                                 captions=[both(f"nerf.encoding.{tile}") for tile in TILES])
            with gr.Column(scale=4, min_width=280):
                L = parts.Slider(0, L_MAX, START, step=1, label=t("nerf.encoding.L"), elem_id="nerf-L")
                trainer = plane.Trainer("nerf.encoding", elem_id="nerf-encoding-trainer")
                gr.HTML(f'<p class="caption">{both("nerf.encoding.turns")}</p>')
                gr.HTML(parts.numbers(("nerf.encoding:seen", "nerf.encoding.seen"), ("nerf.encoding:unseen", "nerf.encoding.unseen"), ("nerf.encoding:updates", "nerf.encoding.updates")))
                gr.HTML(parts.lines("nerf.encoding", {"seen_curve": ("--model", "nerf.encoding.seen_curve"), "unseen_curve": ("--code", "nerf.encoding.unseen_curve")},
                                    x="Ls", at="L", low=PSNR_LOW, high=PSNR_HIGH, dots=True, first="L = 0", last=f"L = {L_MAX}", alt="nerf.encoding.curve"))
                gr.HTML(parts.lines("nerf.encoding", {"target_rings": ("--data", "nerf.encoding.target_rings"), "rings": ("--model", "nerf.encoding.rings")},
                                    x="cycles", at="highest", alt="nerf.encoding.spectra"))
                gr.HTML(f'<p class="caption">{both("nerf.encoding.axis")}</p>')
        gr.HTML(f"<h3>{both('nerf.encoding.fields')}</h3><p class='caption'>{both('nerf.encoding.fields.try')}</p>")
        fields = live.View("nerf.encoding.fields", alt=both("nerf.encoding.fields"), tiles=3, lazy=True, every=EVERY, elem_classes="strip still thirds",
                           captions=[both("nerf.encoding.without"), both("nerf.encoding.with"), both("nerf.encoding.exact")])
        with gr.Column(elem_classes="formulas"):
            parts.formula("nerf.encoding.gamma", r"\gamma(p)=\big(\sin 2^0\pi p,\ \cos 2^0\pi p,\ \dots,\ \sin 2^{L-1}\pi p,\ \cos 2^{L-1}\pi p\big)",
                          f"L = {_now('L')}: (x, y) → {_now('width')}, &nbsp; x = {_now('x')}: γ(x) = ({_now('gamma')})")
            parts.formula("nerf.encoding.kernel", r"\frac{\gamma(p)\cdot\gamma(q)}{L}=\frac1L\sum_{l=0}^{L-1}\cos\big(2^l\pi(p-q)\big)",
                          f'{both("nerf.encoding.reach")} {_now("reach")}')
    view.follow(L=L, play=trainer)
    fields.follow(camera=shared.camera)
    live.register("nerf.encoding", encoding_frame)
    live.register("nerf.encoding.fields", fields_frame)
    gr.api(guarded(nerf_encoding), api_name="nerf_encoding")
    return Piece([Field("L", [L], lambda text: [_L(inputs.parsed(text))], default=str(START))], [view, fields])


def _now(key: str) -> str:
    return parts.now(f"nerf.encoding:{key}")


def _L(value: object) -> int:
    return inputs.integer("L", value, 0, L_MAX)


# ---- the picture -----------------------------------------------------------------------------------------------


def encoding_frame(query: Mapping[str, str]) -> live.Frame:
    """Train the page's fits for a moment if they play; then that at L beside the target, and both by frequency.

    Before its first click a page shows everyone's fits, which the first who look at them make. "step" counts the updates of all
    fits together, for the buttons; "updates" those of this one.
    """
    from .. import toy as toys

    L, drive = _L(inputs.parsed(query.get("L"))), plane.drive(query.get("play"))
    lab = toys.lab(drive.owner, drive.again)
    playing = drive.playing or not drive.owner
    for _ in range(min(SINGLES, drive.until - lab.step)):
        lab.advance(L, 0)
    if playing:
        lab.advance(L, SLICE if L == lab.at else QUICK)
    lab.at = L
    shown = _shown(lab, L)
    return live.Frame(shown.picture, {**shown.numbers, "more": playing and not lab.done, "step": lab.step, "done": bool(drive.owner) and lab.done})


def _shown(lab: Any, L: int) -> live.Frame:
    """A lab's fit at L as tiles (TILES), and all that is known of it."""
    from .. import maths, toy as toys

    fit, target = lab.fit(L), toys.target()
    alike = toys.alike(L)
    tiles = [images.to_rgb(target), images.to_rgb(fit.picture()), images.signed((AMPLIFIED * (fit.picture() - target)).clamp(-1, 1)),
             _grey(toys.spectrum(target)), _grey(toys.spectrum(fit.picture())), images.signed((alike if alike is not None else target[0] * 0)[None])]
    x = toys.places()[_pointed(toys.SIZE)]
    gamma = [f"{value:.2f}" for value in maths.encoding(x[:1], L).view(2, L).T.flatten().tolist()]           # sine and cosine in turn
    return live.Frame(np.concatenate(tiles, axis=1), {
        "L": L, "updates": fit.step, "seen": fit.psnr(True), "unseen": fit.psnr(False),
        "Ls": list(toys.LS), "seen_curve": lab.curve(True), "unseen_curve": lab.curve(False),
        "cycles": list(range(1, toys.SIZE // 2 + 1)), "target_rings": _whole(toys.rings(target)), "rings": _whole(toys.rings(fit.picture())),
        "highest": 2 ** (L - 1) if L and 2 ** (L - 1) <= toys.SIZE // 2 else None,        # cycles a side; beyond, the pixels tell it from a lower one no more
        "width": 2 + 4 * L, "x": x[0].item(), "gamma": ", ".join(gamma if L <= 3 else [*gamma[:3], "…", *gamma[-2:]]) or "–", "reach": toys.reach(L),
    })


def _pointed(size: int) -> int:
    """The pixel whose encoding is spelt out: a quarter of the way from the left."""
    return size // 2 * size + size // 4


def _grey(decibels: Tensor) -> np.ndarray:
    """A spectrum (H, W) from toy.FLOOR to 0 dB as uint8 (H, W, 3)."""
    from .. import toy as toys

    return images.to_rgb(1 - decibels[None] / toys.FLOOR)


def _whole(decibels: list[float]) -> list[float]:
    """To a tenth: a frame's numbers travel in a header."""
    return [round(value, 1) for value in decibels]


# ---- radiance fields -------------------------------------------------------------------------------------------


def networks() -> list[Checkpoint]:
    """The field that is told where it is alone, and the one that is told gamma of it."""
    from .. import sample

    if not set(config.ENCODED.values()) <= {entry.name for entry in checkpoints.entries()}:
        raise PlaygroundError("nerf.encoding.missing", names=", ".join(config.ENCODED.values()))
    return [sample.load(name) for name in config.ENCODED.values()]


def fields_frame(query: Mapping[str, str]) -> live.Frame:
    """The built-in scene from the query's camera: by both networks, and as it is."""
    from ...core import solids
    from .. import sample

    seen = camera(query)
    pictures = [sample.render(each, seen.pose, seen.field_of_view, SIDE, SIDE).rgb for each in networks()]
    pictures.append(solids.render(seen.pose, seen.field_of_view, SIDE).rgb)
    without, encoded = (each.config["metrics"].get("psnr") for each in networks())
    return live.Frame(np.concatenate([images.to_rgb(each.permute(2, 0, 1)) for each in pictures], axis=1), {"without": without, "with": encoded})


# ---- for programs ----------------------------------------------------------------------------------------------


def nerf_encoding(L: int) -> dict:
    """Fit a small network to every second pixel of a picture, of which it is told the place with L frequencies (0 to 10), to its end.

    Returns {"picture": target, fit, residual, both spectra and the encoding's kernel side by side as a data URI, "seen", "unseen": PSNR in dB
    of the pixels that were learnt and of the others, "rings", "target_rings": both spectra in dB by frequency, ...}.
    """
    L = _L(L)
    while not executor.run(_advanced, L):                     # a slice at a time: others are drawn in between
        pass
    frame = executor.run(lambda: _shown(_everyone(), L))
    return {"picture": live.data_uri(frame.picture), **frame.numbers}


def _everyone() -> Any:
    from .. import toy as toys

    return toys.lab("", 0)


def _advanced(L: int) -> bool:
    """Train everyone's fit at L for a moment; whether it is done."""
    fit = _everyone().fit(L)
    fit.advance(SLICE)
    return fit.done
