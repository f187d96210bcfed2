"""The errors of places, one sentence each: what must hold, what was found, what to do."""

from __future__ import annotations

import os

from hpo.errors import HpoError


class StorageError(HpoError):
    """A place that cannot be used as it is."""


class Unreachable(StorageError):
    """A place that does not answer now but may later. Set `HPO_STORE_AWAY` to change its exit code, for retries."""

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        code = os.environ.get("HPO_STORE_AWAY", "")
        return int(code) if code.isdigit() else 2
