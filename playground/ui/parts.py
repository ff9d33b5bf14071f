"""Controls that tabs share. Their values reach the handlers as they came: the handlers check them (core/inputs.py)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import gradio as gr

from ..core import checkpoints, inputs, jobs
from ..core.images import PAD
from ..core.inputs import SEED_MAX
from .i18n import both, t


class Slider(gr.Slider):
    """A slider whose value is checked by the handler alone: Gradio's own refusal knows one language only."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Dropdown(gr.Dropdown):
    """A dropdown whose value is checked by the handler alone."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Radio(gr.Radio):
    """Choices side by side whose value is checked by the handler alone."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class CheckboxGroup(gr.CheckboxGroup):
    """Several choices at once whose value is checked by the handler alone."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Number(gr.Number):
    """A number box whose value is checked by the handler alone."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Pad(gr.HTML):
    """A pad to draw on; its value is the drawing as `images.pack_drawing` writes it, "" when empty.

    Events: `.change` at each movement, `.release` when a stroke ends or the pad is cleared.
    alt: what it is for, HTML in both languages, read out to who cannot see it.
    """

    def __init__(self, *, alt: str, elem_id: str, **kwargs: Any) -> None:
        super().__init__(
            value="", elem_id=elem_id,
            html_template=f'<div class="pad"><canvas width="{PAD}" height="{PAD}" role="img" aria-labelledby="{elem_id}-alt"></canvas>'
                          f'<span id="{elem_id}-alt" class="visually-hidden">{alt}</span>'
                          f'<button type="button" class="quiet">{both("pad.clear")}</button></div>',
            js_on_load="window.playground.pad.mount(element, props, trigger, watch) /* 'release' */",
            apply_default_css=False, **kwargs)


class Player(gr.HTML):
    """Plays the film of a live view, step by step, there and back; its value is the step in sight, -1 for the last there is.

    The view follows it, and says with each frame: k, the step shown; total, how many there are; t and t_prev, where it has a time;
    lasts, for how many ms, where it is not the usual tenth of a second.
    """

    def __init__(self, view: str, *, alt: str, elem_id: str, **kwargs: Any) -> None:
        buttons = "".join(f'<button type="button" class="quiet" data-do="{do}"><span aria-hidden="true">{sign}</span>'
                          f'<span class="visually-hidden">{both(f"player.{do}")}</span></button>' for do, sign in
                          {"first": "«", "back": "‹", "next": "›", "last": "»"}.items())
        super().__init__(
            value=-1, elem_id=elem_id, apply_default_css=False,
            html_template=f'<div class="player" data-player="{view}"><div class="keys"><button type="button" class="play" data-do="play" aria-labelledby="{elem_id}-play">▶</button>{buttons}'
                          f'<output></output></div><input type="range" min="0" max="0" step="1" value="0" aria-labelledby="{elem_id}-alt"><span class="visually-hidden" id="{elem_id}-alt">{alt}</span>'
                          f'<span class="visually-hidden" id="{elem_id}-play">{both("player.play")}</span></div>',
            js_on_load="window.playground.player.mount(element, props, trigger, watch)", **kwargs)

    def preprocess(self, payload: Any) -> Any:
        return payload

    def postprocess(self, value: Any) -> Any:
        return value


class Bars(gr.HTML):
    """A row of labelled bars for a list of numbers >= 0, those below `dead` greyed."""

    def __init__(self, *, dead: float, **kwargs: Any) -> None:
        super().__init__(
            value=[],
            html_template=f'<ol class="bars" data-dead="{dead}"></ol>',
            js_on_load="window.playground.bars.mount(element, props, watch)",
            apply_default_css=False, **kwargs)

    def postprocess(self, value: list[float] | None) -> list[float]:
        return [float(number) for number in value or []]


def heading(title: str, text: str) -> str:
    """A section's title and its sentence of what to try, and what to notice."""
    return f"<h2>{both(title)}</h2><p>{both(text)}</p>"


def now(name: str) -> str:
    """A number of a live view, "<view>:<key>", as it is at this moment."""
    return f'<b data-live="{name}">–</b>'


def numbers(*pairs: tuple[str, str]) -> str:
    """At most three numbers beside a picture: ("<view>:<key>", key of its label)."""
    cells = "".join(f'<div>{now(name)}<span>{both(key)}</span></div>' for name, key in pairs)
    return f'<div class="numbers">{cells}</div>'


