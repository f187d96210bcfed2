"""Checks a study's head: whether it holds a whole study, with the digest that its results depend on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hpo.errors import HpoError
from hpo.store.errors import StoreError
from hpo.store.reader import StudyData
from hpo.study.study import Study
from hpo.text import one_line

METHODS = ["random"]  # a study must have some; a stored one's methods are no part of its digest


def stored_study(data: StudyData) -> Study:
    """Returns the study in a store's head, but for its methods. Raises StoreError if the head does not hold a whole one."""
    needed = ("study", "space", "budget", "metric", "mode", "methods", "seeds")
    missing = [name for name in needed if name not in data.definition]
    if missing:
        raise StoreError(f"study.json must hold a whole study, but it has no {missing[0]!r}; restore it")
    try:
        study = Study.model_validate({**data.definition, "methods": METHODS})
        _ = study.space, study.task_digest, study.digest
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "study"
        raise StoreError(f"study.json must hold a whole study, but {where}: {first['msg']}; restore it") from None
    except (HpoError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"study.json must hold a whole study, but: {one_line(error)}; restore it") from None
    if not _methods(data.definition["methods"]):
        raise StoreError("study.json must hold a whole study, but its methods are no list of names; restore it")
    return study


def _methods(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(m, Mapping) and {"name", "label"} <= m.keys() for m in found)


def head(data: StudyData, study: Study) -> list[str]:
    """Checks the study's name, its digest, and that every column of its metric is there."""
    problems = []
    if study.study != data.name:
        problems.append(f"study.json holds the study {study.study!r}, not {data.name!r}")
    if data.digest and study.digest != data.digest:
        problems.append(
            f"study.json holds a task, space, budget, metric, mode, clock, parallelism, start or prior that is not the one "
            f"which its digest {data.digest} was made of, but one of digest {study.digest}"
        )
    if data.epochs.num_rows and study.metric not in data.epochs.column_names:
        problems.append(f"no epoch has the study's metric {study.metric!r}")
    return problems
