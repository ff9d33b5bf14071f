"""Middleware in front of every request: bodies are capped, and the browser is told to stay on this host."""

import json
import logging
import time
from collections import deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core import jobs
from ..core.errors import PlaygroundError

log = logging.getLogger("playground")

BODY_MAX = 1 << 20           # bytes of a request; no control of the page needs more, but for uploads (jobs.limits)
UPLOADS_PER_HOUR = 2 * 10**9             # bytes

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


class Budget:
    """Bytes of uploads within an hour, of all visitors together: an upload that nobody uses must not fill the disk."""

    def __init__(self, per_hour: int = UPLOADS_PER_HOUR) -> None:
        self.per_hour, self._taken = per_hour, deque()

    def take(self, count: int) -> bool:
        """Whether `count` bytes more are allowed now; then they count."""
        now = time.monotonic()
        while self._taken and now - self._taken[0][0] > 3600:
            self._taken.popleft()
        if sum(taken for _, taken in self._taken) + count > self.per_hour:
            return False
        self._taken.append((now, count))
        return True


class Guard:
    """Pure ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.uploads = app, Budget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        limit = BODY_MAX
        if scope["path"].endswith("/upload"):                # a visitor's own pictures, for the training panel
            limit = jobs.limits().upload + BODY_MAX
            if not self.uploads.take(int(declared) if declared.isdigit() else limit):
                return await _answer(send, 503, PlaygroundError("page.uploads"))
        if not declared.isdigit() or int(declared) > limit:
            return await _refuse(send, limit)
        received, started, refused = 0, False, False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                if not started:
                    refused = True
                    await _refuse(send, limit)
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


async def _refuse(send: Send, limit: int) -> None:
    await _answer(send, 413, PlaygroundError("page.large", limit=limit >> 10))


async def _answer(send: Send, status: int, error: PlaygroundError) -> None:
    """The sentence in both languages."""
    body = json.dumps({"error": error.sentences()}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"connection", b"close"), *HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
