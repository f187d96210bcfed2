"""The methods of hyperparameter optimization, by name: searchers under schedules, and methods in one piece.

Takes spaces and values from hpo.study, and knows neither the game that plays the methods nor how epochs are trained.
Pure: no ray, no I/O, no wall clock.
"""

from hpo.methods.origins import origins, origins_of
from hpo.methods.protocol import InvalidOption, Schedule, Searcher, Setting
from hpo.methods.registry import METHODS, build, defaults, describe

__all__ = [
    "METHODS",
    "InvalidOption",
    "Schedule",
    "Searcher",
    "Setting",
    "build",
    "defaults",
    "describe",
    "origins",
    "origins_of",
]
