"""Beat the discriminator: twenty pictures, real or fake; first the visitor says, then D, for the pair of players of any moment of the training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError, register
from ...core.inputs import SEED_MAX
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from .. import config
from . import Piece, Reals, Shared, if_copies, model, number, real_pictures, share

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from . import Real

CARDS = 20
DEALS = 1_000_000            # of cards, counted from 0
MEASURED = 200               # real pictures, and as many fakes, by which D's accuracy at each moment is measured
ANSWERS = re.compile(f"[-rf]{{{CARDS}}}")    # real, fake, or not said yet
SCORES = re.compile(f"([0-9]{{0,3}},){{{config.SNAPSHOTS - 1}}}[0-9]{{0,3}}")            # the visitor's per cent at each moment, or nothing
FIGURES = ("accuracy", "sensitivity", "specificity")

register({
    "gan.answers": (
        "The answers are “{found}”; {expected} letters r (real), f (fake) or - (not said) were expected.",
        "回答是“{found}”；应为 {expected} 个字母：r（真）、f（假）或 -（未答）。",
    ),
    "gan.silent": (
        "You have not said anything yet: click pictures first, once for real, twice for fake.",
        "您还没有作答：请先点击图片，点一次为真，点两次为假。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="gan-quiz"):
        gr.HTML(parts.heading("gan.quiz", "gan.quiz.try"))
        with gr.Row():
            with gr.Column(scale=6, min_width=280):
                at = parts.Slider(1, config.SNAPSHOTS, config.SNAPSHOTS, step=1, label=t("gan.quiz.at"), elem_id="gan-moment")
                cards = live.View("gan.quiz", alt=both("gan.quiz.alt"), tiles=CARDS, elem_classes="strip cards", lazy=True,
                                  captions=[_caption(i) for i in range(CARDS)], picks=[both("gan.quiz.pick", i=i + 1, n=CARDS) for i in range(CARDS)])
                with gr.Row(elem_classes="keep"):
                    ask = gr.Button(t("gan.quiz.ask"), variant="primary", size="sm", elem_id="gan-ask")
                    deal = gr.Button(t("gan.quiz.deal"), size="sm", elem_id="gan-deal")
                gr.HTML(f'<p class="caption">{if_copies("gan.quiz")}</p>')
            with gr.Column(scale=4, min_width=280):
                gr.HTML(_table())
                gr.HTML(f'<p class="caption">{both("gan.quiz.figures")}</p>' + parts.lines(
                    "gan.quiz", {"d_scores": ("--model", "gan.quiz.d"), "your_scores": ("--data", "gan.quiz.you")}, x="places", at="moment", low=0, high=100,
                    first="1", last=str(config.SNAPSHOTS), dots=True, alt="gan.quiz.curve") + f'<p class="caption">{both("gan.quiz.axes")}</p>')
        number_of_deal, answers, shown, scores = (gr.Number(0, visible=False, precision=0), gr.Textbox("-" * CARDS, visible=False), gr.Number(0, visible=False, precision=0),
                                                  gr.Textbox("," * (config.SNAPSHOTS - 1), visible=False))
        parts.formula("gan.quiz.f", r"\text{real if }D(x)>\tfrac12;\qquad p_g\to p_r:\ \max_DV\to-2\log2,\ D\to\tfrac12",
                      f'{both("gan.quiz.here")} E log D(x) = {_now("log_real")}, E log(1 − D(G(z))) = {_now("log_fake")}, V = {_now("value")}, −2 log 2 = −1.386')
    cards.follow(checkpoint=shared.checkpoint, moment=at, deal=number_of_deal, answers=answers, shown=shown, scores=scores)
    live.register("gan.quiz", partial(quiz_frame, real=shared.real))
    cards.pick(None, [answers, cards, shown], answers, js="""(answers, card, shown) => {
        if (shown) return answers;
        const said = [...answers];
        said[card] = said[card] === "r" ? "f" : "r";
        return said.join("");
    }""", **SCRIPT)
    fresh = f'["{"-" * CARDS}", 0]'
    deal.click(None, number_of_deal, [number_of_deal, answers, shown], js=f"(deal) => [(deal + 1) % {DEALS}, ...{fresh}]", **SCRIPT)
    at.input(None, None, [answers, shown], js=f"() => {fresh}", **SCRIPT)
    ask.click(guarded(partial(_ask, real=shared.real)), [shared.checkpoint, at, number_of_deal, answers, scores], [shown, scores], show_progress="hidden", trigger_mode="always_last", api_visibility="private")
    return Piece([
        Field("moment", [at], lambda text: [inputs.integer("moment", inputs.parsed(text), 1, config.SNAPSHOTS)], default=str(config.SNAPSHOTS)),
        Field("deal", [number_of_deal], lambda text: [inputs.integer("deal", inputs.parsed(text), 0, DEALS)], default="0"),
        Field("said", [answers], lambda text: [_answers(text)], default="-" * CARDS),
        Field("shown", [shown], lambda text: [inputs.integer("shown", inputs.parsed(text), 0, 1)], default="0"),
        Field("scores", [scores], lambda text: [_scores(text)], default="," * (config.SNAPSHOTS - 1)),
    ], [cards])


def _now(key: str) -> str:
    return parts.now(f"gan.quiz:{key}")


def _if(key: str, text: str) -> str:
    """A text that stands there while the number is not empty."""
    return f'<span class="if"><b data-live="gan.quiz:{key}" hidden></b>{text}</span>'


def _caption(i: int) -> str:
    """What the visitor said; once asked, what it is, and D's answer."""
    said = _if(f"real{i}", both("gan.quiz.real")) + _if(f"fake{i}", both("gan.quiz.fake")) + _if(f"open{i}", "?")
    truth = _if(f"is_real{i}", both("gan.quiz.is_real")) + _if(f"is_fake{i}", both("gan.quiz.is_fake"))
    return f'{said} <b data-live="gan.quiz:mark{i}"></b><br>{truth}<br><b data-live="gan.quiz:d{i}"></b>'


