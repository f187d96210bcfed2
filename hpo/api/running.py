"""A study run from Python: the sitting that `hpo run` plays, shown in a terminal or a notebook. Writes the study's store."""

from __future__ import annotations

import threading
from pathlib import Path

from cluster.errors import ClusterError
from hpo import store as stores
from hpo.api.results import Results
from hpo.api.study import Study
from hpo.errors import HpoError, StudyFailed
from hpo.results.failures import failed_exams, without_result

_SITTING = threading.Lock()  # a process is connected to one Ray cluster at a time


def run(
    study: Study | str | Path,
    *,
    store: str | Path | None = None,
    address: str | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Results:
    """Runs a study, or continues one that its store holds in part, and returns its results.

    `study`: a Study, a study file or a preset's name. `store`: the store for the results (default: the study's).
    `address`: a running Ray cluster, auto or HOST:PORT (default: one is started on this machine, and ended). `workers`: the
    most trials to train at a time (default: all that fit). `quiet`: show no progress.

    Raises StudyError or StoreError for bad input before anything is written, StudyFailed where the study cannot go on or no
    trial of it could be trained, and InterruptedStudy on an interrupt; all are HpoError. What was trained is in the store,
    and the same call goes on from there.
    """
    wanted = study if isinstance(study, Study) else Study.load(study)
    wanted = wanted if store is None else wanted.stored_in(store)
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
    found = Results(stores.read(wanted.store, wanted.study), wanted.store)
    if failure := without_result(found.data) or failed_exams(found.data):
        raise StudyFailed(f"{failure}; the tables are in hpo.open({wanted.store!r})[{wanted.study!r}]")
    return found


def _play(study: Study, address: str | None, workers: int | None, quiet: bool) -> None:
    from hpo.api import notebook
    from hpo.live.session import play

    if notebook.in_notebook():
        notebook.silence()
    command = f"hpo.run(study, store={study.store!r})"
    play(study, address=address, workers=workers, quiet=quiet, command=command)
