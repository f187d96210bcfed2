"""The suggestions of methods that would not make them again: in the store before anything that follows from them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hpo.game.run import Run
from hpo.methods.protocol import Remote
from hpo.storage.place import place
from hpo.store import layout
from hpo.study.space import Config
from hpo.study.study import Study


class Suggestions:
    """Gives the runs of such methods their stored suggestions, and stores what they suggest from then on."""

    def __init__(self, study: Study, runs: Iterable[Run]) -> None:
        self._study, self._place = study, place(study.store)
        self._kept: dict[int, int] = {}  # id of a run -> how many of its trials are in the store
        for run in runs:
            if isinstance(run.schedule, Remote) and not run.schedule.deterministic:
                stored = self._stored(run)
                self._kept[id(run)] = len(stored)
                run.schedule.repeat(dict(enumerate(stored)))

    def _stored(self, run: Run) -> list[Config]:
        found: list[Config] = []
        while (content := self._place.read(self._path(run, len(found)))) is not None:
            found.append(json.loads(content))
        return found

    def _path(self, run: Run, number: int) -> str:
        return layout.suggested(self._study.study, str(run.key), number)

    def keep(self, run: Run) -> None:
        """Stores the configurations of the run's new trials. Call it before what the run was charged is recorded."""
        if id(run) in self._kept:
            for trial in run.trials[self._kept[id(run)] :]:
                self._place.create(self._path(run, trial.number), json.dumps(dict(trial.key.config)).encode())
            self._kept[id(run)] = max(self._kept[id(run)], len(run.trials))
