"""The live view: what a visitor drags redraws a canvas at the rate of the finger (live.js is its other half).

A real `gr.Slider` fires a JavaScript-only event; the script asks a small stateless route for a frame (a PNG and a
header of numbers) and draws it. The newest request wins: the server skips what a newer one of the same page has
overtaken, the page never draws an older frame over a newer.
"""

import asyncio
import base64
import io
import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np
from gradio.components.base import Component
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.device import executor
from ..core.errors import PlaygroundError
from ..core.errors import register as register_sentences
from ..core.images import jpeg, png
from .errors import visible

PATH = "/live"
WAITING_MAX = 256            # requests in line for the inference thread, of all pages together
PAGES = 1024                 # pages whose newest request is remembered
GIF_SCALE, GIF_MS = 8, 120   # pixels of a GIF per pixel of a frame; ms of each of its pictures
NUMBERS_MAX = 16_384         # bytes of the header; proxies cut longer ones


@dataclass(frozen=True)
class Frame:
    """One answer of a live view."""

    picture: np.ndarray      # uint8, (H, W) or (H, W, 3)
    numbers: Mapping[str, Any] = field(default_factory=dict)      # JSON-able; shown wherever data-live names them
    film: Sequence[np.ndarray] = ()      # the same as moving pictures, each like `picture`; &film=gif asks for them
    passing: bool = False    # soon replaced by a better one: sent as JPEG, which is quicker than exact


Handler = Callable[[Mapping[str, str]], Frame]      # the query's parameters, all hostile -> a frame

_handlers: dict[str, Handler] = {}


def register(name: str, handler: Handler) -> None:
    """Serve a live view's frames at /live/<name>. The handler runs on the inference executor."""
    _handlers[name] = handler


def routes() -> list[Route]:
    """For `launch(app_kwargs={"routes": ...})`."""
    return [Route(f"{PATH}/{{name}}", _serve, methods=["GET"])]


class Newest:
    """The newest request number of each page and view, for the last PAGES of them."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def announce(self, key: tuple[str, str], number: int) -> None:
        with self._lock:
            self._numbers[key] = max(number, self._numbers.pop(key, 0))
            if len(self._numbers) > PAGES:
                self._numbers.popitem(last=False)

    def overtaken(self, key: tuple[str, str], number: int) -> bool:
        with self._lock:
            return self._numbers.get(key, 0) > number


_newest = Newest()
_waiting = 0                 # touched by the event loop alone

register_sentences({
    "live.busy": (
        "Too many visitors are drawing at this moment ({found} requests wait); the page asks again by itself.",
        "此刻绘制的访客过多（{found} 个请求在排队）；页面会自动重试。",
    ),
})


async def _serve(request: Request) -> Response:
    """200 with the frame, 204 when a newer request of this page made it pointless, 4xx or 503 with a sentence."""
    global _waiting
    handler = _handlers.get(request.path_params["name"])
    if handler is None:
        return Response(status_code=404)
    query = dict(request.query_params)
    key = (request.path_params["name"], query.pop("page", "")[:32])
    digits = query.pop("n", "")
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else 0
    if _waiting >= WAITING_MAX:
        return _refusal(503, PlaygroundError("live.busy", found=_waiting))
    if not key[1]:                                            # a program's request, not a page's: none overtakes it
        number = 0
    elif number:
        _newest.announce(key, number)
    _waiting += 1
    try:
        answer = await asyncio.wrap_future(executor.submit(_answer, handler, query, key, number))
    except Exception as error:
        sentence = visible(error)
        return _refusal(500 if sentence.key == "page.ours" else 422, sentence)
    finally:
        _waiting -= 1
    if answer is None:
        return Response(status_code=204)
    picture, numbers, kind = answer
    return Response(picture, media_type=kind, headers={"X-Numbers": numbers, "Cache-Control": "no-store"})


def _refusal(status: int, error: PlaygroundError) -> Response:
    body = json.dumps({"error": error.sentences()}, ensure_ascii=False)
    return Response(body, status, media_type="application/json")


def _answer(handler: Handler, query: Mapping[str, str], key: tuple[str, str], number: int) -> tuple[bytes, str, str] | None:
    if number and _newest.overtaken(key, number):
        return None
    start = time.perf_counter()
    frame = handler(query)
    numbers = {**frame.numbers, "ms": (time.perf_counter() - start) * 1e3}
    text = json.dumps(_rounded(numbers), separators=(",", ":"), allow_nan=False)
    assert len(text) <= NUMBERS_MAX
    if frame.film and query.get("film") == "gif":
        return _gif(frame.film), text, "image/gif"
    if frame.passing:
        return jpeg(frame.picture), text, "image/jpeg"
    return png(frame.picture), text, "image/png"


def _gif(film: Sequence[np.ndarray]) -> bytes:
    """There and back again, for ever."""
    first, *rest = (Image.fromarray(picture).resize((picture.shape[1] * GIF_SCALE, picture.shape[0] * GIF_SCALE), Image.Resampling.NEAREST)
                    for picture in (*film, *film[-2:0:-1]))
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=GIF_MS, loop=0)
    return buffer.getvalue()


def data_uri(picture: np.ndarray) -> str:
    """A picture as it may stand in JSON."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()


