"""The command line: the composition root, the only place that knows all the others."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hpo import cli_jobs, cli_replay, cli_results
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


class RunFormat(StrEnum):
    table = "table"
    json = "json"


def _load(source: str, *, store: str | None = None, methods: str | None = None, seeds: str | None = None,
          budget: int | None = None) -> Study:  # fmt: skip
    numbers = cli_results.seed_numbers(seeds)
    return Study.load(source, store=store, methods=cli_results.words(methods), seeds=numbers, epochs=budget)


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
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the HTML report at the end.")] = True,
) -> None:
    """Run a study, or go on with one that its store holds in part."""
    from hpo import session

    loaded = _load(study, store=store, methods=methods, seeds=seeds, budget=budget)
    repeat = shlex.join(["hpo", *sys.argv[1:]])
    session.play(loaded, address=address, workers=workers, quiet=quiet, command=repeat)
    cli_results.print_comparison(loaded.store, loaded.study, format.value)
    if report:
        path = session.write_report(loaded, repeat)
        if not quiet:
            errors.print(f"report: {path}")


@app.command()
def check(study: StudyArgument) -> None:
    """Validate a study and print its plan; trains nothing."""
    from hpo.plan_text import plan_text

    print(plan_text(_load(study)))


@app.command()
def refine(
    store: cli_results.StoreArgument,
    study: cli_results.StudyOption = None,
    method: Annotated[
        str | None, typer.Option(metavar="M", help="Refine this method's winner; else the best one.")
    ] = None,
    points: Annotated[int, typer.Option(min=1, help="Other values of a range to try.")] = 5,
    seeds: Annotated[
        str, typer.Option(metavar="0,1", help="Training seeds; pairs are made by seed.")
    ] = "0,1,2,3,4,5,6,7",
    folds: Annotated[int | None, typer.Option(min=2, help="Validate each training on so many folds.")] = None,
    folder: Annotated[Path, typer.Option(help="Where relative paths of the study start.")] = Path(),
    address: Annotated[str | None, typer.Option(metavar="A")] = None,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N")] = None,
    quiet: Annotated[bool, typer.Option("--quiet")] = False,
    format: Annotated[RunFormat, typer.Option()] = RunFormat.table,
) -> None:
    """Vary the most and the least important hyperparameter of a winner, one at a time; say whether a gain is real."""
    from hpo import refining

    found = refining.play(
        store, study, method=method, points=points, seeds=cli_results.seed_numbers(seeds) or [], folds=folds, folder=folder,
        address=address, workers=workers, quiet=quiet, command=shlex.join(["hpo", *sys.argv[1:]]),
    )  # fmt: skip
    print(refining.text(found) if format is RunFormat.table else cli_results.as_json(found.to_json()))


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
    from trainables import backbones, network

    if name is None:
        for model in backbones.names():
            print(model)
        return
    for layer in network.describe(name):
        print(f"{layer.number:4}  {layer.kind:13}  {layer.parameters:9,}  {layer.name}")


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


cli_replay.register(app)
cli_results.register(app)
cli_jobs.register(app)


# -- the door -----------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; one sentence on stderr and the exit code of the contract where it cannot."""
    sys.exit(_guarded(lambda: app(args=arguments, prog_name="hpo", standalone_mode=False)))


def _guarded(command: Callable[[], Any]) -> int:
    from hpo.session import InterruptedStudy
    from hpo.session import StudyFailed as Failed
    from hpo.store import Unreachable

    try:
        answer = command()
        return answer if isinstance(answer, int) else 0
    except (InterruptedStudy, KeyboardInterrupt, typer.Abort) as error:
        errors.print(f"hpo: {str(error) or 'interrupted'}")
        return 130
    except Failed as error:
        errors.print(f"hpo: the study failed: {error}")
        return 1
    except Unreachable as error:  # the same command may do later: whoever would try again asks for a code of its own
        errors.print(f"hpo: {error}")
        code = os.environ.get("HPO_STORE_AWAY", "")
        return int(code) if code.isdigit() else 2
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
