"""Where the service listens, and which requests it takes for its own: names of hosts, origins, sockets."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from cluster.addresses import is_loopback
from hpo.errors import HpoError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(:\d{1,5})?", re.IGNORECASE)


class UnsafeAddress(HpoError):
    """An address that others can reach without a token."""


class AddressTaken(HpoError):
    """An address at which the service cannot listen."""


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


@dataclass(frozen=True)
class Names:
    """The names by which requests may call this service.

    A foreign page that resolves its own name to this machine's address (DNS rebinding) calls it by that name. `public`:
    names beside those of loopback. `reachable`: other machines reach the service; addresses in figures are then names of
    it, too, and so is every name as long as `public` has none: a session belongs to the name under which it began, so
    that a foreign name gains nothing where a token is asked for.
    """

    public: tuple[str, ...] = ()
    reachable: bool = False

    def admit(self, host: str) -> bool:
        """Tells whether a request with this Host header is meant for this service."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower()
        if is_loopback(name) or name in self._public:
            return True
        return self.reachable and (not self.public or _is_address(name))

    def foreign(self, headers: Mapping[str, str]) -> bool | None:
        """Tells whether a page of another origin made the request; None where nothing says so: no browser sent it."""
        site = headers.get("sec-fetch-site")
        if site in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return None if site is None else True
        try:
            there = urlsplit(origin)
            name, port = there.hostname or "", there.port
        except ValueError:
            return True
        if there.scheme not in ("http", "https") or not there.netloc:
            return True  # among them `null`, which sandboxed frames send
        if there.netloc.lower() == headers.get("host", "").lower():
            return False
        # A proxy may have changed the host, but it is not at a port at which any user of its machine may serve pages.
        return port is not None or name not in self._public

    @property
    def _public(self) -> set[str]:
        return {name.lower().rstrip(".") for name in self.public}

    def __str__(self) -> str:
        return ", ".join((*self.public, "localhost", "127.0.0.1", "[::1]"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
