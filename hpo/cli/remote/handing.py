"""The one place where a command is handed over to a service: with `--service`, the names mean other commands."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import typer
from typer.core import TyperGroup

from hpo.errors import HpoError

SERVICE = "HPO_SERVICE"


class Handing(TyperGroup):
    """The commands of `hpo`: those of this machine, or with --service those that ask the service."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns the command of that name. Raises HpoError for one that works on the other side alone."""
        local, there = super().get_command(ctx, cmd_name), self._there.commands.get(cmd_name)
        service = ctx.params.get("service")
        if service is None:
            if local is None and there is not None:
                raise HpoError(f"`hpo {cmd_name}` asks a service: hpo --service URL {cmd_name}, or set {SERVICE}=URL")
            return local
        if there is not None:
            return there
        named = getattr(ctx.get_parameter_source("service"), "name", "") == "COMMANDLINE"
        if local is not None and named:
            raise HpoError(f"`hpo {cmd_name}` works on this machine, not through a service; leave --service out")
        return local

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names that `hpo --help` lists, or `hpo --service URL --help`."""
        return list(self._there.commands) if ctx.params.get("service") else list(super().list_commands(ctx))

    @cached_property
    def _there(self) -> Any:
        """The commands that ask a service."""
        from hpo.cli.remote.app import remote

        return typer.main.get_command(remote)
