"""The candidates of a study file's space: read from a table or given as a list, and the domains that their values span.

Reads files; writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.files import expanded
from hpo.study.domains import Choice, Domain, Float, Int, Value, same
from hpo.study.messages import Located
from hpo.text import nearest, one_line, shown

KEY = "candidates"
PREFIX = "config_"
LEVELS = 24  # numbers with at most so many different values are ordered levels; with more, a range
MAGNITUDES = 100.0  # positive ranges whose ends differ by this factor are searched by magnitude

FROM_TABLE = "from-table"  # as `space` or its candidates: the configurations that recorded curves have
UNKNOWN = (
    f"space: {FROM_TABLE} takes the candidates from recorded curves, which only `hpo replay --curves` has; to train, give "
    "their FILE or a list as space.candidates"
)

Row = dict[str, Value]


def from_table(space: Any) -> bool:
    """Whether a `space` section takes its candidates from recorded curves."""
    return FROM_TABLE in (space, space.get(KEY) if isinstance(space, Mapping) else None)


def read(given: str, folder: Path) -> list[dict[str, Any]]:
    """Returns the rows of a table of candidates: a CSV or Parquet file with a column a hyperparameter, or `config_NAME`.

    Where there are columns of the second kind, only they count, as in a table of epochs. Raises Located.
    """
    path = folder / expanded(given)
    if path.suffix not in (".csv", ".parquet"):
        raise Located(("space", KEY), f"{KEY} must be a list, or a .csv or .parquet file, but got {shown(given)}")
    if not path.is_file():
        raise Located(("space", KEY), f"{KEY} must be a file that exists, but there is no {path}")
    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            table = csv.read_csv(path)
        else:
            from pyarrow import parquet

            table = parquet.read_table(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are among them
        raise Located(("space", KEY), f"{KEY} must be a readable table, but {path} is not: {one_line(error)}") from None
    ours = [name for name in table.column_names if name.startswith(PREFIX)] or table.column_names
    rows = table.select(ours).to_pylist()
    return _each_once([{name.removeprefix(PREFIX): value for name, value in row.items()} for row in rows])


def _each_once(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(repr(row), row)
    return list(found.values())


def rows_of(given: Any) -> list[Row]:
    """Returns the list of a study file as rows, without the values that are null. Raises Located for what is no row."""
    if not isinstance(given, list) or not given:
        raise Located(("space", KEY), f"{KEY} must be a list of configurations, or a file, but got {shown(given)}")
    rows = []
    for i, row in enumerate(given):
        if not isinstance(row, Mapping):
            raise Located(("space", KEY, i), f"a candidate must map hyperparameters to values, but got {shown(row)}")
        for name, value in row.items():
            if not isinstance(value, bool | int | float | str | None):
                raise Located(
                    ("space", KEY, i, name),
                    f"a candidate's value must be a number, a text, true or false, but {name} is {shown(value)}",
                )
        rows.append({str(name): value for name, value in row.items() if value is not None})
    return rows


def domains_of(rows: Sequence[Row], given: Mapping[str, Domain]) -> dict[str, Domain]:
    """Returns the domains of all hyperparameters: those given, then those that the candidates' values span."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        **given,
        **{name: spanned([row[name] for row in rows if name in row]) for name in names if name not in given},
    }


def spanned(values: Sequence[Value]) -> Domain:
    """Returns the smallest domain of some values: ordered levels of few numbers, a range of many, a choice otherwise."""
    if any(isinstance(value, bool | str) for value in values):
        options: list[Value] = []
        for value in values:
            if not any(same(value, option) for option in options):
                options.append(value)
        return Choice(tuple(options))
    whole = all(isinstance(value, int) for value in values)
    numbers = sorted({int(value) if whole else float(value) for value in values})
    if len(numbers) <= LEVELS:
        return Choice(tuple(numbers))
    log = numbers[0] > 0 and numbers[-1] >= MAGNITUDES * numbers[0]
    return Int(int(numbers[0]), int(numbers[-1]), log) if whole else Float(float(numbers[0]), float(numbers[-1]), log)


def typed(row: Row, domains: Mapping[str, Domain], number: int) -> Row:
    """Returns a candidate with the values that its domains have: the option, the level or the number that it means.

    Raises Located for a name without a domain.
    """
    found: Row = {}
    for name, value in row.items():
        domain = domains.get(name)
        if domain is None:
            raise Located(("space", KEY, number, name), f"{name} is no hyperparameter; {nearest(name, domains)}")
        if isinstance(domain, Choice):
            value = next((option for option in domain.options if same(option, value)), value)
        elif isinstance(domain, Float) and isinstance(value, int) and not isinstance(value, bool):
            value = domain.snap(float(value))
        elif isinstance(domain, Float):
            value = domain.snap(value)
        found[name] = value
    return {name: found[name] for name in domains if name in found}
