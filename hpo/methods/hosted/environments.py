"""Where other libraries are installed: the project's own environment, or one of their own below a folder of hosts.

`HPO_HOSTS` names the folder; by default it lies in the user's data folder. Each environment is a virtual environment with
pinned versions, made by `hpo host add`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from hpo.errors import HpoError
from hpo.files import expanded
from hpo.methods.hosted.libraries import LIBRARIES, Library
from hpo.methods.protocol import InvalidOption


class NoHost(HpoError):
    """An environment that cannot be made."""


def folder() -> Path:
    """Returns the folder of the hosts' environments."""
    if chosen := os.environ.get("HPO_HOSTS"):
        return expanded(chosen)
    return expanded(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "hpo-arena" / "hosts"


def python_of(library: Library) -> str:
    """Returns the interpreter in whose environment the library is: its own, else this one.

    Raises InvalidOption, with the command that installs it, where it is in neither.
    """
    own = folder() / library.name / "bin" / "python"
    if own.exists():
        return str(own)
    if importlib.util.find_spec(library.module) is not None:
        return sys.executable
    raise InvalidOption(f"{library.package} must be installed, but is not: hpo host add {library.name}")
