"""What every store must do, be it a folder, moto's S3 or a real S3 server over HTTP."""

from __future__ import annotations

import json
import os
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stores
from stores import cells, charge, epoch, everything, key, open_writer

from hpo import store
from hpo.storage.place import place
from hpo.store import StoreError, compaction, delivery, layout, reader, schema, spool
from hpo.store.journal import figures
from hpo.store.lease import Lease
from hpo.store.parquet import to_bytes
from hpo.study.values import EpochRecord, Failure


@pytest.fixture(params=stores.PLACES)
def uri(request, tmp_path, monkeypatch):
    monkeypatch.setattr(delivery, "BATCH_SECONDS", 0.1)
    return stores.uri(request.param, tmp_path, monkeypatch)


def test_whole_tables_are_in_the_store_at_once_between_rows_and_after_another_writer(uri):
    from hpo.store.rows import epoch_row

    def table(number: int, value: float) -> pa.Table:
        record = EpochRecord(key(number).id, 1, {"val_accuracy": value}, 0.25)
        return schema.to_table("epochs", [epoch_row("s", key(number), record, stores.KINDS, 1.0)], stores.KINDS)

    def run(status: str) -> pa.Table:
        return schema.to_table("runs", [{"study": "s", "run": "random/0", "status": status}], {})

    writer = open_writer(uri)
    epoch(writer, 1, 1, 0.1)
    writer.add({"epochs": table(2, 0.2), "runs": run("partial")})
    assert (key(2).id, 1, 0) in cells(store.read(uri))
    writer.add({"epochs": table(2, 0.9), "runs": run("complete")})
    epoch(writer, 3, 1, 0.3)
    writer.close(compact=True)
    second = open_writer(uri)
    second.add({"epochs": table(4, 0.4)})
    second.close(compact=True)
    data = store.read(uri)
    assert cells(data) == sorted((key(n).id, 1, 0) for n in (1, 2, 3, 4))
    values = dict(zip(data.epochs["trial"].to_pylist(), data.epochs["val_accuracy"].to_pylist(), strict=True))
    assert values[key(2).id] == 0.2, "the first row written counts"
    assert data.runs["status"].to_pylist() == ["complete"]


def test_runs_that_a_later_writer_does_not_name_keep_their_rows(uri):
    def sitting(methods: list[str], seeds: list[int], status: str) -> None:
        named = [{"label": m, "name": m, "options": {}, "parallelism": 1} for m in methods]
        writer = open_writer(uri, methods=named, seeds=seeds)
        runs = [{"study": "s", "run": f"{m}/{s}", "method": m, "seed": s} for m in methods for s in seeds]
        trials = [{**run, "number": 0, "trial": key(i).id, "epochs": 1} for i, run in enumerate(runs)]
        writer.snapshot(trials, [{**run, "status": "partial"} for run in runs])
        writer.snapshot(trials, [{**run, "status": status} for run in runs])
        writer.close(compact=True)

    sitting(["grid", "random"], [0], "complete")
    sitting(["random"], [0, 1], "partial")
    sitting(["random"], [1], "complete")
    data = store.read(uri)
    told = {row["run"]: row["status"] for row in data.runs.to_pylist()}
    assert told == {"grid/0": "complete", "random/0": "partial", "random/1": "complete"}
    assert len(data.runs) == 3
    assert sorted(data.trials["run"].to_pylist()) == sorted(told)


