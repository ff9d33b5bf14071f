"""Middleware in front of every request: bodies are capped, and the browser is told to stay on this host."""

import json
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.errors import PlaygroundError

log = logging.getLogger("playground")

BODY_MAX = 1 << 20           # bytes of a request; no control of the page needs more

# Gradio compiles its templates in the page, hence 'unsafe-eval'; nothing may be fetched from elsewhere.
POLICY = ("default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
          "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'")
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}


class TooLarge(Exception):
    """The body outgrew its limit while it was being read."""


class Guard:
    """Pure ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if scope["path"].endswith("/upload"):                # no control of the page takes a file yet: nothing fills the disk
            return await _answer(send, 400, PlaygroundError("page.call"))
        if not declared.isdigit() or int(declared) > BODY_MAX:
            return await _refuse(send)
        received, started, refused = 0, False, False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_MAX:
                if not started:
                    refused = True
                    await _refuse(send)
                raise TooLarge
            return message

        async def with_headers(message: Message) -> None:
            nonlocal started
            if refused:                                       # what the application makes of the broken body
                return
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), *HEADERS.items()]
            await send(message)

        try:
            await self.app(scope, counted, with_headers)
        except TooLarge:
            if started:
                raise
        except Exception:                                     # Gradio's own, such as KeyError for a function that is not there
            if started:
                raise
            if refused:
                return
            log.warning("refused a request", exc_info=True)
            await _answer(send, 400, PlaygroundError("page.call"))


async def _refuse(send: Send) -> None:
    await _answer(send, 413, PlaygroundError("page.large", limit=BODY_MAX >> 10))


async def _answer(send: Send, status: int, error: PlaygroundError) -> None:
    """The sentence in both languages."""
    body = json.dumps({"error": error.sentences()}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"connection", b"close"), *HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
