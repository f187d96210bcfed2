"""Which services this machine trusts, and which connections are unsafe. Reads certificates."""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path

import httpx

from hpo.client.errors import ServiceError

CA = "HPO_SERVICE_CA"


def trusted(ca: str | Path | None) -> ssl.SSLContext:
    """Returns the context that verifies a service: with the usual authorities, and the one of `ca`, a file of certificates."""
    context = httpx.create_ssl_context()
    ca = ca or os.environ.get(CA) or None
    if ca is not None:
        try:
            context.load_verify_locations(Path(ca).expanduser())
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or str(error)
            raise ServiceError(f"{CA} must be a file of certificates (PEM), but {ca} is not: {reason}") from None
    return context


def in_the_clear(url: httpx.URL) -> bool:
    """Tells whether what travels to an address can be read on its way: without TLS, beyond this machine."""
    if url.scheme == "https":
        return False
    try:
        return not ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return url.host != "localhost" and not url.host.endswith(".localhost")
