"""The page's first tab: all families in one table, drawn live and measured, and the thread from each to the next.

    +-- a seed for all -------------------------------------------------------------------+
    +-- a row per family: its pictures, what it is, what it can, what was measured -------+
    +-- what the next one does about it; the next row ... --------------------------------+

A family brings its row with it: sentences in its `text.py` ("<family>.overview.<cell>"), and in its `config.OVERVIEW` which
figures of its model's card the columns show.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr

from . import families
from .core import checkpoints, images, inputs
from .core.device import executor
from .ui import live, parts
from .ui.i18n import both, t
from .ui.state import SCRIPT, Field, State

ID = "overview"
PICTURES = 4                 # of each family, of one seed
ABILITIES = ("encode", "sample", "likelihood")                # sentences
FIGURES = ("frechet", "precision", "recall", "seconds")       # of the card; and bytes


def build(tab: gr.Tab) -> None:
    """Lay out the tab inside the current gr.Tab, then wire it."""
    with gr.Column(elem_classes="section", elem_id="overview"):
        gr.HTML(parts.heading("overview.title", "overview.try"))
        with gr.Row(elem_classes="controls seeded"):
            seed = parts.seed_box()
            others = gr.Button(t("overview.others"), variant="primary", elem_id="overview-others", size="md")
        gr.HTML(_table(), js_on_load=None, apply_default_css=False)
        gr.HTML(f'<p class="caption">{both("overview.notes")}</p>')
        views = [live.View(f"{ID}.{family}", alt=both(f"{family}.tab"), tiles=PICTURES, elsewhere=True, elem_classes="aside") for family in families.FAMILIES]
    for family, view in zip(families.FAMILIES, views):
        view.follow(seed=seed)
        live.register(view.view, partial(frame, family))
    others.click(None, seed, seed, js=f"(seed) => (Number(seed) + 1) % {inputs.SEED_MAX + 1}", **SCRIPT)
    state = State(tab, [Field("seed", [seed], lambda text: [inputs.seed(inputs.parsed(text))], default="0")], views=views)
    state.wire(lambda restored: restored.get("seed", [0]), [seed])


def warm_up() -> None:
    """Draw each family's pictures once."""
    for family in families.FAMILIES:
        executor.submit(frame, family, {"seed": "0"})


def frame(family: str, query: Mapping[str, str]) -> live.Frame:
    """PICTURES pictures of the family's first model, as `python -m playground sample` draws them, and how long each took, in ms."""
    seed, name = inputs.seed(inputs.parsed(query.get("seed"))), families.load(family, "config").FIRST
    begun = time.perf_counter()
    pictures = families.load(family, "sample").images(name, PICTURES, seed)
    return live.Frame(images.strip(pictures), {"ms": 1000 * (time.perf_counter() - begun) / PICTURES, "seed": seed})


# How it looks.


def figures(family: str) -> dict[str, str]:
    """What the card of a family's first model says, as the table writes it: of FIGURES, of whatever its sentences name, and bytes."""
    config = families.load(family, "config")
    entry = next((each for each in checkpoints.entries() if each.shipped and each.name == config.FIRST), None)
    if entry is None:
        return dict.fromkeys([*FIGURES, *config.OVERVIEW, "bytes"], "–")
    found = {name: _number(entry.config["metrics"], key) for name, key in config.OVERVIEW.items()}
    return {**dict.fromkeys(FIGURES, "–"), **found, "bytes": f"{entry.bytes / 1e6:.1f} MB"}


def _number(metrics: Mapping[str, Any], key: str) -> str:
    value = metrics.get(key)
    if not isinstance(value, (int, float)):
        return "–"
    if key.startswith("seconds"):
        return f"{value:.2g} s" if value >= 0.1 else f"{1000 * value:.2g} ms"
    return f"{value:.3g}"


def _table() -> str:
    """A row per family that leads to its tab; between two rows what the next one does about it; last, real pictures."""
    columns = "".join(f'<th scope="col">{both(f"overview.{name}")}</th>' for name in (*ABILITIES, *FIGURES, "bytes"))
    rows = "".join(_row(family, figures(family), last=family == families.FAMILIES[-1]) for family in families.FAMILIES)
    return f'<table class="overview"><thead><tr><th></th><th></th>{columns}</tr></thead><tbody>{rows}{_real()}</tbody></table>'


def _row(family: str, shown: Mapping[str, str], last: bool) -> str:
    def cell(name: str, value: str, kind: str = "") -> str:
        return f'<td class="{kind}"><span class="label">{both(f"overview.{name}")}</span><span>{value}</span></td>'

    pictures = "".join(f'<canvas data-mirror="{ID}.{family}:{i}" width="28" height="28"></canvas>' for i in range(PICTURES))
    just_now = f'<span class="now">{both("overview.now")} {parts.now(f"{ID}.{family}:ms")} ms</span>'
    cells = [cell(name, both(f"{family}.overview.{name}", **shown)) for name in ABILITIES]
    cells += [cell(name, shown[name] + just_now * (name == "seconds"), "measure") for name in (*FIGURES, "bytes")]
    thread = "" if last else f'<tr class="thread"><td colspan="{2 + len(cells)}">{both(f"{family}.overview.next", **shown)}</td></tr>'
    return (f'<tr data-opens="{family}"><td class="drawn"><a href="?tab={family}" tabindex="-1" aria-hidden="true">{pictures}</a></td>'
            f'<th scope="row"><a href="?tab={family}">{both(f"{family}.tab")}</a><p>{both(f"{family}.overview.what", **shown)}</p></th>{"".join(cells)}</tr>{thread}')


def _real() -> str:
    """What as many real training pictures reach: the best that a model could."""
    cards = [entry.config["metrics"] for entry in checkpoints.entries() if entry.shipped and "training_images_frechet" in entry.config["metrics"]]
    if not cards:
        return ""
    values = "".join(f'<td class="measure"><span class="label">{both(f"overview.{name}")}</span><span>{_number(cards[0], f"training_images_{name}")}</span></td>'
                     for name in FIGURES if name != "seconds")
    return f'<tr class="real"><td></td><th scope="row">{both("overview.real")}</th><td></td><td></td><td></td>{values}<td></td><td></td></tr>'
