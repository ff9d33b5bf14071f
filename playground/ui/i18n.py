"""Two languages: labels of components by `t`, text made in Python by `both`, the visitor's choice by `language`."""

import html
from collections.abc import Mapping

import gradio as gr
from gradio.context import LocalContext
from gradio.i18n import I18nData

from ..core.errors import LANGUAGES, PlaygroundError
from .text import TEXT

COOKIE = "playground_language"           # set by the page's script (ui/page.js), read here

_TEXT: dict[str, tuple[str, str]] = dict(TEXT)


def register(text: Mapping[str, tuple[str, str]]) -> None:
    """Add a part's visible strings, key -> (English, Chinese). The same pair may be registered again."""
    for key, pair in text.items():
        assert _TEXT.setdefault(key, pair) == pair, f"two texts for {key}"


def t(key: str) -> I18nData:
    """A component's label, placeholder or Markdown, in the visitor's language (chosen in the browser)."""
    assert key in _TEXT, f"no text for {key!r}"
    return I18nData(key)


def both(key: str, **values: object) -> str:
    """HTML with the text in both languages, of which CSS shows one; `{name}` stands for a value, escaped."""
    return spans(*(text.format(**{k: html.escape(str(v)) for k, v in values.items()}) for text in _TEXT[key]))


def say(key: str) -> str:
    """The text in the visitor's language, inside a handler."""
    return _TEXT[key][LANGUAGES.index(language())]


def spans(english: str, chinese: str) -> str:
    """Both languages' HTML side by side, of which CSS shows one."""
    return f'<span lang="en">{english}</span><span lang="zh">{chinese}</span>'


def bundle() -> gr.I18n:
    """All registered strings for `launch(i18n=...)`; Gradio finds "zh" for every Chinese locale."""
    return gr.I18n(**{code: {key: pair[i] for key, pair in _TEXT.items()} for i, code in enumerate(LANGUAGES)})


def language(request: gr.Request | None = None) -> str:
    """The visitor's language inside a handler: their choice (a cookie), else what their browser prefers, else English."""
    request = request or LocalContext.request.get(None)
    if request is None:
        return LANGUAGES[0]
    chosen = getattr(request, "cookies", {}).get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    accepted = getattr(request, "headers", {}).get("accept-language", "")
    return "zh" if accepted.lower().startswith("zh") else LANGUAGES[0]


def sentence(error: PlaygroundError) -> str:
    """The error in the visitor's language, safe to show as HTML."""
    return html.escape(error.sentence(language()), quote=False)
