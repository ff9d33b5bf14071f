"""Reverse: the way from noise to a picture as a debugger, with its film, its coefficients and its branches.

A film is named by decisions: those before the branch point (`trunk`), where it lies (`hold`, a time), and the controls,
which hold from there on. So everything is in the URL, and whoever opens it gets the same film.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import Field
from .. import config
from ..config import NAMES
from . import ANY, Piece, Shared, label, model, noise_map, shown

TILES = ("x_t", "eps", "x_0", "mean", "x_prev")
USUAL = {"sampler": "ddim", "steps": 20, "eta": 0, "guidance": "free", "scale": 1}
FILM = 12                    # steps in the film's two rows
BRANCHES = 6                 # kept beside the one in sight
SCALE_MAX = 20.0             # sample.SCALE_MAX, without its torch
JUDGED = 50                  # predictions of x_0 the independent classifier looks at, at most
SETTLED = 0.9                # probability from which on a class counts as settled


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-reverse"):
        gr.HTML(parts.heading("diffusion.reverse", "diffusion.reverse.try"))
        with gr.Row(elem_classes="decisions"):
            sampler = parts.Dropdown([(name, key) for key, name in NAMES.items()], value=USUAL["sampler"], label=t("diffusion.sampler"),
                                     filterable=False, elem_id="diffusion-sampler")
            steps = parts.Slider(1, 1000, USUAL["steps"], step=1, label=t("diffusion.steps"), elem_id="diffusion-steps")
            eta = parts.Slider(0, 1, USUAL["eta"], step=0.05, label=t("diffusion.eta"), elem_id="diffusion-eta")
            guidance = parts.Radio([(t("diffusion.free"), "free"), (t("diffusion.classifier"), "classifier")], value=USUAL["guidance"], label=t("diffusion.guidance"),
                                   elem_id="diffusion-guidance")
            scale = parts.Slider(0, 10, USUAL["scale"], step=0.1, label=t("diffusion.scale"), elem_id="diffusion-scale")
        player = parts.Player("diffusion.reverse", alt=both("diffusion.player"), elem_id="diffusion-player")
        view = live.View("diffusion.reverse", alt=both("diffusion.reverse.alt"), tiles=len(TILES), every=50, elem_classes="steps",
                         captions=[both(f"diffusion.reverse.{tile}") for tile in TILES])
        gr.HTML(f'<p class="substituted">x<sub>{parts.now("diffusion.reverse:t_prev")}</sub> = {parts.now("diffusion.reverse:a")} · {parts.now("diffusion.reverse:aim")} + '
                f'{parts.now("diffusion.reverse:b")} · x<sub>{parts.now("diffusion.reverse:t")}</sub> + {parts.now("diffusion.reverse:sigma")} · z</p>'
                + parts.numbers(("diffusion.reverse:beta", "diffusion.beta"), ("diffusion.reverse:beta_tilde", "diffusion.beta_tilde"),
                                ("diffusion.reverse:moved", "diffusion.moved")))
        with gr.Column(elem_classes="branches"):
            gr.HTML(f'<h3>{both("diffusion.branches")}</h3><p>{both("diffusion.branches.try")}</p>')
            with gr.Row(elem_classes="keep"):
                branch = gr.Button(t("diffusion.branch"), size="sm", variant="primary", elem_id="diffusion-branch")
                release = gr.Button(t("diffusion.release"), size="sm", elem_id="diffusion-release")
            with gr.Row(elem_classes="tree"):
                gr.HTML('<canvas class="tree" data-tree="diffusion.tree" role="img" aria-labelledby="live-diffusion-tree-alt"></canvas>', js_on_load=None)
                tree = live.View("diffusion.tree", alt=both("diffusion.tree"), tiles=BRANCHES + 1, every=120,
                                 captions=[f'<span data-live="diffusion.tree:name{i}"></span>' for i in range(BRANCHES + 1)],
                                 picks=[both("diffusion.tree.pick", i=i + 1) for i in range(BRANCHES + 1)])
            gr.HTML(parts.numbers(("diffusion.tree:apart", "diffusion.apart"), ("diffusion.tree:start", "diffusion.hold")))
    with gr.Column(elem_classes="section", elem_id="diffusion-film"):
        gr.HTML(parts.heading("diffusion.film", "diffusion.film.try"))
        film = live.View("diffusion.film", alt=both("diffusion.film.alt"), tiles=2 * FILM, every=250, lazy=True, elem_classes="strip film-rows",
                         picks=[both("diffusion.film.pick", i=i % FILM + 1, n=FILM) for i in range(2 * FILM)])
        gr.HTML(parts.lines("diffusion.film", {"certain": ("--model", "diffusion.film.certain")}, x="at", low=0, high=1, alt="diffusion.film.certain",
                            first="t = T", last="t = 1")
                + parts.numbers(("diffusion.film:settled", "diffusion.settled"), ("diffusion.film:judged", "diffusion.judged"),
                                ("diffusion.film:calls", "diffusion.calls")))
    with gr.Column(elem_classes="section formulas"):
        parts.formulas("diffusion.formulas", FORMULAS)
    trunk, hold, kept = (gr.Textbox("", visible=False) for _ in range(3))

    decisions = dict(checkpoint=shared.checkpoint, seed=shared.seed, y=shared.y, sampler=sampler, steps=steps, eta=eta, guidance=guidance,
                     scale=scale, trunk=trunk, hold=hold)
    view.follow(**decisions, k=player)
    film.follow(**decisions)
    tree.follow(**decisions, kept=kept)
    live.register("diffusion.reverse", reverse_frame)
    live.register("diffusion.film", film_frame)
    live.register("diffusion.tree", tree_frame)

    quick = dict(show_progress="hidden", trigger_mode="always_last", api_visibility="private")      # queued: else no error shows
    values = [shared.checkpoint, shared.seed, shared.y, sampler, steps, eta, guidance, scale, trunk, hold]
    branch.click(guarded(_branch), [*values, player, kept], [trunk, hold, kept, player], **quick)
    release.click(None, None, [trunk, hold, kept], js='() => ["", "", ""]', queue=False, api_visibility="private")
    tree.pick(guarded(_take), [*values, kept, tree], values[1:], **quick)
    film.pick(guarded(_jump), [*values, film], player, **quick)

    def number(name: str, low: float, high: float):
        return lambda text: [inputs.within(name, inputs.parsed(text), low, high)]

    return Piece([
        Field("sampler", [sampler], lambda text: [inputs.choice("sampler", text, config.SAMPLERS)], default=USUAL["sampler"]),
        Field("steps", [steps], lambda text: [inputs.integer("steps", inputs.parsed(text), 1, 4000)], default=str(USUAL["steps"])),
        Field("eta", [eta], number("eta", 0, 1), default="0"),
        Field("guidance", [guidance], lambda text: [inputs.choice("guidance", text, config.GUIDANCE)], default=USUAL["guidance"]),
        Field("scale", [scale], number("scale", 0, SCALE_MAX), default="1"),
        Field("k", [player], lambda text: [inputs.integer("step", inputs.parsed(text), -1, 4000)], default="-1"),
        Field("trunk", [trunk], _legs_text, default=""),
        Field("hold", [hold], lambda text: [str(inputs.integer("t", inputs.parsed(text), 1, 4000))] if text else [""], default=""),
        Field("kept", [kept], _kept_text, default=""),
    ], [view, film, tree], limited=[steps], cleared=[trunk, hold, kept])


# ---- what a query says -----------------------------------------------------------------------------------------


def legs_of(checkpoint: Any, query: Mapping[str, Any]) -> tuple[Any, ...]:
    """The decisions of the film in sight: the trunk's, and from `hold` on those of the controls."""
    from .. import sample

    T = checkpoint.model.config.T
    trunk = sample.read(query.get("trunk") or "", T)
    if len(trunk) >= sample.LEGS:
        raise PlaygroundError("diffusion.legs")
    start = T if not query.get("hold") else inputs.integer("t", inputs.parsed(query["hold"]), 1, trunk[-1].start if trunk else T)
    said = {"seed": "0", **USUAL, **query}
    parsed = {name: inputs.parsed(said[name]) for name in ("seed", "scale", "steps", "eta")}
    return (*trunk, sample.Leg(start if trunk else T, sample.choice(
        parsed["seed"], label(checkpoint, query.get("y")), said["guidance"], parsed["scale"], said["sampler"],
        parsed["steps"], parsed["eta"], T)))


