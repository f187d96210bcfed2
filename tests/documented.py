"""What README and the documentation tell users to type and to follow: commands, links, headings. Reads files only."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md")),
         ROOT / "docker" / "README.md")  # fmt: skip

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^\n|\A)((?:^    \S[^\n]*\n)+)", re.MULTILINE)
ADAPTED = {"optuna": "sgd", "lightning": "lit", "huggingface": "vit"}  # page of the tutorials -> its module
SMALL = """
budget: {epochs: 10, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
seeds: [0]
parallelism: 2
final: {seeds: 1}
"""

TYPED = ("README.md", "docs/start/first-comparison.md", "docs/how-to/bundles.md", "docs/reference/benchmarks.md",
         "docs/tutorials/suite.md", "docs/tutorials/your-images.md", "docs/tutorials/your-training-code.md")  # fmt: skip
"""Pages that tests/ray/test_tutorials.py types into a shell, line by line."""

GENERATED = "command-line.md"  # its usage lines are made from the application itself


@dataclass(frozen=True)
class Command:
    """A command line of a page: `words` after `hpo`."""

    page: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: hpo {shlex.join(self.words)}"


def typed(page: Path) -> Iterator[Command]:
    """Yields every `hpo` command of a page's code blocks, also behind variables and behind `--`."""
    for _, found in lines(page):
        yield from found


def lines(page: Path) -> Iterator[tuple[str, list[Command]]]:
    """Yields every line of a page's code blocks that has `hpo` commands, as a shell takes it, and the commands."""
    if page.name == GENERATED:
        return
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError:  # no command line, such as a table's output
                continue
            if found := [Command(page, tuple(each)) for each in commands_of(words)]:
                yield line.strip(), found


def blocks(page: Path, kinds: tuple[str, ...] = ("sh", "")) -> Iterator[str]:
    """Yields the fenced blocks of these kinds, then the indented ones where the kinds hold shell lines."""
    text = page.read_text(encoding="utf-8")
    yield from (found[3] for found in FENCE.finditer(text) if found[2] in kinds)
    if "sh" in kinds:
        yield from (found[1] for found in INDENTED.finditer(FENCE.sub("", text)))


def small_study(page: str, folder: Path) -> Path:
    """Writes the module and the study of a tutorial on others' training code, with a budget of seconds."""
    path, name = ROOT / "docs" / "tutorials" / f"{page}.md", ADAPTED[page]
    (folder / f"{name}.py").write_text(next(blocks(path, ("python",))))
    told = re.sub("^(budget|methods|seeds):.*\n", "", next(blocks(path, ("yaml",))), flags=re.MULTILINE)
    study = folder / f"{name}.yaml"
    study.write_text(told + SMALL)
    return study


def commands_of(words: list[str]) -> Iterator[list[str]]:
    """Yields what follows each `hpo` that begins a command: first, after variables, after `--`, `;`, `|` or `&&`."""
    begins = True
    for place, word in enumerate(words):
        if begins and word.removeprefix(".venv/bin/") == "hpo":
            rest = words[place + 1 :]
            ends = [rest.index(end) for end in ("|", "&&", ";", ">", "&") if end in rest]
            yield rest[: min(ends, default=len(rest))]
        begins = word in ("--", "|", "&&", ";") or (begins and re.fullmatch(r"\w+=.*", word) is not None)


def inline(page: Path) -> Iterator[str]:
    """Yields every `hpo ...` in code within a sentence."""
    yield from re.findall(r"`hpo ([^`]+)`", FENCE.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Yields the relative links of a page: (file, anchor without #)."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", head.lower().replace("`", "")).strip() for head in heads)
    return {re.sub(r"\s+", "-", head) for head in plain}
