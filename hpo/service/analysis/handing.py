"""Studies on their way to a process: their tables as Arrow files, which it maps into its memory instead of parsing them.

The process has exactly the reading that was asked about: the store itself may have gone on meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hpo.service.context import Reading
from hpo.store import StudyData, schema
from hpo.store.state import State

HEAD = ("name", "definition", "environment", "warnings", "digest")


def write(folder: Path, studies: Sequence[Reading]) -> None:
    """Writes the readings to a new folder."""
    folder.mkdir(parents=True)
    for number, reading in enumerate(studies):
        head = {**{name: getattr(reading.data, name) for name in HEAD}, "state": reading.state.to_json()}
        (folder / f"{number}.json").write_text(json.dumps(head))
        for table in schema.TABLES:
            rows = getattr(reading.data, table)
            with (
                pa.OSFile(str(folder / f"{number}-{table}.arrow"), "wb") as sink,
                pa.ipc.new_file(sink, rows.schema) as file,
            ):
                file.write_table(rows)


def read(folder: Path) -> tuple[list[StudyData], dict[str, State]]:
    """Returns the studies in the folder, and the state of each by its name."""
    heads = [json.loads((folder / f"{number}.json").read_text()) for number in range(len(list(folder.glob("*.json"))))]
    states = {head["name"]: State(**head.pop("state")) for head in heads}
    return [_study(folder, number, head) for number, head in enumerate(heads)], states


def _study(folder: Path, number: int, head: dict[str, Any]) -> StudyData:
    found = {
        table: pa.ipc.open_file(pa.memory_map(str(folder / f"{number}-{table}.arrow"))).read_all()
        for table in schema.TABLES
    }
    return StudyData(**{**head, "warnings": tuple(head["warnings"])}, **found)
