"""Recorded curves from elsewhere: our layouts, Optuna's storages and tables as Optuna 5 wrote them, what is refused."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo import cli
from hpo.replay.curve_forest import CurveForest
from hpo.replay.sources import CurvesError, Raw, knows, load
from hpo.replay.sources import table as checked
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


# -- curves with holes, cells without content, formats that look like others ----------------------------------------

BROKEN = "trials that reported on after a NaN or infinity, and count as failed there: 1"


@given(st.lists(st.lists(st.floats(), min_size=3, max_size=3), min_size=1, max_size=6))
def test_a_tools_curve_fails_at_its_first_nan_or_infinity_and_no_other_curve_changes(curves):
    configs = [[0.01 * (i + 1), "adam"] for i in range(len(curves))]
    none = np.zeros(len(curves), bool)
    found = checked(
        "made", SPACE, Raw(["rate", "optimizer"], configs, np.array(curves), np.ones(len(curves)), none, True)
    )
    ends = [next((i for i, v in enumerate(c) if not math.isfinite(v)), 3) for c in curves]
    assert found.known.tolist() == ends
    for curve, end, row in zip(curves, ends, found.values, strict=True):
        assert row[:end].tolist() == curve[:end]
        assert np.isnan(row[end:]).all()
    on = [any(map(math.isfinite, c[end:])) for c, end in zip(curves, ends, strict=True)]
    assert found.failed.tolist() == on
    assert found.notes == ((BROKEN.replace(": 1", f": {sum(on)}"),) if any(on) else ())


def test_one_infinity_ends_one_curve_of_optunas_storage_as_failed(tmp_path):
    source = database(tmp_path)
    with sqlite3.connect(source) as connection:
        connection.execute(
            "UPDATE trial_intermediate_values SET intermediate_value = NULL, intermediate_value_type = 'INF_POS' "
            "WHERE trial_id = 1 AND step = 1"
        )
    connection.close()
    table = load(source, SPACE, "val_loss", task="curves", mode="min")
    assert table.known.tolist() == [1, 4, 4, 1, 1, 4, 4, 2, 2, 2, 2, 4]
    assert np.flatnonzero(table.failed).tolist() == [0, 3, 4]
    assert table.notes == (BROKEN,)


def test_one_nan_ends_one_curve_of_optunas_journal_as_failed(tmp_path):
    lines = [json.loads(line) for line in (HERE / "optuna.journal").read_text().splitlines()]
    of = {line["study_id"]: line["study_id"] for line in lines if line["op_code"] == 4}
    assert of
    wrong = next(line for line in lines if line["op_code"] == 7 and line["step"] == 2)
    wrong["intermediate_value"] = math.nan
    (tmp_path / "j.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = load(str(tmp_path / "j.log"), SPACE, "val_loss", task="curves", mode="min")
    assert table.known.tolist()[0] == 2
    assert table.failed[0]
    assert table.notes == (BROKEN,)


def tune(folder: Path, *trials: tuple[dict, list]) -> str:
    """An experiment of Ray Tune: a configuration and the reported values of each trial."""
    for i, (config, values) in enumerate(trials):
        trial = folder / "experiment" / f"trial_{i}"
        trial.mkdir(parents=True)
        (trial / "params.json").write_text(json.dumps(config))
        reports = [
            {"training_iteration": e + 1, "val_loss": v, "time_this_iter_s": math.nan} for e, v in enumerate(values)
        ]
        (trial / "result.json").write_text("".join(json.dumps(report) + "\n" for report in reports))
    return str(folder / "experiment")


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, None])
def test_one_value_that_is_no_number_ends_one_curve_of_tunes_experiment_as_failed(tmp_path, broken):
    configs = [{"rate": 0.1, "optimizer": "adam"}, {"rate": 0.2, "optimizer": "sgd"}]
    source = tune(tmp_path, (configs[0], [3.0, 2.0, 1.0]), (configs[1], [3.0, broken, 1.0]))
    assert knows(source)
    table = load(source, SPACE, "val_loss")
    assert (table.known.tolist(), table.failed.tolist()) == ([3, 1], [False, True])
    assert table.values[1, 0] == 3.0
    assert np.isnan(table.values[1, 1:]).all()
    assert table.notes == (BROKEN,)
    assert table.seconds.tolist() == [1.0, 1.0]


def test_how_many_curves_failed_at_a_nan_is_said(tmp_path, capsys):
    study = tmp_path / "study.yaml"
    study.write_text(STUDY)
    configs = [{"rate": 0.1, "optimizer": "adam"}, {"rate": 0.2, "optimizer": "sgd"}]
    source = tune(tmp_path, (configs[0], [4.0, 3.0, 2.0, 1.0]), (configs[1], [3.0, math.nan, 1.0, 1.0]))
    with pytest.raises(SystemExit, match="0"):
        cli.main(["replay", str(study), "--curves", source])
    assert f"warning: {BROKEN}\n" in capsys.readouterr().err


NOTHING = SearchSpace({"rate": Float(1e-3, 1.0), "depth": Choice((None, "full")), "layers": Choice((None, 3))})


@pytest.mark.parametrize("none", ["", "None"])
def test_an_empty_cell_means_the_choice_none(tmp_path, none):
    rows = [f"0.{i},{depth},{layers},1,0.{i}" for i, (depth, layers) in enumerate([(none, 3), ("full", none)], 1)]
    source = write(tmp_path, *rows, head="config_rate,config_depth,config_layers,epoch,val_loss")
    assert [tuple(c.values()) for c in load(source, NOTHING, "val_loss").configs] == [
        (0.1, None, 3),
        (0.2, "full", None),
    ]


def test_an_empty_cell_of_optunas_dataframe_means_none_where_the_space_has_it_and_inactive_elsewhere(tmp_path):
    space = SearchSpace(
        {"optimizer": Choice(("adam", None)), "momentum": Float(0.0, 1.0)}, {"momentum": {"optimizer": ("adam",)}}
    )
    head = "number,value,params_momentum,params_optimizer,state"
    path = tmp_path / "trials.csv"
    path.write_text("\n".join([head, "0,0.5,0.9,adam,COMPLETE", "1,0.6,,,COMPLETE", "2,0.7,0.8,adam,COMPLETE"]) + "\n")
    found = load(str(path), space, "val_loss")
    assert [dict(c) for c in found.configs] == [
        {"optimizer": "adam", "momentum": 0.9},
        {"optimizer": None},
        {"optimizer": "adam", "momentum": 0.8},
    ]


def test_a_trial_that_failed_before_it_had_a_whole_configuration_is_left_out_and_counted(tmp_path):
    path = tmp_path / "trials.csv"
    rows = ["0,0.5,0.1,adam,COMPLETE", "1,,0.2,,FAIL", "2,,0.3,sgd,FAIL"]
    path.write_text("\n".join(["number,value,params_rate,params_optimizer,state", *rows]) + "\n")
    table = load(str(path), SPACE, "val_loss")
    assert [c["rate"] for c in table.configs] == [0.1, 0.3]
    assert table.failed.tolist() == [False, True]
    assert table.notes == ("trials left out, since they failed before they had a whole configuration: 1",)


def test_arrays_are_tasksets_only_with_all_of_its_keys(tmp_path):
    ours = {"names": ["rate"], "configs": [[0.1], [0.2]], "values": [[1.0], [2.0]]}
    space = SearchSpace({"rate": Float(0.001, 1.0)})
    np.savez(tmp_path / "ours.npz", **ours, hp_names=["rate"])
    assert load(str(tmp_path / "ours.npz"), space, "val_loss").values.tolist() == [[1.0], [2.0]]
    np.savez(tmp_path / "none.npz", hp_names=["rate"], configs=[[0.1]])
    with pytest.raises(
        CurvesError, match=r"must have the keys names, configs, values \(or TaskSet's: tasks, hp_names, hp"
    ):
        load(str(tmp_path / "none.npz"), space, "val_loss")


@pytest.mark.parametrize("name", ["jsonl", "params"])
def test_a_format_is_not_recognised_by_one_key(tmp_path, name):
    if name == "jsonl":
        (tmp_path / "curves.jsonl").write_text('{"worker_id": "node-1", "loss": 1.0}\n')
        source = str(tmp_path / "curves.jsonl")
        with pytest.raises(CurvesError, match=r"must be a \.npz, \.csv or \.parquet file, an Optuna storage"):
            load(source, SPACE, "val_loss")
    else:  # a folder of anybody's with a params.json in it is no experiment of Tune
        (tmp_path / "some" / "thing").mkdir(parents=True)
        (tmp_path / "some" / "thing" / "params.json").write_text("{}")
        assert not knows(str(tmp_path / "some"))


def test_a_long_table_with_a_column_state_is_no_dataframe_of_optuna(tmp_path):
    rows = ["0.1,adam,1,1.0,done,7", "0.2,adam,1,2.0,done,7"]
    table = load(write(tmp_path, *rows, head=f"{HEAD},state,params_x"), SPACE, "val_loss")
    assert table.values.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize("seconds", ["inf", "-1"])
def test_seconds_that_cannot_be_are_refused(tmp_path, seconds):
    with pytest.raises(CurvesError, match="seconds must be finite and >= 0"):
        load(write(tmp_path, f"0.1,adam,1,1.0,{seconds}", head=f"{HEAD},seconds"), SPACE, "val_loss")


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