def test_what_is_handed_over_is_read_back_with_its_types_and_meanings(uri):
    writer = open_writer(uri)
    trial = epoch(writer, 1, 1, 0.25, val_f1=float("nan"))
    charge(writer, 0, 1, 1, 0.25)
    writer.failure(Failure(key(2).id, 0, "the loss is nan", "diverged"))
    writer.exam(
        {
            "trial": trial,
            "exam": "winner",
            "seed": 3,
            "epoch": 1,
            "test_accuracy": 0.5,
            "confusion": [[1, 2], [3, 4]],
            "classes": ["cat", "dog"],
        }
    )
    row = {"study": "s", "run": "random/0", "method": "random", "seed": 0}
    writer.snapshot(
        [{**row, "number": 0, "trial": trial, "config_layers": 1, "epochs": 1}], [{**row, "status": "partial"}]
    )
    writer.flush()
    data = store.read(uri, "s")
    (first,) = data.epochs.to_pylist()
    assert {**first, "finished": 0, "val_f1": None} == {
        "study": "s", "trial": trial, "seed": 0, "max_epochs": 8, "config_learning_rate": 0.1, "config_layers": 1,
        "config_optimizer": "adam", "config_augment": False, "epoch": 1, "val_accuracy": 0.25, "loss": 0.75, "val_f1": None,
        "seconds": 0.25, "attempt": 0, "worker": "host:1", "ended": False, "finished": 0,
    }  # fmt: skip
    assert first["val_f1"] != first["val_f1"]
    assert data.charges.to_pylist()[0]["run"] == "random/0"
    assert data.failures.to_pylist() == [
        {"study": "s", "trial": key(2).id, "epoch": 0, "kind": "diverged", "reason": "the loss is nan"}
    ]
    assert json.loads(data.exams["confusion"][0].as_py()) == [[1, 2], [3, 4]]
    assert json.loads(data.exams["classes"][0].as_py()) == ["cat", "dog"]
    assert data.runs["status"].to_pylist() == ["partial"]
    assert data.trials["config_layers"].to_pylist() == [1]
    assert data.epochs.schema.field("seconds").metadata[b"unit"] == b"s"
    assert (data.definition["metric"], data.environment, data.warnings) == ("val_accuracy", {"python": "3"}, ())
    writer.close(compact=False)
    assert store.studies(uri) == ["s"]


def test_a_row_counts_once_however_often_it_is_written(uri):
    for session in range(3):
        writer = open_writer(uri)
        for number in range(2):
            epoch(writer, number, 1, 0.1 * session)
            charge(writer, number, number, 1, 0.1 * session)
        writer.flush()
        writer.close(compact=session == 1)
    data = store.read(uri)
    assert cells(data) == sorted((key(n).id, 1, 0) for n in range(2))
    assert data.epochs["val_accuracy"].to_pylist() == [0.0, 0.0]  # the first one written stays
    assert data.charges.num_rows == 2


def test_metrics_that_come_later_are_null_before(uri):
    writer = open_writer(uri)
    epoch(writer, 1, 1)
    writer.flush()
    epoch(writer, 1, 2, val_f1=0.5)
    writer.close(compact=True)
    assert store.read(uri).epochs["val_f1"].to_pylist() == [None, 0.5]


def test_compaction_makes_one_file_a_table_and_readers_see_every_row_once_all_the_while(uri):
    writer = open_writer(uri)
    for number in range(6):
        epoch(writer, number, 1)
        writer.flush()
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            seen.append(store.read(uri).epochs.num_rows)

    watcher = threading.Thread(target=look)
    watcher.start()
    writer.close(compact=True)
    over.set()
    watcher.join()
    assert set(seen) == {6}
    assert place(uri).names("s/epochs") == ["s/epochs/000001-whole.parquet"]
    assert store.read(uri).epochs.num_rows == 6


@pytest.mark.parametrize("compact", [False, True])
def test_a_store_without_leases_as_a_bundle_makes_it_is_continued_and_loses_nothing(uri, compact):
    def written(*numbers):
        writer = open_writer(uri)
        for number in numbers:
            epoch(writer, number, 1)
            charge(writer, number, number, 1)
            writer.flush()
        writer.close(compact=compact or numbers[0] == 0)

    written(0, 1, 2)
    for name in place(uri).names(layout.leases("s")):
        place(uri).delete(name)
    written(3, 4)
    assert [trial for trial, *_ in cells(store.read(uri))] == sorted(key(number).id for number in range(5))
    assert store.read(uri).charges.num_rows == 5
    first, *later = place(uri).names("s/epochs")
    assert (layout.is_whole(first), len(later)) == (True, 0 if compact else 2), "what was written last comes last"


