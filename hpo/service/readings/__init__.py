"""The one cache through which the service reads its store: one look for all who ask, none while nobody does."""

from __future__ import annotations

from hpo.service.readings.readings import Readings

__all__ = ["Readings"]
