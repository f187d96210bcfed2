"""Pickled files of benchmarks: read without running what they name. Reads streams.

A pickle may name any function to call. These readers know a few harmless classes, and refuse a file that names another.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from importlib import import_module
from typing import IO, Any

NUMBERS = (
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
)


class Harmless(pickle.Unpickler):
    """An unpickler for plain values and NumPy's arrays."""

    allowed: tuple[tuple[str, str], ...] = NUMBERS

    def find_class(self, module: str, name: str) -> Any:
        """Returns a class that the file names. Raises UnpicklingError for one that is not known to be harmless."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        place = module.replace("numpy.core", "numpy._core")  # its name since NumPy 2
        if (place, name) not in self.allowed:
            raise pickle.UnpicklingError(f"the file names {module}.{name}, which is not loaded from others' files")
        return getattr(import_module(place), name)


def load(stream: IO[bytes]) -> Any:
    """Returns the object in a pickled file of plain values and arrays. Raises UnpicklingError."""
    return Harmless(stream).load()
