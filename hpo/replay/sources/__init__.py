"""Recorded learning curves from elsewhere: read, checked, for the replay.

`table.py` says what a checked table is; `layouts.py` reads this project's documented layouts, `optuna.py` and `tune.py`
what these tools leave behind; `load` finds out which of them a source is.
"""

from hpo.replay.sources.reading import knows, load
from hpo.replay.sources.table import CurvesError, Raw, RecordedTable, table

__all__ = ["CurvesError", "Raw", "RecordedTable", "knows", "load", "table"]
