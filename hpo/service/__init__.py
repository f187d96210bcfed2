"""The store over HTTP: a JSON API, reports, and a live page of a running study. Reads the store, never writes to it."""

from __future__ import annotations

from hpo.service.access import AddressTaken, UnsafeAddress
from hpo.service.server import serve

__all__ = ["AddressTaken", "UnsafeAddress", "serve"]
