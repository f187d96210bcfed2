"""A space of candidates: a finite list of configurations, from a file or given, from which every method suggests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

import hpo
from hpo.errors import StudyError
from hpo.study.space import Choice, Float, Int
from hpo.study.study import Study

RECIPES = [
    {"optimizer": "adam", "learning_rate": 0.001, "batch_size": 16},
    {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 64},
    {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 16, "momentum": 0.9},
]
MOMENTUM = {"type": "float", "low": 0.0, "high": 0.99, "if": {"optimizer": "sgd"}}
STUDY = """
study: recipes
trainable: mlp
data: {name: digits}
space: {candidates: %s}
budget: {epochs: 12, max_epochs: 2}
methods: [random, tpe]
"""


def study(space: dict[str, Any], **more: Any) -> hpo.Study:
    given: dict[str, Any] = {"budget": {"epochs": 4, "max_epochs": 2}, "methods": ["random"], **more}
    return hpo.Study(name="recipes", trainable="mlp", data={"name": "digits"}, space=space, **given)


def test_a_list_of_recipes_spans_its_space() -> None:
    space = study({"candidates": RECIPES, "momentum": MOMENTUM}).space
    assert space.size == 3
    assert space.domains["optimizer"] == Choice(("adam", "sgd"))
    assert space.domains["learning_rate"] == Choice((0.001, 0.01, 0.1))
    assert space.domains["batch_size"] == Choice((16, 64))
    assert all(config in space for config in RECIPES)
    assert {**RECIPES[0], "batch_size": 64} not in space
    drawn = [space.sample(np.random.default_rng(i)) for i in range(30)]
    assert all(config in RECIPES for config in drawn)
    assert {len(config) for config in drawn} == {3, 4}
    assert [dict(config) for config in space.grid()] == [dict(config) for config in space.pool or ()]


def test_many_numbers_span_a_range_and_magnitudes_a_logarithmic_one() -> None:
    rows = [{"units": 8 + i, "rate": 10 ** (-4 + i / 10), "dropout": i / 100} for i in range(30)]
    domains = study({"candidates": rows}).space.domains
    assert domains["units"] == Int(8, 37)
    assert domains["rate"] == Float(rows[0]["rate"], rows[-1]["rate"], log=True)
    assert domains["dropout"] == Float(0.0, 0.29)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_epochs_or_of_configurations_is_a_pool(kind: str, tmp_path: Path) -> None:
    rows = [{"config_rate": rate, "config_units": 32, "epoch": epoch} for rate in (0.1, 0.2) for epoch in (1, 2)]
    write = csv.write_csv if kind == "csv" else parquet.write_table
    write(pa.Table.from_pylist(rows), tmp_path / f"epochs.{kind}")
    write(pa.Table.from_pylist([{"rate": 0.1, "units": 32}, {"rate": 0.2, "units": 32}]), tmp_path / f"plain.{kind}")
    (tmp_path / "a.yaml").write_text(STUDY % f"epochs.{kind}")
    (tmp_path / "b.yaml").write_text(STUDY % f"plain.{kind}")
    first, second = (Study.load(tmp_path / name) for name in ("a.yaml", "b.yaml"))
    assert [dict(c) for c in first.space.pool or ()] == [{"rate": 0.1, "units": 32}, {"rate": 0.2, "units": 32}]
    assert first.digest == second.digest  # the study holds the candidates themselves


def test_candidates_come_from_tables_of_other_libraries() -> None:
    import pandas as pd
    import polars as pl

    for table in (pl.DataFrame(RECIPES).to_arrow(), pd.DataFrame(RECIPES), pl.DataFrame(RECIPES)):
        found = study({"candidates": table, "momentum": MOMENTUM}).space
        assert [dict(config) for config in found.pool or ()] == RECIPES


def test_a_study_with_candidates_is_written_as_a_file_that_means_the_same(tmp_path: Path) -> None:
    made = study({"candidates": RECIPES, "momentum": MOMENTUM})
    made.to_yaml(tmp_path / "recipes.yaml")
    assert Study.load(tmp_path / "recipes.yaml").digest == made.digest


def test_a_hyperparameter_may_still_be_called_candidates() -> None:
    assert study({"candidates": hpo.Int(1, 3)}).space.names == ("candidates",)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"candidates": []}, "must be a list of configurations"),
        ({"candidates": 3}, "must be a list of configurations"),
        ({"candidates": ["adam"]}, "a candidate must map hyperparameters to values"),
        ({"candidates": [{"rate": [1]}]}, "a candidate's value must be a number"),
        ({"candidates": RECIPES}, "a configuration must give momentum a value"),
        ({"candidates": [{"rate": 2.0}], "rate": hpo.Float(0, 1)}, "rate must lie in"),
        ({"candidates": "missing.csv"}, "there is no missing.csv"),
        ({"candidates": "recipes.txt"}, "must be a list, or a .csv or .parquet file"),
        ({"candidates": [{"rate": True}, {"rate": "True"}]}, "must differ as text"),
    ],
)
def test_candidates_that_cannot_be_are_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        study(space)


def test_a_start_configuration_must_be_a_candidate() -> None:
    with pytest.raises(StudyError, match="must be one of the 2 candidates"):
        study({"candidates": RECIPES[:2]}, start=[{**RECIPES[0], "batch_size": 64}])


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    (tmp_path / "a.yaml").write_text(STUDY % "broken.parquet")
    with pytest.raises(StudyError, match=r"a\.yaml:5.*must be a readable table"):
        Study.load(tmp_path / "a.yaml")
