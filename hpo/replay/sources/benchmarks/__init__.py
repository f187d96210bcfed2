"""Public benchmarks by name, read from files that the user has. Reads files; writes and downloads nothing.

`benchmark.py` says what a benchmark and its tasks are, `known.py` lists those that are known, `places.py` finds their files.
Every other file reads one benchmark in the layouts in which it is published.
"""

from hpo.replay.sources.benchmarks.benchmark import Benchmark, Files, Task
from hpo.replay.sources.benchmarks.known import BENCHMARKS
from hpo.replay.sources.benchmarks.places import FOLDER, named, present

__all__ = ["BENCHMARKS", "FOLDER", "Benchmark", "Files", "Task", "named", "present"]
