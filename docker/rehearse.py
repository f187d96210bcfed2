"""The image without an engine: the Dockerfile's steps as a script, in order, in an empty folder that stands for `/`.

python docker/rehearse.py FOLDER [--build-arg NAME=VALUE ...]: what COPY names is copied, what RUN says is run, with the
environment of ENV and ARG; both stages share the folder. Then the image's entry point is asked for `hpo --help`. Not
rehearsed: the base image, other users (no `useradd`, `install` keeps the owner), the health check.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWNERS = re.compile(r"useradd [^&]+&& | -o hpo -g hpo")


def steps(text: str) -> Iterator[tuple[str, str]]:
    """The Dockerfile's instructions: word and the rest of the line, continued lines joined."""
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ").splitlines()
    for line in filter(str.strip, lines):
        word, _, rest = line.partition(" ")
        yield word, " ".join(rest.split())


class Rehearsal:
    """An image whose root is a folder."""

    def __init__(self, root: Path, arguments: dict[str, str]) -> None:
        self.root, self._arguments, self._folder = root, arguments, root
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self.variables = kept | {"HOME": os.environ.get("HOME", "/")}

    def inside(self, text: str) -> str:
        """The text with the image's absolute paths as those in the folder."""
        return re.sub(r"(?<![\w./])/(?=(?:opt|src|home|run|usr/local/bin)\b)", f"{self.root}/", text)

    def take(self, word: str, rest: str) -> None:
        if word == "ARG":
            name, _, value = rest.partition("=")
            self.variables[name] = self._arguments.get(name, value)
        elif word == "ENV":
            for name, value in re.findall(r"(\w+)=(\S+)", rest):
                self.variables[name] = self.inside(value).replace("$PATH", self.variables["PATH"])
        elif word == "WORKDIR":
            self._folder = Path(self.inside(rest))
            self._folder.mkdir(parents=True, exist_ok=True)
        elif word == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            self._copy(sources, self._folder / self.inside(target), whole=target.endswith("/") or len(sources) > 1)
        elif word == "RUN":
            print(f"RUN {rest}", flush=True)
            self.run(["bash", "-euc", self.inside(OWNERS.sub("", rest))])

    def _copy(self, sources: list[str], target: Path, *, whole: bool) -> None:
        for source in sources:
            place = target / Path(source).name if whole else target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / source, place)

    def run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, cwd=self._folder, env=self.variables)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="empty, or not there yet")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    if given.folder.exists() and any(given.folder.iterdir()):
        print(f"rehearse: {given.folder} must be empty, but it is not; name another folder", file=sys.stderr)
        return 2
    rehearsal = Rehearsal(given.folder.resolve(), dict(arg.split("=", 1) for arg in given.build_arg))
    for word, rest in steps((ROOT / "docker" / "Dockerfile").read_text()):
        rehearsal.take(word, rest)
    rehearsal.run([str(rehearsal.root / "usr/local/bin/entrypoint.sh"), "hpo", "--help"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
