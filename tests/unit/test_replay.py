"""Replay: a live study's own store gives the very same decisions; weather changes time, not budgets; bad curves are refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo import store as stores
from hpo.game.runs import epoch_cost, runs_of
from hpo.live.dispatch import Dispatch
from hpo.replay import RecordedCurves, Weather, from_store, replay, sweep
from hpo.replay.sources import CurvesError, RecordedTable, load
from hpo.report.sweeps import picture as sweep_picture
from hpo.report.sweeps import table as sweep_table
from hpo.results.compare import compare
from hpo.store.verify import check
from hpo.study.study import Study
from hpo.worker.training import Training

ROOT = Path(__file__).parents[2]

LIVE = """
study: live
trainable: curves
data: {{fail_share: 0.15, diverge_share: 0.15}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.003, 0.01, 0.03]}}
  optimizer: {{type: choice, values: [adam, sgd]}}
  cost: {{type: choice, values: [1.0, 2.5]}}
budget: {{epochs: 30, max_epochs: 6}}
methods: [{methods}]
seeds: [0]
parallelism: 3
clock: {clock}
{more}
"""

RECORDED = """
study: recorded
trainable: curves
space:
  rate: {type: float, low: 0.001, high: 1.0, log: true}
  optimizer: {type: choice, values: [adam, sgd]}
