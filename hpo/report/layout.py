"""Sentences and rows of cells laid out for a terminal of some width: no word and no number is cut. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

GAP = 2  # spaces between columns
SENTENCE = 100  # most columns of a line of sentences
FIRST = (
    3  # a first column wider than the room divided by this goes on in further lines rather than crowd out the others
)


def wrapped(sentence: str, width: int) -> str:
    """Returns a sentence in lines of at most `width` columns, longer ones only for a longer word."""
    return "\n".join(_lines(sentence, min(width, SENTENCE)))


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], room: int) -> list[str]:
    """Returns the lines of a table [rows, columns] under its headings; numbers end where their column ends.

    Where it is wider than `room`, headings go on in further lines; if that is not enough, the table is cut into pieces of
    some columns, each with the first column, and texts that fill a piece go on in further lines.
    """
    widths = _widths(heads, rows, numeric, room)
    lines: list[str] = []
    for piece in _pieces(widths, room):
        rule = "─" * (sum(widths[i] for i in piece) + GAP * (len(piece) - 1))
        head = _row(heads, piece, widths, numeric, at_bottom=True)
        body = [line for row in rows for line in _row(row, piece, widths, numeric)]
        lines += [*([""] if lines else []), *head, rule, *body]
    return lines


def _widths(heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], room: int) -> list[int]:
    """Returns the columns' widths: what they need, less where headings and texts can go on in further lines."""
    columns = list(zip(*rows, strict=True)) or [()] * len(heads)
    cells = [max(map(len, column), default=0) for column in columns]
    widths = [max(len(head), cell) for head, cell in zip(heads, cells, strict=True)]
    least = [max(_longest_word(head), cell) for head, cell in zip(heads, cells, strict=True)]
    for i in sorted(range(len(widths)), key=lambda i: least[i] - widths[i]):  # those with most to give first
        widths[i] = max(least[i], widths[i] - max(0, _total(widths) - room))
    if _total(widths) <= room:
        return widths
    for i, column in enumerate(columns):
        if not numeric[i]:
            most = room - widths[0] - GAP if i else room // FIRST
            widths[i] = min(widths[i], max(most, *map(_longest_word, [heads[i], *column])))
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _pieces(widths: Sequence[int], room: int) -> list[list[int]]:
    """Returns the columns of each piece: the first column in every piece, the others in their order."""
    pieces = [[0]]
    for i in range(1, len(widths)):
        if len(pieces[-1]) > 1 and sum(widths[k] + GAP for k in pieces[-1]) + widths[i] > room:
            pieces.append([0])
        pieces[-1].append(i)
    return pieces


def _row(
    row: Sequence[str], piece: Sequence[int], widths: Sequence[int], numeric: Sequence[bool], *, at_bottom: bool = False
) -> list[str]:
    """Returns the lines of a row's columns; a shorter cell begins in its first line, or `at_bottom` ends in its last one."""
    texts = [_lines(row[i], widths[i]) if len(row[i]) > widths[i] else [row[i]] for i in piece]
    height = max(map(len, texts))
    filled = [[""] * (height - len(text)) + text if at_bottom else text + [""] * (height - len(text)) for text in texts]
    return [
        (" " * GAP)
        .join(
            cell.rjust(widths[i]) if numeric[i] else cell.ljust(widths[i]) for i, cell in zip(piece, line, strict=True)
        )
        .rstrip()
        for line in zip(*filled, strict=True)
    ]
