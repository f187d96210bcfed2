"""Where other libraries are installed: the project's own environment, or one of their own below a folder of hosts.

`HPO_HOSTS` names the folder; by default it lies in the user's data folder. Each environment is a virtual environment with
pinned versions, made by `hpo host add`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from hpo.errors import HpoError
from hpo.files import expanded, write_whole
from hpo.methods.hosted.libraries import LIBRARIES, Library
from hpo.methods.protocol import InvalidOption
from hpo.text import cut, nearest, shown

READY = "installed.txt"  # in an environment that is whole: all its packages with their versions


class NoHost(HpoError):
    """An environment that cannot be made."""


def folder(chosen: str | Path | None = None) -> Path:
    """Returns the folder of the hosts' environments: `chosen`, else what HPO_HOSTS names, else the user's."""
    named = chosen or os.environ.get("HPO_HOSTS")
    if named:
        return expanded(named)
    return expanded(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "hpo-arena" / "hosts"


def python_of(library: Library) -> str:
    """Returns the interpreter in whose environment the library is: its own, else this one.

    Raises InvalidOption, with the command that installs it, where it is in neither.
    """
    own = folder() / library.name
    if (own / READY).exists():
        return str(own / "bin" / "python")
    if importlib.util.find_spec(library.module) is not None:
        return sys.executable
    raise InvalidOption(f"{library.package} must be installed, but is not: hpo host add {library.name}")


def version(library: Library, hosts: Path | None = None) -> tuple[str, str] | None:
    """Returns the library's version and where it is, "own" or "here"; None where it is not installed."""
    own = (hosts or folder()) / library.name
    if (own / READY).exists():
        found = metadata.distributions(
            name=library.package, path=[str(p) for p in own.glob("lib/python*/site-packages")]
        )
        return next(((each.version, "own") for each in found), None)
    try:
        return metadata.version(library.package), "here"
    except metadata.PackageNotFoundError:
        return None


def add(name: str, hosts: Path | None = None, python: str | None = None, tell: Callable[[str], None] = print) -> Path:
    """Makes the environment of a library and installs its pinned versions; one that is there is made anew.

    Raises NoHost where the library is not known, or its packages cannot be installed.
    """
    library = LIBRARIES.get(name)
    if library is None:
        raise NoHost(f"there is no library {shown(name)} to host; {nearest(name, LIBRARIES)}")
    where = (hosts or folder()) / name
    (where / READY).unlink(missing_ok=True)
    tell(f"making {where}")
    _run([python or sys.executable, "-m", "venv", "--clear", str(where)], f"the environment {where}")
    for pins, alone in ((library.pins, ()), (library.alone, ("--no-deps",))):
        if pins:
            tell(f"installing {', '.join(pins)}")
            install = [str(where / "bin" / "python"), "-m", "pip", "install", "--quiet", *alone, *pins]
            _run(install, f"the packages of {name}")
    installed = _run([str(where / "bin" / "python"), "-m", "pip", "freeze"], f"the list of packages of {name}")
    write_whole(where / READY, installed.encode())
    return where


def _run(command: list[str], what: str) -> str:
    """Runs a command and returns what it prints. Raises NoHost, with the last line of its errors, where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise NoHost(f"{what} must be made by {shown(command[0])}, but: {error}") from None
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if not line.startswith("WARNING")]
        raise NoHost(f"{what} could not be made: {cut(said[-1].strip() if said else 'no reason was given', 300)}")
    return done.stdout


def remove(name: str, hosts: Path | None = None) -> None:
    """Deletes a library's environment. Raises NoHost where there is none."""
    where = (hosts or folder()) / name
    if name not in LIBRARIES or not where.is_dir():
        raise NoHost(f"{shown(name)} must be the name of an environment in {where.parent}, but there is none")
    shutil.rmtree(where)


def rows(hosts: Path | None = None) -> Iterator[tuple[str, str]]:
    """Yields each library's name and what is installed of it, for a list."""
    for library in LIBRARIES.values():
        found = version(library, hosts)
        if found is None:
            yield library.name, f"not installed; hpo host add {library.name} installs {library.package} {library.pin}"
        else:
            where = f"in {(hosts or folder()) / library.name}" if found[1] == "own" else "in this Python's environment"
            yield library.name, f"{library.package} {found[0]} {where}"
