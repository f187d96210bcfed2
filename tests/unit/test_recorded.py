"""Recorded curves from elsewhere: our layouts, Optuna's storages and tables as Optuna 5 wrote them, what is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from hpo import cli
from hpo.replay.curve_forest import CurveForest
from hpo.replay.sources import CurvesError, knows, load
from hpo.study.space import Choice, Float, SearchSpace

HERE = Path(__file__).parents[1] / "recorded_curves"
SPACE = SearchSpace({"rate": Float(1e-3, 1.0, log=True), "optimizer": Choice(("adam", "sgd"))})
PLAIN = SearchSpace({"rate": Choice((0.01, 0.1, 1.0))})


def database(folder: Path) -> str:
    """The SQLite storage whose text is kept."""
    path = folder / "optuna.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((HERE / "optuna.sql").read_text())
    connection.close()
    return str(path)


@pytest.fixture(params=["sqlite", "url", "journal", "dataframe"])
def optuna(request, tmp_path) -> str:
    if request.param in ("journal", "dataframe"):
        return str(HERE / ("optuna.journal" if request.param == "journal" else "optuna.csv"))
    return ("sqlite:///" if request.param == "url" else "") + database(tmp_path)


def test_optunas_results_are_read_the_same_from_every_place(optuna):
    assert knows(optuna)
    table = load(optuna, SPACE, "val_loss", task="curves", mode="min")
    # make_optuna.py: trial 3 raised in its second step, trial 4 diverged there, trials 7 to 10 were pruned after theirs.
    assert table.known.tolist() == [4, 4, 4, 1, 1, 4, 4, 2, 2, 2, 2, 4]
    assert np.flatnonzero(table.failed).tolist() == [3, 4]
    assert table.configs[0] == {"rate": 0.017826497151386938, "optimizer": "adam"}
    assert table.values[0].tolist() == [1.082174, 0.582174, 0.415507, 0.332174]
    assert (table.seconds > 0).all()
    assert (table.seconds < 1).all()


@pytest.mark.parametrize("place", ["sqlite", "journal"])
def test_without_reported_steps_an_epoch_is_a_training_and_of_repeated_ones_the_first_counts(tmp_path, place):
    source = database(tmp_path) if place == "sqlite" else str(HERE / "optuna.journal")
    table = load(source, PLAIN, "val_loss", task="plain")
    assert table.epochs == 1
    assert {config["rate"]: value for config, value in zip(table.configs, table.values[:, 0], strict=True)} == {
        rate: pytest.approx(abs(rate - 0.1)) for rate in {config["rate"] for config in table.configs}
    }
    assert len(table.configs) < 6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"task": None}, "--task must name one of optuna.journal's 2 studies"),
        ({"mode": "max"}, "mode must be min"),
        ({"space": SearchSpace({"rate": Float(0.001, 1.0)})}, "'optimizer', which the study's space does not name"),
    ],
)
def test_optunas_results_that_do_not_fit_the_study_are_refused(changes, says):
    given = {"space": SPACE, "task": "curves", "mode": "min", **changes}
    with pytest.raises(CurvesError, match=says) as refused:
        load(str(HERE / "optuna.journal"), given["space"], "val_loss", given["task"], given["mode"])
    assert "\n" not in str(refused.value)


def test_a_database_that_is_no_storage_and_steps_that_are_left_out_are_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
    connection.close()
    with pytest.raises(CurvesError, match="must be a storage of Optuna"):
        load(str(tmp_path / "other.db"), SPACE, "val_loss")
    text = (HERE / "optuna.csv").read_text().replace("intermediate_values_1", "intermediate_values_7")
    (tmp_path / "gap.csv").write_text(text)
    with pytest.raises(CurvesError, match="must report every step up to the last, but epoch 2"):
        load(str(tmp_path / "gap.csv"), SPACE, "val_loss")


# -- our layouts --------------------------------------------------------------------------------------------------


def write(folder: Path, *rows: str, head: str = "config_rate,config_optimizer,epoch,val_loss") -> str:
    path = folder / "curves.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return str(path)


def test_a_shorter_curve_was_ended_and_a_nan_failed(tmp_path):
    rows = [f"{rate},adam,{epoch},{1 / epoch}" for rate, last in ((0.1, 3), (0.2, 2)) for epoch in range(1, last + 1)]
    table = load(write(tmp_path, *rows, "0.3,adam,1,1.0", "0.3,adam,2,nan"), SPACE, "val_loss")
    assert table.known.tolist() == [3, 2, 1]
    assert table.failed.tolist() == [False, False, True]


def test_arrays_and_tables_of_arrow_hold_the_same_curves(tmp_path):
    from pyarrow import csv, parquet

    rows = [f"{rate},{name},{e},{rate / e}" for rate in (0.1, 0.2) for name in ("adam", "sgd") for e in (1, 2)]
    source = write(tmp_path, *rows)
    parquet.write_table(csv.read_csv(source), tmp_path / "curves.parquet")
    configs = np.array([[str(r), n] for r in (0.1, 0.2) for n in ("adam", "sgd")])
    values = np.array([[r, r / 2] for r in (0.1, 0.1, 0.2, 0.2)])
    np.savez(tmp_path / "curves.npz", names=["rate", "optimizer"], configs=configs, values=values)
    tables = [load(str(tmp_path / f"curves.{s}"), SPACE, "val_loss") for s in ("csv", "parquet", "npz")]
    assert [t.configs for t in tables] == [tables[0].configs] * 3
    assert all((t.values == values).all() for t in tables)


def test_the_loss_before_training_is_no_epoch(tmp_path):
    path = tmp_path / "taskset.npz"
    losses = np.array([[[9.0, 3.0, 2.0], [9.0, 3.0, np.inf]]])
    np.savez(path, tasks=["one"], hp_names=["rate"], hp=np.array([[[0.1], [0.2]]]), valid_loss=losses)
    table = load(str(path), SearchSpace({"rate": Float(0.001, 1.0)}), "val_loss", task="one")
    assert table.values[0].tolist() == [3.0, 2.0]
    assert table.known.tolist() == [2, 1]
    assert table.failed.tolist() == [False, True]


STUDY = """
study: recorded
trainable: curves
space:
  rate: {type: float, low: 0.001, high: 1.0, log: true}
  optimizer: {type: choice, values: [adam, sgd]}