def test_a_merged_file_of_somebody_else_stays_and_nothing_is_merged_over_it(uri):
    writer = open_writer(uri)
    for number in range(3):
        epoch(writer, number, 1)
        writer.flush()
    where = place(uri)
    where.create(layout.whole("s", "epochs", 1), where.read(where.names("s/epochs")[0]))
    writer.close(compact=True)
    assert len(where.names("s/epochs")) == 4
    assert store.read(uri).epochs.num_rows == 3


def test_a_compaction_that_was_cut_short_is_seen_by_nobody_and_finished_by_the_next_writer(uri, monkeypatch):
    writer = open_writer(uri)
    for number in range(3):
        epoch(writer, number, 1)
        writer.flush()
    where = place(uri)
    with monkeypatch.context() as patch:
        patch.setattr(type(where), "delete", lambda self, name: (_ for _ in ()).throw(StoreError("power is off")))
        writer.close(compact=True)
    assert len(where.names("s/epochs")) == 4
    assert store.read(uri).epochs.num_rows == 3
    open_writer(uri).close(compact=False)
    assert where.names("s/epochs") == ["s/epochs/000001-whole.parquet"]
    assert store.read(uri).epochs.num_rows == 3


@pytest.mark.parametrize(("events", "found"), [((), None), (("figures",), 2), (("figures", "interrupted"), None)])
def test_the_figures_that_the_last_driver_wrote_last_are_read_back(uri, events, found):
    for slots, written in ((1, ("figures", "done")), (2, events)):
        writer = open_writer(uri)
        with writer.journal() as journal:
            for event in written:
                journal.write(event, slots=slots)
        writer.close(compact=False)
    last = figures(place(uri), "s")
    assert (None if last is None else last["slots"]) == found


def test_what_workers_trained_on_outlives_its_writer_and_shows_where_they_differed(uri):
    writer = open_writer(uri)
    writer.note({"data_digest": ["ab"], "device": ["cpu"]})
    writer.close(compact=False)
    before = everything(uri)["s/study.json"]
    again = open_writer(uri)
    again.note({"data_digest": ["ab"]})
    again.close(compact=False)
    assert everything(uri)["s/study.json"] == before
    more = open_writer(uri, seeds=[0, 1])  # the same study with more seeds: a new head
    more.note({"data_digest": ["cd", "ab"]})
    more.close(compact=False)
    data = store.read(uri)
    assert data.definition["seeds"] == [0, 1]
    assert data.environment == {"python": "3", "trained_on": {"data_digest": ["ab", "cd"], "device": ["cpu"]}}


def test_another_study_of_the_same_name_is_refused_and_nothing_is_written(uri):
    writer = open_writer(uri)
    epoch(writer, 1, 1)
    writer.close(compact=False)
    before = everything(uri)
    with pytest.raises(StoreError, match=r"must hold one study of a name, but .* has another study 's'"):
        open_writer(uri, digest="another")
    assert everything(uri) == before
    assert len(place(uri).names("s/lease")) == 1


def test_of_two_studies_that_come_at_once_under_one_name_the_second_is_refused(uri, monkeypatch):
    take = Lease.take

    def after_another(where, study):
        """The store was empty when we looked; another driver writes its study before we have the lease."""
        monkeypatch.setattr(Lease, "take", take)
        first = open_writer(uri, digest="another", seeds=[7])
        epoch(first, 1, 1)
        first.close(compact=False)
        return take(where, study)

    monkeypatch.setattr(Lease, "take", after_another)
    with pytest.raises(StoreError, match=r"must hold one study of a name, but .* has another study 's'"):
        open_writer(uri)
    data = store.read(uri)
    assert (data.definition["seeds"], data.epochs.num_rows) == ([7], 1)
    open_writer(uri, digest="another", seeds=[7]).close(compact=False)  # the refused one holds no lease


