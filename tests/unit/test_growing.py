"""A study that is read again and again while it grows: every look is what one whole reading gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hpo.storage.place import place
from hpo.store import compaction, layout, read, schema
from hpo.store.growing import CHUNKS, GrowingStudy, NoStudy
from hpo.store.parquet import to_bytes
from tests import stores
from tests.stores import PLACES, charge, epoch, open_writer


@pytest.fixture(params=PLACES)
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return stores.uri(request.param, tmp_path, monkeypatch)


def same(uri: str, growing: GrowingStudy, study: str = "s") -> None:
    """Checks that the look gives what a whole reading does, byte for byte."""
    found, whole = growing.look().data, read(uri, study)
    for table in schema.TABLES:
        mine, theirs = getattr(found, table), getattr(whole, table)
        assert mine.equals(theirs, check_metadata=True), table
    assert (found.definition, found.warnings, found.digest) == (whole.definition, whole.warnings, whole.digest)


def test_every_look_at_a_growing_study_is_a_whole_reading(uri: str) -> None:
    with_metrics = [{}, {"f1": 0.5}, {"auc": 0.25}]
    writer = open_writer(uri)
    growing = GrowingStudy(place(uri), "s")
    same(uri, growing)
    for number in range(6):
        epoch(writer, number, 1, **with_metrics[number % 3])
        epoch(writer, number // 2, 2, attempt=number)  # trials go on, some after a fault
        charge(writer, number, number, 1)
        writer.snapshot([], [])
        writer.flush()
        same(uri, growing)
    writer.close(compact=False)
    writer = open_writer(uri)
    epoch(writer, 0, 3)
    writer.close(compact=True)  # a merged file takes the place of all others
    same(uri, growing)
    last = growing.look()
    assert growing.look() is last
    writer = open_writer(uri)
    assert growing.look().version != last.version
    epoch(writer, 0, 4)
    writer.close(compact=True)
    same(uri, growing)


def test_a_look_parses_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri)
    for number in range(3):
        epoch(writer, number, 1)
        writer.flush()
    where = place(uri)
    read_names: list[str] = []
    original = type(where).read

    def noted(self: object, name: str) -> bytes | None:
        read_names.append(name)
        return original(where, name)

    growing = GrowingStudy(where, "s")
    growing.look()
    monkeypatch.setattr(type(where), "read", noted)
    epoch(writer, 3, 1)
    writer.flush()
    read_names.clear()
    assert growing.look().data.epochs.num_rows == 4
    assert [layout.table_of(name) for name in read_names] == ["epochs"]
    writer.close(compact=True)
    growing.look()
    read_names.clear()
    growing.look()
    assert read_names == []


def test_rows_that_come_twice_count_once(tmp_path: Path) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri)
    epoch(writer, 0, 1, value=0.1)
    epoch(writer, 1, 1)
    writer.flush()
    growing = GrowingStudy(place(uri), "s")
    growing.look()
    part = read(uri, "s").epochs
    twice = schema.to_table("epochs", [*part.to_pylist(), {**part.to_pylist()[0], "epoch": 2}], stores.KINDS)
    place(uri).create(layout.part("s", "epochs", "000009-aaaaaa-000000"), to_bytes(twice))
    assert growing.look().data.epochs.num_rows == 3
    same(uri, growing)
    writer.close(compact=False)


def test_an_unreadable_file_is_a_warning_and_a_mended_one_is_read(tmp_path: Path) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri)
    epoch(writer, 0, 1)
    writer.flush()
    growing = GrowingStudy(place(uri), "s")
    growing.look()
    part = read(uri, "s").epochs
    name = layout.part("s", "epochs", "000009-aaaaaa-000000")
    place(uri).create(name, b"torn")
    same(uri, growing)
    assert len(growing.look().data.warnings) == 1
    place(uri).replace(name, to_bytes(schema.to_table("epochs", [{**part.to_pylist()[0], "epoch": 2}], stores.KINDS)))
    same(uri, growing)
    assert growing.look().data.warnings == ()
    worse = part.select(["trial"]).append_column("epoch", [["no number"]]).replace_schema_metadata(part.schema.metadata)
    place(uri).create(layout.part("s", "epochs", "000009-aaaaaa-000001"), to_bytes(worse))
    same(uri, growing)
    writer.close(compact=False)


def test_many_small_files_are_joined(tmp_path: Path) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri)
    epoch(writer, 0, 1)
    writer.flush()
    growing, part = GrowingStudy(place(uri), "s"), read(uri, "s").epochs.to_pylist()[0]
    for number in range(CHUNKS + 3):
        content = to_bytes(schema.to_table("epochs", [{**part, "epoch": 2 + number}], stores.KINDS))
        place(uri).create(layout.part("s", "epochs", f"000009-aaaaaa-{number:06d}"), content)
        growing.look()
    assert growing.look().data.epochs.column(0).num_chunks < 10
    same(uri, growing)
    writer.close(compact=False)


def test_another_study_of_the_same_name_takes_the_place_of_the_first(tmp_path: Path) -> None:
    uri = str(tmp_path)
    for number in (1, 2):
        writer = open_writer(uri, digest=f"d{number}")
        epoch(writer, number, 1)
        writer.close(compact=True)
        if number == 1:
            growing = GrowingStudy(place(uri), "s")
            first = growing.look()
            shutil.move(tmp_path / "s", tmp_path / "old")
            with pytest.raises(NoStudy):
                growing.look()
    assert growing.look().data.digest == "d2"
    assert growing.look().version != first.version
    same(uri, growing)


def test_a_compaction_that_was_interrupted_hides_no_row_and_shows_none_twice(tmp_path: Path) -> None:
    uri = str(tmp_path)
    writer = open_writer(uri)
    growing = GrowingStudy(place(uri), "s")
    for number in range(3):
        epoch(writer, number, 1)
        writer.flush()
        growing.look()
    where = place(uri)
    kept = {name: where.read(name) for name in where.names("s/epochs")}
    compaction.compact(where, "s", 1)
    for name, content in kept.items():
        where.create(name, content or b"")
        same(uri, growing)
    writer.close(compact=False)
