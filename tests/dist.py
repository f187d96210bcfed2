"""Builds the sdist and the wheel, and checks what they hold: `make dist`, or `python tests/dist.py [FOLDER]`.

Needs hatchling, and no network. A tag on this commit must be `v` and the version, which stands in hpo/__init__.py alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cluster", "hpo", "trainables")
BESIDE = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "NOTICE", "README.md", "SECURITY.md"}
MADE = {"PKG-INFO", "pyproject.toml", ".gitignore", "requirements.lock"}  # what hatchling adds, and what pins


def version() -> str:
    """Returns the version of this tree."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "hpo" / "__init__.py").read_text(), re.M)
    assert found
    return found[1]


def built(folder: Path, tree: Path = ROOT) -> tuple[Path, Path]:
    """Builds a tree into a folder; returns the sdist and the wheel."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def in_sdist(sdist: Path) -> set[str]:
    """Returns the names of an sdist's files, below its one folder."""
    with tarfile.open(sdist) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


def in_wheel(wheel: Path) -> set[str]:
    """Returns the names of a wheel's files, but for those of its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def ours() -> set[str]:
    """Returns what the packages consist of: the files that git knows or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in names if (ROOT / name).exists()}


def problems(sdist: Path, wheel: Path) -> Iterator[str]:
    """Yields what is wrong with an sdist and a wheel of this tree, one sentence each."""
    for path, found, wanted in ((wheel, in_wheel(wheel), ours()), (sdist, in_sdist(sdist) - MADE, ours() | BESIDE)):
        for name in sorted(wanted - found):
            yield f"{path.name} must hold {name}, but does not"
        for name in sorted(found - wanted):
            yield f"{path.name} must not hold {name}, which is no part of the packages"
    with zipfile.ZipFile(wheel) as archive:
        for name in ("LICENSE", "NOTICE"):
            inside = f"hpo_arena-{version()}.dist-info/licenses/{name}"
            if inside not in archive.namelist() or archive.read(inside) != (ROOT / name).read_bytes():
                yield f"{wheel.name} must hold this tree's {name}, but does not"
    command = ["git", "tag", "--points-at", "HEAD", "v*"]
    tags = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    if tags and f"v{version()}" not in tags:
        yield f"the tag of this commit must be v{version()}, the version in hpo/__init__.py, but is {tags[0]}"


def main() -> int:
    """Builds and checks; prints the two paths, or the problems."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist")
    for old in (*folder.glob("hpo_arena-*.whl"), *folder.glob("hpo_arena-*.tar.gz")):
        old.unlink()
    sdist, wheel = built(folder)
    found = list(problems(sdist, wheel))
    print(*found or [sdist, wheel], sep="\n", file=sys.stderr if found else sys.stdout)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
