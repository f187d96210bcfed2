"""The command line: the composition root, one file a group of commands. Imports everything; nothing imports it."""

from hpo.cli.app import app, main

__all__ = ["app", "main"]