def test_what_another_writer_noted_while_we_waited_for_the_lease_is_kept(uri, monkeypatch):
    take = Lease.take

    def after_another(where, study):
        monkeypatch.setattr(Lease, "take", take)
        first = open_writer(uri)
        first.note({"device": ["cpu"]})
        first.close(compact=False)
        return take(where, study)

    monkeypatch.setattr(Lease, "take", after_another)
    open_writer(uri, seeds=[0, 1]).close(compact=False)
    assert store.read(uri).environment["trained_on"] == {"device": ["cpu"]}


def test_a_store_from_a_newer_version_is_refused_and_nothing_is_written(uri, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(schema, "VERSION", schema.VERSION + 1)
        open_writer(uri).close(compact=False)
    before = everything(uri)
    for use in (lambda: store.read(uri), lambda: open_writer(uri)):
        with pytest.raises(
            StoreError, match=rf"a newer version wrote it with schema {schema.VERSION + 1}; upgrade hpo-arena"
        ):
            use()
    assert everything(uri) == before


def test_files_of_an_older_version_are_read_as_this_version_would_have_written_them(uri, monkeypatch):
    writer = open_writer(uri)
    epoch(writer, 1, 1)
    writer.close(compact=False)

    def upgrade(table, part):
        return part.rename_columns({"worker": "node"}) if table == "epochs" else part

    columns = {("node" if n == "worker" else n): v for n, v in schema._COLUMNS["epochs"].items()}
    monkeypatch.setitem(schema.UPGRADES, schema.VERSION, upgrade)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setitem(schema._COLUMNS, "epochs", {**columns, "loaded": (pa.float64(), "seconds spent on loading")})
    data = store.read(uri)
    assert data.epochs["node"].to_pylist() == ["host:1"]
    assert data.epochs["loaded"].to_pylist() == [None]
    assert data.warnings == ()


def test_a_store_of_the_first_version_is_read_and_continued(uri, monkeypatch):
    """There an exam was one a trial; a second run that won with the same trial at another epoch had none."""
    exam = {"exam": "winner", "seed": 0, "test_accuracy": 0.5}
    with monkeypatch.context() as patch:
        patch.setattr(schema, "VERSION", 1)
        patch.setitem(schema._KEYS, "exams", ("trial", "exam"))
        columns = {name: about for name, about in schema._COLUMNS["exams"].items() if name != "classes"}
        patch.setitem(schema._COLUMNS, "exams", columns)
        writer = open_writer(uri)
        trial = epoch(writer, 1, 1)
        writer.exam({**exam, "trial": trial, "epoch": 1})
        writer.close(compact=True)
    assert store.read(uri).exams["classes"].to_pylist() == [None]
    writer = open_writer(uri)
    writer.exam({**exam, "trial": trial, "epoch": 2})
    writer.close(compact=True)
    assert store.read(uri).exams["epoch"].to_pylist() == [1, 2]
    assert json.loads(place(uri).read("s/study.json"))["schema"] == schema.VERSION


@pytest.mark.parametrize("uri", stores.READERS, indirect=True)
@pytest.mark.parametrize("damage", ["torn", "empty", "text", "foreign", "newer", "types"])
def test_what_cannot_be_read_is_named_and_everything_else_is_read(uri, damage, monkeypatch):
    writer = open_writer(uri)
    epoch(writer, 1, 1)
    writer.close(compact=False)
    where, name = place(uri), layout.part("s", "epochs", "000001-zzzzzz-000007")
    good = where.read(where.names("s/epochs")[0])
    table = reader.rows(where, "s", "epochs").table
    foreign = pa.table({"epoch": [1], "trial": ["x"]})
    version = {schema.VERSION_KEY: b"%d" % (schema.VERSION + 1)}
    other = table.set_column(table.column_names.index("epoch"), "epoch", pa.array([["a list"]]))
    where.create(name, {
        "torn": good[: len(good) // 2], "empty": b"",
        "text": b"not a table", "foreign": to_bytes(foreign), "newer": to_bytes(table.replace_schema_metadata(version)),
        "types": to_bytes(other),
    }[damage])  # fmt: skip
    data = store.read(uri)
    assert data.epochs.num_rows == 1
    (warning,) = data.warnings
    assert name in warning
    assert store.verify(uri)[0].startswith("s: ")
    open_writer(uri).close(compact=True)  # leaves the file for somebody to look at
    assert name in where.names("s/epochs")
    assert store.read(uri).epochs.num_rows == 1


def test_a_byte_that_changed_anywhere_in_a_file_never_changes_what_is_read(tmp_path):
    writer = open_writer(str(tmp_path))
    for number in range(3):
        epoch(writer, number, 1, number / 10)
    writer.close(compact=False)
    where = place(str(tmp_path))
    (name,) = where.names("s/epochs")
    good, rows = where.read(name), store.read(str(tmp_path)).epochs.to_pylist()
    noticed = 0
    for at in range(0, len(good), 61):
        where.replace(name, good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :])
        data = store.read(str(tmp_path))
        assert data.warnings or data.epochs.to_pylist() == rows, f"byte {at}"
        assert not data.warnings or (name in data.warnings[0] and data.epochs.num_rows == 0)
        noticed += bool(data.warnings)
    assert noticed > len(good) / 61 / 2


def test_which_study_is_meant_must_be_clear(uri):
    with pytest.raises(StoreError, match=r"a store must hold a study, but there is none in .*; `hpo run STUDY --store"):
        store.read(uri)
    assert store.studies(uri) == []
    with pytest.raises(StoreError, match="has no 's'; there is none"):
        store.read(uri, "s")
    for name in ("s", "t"):
        open_writer(uri, study=name).close(compact=False)
    with pytest.raises(StoreError, match=r"--study must say which study of .*, since there are 2: s, t"):
        store.read(uri)
    with pytest.raises(StoreError, match="has no 'u'; there are: s, t"):
        store.read(uri, "u")
    for name in ("../s", "s/epochs", "", ".."):
        with pytest.raises(StoreError, match="a study's name must be letters"):
            store.read(uri, name)


def test_a_broken_head_is_named(uri):
    open_writer(uri).close(compact=False)
    place(uri).replace("s/study.json", b'{"schema": 1')
    with pytest.raises(StoreError, match=r"s/study.json must be a study's head, but it cannot be read; restore it"):
        store.read(uri)


def test_more_rows_than_the_writer_keeps_in_memory_are_read_back_from_its_spool(uri, monkeypatch):
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 5)
    writer = open_writer(uri)
    with writer.together():
        for number in range(1, 9):
            epoch(writer, number, 1)
    for number in range(1, 4):
        epoch(writer, number, 2)
    writer.flush()
    for number in range(1, 4):
        epoch(writer, number, 3)
    writer.close(compact=True)
    found = store.read(uri).epochs["epoch"].to_pylist()
    assert sorted(found) == [1] * 8 + [2] * 3 + [3] * 3


