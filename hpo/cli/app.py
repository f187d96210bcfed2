"""The application: every command in its order, and the door where exceptions become sentences and exit codes."""

from __future__ import annotations

import atexit
import os
import platform
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from cluster.errors import ClusterError
from hpo import __version__
from hpo.cli.benchmarks import benchmarks
from hpo.cli.catalogue import datasets, methods, models, studies
from hpo.cli.check import check
from hpo.cli.compare import compare
from hpo.cli.doctor import doctor
from hpo.cli.host import host
from hpo.cli.importance import importance
from hpo.cli.init import init
from hpo.cli.jobs import jobs, logs, stop
from hpo.cli.options import command_line, errors
from hpo.cli.refine import refine
from hpo.cli.remote.handing import SERVICE, Handing
from hpo.cli.replay import replay
from hpo.cli.run import run
from hpo.cli.serve import serve
from hpo.cli.stores import bundle, export, verify
from hpo.cli.submit import submit
from hpo.cli.token import token
from hpo.cli.welcome import version, welcome
from hpo.errors import HpoError, InterruptedStudy, MissingExtra, StudyFailed
from hpo.files import write_private
from hpo.text import one_line

BUG = 70  # EX_SOFTWARE of sysexits.h
LEAVE_SECONDS = 10.0  # for what other threads still do, and then for what is to run at exit

app = typer.Typer(
    name="hpo",
    cls=Handing,
    help="Compare hyperparameter optimization methods side by side, under one exact epoch budget.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "studies": (init, check, run, refine, replay),
    "what there is": (methods, models, datasets, studies, benchmarks),
    "results": (compare, importance, verify, bundle, export),
    "the service": (serve,),
    "clusters": (doctor, submit, jobs, logs, stop),
}
for command in (command for group in GROUPS.values() for command in group):
    app.command()(command)
app.add_typer(host, name="host")
app.add_typer(token, name="token")


def _say_version(asked: bool) -> None:
    if asked:
        print(version())
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar=SERVICE,
            is_eager=True,
            help="Ask the service at this address; `hpo --service URL --help` lists the commands.",
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Compare hyperparameter optimization methods side by side, under one exact epoch budget."""
    if context.invoked_subcommand is None:
        names = {name: [command.__name__ for command in group] for name, group in GROUPS.items()}
        names["the service"] += ["token add", "token list", "token revoke"]
        print(welcome({**names, "other libraries": ["host add", "host list", "host remove"]}))


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and exits with its code; prints one sentence on stderr if the command cannot do its work."""
    code = _guarded(lambda: app(args=arguments, prog_name="hpo", standalone_mode=False), last=arguments is None)
    if arguments is None:
        _end_undisturbed()
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """Ends the process as Python does, but does not take its modules apart: that takes half a second after a study.

    All is said. What threads still do, and what is to run at exit, has a few seconds each: a thread whose start a signal
    interrupted may never end.
    """
    for work in (_threads_end, atexit._run_exitfuncs):
        last = threading.Thread(target=work, name="end", daemon=True)
        last.start()
        last.join(LEAVE_SECONDS)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _threads_end() -> None:
    """Waits as Python does for the threads that keep it from ending; executors' threads are told that it ends."""
    for tell in reversed(threading._threading_atexits):  # type: ignore[attr-defined]
        tell()
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join()


def _end_undisturbed() -> None:
    """Ignores signals from now on: all is said, and an impatient Ctrl-C would only replace the exit code."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _guarded(command: Callable[[], Any], *, last: bool = False) -> int:
    """Runs a command and returns its exit code. `last`: the process ends with it."""
    try:
        answer = command()
        sys.stdout.flush()  # here, where it may fail, not when the interpreter ends
        return answer if isinstance(answer, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        errors.print("hpo: interrupted")
        return InterruptedStudy.exit_code
    except StudyFailed as error:
        errors.print(f"hpo: the study failed: {error}")
        return error.exit_code
    except (HpoError, ClusterError) as error:
        if last and isinstance(error, InterruptedStudy):
            _end_undisturbed()
        errors.print(f"hpo: {error}")
        return error.exit_code
    except BrokenPipeError:
        return _unread()
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return _unread()  # typer makes it an exit code of 1, which means a failed study
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (extra := MissingExtra.behind(error)):
            errors.print(f"hpo: {extra}")
            return extra.exit_code
        usage = getattr(error, "format_message", None)  # typer's own errors: a missing argument, an unknown option
        if usage is None:
            return _bug(error)
        errors.print(f"hpo: {usage()}")
        return 2


def _unread() -> int:
    """Drops what is left to print: the reader of a pipe, such as `head`, has read all that it wanted."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return 0


def _bug(error: Exception) -> int:
    """Reports an exception that is no sentence of ours: its line on stderr, its traceback in a file."""
    said = f"{type(error).__name__}: {one_line(error)}" if str(error).strip() else type(error).__name__
    told = "".join(traceback.format_exception(error))
    head = f"{command_line()}\nhpo {__version__}, Python {platform.python_version()}, {platform.platform()}\n\n"
    path = Path(tempfile.gettempdir()) / f"hpo-bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        # the temporary folder is everybody's, and a traceback may quote an address or a path
        write_private(path, (head + told).encode(errors="backslashreplace").decode())
    except OSError:  # a full disk, perhaps the very cause: better a long answer than a lost one
        errors.print(told)
        errors.print(f"hpo: this is a bug in hpo: {said}; please report it with the traceback above")
    else:
        errors.print(f"hpo: this is a bug in hpo: {said}; please report it with the traceback in {path}")
    return BUG
