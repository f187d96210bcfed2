"""Text for messages and values for JSON: the nearest name, one line of an exception, durations. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_VARIABLE = re.compile(
    r"'[^']*'|\"[^\"]*\"|(?:/[\w.\-]+)+|0x[0-9a-f]+|\b[0-9a-f]{16}\b|[-+]?\d[\d.,]*(?:e[-+]?\d+)?", re.I
)


def nearest(name: str, valid: Iterable[str]) -> str:
    """Returns "did you mean 'X'?" if a valid name is close, else the list of all valid names."""
    names = list(valid)
    close = difflib.get_close_matches(str(name)[:200], names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"valid: {', '.join(names)}" if names else "there are none"


def meant(name: object, valid: Iterable[str], likeness: float = 0.6) -> str:
    """Returns "; did you mean 'X'?" if a valid name is close, else nothing: for messages that list all names already."""
    close = difflib.get_close_matches(str(name)[:200], list(valid), n=1, cutoff=likeness)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object, limit: int = 80) -> str:
    """Returns a value as messages quote it: its repr, cut in the middle to `limit` characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number with too many digits
        text = f"a {type(value).__name__}"
    return cut(text, limit)


def cut(text: str, limit: int) -> str:
    """Returns a text of at most `limit` characters: its middle is left out where it is longer."""
    half = (limit - 3) // 2
    return text if len(text) <= limit else f"{text[:half]}...{text[-half:]}"


def one_line(error: BaseException, limit: int = 200) -> str:
    """Returns the first line of an exception's message, at most `limit` characters; without a message, its class."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:limit]


def wording(reason: str) -> str:
    """Returns a reason without its numbers, paths and quoted names: what reasons of one kind have in common."""
    return _VARIABLE.sub("#", reason)


def encodable(text: str) -> str:
    r"""Returns text that UTF-8 can hold: bytes of a file's name that are none (lone surrogates) become \udcff and the like."""
    return text.encode("utf-8", "backslashreplace").decode()


def plain(value: Any) -> Any:
    """Converts to JSON values: tuples to lists, NaN and infinities to null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def clock(seconds: float) -> str:
    """Formats seconds as minutes and seconds, with hours if there are any: 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Formats seconds with three significant figures and a unit that keeps them short: 8.2 s, 12 min, 3.4 h, 2.1 d."""
    for limit, unit, size in ((100, "s", 1), (6000, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} d"
