"""Type-checks the examples: Python blocks of the documentation and `>>>` examples of docstrings.

    python tests/examples.py        (part of make lint)

Writes each page's block and each docstring into a file below build/examples and runs mypy over them; pyproject.toml relaxes its
rules there, since examples need no annotations. A name that an example uses but does not make counts as given.
"""

from __future__ import annotations

import ast
import builtins
import doctest
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cluster", "hpo", "trainables")
FENCED = re.compile(r"^( *)```python[^\n]*\n(.*?)^\1```", re.M | re.S)


def of_page(text: str) -> Iterator[tuple[int, str]]:
    """Yields a page's Python blocks, each with its line and after the imports of the blocks before it."""
    imports: list[str] = []
    for block in FENCED.finditer(text):
        code = textwrap.dedent(block[2])
        yield text[: block.start(2)].count("\n") + 1, "".join(f"{line}\n" for line in imports) + code
        imports += [ast.unparse(node) for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]


def of_module(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Yields the examples of each docstring, with its line, as a function of the names that they do not make.

    `name`: the module, whose own names the examples see.
    """
    tree = ast.parse(text)
    builtin = set(dir(builtins))
    from_where = {n: f"from {name} import {n}" for node in tree.body for n in _made(node)}
    from_where |= {n: ast.unparse(i) for i in tree.body if isinstance(i, ast.Import | ast.ImportFrom) for n in _made(i)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or not (
            docstring := ast.get_docstring(node)
        ):
            continue
        code = "".join(example.source for example in doctest.DocTestParser().get_examples(docstring))
        if code:
            used = {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            made = {n for statement in ast.parse(code).body for n in _made(statement)}
            seen = sorted({from_where[n] for n in used - made - builtin if n in from_where})
            given = ", ".join(f"{n}: Any" for n in sorted(used - made - builtin - set(from_where)))
            head = "\n".join(["from typing import Any", *seen, "", "", f"def example({given}) -> None:"])
            yield getattr(node, "lineno", 1), f"{head}\n{textwrap.indent(code, '    ')}"


def _made(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement binds, in itself and, unless it is a class or a function, below."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {statement.name}
    names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    imported = [a for n in ast.walk(statement) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names]
    return names | {(a.asname or a.name).partition(".")[0] for a in imported}


def every() -> Iterator[tuple[str, str]]:
    """Yields the project's examples, each with a name that says where it stands."""
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]):
        for line, code in of_page(page.read_text()):
            yield f"{page.relative_to(ROOT)}:{line}", code
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        where = path.relative_to(ROOT)
        module = ".".join(where.with_suffix("").parts).removesuffix(".__init__")
        for line, code in of_module(path.read_text(), module):
            yield f"{where}:{line}", code


def main() -> int:
    """Writes the examples and type-checks them; mypy's messages name the file that stands for the place."""
    folder = ROOT / "build" / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    found = list(every())
    for place, code in found:
        name = re.sub(r"\W", "_", place)
        (folder / f"{name}.py").write_text(f'"""{place}"""\n\n{code}')
    (folder / "__init__.py").touch()
    print(f"{len(found)} examples", flush=True)
    return subprocess.run(
        [sys.executable, "-m", "mypy", *sorted(folder.glob("*.py"))], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