def _rounded(value: Any) -> Any:
    """Numbers as the page needs them: five digits, and null for what is not finite."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        rounded = float(f"{value:.5g}")                       # the largest floats round to infinity
        return rounded if math.isfinite(rounded) else None
    return value


class View(gr.HTML):
    """A canvas that shows the frames of one live view.

    picks: what choosing each tile means, in both languages; then they are buttons, and the event `.pick` comes with
    the tile's index as the view's value. (Not `pick`: Gradio reads an attribute of each parameter's name into the page's
    config, and the event's would bring the whole page with it, copied anew for every visitor.) captions: HTML below each tile.
    name: as registered. tiles: pictures side by side in each frame, each drawn on a canvas of its own.
    alt: what the picture shows, HTML in both languages, read out to who cannot see it.
    elsewhere: the tiles are drawn on canvases with data-mirror="<name>:<tile>" alone. every: ms between two frames at least,
    for what need not follow the finger; the last one is always asked for. lazy: ask only when about to be scrolled into sight.
    A frame whose numbers hold a true "more" is not the last one of its query: the page asks the same again.
    moving: what is added to the query while one follows another, such as "quality=coarse"; without it the frame is asked for
    again once nothing has moved for a fifth of a second.
    """

    def __init__(self, name: str, *, alt: str, tiles: int = 1, captions: Sequence[str] = (), picks: Sequence[str] = (),
                 elsewhere: bool = False, every: int = 0, lazy: bool = False, moving: str = "", **kwargs: Any) -> None:
        button = 'role="button" tabindex="0"' if picks else ""
        names = [f'<span class="visually-hidden">{pick}</span>' for pick in picks] or [""] * tiles
        names = [name + caption for name, caption in zip(names, [*captions, *[""] * (tiles - len(captions))])]
        figures = "".join(
            f'<figure data-tile="{i}" {button}><canvas width="28" height="28" role="img" aria-labelledby="{_id(name)}-alt"></canvas>'
            f"<figcaption>{names[i]}</figcaption></figure>" for i in range(0 if elsewhere else tiles))
        super().__init__(
            html_template=f'<div class="live-view" data-view="{name}" data-tiles="{tiles}" data-every="{every}" data-moving="{moving}"{" data-lazy" * lazy}><div class="live-tiles">{figures}</div>'
                          f'<span id="{_id(name)}-alt" class="visually-hidden">{alt}</span>'
                          '<p class="live-status" role="status"></p></div>',
            js_on_load="window.playground.live.mount(element, props, trigger) /* 'pick' */",
            apply_default_css=False, elem_id=_id(name), **kwargs)
        self.view, self.parameters = name, {}

    def follow(self, **parameters: Component | Sequence[Component]) -> None:
        """Ask for a frame whenever one of the components changes (State.wire does it): their values are the route's
        query parameters of these names, those of several components joined by commas."""
        self.parameters = {name: [c] if isinstance(c, Component) else list(c) for name, c in parameters.items()}


class Rest(gr.HTML):
    """Nothing to see; its event `.rest` comes when a live view's last frame has stood for a while, and this is in sight: for what
    an ordinary event draws after it."""

    def __init__(self, name: str, *, ms: int = 400, **kwargs: Any) -> None:
        super().__init__(html_template="<i></i>", js_on_load=f"window.playground.live.rest(element, '{name}', {ms}, trigger) /* 'rest' */",
                         apply_default_css=False, **kwargs)


def _id(name: str) -> str:
    return "live-" + name.replace(".", "-")
