"""Forward: noise a picture of one's own, in one jump or one step at a time, under one schedule or another.

    +-- pad, examples, upload, sample --+-- t; x_0, eps, x_t; their numbers and histogram --+
    +-- t; a copy and the mean of 64, by the chain and by the jump --------+-- histograms --+
    +-- a schedule of one's own: beta, alpha_bar, SNR; noised pictures under all three -----+
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.state import SCRIPT, Field
from .. import config
from . import Piece, Shared, model, moment, noise_map, picture, seed, shown

if TYPE_CHECKING:
    from torch import Tensor

    from ..maths import Schedule

START = 300                  # where t stands when the tab opens: half noise, still a digit
EDGE, BINS = 3.5, 42         # of the histograms: nearly all of N(0, 1), in bins of 1/6

COPIES = 64                  # of the picture, by the chain and by the jump: their mean is 8 times less noisy than one
WALK_SECONDS = 0.012         # of walking per frame; the page asks again until the chain has arrived
WALK_STOPS = 40              # states kept of a walk, evenly over it: dragging t back and forth starts at the nearest
WALKS = 3                    # walks kept, the least recently seen goes first: 8 MB each of grey 28x28 pictures

T_MIN, T_MAX = 2, 4000       # of the designer, as of config.ModelConfig
TILES = 8                    # noised pictures of each schedule, at equal times
POINTS = 60                  # of its curves
SNR_RANGE = 60.0             # dB of its curves, both ways: further out all is picture or all is noise

# A stroke goes to the shared picture while it is drawn; what the shared picture becomes otherwise is shown on the pad.
DRAWING = "document.querySelector('#diffusion-pad canvas')?.matches(':active')"
SAMPLE = ("(source, seed) => ['s' + (/^s[0-9]{1,10}$/.test(source) ? (Number(source.slice(1)) + 1) % 2147483648 "
          ": Math.max(0, Math.floor(Number(seed) || 0)))]")


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-forward"):
        gr.HTML(parts.heading("diffusion.forward", "diffusion.forward.try"))
        with gr.Row():
            with gr.Column(scale=2, min_width=240):
                pad = parts.Pad(alt=both("diffusion.forward.pad"), elem_id="diffusion-pad")
                gr.HTML(f'<p class="caption">{both("diffusion.forward.or")}</p>')
                with gr.Row(elem_classes="examples"):
                    examples = [gr.Button(str(digit), size="sm", min_width=30) for digit in range(10)]
                with gr.Row(elem_classes="bring"):
                    upload = gr.UploadButton(t("diffusion.forward.upload"), file_types=["image"], size="sm", elem_id="diffusion-upload")
                    own = gr.Button(t("diffusion.forward.own"), size="sm", elem_id="diffusion-own")
            with gr.Column(scale=5, min_width=300):
                at = parts.Slider(1, 1000, START, step=1, label=t("diffusion.t"), elem_id="diffusion-t")
                view = live.View("diffusion.forward", alt=both("diffusion.forward.alt"), tiles=3, lazy=True,
                                 captions=[both(f"diffusion.forward.{tile}") for tile in ("x_0", "eps", "x_t")])
                chain = live.View("diffusion.chain", alt=both("diffusion.figure"), tiles=3, elsewhere=True)
                gr.HTML(parts.numbers(("diffusion.forward:t", "diffusion.t"), ("diffusion.forward:alpha_bar", "diffusion.alpha_bar"),
                                      ("diffusion.forward:snr", "diffusion.snr")))
                gr.HTML(parts.lines("diffusion.forward", {
                    "histogram": ("--data", "diffusion.forward.histogram"), "normal": ("--noise", "diffusion.forward.normal")},
                    x="pixels", low=0, high=1, alt="diffusion.forward.histogram", dashed=("normal",)))
        with gr.Column(elem_classes="formulas"):
            parts.formula("diffusion.forward.f.jump",
                          r"\begin{aligned}x_t&=\sqrt{\bar\alpha_t}\,x_0+\sqrt{1-\bar\alpha_t}\,\epsilon,\\ \bar\alpha_t&=\prod_{i\le t}(1-\beta_i)\end{aligned}",
                          both("diffusion.forward.whole") + f": x<sub>t</sub> = {_now('a')} · x<sub>0</sub> + {_now('b')} · ε<br>"
                          + both("diffusion.forward.pixel") + f": {_now('pixel')} = {_now('a')} · ({_now('pixel_0')}) + {_now('b')} · ({_now('pixel_eps')})")
    jump, jump_at = _jump_section()
    design, schedule, steps = _design_section()

    view.follow(checkpoint=shared.checkpoint, seed=shared.seed, x=shared.source, t=at)
    chain.follow(checkpoint=shared.checkpoint, seed=shared.seed, x=shared.source, t=at)
    jump.follow(checkpoint=shared.checkpoint, seed=shared.seed, x=shared.source, t=jump_at)
    design.follow(checkpoint=shared.checkpoint, seed=shared.seed, x=shared.source, schedule=schedule, T=steps)
    for name, frame in {"forward": forward_frame, "chain": chain_frame, "jump": jump_frame, "design": design_frame}.items():
        live.register(f"diffusion.{name}", frame)
    gr.api(guarded(diffusion_noise), api_name="diffusion_noise")

    quick = dict(show_progress="hidden", trigger_mode="always_last", api_visibility="private")      # queued: else no error shows
    for digit, button in enumerate(examples):
        button.click(guarded(partial(_example, digit)), None, shared.source, **quick)
    upload.upload(guarded(_uploaded), [shared.checkpoint, upload], shared.source, **quick)
    own.click(None, [shared.source, shared.seed], shared.source, js=SAMPLE, **SCRIPT)
    pad.change(None, pad, shared.source, js=f"(ink) => [{DRAWING} ? ink : undefined]", **SCRIPT)
    pad.release(None, pad, shared.source, js="(ink) => [ink]", **SCRIPT)
    ink = -(-images.PAD**2 // 8 * 4 // 3)                    # characters of a drawing
    shared.source.change(None, shared.source, pad, js=f"(text) => [{DRAWING} ? undefined : text.length === {ink} ? text : '']", **SCRIPT)

    whole = lambda low, high: lambda text: [inputs.integer("t", inputs.parsed(text), low, high)]      # noqa: E731
    return Piece([
        Field("t", [at], whole(1, T_MAX), default=str(START)),
        Field("jt", [jump_at], whole(1, T_MAX), default=str(START)),
        Field("ds", [schedule], lambda text: [inputs.choice("schedule", text, config.SCHEDULES)], default=config.SCHEDULES[0]),
        Field("dT", [steps], lambda text: [inputs.integer("T", inputs.parsed(text), T_MIN, T_MAX)], default="1000"),
    ], [view, chain, jump, design], [at, jump_at])


def _jump_section() -> tuple[live.View, parts.Slider]:
    with gr.Column(elem_classes="section", elem_id="diffusion-jump"):
        gr.HTML(parts.heading("diffusion.jump", "diffusion.jump.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                at = parts.Slider(1, 1000, START, step=1, label=t("diffusion.t"), elem_id="diffusion-jump-t")
                view = live.View("diffusion.jump", alt=both("diffusion.jump.alt"), tiles=4, lazy=True, elem_classes="strip four",
                                 captions=[both(f"diffusion.jump.{tile}") for tile in ("one_chain", "one_jump", "mean_chain", "mean_jump")])
                gr.HTML(parts.numbers(("diffusion.jump:walked", "diffusion.jump.walked"), ("diffusion.jump:variance_chain", "diffusion.jump.variance_chain"),
                                      ("diffusion.jump:variance_jump", "diffusion.jump.variance_jump")))
            with gr.Column(scale=3, min_width=280):
                gr.HTML(parts.lines("diffusion.jump", {
                    "chain": ("--model", "diffusion.jump.chain"), "jump": ("--data", "diffusion.jump.jump")},
                    x="pixels", low=0, high=1, alt="diffusion.jump.histogram", dashed=("jump",)))
                gr.HTML(f'<p class="caption">{both("diffusion.jump.histogram")}</p>')
        with gr.Column(elem_classes="formulas"):
            now = lambda key: parts.now(f"diffusion.jump:{key}")      # noqa: E731
            parts.formula("diffusion.jump.f.step", r"q(x_t\mid x_{t-1})=\mathcal N\!\left(\sqrt{1-\beta_t}\,x_{t-1},\ \beta_t I\right)",
                          f"β<sub>t</sub> = {now('beta')}, √(1 − β<sub>t</sub>) = {now('shrink')}<br>"
                          + both("diffusion.jump.kept") + f": {now('kept_chain')} · {now('kept_jump')} · √ᾱ<sub>t</sub> = {now('a')}<br>"
                          + both("diffusion.jump.spread") + f": {now('variance_chain')} · {now('variance_jump')} · 1 − ᾱ<sub>t</sub> = {now('b_squared')}")
    return view, at


def _design_section() -> tuple[live.View, parts.Radio, parts.Slider]:
    with gr.Column(elem_classes="section", elem_id="diffusion-design"):
        gr.HTML(parts.heading("diffusion.design", "diffusion.design.try"))
        with gr.Row(elem_classes="halves"):
            schedule = parts.Radio(list(config.SCHEDULES), value=config.SCHEDULES[0], label=t("diffusion.knob.schedule"), elem_id="diffusion-design-schedule")
            steps = parts.Slider(T_MIN, T_MAX, 1000, step=1, label=t("diffusion.knob.T"), elem_id="diffusion-design-T")
        colours = {"linear": "--data", "cosine": "--model", "sigmoid": "--code"}
        with gr.Row(elem_classes="charts"):
            for curve, options in {"beta": {"log": True, "low": 1e-4, "high": 1}, "alpha_bar": {"low": 0, "high": 1}, "snr": {"low": -SNR_RANGE, "high": SNR_RANGE}}.items():
                keys = {f"{curve}_{name}": (colour, f"diffusion.design.{name}") for name, colour in colours.items()}
                with gr.Column(min_width=240):
                    gr.HTML(f'<p class="caption">{both(f"diffusion.design.{curve}")}</p>' + parts.lines(
                        "diffusion.design", {**keys, f"{curve}_chosen": ("--noise", "diffusion.design.chosen")}, x="u", dashed=tuple(keys),
                        alt=f"diffusion.design.{curve}", first="t = 0", last="t = T", **options))
        legend = "".join(f'<span style="--line: var({colour})">{both(f"diffusion.design.{name}")}</span>'
                         for name, colour in {**colours, "chosen": "--noise"}.items())
        gr.HTML(f'<p class="legend middle">{legend}</p>')
        view = live.View("diffusion.design", alt=both("diffusion.design.alt"), tiles=len(config.SCHEDULES) * TILES, lazy=True,
                         elem_classes="strip walk schedules",
                         captions=[both(f"diffusion.design.row.{name}") if i == 0 else "" for name in config.SCHEDULES for i in range(TILES)])
        gr.HTML(parts.numbers(("diffusion.design:T", "diffusion.knob.T"), ("diffusion.design:snr_T", "diffusion.design.snr_T"),
                              ("diffusion.design:crossing", "diffusion.design.crossing")))
    return view, schedule, steps


def _now(key: str) -> str:
    return parts.now(f"diffusion.forward:{key}")


# What the live views draw. Each runs on the inference executor; the query is hostile.


def forward_frame(query: Mapping[str, str]) -> live.Frame:
    """x_0, the noise of the seed and x_t; the histogram of x_t's pixels against N(0, 1); eq. 4 for the picture and its middle pixel."""
    from .. import maths, sample

    checkpoint = model(query)
    at, x_0 = moment(checkpoint, query.get("t")), picture(checkpoint, query.get("x"))
    s, eps = sample.schedule(checkpoint), sample.start_noise(checkpoint, seed(query)).cpu()
    x_t = maths.q_sample(x_0, at, eps, s)
    alpha_bar = s.alpha_bar[at].item()
    places, counts = histogram(x_t)
    middle = lambda x: x[0, 0, x.shape[2] // 2, x.shape[3] // 2].item()      # noqa: E731
    return live.Frame(images.beside(shown(x_0[0]), noise_map(eps[0]), shown(x_t[0])), {
        "t": at, "alpha_bar": alpha_bar, "snr": decibels(s)[at].item(),
        "a": alpha_bar**0.5, "b": (1 - alpha_bar) ** 0.5, "pixel": middle(x_t), "pixel_0": middle(x_0), "pixel_eps": middle(eps),
        "pixels": places, "histogram": counts, "normal": [math.exp(-place**2 / 2) / math.sqrt(2 * math.pi) for place in places],
    })


def chain_frame(query: Mapping[str, str]) -> live.Frame:
    """x_0, x_t and x_T, for the structure figure."""
    from .. import maths, sample

    checkpoint = model(query)
    at, x_0 = moment(checkpoint, query.get("t")), picture(checkpoint, query.get("x"))
    s, eps = sample.schedule(checkpoint), sample.start_noise(checkpoint, seed(query)).cpu()
    return live.Frame(images.beside(*(shown(maths.q_sample(x_0, when, eps, s)[0]) for when in (0, at, s.T))), {"t": at})


def jump_frame(query: Mapping[str, str]) -> live.Frame:
    """COPIES of the picture noised by t steps of the chain, and as many in one jump: one of each, their means, their moments.

    While the chain is still under way, what it has reached is shown, and "more" asks for the rest.
    """
    from ...core import device
    from .. import maths, sample

    checkpoint = model(query)
    at, x_0, number = moment(checkpoint, query.get("t")), picture(checkpoint, query.get("x")), seed(query)
    s = sample.schedule(checkpoint)
    walked, noise = walk(checkpoint.model.config, sample.shape(checkpoint), number).at(at, time.perf_counter() + WALK_SECONDS)
    chain = s.alpha_bar[walked].sqrt().item() * x_0 + noise
    jump = maths.q_sample(x_0, at, device.noise(number, [JUMP_NOISE], (COPIES, *x_0.shape[1:]))[0], s)
    numbers: dict[str, Any] = {}
    for name, x in {"chain": chain, "jump": jump}.items():
        mean = x.mean(0)
        numbers |= {f"kept_{name}": ((mean * x_0[0]).sum() / x_0.square().sum().clamp(min=1e-9)).item(),
                    f"variance_{name}": x.var(0).mean().item(), name: histogram(x)[1]}
    alpha_bar, beta = s.alpha_bar[at].item(), s.beta[at].item()
    return live.Frame(images.beside(*(shown(x) for x in (chain[0], jump[0], chain.mean(0), jump.mean(0)))), {
        **numbers, "t": at, "walked": walked, "more": walked < at, "pixels": histogram(jump)[0], "beta": beta,
        "shrink": f"{(1 - beta) ** 0.5:.5f}", "a": alpha_bar**0.5, "b_squared": 1 - alpha_bar,
    })


def design_frame(query: Mapping[str, str]) -> live.Frame:
    """Each schedule's curves over t / T, and TILES noised pictures at equal times, one row a schedule; the model's own plays no part."""
    import torch

    from .. import maths, sample

    checkpoint = model(query)
    x_0, eps = picture(checkpoint, query.get("x")), sample.start_noise(checkpoint, seed(query)).cpu()
    chosen = inputs.choice("schedule", query.get("schedule"), config.SCHEDULES)
    T = inputs.integer("T", inputs.parsed(query.get("T")), T_MIN, T_MAX)
    points = torch.linspace(1, T, min(T, POINTS)).round().long()
    times = (torch.arange(1, TILES + 1) * T / TILES).round().long().clamp(min=1)
    rows, numbers = [], {"u": (points / T).tolist(), "T": T}
    for name in config.SCHEDULES:
        s = maths.schedule.__wrapped__(name, T)              # not kept: there are 12,000 of them to be dragged through
        rows += [shown(x) for x in maths.q_sample(x_0.expand(TILES, -1, -1, -1), times, eps.expand(TILES, -1, -1, -1), s)]
        snr = decibels(s)
        numbers |= {f"beta_{name}": s.beta[points].tolist(), f"alpha_bar_{name}": s.alpha_bar[points].tolist(),
                    f"snr_{name}": snr[points].clamp(-2 * SNR_RANGE, 2 * SNR_RANGE).tolist()}
        if name == chosen:
            numbers |= {"snr_T": snr[T].item(), "crossing": int((snr > 0).sum())}              # the first time of more noise than picture
    numbers |= {f"{curve}_chosen": numbers[f"{curve}_{chosen}"] for curve in ("beta", "alpha_bar", "snr")}
    return live.Frame(images.beside(*rows), numbers)


# The same for programs: a named endpoint of the API.


def diffusion_noise(checkpoint: str, picture: str, seed: int, t: int) -> dict:
    """Noise a picture to time t in one jump, by the model's schedule, with a seed's noise.

    picture: "" for a drawn digit, "s" and a seed for a sample of the model, a drawing of 56x56 bits as URL-safe base64, or "p"
    and the model's pixels in bytes as the same. Returns {"picture": x_0, the noise and x_t side by side, a PNG as a data URI,
    "t", "alpha_bar", "snr": in dB}.
    """
    frame = executor.run(forward_frame, {"checkpoint": checkpoint, "x": picture, "seed": seed, "t": t})
    return {"picture": live.data_uri(frame.picture), **{name: frame.numbers[name] for name in ("t", "alpha_bar", "snr")}}


# What they stand on.


def histogram(x: Tensor) -> tuple[list[float], list[float]]:
    """The middles of BINS bins over +-EDGE, and the density of x in each; what lies beyond counts in the whole."""
    import torch

    width = 2 * EDGE / BINS
    return [-EDGE + (i + 0.5) * width for i in range(BINS)], (torch.histc(x, BINS, -EDGE, EDGE) / (x.numel() * width)).tolist()


def decibels(s: Schedule) -> Tensor:
    """The signal-to-noise ratio alpha_bar / (1 - alpha_bar) in dB, (T + 1,)."""
    return s.log_snr * (10 / math.log(10))


WALK_NOISE, JUMP_NOISE = 1 << 40, (1 << 41) - 1      # places in a seed's noise: step t of the walks at WALK_NOISE + t; the jumps


@dataclass(frozen=True, eq=False)
class Walk:
    """COPIES walks of q(x_t | x_{t-1}) from x_0 = 0, fresh noise at each step.

    A step is linear: the walk from any picture is this one plus sqrt(alpha_bar_t) x_0, so that all pictures share it.
    """

    s: Schedule
    shape: tuple[int, int, int]
    seed: int
    kept: dict[int, Tensor]  # t -> x_t, (COPIES, C, H, W)

    def at(self, t: int, until: float) -> tuple[int, Tensor]:
        """The states after t steps, or after as many as could be walked before `until` (`time.perf_counter`)."""
        from ...core import device
        from .. import maths

        stride = max(1, self.s.T // WALK_STOPS)
        begin = max(stop for stop in self.kept if stop <= t)
        x = self.kept[begin]
        for now in range(begin + 1, t + 1):
            x = maths.q_step(x, now, device.noise(self.seed, [WALK_NOISE + now], (COPIES, *self.shape))[0], self.s)
            if now % stride == 0:
                self.kept[now] = x
                if time.perf_counter() > until:
                    return now, x
        return t, x


_walks: OrderedDict[tuple[Any, ...], Walk] = OrderedDict()      # touched on the inference executor alone


def walk(model: config.ModelConfig, shape: tuple[int, int, int], seed: int) -> Walk:
    """The walks of a schedule and a seed, as far as they were walked."""
    import torch

    from .. import maths

    key = (model.schedule, model.T, shape, seed)
    if key not in _walks:
        _walks[key] = Walk(maths.schedule(model.schedule, model.T), shape, seed, {0: torch.zeros(COPIES, *shape)})
    _walks.move_to_end(key)
    if len(_walks) > WALKS:
        _walks.popitem(last=False)
    return _walks[key]


# What the buttons do.


def _example(digit: int) -> str:
    """A digit of the built-in set as a drawing of the pad."""
    return executor.run(images.digit, digit)


def _uploaded(name: Any, path: Any) -> Any:
    """A visitor's picture, cut to the model's size, as the shared source holds it; the file is not kept."""
    if not isinstance(path, str):
        return gr.skip()

    from ...core import pictures

    with pictures.taken(path):
        shape = executor.run(lambda: model({"checkpoint": name}).model.config)
        return pictures.packed(path, shape.channels, shape.size)         # not on the executor: a large photograph takes its time
