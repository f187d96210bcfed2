"""Counts wrong tokens, so that nobody can try many. Pure but for the clock that it is given."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

WRONG, WINDOW_SECONDS = 10, 300.0
SOURCES = 10_000


class Attempts:
    """The different wrong tokens that each source has shown lately.

    A program that shows the same token again and again, such as one that was revoked, learns nothing by it, and must
    not shut out others behind its address: it counts once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, dict[str, float]] = OrderedDict()

    def wait(self, source: str) -> float:
        """Returns the seconds until the source may show another token: 0 where it may now."""
        lately = self._lately(_network(source))
        return 0.0 if len(lately) < WRONG else max(0.0, min(lately.values()) + WINDOW_SECONDS - self._clock())

    def note(self, source: str, digest: str) -> None:
        """Counts a wrong token of a source."""
        key = _network(source)
        lately = self._lately(key)
        lately[digest] = lately.get(digest, self._clock())
        self._wrong[key] = lately
        self._wrong.move_to_end(key)
        while len(self._wrong) > SOURCES:
            self._wrong.popitem(last=False)

    def _lately(self, key: str) -> dict[str, float]:
        since = self._clock() - WINDOW_SECONDS
        return {digest: at for digest, at in self._wrong.get(key, {}).items() if at > since}


def _network(source: str) -> str:
    """Returns what stands for a source: an IPv6 host may have all addresses of a /64."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return source
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
