"""A study's text looked at whole: every problem with its line, its plan, and what a job would be sent. Trains nothing.

Runs in a process of its own (see checker): a text may take long to read, and importing a trainable may take memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo.api.plan import Plan, SuitePlan
from hpo.api.submission import name_of
from hpo.errors import HpoError, StudyError
from hpo.game.runs import prices
from hpo.live.validation import validate_for_cluster
from hpo.service.submitting.examined import FILE, Examined, Found, Outline, Work
from hpo.service.submitting.options import Options
from hpo.service.submitting.rules import Forbidden, Rules, outside
from hpo.storage.errors import Unreachable
from hpo.store.errors import StoreError
from hpo.store.summary import planned
from hpo.study import suite
from hpo.study.amounts import EPOCHS
from hpo.study.methods_file import chosen
from hpo.study.problems import problems
from hpo.study.stored import to_yaml
from hpo.study.study import Study
from hpo.study.yaml_file import Document
from hpo.text import encodable, one_line, shown


def examine(text: str, folder: str | None, rules: Rules, options: Options, owner: str | None = None) -> Examined:
    """Looks at a study's text, whose relative paths start at `folder`. `owner`: whose study it is, told to its driver."""
    where = (
        Path(folder) if folder else Path("/nonexistent")
    )  # without files, relative names mean none of this machine's
    document: Document | None = None
    if encodable(text) != text:
        return Examined(
            (Found(1, 1, "a study's text must be UTF-8, but has a character that cannot be written in it"),)
        )
    try:
        document = Document(Path(FILE), text.encode())
        if found := [_placed(document, error) for error in _forbidden(document, rules, options)]:
            return Examined(tuple(found), name=_name(document))
        sent = _settled(document, rules, owner)
        loaded = _loaded(document, where, options)
        return _examined(loaded, sent, rules)
    except StudyError as error:
        sentences = problems(document, error) if document else [str(error)]
        return Examined(tuple(map(_parsed, sentences)), name=_name(document))
    except Exception as error:  # whatever a trainable's check makes of it, or a mistake of ours
        return Examined((_unplaced(error),), name=_name(document))


def _forbidden(document: Document, rules: Rules, options: Options) -> Iterator[Forbidden]:
    yield from rules.check(document.values)
    given = document.values.get("methods")
    if options.methods is not None:  # a name that the file lacks stands for a method
        yield from rules.check({"methods": chosen(given if isinstance(given, list) else [], options.methods)})
    prior = document.values.get("prior")
    if isinstance(prior, str) and not outside(prior) and prior != document.values.get("store", "results"):
        yield Forbidden(
            ("prior",), f"prior must be the address of a store that this service allows, but got {shown(prior)}"
        )


def _settled(document: Document, rules: Rules, owner: str | None) -> str:
    """Fills in the store and the owner, and returns the study's text with them.

    A relative store means nothing on a cluster: the results go to the service's store, as those of a study without one.
    """
    values = document.values
    given = values.get("store", "results")
    if isinstance(given, str) and not outside(given):
        if values.get("prior") == given:
            values["prior"] = rules.store
        values["store"] = rules.store
    if owner is not None:
        values.setdefault("owner", owner)
    text = to_yaml(deepcopy(values))
    if Document(Path(FILE), text.encode()).values != values:
        raise StudyError(f"{FILE}:1:1: a study must mean the same when it is written again, but this one does not")
    return text


def _loaded(document: Document, folder: Path, options: Options) -> Study | suite.Suite[Study]:
    tasks = document.values.get("tasks")
    if tasks is None:
        return Study.of(document, folder, **options.changes)
    found = suite.of(document.values, tasks, folder, Study, document, None, options.changes)
    found.check_trainable()
    return found


def _examined(loaded: Study | suite.Suite[Study], text: str, rules: Rules) -> Examined:
    studies = (loaded,) if isinstance(loaded, Study) else loaded.studies
    found: list[Found] = []
    for study in studies:
        try:
            validate_for_cluster(study, imports=rules.knows(study.trainable))
        except Unreachable as error:
            found.append(Found(*_place(study, "store"), str(error), "away"))
        except StoreError as error:
            found.append(Found(*_place(study, "study"), str(error), "taken"))
        except HpoError as error:
            found.append(_parsed(str(error)))
    named = Examined(
        tuple(found), name_of(studies), tuple(each.study for each in studies), studies[0].owner, studies[0].store
    )
    if found:
        return named
    plans = [Plan.of(study) for study in studies]
    plan = plans[0] if isinstance(loaded, Study) else SuitePlan.of(loaded, plans)
    return replace(
        named,
        plan=Outline(tuple(plan.rows), tuple(plan.methods), plans[0].note if isinstance(loaded, Study) else ""),
        work=tuple(work_of(study) for study in studies),
        text=text,
        plans={study.study: _plan(study) for study in studies},
    )


def _plan(study: Study) -> dict[str, Any]:
    return {
        "definition": study.definition,
        "digest": study.digest,
        "kinds": study.kinds,
        "priority": study.priority,
    }


def work_of(study: Study) -> Work:
    """Returns what a study would train."""
    runs, resources = len(study.methods) * len(study.seeds), study.resources
    epochs = float(runs * study.budget.amount)
    if study.budget.unit != EPOCHS:
        found = prices(study)
        epochs /= (sum(found) / len(found)) if found else 1.0
    at_once = sum(method.parallelism or study.parallelism for method in study.methods) * len(study.seeds)
    return Work(
        epochs=epochs,
        trainable=study.trainable,
        task=planned(study.study, study.definition).task,
        bundles=resources.bundles,
        labels=dict(resources.labels),
        gpus=resources.gpus,
        workers=min(at_once, resources.max_workers or at_once),
    )


# -- places -------------------------------------------------------------------------------------------------------

_SENTENCE = re.compile(rf"{re.escape(FILE)}:(\d+):(\d+): (.*)", re.DOTALL)


def _parsed(sentence: str) -> Found:
    """Takes the place off a sentence of `hpo check`."""
    match = _SENTENCE.fullmatch(sentence)
    return Found(int(match[1]), int(match[2]), match[3]) if match else Found(1, 1, sentence)


def _placed(document: Document, error: Forbidden) -> Found:
    placed = _parsed(f"{document.place(error.location)}: {error}")
    return Found(placed.line, placed.column, placed.message, "forbidden")


def _place(study: Study, key: str) -> tuple[int, int]:
    found = _parsed(str(study.error((key,), "")))
    return found.line, found.column


def _unplaced(error: Exception) -> Found:
    if isinstance(error, Unreachable):
        return Found(1, 1, str(error), "away")
    if isinstance(error, HpoError):
        return _parsed(str(error))
    return Found(
        1, 1, f"the study must be checkable, but the check ended with {type(error).__name__}: {one_line(error)}"
    )


def _name(document: Document | None) -> str | None:
    found = document.values.get("study") if document else None
    return found if isinstance(found, str) else None
