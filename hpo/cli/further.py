"""What a user may ask next of a study or a suite that has just run: commands that work as they stand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from hpo.storage.place import is_sealed
from hpo.study.study import Study


def further(studies: Sequence[Study], source: str, options: Mapping[str, object], *, important: bool = True) -> str:
    """Returns the commands, each above what it answers.

    `studies`: a suite's, or the one that was run. `source`: the study file or preset. `options`: those of `hpo run` that
    changed what it plays, by name. `important`: whether there are trials enough to tell which hyperparameters matter.
    """
    study, several = studies[0], len(studies) > 1
    name = study.suite if several and study.suite else study.study
    stored = ["hpo", "compare", study.store, "--study", name]
    asked = [([*stored, "--all-tables"], "costs, every pair of methods, ranks")]
    if important:
        asked.append((["hpo", "importance", *stored[2:]], "which hyperparameters matter"))
    if not several and not is_sealed(source) and study.clock != "arrival":
        given = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
        words = ["hpo", "replay", source, "--curves", study.store, *given, "--sweep", "workers=1,4,16"]
        asked.append((words, "other numbers of workers, without training"))
    return "\n".join(["next:", *(f"  {shlex.join(words)}\n      {answer}" for words, answer in asked)])
