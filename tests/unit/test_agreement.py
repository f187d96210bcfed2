"""A store goes on with the methods that it holds: changed options are refused, and so are decisions that differ."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from interrupted_study import kill, opened, play, written

from hpo import store
from hpo.game.curves import Curves
from hpo.game.runs import runs_of
from hpo.game.script import Event, OtherDecision, Script
from hpo.methods.schedules.asha import Asha
from hpo.store import StoreError, agreement
from hpo.study.study import Study
from hpo.study.values import Charge, RunFailure, RunKey

NOW = {"packages": {"numpy": "2.2.0", "ray": "2.60"}}


def part(study: Study, environment: dict[str, Any] | None = None, reports: int = 9) -> None:
    dispatch = opened(study, environment=environment)
    play(dispatch, random.Random(0), reports=reports)
    kill(dispatch)


def files(study: Study) -> dict[str, bytes]:
    """The study's files, but for what tells whether its driver lives: leases, and the summary that names them."""
    told = ("lease", ".studies")
    paths = [path for path in Path(study.store).rglob("*") if path.is_file() and path.parent.name not in told]
    return {str(path): path.read_bytes() for path in paths}


@pytest.fixture
def used(tmp_path: Path) -> Study:
    """A study that holds a few charges of ASHA and of random search, all of them in its tables."""
    study = written(tmp_path, "{asha: {eta: 2}}, random")
    part(study)
    opened(study).finish(complete=False)
    assert {"asha/0", "random/0"} <= set(store.read(study.store).charges["run"].to_pylist())
    return study


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ("{asha: {eta: 4}}, random", "method asha .* eta was 2 there and is 4 now"),
        ("asha, random", "method asha .* eta was 2 there and is 4 now"),
        ("{asha: {eta: 2, min_epochs: 2}}", "method asha .* min_epochs was 1 there and is 2 now"),
        ("{asha: {eta: 2, parallelism: 1}}, random", "method asha .* parallelism was 3 there and is 1 now"),
        ("{random: {label: asha}}", "method asha .* name was 'asha' there and is 'random' now"),
    ],
)
def test_a_changed_method_is_refused_with_both_values_and_nothing_is_written(
    used: Study, tmp_path: Path, methods: str, said: str
) -> None:
    before = files(used)
    with pytest.raises(StoreError, match=said):
        opened(written(tmp_path, methods))
    assert files(used) == before


def test_a_change_is_refused_also_after_a_command_that_left_the_method_out(used: Study, tmp_path: Path) -> None:
    opened(written(tmp_path, "random")).finish(complete=False)
    with pytest.raises(StoreError, match="eta was 2 there and is 3 now"):
        opened(written(tmp_path, "random, {asha: {eta: 3}}"))


def test_defaults_may_be_written_out_and_methods_and_seeds_added(used: Study, tmp_path: Path) -> None:
    more = written(tmp_path, "{asha: {eta: 2, min_epochs: 1}}, random, {asha: {label: asha4, eta: 4}}", seeds="[0, 1]")
    dispatch = opened(more)
    assert play(dispatch, random.Random(1))
    dispatch.finish(complete=True)
    assert store.verify(more.store) == []
    assert store.read(more.store).runs.num_rows == 6


def test_a_method_without_charges_may_change(tmp_path: Path) -> None:
    opened(written(tmp_path, "{asha: {eta: 2}}")).finish(complete=False)
    changed = written(tmp_path, "{asha: {eta: 3}}")
    opened(changed).finish(complete=False)
    (stored,) = store.read(changed.store).definition["methods"]
    assert stored["options"] == {"eta": 3}


# -- decisions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """ASHA of another version: it starts from another configuration."""
    begin = Asha.__init__

    @functools.wraps(begin)
    def begin_otherwise(self: Asha, setting: Any, searcher: Any, **options: Any) -> None:
        searcher.suggest()
        begin(self, setting, searcher, **options)

    monkeypatch.setattr(Asha, "__init__", begin_otherwise)


@pytest.mark.parametrize("clock", ["virtual", "arrival"])
def test_other_decisions_are_refused_with_run_order_and_both_and_nothing_is_written(
    tmp_path: Path, clock: str, request: pytest.FixtureRequest
) -> None:
    study = written(tmp_path, "{asha: {eta: 2}}", clock=clock)
    part(study)
    opened(study).finish(complete=False)
    before = files(study)
    request.getfixturevalue("other_code")
    with pytest.raises(OtherDecision) as refused:
        opened(study)
    told = str(refused.value)
    assert "run asha/0 must decide as it did before, but its event 0 is " in told
    assert told.count("of trial") >= 2
    assert "the method's code, its prior or the declared cost of an epoch" in told
    assert refused.value.exit_code == 1
    assert files(study) == before


