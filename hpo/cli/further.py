"""What a user may ask next of a study that has just run: commands that work as they stand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from hpo.storage.place import is_sealed
from hpo.study.study import Study


def further(study: Study, source: str, options: Mapping[str, object], *, important: bool = True) -> str:
    """Returns the commands, each above what it answers.

    `source`: the study file or preset that was run. `options`: those of `hpo run` that changed what it plays, by name.
    `important`: whether there are trials enough to tell which hyperparameters matter.
    """
    stored = ["hpo", "compare", study.store, "--study", study.study]
    asked = [([*stored, "--all-tables"], "costs, every pair of methods, ranks")]
    if important:
        asked.append((["hpo", "importance", *stored[2:]], "which hyperparameters matter"))
    if not is_sealed(source) and study.clock != "arrival":
        given = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
        words = ["hpo", "replay", source, "--curves", study.store, *given, "--sweep", "workers=1,4,16"]
        asked.append((words, "other numbers of workers, without training"))
    return "\n".join(["next:", *(f"  {shlex.join(words)}\n      {answer}" for words, answer in asked)])
