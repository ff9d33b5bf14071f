"""The whole page: a header, the overview, one tab per family, and how it is served."""

import logging
import os
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from . import families, overview
from .core import jobs
from .core.errors import PlaygroundError
from .ui import guard, head, i18n, live, text, training, volume

log = logging.getLogger("playground")

UI = Path(__file__).parent / "ui"
SESSIONS = 256                       # visitors whose page Gradio remembers, about a megabyte each; it lays out a forgotten one anew

THEME = gr.themes.Base(
    primary_hue="orange", secondary_hue="blue", neutral_hue="slate", radius_size="md",
    font=["system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif"],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
).set(
    body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950",
    block_border_width="0px", block_shadow="none", block_label_background_fill="transparent",
    slider_color="#00806a", slider_color_dark="#3fc7a6",
    button_primary_background_fill="#d55e00", button_primary_background_fill_hover="#b84f00",
    button_primary_background_fill_dark="#c75800", button_primary_text_color="white",
)


# What a tab shows of another family: family -> a parameter of its `build` -> what gives it, when it is asked.
BORROWED = {
    "ae": {"vae": lambda: families.load("vae", "sample").plane()},
    "gan": {"ae": lambda: families.load("ae", "sample").copies()},
}


class Page(gr.Blocks):
    """Blocks that refuse in our words what Gradio itself refuses before a handler sees it (a wrong number of inputs, a
    file that nobody uploaded): it would send an error without a text."""

    async def process_api(self, *args: Any, request: Any = None, **kwargs: Any) -> dict[str, Any]:
        try:
            return await super().process_api(*args, request=request, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            log.warning("refused a call", exc_info=error)
            raise gr.Error(PlaygroundError("page.call").sentence(i18n.language(request)), title="", print_exception=False) from None


def build() -> gr.Blocks:
    """The page with all its tabs, laid out and wired, not yet served. Imports no torch."""
    for family in families.FAMILIES:
        i18n.register(families.load(family, "text").TEXT)
    with Page(title=" · ".join(text.TEXT["page.title"]), analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.HTML(_header(), apply_default_css=False, elem_id="page-header", js_on_load=None)
        with gr.Tabs(elem_id="families", overflow_behavior="wrap"):
            with gr.Tab(i18n.t("overview.tab"), id=overview.ID) as tab:
                overview.build(tab)
            for family in families.FAMILIES:
                with gr.Tab(i18n.t(f"{family}.tab"), id=family) as tab:
                    families.load(family, "tab").build(tab, **BORROWED.get(family, {}))
    return page


def launch_options(language: str | None = None) -> dict[str, Any]:
    """Keyword arguments for `Blocks.launch`: the look, the scripts, the live routes and what a public page must set."""
    return {
        "theme": THEME,
        "css_paths": UI / "style.css",
        "i18n": i18n.bundle(),
        "app_kwargs": {
            "routes": [*live.routes(), *volume.routes(), *training.routes(), *head.routes()],
            "middleware": [Middleware(guard.Guard), Middleware(head.ScriptFirst, language=language or "", tabs=(overview.ID, *families.FAMILIES))],
        },
        "ssr_mode": False,               # the page's script must run before Gradio's, in the browser
        "show_error": False,             # our sentences are shown anyway; nobody's exception text is
        "run_history": False,            # halves the rate of ordinary events
        "enable_monitoring": False,
        "max_file_size": jobs.limits().upload,
        "state_session_capacity": SESSIONS,
        "footer_links": ["api"],
        "quiet": True,
        "pwa": False,
    }


def queue(page: gr.Blocks) -> gr.Blocks:
    """Bounds on what waits (a class that opens the page together fits); the API never answers around them.

    After each event Gradio would summarise all the last ones for a monitor that is off here: 30 ms of pandas once some thousands
    were counted. It reads these two when the queue is made.
    """
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"], os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1", str(sys.maxsize)
    return page.queue(max_size=1024, api_open=False, default_concurrency_limit=8)


def warm_up() -> None:
    """Import torch and load what the first view needs, while the visitor's browser is still loading the page."""
    from .core.device import executor

    for family in families.FAMILIES:
        executor.submit(families.load(family, "tab").warm_up).add_done_callback(_log_failure)


def leave() -> None:
    """The server ends: its trainings save and stop; they can be resumed."""
    jobs.place.leave()


def _log_failure(future: Future) -> None:
    if error := future.exception():
        log.error("warming up failed", exc_info=error)


def _header() -> str:
    both = i18n.both
    return (f'<header><div><h1>{both("page.title")}</h1><p>{both("page.claim")}</p></div><nav>'
            f'<button type="button" class="quiet" id="language" data-action="language">'
            f'<span lang="en">中文</span><span lang="zh">English</span></button>'
            f'<button type="button" class="quiet" id="theme" data-action="theme">{both("page.theme")}</button>'
            f'<button type="button" class="quiet" id="link" data-action="link"><span class="todo">{both("page.link")}</span>'
            f'<span class="done">{both("page.copied")}</span></button></nav></header>')
