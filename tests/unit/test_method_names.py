"""Methods by name, by "module:Class" and from installed packages; errors about their options; the docs' example."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import hpo
from hpo.game.contract import SETTINGS, verify
from hpo.live.code import foreign
from hpo.methods import METHODS, InvalidOption, build, describe, origins, registry
from hpo.methods.protocol import Schedule
from hpo.methods.schedules.asha import Asha
from hpo.methods.schedules.full import Full
from hpo.study.study import Study
from hpo.study.values import Method

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "methods.md"

NAMES = [
    "grid",
    "random",
    "sobol",
    "halton",
    "bayesian",
    "tpe",
    "genetic",
    "local",
    "cmaes",
    "asha",
    "asha-stopping",
    "sha",
    "hyperband",
    "async-hyperband",
    "median-stopping",
    "patience",
    "i-epoch",
    "bohb",
    "asha+tpe",
    "asha+bayesian",
    "asha+transfer",
    "priorband",
    "multifidelity",
    "sequential-unfreezing",
    "default",
    "refine",
]


def made(name: str, **options: object) -> Schedule:
    return build(Method(name, name, options), SETTINGS[0])


def test_all_methods_are_there_and_described() -> None:
    assert sorted(METHODS) == sorted(NAMES)
    assert [name for name, _ in describe()][: len(NAMES)] == list(METHODS)
    assert all(about and "\n" not in about for _, about in describe())


@pytest.mark.parametrize("name", NAMES)
def test_every_method_is_a_schedule_and_is_on_the_page(name: str) -> None:
    assert isinstance(made(name), Schedule)
    assert f"`{name}`" in PAGE.read_text()


@pytest.mark.parametrize("searcher", ["sobol", {"tpe": {"gamma": 0.2}}, {"random": None}])
def test_schedules_and_searchers_compose(searcher: object) -> None:
    schedule = made("asha", searcher=searcher, eta=3, max_epochs=9)
    assert isinstance(schedule, Asha)
    assert schedule.max_epochs == 9


def test_oblivious_and_expensive_methods_say_so() -> None:
    assert [name for name in NAMES if made(name).oblivious] == ["grid", "random", "sobol", "halton", "default"]
    assert {"bayesian", "asha+bayesian", "multifidelity"} <= {name for name in NAMES if made(name).expensive}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ahsa", {}, "there is no method 'ahsa'; did you mean 'asha'?"),
        ("zzz", {}, "there is no method 'zzz'; valid: grid, random, "),
        ("asha", {"min_epoch": 1}, "asha has no option 'min_epoch'; did you mean 'min_epochs'?"),
        ("grid", {"pionts": 3}, "grid has no option 'pionts'; did you mean 'points'?"),
        ("bohb", {"etaa": 3}, "bohb has no option 'etaa'; did you mean 'eta'?"),
        ("asha+tpe", {"gama": 0.3}, "asha+tpe has no option 'gama'; did you mean 'gamma'?"),
        ("asha", {"searcher": "tpee"}, "asha knows no searcher 'tpee'; did you mean 'tpe'?"),
        (
            "asha",
            {"searcher": {"tpe": {"gama": 1}}},
            "searcher tpe of asha has no option 'gama'; did you mean 'gamma'?",
        ),
        (
            "asha",
            {"searcher": {"tpe": {}, "grid": {}}},
            "searcher of asha must be a name or {name: {options}}, but got",
        ),
        ("asha", {"searcher": 3}, "searcher of asha must be a name or {name: {options}}, but got 3"),
        ("nowhere:Method", {}, "'nowhere:Method' must name a class as module:Class, but it cannot be imported: "),
        ("math:nothing", {}, "'math:nothing' must name a class as module:Class"),
        ("math:pi", {}, "'math:pi' must name a class or a function, but it is float"),
    ],
)
def test_bad_names_and_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        made(name, **options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Writes the page's worked example into a file that can be imported."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "nearest_best.py").write_text(blocks[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("nearest_best", None)


def test_the_pages_method_keeps_the_contract(example: Path) -> None:
    method = Method("nearest_best:NearestBest", "mine", {"reach": 0.2})
    assert isinstance(build(method, SETTINGS[0]), Full)
    verify(method)


def test_a_searcher_of_ones_own_composes_with_schedules(example: Path) -> None:
    assert isinstance(made("asha", searcher={"nearest_best:NearestBest": {"reach": 0.2}}), Asha)


def test_an_unknown_option_of_ones_own_method(example: Path) -> None:
    with pytest.raises(InvalidOption, match="has no option 'raech'; did you mean 'reach'"):
        made("nearest_best:NearestBest", raech=1)


def test_an_installed_package_adds_methods_by_entry_point(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = example / "nearest_best-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nearest-best\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hpo.methods]\nnearest-best = nearest_best:NearestBest\n")
    registry.installed.cache_clear()
    try:
        assert isinstance(made("nearest-best", reach=0.5), Full)
        assert ("nearest-best", "installed: nearest_best:NearestBest") in describe()
        with pytest.raises(InvalidOption, match="did you mean 'nearest-best'"):
            made("nearest-bset")
        assert origins([Method("nearest-best", "a"), Method("random", "b")]) == {"nearest-best": "1.0"}
    finally:
        registry.installed.cache_clear()


def test_a_method_that_no_distribution_holds_is_known_by_its_source(example: Path) -> None:
    own = Method("asha", "mine", {"searcher": {"nearest_best:NearestBest": {"reach": 0.2}}})
    source = hashlib.sha256((example / "nearest_best.py").read_bytes()).hexdigest()
    assert origins([own, Method("asha", "asha")]) == {"source of nearest_best": f"sha256:{source}"}
    assert origins([Method("nearest_best:NearestBest", "x")]) == {"source of nearest_best": f"sha256:{source}"}
    assert origins([Method("pytest:raises", "y")]) == {"pytest": metadata.version("pytest")}


def test_a_run_records_where_its_methods_and_its_trainable_come_from(example: Path) -> None:
    values = {"study": "s", "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
              "budget": {"epochs": 4, "max_epochs": 2}}  # fmt: skip
    own = {
        "trainable": "nearest_best:NearestBest",
        "methods": ["random", {"nearest_best:NearestBest": {"label": "mine"}}],
    }
    study = Study.model_validate(values | own)
    found = foreign(study)
    assert found.keys() == {"method_packages", "trainable_packages"}
    assert found["method_packages"] == found["trainable_packages"] == origins(study.methods)
    assert foreign(Study.model_validate({**values, "trainable": "curves", "methods": ["random", "asha"]})) == {}


def imported(program: str, *packages: str) -> list[str]:
    """Runs a program in another process; returns which of the packages it has imported when it ends."""
    program += f"\nimport sys; print(*[name for name in {packages} if name in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=50, check=True
    )
    return done.stdout.split()


def test_importing_the_registry_and_describing_the_methods_imports_no_library_of_a_method() -> None:
    libraries = ("scipy", "sklearn", "bayes_opt", "cmaes", "hyperopt", "threadpoolctl", "pandas")
    assert imported("from hpo.methods import METHODS, build, describe; describe()", *libraries) == []
    build = "from hpo.game.contract import *; play(Method('random', 'r'), SETTINGS[0], LANDSCAPES[0])"
    assert imported(build, *libraries) == []


PLAY_TPE = """
import importlib
from hpo.game.contract import LANDSCAPES, SETTINGS, play
from hpo.methods.registry import SEARCHERS
from hpo.study.values import Method
for path in SEARCHERS.values():
    importlib.import_module(path.partition(":")[0])