def _table() -> str:
    rows = "".join(f'<tr><th>{both(f"gan.quiz.{figure}")}</th><td>{_now(f"your_{figure}")}</td><td>{_now(f"d_{figure}")}</td></tr>' for figure in FIGURES)
    return (f'<table class="figures"><tr><th></th><th>{both("gan.quiz.you")}</th><th>{both("gan.quiz.d")}</th></tr>{rows}'
            f'<tr><th>{both("gan.quiz.updates")}</th><td colspan="2">{_now("updates")}</td></tr></table>')


# ---- the cards -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deal:
    """Twenty pictures in sight, each real or fake by the toss of a coin."""

    pictures: Tensor         # (CARDS, C, H, W)
    real: Tensor             # bool (CARDS,)
    logits: Tensor           # D's numbers of that moment (CARDS,)
    taken: Tensor            # whether it takes each for real, bool (CARDS,)
    said: Tensor             # its answers as they are shown, (CARDS,)
    updates: int             # of both players until then


def dealt(checkpoint: Checkpoint, moment: int, deal: int, found: Real) -> Deal:
    """The cards of one deal at a moment of the training, from 1 to SNAPSHOTS; a model with fewer shows its last."""
    import torch

    from .. import sample

    held_out = found.pictures
    moments = sample.moments(checkpoint)
    then = moments[min(moment, len(moments)) - 1]
    generator = torch.Generator().manual_seed(deal * config.SNAPSHOTS + moment)
    real = torch.rand(CARDS, generator=generator) < 0.5
    which = torch.randint(len(held_out), (CARDS,), generator=generator)
    seeds = torch.randint(SEED_MAX, (CARDS,), generator=generator).tolist()
    fakes = sample.draw(then.checkpoint, sample.latents(then.checkpoint, seeds))
    pictures = torch.where(real[:, None, None, None], held_out[which].float() / 255, fakes)
    return Deal(pictures, real, sample.score(then.checkpoint, pictures), sample.taken_for_real(then.checkpoint, pictures), sample.opinion(then.checkpoint, pictures), then.step)


def figures(real: Tensor, taken: Tensor) -> dict[str, float | None]:
    """Accuracy; sensitivity: of the real ones, the share taken for real; specificity: of the fakes, the share not taken. real, taken: bool (N,)."""
    mean = lambda x: x.float().mean().item() if len(x) else None                  # noqa: E731
    return dict(zip(FIGURES, (mean(taken == real), mean(taken[real]), mean(~taken[~real]))))


_accuracies: WeakKeyDictionary[Any, dict[bool, list[float]]] = WeakKeyDictionary()       # touched on the inference executor alone


