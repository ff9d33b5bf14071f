"""A tab's scalar controls and their short names in the URL (state.js writes it): opening the URL restores them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components.base import Component

from ..core.errors import PlaygroundError
from . import i18n

Restore = Callable[[str], list[Any]]         # a field's text -> one value per component, or PlaygroundError


@dataclass(frozen=True)
class Field:
    """One name in the URL: the components it stands for, and how its text becomes their values."""

    name: str
    components: Sequence[Component]
    restore: Restore
    default: str = ""        # the text that need not be written


class State:
    """What a tab keeps in the URL, as `<tab>.<name>=<text>`."""

    def __init__(self, tab: str, fields: Sequence[Field]) -> None:
        self.tab, self.fields = tab, list(fields)

    @property
    def components(self) -> list[Component]:
        return [component for field in self.fields for component in field.components]

    def wire(self) -> None:
        """Write the URL whenever a component changes; in the browser alone, the server is not asked."""
        layout = [[field.name, field.default, len(field.components)] for field in self.fields]
        js = f"(...values) => {{ playground.state.write({json.dumps(self.tab)}, {json.dumps(layout)}, values); return []; }}"
        events = [component.change for component in self.components]
        gr.on(events, None, self.components, None, js=js, queue=False, trigger_mode="multiple", api_visibility="private")

    def read(self, query: Mapping[str, str]) -> dict[str, list[Any]]:
        """The fields the URL names, name -> values. One that is no longer valid is reported to the visitor and left out."""
        values: dict[str, list[Any]] = {}
        for field in self.fields:
            text = query.get(f"{self.tab}.{field.name}")
            if text is None:
                continue
            try:
                values[field.name] = field.restore(text)
            except PlaygroundError as error:
                gr.Warning(i18n.sentence(error))
        return values
