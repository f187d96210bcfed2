"""The commands that ask a service, in their order."""

from __future__ import annotations

import typer

from hpo.cli.remote.access import login
from hpo.cli.remote.handed import Handed
from hpo.cli.remote.jobs import go_on, jobs, logs, stop
from hpo.cli.remote.results import bundle, compare, export, importance, report
from hpo.cli.remote.run import check, run, submit, watch
from hpo.cli.remote.studies import archive, studies, unarchive

remote = typer.Typer(name="hpo --service URL", rich_markup_mode=None, pretty_exceptions_enable=False)

COMMANDS = (
    *(login, check, run, submit, watch, studies, archive, unarchive),
    *(compare, importance, report, bundle, export, jobs, logs, stop),
)
for command in COMMANDS:
    remote.command(cls=Handed)(command)
remote.command("continue", cls=Handed)(go_on)
