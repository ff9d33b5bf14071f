"""What a trained diffusion model answers: pictures, films of how they came about, and each term of a step.

A film is named by its decisions (`Leg`s): whoever knows them gets the same film. It is computed a slice at a time while
somebody watches, so that several visitors get on together, and one who leaves frees the device.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..core import checkpoints, device, inputs
from ..core.checkpoints import Checkpoint
from ..core.device import executor
from ..core.errors import PlaygroundError, register
from . import maths
from .config import GUIDANCE, SAMPLERS, ModelConfig
from .model import network

BATCH = 250                  # pictures per pass
SLICE = 0.08                 # seconds of a film computed before others get their turn
WATCHED = 0.6                # seconds a film goes on for after it was last looked at
FILM_BYTES = 192 * 2**20     # of all films that are kept, the least recently seen go first
FILMS = 256                  # and how many: one of a single step weighs little but for its list of times
LEGS, SCALE_MAX = 6, 20.0    # branches of branches of a film; guidance beyond which there are only artefacts
STEPS, GRID_STEPS = 20, 10   # of the fast solver: of `images`, and of a grid that appears at once

register({
    "diffusion.network": (
        "{name} is a network of the kind “{found}”; one that denoises pictures (“{expected}”) was expected: choose another model.",
        "{name} 的网络类型是“{found}”；这里需要为图片去噪的网络（“{expected}”）：请选择其他模型。",
    ),
    "diffusion.guide": (
        "No classifier of noisy {found} pictures is here, so that one cannot guide; choose classifier-free guidance, or train one "
        "with --set network=classifier.",
        "这里没有识别加噪 {found} 图片的分类器，无法用它引导；请选择无分类器引导，或用 --set network=classifier 训练一个。",
    ),
    "diffusion.steps": (
        "{found} steps were asked for, the model has {expected}: choose at most so many.",
        "请求了 {found} 步，而模型只有 {expected} 步：请不要超过这个数。",
    ),
    "diffusion.full": (
        "This film has branched {found} times; go back to an earlier branch, or start from noise again.",
        "该影片已分支 {found} 次；请回到较早的分支，或重新从噪声开始。",
    ),
    "diffusion.legs": (
        "The branch in this link cannot be read; open the tab without it, and branch again.",
        "无法读取此链接中的分支；请不带它打开标签页，再重新分支。",
    ),
    "diffusion.class": (
        "{name} was trained without classes, so that none can be asked for: choose “any”.",
        "{name} 训练时没有类别，无法指定类别：请选择“任意”。",
    ),
})


def build(config: Mapping[str, Any]) -> torch.nn.Module:
    """The network for a checkpoint's `model` fields, its weights still random."""
    return network(ModelConfig(**config))


def load(name: str) -> Checkpoint:
    """A diffusion checkpoint by name, from the cache when it is there. Raises `PlaygroundError` for any that will not do."""
    return checkpoints.load(name, "diffusion", build)


def load_unet(name: str) -> Checkpoint:
    """One that denoises pictures; `PlaygroundError` for a classifier, or a network for points."""
    checkpoint = load(name)
    if checkpoint.model.config.network != "unet":
        raise PlaygroundError("diffusion.network", name=name, found=checkpoint.model.config.network, expected="unet")
    return checkpoint


def guide(checkpoint: Checkpoint) -> Checkpoint | None:
    """A classifier of the same pictures under the same noise, or None: the shipped ones first."""
    mine = checkpoint.model.config
    for entry in checkpoints.entries():
        theirs = entry.config["model"]
        if entry.family == "diffusion" and entry.dataset == checkpoint.config["dataset"] and theirs.get("network") == "classifier" and all(
                theirs.get(name) == getattr(mine, name) for name in ("channels", "size", "classes", "T", "schedule")):
            return load(entry.name)
    return None


def schedule(checkpoint: Checkpoint) -> maths.Schedule:
    return maths.schedule(checkpoint.model.config.schedule, checkpoint.model.config.T)


def shape(checkpoint: Checkpoint) -> tuple[int, int, int]:
    config = checkpoint.model.config
    return config.channels, config.size, config.size


