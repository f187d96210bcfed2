"""Verdicts for the list of studies: made when somebody looks at it, one at a time, and noted in the store."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.service.context import Context, Made, Reading
from hpo.service.problems import Problem
from hpo.storage.place import is_sealed
from hpo.store import notes
from hpo.store.errors import StoreError
from hpo.store.state import LIVE

if TYPE_CHECKING:
    from hpo.store.summary import Summary


class Verdicts:
    """Notes the verdicts of studies at rest that have none, while the list of studies is looked at.

    A study whose comparison cannot be made is tried again once it was charged more.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tried: dict[str, float] = {}  # study -> what it had been charged
        self._task: asyncio.Task[None] | None = None

    def consider(self, summaries: Sequence[Summary]) -> None:
        """Begins to make the verdicts that are missing, unless that is under way."""
        if is_sealed(self._context.settings.store) or (self._task is not None and not self._task.done()):
            return
        missing = [one for one in summaries if _missing(one) and self._tried.get(one.study) != one.charged]
        if missing:
            self._task = asyncio.create_task(self._make(missing))

    async def _make(self, missing: Sequence[Summary]) -> None:
        for one in missing:
            self._tried[one.study] = one.charged
            with contextlib.suppress(Problem, StoreError):
                reading = await self._context.readings.reading(one.study)
                await note(self._context, reading, await self._context.analysis.wait("comparison", [reading]))


def _missing(one: Summary) -> bool:
    """Whether a study has to be read; one whose driver was killed may have been charged after its last summary."""
    charged = one.charged > 0 or one.state.word == "no sign of life"
    return one.verdict is None and not one.archived and one.state.word not in LIVE and charged


async def note(context: Context, reading: Reading, comparison: Made) -> None:
    """Notes the verdict of a study's comparison, made with the study's own options, unless the store has it."""
    said = (await comparison_of(reading, comparison)).get("brief")
    if said is not None and said != reading.summary.verdict and not is_sealed(context.settings.store):
        charged = reading.summary.charged
        await asyncio.to_thread(notes.note_verdict, context.settings.store, reading.data.name, said, charged)
        context.readings.forget(reading.data.name)
        await context.readings.reading(
            reading.data.name
        )  # of which the list takes it where the driver's summary is behind


async def comparison_of(reading: Reading, made: Made) -> dict[str, str]:
    """Returns the verdicts of a comparison, read once: in sentences, in a few words, and as an interim one."""
    return await reading.later(("verdict", made.etag), lambda: _verdicts(made, reading.summary.runs))


def _verdicts(made: Made, runs: int) -> dict[str, str]:
    content = made.content if made.content is not None or made.path is None else made.path.read_bytes()
    found = json.loads(content or b"{}")
    verdicts = {name: found[name] for name in ("verdict", "brief") if name in found}
    return {**verdicts, "interim": interim(found, runs)} if "verdict" in verdicts else verdicts


def interim(comparison: Mapping[str, Any], runs: int) -> str:
    """Returns what a comparison allows to be said of a study with runs to go: it is over those that are complete.

    Why there is no result is no verdict, so it stays as it is.
    """
    done = sum(run["status"] == "complete" for run in comparison["runs"])
    if comparison.get("failure"):
        return str(comparison["verdict"])
    if not done:
        return f"Interim: none of {runs} runs is complete yet, and only those are compared."
    return f"Interim, over the {done} of {runs} runs that are complete: {comparison['verdict']}"
