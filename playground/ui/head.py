"""The page's own script, put before Gradio's: the language must be known when Gradio picks its translations.

`launch(head=...)` comes too late, its scripts run after Gradio has started.
"""

from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCRIPTS = ("page.js", "state.js", "bars.js", "plane.js", "cursor.js", "ring.js", "keyframes.js", "orbit.js", "march.js", "live.js", "pad.js", "player.js", "training.js")       # in the order in which they need each other
PATH = "playground.js"


def routes() -> list[Route]:
    """Serve the scripts as one file."""
    return [Route(f"/{PATH}", _serve, methods=["GET"])]


async def _serve(request: Request) -> Response:
    script = "\n".join((Path(__file__).parent / name).read_text("utf-8") for name in SCRIPTS)
    return Response(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


class ScriptFirst:
    """Insert the script at the start of each HTML page's head. Other answers pass through as they are.

    language: the first choice of a visitor who has made none yet, or "" for what their browser prefers.
    tabs: the ids of the page's tabs, in their order.
    """

    def __init__(self, app: ASGIApp, language: str, tabs: Sequence[str]) -> None:
        self.app = app
        self.tag = f'<head><script src="./{PATH}" data-lang="{language}" data-tabs="{",".join(tabs)}"></script>'.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None
        parts: list[bytes] = []

        async def rewritten(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                kind = dict(message["headers"]).get(b"content-type", b"")
                if kind.startswith(b"text/html"):
                    start = message                          # held back: the length is about to change
                    return
            if start is None:
                return await send(message)
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = b"".join(parts).replace(b"<head>", self.tag, 1)
            headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, rewritten if scope["type"] == "http" else send)