def test_versions_that_differ_are_named_where_decisions_do(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    study = written(tmp_path, "{asha: {eta: 2}}")
    part(study, NOW)
    later = {"packages": {"numpy": "2.3.1", "ray": "3.0"}}
    part(study, later, reports=4)  # equal decisions: another version is allowed, and noted
    assert store.read(study.store).environment["decided_with"] == {"numpy": ["2.2.0", "2.3.1"]}
    request.getfixturevalue("other_code")
    for _ in range(2):  # a refused driver notes nothing
        with pytest.raises(OtherDecision, match=r"numpy was 2\.2\.0 and 2\.3\.1 and is 2\.4\.0: restore that"):
            opened(study, environment={"packages": {"numpy": "2.4.0"}})


def test_a_store_of_an_earlier_version_names_the_versions_of_its_first_driver(
    used: Study, request: pytest.FixtureRequest
) -> None:
    path = Path(used.store) / "drawn" / "study.json"
    head = json.loads(path.read_text())
    head.pop("methods")
    path.write_text(json.dumps({**head, "environment": NOW}))
    request.getfixturevalue("other_code")
    with pytest.raises(OtherDecision, match=r"numpy was 2\.2\.0 and is 1\.0\.0"):
        opened(used, environment={"packages": {"numpy": "1.0.0"}})


def test_a_decision_in_a_thread_is_refused_where_it_is_collected(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    study = written(tmp_path, "{asha: {eta: 2}}")
    part(study)
    request.getfixturevalue("other_code")
    dispatch = opened(study, slow=["asha"])
    with pytest.raises(OtherDecision):
        play(dispatch, random.Random(0))
    dispatch.finish(complete=False)


def test_decisions_that_waited_elsewhere_while_others_decided_are_played_again(tmp_path: Path) -> None:
    """A spool that comes late brings its epochs; its charges could belong to another order of events."""
    study = written(tmp_path, "random", failing=0.0, clock="arrival")
    spool = Path(study.store) / "drawn" / "spool"
    first = opened(study)
    play(first, random.Random(0), reports=2)
    first.finish(complete=False)
    row = store.read(study.store).charges.to_pylist()[0]
    dispatch = opened(study)
    play(dispatch, random.Random(1), reports=4)
    dispatch.finish(complete=False)
    spool.mkdir(exist_ok=True)
    late = [["charges", {**row, "order": 90}], ["run_failures", {**row, "order": 91}]]
    (spool / "000000-abcdef-000000.jsonl").write_text("".join(json.dumps(line) + "\n" for line in late))
    before = store.read(study.store).charges.num_rows
    opened(study).finish(complete=False)
    data = store.read(study.store)
    assert data.charges.num_rows == before
    assert data.run_failures.num_rows == 0
    assert list(spool.glob("*.jsonl")) == []


# -- scripts ------------------------------------------------------------------------------------------------------

RUN = RunKey("random", 0)


def charge(order: int, number: int, epoch: int) -> Charge:
    return Charge(RUN, order, f"t{number}", number, epoch, 1.0, 0.5)


def test_a_script_holds_charges_and_failures_in_one_order() -> None:
    script = Script.of([charge(0, 0, 1), charge(2, 0, 2)], [RunFailure(RUN, 1, "t1", 1, 0)])
    assert script.end == 3
    assert script.wanted(1) == Event(1, "t1", 1, failed=True)
    assert script.wanted(3) is None
    script.check(1, Event(1, "t1", 1, failed=True))
    script.check(3, Event(9, "t9", 1))
    with pytest.raises(
        OtherDecision, match=r"event 1 is the failure in epoch 1 of trial 1 \(t1\) in the store and epoch 1"
    ):
        script.check(1, Event(1, "t1", 1))
    script.check_awaited(1, Event(1, "t1", 1))
    script.check_end(3)
    with pytest.raises(
        OtherDecision, match=r"event 2 is epoch 2 of trial 0 \(t0\) in the store and the end of the run"
    ):
        script.check_end(2)


def test_a_run_without_events_follows_nothing() -> None:
    assert Script.of([]).end == 0


def test_a_stored_event_stays_wanted_until_its_cell_is_known(tmp_path: Path) -> None:
    """A result that is not there yet must not turn the event into a failure."""
    study = written(tmp_path, "random", failing=0.0, clock="arrival")
    first = runs_of(study)[0]
    first.play(Curves())
    trials = [worker.trial.key.id for worker in first._workers]
    charges = played(study, trials[2], trials[0], trials[1])
    again, late = runs_of(study)[0], Curves()
    again.follow(Script.of(charges))
    late.add(trials[0], 1, 0.5)
    assert again.play(late) == []
    late.add(trials[1], 1, 0.5)
    assert again.play(late) == []
    late.add(trials[2], 1, 0.5)
    assert again.play(late) == charges


def played(study: Study, *trials: str) -> list[Charge]:
    run, curves, found = runs_of(study)[0], Curves(), list[Charge]()
    run.play(curves)
    for trial in trials:
        curves.add(trial, 1, 0.5)
        found += run.play(curves)
    return found


def test_a_run_that_is_over_demands_nothing(tmp_path: Path) -> None:
    """Also one that gave up after a hundred failures, with segments planned that it will not start."""
    run, curves = runs_of(written(tmp_path, "random", epochs=300, most=2))[0], Curves()
    run.play(curves, ahead=8)
    while not run.done:
        curves.fail(next(run.demands(curves)).key.id, "broke")
        run.play(curves, ahead=8)
    assert "100 trials in a row failed" in run.outcome().reason
    assert list(run.demands(curves)) == []


def test_the_packages_of_third_parties_decide_too_and_their_changes_are_told() -> None:
    before = agreement.installed({**NOW, "method_packages": {"nearest-best": "1.0"}})
    assert before == {"numpy": ["2.2.0"], "nearest-best": ["1.0"]}
    after = agreement.installed({**NOW, "method_packages": {"nearest-best": "1.1"}})
    assert agreement.changes(before, after) == "nearest-best was 1.0 and is 1.1"
    assert agreement.changes(before, agreement.installed(NOW)) == ""  # the method was left out this time
    assert agreement.changes(before, {"nearest-best": ["1.0"]}) == "numpy was 2.2.0 and is not installed"
