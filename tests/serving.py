"""Serves a store during a test: the whole service, in the process or on a free port of this machine."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hpo.service.access import Access, StoreAudit
from hpo.service.access.addresses import listen
from hpo.service.analysis import Analysis
from hpo.service.app import application
from hpo.service.connections import Limits, Server
from hpo.service.context import Context, Settings
from hpo.service.readings import Readings
from hpo.service.submitting.checker import Checker

API = "/api/v1"


def context(
    uri: str | Path, cache: Path, *, seconds: float = 0.1, access: Access | None = None, **settings: Any
) -> Context:
    """Returns what the service of a store is made of; looks at a study are at least `seconds` apart."""
    made = Settings(str(uri), cache, **settings)
    return Context(
        settings=made,
        readings=Readings(made, seconds=seconds),
        analysis=Analysis(made, processes=1, nice=0),
        audit=StoreAudit(str(uri)),
        checker=Checker(made),
        access=access,
    )


@contextmanager
def asking(made: Context) -> Iterator[TestClient]:
    """Yields a client of the service in this process; a bug of the service is its answer, not an exception."""
    with TestClient(application(made), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@contextmanager
def serving(
    made: Context,
    app: FastAPI | None = None,
    *,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[int]:
    """Runs a real server of a service in a thread, and yields its port. `app`: its application, default the usual one."""
    ending = made.access.streams.end if made.access else None
    with listen(host, port) as listener:
        server = Server(app or application(made), limits or Limits(), tls=tls, ending=ending)
        with in_a_thread(server, listener) as port:
            yield port


@contextmanager
def in_a_thread(server: uvicorn.Server, listener: socket.socket) -> Iterator[int]:
    """Runs a server at a socket, and yields its port once it answers."""
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
