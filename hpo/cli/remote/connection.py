"""The service that a command asks, and how a user would type a command for it again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from hpo.cli.options import errors

if TYPE_CHECKING:
    from hpo.client import Client


def service_of(context: typer.Context) -> str:
    """Returns the address of the service."""
    return str(context.find_root().params["service"])


def connected(context: typer.Context) -> Client:
    """Connects to the service that the command names, and says what is unsafe about it."""
    from hpo.client import connect

    client = connect(service_of(context))
    for warning in client.warnings:
        errors.print(f"warning: {warning}")
    return client


def typed(context: typer.Context, *words: str) -> str:
    """Returns a command for the same service, as it can be typed."""
    root = context.find_root()
    named = getattr(root.get_parameter_source("service"), "name", "") == "COMMANDLINE"
    return shlex.join(["hpo", *(["--service", service_of(context)] if named else []), *words])
