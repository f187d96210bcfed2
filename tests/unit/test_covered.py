"""The line on coverage that `make test` shows is what `make coverage` measured."""

from __future__ import annotations

import re

from tests.covered import RECORD, sentence


def test_the_line_names_both_shares_and_the_day() -> None:
    totals = {"num_statements": 40_000, "covered_lines": 37_000, "num_branches": 8_000, "covered_branches": 6_996}
    assert sentence(totals, "0.9.0", "2026-01-31") == (
        "coverage: the quick tests alone ran 92.5% of 40,000 lines and 87.5% of 8,000 branches"
        " (0.9.0, 2026-01-31; make coverage measures again)\n"
    )


def test_make_test_shows_one_line() -> None:
    assert re.fullmatch(r"coverage: .+\n", RECORD.read_text())
