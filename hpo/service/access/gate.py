"""The gate before all routes: the right host, a token or a session, the service's own origin. Plain ASGI."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hpo.service.access.access import Access, Admission, bearer
from hpo.service.access.kept import AccessError
from hpo.service.problems import Problem

OPEN = ("/login", "/favicon.ico", "/api/v1/health", "/api/v1/health/ready")
OPEN_BELOW = "/assets/"
SAFE = ("GET", "HEAD", "OPTIONS")


def path_of(scope: Scope) -> str:
    """Returns the requested path below the path at which a proxy shows the service."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(f"{root}/") else path  # as the router takes it


def is_open(path: str) -> bool:
    """Tells whether anybody may ask for a path: the way in, what its page needs, and what probes ask."""
    return path in OPEN or (path.startswith(OPEN_BELOW) and ".." not in path)


class Gate:
    """Lets requests through with `request.state.caller` and `request.state.admitted`, and answers the others itself."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            self._check(scope)
            admission = None if is_open(path_of(scope)) else self._admitted(scope)
        except Problem as problem:
            await problem.answer()(scope, receive, send)
            return
        if admission is not None:
            await self._through(admission, scope, receive, send)
        elif is_open(path_of(scope)):
            await self._app(scope, receive, send)
        else:
            await _ask_to_sign_in(scope)(scope, receive, send)

    async def _through(self, admission: Admission, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        state["caller"], state["admitted"] = admission.caller, partial(_stays, admission)

        async def through(sending: Send) -> None:
            await self._app(scope, receive, sending)

        await self._access.streams.carry(send, state["admitted"], through)

    def _admitted(self, scope: Scope) -> Admission | None:
        """Returns who makes the request; None for somebody unknown."""
        try:
            return self._access.admit(Headers(scope=scope), source_of(scope), port_of(scope))
        except AccessError as error:
            raise Problem(503, f"nobody can be let in now: {error}") from None

    def _check(self, scope: Scope) -> None:
        """Raises Problem for what nobody may: another host, a change that another origin asks for."""
        headers = Headers(scope=scope)
        if not self._access.names.admit(headers.get("host", "")):
            raise Problem(
                421,
                f"this service answers requests to {self._access.names}, but got one to another host; "
                "`hpo serve --public-name NAME` adds a name",
            )
        closed = self._access.tokens is not None
        if scope["method"] in SAFE or (closed and bearer(headers) is not None):
            return
        foreign = self._access.names.foreign(headers)
        if foreign or (foreign is None and closed):
            raise Problem(
                403,
                "a change must be asked for by a page of this service, or with `Authorization: Bearer TOKEN`, but this "
                "request comes from elsewhere",
            )


def _stays(admission: Admission) -> bool:
    try:
        return admission.stays()
    except AccessError:
        return False


def source_of(scope: Scope) -> str:
    """Returns the address that a request comes from."""
    return str((scope.get("client") or ("", 0))[0])


def port_of(scope: Scope) -> int:
    """Returns the port that a request came to, 0 where it is not known."""
    return int((scope.get("server") or ("", 0))[1] or 0)


def _ask_to_sign_in(scope: Scope) -> Response:
    """Sends a reader of pages to the log-in page, and tells a program what is missing."""
    headers, path, root = Headers(scope=scope), path_of(scope), scope.get("root_path", "")
    for_reader = not path.startswith("/api/") or "text/html" in headers.get("accept", "")
    if scope["method"] in ("GET", "HEAD") and for_reader and bearer(headers) is None:
        query = scope.get("query_string", b"").decode("latin-1")
        there = quote(quote(path) + (f"?{query}" if query else ""), safe="")
        return RedirectResponse(f"{root}/login" + ("" if path == "/" and not query else f"?next={there}"), 303)
    return Problem(
        401,
        "this service needs a token: send `Authorization: Bearer TOKEN`, or open /login in a browser; "
        "`hpo token add NAME` makes one",
        headers={"WWW-Authenticate": "Bearer"},
    ).answer()
