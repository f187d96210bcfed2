"""Access to the service: from this machine only, or with a token. Plain ASGI; knows nothing of studies."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hpo.errors import HpoError

COOKIE = "hpo_serve_token"
VARIABLE = "HPO_SERVE_TOKEN"
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


class UnsafeAddress(HpoError):
    """An address that others can reach without a token, or with one that is too short."""


class AddressTaken(HpoError):
    """An address at which the service cannot listen."""


def is_loopback(host: str) -> bool:
    """Tells whether only this machine can reach `host`. Any name but localhost counts as reachable."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check(host: str, token: str | None) -> None:
    """Raises UnsafeAddress if others could read the store without a token, or with one of under 16 characters."""
    if not is_loopback(host) and not token:
        raise UnsafeAddress(
            f"other machines can reach --host {host}, so {VARIABLE} must hold a token, but it is not set; "
            "set it, or use --host 127.0.0.1"
        )
    if token is not None and token and len(token) < 16:
        raise UnsafeAddress(f"the token in {VARIABLE} must have at least 16 characters, but got {len(token)}")


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens at the address. Raises AddressTaken if it cannot."""
    if not 0 <= port <= 65535:
        raise AddressTaken(f"0 <= port <= 65535 must hold, but got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise AddressTaken(
            f"the service must be able to listen at {host} port {port}, but got: {reason}; choose another --port"
        ) from None
    return listener


class Gate:
    """Admits requests with the token: as a bearer, as a cookie or (once, for a browser) as ?token=.

    If the service has no token, it admits requests whose host is one of `names`: a foreign page that resolves its own
    name to 127.0.0.1 is refused.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, names: Sequence[str] = LOCAL_NAMES) -> None:
        self._app = app
        self._token = token
        self._names = tuple(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._token:
            if _host(headers) in self._names:
                return None
            return PlainTextResponse(f"this service only answers requests to {', '.join(self._names)}\n", 421)
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        offered = query.pop("token", [""])[-1]
        if offered and self._matches(offered):
            return _welcome(scope["path"], query, offered)
        if any(self._matches(secret) for secret in (_bearer(headers), _cookie(headers))):
            return None
        return PlainTextResponse(
            "this service needs a token: send `Authorization: Bearer TOKEN`, or open the page with ?token=TOKEN\n",
            401,
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _matches(self, offered: str) -> bool:
        return hmac.compare_digest(offered.encode(), (self._token or "").encode())


def _welcome(path: str, query: dict[str, list[str]], token: str) -> Response:
    """Moves the token from the address, which histories and logs keep, into a cookie."""
    rest = urlencode(query, doseq=True)
    target = "/" + path.lstrip("/\\")  # one slash: two would name another host
    response = RedirectResponse(f"{target}?{rest}" if rest else target, 303)
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
    return response


def _host(headers: Headers) -> str:
    """Returns the requested host without its port."""
    host = headers.get("host", "")
    return host if host.endswith("]") else host.rsplit(":", 1)[0]  # [::1] has colons, but no port


def _bearer(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
