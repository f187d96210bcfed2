"""The command line: the composition root, the only place that knows all the others."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hpo.study import Study, presets

app = typer.Typer(
    name="hpo",
    help="Hyperparameter optimization methods side by side, under one exact epoch budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or a preset's name (see `hpo studies`).")
]
StoreArgument = Annotated[
    str, typer.Argument(metavar="STORE", help="A folder or s3://bucket/prefix that holds results.")
]
StudyOption = Annotated[str | None, typer.Option("--study", metavar="NAME", help="Which study of the store.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of stdout.")
]


class RunFormat(StrEnum):
    table = "table"
    json = "json"


class TableFormat(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"
    latex = "latex"
    html = "html"


def _load(source: str, *, store: str | None = None, methods: str | None = None, seeds: str | None = None,
          budget: int | None = None) -> Study:  # fmt: skip
    from hpo.yaml_text import StudyError

    try:
        numbers = [int(part) for part in seeds.split(",")] if seeds else None
    except ValueError:
        raise StudyError(f"--seeds must be whole numbers with commas between them, but got {seeds!r}") from None
    names = [part.strip() for part in methods.split(",")] if methods else None
    return Study.load(source, store=store, methods=names, seeds=numbers, epochs=budget)


# -- play ---------------------------------------------------------------------------------------------------------


@app.command()
def run(
    study: StudyArgument,
    store: Annotated[str | None, typer.Option(metavar="URI", help="Where results go; else the study's own.")] = None,
    address: Annotated[str | None, typer.Option(metavar="A", help="A running Ray cluster: auto or HOST:PORT.")] = None,
    methods: Annotated[str | None, typer.Option(metavar="A,B", help="Only these methods.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1", help="Only these seeds.")] = None,
    budget: Annotated[int | None, typer.Option(metavar="N", help="Epochs of each run.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Trials at a time, at the most.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    format: Annotated[RunFormat, typer.Option(help="What stdout gets.")] = RunFormat.table,
) -> None:
    """Run a study, or go on with one that its store holds in part."""
    from hpo import session

    loaded = _load(study, store=store, methods=methods, seeds=seeds, budget=budget)
    repeat = shlex.join(["hpo", *sys.argv[1:]])
    report = session.play(loaded, address=address, workers=workers, quiet=quiet, command=repeat)
    _print_comparison(loaded.store, loaded.study, format.value, None)
    if not quiet:
        errors.print(f"report: {report}")


@app.command()
def check(study: StudyArgument) -> None:
    """Validate a study and print its plan; trains nothing."""
    from hpo.plan_text import plan_text

    print(plan_text(_load(study)))


# -- what came out ------------------------------------------------------------------------------------------------


@app.command()
def compare(
    store: StoreArgument,
    study: StudyOption = None,
    format: Annotated[TableFormat, typer.Option()] = TableFormat.table,
    output: OutputOption = None,
) -> None:
    """Compare the methods of a study."""
    _print_comparison(store, study, format.value, output)


def _print_comparison(uri: str, study: str | None, format: str, output: Path | None) -> None:
    from hpo import store as stores
    from hpo.compare import compare as compare_study

    data = stores.read(uri, study)
    for warning in getattr(data, "warnings", ()):
        errors.print(f"warning: {warning}")
    comparison = compare_study(data)
    if format == "json":
        _out(json.dumps(comparison.to_json(), indent=2, allow_nan=False), output)
    elif format == "html":
        from hpo import report
        from hpo.importance import importance_or_none

        path = output or Path(f"{data.name}.html")
        command = f"hpo compare {shlex.quote(uri)} --study {data.name} --format html"
        report.write_html(data, comparison, importance_or_none(data, seed=0), path, command=command)
        errors.print(f"report: {path.resolve()}")
    else:
        from hpo.report import tables

        _out(tables.render(comparison, format), output)


def _out(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return
    from hpo.files import write_whole

    write_whole(output, (text if text.endswith("\n") else text + "\n").encode())


# -- what there is ------------------------------------------------------------------------------------------------


def _list(rows: list[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in rows), default=0)
    for name, about in rows:
        print(f"{name:<{width}}  {about}".rstrip())


@app.command()
def methods() -> None:
    """The methods that a study may name."""
    from hpo.methods import describe

    _list(describe())


@app.command()
def models(name: Annotated[str | None, typer.Argument(help="Print this model's numbered layers.")] = None) -> None:
    """The backbones that a study may name; with NAME, its layers as `finetuned_layers` counts them."""
    from trainables import backbones

    if name is None:
        for model in backbones.names():
            print(model)
        return
    for line in backbones.describe(name):
        print(line)


@app.command()
def datasets() -> None:
    """The data sets that a study may name."""
    from trainables import data

    _list(data.names())


@app.command()
def studies() -> None:
    """The studies that come with the package."""
    rows = []
    for name, path in presets().items():
        first = next((line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#")), "")
        rows.append((name, first))
    _list(rows)


# -- the door -----------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; one sentence on stderr and the exit code of the contract where it cannot."""
    sys.exit(_guarded(lambda: app(args=arguments, prog_name="hpo", standalone_mode=False)))


def _guarded(command: Callable[[], Any]) -> int:
    from hpo.session import InterruptedStudy
    from hpo.session import StudyFailed as Failed

    try:
        answer = command()
        return answer if isinstance(answer, int) else 0
    except (InterruptedStudy, KeyboardInterrupt, typer.Abort) as error:
        errors.print(f"hpo: {str(error) or 'interrupted'}")
        return 130
    except Failed as error:
        errors.print(f"hpo: the study failed: {error}")
        return 1
    except BrokenPipeError:
        return 0
    except Exception as error:
        usage = getattr(error, "format_message", None)  # typer's own errors: a missing argument, an unknown option
        if usage is not None:
            errors.print(f"hpo: {usage()}")
            return 2
        if not isinstance(error, ValueError) or type(error) is ValueError:
            raise  # not one of our sentences: a bug, to be seen whole
        errors.print(f"hpo: {error}")
        return 2


if __name__ == "__main__":
    main()
