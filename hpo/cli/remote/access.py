"""`hpo --service URL login`: keeps a token for a service."""

from __future__ import annotations

import sys
from getpass import getpass

import typer

from hpo.cli.options import errors
from hpo.cli.remote.connection import service_of
from hpo.errors import HpoError


def login(context: typer.Context) -> None:
    """Keep a token of the service for later commands, in a file that only you can read; the token is read from stdin."""
    from hpo.client import connect, tokens

    url = service_of(context)
    secret = (getpass(f"token for {url}: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not secret:
        raise HpoError("a token must be given, but got none; an admin makes one by `hpo token add NAME --role run`")
    client = connect(url, token=secret)
    for warning in client.warnings:
        errors.print(f"warning: {warning}")
    me = client.me()
    place = tokens.keep(client.transport.url, secret)
    errors.print(f"signed in as {me['name']} ({me['role']}); the token is in {place}")
