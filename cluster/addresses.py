"""Addresses of this machine, of a cluster and of a head's job server. Pure: opens no connection."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from cluster.errors import ClusterError


class AddressError(ClusterError):
    """An address of the wrong form."""


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach `host`; assumes that others reach any name but localhost."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def cluster_endpoint(address: str) -> tuple[str, int] | None:
    """Returns the host and port of a cluster's HOST:PORT, or None for `auto`. Raises AddressError for anything else."""
    if address == "auto":
        return None
    if "://" in address:
        raise AddressError(
            f"the driver must run inside the cluster, but got {address}; "
            "submit the study as a job: hpo submit STUDY --address http://HOST:8265"
        )
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.path:
        raise AddressError(f"a cluster's address must be auto or HOST:PORT, but got {address!r}")
    return host, port


def job_server_url(address: str) -> str:
    """Returns the URL of a head's job server without a trailing slash. Raises AddressError for anything else."""
    parts = urlsplit(address)
    try:
        plain = parts.path in ("", "/") and not parts.query and parts.username is None and (parts.port or 1) > 0
    except ValueError:
        plain = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise AddressError(
            f"the address of a head's job server must be http://HOST:8265 or https://HOST:PORT, but got {address!r}"
        )
    return f"{parts.scheme}://{parts.netloc}"


def in_the_clear(url: str) -> bool:
    """Returns whether others can read the traffic to `url`: plain HTTP to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")
