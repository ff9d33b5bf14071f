"""A tab's scalar controls and their short names in the URL (state.js writes it): opening the URL restores them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
from gradio.components.base import Component

from ..core import images
from ..core.errors import PlaygroundError
from . import i18n
from .errors import guarded
from .live import View

SCRIPT = dict(queue=False, trigger_mode="multiple", api_visibility="private")        # events the browser answers alone
Restore = Callable[[str], list[Any]]         # a field's text -> one value per component, or PlaygroundError


@dataclass(frozen=True)
class Field:
    """One name in the URL: the components it stands for, and how its text becomes their values."""

    name: str
    components: Sequence[Component]
    restore: Restore
    default: str | None = ""             # the text that need not be written; None: what the tab opened with


def restore_drawing(text: str) -> list[str]:
    """Of a pad: an emptied one stands in the URL as nothing; it is not the untouched one, which does not stand there."""
    return [images.pack_drawing(images.unpack_drawing(text)) if text else ""]


class State:
    """What a tab keeps in the URL, as `<tab>.<name>=<text>`, the live views that follow it, and how it opens."""

    def __init__(self, tab: gr.Tab, fields: Sequence[Field], views: Sequence[View] = ()) -> None:
        self.tab, self.fields, self.views = tab, list(fields), list(views)

    def wire(self, opening: Callable[[Mapping[str, list[Any]]], list[Any]], outputs: Sequence[Component]) -> None:
        """Keep the URL and the views in step with the components, and restore them at the tab's first opening.

        Each component tells the script its own value alone: gathering all of a tab's values is what a change costs, so the
        script asks for it through `gather` where one value does not say it all.
        opening: from the fields that the URL names, name -> values, to the values of `outputs`.
        """
        groups = [field.components for field in self.fields] + [group for view in self.views for group in view.parameters.values()]
        components = list(dict.fromkeys(component for group in groups for component in group))
        places = lambda group: [components.index(component) for component in group]      # noqa: E731
        layout = {
            "tab": self.tab.id,
            "fields": [[field.name, field.default, places(field.components)] for field in self.fields],
            "views": [[view.view, [[name, places(group)] for name, group in view.parameters.items()]] for view in self.views],
        }
        tab = json.dumps(self.tab.id)
        script = f"(...values) => {{ playground.state.%s({tab}, values); return []; }}"
        for place, component in enumerate(components):
            component.change(None, component, None, js=f"(value) => {{ playground.state.moved({tab}, {place}, value); return []; }}", **SCRIPT)
        whole = gr.HTML(visible="hidden", html_template="", apply_default_css=False,          # tells all of the tab's values
                        js_on_load=f"playground.state.mount({tab}, trigger) /* 'gather', 'opening' */")
        whole.gather(None, components, None, js=script % "changed", **SCRIPT)
        self.tab.select(None, None, None, js=f"() => {{ playground.state.select({tab}); return []; }}", **SCRIPT)
        gr.context.Context.root_block.load(None, None, None, js="() => { playground.state.load(); return []; }", **SCRIPT)

        @guarded
        def restore(query: Any, *_: Any) -> list[Any]:
            if not isinstance(query, str):                   # not of our script
                return [gr.skip()] * len(outputs)
            try:
                return opening(self.read(dict(parse_qsl(query, keep_blank_values=True))))
            except PlaygroundError as error:                 # what the URL names cannot be had: open as if it named nothing
                _warn(error)
                return opening({})

        query = gr.JSON(visible=False)       # carries the URL's query from the script to the handler
        answer = restore if len(outputs) > 1 else lambda *given: restore(*given)[0]          # Gradio takes one output's value bare
        ask = f"(_, ...values) => [playground.state.opening({json.dumps(layout)}, values), ...values]"
        whole.opening(answer, [query, *components], list(outputs), js=ask, show_progress="hidden",
                      concurrency_limit=None, api_visibility="private").then(                   # queued: warnings are sent that way alone
            None, components, None, js=script % "answered", queue=False, api_visibility="private")

    def read(self, query: Mapping[str, str]) -> dict[str, list[Any]]:
        """The fields a query names, name -> values. One that is no longer valid is reported to the visitor and left out."""
        values: dict[str, list[Any]] = {}
        for field in self.fields:
            text = query.get(f"{self.tab.id}.{field.name}")
            if text is None:
                continue
            try:
                values[field.name] = field.restore(text)
            except PlaygroundError as error:
                _warn(error)
        return values


def _warn(error: PlaygroundError) -> None:
    gr.Warning(i18n.sentence(error), title=i18n.say("page.warning"))
