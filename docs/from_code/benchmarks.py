"""The public benchmarks: their files, sources, licences and citations. Pure."""

from __future__ import annotations

from docs.from_code.tables import code, table
from hpo.replay.sources.benchmarks import BENCHMARKS


def known() -> str:
    """Returns the table of benchmarks, and what to cite for each."""
    rows = [(code(one.name), one.about, one.files, one.where, one.licence) for one in BENCHMARKS.values()]
    head = ("name", "what it records", "PATH", "where it is from", "licence")
    cited = "\n".join(f"- {code(one.name)}: {one.citation}" for one in BENCHMARKS.values())
    return f"{table(head, rows)}\n\nWhoever publishes results on a benchmark cites it:\n\n{cited}"