def test_a_batch_that_waited_while_others_wrote_does_not_displace_what_they_wrote(uri):
    writer = open_writer(uri)
    epoch(writer, 1, 1, 0.1)
    folder = writer._delivery.folder
    with writer._delivery._changed:  # the machine dies before a delivery
        (waiting,) = folder.glob("*.jsonl")
        line = waiting.read_bytes()
    writer.close(compact=False)
    where = place(uri)
    for name in where.names("s/epochs"):
        where.delete(name)
    for value in (0.2, 0.3):
        later = open_writer(uri)
        epoch(later, 1, 1, value)
        later.close(compact=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "000001-abcdef-000000.jsonl").write_bytes(line)
    open_writer(uri).close(compact=False)
    assert list(folder.glob("*.jsonl")) == []
    assert store.read(uri).epochs["val_accuracy"].to_pylist() == [0.2]


@pytest.mark.parametrize(("metrics", "message"), [({"epoch": 1.0}, "must not be named like a column"),
                                                  ({"config_x": 1.0}, "must not be named like a column"),
                                                  ({"f1": "high"}, "a metric must be a number, but f1 is 'high'")])  # fmt: skip
def test_a_metric_that_cannot_be_stored_is_refused_at_once(tmp_path, metrics, message):
    writer = open_writer(str(tmp_path))
    with pytest.raises(StoreError, match=message):
        writer.epoch(key(1), EpochRecord(key(1).id, 1, metrics, 0.25, 0, "host:1"))
    writer.close(compact=False)


