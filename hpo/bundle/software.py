"""What a bundle was made with: this project's version and source, the packages that its figures may depend on, all others."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import hpo
from hpo import __version__

FIGURES = ("numpy", "scipy", "scikit-learn", "pyarrow", "matplotlib", "jinja2")
LOCK, INSTALLED = "requirements.lock", "installed.txt"


@cache
def made_with() -> dict[str, str]:
    """Returns the versions behind derived files; "source" is a digest of this project's own files in `hpo/`."""
    found = {"hpo-arena": __version__, "source": _source(), "python": platform.python_version()}
    return found | {name: version for name in FIGURES if (version := _version(name))}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _source() -> str:
    root = Path(hpo.__file__).parent
    found = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".j2", ".css")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def requirements() -> tuple[str, bytes]:
    """Returns the name and content of this project's lock, or, where it is not at hand, of the list of what is installed."""
    lock = Path(hpo.__file__).parents[1] / LOCK
    if lock.is_file():
        return LOCK, lock.read_bytes()
    found = {f"{each.name}=={each.version}\n" for each in metadata.distributions() if each.name}
    return INSTALLED, "".join(sorted(found)).encode()
