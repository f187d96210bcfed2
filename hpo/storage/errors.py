"""What goes wrong with places where bytes lie, as sentences."""

from __future__ import annotations

import os

from hpo.errors import HpoError


class StoreError(HpoError):
    """A store that cannot be used as it is."""


class Unreachable(StoreError):
    """A store that does not answer now and may later. `HPO_STORE_AWAY` changes its exit code, for whoever tries again."""

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        code = os.environ.get("HPO_STORE_AWAY", "")
        return int(code) if code.isdigit() else 2