def film_of(query: Mapping[str, Any]) -> Any:
    """The film in sight; somebody watches it, so it is computed."""
    from .. import sample

    checkpoint = model(query)
    return sample.in_sight(checkpoint, legs_of(checkpoint, query))


def _query(*values: Any) -> dict[str, Any]:
    names = ("checkpoint", "seed", "y", "sampler", "steps", "eta", "guidance", "scale", "trunk", "hold")
    return dict(zip(names, values))


def _legs_text(text: str) -> list[str]:
    from .. import sample

    sample.read(text, 4000)                                   # refuses what cannot be read
    return [text]


def _kept_text(text: str) -> list[str]:
    kept = _parts(text)
    for part in kept:
        _legs_text(part)
    return ["|".join(kept)]


# ---- what the live views draw ----------------------------------------------------------------------------------


def reverse_frame(query: Mapping[str, str]) -> live.Frame:
    """Step k of the film: x_t, the predicted noise and picture, the mean and the next x; or the newest, where k is not there yet."""
    from .. import maths, sample

    film = film_of(query)
    k = inputs.integer("step", inputs.parsed(query.get("k", "-1")), -1, 4000)
    wanted = film.steps - 1 if k < 0 else min(k, film.steps - 1)
    k = min(wanted, film.reached - 1)
    step, s = film.step(k), sample.schedule(film.checkpoint)
    before = s.alpha_bar[step.t_prev]
    alpha = s.alpha_bar[step.t] / before
    _, _, beta_tilde = maths.posterior_weights(step.t, step.t_prev, s)
    sigma_ddim = film.legs[-1].choice.eta * beta_tilde.sqrt()
    return live.Frame(images.beside(shown(step.x_t[0]), noise_map(step.eps[0]), shown(step.x_0[0]), shown(step.mean[0]), shown(step.x_prev[0])), {
        "k": k, "total": film.steps, "reached": film.reached, "t": step.t, "t_prev": step.t_prev, "a": step.a, "b": step.b, "sigma": step.sigma,
        "beta": 1 - alpha.item(), "beta_tilde": beta_tilde.item(), "alpha_bar": s.alpha_bar[step.t].item(), "alpha": alpha.item(),
        "moved": (step.x_prev - step.x_t).norm().item(), "weights": [step.a, step.b, step.sigma], "more": k < wanted,
        "aim": "x̂₀" if step.aim is step.x_0 else "x̃₀", "noise_weight": (1 - s.alpha_bar[step.t]).sqrt().item(), "sqrt_alpha": alpha.sqrt().item(),
        "signal_prev": before.sqrt().item(), "noise_prev": (1 - before - sigma_ddim.square()).clamp(min=0).sqrt().item(), "sigma_ddim": sigma_ddim.item(),
    })