def accuracies(checkpoint: Checkpoint, found: Real) -> list[float]:
    """D's accuracy in per cent at each moment, on MEASURED held-out pictures and as many fakes of its opponent."""
    import torch

    from .. import sample

    known = _accuracies.setdefault(checkpoint.model, {})      # by whether the real ones are copies
    if found.copies not in known:
        held_out, out = found.pictures[:MEASURED].float() / 255, []
        for then in sample.moments(checkpoint):
            fakes = sample.draw(then.checkpoint, sample.latents(then.checkpoint, range(len(held_out))))
            right = torch.cat([sample.taken_for_real(then.checkpoint, held_out), ~sample.taken_for_real(then.checkpoint, fakes)])
            out.append(100 * right.float().mean().item())
        known[found.copies] = out
    return known[found.copies]


# ---- what the live view draws ----------------------------------------------------------------------------------


def _answers(text: object) -> str:
    if not isinstance(text, str) or not ANSWERS.fullmatch(text):
        raise PlaygroundError("gan.answers", found=text[:24] if isinstance(text, str) else type(text).__name__, expected=CARDS)
    return text


def _scores(text: object) -> str:
    if not isinstance(text, str) or not SCORES.fullmatch(text):
        inputs.numbers_in("scores", None, config.SNAPSHOTS, 0, 100)              # refused as anything else that is no such list
    return text


def quiz_frame(query: Mapping[str, str], real: Reals = real_pictures) -> live.Frame:
    """The cards with what the visitor said of each; once shown, what each is, D's answer, and how often both are right."""
    import torch

    from .. import maths, sample

    checkpoint, moment = model(query), number(query, "moment", 1, config.SNAPSHOTS)
    held_out, answers = real(checkpoint), _answers(query.get("answers"))
    found = dealt(checkpoint, moment, number(query, "deal", 0, DEALS), held_out)
    shown, scores = number(query, "shown", 0, 1), [int(each) if each else None for each in _scores(query.get("scores")).split(",")]
    numbers: dict[str, Any] = {"copies": "1" * held_out.copies, "updates": found.updates, "moment": moment, "places": list(range(1, config.SNAPSHOTS + 1))}
    numbers |= dict.fromkeys([f"{who}_{figure}" for who in ("your", "d") for figure in FIGURES] + ["log_real", "log_fake", "value"])
    for i, (answer, true, taken, said) in enumerate(zip(answers, found.real.tolist(), found.taken.tolist(), found.said.tolist())):
        numbers |= {f"real{i}": "1" * (answer == "r"), f"fake{i}": "1" * (answer == "f"), f"open{i}": "1" * (answer == "-"),
                    f"is_real{i}": "1" * (shown and true), f"is_fake{i}": "1" * (shown and not true),
                    f"mark{i}": ("✓" if (answer == "r") == true else "✗") if shown and answer != "-" else "",
                    f"d{i}": f"D = {said:.2f} {'✓' if taken == true else '✗'}".replace("-", "−") if shown else ""}
    curve = accuracies(checkpoint, held_out)
    numbers |= {"d_scores": [curve[min(i, len(curve) - 1)] for i in range(config.SNAPSHOTS)], "your_scores": scores}      # as `dealt` has it
    if shown:
        answered = torch.tensor([answer != "-" for answer in answers])
        yours = torch.tensor([answer == "r" for answer in answers])
        for who, each in (("your", figures(found.real[answered], yours[answered])), ("d", figures(found.real, found.taken))):
            numbers |= {f"{who}_{figure}": None if value is None else share(value) for figure, value in each.items()}
        if sample.probable(checkpoint) and 0 < int(found.real.sum()) < CARDS:
            log_real, log_fake = (each.item() for each in maths.value(found.logits[found.real], found.logits[~found.real]))
            numbers |= {"log_real": log_real, "log_fake": log_fake, "value": log_real + log_fake}
    return live.Frame(images.strip(found.pictures), numbers)


def _ask(name: Any, moment: Any, deal: Any, answers: Any, scores: Any, real: Reals = real_pictures) -> list[Any]:
    """Show what the cards are, and remember how often the visitor was right at this moment of the training."""
    answers, kept = _answers(answers), _scores(scores).split(",")
    moment = inputs.integer("moment", moment, 1, config.SNAPSHOTS)
    if set(answers) == {"-"}:
        raise PlaygroundError("gan.silent")
    deal = inputs.integer("deal", deal, 0, DEALS)

    def truth() -> list[bool]:
        checkpoint = model({"checkpoint": name})
        return dealt(checkpoint, moment, deal, real(checkpoint)).real.tolist()

    right = [(answer == "r") == each for answer, each in zip(answers, executor.run(truth)) if answer != "-"]
    kept[moment - 1] = str(round(100 * sum(right) / len(right)))
    return [1, ",".join(kept)]
