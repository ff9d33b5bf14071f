"""The game in two dimensions: points, fakes, D's surface, the generator's warped grid and the pull on each fake, while both learn here and now.

    +-- the plane, layer by layer --+-- set, game, layers; play, slow motion, D, G, both, again --+
    +-- the plane's legend ---------+-- V over the updates with the line at -2 log 2; numbers ----+
    +-- formulas with the numbers of this moment -------------------------------------------------+
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...ui import live, parts, plane
from ...ui.i18n import both, t
from ...ui.plane import Layer
from ...ui.state import Field, restore_drawing
from . import Piece, Shared, needed, share
from .moves import Moves, moves

if TYPE_CHECKING:
    from torch import Tensor

    from ..toy import Toy

SETS = ("ring", "moons", "drawing")          # toy.SETS: the page is built without torch
GAMES = ("stable", "minimax", "non-saturating", "least-squares", "wasserstein", "hinge")     # of toy.GAMES
SHOWN = ("real", "fakes", "surface", "grid", "pull")         # layers, as they are switched
SLICE = 0.12                 # seconds of training in a frame
SINGLES = 10                 # single moves of each player in a frame, however fast one clicks
SETTLED = 100                # updates of G before a game may be called collapsed: all begin as one clump
POINTS = 150                 # real points and fakes drawn
EXTENT = 3.0                 # toy.EXTENT, of the plane
SURFACE = 60                 # cells on a side of D's picture
LINES, CORNERS = 9, 21       # of the generator's grid each way, and points of each
CELL = 0.5                   # an arrow that is pulled hard is that long
TYPICAL = 0.3                # a pull that strong is drawn half as long
LOWEST = -1.3863             # -2 log 2
LAYERS = (
    Layer("paths", "grid", "--noise", "gan.game.grid", size=1.0, alpha=0.55),
    Layer("points", "real", "--data", "gan.game.real", size=2.0, alpha=0.65),
    Layer("arrows", "pull", "--ink", "gan.game.pull", at="fakes", size=1.0, alpha=0.55),
    Layer("points", "fakes", "--model", "gan.game.fakes", size=2.2, alpha=0.9),
)
# A surface that is switched off is not there; the picture beneath the points comes with the frame.
SURFACE_SCRIPT = """document.addEventListener("live:%s", ({ detail: { numbers } }) => {
  for (const canvas of element.querySelectorAll("canvas[data-mirror]")) canvas.style.visibility = numbers.surface ? "visible" : "hidden";
});"""


def build(shared: Shared) -> Piece:
    now = lambda key: parts.now(f"gan.game:{key}")            # noqa: E731
    with gr.Column(elem_classes="section", elem_id="gan-game"):
        gr.HTML(parts.heading("gan.game", "gan.game.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                gr.HTML(surfaced("gan.game", LAYERS, "gan.game.alt"), js_on_load=SURFACE_SCRIPT % "gan.game", apply_default_css=False)
                view = live.View("gan.game", alt=both("gan.game.alt"), elsewhere=True, lazy=True)
                gr.HTML(f'<p class="caption">{both("gan.game.colours")}</p>')
            with gr.Column(scale=5, min_width=280):
                with gr.Row(elem_classes="decisions stacked"):
                    dataset = parts.Radio([(t(f"gan.game.set.{name}"), name) for name in SETS], value=SETS[0], label=t("gan.game.set"), elem_id="gan-set")
                    game = parts.Dropdown([(t(f"gan.game.{name}"), name) for name in GAMES], value=GAMES[0], label=t("gan.game.rules"), filterable=False, elem_id="gan-rules")
                buttons = Moves("gan.game", elem_id="gan-moves")
                layers = parts.CheckboxGroup([(t(f"gan.game.layer.{name}"), name) for name in SHOWN], value=list(SHOWN), label=t("gan.game.layers"), elem_id="gan-layers")
                gr.HTML(f'<p class="caption told" role="status">{_if("moved_d", both("gan.game.moved_d") + " " + now("change"))}{_if("moved_g", both("gan.game.moved_g") + " " + now("change"))}</p>'
                        f'<p class="warning" role="status">{_if("collapsed", both("gan.game.collapsed"))}</p>' + f'<p class="caption">{_if("minimax", both("gan.game.on_purpose"))}</p>')
                gr.HTML(parts.numbers(("gan.game:covered", "gan.game.covered"), ("gan.game:near", "gan.game.near"), ("gan.game:js_text", "gan.game.js")))
                gr.HTML(parts.lines("gan.game", {"values": ("--model", "gan.game.value"), "lowest": ("--quiet", "gan.game.lowest")}, x="looked", high=0, dashed=("lowest",),
                                    alt="gan.game.curve"))
                gr.HTML(f'<p class="caption">{both("gan.game.updates")} D {now("d_moves")}, G {now("step")}; {both("gan.game.losses")} D {now("d_loss")}, G {now("g_loss")}</p>')
                pad = parts.Pad(alt=both("gan.game.pad"), elem_id="gan-game-pad")
        with gr.Column(elem_classes="formulas"):
            parts.formula("gan.game.f.value", r"V(D,G)=\mathbb E_{x\sim p_r}\log D(x)+\mathbb E_{z\sim p_z}\log\left(1-D(G(z))\right)",
                          f'V = {now("log_real")} + ({now("log_fake")}) = {now("value")}, &nbsp; −2 log 2 = {LOWEST:.3f}'.replace("= -", "= −"))
            parts.formula("gan.game.f.js", r"\max_DV=2\,D_{JS}(p_r\Vert p_g)-2\log2\ \ge\ -2\log2",
                          f'D<sub>JS</sub> ≈ {now("js")} ({both("gan.game.floor")} {now("floor")}), &nbsp; 2 D<sub>JS</sub> − 2 log 2 ≈ {now("bound")}')
    view.follow(set=dataset, game=game, layers=layers, ink=pad, play=buttons)
    live.register("gan.game", game_frame)
    return Piece([
        Field("set", [dataset], lambda text: [inputs.choice("set", text, SETS)], default=SETS[0]),
        Field("game", [game], lambda text: [inputs.choice("game", text, GAMES)], default=GAMES[0]),
        Field("layers", [layers], lambda text: [shown(text)], default=",".join(SHOWN)),
        Field("ink", [pad], restore_drawing, default=""),
    ], [view])


def _if(key: str, text: str) -> str:
    return f'<span class="if"><b data-live="gan.game:{key}" hidden></b>{text}</span>'


def surfaced(view: str, layers: Sequence[Layer], alt: str, tile: int = 0, name: str = "") -> str:
    """A plane with a tile of the view's picture beneath its points; its legend stays below."""
    drawn = plane.plane(view, layers, alt=alt, extent=EXTENT, name=name)
    end = drawn.index("</canvas>") + len("</canvas>")
    return f'<div class="surface"><canvas data-mirror="{view}:{tile}" width="{SURFACE}" height="{SURFACE}" aria-hidden="true"></canvas>{drawn[:end]}</div>{drawn[end:]}'


