"""Volumes that a visitor's browser renders itself (march.js), as a description and pictures that it may keep for ever.

    GET /volume/<name>?<query>                   {"version", "meta", "pictures": [their names]}, asked anew each time; 204 where there is none
    GET /volume/<name>/<version>/<picture>?<query>     a PNG; its address changes with its content
"""

import asyncio
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.errors import PlaygroundError
from .errors import visible

PATH = "/volume"
KEPT = 4                     # volumes whose pictures are at hand, a few MB each
WAITING_MAX = 64             # requests in line while one volume is packed

IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
ASK_AGAIN = {"Cache-Control": "no-cache"}


@dataclass(frozen=True)
class Volume:
    """What march.js needs to render; it says there what `meta` must hold and which pictures there must be."""

    meta: Mapping[str, Any]               # JSON-able
    pictures: Mapping[str, bytes]         # name -> PNG

    @cached_property
    def version(self) -> str:
        """Another one for any other content."""
        digest = hashlib.sha256(json.dumps(self.meta, sort_keys=True).encode())
        for name in sorted(self.pictures):
            digest.update(name.encode() + b"\0" + self.pictures[name])
        return digest.hexdigest()[:20]


Handler = Callable[[Mapping[str, str]], Volume | None]       # the query's parameters, all hostile -> a volume, where there is one

_handlers: dict[str, Handler] = {}
_kept: OrderedDict[tuple[str, str], Volume] = OrderedDict()
_packing = threading.Lock()              # packing one takes a second: beside the frames, not before them, and one at a time
_waiting = 0                             # touched by the event loop alone


def register(name: str, handler: Handler) -> None:
    """Serve volumes at /volume/<name>. The handler is called from threads of its own, one call at a time, and is asked for the
    same volume again and again: it keeps what it has packed."""
    _handlers[name] = handler


def routes() -> list[Route]:
    """For `launch(app_kwargs={"routes": ...})`."""
    return [Route(f"{PATH}/{{name}}", _describe, methods=["GET"]),
            Route(f"{PATH}/{{name}}/{{version}}/{{picture}}", _picture, methods=["GET"])]


async def _describe(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _handlers:
        return Response(status_code=404)
    found = await _made(name, request)
    if isinstance(found, Response):
        return found
    if found is None:
        return Response(status_code=204, headers=ASK_AGAIN)
    _keep(name, found)
    body = json.dumps({"version": found.version, "meta": found.meta, "pictures": list(found.pictures)}, allow_nan=False)
    return Response(body, media_type="application/json", headers=ASK_AGAIN)


async def _picture(request: Request) -> Response:
    name, version, picture = (request.path_params[key] for key in ("name", "version", "picture"))
    found = _kept.get((name, version))
    if found is None and name in _handlers:                   # forgotten, or the server was started again
        found = await _made(name, request)
        if isinstance(found, Response):
            return found
        if found is not None:
            _keep(name, found)
    if found is None or found.version != version or picture not in found.pictures:
        return Response(status_code=404)
    return Response(found.pictures[picture], media_type="image/png", headers=IMMUTABLE)


async def _made(name: str, request: Request) -> Volume | None | Response:
    """What the handler says to a query, or the answer that says why not."""
    global _waiting
    if _waiting >= WAITING_MAX:
        return _refusal(503, PlaygroundError("live.busy", found=_waiting))
    _waiting += 1
    try:
        return await asyncio.to_thread(_locked, _handlers[name], dict(request.query_params))
    except Exception as error:
        sentence = visible(error)
        return _refusal(500 if sentence.key == "page.ours" else 422, sentence)
    finally:
        _waiting -= 1


def _locked(handler: Handler, query: Mapping[str, str]) -> Volume | None:
    with _packing:
        return handler(query)


def _keep(name: str, volume: Volume) -> None:
    _kept[name, volume.version] = volume
    _kept.move_to_end((name, volume.version))
    while len(_kept) > KEPT:
        _kept.popitem(last=False)


def _refusal(status: int, error: PlaygroundError) -> Response:
    body = json.dumps({"error": error.sentences()}, ensure_ascii=False)
    return Response(body, status, media_type="application/json")
