"""A proxy in front of an S3 server that treats requests as networks and servers do on bad days."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from s3_servers import S3Server

EXPIRED = (
    b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
)
FAULTS = ("refused", "500", "503", "slow down", "lost request", "torn request", "lost answer", "torn answer", "slow answer",
          "silence", "expired")  # fmt: skip
_STATUS = {"500": (500, b""), "503": (503, b""), "slow down": (503, b"<Error><Code>SlowDown</Code></Error>"),
           "expired": (400, EXPIRED)}  # fmt: skip
_OWN = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass
class Fault:
    """A fault for the next `times` requests (None: all) of a `method` (None: any)."""

    kind: str
    method: str | None = None
    times: int | None = 1

    def takes(self, method: str) -> bool:
        return (self.method is None or self.method == method) and (self.times is None or self.times > 0)


class FaultyProxy:
    """Serves `url` in place of the server's. `add` and `clear` faults; `seen` counts requests by fault and method."""

    def __init__(self, server: S3Server) -> None:
        self.upstream = urlsplit(server.url).netloc
        self.seen: Counter[tuple[str, str]] = Counter()
        self.patience = 0.5  # seconds between the parts of a slow answer, and of silence before hanging up
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.strict = server.strict

    def add(self, kind: str, method: str | None = None, times: int | None = 1) -> None:
        assert kind in FAULTS, kind
        with self._lock:
            self._faults.append(Fault(kind, method, times))

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, method: str) -> str:
        """Returns the fault of this request, or an empty text for none."""
        with self._lock:
            fault = next((f for f in self._faults if f.takes(method)), None)
            if fault is not None and fault.times is not None:
                fault.times -= 1
            kind = "" if fault is None else fault.kind
            self.seen[kind, method] += 1
            return kind


@contextlib.contextmanager
def faulty(server: S3Server) -> Iterator[FaultyProxy]:
    """Serves the proxy from threads of this process."""
    proxy = FaultyProxy(server)
    thread = threading.Thread(target=proxy._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy._server.shutdown()
        proxy._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyProxy

    def do_GET(self) -> None:
        kind = self.owner.take(self.command)
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) if kind != "refused" else b""
        if kind in ("refused", "lost request"):
            self._hang_up()
        elif kind in _STATUS:
            self._answer(*_STATUS[kind])
        elif kind == "silence":
            time.sleep(self.owner.patience)
            self._hang_up()
        elif kind == "torn request":
            self._forward_half(body)
            self._hang_up()
        else:
            status, headers, content = self._forward(body)
            if kind == "lost answer":
                self._hang_up()
            else:
                self._answer(status, content, headers, kind)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.owner.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for (
                name,
                value,
            ) in self.headers.items():  # unchanged: the signature covers the client's headers, Host included
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException):
            return 502, [], b""
        finally:
            connection.close()

    def _forward_half(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.owner.upstream, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                connection.putheader(name, value)
        connection.endheaders(body[: len(body) // 2])
        connection.close()

    def _answer(self, status: int, content: bytes, headers: Any = (), kind: str = "") -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _OWN:
                self.send_header(name, value)
        length = (
            next((v for n, v in headers if n.lower() == "content-length"), None) if self.command == "HEAD" else None
        )
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "torn answer":
            self.wfile.write(content[: len(content) // 2])
            self._hang_up()
        elif kind == "slow answer":
            for part in range(0, len(content), max(1, len(content) // 4)):
                self.wfile.write(content[part : part + max(1, len(content) // 4)])
                self.wfile.flush()
                time.sleep(self.owner.patience)
        else:
            self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has hung up
            super().handle()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
