"""The command line: one file per group of commands. The composition root: imports every package; nothing imports it."""

from hpo.cli.app import app, main

__all__ = ["app", "main"]
