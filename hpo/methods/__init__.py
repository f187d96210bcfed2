"""The methods: searchers, schedules, whole methods, and their registry. No ray, no I/O, no wall clock."""

from hpo.methods.protocol import InvalidOption, Schedule, Searcher, Setting
from hpo.methods.registry import METHODS, build, describe

__all__ = ["METHODS", "InvalidOption", "Schedule", "Searcher", "Setting", "build", "describe"]
