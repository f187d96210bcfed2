"""`hpo serve`: puts the service of a store together, and serves it until it is told to end."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.addresses import is_loopback
from hpo.errors import HpoError
from hpo.files import expanded, write_private
from hpo.service import access
from hpo.service.access import tokens as kept_tokens
from hpo.service.access.addresses import listen
from hpo.service.connections import Limits, Server, open_files
from hpo.service.context import Context, Settings
from hpo.storage.errors import Unreachable
from hpo.storage.place import absolute, is_sealed, place
from hpo.text import one_line


class CertificateError(HpoError):
    """A certificate or its key that TLS cannot use."""


@dataclass(frozen=True)
class Listening:
    """Where a service listens, and how others know it.

    certificate, key: files for TLS, None without it; the key may lie in the certificate's file. public: names by which it
    is called beside those of this machine. proxies: addresses whose X-Forwarded headers are believed. tokens: the file of
    tokens, None for the default one. open: nobody needs a token.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None
    public: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    tokens: Path | None = None
    open: bool = False


def serve(settings: Settings, listening: Listening | None = None) -> None:
    """Serves a store until interrupted.

    Raises UnsafeAddress if others could reach the service without a token, AddressTaken if it cannot listen at the
    address, CertificateError for a certificate that cannot be used, AccessError for such a token or file of tokens,
    StoreError for a store that never can be read. A store that does not answer now is waited for.
    """
    listening = listening or Listening()
    secret = os.environ.pop(kept_tokens.VARIABLE, None)  # the processes that make analyses need not know it
    tokens = None if listening.open else kept_tokens.Tokens(tokens_path(settings, listening), environment=secret)
    _check(listening, tokens, settings.store)
    tls = tls_context(listening) if listening.certificate else None
    _check_store(settings.store)
    names = access.Names(listening.public, reachable=not is_loopback(listening.host))
    sessions = None if tokens is None else access.Sessions(settings.cache / "sessions.json")
    with listen(listening.host, listening.port) as listener:
        context = opened(settings, access.Access(tokens, sessions, names))
        _say_where(settings, listening, listener, tokens)
        run(context, listener, limits=Limits(most=open_files(), proxies=listening.proxies), tls=tls)


def opened(settings: Settings, entry: access.Access | None = None) -> Context:
    """Returns what the routes of a store's service may use. `entry`: None lets everybody of this machine in."""
    from hpo.service.analysis import Analysis
    from hpo.service.readings import Readings
    from hpo.service.submitting.checker import Checker
    from hpo.service.submitting.late import LateJobServer
    from hpo.service.submitting.pending import Pending
    from hpo.service.submitting.queue import Queue

    queue = Queue(LateJobServer(settings.job_server), settings) if settings.job_server else None
    return Context(
        settings=settings,
        readings=Readings(settings, jobs=Pending(queue, settings.store) if queue else None),
        analysis=Analysis(settings),
        audit=access.StoreAudit(str(settings.cache) if is_sealed(settings.store) else settings.store),
        checker=Checker(settings),
        queue=queue,
        access=entry,
    )


def run(
    context: Context, listener: socket.socket, *, limits: Limits | None = None, tls: ssl.SSLContext | None = None
) -> None:
    """Serves at a socket until the process is told to end."""
    from hpo.service import threads
    from hpo.service.app import application

    app = application(context)
    threads.prepare()
    ending = context.access.streams.end if context.access else None
    with contextlib.suppress(KeyboardInterrupt):
        Server(app, limits or Limits(), tls=tls, ending=ending).run(sockets=[listener])


def tokens_path(settings: Settings, listening: Listening) -> Path:
    """Returns the path of the file of tokens."""
    return listening.tokens or kept_tokens.default_path(settings.store)


def cache_path(store: str) -> Path:
    """Returns the default folder of what the service of a store can make again."""
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(root) / "hpo-arena" / "service" / kept_tokens.folder(store).name


