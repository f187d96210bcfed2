"""`hpo benchmarks`: the public benchmarks that are known by name, which are at hand, and a study of one of their tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.lines import shown
from hpo.cli.options import RunFormat, as_json, out
from hpo.errors import HpoError

if TYPE_CHECKING:
    from hpo.replay.sources.benchmarks import Benchmark, Files, Task

ALL = "all"  # as --task
TRAININGS = 20  # whole trainings that a run of the study of a task may spend

NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME[:PATH]", help="A benchmark, with the path of its files where no folder has them."),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(metavar="F", help="A folder that holds benchmarks by name (default: HPO_BENCHMARKS)."),
]
TaskOption = Annotated[
    str | None, typer.Option(metavar="T", help="Print a study of this task for `hpo replay`, or of all: a suite.")
]
FormatOption = Annotated[RunFormat, typer.Option("--format", help="Format of the output.")]


def benchmarks(
    name: NameArgument = None,
    folder: FolderOption = None,
    task: TaskOption = None,
    format: FormatOption = RunFormat.table,
) -> None:
    """List the public benchmarks that `hpo replay --curves NAME:PATH` reads, describe one, or write a study of a task."""
    from hpo.replay.sources.benchmarks import BENCHMARKS
    from hpo.replay.sources.benchmarks.places import folder as folder_of
    from hpo.replay.sources.benchmarks.places import present

    place = folder_of(folder)
    if name is None:
        if task is not None:
            raise HpoError(
                f"--task must come with the name of a benchmark, but none is given; known: {', '.join(BENCHMARKS)}"
            )
        every = [(benchmark, present(benchmark, place)) for benchmark in BENCHMARKS.values()]
        _list(every, place, format)
        return
    benchmark, files = _chosen(name, place)
    if task is None:
        _list([(benchmark, files)], place, format, whole=True)
    elif files is None:
        raise HpoError(
            f"a study of {task} needs {benchmark.name}'s files, but they are not there; give {benchmark.name}:PATH"
        )
    else:
        out(suite_text(files) if task == ALL else study_text(files, files.task(task)), None)


def study_text(files: Files, task: Task) -> str:
    """Returns a study file that searches a task of a benchmark, for `hpo replay`."""
    from hpo.api.study import Study, keys_given
    from hpo.study.candidates import FROM_TABLE, KEY
    from hpo.study.space_file import section_of
    from hpo.study.yaml_text import yaml_text

    curves = f"{files.benchmark.name}:{files.path}"
    study = Study(
        name=_name(f"{files.benchmark.name}-{task.name}"),
        trainable="curves",
        space=section_of(task.space),
        **_searched(task),
    )
    values = keys_given(study)
    if task.drawn:  # exactly the recorded configurations, which only a replay knows
        values["space"] = {KEY: FROM_TABLE, **values["space"]}
    head = [
        f"# {curves}, task {task.name}; an epoch is {task.epoch}. Metrics: {', '.join(task.metrics)}.",
        *_terms(files.benchmark),
        f"# hpo replay THIS_FILE --curves {curves} --task {task.name}",
    ]
    return "\n".join([*head, yaml_text(values)])


def suite_text(files: Files) -> str:
    """Returns a suite file of all tasks of a benchmark, each with the space that the benchmark declares."""
    from hpo.study.candidates import FROM_TABLE
    from hpo.study.yaml_text import yaml_text

    tasks = [files.task(name) for name in files.tasks()]
    metrics = list(dict.fromkeys(task.metric for task in tasks))
    if len(metrics) > 1:
        raise HpoError(
            f"a suite must optimize one metric, but {files.benchmark.name}'s tasks have {', '.join(metrics)}; give the folder "
            "of those that belong together, such as that of one scenario"
        )
    first = {**_searched(tasks[0]), "methods": _searched(min(tasks, key=lambda task: task.epochs))["methods"]}
    own = {
        task.name: {key: value for key, value in _searched(task).items() if key != "methods" and first[key] != value}
        for task in tasks
    }
    curves = f"{files.benchmark.name}:{files.path}"
    values = {"study": _name(files.benchmark.name), "trainable": "curves", "space": FROM_TABLE, **first}
    values["tasks"] = own if any(own.values()) else list(own)
    head = [*_terms(files.benchmark), f"# hpo replay THIS_FILE --curves {curves} --store STORE"]
    return "\n".join([*head, yaml_text(values)])


def _searched(task: Task) -> dict[str, Any]:
    """Returns the part of a study that every task has: budget, methods, seeds, and what is optimized."""
    return {
        "budget": {"epochs": TRAININGS * task.epochs, "max_epochs": task.epochs},
        "methods": ["random", "tpe", *(["asha"] if task.epochs > 1 else [])],
        "seeds": [0, 1, 2],
        "parallelism": 4,
        "metric": task.metric,
        "mode": task.metrics[task.metric],
    }


def _terms(benchmark: Benchmark) -> list[str]:
    return [f"# Licence: {benchmark.licence}. Cite: {benchmark.citation}."]


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)


def _chosen(name: str, place: Path | None) -> tuple[Benchmark, Files | None]:
    """Returns a benchmark and its files; None where they are not there. Raises HpoError for a name that is not known."""
    from hpo.replay.sources.benchmarks import BENCHMARKS, named
    from hpo.replay.sources.benchmarks.places import present
    from hpo.text import nearest

    known, _, path = name.partition(":")
    if known not in BENCHMARKS:
        raise HpoError(f"a benchmark must be known by name, but got {known!r}; {nearest(known, BENCHMARKS)}")
    return BENCHMARKS[known], named(name) if path else present(BENCHMARKS[known], place)


def _list(
    found: list[tuple[Benchmark, Files | None]], place: Path | None, format: RunFormat, *, whole: bool = False
) -> None:
    tasks = {benchmark.name: files.tasks() if files is not None else () for benchmark, files in found}
    if format is RunFormat.json:
        print(as_json([_record(benchmark, files, tasks[benchmark.name]) for benchmark, files in found]))
        return
    width = max(len(benchmark.name) for benchmark, _ in found)
    for benchmark, files in found:
        count = len(tasks[benchmark.name])
        there = f"{count} task{'s' * (count != 1)} in {files.path}" if files is not None else "not here"
        print(shown(f"{benchmark.name:<{width}}  {benchmark.about} ({there})", indent=width + 2))
        if whole:
            _describe(benchmark, tasks[benchmark.name])
    if place is None and not whole:
        print(
            shown(
                "To find them by name, set HPO_BENCHMARKS or give --folder; `hpo benchmarks NAME` says where they are from."
            )
        )


def _describe(benchmark: Benchmark, tasks: tuple[str, ...]) -> None:
    lines = {
        "files": benchmark.files,
        "from": benchmark.where,
        "licence": benchmark.licence,
        "cite": benchmark.citation,
        "tasks": ", ".join(tasks),
    }
    for key, text in lines.items():
        if text:
            print(shown(f"  {key + ':':<9}{text}", indent=11))


def _record(benchmark: Benchmark, files: Files | None, tasks: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": benchmark.name,
        "about": benchmark.about,
        "files": benchmark.files,
        "from": benchmark.where,
        "licence": benchmark.licence,
        "citation": benchmark.citation,
        "path": None if files is None else str(files.path),
        "tasks": list(tasks),
    }
