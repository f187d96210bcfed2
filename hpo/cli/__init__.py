"""The command line: one file per group of commands. The composition root: imports every package; nothing imports it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and exits with its code. Imports the commands here, where a Ctrl-C meanwhile is a sentence too."""
    try:
        from hpo.cli.app import main as play
    except KeyboardInterrupt:
        print("hpo: interrupted", file=sys.stderr)
        sys.exit(130)
    play(arguments)
