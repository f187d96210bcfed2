"""The list of studies: filters, order, and pages that stay where they are when studies come and go. Pure."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from hpo.service.problems import Problem

if TYPE_CHECKING:
    from hpo.store.summary import Summary

Key = tuple[Any, str]  # what the order looks at, None last; then the study's name

ATTENTION = ("running", "starting", "queued", "no sign of life", "failed", "stopped", "complete")
SORTS: dict[str, Callable[[Summary], Any]] = {
    "name": lambda s: s.study,
    "state": lambda s: ATTENTION.index(s.state.word),
    "owner": lambda s: s.owner,
    "began": lambda s: s.began,
    "updated": lambda s: s.updated,
    "progress": lambda s: s.progress,
    "best": lambda s: s.best.value if s.best else None,
}


@dataclass(frozen=True)
class Asked:
    """What a list shows: `search` has words, all of which must occur; `state`, any of these; None filters nothing."""

    search: str = ""
    state: tuple[str, ...] = ()
    owner: str | None = None
    suite: str | None = None
    archived: bool = False
    sort: str = "-updated"
    limit: int = 50
    cursor: str | None = None


def listed(summaries: Sequence[Summary], asked: Asked) -> dict[str, Any]:
    """Returns a page of the studies. Raises Problem 422 for a cursor that is none of this order."""
    descending, by = asked.sort.startswith("-"), SORTS[asked.sort.removeprefix("-")]
    others = [one for one in summaries if _shown(one, asked)]
    found = [(_key(one, by), one) for one in others if not asked.state or one.state.word in asked.state]
    order = _order(descending)
    rank = cmp_to_key(order)
    found.sort(key=lambda pair: rank(pair[0]))
    rest = found
    if asked.cursor is not None:
        last = _read(asked.cursor, asked.sort)
        rest = [pair for pair in found if order(pair[0], last) > 0]
    page = rest[: asked.limit]
    more = len(rest) > len(page)
    return {
        "studies": [one.to_json() for _, one in page],
        "total": len(found),
        "next": _cursor(asked.sort, page[-1][0]) if more else None,
        "counts": dict(Counter(one.state.word for one in others)),
        "owners": sorted({one.owner for one in summaries if one.owner}),
        "suites": sorted({one.suite for one in summaries if one.suite}),
    }


def _shown(one: Summary, asked: Asked) -> bool:
    """Tells whether all filters but that of the state let a study through."""
    if one.archived != asked.archived:
        return False
    if (asked.owner is not None and one.owner != asked.owner) or (asked.suite is not None and one.suite != asked.suite):
        return False
    text = " ".join(filter(None, (one.study, one.suite, one.owner, one.task, one.trainable, one.metric, *one.methods)))
    return all(word in text.casefold() for word in asked.search.casefold().split())


def _key(one: Summary, by: Callable[[Summary], Any]) -> Key:
    return by(one), one.study


def _order(descending: bool) -> Callable[[Key, Key], int]:
    """Returns the comparison of two keys: nulls last either way, ties by name."""

    def order(a: Key, b: Key) -> int:
        (x, first), (y, second) = a, b
        if x != y and x is not None and y is not None:
            return -1 if (x > y) == descending else 1
        if (x is None) != (y is None):
            return 1 if x is None else -1
        return (first > second) - (first < second)

    return order


def _cursor(sort: str, key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, *key]).encode()).decode().rstrip("=")


def _read(cursor: str, sort: str) -> Key:
    """Returns the key of the last study of the page before."""
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        of, value, name = json.loads(content)
    except (ValueError, TypeError, RecursionError):
        raise Problem(
            422, "cursor must be the `next` of an answer, but it is none; leave it out to begin anew"
        ) from None
    text = sort.removeprefix("-") in ("name", "owner")
    fits = value is None or isinstance(value, str if text else int | float)
    if of != sort or not isinstance(name, str) or not fits:
        raise Problem(
            422, f"cursor must belong to the order {sort}, but it belongs to another; leave it out to begin anew"
        )
    return value, name