def tls_context(listening: Listening) -> ssl.SSLContext:
    """Returns what TLS needs. Raises CertificateError for files that it cannot use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    assert listening.certificate is not None
    for option, path in (("--tls-cert", listening.certificate), ("--tls-key", listening.key)):
        if path is not None and not os.access(path, os.R_OK):
            raise CertificateError(f"{option} must be a file that can be read, but {path} is not")
    try:
        context.load_cert_chain(listening.certificate, listening.key, _no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CertificateError(
            f"--tls-cert and --tls-key must be a certificate and its key in PEM, but {listening.certificate} and "
            f"{listening.key or 'the same file'} are not: {one_line(error)}"
        ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; a service needs one without a password, in a file of mode 0600")


def _check(listening: Listening, tokens: kept_tokens.Tokens | None, store: str) -> None:
    """Raises UnsafeAddress if others could use the service without a token."""
    if listening.key is not None and listening.certificate is None:
        raise CertificateError("--tls-key needs --tls-cert, the file with its certificate, but there is none")
    here = is_loopback(listening.host)
    if tokens is None and not here:
        raise access.UnsafeAddress(
            f"other machines can reach --host {listening.host}, so a token must be asked for, but --no-token asks for "
            "none; leave it out, or use --host 127.0.0.1"
        )
    if tokens is not None and not tokens.all() and not here:
        raise access.UnsafeAddress(
            f"other machines can reach --host {listening.host}, so there must be a token, but there is none; "
            f"`hpo token add NAME --store {store}` makes one, or set {kept_tokens.VARIABLE}"
        )


def _check_store(store: str) -> None:
    """Raises StoreError for a store that never can be read; prints a note about one that does not answer now."""
    try:
        place(store).folders()
    except Unreachable as error:
        print(f"note: {error}\nnote: the service answers 503 until the store is there", file=sys.stderr)


def _say_where(
    settings: Settings, listening: Listening, listener: socket.socket, tokens: kept_tokens.Tokens | None
) -> None:
    """Prints the address, and a link to log in by where the service made the only token itself."""
    host, scheme = listening.host, "https" if listening.certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    address = f"{scheme}://{shown}:{listener.getsockname()[1]}{settings.root_path}"
    lines = [f"serving {settings.store} at {address} (Ctrl-C to stop)"]
    if tokens is None:
        lines.append("note: --no-token: every user of this machine may do everything here")
    elif is_loopback(host) and (first := first_secret(tokens, settings.store)):
        lines.append(f"log in: {address}/login?token={first[0]}")
        lines.append(f"the token lies in {first[1]}; `hpo token add NAME --store {settings.store}` makes others")
    if not is_loopback(host) and not listening.certificate and not listening.proxies:
        lines.append(
            "note: tokens travel readable by others: give --tls-cert and --tls-key, or --trusted-proxy ADDRESS"
        )
    if "://" not in settings.store and not expanded(settings.store).exists():
        lines.append(f"note: there is no {settings.store} yet; its studies show once `hpo run` writes there")
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def first_secret(tokens: kept_tokens.Tokens, store: str) -> tuple[str, Path] | None:
    """Returns the token that the service made for its user, with its file; makes it where there is none at all.

    None where the user made tokens: nobody else keeps those.
    """
    path = tokens.path.with_name("first-token")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        secret = path.read_text(encoding="utf-8").strip()
        if tokens.find(secret):
            return secret, path
    if tokens.all():
        return None
    _, secret = tokens.add(_user(), "admin", store=absolute(store))
    write_private(path, secret + "\n")
    return secret, path


def _user() -> str:
    """Returns the user's name as a token's: the owner of studies is the name of the token that submits them."""
    name: Any = None
    with contextlib.suppress(KeyError, OSError):  # a container's user without a name
        name = getpass.getuser()
    return re.sub(r"[^A-Za-z0-9._@-]", "-", name or "").strip("-.@")[:64] or "admin"
