"""A study of the service: how it stands, its results as the objects of `hpo.api`, and what may be done with it."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import quote

from hpo.client.errors import NotFound, ServiceError
from hpo.client.events import events
from hpo.client.files import download
from hpo.client.reading import Reading
from hpo.errors import InterruptedStudy, StudyFailed

if TYPE_CHECKING:
    from hpo.api.best import Best
    from hpo.api.plots import Plots
    from hpo.api.results import Results
    from hpo.api.summaries import Compared, Comparison, Importance
    from hpo.api.tables import Table
    from hpo.client.client import Client
    from hpo.client.job import Job
    from hpo.store import StudyData
    from hpo.store.state import State

OVER = ("complete", "failed", "stopped")
UNPLAYED = ("queued", "starting", "no sign of life")  # states that last only while a job is to play the study
JOB_SECONDS = 10.0  # between two looks at the job of a study that is not being played
PATIENCE = 600.0  # seconds for which a watch waits for a service that is away


@dataclass(frozen=True)
class Standing:
    """How a study stands. `word`: queued, starting, running, no sign of life, stopped, failed or complete.

    `since`: seconds since 1970. `command`: what goes on with it. `progress`: from 0 to 1. `facts`: the service's whole answer.
    """

    study: str
    word: str
    since: float | None
    sentence: str
    command: str | None
    progress: float
    facts: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Standing:
        """Returns how a study stands by the service's answer."""
        state = facts["state"]
        return cls(
            study=facts["study"], word=state["word"], since=state.get("since"), sentence=state.get("sentence") or "",
            command=state.get("command"), progress=float(facts.get("progress") or 0), facts=facts,
        )  # fmt: skip

    @property
    def state(self) -> State:
        """The state as `hpo.store.state` has it."""
        from hpo.store.state import State

        found: dict[str, Any] = self.facts["state"]
        return State(found["word"], found["since"], found["sentence"], found["command"])

    @property
    def over(self) -> bool:
        """Whether it will not change by itself any more."""
        return self.word in OVER

    @property
    def verdict(self) -> str | None:
        """What the methods' comparison says so far."""
        found = self.facts.get("verdict_sentence") or self.facts.get("verdict")
        return None if found is None else str(found)

    def __str__(self) -> str:
        return self.word


