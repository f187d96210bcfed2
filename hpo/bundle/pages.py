"""The pages of a bundle for people: a README of one page, the exact commands, CITATION.cff. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hpo import __version__
from hpo.bundle.card import UNKNOWN
from hpo.store import StudyData
from hpo.store.agreement import REPLAY

BUNDLE = "BUNDLE"  # the archive's path in commands, so that its content does not depend on its name


def commands(data: StudyData) -> dict[str, str]:
    """Returns what made each part of the bundle, and what checks and repeats it, as commands to type."""
    return {
        "results": str(data.environment.get("command") or UNKNOWN),
        "comparison.json": f"hpo compare {BUNDLE} --format json -o comparison.json",
        "importance.json": f"hpo importance {BUNDLE} --pairs --format json -o importance.json",
        "report.html": f"hpo compare {BUNDLE} --format html -o report.html",
        "bundle": f"hpo bundle STORE --study {data.name} -o {BUNDLE}",
        "verify": f"hpo verify {BUNDLE}",
        "again": _again(data),
        "differences": f"hpo compare {BUNDLE} NEW",
    }


def _again(data: StudyData) -> str:
    """Returns the command that plays the study anew: by training, or over the curves of a replay."""
    if not (replay := data.environment.get(REPLAY)):
        return f"hpo run {BUNDLE} --again --store NEW"
    task = ["--task", replay["task"]] if "task" in replay else []
    return shlex.join(["hpo", "replay", BUNDLE, "--curves", replay["curves"], *task, "--store", "NEW"])


def _budget(budget: Mapping[str, Any]) -> str:
    return f"{budget['epochs']} epochs" if "epochs" in budget else f"a cost of {budget['cost']:g}"


def readme(data: StudyData, requirements: str, verdict: str) -> str:
    """Returns the README of one page: what lies in the bundle, how to verify it and how to run the study again."""
    definition, typed = data.definition, commands(data)
    methods, seeds = (len(set(data.runs[column].to_pylist())) for column in ("method", "seed"))
    return _README.format(
        name=data.name,
        verdict=verdict,
        runs=f"{len(data.runs)} runs ({methods} methods, {seeds} seeds)",
        budget=_budget(definition["budget"]),
        metric=f"{definition['metric']} ({definition['mode']})",
        requirements=requirements,
        version=__version__,
        does=_REPLAYS if data.environment.get(REPLAY) else _TRAINS,
        located=_located(definition.get("data") or {}),
        image=data.environment.get("image", UNKNOWN),
        **typed,
    )


_README = """# {name}: results of a study of HPO Arena

{verdict}

{runs}, each with a budget of {budget}; metric {metric}.

| file | what it holds |
|---|---|
| `manifest.json` | the SHA-256 digest of each file, and the versions that made them |
| `{name}/` | the study as the store holds it: `study.json` and Parquet tables; unpacked, this folder's parent is a store |
| `study.yaml` | the resolved study as a study file |
| `comparison.json`, `importance.json`, `report.html` | what follows from the tables; no importance for too few trials |
| `methods.json` | every method with all options, and the versions of the packages that decided |
| `environment.json` | versions, hardware and image of the driver as stored; what each node trained |
| `{requirements}` | the packages of the installation that made this bundle |
| `data-card.json` | name, digest, counts and licence of the data, which are not included |
| `commands.json` | the command that made each part |
| `CITATION.cff` | how to cite these results |

## Verify it

This needs `hpo-arena` {version}, and neither the data nor a GPU. BUNDLE is this archive.

    {verify}

It compares every file with the manifest, derives every ledger, the comparison, the importance and the report again from
the tables, and names each file and each number that differs.

## Run it again

    {again}

{does} The original command was:

    {results}

{located} Container image: {image}.
"""


_TRAINS = """It trains the whole study anew into NEW, which must be another store, and reports how far values, exams and verdicts
differ. `hpo compare BUNDLE NEW` reports it again later."""

_REPLAYS = """Nothing was trained: recorded curves answered, which are not included. The command plays the study over them again,
into NEW; `hpo compare BUNDLE NEW` reports how far values and verdicts differ."""


def _located(section: Mapping[str, Any]) -> str:
    root, name = section.get("root"), section.get("name")
    if not root and not name:
        return "The study names no data."
    start = "" if not root or "://" in str(root) or str(root).startswith("/") else ", relative to the working folder"
    at = f" at `{root}`{start}" if root else ""
    return f"Data, which must be at hand: `{name or 'not named'}`{at}."


def citation(data: StudyData, digest: str, authors: Sequence[str]) -> str:
    """Returns CITATION.cff, version 1.2.0, for the results as a data set. `authors`: "Family, Given" or a group's name."""
    known = list(authors) or [f"{UNKNOWN}: name them with `hpo bundle --author`"]
    lines = [
        "cff-version: 1.2.0",
        "message: If you use these results, please cite them as below.",
        "type: dataset",
        f"title: {_quoted(f'{data.name}: hyperparameter optimization methods compared with HPO Arena')}",
        "authors:",
        *(line for author in known for line in _author(author)),
        f"version: {_quoted(digest)}",
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