def filesystem(uri):
    from pyarrow import fs

    if not uri.startswith("s3://"):
        return None, uri
    return fs.S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"]), uri.removeprefix("s3://")


@pytest.mark.parametrize("compact", [False, True])
def test_pyarrow_pandas_polars_and_duckdb_read_it_without_this_project(uri, compact):
    import duckdb
    import pandas
    import polars
    import pyarrow.dataset as ds

    writer = open_writer(uri)
    for number in range(3):
        epoch(writer, number, 1, number / 10)
        writer.flush()
        epoch(writer, number, 2, number / 10 + 0.05)
    writer.close(compact=compact)
    system, root = filesystem(uri)
    dataset = ds.dataset(f"{root}/s/epochs", filesystem=system, format="parquet")
    assert dataset.to_table(filter=ds.field("epoch") == 2).num_rows == 3
    assert pq.read_table(f"{root}/s/epochs", filesystem=system).num_rows == 6
    assert len(pandas.read_parquet(f"{root}/s/epochs", filesystem=system)) == 6
    assert polars.scan_pyarrow_dataset(dataset).filter(polars.col("epoch") == 1).collect().height == 3
    best = duckdb.sql("select max(val_accuracy) from dataset where config_optimizer = 'adam'").fetchall()
    assert best == [(pytest.approx(0.25),)]
    if system is None:
        assert polars.read_parquet(f"{uri}/s/epochs/*.parquet").height == 6
        assert duckdb.sql(f"select count(*) from '{uri}/s/epochs/*.parquet'").fetchall() == [(6,)]


@pytest.mark.parametrize("uri", stores.READERS, indirect=True)
@pytest.mark.parametrize("format", ["csv", "parquet", "json"])
def test_export_writes_every_table(uri, tmp_path, format):
    writer = open_writer(uri)
    epoch(writer, 1, 1, float("nan"))
    writer.close(compact=False)
    paths = store.export(uri, None, format, tmp_path / "out")
    assert sorted(path.name for path in paths) == sorted(f"{table}.{format}" for table in schema.TABLES)
    text = (tmp_path / "out" / f"epochs.{format}").read_bytes()
    assert key(1).id.encode() in text
    if format == "json":
        assert json.loads(text)["val_accuracy"] == "nan"
    with pytest.raises(StoreError, match="must be one of csv, parquet, json, but got 'xml'"):
        store.export(uri, None, "xml", tmp_path)


def test_compacting_twice_over_sessions_keeps_all_rows(uri):
    for session in range(3):
        writer = open_writer(uri)
        epoch(writer, session, 1)
        writer.flush()
        epoch(writer, session, 2)
        writer.close(compact=True)
        assert len(reader.files(place(uri), "s", "epochs")) == 1
        assert store.read(uri).epochs.num_rows == 2 * (session + 1)
    compaction.compact(place(uri), "s", 9)
    assert place(uri).names("s/epochs") == ["s/epochs/000003-whole.parquet"]
