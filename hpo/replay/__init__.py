"""Replay: the arena of a live study, answered by recorded curves: thousands of virtual workers, in seconds.

Reads recorded curves (sources/); everything else is pure. Knows no cluster and trains nothing.
"""

from hpo.replay.answers import Answers, RecordedCurves
from hpo.replay.game import Replay, best_recorded, replay
from hpo.replay.sources.store import finished, from_store
from hpo.replay.weather import Weather

__all__ = ["Answers", "RecordedCurves", "Replay", "Weather", "best_recorded", "finished", "from_store", "replay"]