# ---- noise -----------------------------------------------------------------------------------------------------


def start_noise(checkpoint: Checkpoint, seed: int, indices: Sequence[int] = (0,)) -> Tensor:
    """x_T, (N, C, H, W): picture i of a seed is the same whatever the batch and the device."""
    return device.noise(seed, indices, shape(checkpoint)).to(_where(checkpoint))


def step_noise(checkpoint: Checkpoint, seed: int, indices: Sequence[int] = (0,)) -> maths.Noise:
    """z of the step that arrives at time t, by (seed, picture, t) alone: going back and on again meets the same chance."""
    return lambda t: device.noise(seed, [index + ((t + 1) << 32) for index in indices], shape(checkpoint)).to(_where(checkpoint))


def _where(checkpoint: Checkpoint) -> torch.device:
    return next(checkpoint.model.parameters()).device


def asked(checkpoint: Checkpoint) -> Callable[..., Tensor]:
    """The network as a function of tensors on any device: what it says comes back to where x is."""
    where = _where(checkpoint)
    return lambda x, *rest: checkpoint.model(x.to(where), *(each if each is None else each.to(where) for each in rest)).to(x.device)


# ---- guided predictions ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """All that decides how a picture is sampled."""

    seed: int = 0
    y: int | None = None     # the class asked for
    guidance: str = "free"   # of GUIDANCE: "free" (classifier-free), "classifier"; both mean the same by a scale
    scale: float = 1.0       # 0 ignores the class, 1 obeys it, more exaggerates it
    sampler: str = "ddim"    # of maths.SAMPLERS
    steps: int = 20
    eta: float = 0.0


@dataclass(frozen=True)
class Guided:
    """The parts of a guided prediction about x_t, each (N, C, H, W)."""

    eps_free: Tensor         # without a class
    eps_y: Tensor | None     # classifier-free: told the class
    gradient: Tensor | None  # classifier: grad log p(y | x_t)
    eps: Tensor              # guided, before x_0 is clipped
    log_p: Tensor | None     # classifier: log p(y | x_t), (N,)


def guided(checkpoint: Checkpoint, x: Tensor, t: int, y: Tensor | None, guidance: str, scale: float) -> Guided:
    """The guided noise and what it is made of. y: (N,) or None."""
    model, s = asked(checkpoint), schedule(checkpoint)
    every = torch.full((len(x),), t, device=x.device)
    noise = lambda y: maths.forms(model(x, every, y), checkpoint.model.config.prediction, x, t, s).eps       # noqa: E731
    if y is None:
        free = noise(None)
        return Guided(free, None, None, free, None)
    _check_class(checkpoint)
    if guidance == "classifier":
        classifier = asked(_guide(checkpoint))
        free, gradient = noise(None), maths.class_gradient(classifier, x, t, y)
        log_p = classifier(x, every).log_softmax(1).gather(1, y[:, None])[:, 0]
        return Guided(free, None, gradient, maths.classifier_guided(free, gradient, t, s, scale), log_p)
    free, told = noise(None), noise(y)
    return Guided(free, told, None, maths.classifier_free(free, told, scale), None)


def denoiser(checkpoint: Checkpoint, y: Tensor | None = None, guidance: str = "free", scale: float = 1.0) -> maths.Denoiser:
    """The model as a sampler asks for it, its x_0 clipped to [-1, 1]; it is asked no more often than the guidance needs."""
    model, s = asked(checkpoint), schedule(checkpoint)
    kind, none_given = checkpoint.model.config.prediction, checkpoint.model.config.classes
    if y is not None:
        _check_class(checkpoint)
    if y is None or guidance == "free" and scale == 1 or scale == 0:
        told = None if scale == 0 else y
        return maths.denoiser(lambda x, t: model(x, t, told), kind, s)
    if guidance == "free":
        def both(x: Tensor, t: Tensor) -> Tensor:             # a linear mix of predictions is that mix in every form
            free, with_y = model(x.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([torch.full_like(y, none_given), y])).chunk(2)
            return maths.classifier_free(free, with_y, scale)
        return maths.denoiser(both, kind, s)
    classifier = asked(_guide(checkpoint))

    def steered(x: Tensor, t: Tensor) -> Tensor:
        now = int(t[0])
        free = maths.forms(model(x, t, None), kind, x, now, s).eps
        return maths.classifier_guided(free, maths.class_gradient(classifier, x, now, y), now, s, scale)
    return maths.denoiser(steered, "eps", s)


