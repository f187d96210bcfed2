"""The house: imports run one way, and each package leaves alone what it must not know."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS = (  # a module imports from its own floor or below
    {"files", "space", "curves", "early_stopping", "yaml_text", "checkpoint_places"},
    {"trial", "neighbours", "space_text"},
    {"study", "ledger", "checkpoints", "environment", "tidying", "admission", "tracking"},
    {"methods", "training", "ranks"},
    {"run", "contract"},
    {"arena", "plan", "plan_text", "standings", "store", "recorded"},
    {"stored", "statistics", "anytime", "surrogate", "association", "summaries", "comparison", "compare", "audit",
     "importance", "refine"},
    {"dispatch", "report", "service"},
    {"driver", "figures", "replay", "progress", "sweep"},
    {"gauges"},
    {"session"},
    {"refining"},
    {"cli", "cli_jobs", "cli_replay", "cli_results"},
)  # fmt: skip


def imports(path: Path) -> set[str]:
    """The modules that a file imports when it runs: not those under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    hidden = [
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    ]
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("hpo", {"torch", "torchvision", "timm"}),
        ("trainables", {"ray", "hpo", "cluster"}),
        ("cluster", {"hpo", "trainables", "torch"}),
    ],
)
def test_a_package_leaves_alone_what_it_must_not_know(package, forbidden):
    for path in files(package):
        known = {name.split(".")[0] for name in imports(path)}
        assert not known & forbidden, path


def test_only_the_driver_its_ranks_and_its_gauges_import_ray():
    for path in files("hpo"):
        if path.name not in ("driver.py", "ranks.py", "gauges.py"):
            assert not any(name.split(".")[0] == "ray" for name in imports(path)), path


def test_methods_run_and_arena_import_neither_wall_clock_nor_io():
    for path in [
        *files("hpo/methods"),
        ROOT / "hpo/run.py",
        ROOT / "hpo/arena.py",
        ROOT / "hpo/ledger.py",
        ROOT / "hpo/curves.py",
    ]:
        known = {name.split(".")[0] for name in imports(path)}
        assert not known & {"time", "os", "socket", "threading", "random", "pathlib"}, path


def test_imports_run_one_way():
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    for path in files("hpo"):
        parts = path.relative_to(ROOT / "hpo").with_suffix("").parts
        mine = parts[0]
        if mine in ("__init__", "conftest"):
            continue
        assert mine in floor, f"{path} stands on no floor of the house"
        for name in imports(path):
            other = name.split(".")
            if other[0] != "hpo" or len(other) < 2 or other[1] == "__version__":
                continue
            assert floor[other[1]] <= floor[mine], f"{path} imports {name}"