# ---- what the live view draws ----------------------------------------------------------------------------------


def shown(text: object) -> list[str]:
    """The layers that are switched on, "real,fakes" as the query has them."""
    if not isinstance(text, str):
        inputs.choice("layer", text, SHOWN)
    return [inputs.choice("layer", each, SHOWN) for each in text[:200].split(",")] if text else []


def game_frame(query: Mapping[str, str]) -> live.Frame:
    """Make the page's single moves, or play for a moment; then the layers that are on, and what is measured of the game."""
    from .. import toy as toys

    name, game = inputs.choice("set", query.get("set"), SETS), inputs.choice("game", query.get("game"), GAMES)
    layers, said, drawn = shown(query.get("layers")), moves(needed(query, "play")), needed(query, "ink")
    if drawn:
        images.unpack_drawing(drawn)                          # refuses one that cannot be read, whichever set is chosen
    ink = (drawn or images.digit(3)) if name == "drawing" else ""
    toy = toys.toy(said.owner, name, ink, game, said.fresh, said.times)
    before = toy.value()
    last = toys.single(said.owner, "game", (said.fresh, said.times), said.singles, SINGLES, [toy])
    if said.playing:
        toy.advance(SLICE)
    toy.look()

    fakes = toy.fakes(POINTS)
    value, near = toy.value(), toy.shares()
    js, floor = toy.history["js"][-1], toys.js_floor(name, ink)
    numbers: dict[str, Any] = {
        "step": toy.step, "d_moves": toy.d_moves, "done": toy.done, "more": said.playing and not toy.done, "d_loss": toy.d_loss, "g_loss": toy.g_loss,
        "log_real": value and value[0], "log_fake": value and value[1], "value": value and sum(value), "js": js, "js_text": f"{js:.3f}", "floor": floor,
        "bound": 2 * js + LOWEST, "covered": None if near is None else f"{toy.covered()} / {len(near)}", "near": None if near is None else share(near.sum().item()),
        "looked": toy.history["step"], "values": toy.history["value"], "lowest": [LOWEST] * len(toy.history["step"]),
        "moved_d": "1" * (last == "D"), "moved_g": "1" * (last == "G"), "change": value and before and sum(value) - sum(before),
        "collapsed": "1" * (toy.step >= SETTLED and toy.collapsed()), "minimax": "1" * (game == "minimax"), "surface": int("surface" in layers),
    }
    if "real" in layers:
        numbers["real"] = flat(toy.real(POINTS))
    if "fakes" in layers or "pull" in layers:
        numbers["fakes"] = flat(fakes)
    if "pull" in layers:
        numbers["pull"] = flat(arrows(toy.pull(fakes)))
    if "grid" in layers:
        numbers["grid"] = [flat(path) for path in warped(toy)]
    return live.Frame(surface(toy) if "surface" in layers else np.zeros((1, 1, 3), np.uint8), numbers)


