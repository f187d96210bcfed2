"""Records the coverage that `make coverage` measured, for `make test` to show: tracing all tests would double their time.

python tests/covered.py COVERAGE.json
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import hpo
from hpo.files import write_whole

RECORD = Path(__file__).with_name("covered.txt")


def sentence(totals: dict[str, float], version: str, day: str) -> str:
    """Returns the line for coverage.py's JSON totals."""
    lines, branches = int(totals["num_statements"]), int(totals["num_branches"])
    ran = totals["covered_lines"] / lines, totals["covered_branches"] / branches
    return (
        f"coverage: the quick tests alone ran {ran[0]:.1%} of {lines:,} lines and {ran[1]:.1%} of {branches:,} branches"
        f" ({version}, {day}; make coverage measures again)\n"
    )


if __name__ == "__main__":
    totals = json.loads(Path(sys.argv[1]).read_text())["totals"]
    text = sentence(totals, hpo.__version__, datetime.now(UTC).date().isoformat())
    write_whole(RECORD, text.encode())
    print(text, end="")