def _check_class(checkpoint: Checkpoint) -> None:
    if not checkpoint.model.config.classes:
        raise PlaygroundError("diffusion.class", name=checkpoint.name)


def _guide(checkpoint: Checkpoint) -> Checkpoint:
    found = guide(checkpoint)
    if found is None:
        raise PlaygroundError("diffusion.guide", found=checkpoint.config["dataset"])
    return found


# ---- pictures --------------------------------------------------------------------------------------------------


@torch.no_grad()
def images(name: str, n: int, seed: int) -> Tensor:
    """n pictures in [0, 1] by the fast solver, classes in turn. The same (seed, index) is always the same picture."""
    return draw(load_unet(name), n, seed)


def draw(checkpoint: Checkpoint, n: int, seed: int, sampler: str = "dpm-solver", steps: int = STEPS, eta: float = 0.0,
         labels: Tensor | None = None) -> Tensor:
    """n pictures (n, C, H, W) in [0, 1] on the CPU, unguided: told their class, where the model knows any.

    labels: (n,); else picture i is of class i modulo the number of classes. On the CPU each core draws passes of its own.
    """
    s, classes = schedule(checkpoint), checkpoint.model.config.classes
    if labels is None and classes:
        labels = torch.arange(n) % classes

    def drawn(indices: Tensor) -> Tensor:
        y = labels[indices].to(_where(checkpoint)) if classes else None
        x = start_noise(checkpoint, seed, indices.tolist())
        walk = maths.SAMPLERS[sampler](denoiser(checkpoint, y), x, maths.visited(min(steps, s.T), s.T), s,
                                       step_noise(checkpoint, seed, indices.tolist()), eta=eta)
        for step in walk:
            x = step.x_prev
        return maths.picture(x).cpu()

    passes = torch.arange(n).split(BATCH)
    return torch.cat(device.side_by_side(drawn, passes) if _where(checkpoint).type == "cpu" else list(map(drawn, passes)))


def grid(checkpoint: Checkpoint, seeds: Sequence[int], y: int | None) -> Tensor:
    """One picture per seed, (N, C, H, W) in [0, 1], in GRID_STEPS steps of the fast solver; y None: classes in turn."""
    s, classes = schedule(checkpoint), checkpoint.model.config.classes
    labels = None
    if classes:
        labels = (torch.arange(len(seeds)) % classes if y is None else torch.full((len(seeds),), y)).to(_where(checkpoint))
    x = torch.cat([start_noise(checkpoint, seed) for seed in seeds])
    for step in maths.dpm_solver(denoiser(checkpoint, labels), x, maths.visited(min(GRID_STEPS, s.T), s.T), s, noise=None):
        x = step.x_prev
    return maths.picture(x).cpu()


# ---- films -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leg:
    """From time `start` on these choices hold; the first leg of a film starts at T, a later one where a branch begins."""

    start: int
    choice: Choice


Legs = tuple[Leg, ...]


def written(legs: Legs) -> str:
    """A film's decisions as text for a URL: the numbers of each leg joined by commas, the legs by semicolons."""
    return ";".join(",".join(map(str, (leg.start, c.seed, "-" if c.y is None else c.y, c.guidance, f"{c.scale:g}", c.sampler, c.steps, f"{c.eta:g}")))
                    for leg in legs for c in [leg.choice])


