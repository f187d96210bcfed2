"""Filters, search and order of the trials table, as a query names them. Pure; Arrow's compute functions do the work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpo.service.answers.columns import Column, Trials
from hpo.service.problems import Problem
from hpo.text import nearest, shown

COMPARED = {"lt": pc.less, "le": pc.less_equal, "gt": pc.greater, "ge": pc.greater_equal}
OPERATORS = ("eq", "ne", *COMPARED, "in", "has")
FLAGS = {"true": True, "false": False}

Value = str | float | bool


@dataclass(frozen=True)
class Condition:
    """A filter: a column, an operator, a value as text."""

    column: Column
    operator: str
    value: str


def chosen(trials: Trials, where: Sequence[str], search: str, sort: str) -> pa.Table:
    """Returns the rows that meet every condition and contain the search text, in order. Raises Problem 422.

    `where`: COLUMN:OPERATOR:VALUE. `sort`: a column, after "-" for the largest first, several with commas; rows without
    a value come last. Rows that are equal in them keep their order.
    """
    table = trials.table
    masks = [_mask(table, _condition(trials, text)) for text in where]
    if search:
        masks.append(_found(trials, search))
    for mask in masks:
        table = table.filter(mask) if len(masks) == 1 else table
    if len(masks) > 1:
        whole = masks[0]
        for mask in masks[1:]:
            whole = pc.and_(whole, mask)
        table = table.filter(whole)
    return _ordered(trials, table, sort)


def _condition(trials: Trials, text: str) -> Condition:
    """Reads a condition; a column's name may hold colons."""
    for column in sorted(trials.columns, key=lambda column: -len(column.name)):
        if text.startswith(f"{column.name}:"):
            operator, colon, value = text[len(column.name) + 1 :].partition(":")
            if not colon or operator not in OPERATORS:
                raise Problem(
                    422, f"where must have one of {', '.join(OPERATORS)} as operator, but got {shown(operator)}"
                )
            return Condition(column, operator, value)
    name = text.partition(":")[0]
    raise Problem(
        422, f"where must begin with a column and a colon, but got {shown(text)}; {nearest(name, _names(trials))}"
    )


def _names(trials: Trials) -> list[str]:
    return [column.name for column in trials.columns]


def _mask(table: pa.Table, condition: Condition) -> pa.ChunkedArray:
    """Returns which rows meet the condition. An empty value means a cell that is empty."""
    column, operator, value = table[condition.column.name], condition.operator, condition.value
    if value == "" and operator in ("eq", "ne"):
        return pc.is_null(column) if operator == "eq" else pc.is_valid(column)
    if operator == "has":
        return pc.match_substring(_as_text(column), value, ignore_case=True).fill_null(False)
    if condition.column.kind in ("whole", "real"):
        column = column.cast(pa.float64())
    elif operator in COMPARED and condition.column.kind == "flag":
        raise Problem(422, f"{condition.column.name} is true or false, so it has no {operator}; use eq or ne")
    if operator == "in":
        wanted = pa.array([_value(condition, unquote(one)) for one in value.split(",")], type=column.type)
        return pc.is_in(column, value_set=wanted)
    given = pa.scalar(_value(condition, value), type=column.type)
    if operator == "ne":
        return pc.not_equal(column, given).fill_null(True)
    return COMPARED.get(operator, pc.equal)(column, given).fill_null(False)


def _value(condition: Condition, text: str) -> Value:
    kind = condition.column.kind
    if kind == "text":
        return text
    if kind == "flag":
        if text not in FLAGS:
            raise Problem(422, f"{condition.column.name} must be compared with true or false, but got {shown(text)}")
        return FLAGS[text]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise Problem(422, f"{condition.column.name} must be compared with a number, but got {shown(text)}")
    return number


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _found(trials: Trials, search: str) -> pa.ChunkedArray:
    """Returns which rows contain the text in a column of texts."""
    mask = pa.chunked_array([pa.array(np.zeros(trials.table.num_rows, dtype=bool))])
    for column in trials.columns:
        if column.kind == "text":
            hits = pc.match_substring(trials.table[column.name], search, ignore_case=True).fill_null(False)
            mask = pc.or_(mask, hits)
    return mask


def _ordered(trials: Trials, table: pa.Table, sort: str) -> pa.Table:
    keys = []
    for word in filter(None, sort.split(",")):
        name, descending = word.removeprefix("-"), word.startswith("-")
        if name not in _names(trials):
            raise Problem(422, f"sort must name a column, but got {shown(name)}; {nearest(name, _names(trials))}")
        keys.append((name, "descending" if descending else "ascending"))
    return table.take(pc.sort_indices(table, sort_keys=keys)) if keys else table