budget: {epochs: 24, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
metric: val_loss
mode: min
seeds: [0, 1]
"""


def live_study(folder: Path, methods: str, clock: str = "virtual", more: str = "") -> Study:
    path = folder / "live.yaml"
    path.write_text(LIVE.format(methods=methods, clock=clock, more=more))
    return Study.load(path, store=str(folder / "results"))


def play_live(study: Study) -> None:
    """The study on one slot, in this process: the driver's dispatch and the workers' training, without a cluster."""
    writer = stores.StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest, environment={},
        space_kinds=study.kinds,
    )  # fmt: skip
    runs = runs_of(study, cost=epoch_cost(study))
    dispatch = Dispatch(study, runs, writer, f"{study.store}/{study.study}/checkpoints", ahead=4)
    while not dispatch.finished:
        assignment = dispatch.next()
        if assignment is None:
            dispatch.think(0.1)
            continue
        training, done = Training(assignment), False
        while not done:
            report = training.step()
            done = report.done
            dispatch.report(assignment, report, "here")
        training.close()
    dispatch.finish(complete=True)


def decisions(data, table: str, by: str, left_out=()) -> list[dict]:
    rows = [{k: v for k, v in row.items() if k not in left_out} for row in getattr(data, table).to_pylist()]
    return sorted(rows, key=lambda row: (row["run"], row[by]))


def test_the_order_of_arrival_is_repeated(tmp_path):
    study = live_study(tmp_path, "random, {asha: {eta: 2}}, tpe", clock="arrival")
    play_live(study)
    found = replay(study, data=from_store(study.store, study))
    assert decisions(found.data, "charges", "order") == decisions(stores.read(study.store), "charges", "order")


PRICED = """
study: live
trainable: mlp
data: {name: synthetic_10, train: 60, validation: 30}
space:
  units: {type: choice, values: [4, 512]}
  learning_rate: {type: float, low: 0.001, high: 0.1, log: true}
budget: {epochs: 18, max_epochs: 3}
methods: [random, {asha: {eta: 2}}]
seeds: [0]
parallelism: 2
"""


def test_time_that_follows_costs_is_replayed_and_the_comparison_has_curves_over_cost(tmp_path):
    path, found = tmp_path / "live.yaml", {}
    for clock in ("virtual", "cost"):
        path.write_text(f"{PRICED}clock: {clock}\n")
        study = Study.load(path, store=str(tmp_path / clock))
        play_live(study)
        data = found[clock] = stores.read(study.store)
        again = replay(study, data=from_store(study.store, study))
        assert decisions(again.data, "charges", "order") == decisions(data, "charges", "order")
        assert check(data, ended=True) == []
    plain, priced = (found[clock].charges for clock in ("virtual", "cost"))
    assert plain["cost"].null_count == len(plain), "as in stores of before"
    assert all(at == int(at) for at in plain["at"].to_pylist())
    assert priced["cost"].null_count == 0
    assert set(priced["at"].to_pylist()) != set(plain["at"].to_pylist())
    assert [len(run.anytime_cost) > 0 for run in compare(found["cost"]).runs] == [True, True]


def test_curves_that_ended_themselves_are_replayed_as_such(tmp_path):
    study = live_study(tmp_path, "random, {asha: {eta: 2}}", more="early_stopping: {patience: 1}")
    play_live(study)
    found = replay(study, data=from_store(study.store, study))
    assert decisions(found.data, "charges", "order") == decisions(stores.read(study.store), "charges", "order")


def test_another_method_and_budget_is_answered_by_the_nearest_configuration_that_was_trained_to_the_end(tmp_path):
    study = live_study(tmp_path, "random")
    play_live(study)
    other = live_study(tmp_path, "tpe, {asha: {eta: 2}}")
    found = replay(other, data=from_store(study.store, other), budget=18, workers=2)
    assert found.answers.others > 0
    assert {run.ledger.committed for run in found.runs} == {18}
    assert "nearest" in found.answers.sentence()


# -- recorded tables ----------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path) -> Study:
    path = tmp_path / "recorded.yaml"
    path.write_text(RECORDED)
    return Study.load(path)


def recorded_table(study: Study, n: int = 40, epochs: int = 4) -> RecordedTable:
    rng = np.random.default_rng(0)
    configs = [{"rate": float(10 ** rng.uniform(-3, 0)), "optimizer": ("adam", "sgd")[i % 2]} for i in range(n)]
    values = np.sort(rng.random((n, epochs)), axis=1)[:, ::-1].copy()
    return RecordedTable("made", tuple(configs), values, np.full(n, epochs), np.zeros(n, bool), np.ones(n))


def csv(folder: Path, *rows: str, head: str = "config_rate,config_optimizer,epoch,val_loss") -> str:
    path = folder / "curves.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return str(path)


GOOD = [f"0.01,adam,{e},{1 / e}" for e in (1, 2, 3, 4)]


def test_a_file_of_curves_answers_a_study(study, tmp_path):
    table = load(csv(tmp_path, *GOOD, *(row.replace("adam", "sgd") for row in GOOD)), study.space, study.metric)
    assert table.epochs == 4
    found = replay(study, table=table)
    assert {run.ledger.committed for run in found.runs} == {24}
    assert "nearest" in found.answers.sentence()


def test_a_configuration_that_is_recorded_twice_is_refused(study, tmp_path):
    path = tmp_path / "twice.npz"
    configs = np.array([["0.01", "adam"], ["0.01", "adam"]])
    np.savez(path, names=["rate", "optimizer"], configs=configs, values=np.ones((2, 4)))
    with pytest.raises(CurvesError, match="each configuration once"):
        load(str(path), study.space, study.metric)


def test_a_budget_that_the_table_cannot_answer_is_refused(study):
    with pytest.raises(CurvesError, match="at most the 3 epochs"):
        replay(study, table=recorded_table(study, epochs=3))


@pytest.mark.parametrize("source", ["nowhere.csv", "curves.txt"])
def test_a_source_that_is_no_table_is_refused(study, tmp_path, source):
    (tmp_path / "curves.txt").write_text("nothing")
    with pytest.raises(CurvesError, match=r"must be"):
        load(str(tmp_path / source), study.space, study.metric)


def test_a_task_that_is_not_recorded_is_refused(study, tmp_path):
    path = tmp_path / "tasks.npz"
    np.savez(path, tasks=["one", "two"], hp_names=["rate"], hp=np.ones((2, 3, 1)), valid_loss=np.ones((2, 3, 5)))
    with pytest.raises(CurvesError, match="--task must name one"):
        load(str(path), study.space, study.metric, task="tow")


@pytest.mark.parametrize("text", ["workers", "workers=00", "workers=1,x", "speed=3", "budget=", "workers=1.5"])
def test_a_bad_sweep_is_refused(text):
    with pytest.raises(CurvesError, match="--sweep must be"):
        sweep.axes([text])


@pytest.mark.parametrize("bad", [{"stragglers": -1}, {"failures": 1.0}, {"preemptions": -0.1}])
def test_weather_that_cannot_be_is_refused(bad):
    with pytest.raises(CurvesError, match="must hold"):
        Weather(**bad)


# -- weather ------------------------------------------------------------------------------------------------------


def charges(found) -> list[tuple]:
    return [(r["run"], r["order"], r["trial"], r["epoch"], r["at"], r["value"]) for r in found.data.charges.to_pylist()]


@pytest.mark.parametrize("weather", [Weather(stragglers=1.0), Weather(preemptions=0.4), Weather(failures=0.3)])
def test_weather_repeats_itself(study, weather):
    table = recorded_table(study)
    assert charges(replay(study, table=table, weather=weather)) == charges(replay(study, table=table, weather=weather))


@pytest.mark.parametrize("weather", [Weather(stragglers=1.0), Weather(preemptions=0.4)])
def test_slow_weather_changes_time_and_no_budget(study, weather):
    table = recorded_table(study)
    calm, rough = replay(study, table=table), replay(study, table=table, weather=weather)
    assert [run.ledger.committed for run in rough.runs] == [run.ledger.committed for run in calm.runs]
    assert [run.now for run in rough.runs] != [run.now for run in calm.runs]
    assert {r.incumbent.value for r in rough.runs if r.key.method == "random"} == {
        r.incumbent.value for r in calm.runs if r.key.method == "random"
    }


def test_preempted_epochs_are_wasted_and_charged_to_nobody(study):
    found = replay(study, table=recorded_table(study), weather=Weather(preemptions=0.5))
    runs = found.data.runs.to_pylist()
    assert all(run["wasted_epochs"] > 0 and run["charged_epochs"] == 24 for run in runs)
    # an epoch is trained twice in the mean, so that time doubles
    lost = [n for trial in found.runs[0].trials for n in Weather(preemptions=0.5).lost(trial.key.id, 4)[: trial.epochs]]
    assert runs[0]["wasted_epochs"] == sum(lost)


@pytest.mark.parametrize("workers", [1, 64, 10_000])
def test_from_one_to_ten_thousand_workers(tmp_path, workers):
    path = tmp_path / "asha.yaml"
    path.write_text(RECORDED)
    study = Study.load(path, methods=["asha"], seeds=[0])
    storm = Weather(stragglers=0.5, failures=0.1, preemptions=0.1)
    found = replay(study, table=recorded_table(study), workers=workers, budget=6_000, weather=storm)
    assert {run.ledger.committed for run in found.runs} == {6_000}
    assert {run.rules.parallelism for run in found.runs} == {workers}


def test_methods_know_the_recorded_seconds_of_the_same_or_the_nearest_configuration(study):
    table = replace(recorded_table(study, 3), seconds=np.array([1.0, 5.0, 9.0]))
    curves = RecordedCurves(table, study.space, Weather(), max_epochs=4)
    assert [curves.expected_seconds(config) for config in table.configs] == [1.0, 5.0, 9.0]
    near = {**table.configs[1], "rate": table.configs[1]["rate"] * 1.001}
    assert curves.expected_seconds(near) == 5.0
    assert curves.answers.exact == curves.answers.others == 0, "asking is no answer"


@pytest.mark.parametrize("methods", ["[random,", "[{random: {parallelism: 1}},"])
def test_the_time_alone_is_that_on_the_workers_of_the_replay(tmp_path, methods):
    path = tmp_path / "sequential.yaml"
    path.write_text(RECORDED.replace("[random,", methods) + "parallelism: 1\n")
    study = Study.load(path)
    comparison = compare(replay(study, table=recorded_table(study), workers=16).data)
    assert comparison.workers == 16
    took = {run.method: run.wall_seconds for run in comparison.runs}
    assert (took["random"] == 24) == ("parallelism" in methods)
    assert took["asha"] < 24
    assert compare(replay(study, table=recorded_table(study)).data).workers == 1


def test_a_method_that_names_its_workers_keeps_them(tmp_path):
    path = tmp_path / "sequential.yaml"
    path.write_text(RECORDED.replace("[random,", "[{random: {parallelism: 1}},"))
    study = Study.load(path)
    found = replay(study, table=recorded_table(study), workers=50)
    assert {(run.key.method, run.rules.parallelism) for run in found.runs} == {("random", 1), ("asha", 50)}


def test_a_pruned_curve_is_answered_by_the_nearest_whole_one_from_its_end(study):
    whole = recorded_table(study, n=8)
    known = np.array([4, 4, 4, 4, 4, 4, 4, 2])
    values = np.where(np.arange(4) < known[:, None], whole.values, np.nan)
    table = replace(whole, values=values, known=known)
    curves = RecordedCurves(table, study.space, Weather(), max_epochs=4)
    key = curves.meet(study.key(table.configs[7], 0, 4))
    found = [curves.cell(key.id, epoch).value for epoch in (1, 2, 3, 4)]
    assert found[:2] == values[7, :2].tolist()
    assert found[2:] in values[:7, 2:].tolist()
    assert (curves.answers.exact, curves.answers.continued) == (0, 1)


def test_a_surrogate_answers_between_recorded_configurations_and_says_how_well(study):
    table = recorded_table(study, n=60)
    near, fitted = replay(study, table=table), replay(study, table=table, between="surrogate")
    assert charges(near) != charges(fitted)
    assert charges(fitted) == charges(replay(study, table=table, between="surrogate"))
    values = {charge.value for charge in fitted.charges}
    assert values - set(table.values.ravel().tolist())
    assert table.values.min() <= min(values) <= max(values) <= table.values.max()
    assert "surrogate (rank correlation with curves that it has not seen" in fitted.answers.sentence()
    assert "nearest recorded configuration" in near.answers.sentence()


def test_a_surrogate_leaves_recorded_configurations_alone():
    study = Study.load(ROOT / "hpo" / "replay" / "recorded" / "paper000.yaml", methods=["grid"], seeds=[0])
    table = load(str(ROOT / "hpo" / "replay" / "recorded" / "paper000.csv"), study.space, study.metric, "VGG-16")
    found = replay(study, table=table, between="surrogate")
    assert (found.answers.exact, found.answers.others) == (20, 0)
    assert found.runs[0].now == table.seconds.sum()


def test_a_stores_epochs_take_what_the_trainable_declares_or_what_was_measured(tmp_path):
    study = live_study(tmp_path, "random")
    play_live(study)
    data = from_store(study.store, study)
    declared, measured = replay(study, data=data), replay(study, data=data, times="recorded")
    assert declared.runs[0].now == max(row["at"] for row in data.charges.to_pylist())
    assert 0 < measured.runs[0].now < declared.runs[0].now  # instant epochs
    assert {c.trial for c in measured.charges} == {c.trial for c in declared.charges}


def test_failing_weather_fails_trials_and_refunds_them(study):
    found = replay(study, table=recorded_table(study), weather=Weather(failures=0.5))
    assert any(trial.status == "failed" for run in found.runs for trial in run.trials)
    assert {run.ledger.committed for run in found.runs} == {24}


def test_more_workers_take_less_virtual_time_for_the_same_budget(study):
    table = recorded_table(study)
    grid = sweep.axes(["workers=1,4", "budget=12,24"])
    found = sweep.sweep(lambda w, b: replay(study, table=table, workers=w, budget=b), grid, good=0.2)
    points = found.points
    assert [(p.workers, p.budget, p.method) for p in points] == [
        (w, b, m) for w in (1, 4) for b in (12, 24) for m in ("random", "asha")
    ]
    by_place = {(p.method, p.workers, p.budget): p for p in points}
    assert by_place["random", 1, 24].time == 24
    assert by_place["random", 4, 24].time < 24
    assert all(p.low <= p.mean <= p.high and p.seeds == 2 for p in points)
    assert by_place["random", 4, 24].reached_at <= by_place["random", 1, 24].reached_at
    assert len(sweep_table(found).rows) == len(points)
    assert found.answers.others > 0


def test_a_sweep_is_drawn(study, tmp_path):
    table = recorded_table(study)
    found = sweep.sweep(lambda w, b: replay(study, table=table, workers=w, budget=b), {"workers": [1, 2]}, good=0.2)
    sweep_picture(found, tmp_path / "deep" / "sweep.svg")
    assert "<svg" in (tmp_path / "deep" / "sweep.svg").read_text()
    before = (tmp_path / "deep" / "sweep.svg").read_bytes()
    sweep_picture(found, tmp_path / "deep" / "sweep.svg")
    assert (tmp_path / "deep" / "sweep.svg").read_bytes() == before, "equal figures are equal files"


def test_a_picture_of_a_sweep_that_cannot_be_drawn_leaves_the_old_one(study, tmp_path, monkeypatch):
    def half(figure, file, **options):
        file.write(b"half") if hasattr(file, "write") else Path(file).write_bytes(b"half")
        raise OSError("no space left")

    table = recorded_table(study)
    found = sweep.sweep(lambda w, b: replay(study, table=table, workers=w, budget=b), {"workers": [1, 2]}, good=0.2)
    sweep_picture(found, tmp_path / "sweep.svg")
    before = (tmp_path / "sweep.svg").read_bytes()
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)
    with pytest.raises(OSError, match="no space left"):
        sweep_picture(found, tmp_path / "sweep.svg")
    assert [path.read_bytes() for path in tmp_path.glob("*.svg")] == [before]


@pytest.mark.parametrize("model", ["ResNet50", "VGG-16", "Inception", "EfficientNetB0"])
def test_paper_000s_tables_hold_20_pairs_each_of_which_every_method_that_does_not_repeat_finds_the_best(model):
    study = Study.load(ROOT / "hpo" / "replay" / "recorded" / "paper000.yaml", methods=["grid", "random"], seeds=[0, 1])
    table = load(str(ROOT / "hpo" / "replay" / "recorded" / "paper000.csv"), study.space, study.metric, model)
    assert len(table.configs) == 20
    assert {run.incumbent.value for run in replay(study, table=table).runs} == {float(table.values.max())}


@pytest.mark.parametrize("priced", [False, True])
def test_a_store_is_replayed_where_the_code_of_its_trainable_is_missing(priced, tmp_path, monkeypatch):
    name, body = f"mine_{priced}", "pass" if priced else "epoch_cost = None"
    (tmp_path / f"{name}.py").write_text(f"from trainables.curves import Curves\n\n\nclass Mine(Curves):\n    {body}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    study = live_study(tmp_path, "random, {asha: {eta: 2}}").model_copy(update={"trainable": f"{name}:Mine"})
    play_live(study)
    monkeypatch.delitem(sys.modules, name)
    (tmp_path / f"{name}.py").unlink()
    found = hpo.replay(study, study.store)
    if priced:
        assert f"the code of {name}:Mine should be here, because it declares what an epoch costs" in found.warnings[0]
        return
    assert not found.warnings
    assert decisions(found.data, "charges", "order") == decisions(stores.read(study.store), "charges", "order")