def film_frame(query: Mapping[str, str]) -> live.Frame:
    """FILM steps of the film, evenly chosen: x_t above, the predicted x_0 below; and when its class was settled."""
    import torch

    film = film_of(query)
    done = film.reached
    picks = [round(i * (film.steps - 1) / (FILM - 1)) for i in range(FILM)]
    blank = torch.full_like(film.x[0][0], -1)
    tiles = [shown(film.x[k][0] if k < done else blank) for k in picks] + [shown(film.x_0[k][0] if k < done else blank) for k in picks]
    judged = sorted({round(i * (film.steps - 1) / (JUDGED - 1)) for i in range(JUDGED)} & set(range(done)))
    return live.Frame(images.beside(*tiles), {
        "picks": picks, "calls": film.calls, "seconds": film.seconds, "reached": done, "more": done < film.steps,
        **_settled(film, judged),
    })


def _settled(film: Any, steps: list[int]) -> dict[str, Any]:
    """From which t on an independent classifier is sure of the class that the picture ends with, where it knows such pictures."""
    import torch

    from ...core import classifier
    from .. import maths

    nothing = {"at": [], "certain": [], "settled": None, "judged": None}
    if film.checkpoint.config["dataset"] != "mnist" or not steps:
        return nothing
    p = classifier.probabilities(maths.picture(torch.cat([film.x_0[k] for k in steps])))       # (N, 10)
    y = int(p[-1].argmax())
    sure = (p[:, y] >= SETTLED).tolist()
    first = next((i for i in range(len(sure)) if all(sure[i:])), None)
    return {"at": [-film.times[k] for k in steps], "certain": p[:, y].tolist(), "judged": y,
            "settled": None if first is None else film.times[steps[first]]}


def tree_frame(query: Mapping[str, str]) -> live.Frame:
    """The kept films and the one in sight: how each ends, and where it left which other."""
    import torch

    from .. import sample

    checkpoint = model(query)
    T = checkpoint.model.config.T
    now = legs_of(checkpoint, query)
    every = [*dict.fromkeys([*(legs for text in _parts(query.get("kept")) if (legs := sample.read(text, T))), now])]
    films = [sample.film(checkpoint, legs) for legs in every]
    for film in films:
        sample.watch(film)
    ends = [film.x[-1] if film.reached == film.steps else (film.x_0 or film.x)[-1] for film in films]
    blank = torch.full_like(ends[0][0], -1)
    here = every.index(now)
    rows = [[_parent(every, i), 1 - (legs[-1].start / T), i == here] for i, legs in enumerate(every)]
    names = {f"name{i}": _name(legs) for i, legs in enumerate(every)}
    return live.Frame(images.beside(*(shown(end[0]) for end in ends), *[shown(blank)] * (BRANCHES + 1 - len(ends))), {
        "branches": rows, **names, "start": now[-1].start, "more": any(film.reached < film.steps for film in films),
        "apart": None if rows[here][0] < 0 else (ends[here] - ends[rows[here][0]]).norm().item(),
    })


