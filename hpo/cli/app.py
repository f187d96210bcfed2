"""The application: every command in its order, and the door that turns errors into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from cluster.errors import ClusterError
from hpo.cli.catalogue import datasets, methods, models, studies
from hpo.cli.check import check
from hpo.cli.compare import compare
from hpo.cli.importance import importance
from hpo.cli.jobs import jobs, logs, stop, submit
from hpo.cli.options import errors
from hpo.cli.refine import refine
from hpo.cli.replay import replay
from hpo.cli.run import run
from hpo.cli.stores import export, serve, verify
from hpo.errors import HpoError, InterruptedStudy, StudyFailed

app = typer.Typer(
    name="hpo",
    help="Hyperparameter optimization methods side by side, under one exact epoch budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

COMMANDS = (
    *(run, check, refine, methods, models, datasets, studies, replay, compare, importance, verify, export, serve),
    *(submit, jobs, logs, stop),
)
for command in COMMANDS:
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; one sentence on stderr and the exit code of the contract where it cannot."""
    sys.exit(_guarded(lambda: app(args=arguments, prog_name="hpo", standalone_mode=False)))


def _guarded(command: Callable[[], Any]) -> int:
    try:
        answer = command()
        return answer if isinstance(answer, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        errors.print("hpo: interrupted")
        return InterruptedStudy.exit_code
    except StudyFailed as error:
        errors.print(f"hpo: the study failed: {error}")
        return error.exit_code
    except (HpoError, ClusterError) as error:
        errors.print(f"hpo: {error}")
        return error.exit_code
    except BrokenPipeError:
        return 0
    except Exception as error:
        usage = getattr(error, "format_message", None)  # typer's own errors: a missing argument, an unknown option
        if usage is None:
            raise  # not one of our sentences: a bug, to be seen whole
        errors.print(f"hpo: {usage()}")
        return 2
