"""Builds the image without an engine: runs the Dockerfile's steps in order in an empty folder that stands for `/`.

    python docker/rehearse.py [--build-arg NAME=VALUE ...]

It copies for COPY and runs commands for RUN, under ENV and ARG; both stages share the folder. Then the entry point, with
only the folder's own Python and away from this repository, creates a token, answers `hpo --help` and plays a short study
on digits. The folder lies in TMPDIR and is deleted at the end. Debian's packages are left out: launch.py installs them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = re.compile(
    r"(?<![\w./])/(?=(?:opt|src|home|run|usr/local/bin|etc/profile\.d)\b)"
)  # absolute paths inside the image
OTHER_USERS = re.compile(r"useradd [^&]+&& | -o hpo -g hpo")
ASKED = (
    ["token"],
    ["hpo", "--help"],
    ["hpo", "run", "digits", "--methods", "random", "--seeds", "0", "--budget", "16", "--workers", "1"],
    ["hpo", "verify", "results"],
)


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Yields a Dockerfile's instructions: the word and the rest of its line, with continued lines joined."""
    for line in re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, " ".join(rest.split())


class Rehearsal:
    """An image whose root is a folder."""

    def __init__(self, root: Path, arguments: dict[str, str]) -> None:
        self.root, self._arguments, self._folder = root, arguments, root
        mine = ("PYTHON", "VIRTUAL_ENV", "RAY_", "HPO_")
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
        self.variables["PATH"] = f"{root}/usr/local/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"

    def inside(self, text: str) -> str:
        """Returns the text with the image's absolute paths moved into the folder."""
        return OURS.sub(f"{self.root}/", text)

    def take(self, word: str, rest: str) -> None:
        """Carries out one instruction, as far as a folder can."""
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
            self._copy(*rest.split())
        elif word == "RUN" and not rest.startswith("apt-get"):
            (self.root / "etc" / "profile.d").mkdir(parents=True, exist_ok=True)  # Debian has it
            self.run(["bash", "-euc", self.inside(OTHER_USERS.sub("", rest))])

    def _copy(self, *words: str) -> None:
        *sources, target = words
        place = self._folder / self.inside(target)
        for source in sources:
            goal = place / Path(source).name if target.endswith("/") else place
            goal.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, goal, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / source, goal)

    def run(self, command: list[str]) -> None:
        """Runs a command in the folder. Raises CalledProcessError if it does not end with 0."""
        print("rehearse:", *command, flush=True)
        subprocess.run(command, check=True, cwd=self._folder, env=self.variables, stdin=subprocess.DEVNULL)


def rehearse(root: Path, arguments: dict[str, str]) -> None:
    """Builds the image in `root` and tries it. Raises CalledProcessError if a step does not end with 0."""
    rehearsal = Rehearsal(root, arguments)
    for word, rest in steps((ROOT / "docker" / "Dockerfile").read_text()):
        rehearsal.take(word, rest)
    for words in ASKED:
        rehearsal.run(["entrypoint.sh", *words])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hpo-image-") as folder:
        try:
            rehearse(Path(folder).resolve(), dict(pair.split("=", 1) for pair in given.build_arg))
        except subprocess.CalledProcessError as error:
            print(
                f"rehearse: a step must end with 0, but it ended with {error.returncode}; its output is above",
                file=sys.stderr,
            )
            return 1
    print("rehearse: every step succeeded", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
