"""A study or a suite run from Python: what `hpo run` plays, shown in a terminal or a notebook. Writes the store."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import overload

from cluster.errors import ClusterError
from hpo import store as stores
from hpo.api.results import Results
from hpo.api.study import Study
from hpo.api.suite import Suite, SuiteResults, stored
from hpo.errors import HpoError, StudyFailed
from hpo.store.failures import failed_exams, without_result

_SITTING = threading.Lock()  # a process is connected to one Ray cluster at a time


@overload
def run(
    study: Study | str | Path, *, store: str | Path | None = None, address: str | None = None,
    workers: int | None = None, quiet: bool = False,
) -> Results: ...  # fmt: skip


@overload
def run(
    study: Suite, *, store: str | Path | None = None, address: str | None = None, workers: int | None = None,
    quiet: bool = False,
) -> SuiteResults: ...  # fmt: skip


def run(
    study: Study | Suite | str | Path,
    *,
    store: str | Path | None = None,
    address: str | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Results | SuiteResults:
    """Runs a study or a suite, or continues one that its store holds in part, and returns its results.

    `study`: a Study, a Suite, a study file or a preset's name. `store`: the store for the results (default: the study's).
    `address`: a running Ray cluster, auto or HOST:PORT (default: one is started on this machine, and ended). `workers`: the
    most trials to train at a time (default: all that fit). `quiet`: show no progress.

    Raises StudyError or StoreError for bad input before anything is written, StudyFailed where the study cannot go on or no
    trial of it could be trained, and InterruptedStudy on an interrupt; all are HpoError. What was trained is in the store,
    and the same call goes on from there.
    """
    wanted = study if isinstance(study, Study | Suite) else Study.load(study)
    wanted = wanted if store is None else wanted.stored_in(store)
    if isinstance(wanted, Suite):
        wanted.check_trainable()
    if workers is not None and workers < 1:
        raise HpoError(f"workers >= 1 must hold, but got {workers}")
    if not _SITTING.acquire(blocking=False):
        raise HpoError(
            "a process runs one study at a time, but another one is under way; wait for it, or use a process"
        )
    try:
        _play(wanted, address, workers, quiet)
    except ClusterError as error:
        raise HpoError(str(error)) from error
    finally:
        _SITTING.release()
    return _results(wanted)


def _results(wanted: Study | Suite) -> Results | SuiteResults:
    """Returns the results of what has run. Raises StudyFailed where there are none."""
    studies = wanted.studies if isinstance(wanted, Suite) else (wanted,)
    for one in studies:
        data = stores.read(one.store, one.study)
        if failure := without_result(data) or failed_exams(data):
            raise StudyFailed(f"{failure}; the tables are in hpo.open({one.store!r})[{one.study!r}]")
    return stored(wanted, wanted.store) if isinstance(wanted, Suite) else Results(data, wanted.store)


def _play(study: Study | Suite, address: str | None, workers: int | None, quiet: bool) -> None:
    from hpo.api import notebook
    from hpo.live.session import play

    if notebook.in_notebook():
        notebook.silence()
    command = f"hpo.run(study, store={study.store!r})"
    studies = study.studies if isinstance(study, Suite) else [study]
    play(studies, address=address, workers=workers, quiet=quiet, command=command)
