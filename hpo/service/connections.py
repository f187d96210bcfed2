"""Connections of clients: how many there may be, and how slow each may be. Of uvicorn, which has no such limits."""

from __future__ import annotations

import asyncio
import resource
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cluster.addresses import is_loopback

HEADER_BYTES = 2**15  # of a request's first line and headers: several services of a host share its cookies
END_SECONDS = 3  # that answers under way have once the service ends
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Length: 36\r\n\r\nthis service has no connection left\n"
)
_SPARE_FILES = 256  # open files that are no connections


@dataclass
class Limits:
    """What connections may take, and those that are there.

    header_seconds: from the connection, or a request's first byte, to the end of its headers, and for a handshake of TLS.
    idle_seconds: between two requests. stuck_seconds: that a client may take nothing of an answer. most, most_a_source:
    connections in all, and of one address; those of this machine and of `proxies` count only for the first.
    """

    header_seconds: float = 10.0
    idle_seconds: float = 15.0
    stuck_seconds: float = 60.0
    most: int = 4000
    most_a_source: int = 500
    proxies: tuple[str, ...] = ()
    _open: Counter[str] = field(default_factory=Counter, repr=False)

    def enter(self, source: str) -> bool:
        """Counts a new connection. Returns False, and counts nothing, where it is one too many."""
        counted = not is_loopback(source) and source not in self.proxies
        if self._open.total() >= self.most or (counted and self._open[source] >= self.most_a_source):
            return False
        self._open[source] += 1
        return True

    def leave(self, source: str) -> None:
        """Counts a connection no longer."""
        self._open[source] -= 1
        if self._open[source] <= 0:
            del self._open[source]


class Connection(H11Protocol):
    """A connection that is closed when its client keeps it waiting."""

    limits: ClassVar[Limits]
    _source: str | None = None
    _headers_due: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        source = self.client[0] if self.client else ""
        if self.limits.enter(source):
            self._source = source
            self._await_headers()
        else:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cease("_headers_due")
        self._cease("_stuck")
        if self._source is not None:
            self.limits.leave(self._source)
            self._source = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._source is None or self.transport.is_closing():
            return
        if self._headers_due is None and not self._is_answering():
            self._await_headers()  # of the next request; or the last one's body goes on although it is answered
        super().data_received(data)
        if self._is_answering():
            self._cease("_headers_due")

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.limits.stuck_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._cease("_stuck")
        super().resume_writing()

    def on_response_complete(self) -> None:
        self._cease("_headers_due")
        super().on_response_complete()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_headers(self) -> None:
        self._headers_due = self.loop.call_later(self.limits.header_seconds, self._too_slow)

    def _too_slow(self) -> None:
        """Closes at once: a client this slow need not be told why, and might not read it."""
        self._headers_due = None
        if not self._is_answering():
            self.transport.abort()

    def _cease(self, timer: str) -> None:
        handle = getattr(self, timer)
        if handle is not None:
            handle.cancel()
            setattr(self, timer, None)


class Server(uvicorn.Server):
    """A server with these limits, which ends its streams first when it ends."""

    def __init__(
        self, app: Any, limits: Limits, *, tls: ssl.SSLContext | None = None, ending: Callable[[], None] | None = None
    ) -> None:
        kind = type("LimitedConnection", (Connection,), {"limits": limits})
        super().__init__(
            uvicorn.Config(
                app,
                http=kind,
                ws="none",
                lifespan="on",
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=bool(limits.proxies),
                forwarded_allow_ips=list(limits.proxies),
                timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # only ever given to call_later
                timeout_graceful_shutdown=END_SECONDS,
                h11_max_incomplete_event_size=HEADER_BYTES,
            )
        )
        self._limits, self._tls, self._ending = limits, tls, ending

    async def startup(self, sockets: Any = None) -> None:
        """Listens as uvicorn does, but a handshake of TLS has no more time than a request's headers."""
        loop = asyncio.get_running_loop()
        if self._tls is not None:
            self.config.ssl = self._tls
            create = loop.create_server

            async def limited(*args: Any, **more: Any) -> asyncio.Server:
                return await create(*args, ssl_handshake_timeout=self._limits.header_seconds, **more)

            loop.create_server = limited  # type: ignore[method-assign]
            try:
                await super().startup(sockets)
            finally:
                loop.create_server = create  # type: ignore[method-assign]
        else:
            await super().startup(sockets)

    async def shutdown(self, sockets: Any = None) -> None:
        if self._ending is not None:
            self._ending()
        await super().shutdown(sockets)


def open_files() -> int:
    """Lets this process open as many files as it may, up to 8,192. Returns the most connections that leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = 8192 if hard == unlimited else min(8192, hard)
    if soft != unlimited and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return Limits.most if soft == unlimited else max(64, min(Limits.most, soft - _SPARE_FILES))
