"""Sources of recorded learning curves, each read into one checked table. Reads files and stores; writes nothing.

`table.py` defines the checked table, `function.py` what computes curves instead. `benchmarks/` reads public benchmarks by
name. `layouts.py` reads the documented file layouts, `optuna.py` and `tune.py` read what
those tools leave behind, `store.py` reads a store of this project. `readers.py` chooses the reader for a file or folder.
"""

from hpo.replay.sources.benchmarks.places import named
from hpo.replay.sources.function import RecordedFunction
from hpo.replay.sources.readers import configs_of, knows, load, raw, tasks_of
from hpo.replay.sources.table import CurvesError, Raw, RecordedTable, table

__all__ = [
    "CurvesError", "Raw", "RecordedFunction", "RecordedTable", "configs_of", "knows", "load", "named", "raw", "table",
    "tasks_of",
]  # fmt: skip