def read(text: object, T: int) -> Legs:
    """The decisions in `written`'s text, checked: `PlaygroundError` for what is no such text or out of range. "" is none."""
    legs: list[Leg] = []
    for part in _split(text, ";", LEGS):
        values = _split(part, ",", 8)
        if len(values) != 8:
            raise PlaygroundError("diffusion.legs")
        start, seed, y, guidance, scale, sampler, steps, eta = (inputs.parsed(value) for value in values)
        start = inputs.integer("t", start, 1, legs[-1].start if legs else T)
        legs.append(Leg(start, choice(seed, None if y == "-" else y, guidance, scale, sampler, steps, eta, T)))
    return tuple(legs)


def _split(text: object, sign: str, most: int) -> list[str]:
    if not isinstance(text, str):
        raise PlaygroundError("diffusion.legs")
    parts = text.split(sign, most) if text else []
    if len(parts) > most:
        raise PlaygroundError("diffusion.legs")
    return parts


def choice(seed: object, y: object, guidance: object, scale: object, sampler: object, steps: object, eta: object, T: int) -> Choice:
    """A Choice from values that came from outside, each checked. y: None for any class."""
    steps = inputs.integer("steps", steps, 1, 10**6)
    if steps > T:
        raise PlaygroundError("diffusion.steps", found=steps, expected=T)
    return Choice(inputs.seed(seed), None if y is None else inputs.integer("class", y, 0, 999), inputs.choice("guidance", guidance, GUIDANCE),
                  inputs.within("scale", scale, 0, SCALE_MAX), inputs.choice("sampler", sampler, SAMPLERS), steps,
                  inputs.within("eta", eta, 0, 1))


@dataclass(eq=False)
class Film:
    """The states a picture passes through: x at times[0], times[1], ... as far as it is computed, and what was predicted there."""

    checkpoint: Checkpoint
    legs: Legs
    times: list[int]
    begun: int = 0           # the first of its steps that is its own: those before belong to the film it branches from
    x: list[Tensor] = field(default_factory=list)             # (1, C, H, W) each, on the CPU
    x_0: list[Tensor] = field(default_factory=list)           # one less: as predicted from each x
    aims: list[Tensor] = field(default_factory=list)          # what the sampler aimed at: x_0, or its extrapolation
    weights: list[tuple[float, float, float]] = field(default_factory=list)      # a, b, sigma of each step
    calls: int = 0           # of the network, for its own steps
    seconds: float = 0.0     # spent computing them
    until: float = 0.0       # when nobody watches any more
    parent: "Film | None" = None           # whose steps before the branch are still to be taken over
    error: Exception | None = None
    _steps: Iterator[maths.Step] | None = None

    @property
    def steps(self) -> int:
        return len(self.times) - 1

    @property
    def reached(self) -> int:
        """Steps done."""
        return len(self.x) - 1

    @property
    def bytes(self) -> int:
        return (len(self.x) + len(self.x_0) + len(self.aims)) * self.x[0].numel() * 4

    def advance(self, seconds: float) -> None:
        """Compute steps for about so long, at least one, unless there are none left."""
        begin = time.perf_counter()
        while self.reached < self.begun:                      # the steps before the branch are the other film's
            if self.parent.reached == self.reached:
                self.parent.advance(0)
            k = self.reached
            self._append(self.parent.x_0[k], self.parent.aims[k], self.parent.weights[k], self.parent.x[k + 1])
            if time.perf_counter() - begin >= seconds:
                return
        self.parent = None
        if self._steps is None:
            self._steps = self._walk()
        for step in self._steps:
            x_0 = step.x_0.cpu()
            self._append(x_0, x_0 if step.aim is step.x_0 else step.aim.cpu(), (step.a, step.b, step.sigma), step.x_prev.cpu())
            self.calls += 1
            if time.perf_counter() - begin >= seconds:
                break
        self.seconds += time.perf_counter() - begin

    def _append(self, x_0: Tensor, aim: Tensor, weights: tuple[float, float, float], x: Tensor) -> None:
        self.x_0.append(x_0)
        self.aims.append(aim)
        self.weights.append(weights)
        self.x.append(x)

    def _walk(self) -> Iterator[maths.Step]:
        choice, s, where = self.legs[-1].choice, schedule(self.checkpoint), _where(self.checkpoint)
        y, before = None if choice.y is None else torch.tensor([choice.y], device=where), None
        if self.reached > self.begun:                         # going on after an error: the solver looks at the step before
            before = self.step(self.reached - 1)
            before = replace(before, x_0=before.x_0.to(where))
        return maths.SAMPLERS[choice.sampler](
            denoiser(self.checkpoint, y, choice.guidance, choice.scale), self.x[-1].to(where),
            self.times[self.reached:], s, step_noise(self.checkpoint, choice.seed), eta=choice.eta, before=before)

    def step(self, k: int) -> maths.Step:
        """What happened at step k, 0..reached - 1; no network is asked again."""
        t, t_prev, (a, b, sigma) = self.times[k], self.times[k + 1], self.weights[k]
        mean = a * self.aims[k] + b * self.x[k]
        eps = maths.forms(self.x_0[k], "x_0", self.x[k], t, schedule(self.checkpoint)).eps
        return maths.Step(t, t_prev, self.x[k], self.x_0[k], eps, self.aims[k], a, b, sigma, mean, self.x[k + 1])