class ServedStudy:
    """A study that the service knows, by its name. Every look asks the service; unchanged tables are not sent again."""

    def __init__(self, client: Client, name: str) -> None:
        self.name, self._client = name, client
        self._transport, self._path = client.transport, f"/studies/{quote(name, safe='')}"
        self._reading = Reading(client.transport, self._path, name)

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"{str(self._transport.url).rstrip('/')}{self._path}"

    @property
    def state(self) -> Standing:
        """How it stands now."""
        return Standing.of(self._transport.json("GET", self._path))

    @property
    def definition(self) -> dict[str, Any]:
        """The study with all defaults filled in, as plain values."""
        return dict(self._transport.json("GET", f"{self._path}/definition")["definition"])

    # -- results, as `hpo.open(store)[name]` has them -----------------------------------------------------------------

    @property
    def results(self) -> Results:
        """Its results as they are now: the same object as of a store, computed on this machine."""
        return self._reading.results()

    @property
    def data(self) -> StudyData:
        """Its tables and definition, as `hpo.store.read` gives them; `results` has them with all that follows."""
        return self._reading.data()

    @property
    def epochs(self) -> Table:
        """One row a trained epoch: trial, configuration, metrics, seconds."""
        return self._table("epochs")

    @property
    def trials(self) -> Table:
        """One row a trial of a run: configuration, epochs, best value, status."""
        return self.results.trials

    @property
    def runs(self) -> Table:
        """One row a run, which is a method with a seed: status, epochs, incumbent."""
        return self.results.runs

    @property
    def charges(self) -> Table:
        """One row an epoch that a run was charged for, in the order of the run's events."""
        return self._table("charges")

    def _table(self, name: str) -> Table:
        from hpo.api.tables import Table

        return Table(self._reading.table(name), name)

    def compare(self, **options: Unpack[Compared]) -> Comparison:
        """Compares the methods, as `hpo compare` does; options as for `Results.compare`."""
        return self.results.compare(**options)

    def importance(self, *, pairs: bool = True, seed: int = 0) -> Importance:
        """Tells which hyperparameters mattered, as `hpo importance` does. Raises HpoError for too few trials."""
        return self.results.importance(pairs=pairs, seed=seed)

    def best(self, method: str | None = None) -> Best:
        """Returns the best trial of all runs, or of one method's; the service keeps its weights to itself."""
        return self.results.best(method)

    @property
    def plot(self) -> Plots:
        """The pictures: `plot.anytime()`, `plot.parallel()`, `plot.importance()`, `plot.curves()`."""
        return self.results.plot

    def report(self, path: str | Path) -> Path:
        """Writes the service's HTML report, one file that needs no network, and returns its path."""
        return download(self._transport, f"{self._path}/report", Path(path))

    def bundle(self, path: str | Path) -> Path:
        """Writes the study's bundle, a .tar.gz that anyone can verify, and returns its path."""
        return download(self._transport, f"{self._path}/bundle", Path(path))

    # -- as it goes on ------------------------------------------------------------------------------------------------

    def watch(self, patience: float = PATIENCE) -> Iterator[Standing]:
        """Yields how the study stands, and again whenever that changes, until it is over or nothing is left to play it.

        A connection that breaks off, as when the service is restarted, is taken up again; raises ServiceAway where the
        service does not answer for `patience` seconds.
        """
        standing, due = None, time.monotonic() + JOB_SECONDS
        for event in events(self._transport, f"{self._path}/events", patience):
            if event.name == "study":
                standing = Standing.of(event.data)
                yield standing
                if standing.over:
                    return
            elif event.name == "gone":
                raise NotFound(f"the study {self.name} must be in the store, but it is gone", 404)
            if standing is not None and standing.word in UNPLAYED and time.monotonic() >= due:
                due = time.monotonic() + JOB_SECONDS
                if self._abandoned(standing):
                    yield self.state
                    return

    def wait(self, patience: float = PATIENCE) -> Standing:
        """Waits until the study is complete. Raises StudyFailed where it failed or nothing plays it any more,
        InterruptedStudy where it was stopped; see `watch`."""
        last = deque(self.watch(patience), maxlen=1)[0]
        told = last.sentence or f"{self.name} is {last.word}"
        if last.word == "stopped":
            raise InterruptedStudy(told)
        if last.word != "complete":
            raise StudyFailed(told)
        return last

    def _abandoned(self, standing: Standing) -> bool:
        """Tells whether no job is left that would play the study."""
        job = self._job()
        return standing.word == "no sign of life" if job is None else job.over

    def _job(self) -> Job | None:
        """Returns the newest job that plays the study; None where the cluster remembers none, or there is no cluster."""
        try:
            return next(iter(self._client.jobs(self.name)), None)
        except ServiceError as error:
            if error.status in (404, 409):
                return None
            raise

    # -- what may be done with it -------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stops the study: what was trained is kept, and `go_on` continues from there."""
        self._act("stop")

    def go_on(self) -> None:
        """Goes on with a study that was stopped, or whose driver was lost."""
        self._act("continue")

    def archive(self) -> None:
        """Puts the study away: lists leave it out, and nothing of it is deleted."""
        self._act("archive")

    def unarchive(self) -> None:
        """Takes the study back into the lists."""
        self._act("unarchive")

    def _act(self, action: str) -> None:
        headers = {
            "Idempotency-Key": secrets.token_hex(16)
        }  # made once: repeated while the service is away, it counts once
        self._transport.json("POST", f"{self._path}/{action}", headers=headers)

    def log(self, follow: bool = False) -> Iterator[str]:
        """Yields the log of its job, piece by piece; `follow`: until the job ends. Raises NotFound without a job."""
        job = self._job()
        if job is None:
            raise NotFound(f"the study {self.name} must have a job to have a log, but it has none", 404)
        return job.log(follow, later=True)

    def __repr__(self) -> str:
        return f"<ServedStudy {self.name} at {self._transport.url}>"

    def _repr_html_(self) -> str:
        return self.results._repr_html_()
