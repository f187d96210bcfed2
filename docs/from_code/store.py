"""The tables of a store: from hpo.store.schema. Pure."""

from __future__ import annotations

from docs.from_code.tables import code, table
from hpo.store import schema

ABOUT = {
    "epochs": "A row is a trained epoch. Beside these columns: `config_NAME` for each hyperparameter, and each metric.",
    "charges": "A row is an epoch that was charged to a run.",
    "failures": "A row is a failed trial.",
    "run_failures": "A row is a failed trial as a run met it.",
    "trials": "A row is a trial of a run, as it stands. Beside these columns: `config_NAME` for each hyperparameter.",
    "runs": "A row is a run, as it stands.",
    "exams": "A row is one test of a winner. Beside these columns: each metric of the test.",
}


def tables() -> str:
    """Returns a section for each table: its columns with type, unit and meaning, and the key of its rows."""
    parts = [f"Schema version {schema.VERSION}."]
    for name in schema.TABLES:
        fields = schema.to_table(name, [], {}).schema
        rows = [(code(f.name), str(f.type), _told(f, b"unit"), _told(f, b"about")) for f in fields]
        key = ", ".join(map(code, schema.keys(name)))
        parts.append(f"### {name}\n\n{ABOUT[name]} Key: {key}.\n\n{table(('column', 'type', 'unit', 'meaning'), rows)}")
    return "\n\n".join(parts)


def _told(field: object, what: bytes) -> str:
    known = getattr(field, "metadata", None) or {}
    return str(known.get(what, b"").decode())