def lines(view: str, curves: Mapping[str, tuple[str, str]], *, alt: str, x: str = "", at: str = "", low: float | None = None,
          high: float | None = None, log: bool = False, dashed: Collection[str] = (), first: str = "", last: str = "",
          slope: str = "", ends: str = "", ticks: Mapping[str, tuple[str, str]] = {}, chips: str = "", dots: bool = False) -> str:
    """Curves from a live view's lists of numbers, drawn by bars.js, with their legend.

    curves: key of a list -> (CSS variable of its colour, key of its label). x: key of the list of their places, else equal
    steps. at: key of a number, a place marked by a line. low, high: of the axis, else those of the data. log: a logarithmic one.
    first, last: what stands at the ends of the axis, else the first and last place. alt: key of what it shows.
    dots: the values are dots too, that at the marked place a large one. slope: key of a number; so are they then, with a dashed line of
    that slope.
    ends: key of the places where the axis begins and ends, else those of the data. Below it: ticks, like curves, whose lists hold
    places; chips, key of a list of colours "rrggbb", one for each place.
    """
    data = {"lines": f"{view}:{','.join(curves)}", "colours": ",".join(colour for colour, _ in curves.values()), "x": x, "at": at,
            "low": low, "high": high, "log": "y" if log else "", "dashed": ",".join(dashed), "first": first, "last": last, "slope": slope,
            "ends": ends, "ticks": ",".join(ticks), "tints": ",".join(colour for colour, _ in ticks.values()), "chips": chips, "dots": "1" * dots}
    attributes = "".join(f' data-{name}="{value}"' for name, value in data.items() if value not in ("", None))
    name = f"{view}-{'-'.join(curves)}".replace(".", "-")
    kinds = {**dict.fromkeys(dashed, ' class="dashed"'), **dict.fromkeys(ticks, ' class="ticks"')}
    legend = "".join(f'<span style="--line: var({colour})"{kinds.get(key, "")}>{both(label)}</span>' for key, (colour, label) in {**curves, **ticks}.items())
    return (f'<canvas class="lines"{attributes} role="img" aria-labelledby="{name}"></canvas><p class="legend">{legend}</p>'
            f'<span class="visually-hidden" id="{name}">{both(alt)}</span>')


def formulas(title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """A section of formulas: what each says, its LaTeX, and itself with the numbers of this moment (HTML)."""
    gr.HTML(f"<h2>{both(title)}</h2>")
    for key, latex, substituted in rows:
        formula(key, latex, substituted)


def formula(key: str, latex: str, substituted: str, more: str = "") -> None:
    """One formula: what it says, its LaTeX, itself with the numbers of this moment, and more of it (HTML).

    All in one component: what the page costs its visitor at the opening grows with the square of their number.
    """
    gr.Markdown(f'<div>\n\n{both(key)}\n\n</div><div>\n\n$${latex}$$\n\n<p class="substituted">{substituted}</p>{more}</div>',
                latex_delimiters=[{"left": "$$", "right": "$$", "display": True}], sanitize_html=False, elem_classes="formula")


def checkpoint_names(family: str, visitor: str = "", only: Mapping[str, Any] = {}, first: str = "", aside: Collection[str] = ()) -> list[str]:
    """All checkpoints of a family that a visitor may see, the shipped ones first.

    visitor: the secret of their browser. only: what fields of its ModelConfig must be (a family's `config.PICKED`). first: the
    one a tab opens on, where there are several. aside: shipped ones that serve a single view (a family's `config.ASIDE`).
    """
    entries = [entry for entry in checkpoints.entries()
               if entry.family == family and only.items() <= entry.config["model"].items() and not (entry.shipped and entry.name in aside)]
    if jobs.public():
        mine = {run.name for run in jobs.visible(visitor, family)}
        entries = [entry for entry in entries if entry.shipped or entry.name in mine or entry.name.removesuffix("-best") in mine]
    return [entry.name for entry in sorted(entries, key=lambda entry: (not entry.shipped, entry.name != first, entry.name))]


def checkpoint_named(family: str, name: str, only: Mapping[str, Any] = {}) -> str:
    """`name` if it is a checkpoint of the family: one of the list, or whoever knows its name (a link to a trained model)."""
    names = checkpoint_names(family, only=only)
    if name not in names and any(entry.name == name and entry.family == family for entry in checkpoints.entries()):
        return name
    return inputs.choice("model", name, names)


def checkpoint_picker(family: str, only: Mapping[str, Any] = {}, first: str = "", aside: Collection[str] = ()) -> Dropdown:
    names = checkpoint_names(family, only=only, first=first, aside=aside)
    return Dropdown(names, value=names[0] if names else None, label=t("part.checkpoint"), filterable=False)


def seed_box() -> Number:
    return Number(0, label=t("part.seed"), precision=0, minimum=0, maximum=SEED_MAX)
