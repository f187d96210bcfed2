"""Tables: the same content in five renderings, each readable by its program."""

from __future__ import annotations

import csv
import io
import math
from html.parser import HTMLParser

import pytest

from hpo.report.tables import Column, Table, UnknownFormat, number, p_value, render_tables
from hpo.text import duration

TABLE = Table(
    "Methods & runs",
    (Column("method", "method", "text"), Column("mean", "mean"), Column("95 % interval", "ci95", "interval"),
     Column("epochs", "epochs", "count"), Column("p", "p", "p")),
    (
        ("asha_50%", 0.91234567, (0.9, 0.92), 1600, 0.00001),
        ("<b>|pipe|</b>", math.nan, None, 400, None),
        ("loss", -0.5, (-0.75, math.nan), 0, 0.5),
    ),
    note="A note with 5 % & more.",
    strong=frozenset({0}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.91234567, "0.9123"), (0.0, "0"), (-0.5, "−0.5000"), (12.3456, "12.35"), (1234567.0, "1,234,567"),
     (0.0000123, "1.23e-05"), (math.inf, "inf")],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_a_reader_can_use(value, expected):
    assert number(value) == expected


def test_small_p_values_are_bounds_and_times_have_units():
    assert [p_value(p) for p in (0.00001, 0.0042, 0.25)] == ["< 0.0001", "0.0042", "0.250"]
    assert [duration(s) for s in (8.25, 100, 7200, 180000)] == ["8.25 s", "1.67 min", "2 h", "2.08 d"]


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="must have 1 cells, but got 2"):
        Table("t", (Column("a", "a"),), ((1, 2),))


def test_csv_keeps_every_digit_and_splits_intervals():
    rows = list(csv.DictReader(io.StringIO(render_tables([TABLE], "csv", lead="left out"))))
    assert float(rows[0]["mean"]) == 0.91234567
    assert (float(rows[0]["ci95_low"]), float(rows[0]["ci95_high"])) == (0.9, 0.92)
    assert rows[1]["method"] == "<b>|pipe|</b>"
    assert rows[1]["ci95_low"] == ""
    assert rows[1]["p"] == ""


def test_markdown_has_one_cell_a_column_in_every_row():
    lines = [line for line in render_tables([TABLE], "markdown", lead="Lead.").splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {len(TABLE.columns) + 1}
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: |"
    assert "**asha_50%**" in lines[2]


def test_latex_escapes_special_characters():
    text = render_tables([TABLE], "latex")
    assert r"\textbf{asha\_50\%} & " in text
    assert r"Methods \& runs" in text
    assert r"$<$ 0.0001" in text
    assert r"$-$0.5000" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert [line.count(" & ") for line in body] == [len(TABLE.columns) - 1] * 3
    assert all(line.endswith(r"\\") for line in body)


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_html_escapes_names_and_has_headings_for_rows_and_columns():
    parser = Cells()
    parser.feed(render_tables([TABLE], "html", lead="a < b"))
    assert "b" not in parser.tags
    assert "<b>|pipe|</b>" in parser.texts
    assert parser.tags.count("th") == len(TABLE.columns) + len(TABLE.rows)
    assert parser.tags.count("caption") == 1


WIDE = max(map(len, render_tables([TABLE], "table", width=200).splitlines()))


@pytest.mark.parametrize(("width", "pieces"), [(200, 1), (WIDE + 1, 1), (WIDE, 1), (WIDE - 1, 2), (36, 3)])
def test_no_cell_is_cut_in_a_terminal_of_any_width(width, pieces):
    text = render_tables([TABLE], "table", lead="Undecided.", width=width)
    assert text.startswith("Undecided.")
    for row in TABLE.texts():
        for cell in row:
            assert cell in text
    assert max(map(len, text.splitlines())) <= width
    assert text.count("<b>|pipe|</b>") == pieces


def test_the_error_for_an_unknown_format_lists_the_known_ones():
    with pytest.raises(UnknownFormat, match="one of table, json, csv, markdown, latex, html, but got 'xml'"):
        render_tables([TABLE], "xml")
