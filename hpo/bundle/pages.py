"""The pages of a bundle for people: a README of one page, the exact commands, CITATION.cff. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hpo import __version__
from hpo.bundle.card import UNKNOWN
from hpo.bundle.held import Held
from hpo.store import StudyData
from hpo.store.agreement import REPLAY
from hpo.study.values import digest

BUNDLE = "BUNDLE"  # the archive's path in commands, so that its content does not depend on its name


def commands(held: Held, studies: Sequence[StudyData]) -> dict[str, str]:
    """Returns what made each part of the bundle, and what checks and repeats it, as commands to type, one a line."""
    made = dict.fromkeys(str(data.environment.get("command") or UNKNOWN) for data in studies)
    of_study = {
        held.path(
            data.name, "importance.json"
        ): f"hpo importance {BUNDLE}{_of(held, data)} --pairs --format json -o importance.json"
        for data in studies
    }
    return {
        "results": "\n".join(made),
        "comparison.json": f"hpo compare {BUNDLE} --format json -o comparison.json",
        **of_study,
        "report.html": f"hpo compare {BUNDLE} --format html -o report.html",
        "bundle": f"hpo bundle STORE --study {held.title} -o {BUNDLE}",
        "verify": f"hpo verify {BUNDLE}",
        "again": _again(held, studies[0]),
        "differences": "\n".join(f"hpo compare {BUNDLE} NEW{_of(held, data)}" for data in studies),
    }


def _of(held: Held, data: StudyData) -> str:
    return f" --study {data.name}" if held.suite else ""


def _again(held: Held, data: StudyData) -> str:
    """Returns the command that plays everything anew: by training, or over the curves of a replay."""
    if not (replay := data.environment.get(REPLAY)):
        return f"hpo run {BUNDLE} --again --store NEW"
    task = ["--task", replay["task"]] if "task" in replay and not held.suite else []
    return shlex.join(["hpo", "replay", BUNDLE, "--curves", replay["curves"], *task, "--store", "NEW"])


def _budget(budget: Mapping[str, Any]) -> str:
    return f"{budget['epochs']} epochs" if "epochs" in budget else f"a cost of {budget['cost']:g}"


def readme(held: Held, studies: Sequence[StudyData], requirements: str, verdict: str) -> str:
    """Returns the README of one page: what lies in the bundle, how to verify it and how to run it again."""
    data, typed = studies[0], commands(held, studies)
    definition = data.definition
    methods, seeds = (len({v for d in studies for v in d.runs[column].to_pylist()}) for column in ("method", "seed"))
    tasks = f"{len(studies)} tasks, " if held.suite else ""
    budgets = dict.fromkeys(_budget(d.definition["budget"]) for d in studies)
    located = dict.fromkeys(_located(d.definition.get("data") or {}) for d in studies)
    return _README.format(
        name=held.title,
        what="suite of tasks" if held.suite else "study",
        verdict=verdict,
        runs=f"{sum(len(d.runs) for d in studies)} runs ({tasks}{methods} methods, {seeds} seeds)",
        budget=" or ".join(budgets),
        metric=f"{definition['metric']} ({definition['mode']})",
        files=_FILES_OF_SUITE if held.suite else _FILES.format(name=data.name),
        requirements=requirements,
        version=__version__,
        does=_REPLAYS if data.environment.get(REPLAY) else _TRAINS,
        located="\n".join(located),
        image=data.environment.get("image", UNKNOWN),
        **{name: text.replace("\n", "\n    ") for name, text in typed.items()},
    )


_FILES = """| `{name}/` | the study as the store holds it, head and tables; unpacked, this folder's parent is a store |
| `study.yaml` | the resolved study as a study file |
| `comparison.json`, `importance.json`, `report.html` | what follows from the tables; no importance for too few trials |
| `methods.json` | every method with all options, and the versions of the packages that decided |
| `environment.json` | versions, hardware and image of the driver as stored; what each node trained |
| `data-card.json` | name, digest, counts and licence of the data, which are not included |"""

_FILES_OF_SUITE = """| `STUDY/` | each study as the store holds it, head and tables; unpacked, the bundle is a store |
| `comparison.json`, `report.html` | what follows from the tables of all tasks |
| `tasks/STUDY/study.yaml` | the resolved study as a study file |
| `tasks/STUDY/comparison.json`, `importance.json` | what follows from its tables; no importance for too few trials |
| `tasks/STUDY/methods.json` | every method with all options, and the versions of the packages that decided |
| `tasks/STUDY/environment.json` | versions, hardware and image of the driver as stored; what each node trained |
| `tasks/STUDY/data-card.json` | name, digest, counts and licence of the data, which are not included |"""

_README = """# {name}: results of a {what} of HPO Arena

{verdict}

{runs}, each with a budget of {budget}; metric {metric}.

| file | what it holds |
|---|---|
| `manifest.json` | the SHA-256 digest of each file, and the versions that made them |
{files}
| `{requirements}` | the packages of the installation that made this bundle |
| `commands.json` | the command that made each part |
| `CITATION.cff` | how to cite these results |

## Verify it

This needs `hpo-arena` {version}, and neither the data nor a GPU. BUNDLE is this archive.

    {verify}

It compares every file with the manifest, derives every ledger, the comparison, the importance and the report again from
the tables, and names each file and each number that differs.

## Run it again

    {again}

{does}

    {differences}

The original command was:

    {results}

{located} Container image: {image}.
"""


_TRAINS = """It trains everything anew into NEW, which must be another store, and reports how far values, exams and verdicts
differ. This reports it again later:"""

_REPLAYS = """Nothing was trained: recorded curves answered, which are not included. The command plays everything over them again,
into NEW. This reports how far values and verdicts differ:"""


def _located(section: Mapping[str, Any]) -> str:
    root, name = section.get("root"), section.get("name")
    if not root and not name:
        return "The study names no data."
    start = "" if not root or "://" in str(root) or str(root).startswith("/") else ", relative to the working folder"
    at = f" at `{root}`{start}" if root else ""
    return f"Data, which must be at hand: `{name or 'not named'}`{at}."


def citation(held: Held, authors: Sequence[str]) -> str:
    """Returns CITATION.cff, version 1.2.0, for the results as a data set. `authors`: "Family, Given" or a group's name.

    Its version is the study's digest, or one of all digests of a suite.
    """
    version = digest(dict(held.digests)) if held.suite else next(iter(held.digests.values()))
    known = list(authors) or [f"{UNKNOWN}: name them with `hpo bundle --author`"]
    lines = [
        "cff-version: 1.2.0",
        "message: If you use these results, please cite them as below.",
        "type: dataset",
        f"title: {_quoted(f'{held.title}: hyperparameter optimization methods compared with HPO Arena')}",
        "authors:",
        *(line for author in known for line in _author(author)),
        f"version: {_quoted(version)}",
        "references:",
        "  - type: software",
        "    title: HPO Arena",
        "    authors:",
        "      - name: The authors of HPO Arena",
        f"    version: {_quoted(__version__)}",
        "    license: Apache-2.0",
    ]
    return "\n".join(lines) + "\n"


def _author(text: str) -> list[str]:
    family, comma, given = text.partition(",")
    if comma and family.strip() and given.strip():
        return [f"  - family-names: {_quoted(family.strip())}", f"    given-names: {_quoted(given.strip())}"]
    return [f"  - name: {_quoted(text.strip())}"]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML string
