"""Compares derived files with those in a bundle: value by value, and number by number in a page's text. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from hpo.text import shown

CLOSE = 1e-9  # relative: sums may run in another order on another processor
TINY = 1e-12  # absolute, for what would be zero
MOST = 20  # differences of one file that are named
AROUND = 6  # words of a page that say where a difference lies
PROSE = (
    "verdict",
    "notes",
    "failure",
    "failed_exams",
    "summary",
)  # top-level keys whose wording another version may change

_NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Difference:
    """A place in a file and what it holds in the bundle and derived again."""

    where: str
    bundled: Any
    derived: Any

    def __str__(self) -> str:
        return f"{self.where} is {shown(self.bundled)} in the bundle, but {shown(self.derived)} follows from its tables"


def of_values(bundled: Any, derived: Any, *, same_version: bool, where: str = "") -> Iterator[Difference]:
    """Yields where nested values differ: numbers by more than `CLOSE`, anything else at all.

    Of another version's values, new keys and the wording of sentences do not count.
    """
    if isinstance(bundled, Mapping) and isinstance(derived, Mapping):
        more = () if not same_version else (key for key in derived if key not in bundled)
        for key in (*bundled, *more):
            place = f"{where}.{key}" if where else str(key)
            if same_version or where or key not in PROSE:
                pair = bundled.get(key, "nothing"), derived.get(key, "nothing")
                yield from of_values(*pair, same_version=same_version, where=place)
    elif isinstance(bundled, list) and isinstance(derived, list) and len(bundled) == len(derived):
        for i, (a, b) in enumerate(zip(bundled, derived, strict=True)):
            yield from of_values(a, b, same_version=same_version, where=f"{where}[{i}]")
    elif not _equal(bundled, derived):
        yield Difference(where or "it", bundled, derived)


def _equal(a: Any, b: Any) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=TINY) if numbers else a == b and type(a) is type(b)


# -- pages --------------------------------------------------------------------------------------------------------


def of_pages(bundled: str, derived: str, *, drawings: bool) -> Iterator[Difference]:
    """Yields where the visible texts of two pages differ, and with `drawings` also where their pictures do.

    A printed number, or a coordinate, may differ by one unit of its last digit: the value behind it may lie at a
    rounding's edge.
    """
    yield from _of_words(words(bundled), words(derived), "the text")
    if drawings:
        yield from _of_words(_marks(bundled), _marks(derived), "the drawing or style")


def _of_words(before: Sequence[str], after: Sequence[str], what: str) -> Iterator[Difference]:
    if len(before) == len(after):
        for i, (a, b) in enumerate(zip(before, after, strict=True)):
            if a != b and not _close_print(a, b):
                yield _difference(before, i, what, a, b)
        return
    i = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    yield _difference(before, i, what, " ".join(before[i : i + AROUND]), " ".join(after[i : i + AROUND]))


def _difference(before: Sequence[str], i: int, what: str, a: str, b: str) -> Difference:
    return Difference(f"after {' '.join(before[max(0, i - AROUND) : i])!r}, {what}", a, b)


def _marks(page: str) -> list[str]:
    """Returns the words inside a page's tags and styles: what places and colours all that a reader sees."""
    return " ".join([*re.findall(r"<[^>]*>", page), *re.findall(r"<style>(.*?)</style>", page, re.DOTALL)]).split()


def _close_print(a: str, b: str) -> bool:
    """Tells whether two words are numbers of one form that differ by at most one unit of the last digit."""
    if _NUMBER.sub("#", a) != _NUMBER.sub("#", b):
        return False
    for x, y in zip(_NUMBER.findall(a), _NUMBER.findall(b), strict=True):
        unit = max(_unit(x), _unit(y))
        if abs(_value(x) - _value(y)) > unit * 1.000001:
            return False
    return True


def _value(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def _unit(text: str) -> float:
    digits, _, power = text.partition("e")
    return float(10.0 ** (int(power or 0) - len(digits.partition(".")[2])))


def words(page: str) -> list[str]:
    """Returns the words of a page that a reader can see, also those in its pictures."""
    reader = _Visible()
    reader.feed(page)
    return " ".join(reader.found).split()


class _Visible(HTMLParser):
    """Collects the text of a page outside its styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data)