budget: {epochs: 24, max_epochs: 4}
methods: [random]
metric: val_loss
mode: min
"""
GOOD = [f"0.01,adam,{e},{1 / e}" for e in (1, 2, 3, 4)]
HEAD = "config_rate,config_optimizer,epoch,val_loss"


@pytest.mark.parametrize(
    ("rows", "head", "says"),
    [
        ([*GOOD[:2], GOOD[3]], HEAD, "must record every epoch up to the last, but epoch 3"),
        ([GOOD[0], "0.01,adam,2,nan", *GOOD[2:]], HEAD, "goes on after the one at epoch 2"),
        (["nan,adam,1,1.0"], HEAD, "rate must be a finite number, but got None"),
        (["fast,adam,1,1.0"], HEAD, "rate must be a finite number, but got 'fast'"),
        ([*GOOD, GOOD[0]], HEAD, "each epoch once"),
        ([f"{i},{row}" for i in (1, 2) for row in GOOD], f"seed,{HEAD}", "must record each configuration once"),
        (["0.01,adam,0,1.0", *GOOD], HEAD, "must count epochs from 1"),
        ([], HEAD, "must record at least one configuration"),
        (["0.01,adam,1,1.0,7"], f"{HEAD},config_depth", "'depth', which the study's space does not name"),
        (["0.01,1,1.0"], "config_rate,epoch,val_loss", "must record every hyperparameter of the study"),
        (["0.01,rmsprop,1,1.0"], HEAD, "must be one of"),
        (["0.01,adam,1,1.0"], "config_rate,config_optimizer,epoch,accuracy", "must have a column 'val_loss'"),
        (GOOD[:3], HEAD, "budget.max_epochs must be at most the 3 epochs"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, capsys, rows, head, says):
    study, curves = tmp_path / "study.yaml", write(tmp_path, *rows, head=head)
    study.write_text(STUDY)
    with pytest.raises(SystemExit) as ended:
        cli.main(["replay", str(study), "--curves", curves])
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert says in told.err
    assert told.err.startswith("hpo: ")
    assert len(told.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sweep", "workers=0"], "--sweep must be"),
        (["--picture", "sweep.svg"], "--sweep is not given"),
        (["--sweep", "workers=1", "--picture", "sweep.txt"], "--picture must end in"),
        (["--failures", "1"], "failures < 1"),
        (["--between", "surrogate"], "a surrogate needs at least 8 configurations"),
        (["--workers", "0"], "--workers"),
        (["--seeds", "x"], "--seeds must be whole numbers"),
    ],
)
def test_options_that_cannot_hold_are_refused_in_one_sentence(tmp_path, capsys, arguments, says):
    study = tmp_path / "study.yaml"
    study.write_text(STUDY)
    with pytest.raises(SystemExit) as ended:
        cli.main(["replay", str(study), "--curves", write(tmp_path, *GOOD), *arguments])
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert says in told.err
    assert len(told.err.strip().splitlines()) == 1


# -- between ------------------------------------------------------------------------------------------------------


def test_a_forest_of_curves_predicts_curves_it_has_not_seen():
    rng = np.random.default_rng(0)
    features = rng.random((240, 2))
    asymptote = (features[:, 0] - 0.3) ** 2 + 0.2 * features[:, 1]
    curves = asymptote[:, None] + 1 / np.arange(1, 6)
    curves[0] *= 1e9  # one that nearly diverged drowns none of the others
    forest = CurveForest(features[:200], curves[:200])
    predicted = forest.curves(features[200:])
    assert predicted.shape == (40, 5)
    assert np.median(np.abs(predicted - curves[200:])) < 0.05
    assert predicted.max() <= curves.max()
    assert forest.correlation > 0.8
