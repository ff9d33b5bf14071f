"""A walk from A to B: along the straight line between two codes, and along the great circle, as a film."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from ...core import images, inputs
from ...core.inputs import SEED_MAX
from ...ui import live, parts
from ...ui.i18n import both
from ...ui.state import Field
from . import Piece, Shared, latent, model, seed

WALK = 11                    # pictures along a path
PATHS = ("straight", "round")


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="gan-walk"):
        gr.HTML(parts.heading("gan.walk", "gan.walk.try"))
        gr.HTML(f'<div class="actions"><span class="caption">A = {parts.now("gan.walk:a")}, B = {parts.now("gan.walk:b")}</span>'
                f'<a class="quiet gif" data-gif="gan.walk" href="#gan-walk">{both("gan.walk.gif")}</a></div>', apply_default_css=False)
        walk = live.View("gan.walk", alt=both("gan.walk.alt"), tiles=2 * WALK, elem_classes="strip walk", lazy=True)
        gr.HTML(_numbers())
        parts.formula("gan.walk.f", r"\text{slerp}(a,b;t)=\frac{\sin((1-t)\,\omega)}{\sin\omega}\,a+\frac{\sin(t\,\omega)}{\sin\omega}\,b,\qquad \cos\omega=\frac{a\cdot b}{\lVert a\rVert\lVert b\rVert}",
                      f'ω = {parts.now("gan.walk:angle")}°, &nbsp; ‖a‖ = {parts.now("gan.walk:length_a")}, ‖b‖ = {parts.now("gan.walk:length_b")}, √D = {parts.now("gan.walk:typical")}')
    walk.follow(checkpoint=shared.checkpoint, seed=shared.seed, a=shared.ends[0], b=shared.ends[1])
    live.register("gan.walk", walk_frame)
    return Piece([Field(name, [end], restore, default="") for name, end in zip("ab", shared.ends)], [walk])


def _numbers() -> str:
    """The two norms and D's answers along the paths, and the smallest norms."""
    norms = parts.lines("gan.walk", {"norm_straight": ("--model", "gan.walk.straight"), "norm_round": ("--code", "gan.walk.round")}, low=0, first="A", last="B", alt="gan.walk.norms")
    answers = parts.lines("gan.walk", {"d_straight": ("--model", "gan.walk.straight"), "d_round": ("--code", "gan.walk.round")}, first="A", last="B", alt="gan.walk.answers")
    return (f'<div class="two"><div><p class="caption">{both("gan.walk.norms")}</p>{norms}</div><div><p class="caption">{both("gan.walk.answers")}</p>{answers}</div></div>'
            + parts.numbers(("gan.walk:least_straight", "gan.walk.least.straight"), ("gan.walk:least_round", "gan.walk.least.round"), ("gan.walk:typical", "gan.walk.typical")))


def restore(text: str) -> list[str]:
    """A marked seed, as it stands in the URL."""
    return [str(inputs.seed(inputs.parsed(text))) if text else ""]


def walk_frame(query: Mapping[str, str]) -> live.Frame:
    """WALK pictures along the straight line from seed a to seed b, and WALK along the great circle, with ‖z‖ and D's answer on both.

    An end that is not marked is the grid's first or second seed.
    """
    import torch

    from .. import sample

    checkpoint, first = model(query), seed(query)
    a, b = (seed(query, name) if query.get(name) else (first + i) % (SEED_MAX + 1) for i, name in enumerate("ab"))
    start, end = latent(checkpoint, a), latent(checkpoint, b)
    codes = sample.path(checkpoint, start, end, WALK)         # (2, WALK, D)
    pictures = sample.draw(checkpoint, codes.flatten(0, 1))
    film = [images.strip(torch.stack([straight, round_])) for straight, round_ in zip(pictures[:WALK], pictures[WALK:])]
    norms, said = codes.norm(dim=-1), sample.opinion(checkpoint, pictures).view(2, WALK)
    cosine = (start @ end / (start.norm() * end.norm())).clamp(-1, 1)
    return live.Frame(images.strip(pictures), {
        "a": a, "b": b, "angle": cosine.acos().rad2deg().item(), "length_a": start.norm().item(), "length_b": end.norm().item(), "typical": len(start) ** 0.5,
        **{f"norm_{path}": row.tolist() for path, row in zip(PATHS, norms)}, **{f"d_{path}": row.tolist() for path, row in zip(PATHS, said)},
        **{f"least_{path}": row.min().item() for path, row in zip(PATHS, norms)},
    }, film)
