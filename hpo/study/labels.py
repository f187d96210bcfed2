"""Label selectors as Ray reads them: which values of a node's label a trial accepts. Pure.

A selector is a value, `in(a,b)`, or one of these with `!` before it. Ray compares the text between commas as it stands,
so that a blank after a comma would be part of the name: `tidy` takes blanks out.
"""

from __future__ import annotations

import re

from hpo.text import shown

_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_KEY = re.compile(rf"(?=.{{1,317}}\Z)(?:(?:{_PART})?(?:\.(?:{_PART})?)*/)?{_PART}")
_SELECTOR = re.compile(rf"!?(?:in\({_PART}(?:,{_PART})*\)|{_PART})")
FORM = "a value, in(a, b), or one of these after '!'"


def tidy(key: object, selector: object) -> str:
    """Returns the selector without blanks. Raises ValueError if the label's name or the selector is none that Ray knows."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(
            f"a label's name must be letters, digits, '.', '_' and '-', at most 63 of them, after PREFIX/ if it has one, "
            f"but got {shown(key)}{_quoted(key)}"
        )
    text = re.sub(r"\s", "", selector) if isinstance(selector, str) else None
    if text is None or not _SELECTOR.fullmatch(text):
        raise ValueError(f"the label {key} must be {FORM}, but got {shown(selector)}{_quoted(selector)}")
    return text


def _quoted(got: object) -> str:
    """Says what to do where braces in YAML have cut `in(a, b)` at its comma, or where a number stands for a name."""
    if isinstance(got, str) and (got.startswith(("in(", "!in(")) or got.endswith(")")):
        return '; in braces it needs quotes: {region: "in(a, b)"}'
    return "; quote it" if isinstance(got, bool | int | float) else ""