def _parts(kept: Any) -> list[str]:
    return kept.split("|", BRANCHES)[:BRANCHES] if isinstance(kept, str) and kept else []


def _parent(every: list[Any], i: int) -> int:
    """The film that film i left, or -1 where it came from noise or from a film not kept."""
    return next((j for j, legs in enumerate(every) if legs == every[i][:-1]), -1)


def _name(legs: Any) -> str:
    """What was decided at a film's last branch, in signs that need no translation."""
    leg = legs[-1]
    c = leg.choice
    guided = "" if c.y is None else f" · {c.y} ×{c.scale:g}" + (" ∇" if c.guidance == "classifier" else "")
    chance = f" η {c.eta:g}" if c.eta and c.sampler != "dpm-solver" else ""
    return f"t {leg.start} · {NAMES[c.sampler]} {c.steps}{chance}{guided} · #{c.seed}"


# ---- what the buttons do ---------------------------------------------------------------------------------------


def _branch(*values: Any) -> list[Any]:
    """Keep the film in sight; from the step in sight on, the controls now decide anew."""
    *values, k, kept = values

    def find() -> list[Any]:
        from .. import sample

        query = _query(*values)
        film = film_of(query)
        at = film.steps - 1 if k is None or k == -1 else min(inputs.integer("step", k, 0, 4000), film.steps - 1)
        if len(film.legs) >= sample.LEGS:
            raise PlaygroundError("diffusion.full", found=len(film.legs) - 1)
        text = sample.written(film.legs)
        return [text, str(film.times[at]), "|".join([*dict.fromkeys([*_parts(kept), text])][-BRANCHES:]), -1]

    return executor.run(find)


def _take(*values: Any) -> list[Any]:
    """The controls as they were for a film of the tree."""
    *values, kept, index = values

    def find() -> list[Any]:
        from .. import sample

        query = _query(*values)
        checkpoint = model(query)
        T, now = checkpoint.model.config.T, legs_of(checkpoint, query)
        every = [*dict.fromkeys([*(legs for text in _parts(kept) if (legs := sample.read(text, T))), now])]
        legs = every[inputs.integer("index", index, 0, len(every) - 1)]
        leg, c = legs[-1], legs[-1].choice
        return [c.seed, ANY if c.y is None else str(c.y), c.sampler, c.steps, c.eta, c.guidance, c.scale, sample.written(legs[:-1]),
                str(leg.start) if legs[:-1] else ""]

    return executor.run(find)


def _jump(*values: Any) -> int:
    """The step of a picture of the film."""
    *values, index = values

    def find() -> int:
        film = film_of(_query(*values))
        i = inputs.integer("index", index, 0, 2 * FILM - 1) % FILM
        return round(i * (film.steps - 1) / (FILM - 1))

    return executor.run(find)


FORMULAS = [                 # (what it says, the formula, the formula with the numbers of this moment)
    ("diffusion.f.posterior", r"\begin{aligned}\tilde\mu_t(x_t,x_0)&=\frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t}x_0+\frac{\sqrt{\alpha_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}x_t"
                              r"\\&=\frac1{\sqrt{\alpha_t}}\Big(x_t-\frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\,\epsilon\Big)\end{aligned}",
     f"β<sub>t</sub> = {parts.now('diffusion.reverse:beta')}, ᾱ<sub>t</sub> = {parts.now('diffusion.reverse:alpha_bar')}, β̃<sub>t</sub> = "
     f"{parts.now('diffusion.reverse:beta_tilde')}"),
    ("diffusion.f.step", r"x_{t-1}=\frac1{\sqrt{\alpha_t}}\Big(x_t-\frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\,\epsilon_\theta(x_t,t)\Big)+\sigma_t z,\quad z\sim\mathcal N(0,I)",
     f"(x<sub>t</sub> − {parts.now('diffusion.reverse:beta')} / {parts.now('diffusion.reverse:noise_weight')} · ε<sub>θ</sub>) / "
     f"{parts.now('diffusion.reverse:sqrt_alpha')} + {parts.now('diffusion.reverse:sigma')} · z"),
    ("diffusion.f.ddim", r"\begin{aligned}x_{t-1}&=\sqrt{\bar\alpha_{t-1}}\,\hat x_0+\sqrt{1-\bar\alpha_{t-1}-\sigma_t^2}\;\epsilon_\theta(x_t,t)+\sigma_t z\\ \sigma_t&=\eta\,\sqrt{\tilde\beta_t}\end{aligned}",
     f"{parts.now('diffusion.reverse:signal_prev')} · x̂₀ + {parts.now('diffusion.reverse:noise_prev')} · ε<sub>θ</sub> + {parts.now('diffusion.reverse:sigma_ddim')} · z"),
]
