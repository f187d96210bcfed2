"""A command that asks the service: what it says to options that only the local command of its name has."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from hpo.errors import HpoError

WHY = {
    "--address": "the service knows its cluster",
    "--store": "the service has one store",
    "--env": "variables of a job are the service's to give",
    "--env-from": "variables of a job are the service's to give",
    "--on": "the service decides on which node a driver runs",
    "--cpus": "the service decides what a driver gets",
    "--memory": "the service decides what a driver gets",
    "--owner": "the token's name is the owner",
    "--tasks": "the whole suite is submitted",
    "--again": "a bundle is trained anew on this machine",
    "--author": "the service makes the bundle",
    "--keep-paths": "the service makes the bundle",
}
"""An option of a local command, and why a service does not take it."""


class Handed(TyperCommand):
    """A command that asks the service. It refuses, in a sentence, the local command's options that mean nothing there."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command's arguments and options."""
        try:
            return list(super().parse_args(ctx, args))
        except Exception as error:
            option = getattr(error, "option_name", None)
            if type(error).__name__ != "NoSuchOption" or option not in _options(ctx):
                raise
            why = WHY.get(option, "the service has no such choice")
            raise HpoError(f"`hpo {self.name}` takes no {option} with --service: {why}; leave it out") from None


def _options(ctx: Any) -> set[str]:
    """Returns the options of the local command of the same name."""
    local = getattr(ctx.find_root().command, "commands", {}).get(ctx.info_name)
    return set() if local is None else {word for each in local.params for word in (*each.opts, *each.secondary_opts)}
