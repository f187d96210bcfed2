"""Replay: the arena of a live study, answered by recorded curves: thousands of virtual workers, in seconds.

Reads recorded curves (sources/, table_space.py), plays in several processes (players.py) and writes replays into a store
(recording.py); everything else is pure. Knows no cluster and trains nothing.
The room answers a call as well: `hpo.replay(study, curves=...)` is the Python API's function, which has this room's name.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from hpo.replay.answers import Answers, RecordedCurves
from hpo.replay.game import Replay, best_recorded, replay
from hpo.replay.sources.store import finished, from_store
from hpo.replay.weather import Weather

__all__ = ["Answers", "RecordedCurves", "Replay", "Weather", "best_recorded", "finished", "from_store", "replay"]


class _Answering(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return import_module("hpo.api.replaying").replay(*arguments, **options)


sys.modules[__name__].__class__ = _Answering
