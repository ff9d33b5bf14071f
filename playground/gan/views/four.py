"""Same start, different losses: four games abreast, from the same first weights and noise, at one pace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np

from ...core import inputs
from ...core.recipe import SLICE as SERVER_SLICE
from ...ui import live, parts
from ...ui.i18n import both, t
from ...ui.plane import Layer
from ...ui.state import Field
from . import Piece, Shared, game, needed, share
from .moves import Moves, moves

LOSSES = ("minimax", "non-saturating", "least-squares", "wasserstein")           # toy.ABREAST: the page is built without torch
PACES = ("5:1", "1:1", "1:2", "1:5")         # toy.PACES
START = "1:1"
POINTS = 100                 # real points, and fakes of each
SLICE = SERVER_SLICE         # seconds of training in a frame, of all four together
FORMULAS = {
    "minimax": r"\mathbb E\log(1-D(G(z)))", "non-saturating": r"-\mathbb E\log D(G(z))",
    "least-squares": r"\tfrac12\mathbb E(D(G(z))-1)^2", "wasserstein": r"-\mathbb E\,D(G(z))",
}


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="gan-four"):
        gr.HTML(parts.heading("gan.four", "gan.four.try"))
        with gr.Row(elem_classes="decisions stacked"):
            buttons = Moves("gan.four", singles=False, elem_id="gan-four-moves")
            pace = parts.Radio([(t(f"gan.four.pace.{name.replace(':', '-')}"), name) for name in PACES], value=START, label=t("gan.four.pace"), elem_id="gan-pace")
        gr.HTML('<div class="abreast">' + "".join(_panel(i, loss) for i, loss in enumerate(LOSSES)) + "</div>",
                js_on_load=game.SURFACE_SCRIPT % "gan.four", apply_default_css=False)
        view = live.View("gan.four", alt=both("gan.four.alt"), tiles=len(LOSSES), elsewhere=True, lazy=True)
        with gr.Row(elem_classes="halves"):
            for kind in ("covered", "slope"):
                with gr.Column(min_width=280):
                    colours = dict(zip(LOSSES, ("--data", "--model", "--code", "--noise")))
                    gr.HTML(f'<p class="caption">{both(f"gan.four.curve.{kind}")}</p>' + parts.lines(
                        "gan.four", {f"{kind}s_{loss}": (colours[loss], f"gan.game.{loss}") for loss in LOSSES}, x="looked", low=0 if kind == "covered" else 1e-4,
                        high=8 if kind == "covered" else None, log=kind == "slope", alt=f"gan.four.curve.{kind}"))
        parts.formula("gan.four.f", r"\begin{aligned}" + r"\\".join(rf"L_G^{{\text{{{loss}}}}}&={latex}" for loss, latex in FORMULAS.items()) + r"\end{aligned}",
                      ", &nbsp; ".join(f"{parts.now(f'gan.four:loss_{loss}')}" for loss in LOSSES))
    view.follow(pace=pace, play=buttons)
    live.register("gan.four", four_frame)
    return Piece([Field("pace", [pace], lambda text: [inputs.choice("pace", text, PACES)], default=START)], [view])


def layers(loss: str) -> tuple[Layer, ...]:
    return (Layer("points", "real", "--data", "gan.game.real", size=1.6, alpha=0.5), Layer("points", f"fakes_{loss}", "--model", "gan.game.fakes", size=1.8, alpha=0.9))


def _panel(tile: int, loss: str) -> str:
    now = lambda key: parts.now(f"gan.four:{key}_{loss}")     # noqa: E731
    drawn = game.surfaced("gan.four", layers(loss), "gan.four.panel", tile, loss)
    warning = f'<p class="warning" role="status"><b data-live="gan.four:collapsed_{loss}"></b> {both("gan.four.collapsed")}</p>'
    return (f'<div class="panel"><h3>{both(f"gan.game.{loss}")}</h3>{drawn}<p class="caption">{both("gan.game.covered")}: {now("covered")}, {both("gan.game.near")}: {now("near")}, '
            f'{both("gan.four.slope")}: {now("slope")}</p>{warning}</div>')


# ---- what the live view draws ----------------------------------------------------------------------------------


def four_frame(query: Mapping[str, str]) -> live.Frame:
    """Let the page's four games play as many rounds each, for a moment; their fakes, D's surfaces, modes and gradients."""
    from .. import toy as toys

    pace, said = inputs.choice("pace", query.get("pace"), PACES), moves(needed(query, "play"))
    games = {loss: toys.toy(said.owner, "ring", "", loss, said.fresh, said.times, "four", pace) for loss in LOSSES}
    if said.playing:
        _play(list(games.values()))
    numbers: dict[str, Any] = {"real": game.flat(games[LOSSES[0]].real(POINTS)), "surface": 1}
    for loss, toy in games.items():
        toy.look()
        shares, covered = toy.shares(), toy.covered()
        numbers |= {
            f"fakes_{loss}": game.flat(toy.fakes(POINTS)), f"covered_{loss}": f"{covered} / {len(shares)}", f"near_{loss}": share(shares.sum().item()),
            f"slope_{loss}": toy.slope, f"loss_{loss}": toy.g_loss, f"covereds_{loss}": toy.history["covered"], f"slopes_{loss}": toy.history["slope"],
            f"collapsed_{loss}": f"{covered} / {len(shares)}" if toy.step >= game.SETTLED and toy.collapsed() else "",
        }
    first = games[LOSSES[0]]
    done = all(toy.done for toy in games.values())
    return live.Frame(np.concatenate([game.surface(toy) for toy in games.values()], axis=1), {
        **numbers, "step": first.step, "looked": first.history["step"], "done": done, "more": said.playing and not done})


def _play(games: list[Any]) -> None:
    """Round after round, one of each game in a round, so that all have made as many updates."""
    import time

    end = time.perf_counter() + SLICE
    while not all(toy.done for toy in games):
        for toy in games:
            toy.advance(0)
        if time.perf_counter() >= end:
            break
