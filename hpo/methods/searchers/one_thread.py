"""Linear algebra on one thread: the matrices are small, and how many cores a machine has must change no decision."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  its BLAS must be loaded to be found

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """`with one_thread():` NumPy's and SciPy's linear algebra runs on one thread."""
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1)
    return limited