def surface(toy: Toy) -> np.ndarray:
    """What D says over the plane, uint8 (SURFACE, SURFACE, 3): the data's colour where it says real, the model's where it says fake, grey between."""
    return tinted(toy.answers(_cells()).view(SURFACE, SURFACE).numpy())


def tinted(answers: np.ndarray) -> np.ndarray:
    """Answers (H, W) in [0, 1] in colours, uint8 (H, W, 3)."""
    sign = 2 * answers[..., None] - 1
    return (128 + np.where(sign > 0, sign * (images.LESS - 128), -sign * (images.MORE - 128))).round().clip(0, 255).astype(np.uint8)


@cache
def _cells() -> Tensor:
    """The middles of the surface's cells, row by row from the top, (SURFACE^2, 2)."""
    import torch

    line = (torch.arange(SURFACE) + 0.5) / SURFACE * 2 * EXTENT - EXTENT
    y, x = torch.meshgrid(line.flip(0), line, indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2)


def warped(toy: Toy) -> list[Tensor]:
    """The generator's grid: straight lines of z in [-1, 1]^2, both ways, as it bends them, each (CORNERS, 2)."""
    return list(toy.G(_grid()).view(2 * LINES, CORNERS, 2))


@cache
def _grid() -> Tensor:
    import torch

    along, across = torch.linspace(-1, 1, CORNERS), torch.linspace(-1, 1, LINES)
    one = torch.stack([along.expand(LINES, -1), across[:, None].expand(-1, CORNERS)], dim=-1)
    return torch.cat([one, one.flip(-1)]).view(-1, 2)


def arrows(pull: Tensor) -> Tensor:
    """Pulls (N, 2) as arrows: directions as they are, lengths compressed, so that weak ones can be seen and strong ones fit."""
    return CELL * pull / (pull.norm(dim=1, keepdim=True) + TYPICAL)


def flat(points: Tensor) -> list[float]:
    """(N, 2) as x, y, x, y, ... to a hundredth, far outside the plane cut off: a frame's numbers travel in a header."""
    return [round(value, 2) for value in points.clamp(-9.99, 9.99).flatten().tolist()]