play(Method("tpe", "tpe", {options}), SETTINGS[0], LANDSCAPES[0])
"""


@pytest.mark.parametrize(("joint", "needed"), [(True, []), (False, ["hyperopt"])])
def test_hyperopt_is_imported_only_for_tpe_without_joint_densities(joint: bool, needed: list[str]) -> None:
    """Also after all searchers were imported and a game was played."""
    program = PLAY_TPE.replace("{options}", str({"startup": 2, "joint": joint}))
    assert imported(program, "hyperopt") == needed


@pytest.mark.parametrize("old", sorted(hpo.MOVED))
def test_a_method_that_imports_a_module_that_has_moved_is_told_its_new_place(old, tmp_path, monkeypatch) -> None:
    new = hpo.MOVED[old]
    assert importlib.util.find_spec(new)
    (tmp_path / "aged.py").write_text(f"from {old} import anything\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InvalidOption, match=re.escape(f"{old} has moved: import {new} instead")):
        made("aged:Method")


@pytest.mark.parametrize(("source", "says"), [("raise RuntimeError('broken')", "broken"), ("def (", "invalid syntax")])
def test_a_method_whose_module_breaks_is_refused_with_its_reason(source, says, tmp_path, monkeypatch, request) -> None:
    name = f"breaks_{request.node.callspec.indices['source']}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InvalidOption, match=rf"must name a class as module:Class, but it cannot be imported: {says}"):
        made(f"{name}:Method")
