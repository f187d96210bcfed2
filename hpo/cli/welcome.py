"""What `hpo` says without a command: what to do first, then which commands there are; and `hpo --version`."""

from __future__ import annotations

import platform
import sys
import textwrap
from collections.abc import Iterable, Mapping

from hpo import __version__

FIRST = (
    ("hpo run digits", "four methods side by side on real data, in minutes"),
    ("hpo init FOLDER", "write a study for your own folder of images"),
    ("hpo doctor", "see what of this machine would stop a study"),
)


def welcome(groups: Mapping[str, Iterable[str]]) -> str:
    """Returns what a newcomer reads first; `groups` are the names of all commands by what they are for."""
    wide = max(len(command) for command, _ in FIRST)
    first = [f"  {command:<{wide}}  {about}" for command, about in FIRST]
    named = max(len(name) for name in groups)
    rest = [
        line
        for name, commands in groups.items()
        for line in textwrap.wrap(
            ", ".join(commands), 80, initial_indent=f"  {name:<{named}}  ", subsequent_indent=" " * (named + 4)
        )
    ]
    return "\n".join(
        [
            "HPO Arena compares hyperparameter optimization methods side by side, under one",
            "exact budget of epochs.",
            "",
            "First:",
            *first,
            "",
            "All commands; `hpo COMMAND --help` explains one:",
            *rest,
            "",
            "`hpo --install-completion` lets the Tab key complete them in bash, zsh and fish.",
        ]
    )


def version() -> str:
    """Returns the version of this program and of the Python that it runs on."""
    return f"hpo {__version__} (Python {platform.python_version()}, {sys.executable})"
