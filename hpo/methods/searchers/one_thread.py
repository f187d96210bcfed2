"""Linear algebra on one thread: the matrices are small, and the number of cores must change no decision."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  a BLAS is found only when it is loaded

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Limits NumPy's and SciPy's linear algebra to one thread, as in `with one_thread(): ...`."""
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1)
    return limited
