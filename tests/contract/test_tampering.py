"""A stored study with failures and exams in which one thing was changed: `hpo verify` names it, or refuses the store.

Every column of every table is changed once, rows are deleted and repeated, and every field of study.json is changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from without_ray import dispatching, play_to_the_end, train

from hpo import store
from hpo.results.audit import audit
from hpo.storage.place import place
from hpo.store import StudyData, StudyWriter, layout, reader, schema, seal
from hpo.store.parquet import to_bytes
from hpo.store.verify import check
from hpo.study.study import Study
from tests.conftest import hpo
from trainables.curves import Curves
from trainables.errors import InvalidConfig

STUDY = """
study: tampered
trainable: curves
data: {{fail_share: 0.15, diverge_share: 0.15}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
  optimizer: {{type: choice, values: [adam, sgd]}}
  layers: {{type: choice, values: [1, 2.5, all]}}
budget: {{epochs: 24, max_epochs: 4}}
methods: [random, {{asha: {{eta: 2}}}}]
seeds: [0, 1]
parallelism: 2
final: {{retrain: train, seeds: 2}}
store: {store}
"""

# What no other row repeats, and no rule fixes, so that nothing but the seal of the files can tell:
MEASURED = {  # measurements and remarks that nothing is derived from
    ("epochs", "worker"), ("epochs", "finished"), ("epochs", "loss"), ("epochs", "accuracy"), ("epochs", "val_loss"),
    ("epochs", "ended"), ("exams", "test_accuracy"), ("exams", "test_loss"), ("exams", "confusion"), ("exams", "classes"),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, StudyData]:
    folder = tmp_path_factory.mktemp("tampering")
    (folder / "study.yaml").write_text(STUDY.format(store=folder / "store"))
    study = Study.load(str(folder / "study.yaml"))
    play_to_the_end(dispatching(study, environment={"python": "3"}))
    assert store.verify(study.store) == []
    data = store.read(study.store)
    assert data.failures.num_rows > 1
    assert data.exams.num_rows > 1
    assert audit(data) == []
    return study.store, data


def other(value: Any, kind: pa.DataType) -> Any:
    """Another value of a column's type."""
    if pa.types.is_boolean(kind):
        return not value
    if pa.types.is_integer(kind):
        return 0 if value is None else value + 1
    if pa.types.is_floating(kind):
        return 0.5 if value is None or value != value else value * 1.01 + 0.001
    return "x" if value is None else f"{value}x"


def changed(table: pa.Table, column: str, row: int) -> pa.Table:
    rows = table.to_pylist()
    rows[row][column] = other(rows[row][column], table.schema.field(column).type)
    return pa.Table.from_pylist(rows, schema=table.schema)


def tamperings(data: StudyData) -> Iterator[tuple[str, str, pa.Table]]:
    """Yields (table, what, the table after it)."""
    for name in schema.TABLES:
        table = getattr(data, name)
        assert table.num_rows
        for column in table.column_names:
            yield name, column, changed(table, column, 0)
        middle = table.num_rows // 2
        yield name, "deleted", pa.concat_tables([table.slice(0, middle), table.slice(middle + 1)])
    winner = data.runs["incumbent_trial"][0].as_py()
    place = data.trials["trial"].to_pylist().index(winner)
    yield "trials", "the winner's configuration", changed(data.trials, "config_learning_rate", place)
    swapped = [{**row, "config_optimizer": {"adam": "sgd", "sgd": "adam"}[row["config_optimizer"]]}
               for row in data.epochs.to_pylist()]  # fmt: skip
    yield "epochs", "every configuration", pa.Table.from_pylist(swapped, schema=data.epochs.schema)
    best = [{**row, "status": "failed"} if row["trial"] == winner else row for row in data.trials.to_pylist()]
    yield "trials", "the winner failed", pa.Table.from_pylist(best, schema=data.trials.schema)
    failed = [{**row, "status": "completed"} if row["status"] == "failed" else row for row in data.trials.to_pylist()]
    yield "trials", "nobody failed", pa.Table.from_pylist(failed, schema=data.trials.schema)
    yield "failures", "all deleted", data.failures.slice(0, 0)
    partial = [{**row, "status": "partial"} for row in data.runs.to_pylist()]
    yield "runs", "all partial", pa.Table.from_pylist(partial, schema=data.runs.schema)
    metric = data.epochs.set_column(
        data.epochs.column_names.index("val_accuracy"), "val_accuracy", pa.array([0.99] * data.epochs.num_rows)
    )
    yield "epochs", "the metric replaced", metric
    yield "epochs", "the metric dropped", data.epochs.drop_columns(["val_accuracy"])
    seeds = data.epochs.set_column(data.epochs.column_names.index("seed"), "seed", pa.array([7] * data.epochs.num_rows))
    yield "epochs", "every seed", seeds


def test_every_change_of_a_table_is_named_by_what_contradicts_it_or_by_the_seal(whole: tuple[str, StudyData]) -> None:
    _, data = whole
    made, silent = 0, set()
    for table, what, after in tamperings(data):
        made += 1
        wrong = replace(data, **{table: after})
        if not check(wrong, ended=True) and not audit(wrong):
            silent.add((table, what))
    assert made > 70
    assert silent == MEASURED


def test_every_change_of_a_file_is_named(whole: tuple[str, StudyData], tmp_path: Path) -> None:
    uri, data = whole
    where = place(uri)
    for table, what, after in tamperings(data):
        (name,) = reader.files(where, data.name, table)
        before = where.read(name)
        assert before is not None
        where.replace(name, to_bytes(after))
        try:
            problems = store.verify(uri)
        finally:
            where.replace(name, before)
        assert f"{data.name}: {table} was changed after the study had ended" in problems, (table, what)
    assert store.verify(uri) == []


class Untestable(Curves):
    """Curves whose exams all fail."""

    def test(self) -> dict[str, float]:
        raise ValueError("there is no test set")


class Unlucky(Curves):
    """Curves of which none with the seed 1 ever has a value."""

    def train_epoch(self) -> dict[str, float]:
        if self.seed == 1:
            raise InvalidConfig("this seed never works")
        return super().train_epoch()


def examined(folder: Path, trainable: str, final: str) -> Study:
    text = STUDY.format(store=folder / "store").replace("{retrain: train, seeds: 2}", final)
    (folder / "study.yaml").write_text(text.replace("trainable: curves", f"trainable: {trainable}"))
    return Study.load(str(folder / "study.yaml"))


@pytest.mark.parametrize(
    ("trainable", "winners"), [("curves", 4), (f"{__name__}:Untestable", 4), (f"{__name__}:Unlucky", 2)]
)
@pytest.mark.parametrize(
    ("final", "names", "epoch"),
    [
        ("{retrain: none}", {"winner"}, None),
        ("{retrain: none, epochs: 3}", {"winner"}, None),  # which only a retraining takes
        ("{retrain: train, seeds: 3}", {"retrain/0", "retrain/1", "retrain/2"}, None),
        ("{retrain: full, train: 5, epochs: 3}", {"retrain/0"}, 3),
    ],
)
def test_a_study_that_ended_must_have_each_exam_even_if_it_is_sealed_anew(
    tmp_path: Path, trainable: str, winners: int, final: str, names: set[str], epoch: int | None
) -> None:
    study = examined(tmp_path, trainable, final)
    play_to_the_end(dispatching(study))
    assert store.verify(study.store) == []
    where, taken = place(study.store), store.read(study.store).exams
    rows = taken.to_pylist()
    won = {(row["incumbent_trial"], epoch or row["incumbent_epoch"]) for row in store.read(study.store).runs.to_pylist()
           if row["incumbent_trial"]}  # fmt: skip
    assert {(row["trial"], row["epoch"], row["exam"]) for row in rows} == {(*w, name) for w in won for name in names}
    assert 1 <= len(won) <= winners
    assert {row["reason"] is not None for row in rows} == {"Untestable" in trainable}
    (file,) = reader.files(where, "tampered", "exams")
    for place_of, row in enumerate(rows):
        where.replace(file, to_bytes(pa.concat_tables([taken.slice(0, place_of), taken.slice(place_of + 1)])))
        seal.make(where, "tampered")
        said = f"trial {row['trial']} must have the exam {row['exam']} after {row['epoch']} epochs, passed or failed, but it"
        assert store.verify(study.store) == [f"tampered: {said} has none"]
    where.replace(file, to_bytes(taken.slice(0, 0)))
    seal.make(where, "tampered")
    assert len(store.verify(study.store)) == len(rows)


def test_a_study_that_goes_on_owes_no_exam_yet(tmp_path: Path) -> None:
    study = examined(tmp_path, "curves", "{retrain: train, seeds: 2}")
    dispatch, taken = dispatching(study), 0
    while (given := dispatch.next()) and (not given.exam or taken < 2):
        train(dispatch, given)
        taken += given.exam
    dispatch.finish(complete=False)
    data = store.read(study.store)
    assert set(data.runs["status"].to_pylist()) == {"complete"}
    assert data.exams.num_rows == 2
    assert store.verify(study.store) == []
    assert any("must have the exam" in problem for problem in check(data, ended=True))
    play_to_the_end(dispatching(study))
    assert store.verify(study.store) == []


def heads(head: dict[str, Any]) -> Iterator[tuple[str, Callable[[dict[str, Any]], None]]]:
    """Yields changes of study.json: each field of the study changed and removed."""
    for name, value in head["study"].items():
        yield f"{name} changed", lambda h, n=name, v=value: h["study"].update({n: tampered(v)})
        yield f"{name} removed", lambda h, n=name: h["study"].pop(n)
    yield "budget.epochs", lambda h: h["study"]["budget"].update(epochs=48)
    yield "another metric", lambda h: h["study"].update(metric="loss")
    yield "no budget at all", lambda h: h["study"].update(budget=None)
    yield "methods that are none", lambda h: h["study"].update(methods="random")
    yield "a wider space", lambda h: h["study"]["space"]["learning_rate"].update(high=1.0)
    yield "other data", lambda h: h["study"]["data"].update(fail_share=0.0)
    yield "another digest", lambda h: h.update(digest="0" * 16)


def tampered(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return {"max": "min", "virtual": "arrival", "val_accuracy": "val_loss", "curves": "mlp"}.get(value, value + "x")
    if isinstance(value, list):
        return value[:-1] or [*value, 9]
    if isinstance(value, dict):
        return {**value, **{k: tampered(v) for k, v in list(value.items())[:1]}} or {"name": "x"}
    return 1 if value is None else None


# Fields on which no stored number depends: where and how a study is played and read, and what became of a default.
# Rows of methods and seeds that the study no longer names are kept by right, so that only a seal tells who left them out.
SETTINGS = {"resources", "store", "checkpoints_gb", "track", "final", "bounds", "difference", "methods", "seeds"}


@pytest.mark.parametrize("sealed", [True, False])
def test_every_change_of_the_head_is_named_or_refused_in_a_sentence(whole: tuple[str, StudyData], sealed: bool) -> None:
    uri, data = whole
    where, name, seal = place(uri), layout.head(data.name), layout.seal(data.name)
    before, kept = where.read(name), where.read(seal)
    assert before is not None
    assert kept is not None
    silent = set()
    for what, change in heads(json.loads(before)):
        head = json.loads(before)
        change(head)
        where.replace(name, json.dumps(head).encode())
        if not sealed:
            where.delete(seal)
        try:
            problems = store.verify(uri)
            problems += audit(store.read(uri))
        except store.StoreError as error:
            problems = [str(error)]
        finally:
            where.replace(name, before)
            where.replace(seal, kept)
        if not problems:
            silent.add(what)
        assert all("\n" not in text for text in problems)
    defaults = {
        f"{field} removed" for field in json.loads(before)["study"]
    }  # a default takes the place of an equal value
    assert silent <= (set() if sealed else {f"{field} changed" for field in SETTINGS} | defaults)


@pytest.mark.parametrize("what", ["budget", "metric", "text"])
def test_the_command_names_what_is_missing_and_shows_no_traceback(whole: tuple[str, StudyData], what: str) -> None:
    uri, data = whole
    where = place(uri)
    name = reader.files(where, data.name, "epochs")[0] if what == "text" else layout.head(data.name)
    before = where.read(name)
    assert before is not None
    if what == "text":
        at = data.epochs.column_names.index("val_accuracy")
        texts = pa.array(["high"] * data.epochs.num_rows)
        where.replace(name, to_bytes(data.epochs.set_column(at, "val_accuracy", texts)))
    else:
        head = json.loads(before)
        del head["study"][what]
        where.replace(name, json.dumps(head).encode())
    try:
        answer = hpo("verify", uri)
    finally:
        where.replace(name, before)
    assert answer.returncode == 1
    assert (
        f"has no {what!r}" if what != "text" else "has columns of other types and is skipped: val_accuracy"
    ) in answer.stdout
    assert "Traceback" not in answer.stderr


def test_a_study_that_goes_on_breaks_its_seal_and_is_sealed_again_when_it_ends(whole: tuple[str, StudyData]) -> None:
    uri, data = whole
    where, seal = place(uri), layout.seal(data.name)
    head = json.loads(where.read(layout.head(data.name)) or b"")
    opened = StudyWriter.open(
        uri, study=data.name, definition=data.definition, digest=head["digest"], environment={}, space_kinds={}
    )
    assert where.read(seal) is None
    opened.close(compact=True)
    assert where.read(seal) is not None
    assert store.verify(uri) == []
