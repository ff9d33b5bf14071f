"""Middleware in front of every request: bodies are capped, and the browser is told to stay on this host."""

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.errors import LANGUAGES, PlaygroundError

BODY_MAX = 1 << 20           # bytes of an ordinary request; no control of the page needs more
UPLOAD_MAX = 64 << 20        # bytes of a file upload

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
        limit = UPLOAD_MAX if scope["path"].endswith("/upload") else BODY_MAX
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            return await _refuse(send, limit)
        received, started = 0, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise TooLarge
            return message

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), *HEADERS.items()]
            await send(message)

        try:
            await self.app(scope, counted, with_headers)
        except TooLarge:
            if not started:
                await _refuse(send, limit)


async def _refuse(send: Send, limit: int) -> None:
    """413 with the sentence in both languages."""
    error = PlaygroundError("page.large", limit=limit >> 10)
    body = json.dumps({"error": {code: error.sentence(code) for code in LANGUAGES}}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
