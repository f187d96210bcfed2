"""The house: imports run one way and form no circle, and each package leaves alone what it must not know."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS = (  # a package imports from its own floor or below; packages of one floor leave each other alone
    ("errors",),
    ("text", "files"),
    ("storage",),
    ("study",),
    ("methods",),
    ("game",),
    ("store",),
    ("worker",),
    ("live", "results"),
    ("replay",),
    ("report",),
    ("bundle",),
    ("api",),
    ("service", "client"),
    ("cli",),
)
ALL = {name for floor in FLOORS for name in floor}
PURE = ("methods", "game", "results")


def imports(path: Path) -> set[str]:
    """The modules that a file imports when it runs: not those under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    hidden = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
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


def modules(*packages: str) -> dict[str, Path]:
    """Every module by its dotted name; a package is its __init__.py."""
    found = {}
    for package in packages:
        for path in files(package):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def module_of(name: str, known: dict[str, Path]) -> str | None:
    """The module that an imported name is or lies in; None for another project's."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("hpo", {"torch", "torchvision", "timm"}),
        ("trainables", {"cluster"}),
        ("cluster", {"hpo", "trainables", "torch"}),
    ],
)
def test_a_package_leaves_alone_what_it_must_not_know(package, forbidden):
    for path in files(package):
        assert not roots(path) & forbidden, path


def test_trainables_know_no_ray_but_for_code_that_was_written_for_ray_tune():
    knowing = {path.relative_to(ROOT).as_posix() for path in files("trainables") if "ray" in roots(path)}
    assert knowing == {"trainables/adapters/tune.py", "trainables/adapters/tune_session.py"}


def test_trainables_take_from_hpo_what_stands_below_the_study():
    for path in files("trainables"):
        taken = {name.split(".")[1] for name in imports(path) if name.startswith("hpo.")}
        assert taken <= {"errors", "text", "files", "storage"}, path


def test_ray_is_known_to_tune_the_ranks_the_monitor_and_ray_serves_service_and_ray_tune_to_tune_alone():
    for path in files("hpo"):
        place = path.relative_to(ROOT / "hpo").as_posix()
        if not place.startswith("live/tune/"):
            assert not any(name.startswith("ray.tune") for name in imports(path)), path
            if place not in ("worker/ranks.py", "live/monitor.py", "service/on_ray.py"):
                assert "ray" not in roots(path), path


def test_methods_game_and_results_import_neither_wall_clock_nor_io():
    """But for the hosted methods, whose work is to talk with processes."""
    for path in (path for package in PURE for path in files(f"hpo/{package}")):
        if "hosted" in path.parts:
            continue
        assert not roots(path) & {"time", "os", "socket", "threading", "random", "pathlib"}, path


def test_guests_of_other_libraries_stand_alone():
    """They run in environments without this project."""
    for path in files("hpo/methods/hosted/guests"):
        assert not roots(path) & {"hpo", "trainables", "cluster"}, path


def test_imports_run_one_way():
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    for path in files("hpo"):
        mine = path.relative_to(ROOT / "hpo").with_suffix("").parts[0]
        if mine == "__init__":
            continue
        assert mine in floor, f"{path} stands on no floor of the house"
        for name in imports(path):
            other = name.split(".")[1] if name.startswith("hpo.") else mine
            if other in ("__version__", mine):
                continue
            assert floor[other] < floor[mine], f"{path} imports {name}"


@pytest.mark.parametrize("package", ["hpo", "trainables", "cluster"])
def test_no_modules_import_each_other_in_a_circle(package):
    known = modules(package)
    graph = {}
    for name, path in known.items():
        taken = {module_of(imported, known) for imported in imports(path)}
        graph[name] = {other for other in taken if other and other != name and not name.startswith(f"{other}.")}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(known)  # a CycleError names the circle


def test_hpo_has_no_loose_modules_but_those_that_everybody_uses():
    loose = {path.stem for path in (ROOT / "hpo").glob("*.py")}
    assert loose == {"__init__", "errors", "text", "files"}


def test_every_package_says_first_what_it_is_for():
    for path in (path for package in ("hpo", "trainables", "cluster") for path in files(package)):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
