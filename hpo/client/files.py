"""Files from and for the service: downloads that appear whole, and a folder as a zip. Writes the file that a user asks for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import ClusterError
from cluster.packing import pack
from hpo.client.errors import ServiceError
from hpo.client.transport import Transport
from hpo.errors import HpoError
from hpo.files import appearing
from hpo.text import one_line


def download(transport: Transport, path: str, to: Path, **params: Sequence[str]) -> Path:
    """Writes what the service answers, once it is made, into a file, and returns the file's path; `params`: of the query."""
    try:
        with appearing(to) as beside, beside.open("wb") as stream:
            transport.ask("GET", path, params=params, into=stream)
    except OSError as error:
        raise ServiceError(f"{to} must be a file that can be written, but it is not: {one_line(error)}") from None
    return to


def zipped(given: str | Path) -> bytes:
    """Returns a folder as a zip file's bytes, without secrets and what git ignores; a zip file's bytes as they are."""
    place = Path(given).expanduser()
    try:
        if place.is_file():
            return place.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            return pack(place, Path(folder) / "files.zip").read_bytes()
    except (ClusterError, OSError) as error:
        raise HpoError(f"files must be a folder or a zip file, but {place}: {one_line(error)}") from None
