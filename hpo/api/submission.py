"""What a cluster's job server is asked for where a study or a suite is submitted: by the command line, or by the service."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import StudyError
from hpo.study.study import Study

if TYPE_CHECKING:
    from cluster.job import Submission

SUBMITTED = "HPO_SUBMITTED"  # a job's variable: what the driver's log says how to continue


def command(source: str, store: str, **options: float | str | None) -> str:
    """Returns the command that the cluster runs: for a preset, or for a file in the job's working folder.

    `options`: of `hpo run`, by their names; None stands for its default. Raises StudyError for a priority that is no weight.
    """
    priority = options.get("priority")
    if isinstance(priority, float | int) and not 0 < priority < math.inf:
        raise StudyError(f"--priority must be a number above 0, but got {priority:g}")
    arguments = ["hpo", "run", source, "--address", "auto", "--store", store]
    for option, value in options.items():
        if value is not None:
            arguments += [f"--{option}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(arguments)


def name_of(studies: Sequence[Study]) -> str:
    """Returns what a job is called: the study's name, or the suite's."""
    return studies[0].study if len(studies) == 1 else studies[0].suite or ""


def submission(name: str, store: str, command: str, file: Path | None, folder: Path | None, **more: Any) -> Submission:
    """Returns what the job server is asked for. `file`: the study's, which goes along with the folder; None for a preset."""
    from cluster.job import Submission

    return Submission(
        entrypoint=command,
        name=name,
        study=name,
        store=store,
        working_dir=folder.resolve() if folder else None,
        needed=() if file is None else (file.resolve(),),
        **more,
    )
