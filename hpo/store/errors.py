"""The store's errors. One class with those of its place, so that whoever catches a store's errors catches them all."""

from __future__ import annotations

from hpo.storage.errors import StorageError, Unreachable

StoreError = StorageError

__all__ = ["StoreError", "Unreachable"]