_films: OrderedDict[tuple[int, Legs], Film] = OrderedDict()   # touched on the inference executor alone
_watched: deque[Film] = deque()                               # the first one's turn is next; as above


def film(checkpoint: Checkpoint, legs: Legs) -> Film:
    """The film of these decisions, new or kept; a branch shares the steps before it with the film it left."""
    key = (id(checkpoint.model), legs)
    if key not in _films:
        _films[key] = _begin(checkpoint, legs)
    _films.move_to_end(key)
    while len(_films) > 1 and (len(_films) > FILMS or sum(each.bytes for each in _films.values()) > FILM_BYTES):
        _films.popitem(last=False)
    return _films[key]


def _begin(checkpoint: Checkpoint, legs: Legs) -> Film:
    s, choice = schedule(checkpoint), legs[-1].choice
    if choice.y is not None:                                  # a trunk's comes from outside; on a GPU a wrong index ends the process
        _check_class(checkpoint)
        inputs.integer("class", choice.y, 0, checkpoint.model.config.classes - 1)
    if len(legs) == 1:
        return Film(checkpoint, legs, maths.visited(min(choice.steps, s.T), s.T), x=[start_noise(checkpoint, choice.seed).cpu()])
    parent, start = film(checkpoint, legs[:-1]), legs[-1].start
    at = min(range(len(parent.times)), key=lambda k: (abs(parent.times[k] - start), k))      # the nearest time it visits
    at = min(at, len(parent.times) - 2)
    start = parent.times[at]
    rest = maths.visited(max(1, min(start, round(choice.steps * start / s.T))), s.T, start)
    return Film(checkpoint, legs, parent.times[:at] + rest, at, x=[parent.x[0]], parent=parent)


def in_sight(checkpoint: Checkpoint, legs: Legs) -> Film:
    """The film of these decisions for somebody who looks at it: with one step at least, and being computed."""
    found = film(checkpoint, legs)
    if not found.reached:
        found.advance(0)
    watch(found)
    return found


def watch(film: Film) -> None:
    """Go on computing a film, in turns with whatever else the device is asked, until nobody has looked for WATCHED seconds.

    Raises what went wrong since the last look.
    """
    if film.error:
        error, film.error, film._steps = film.error, None, None          # the next look tries again
        raise error
    film.until = time.monotonic() + WATCHED
    if film not in _watched and film.reached < film.steps:
        _watched.append(film)
        if len(_watched) == 1:
            executor.submit(_pump)


def _pump() -> None:
    """One slice for the film whose turn it is. One job at a time: whoever drags a slider waits for no more than that."""
    film = _watched[0]
    try:
        if time.monotonic() < film.until:
            film.advance(SLICE)
    except Exception as error:                                # told to whoever looks next
        film.error = error
    _watched.popleft()
    if not film.error and film.reached < film.steps and time.monotonic() < film.until:
        _watched.append(film)
    if _watched:
        executor.submit(_pump)
