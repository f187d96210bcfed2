"""The outermost of every request and answer: the path at which a proxy shows the service, and safe headers. Plain ASGI."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with `no-referrer` browsers would hide the origin of our own forms
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


class SafeHeaders:
    """Adds to every answer what a browser must not do with it, wherever a route did not say so itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        added = HEADERS | ({"Cross-Origin-Opener-Policy": "same-origin"} if scope.get("scheme") == "https" else {})

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in added.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


class Rooted:
    """Lets a proxy show the service below a path, whether it takes the path off its requests or leaves it there."""

    def __init__(self, app: ASGIApp, *, root: str) -> None:
        self._app = app
        self._root = root.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and self._root:
            path = scope["path"]
            below = path == self._root or path.startswith(f"{self._root}/")
            scope = dict(scope, root_path=self._root, path=path if below else self._root + path)
            if scope["path"] == self._root:
                scope["path"] += "/"
        await self._app(scope, receive, send)
