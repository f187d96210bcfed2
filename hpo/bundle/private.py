"""Keeps out of a bundle what is nobody's business: names of home folders, passwords and tokens, in texts and in tables.

What a study's identity depends on cannot be changed without renaming its trials. It is reported instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hpo.store.differences import FIXED

HOME = "~"
HIDDEN = "***"
SHORTEST = 8  # characters of a variable's value that is looked for: shorter ones are in any text

_HOMES = re.compile(r"(?<![\w.~-])/(?:home/[^/\s\"':,;]+|Users/[^/\s\"':,;]+|root)(?=[/\s\"':,;)\]]|$)")
_SECRETS = (
    re.compile(r"(?<=://)(?!\*\*\*@)[^/\s@]+(?=@)"),  # the user and the password of an address
    re.compile(r"(?i)(?<=bearer )[\w.~+/=-]{8,}"),
    re.compile(r"(?i)(?:(?<=password=)|(?<=passwd=)|(?<=secret=)|(?<=token=)|(?<=api_key=)|(?<=apikey=)|(?<=access_key=)"
               r"|(?<=--token )|(?<=--password )|(?<=--secret ))[^\s&'\"*]+"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bhf_\w{30,}|\bsk-[\w-]{20,}"),
)  # fmt: skip
_NAMED_SECRET = re.compile(r"(?i)(?:^|_)(?:token|secret|password|passwd|key|credentials?)s?(?:$|_)")
_NAMED_PLACE = re.compile(r"(?i)(?:path|file|dir|folder|url|id|mode)$")


@dataclass(frozen=True)
class Privacy:
    """What is looked for: names of home folders, and passwords, tokens and secret values of the environment."""

    homes: re.Pattern[str]
    secrets: tuple[re.Pattern[str], ...]

    @classmethod
    def here(cls) -> Privacy:
        """Returns what to look for on this machine: also this user's home, and the secrets of this environment."""
        own, homes = os.path.expanduser("~"), _HOMES
        if own not in ("", "/", "~") and not _HOMES.fullmatch(own):
            homes = re.compile(f"{_HOMES.pattern}|{re.escape(own)}(?=[/\\s\"':,;)\\]]|$)")
        known = [
            re.escape(value)
            for name, value in os.environ.items()
            if len(value) >= SHORTEST and _NAMED_SECRET.search(name) and not _NAMED_PLACE.search(name)
        ]
        return cls(homes, (*([re.compile("|".join(known))] if known else []), *_SECRETS))

    def cleaned(self, text: str) -> str:
        """Returns the text with `~` for home folders, and with `***` for passwords, tokens and secrets."""
        for pattern in self.secrets:
            text = pattern.sub(HIDDEN, text)
        return self.homes.sub(HOME, text)

    def reveals_home(self, text: str) -> bool:
        """Tells whether the text names somebody's home folder."""
        return self.homes.search(text) is not None

    def reveals_secret(self, text: str) -> bool:
        """Tells whether the text holds what looks like a password or a token."""
        return any(pattern.search(text) for pattern in self.secrets)

    def head(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a study's head, cleaned wherever no result depends on it."""
        depended = (*FIXED, "methods")
        study = {name: value if name in depended else self._tree(value) for name, value in found["study"].items()}
        kept = ("schema", "digest", "made", "methods")  # the methods' options decide; those that tell are reported
        return {name: value if name in kept else self._tree(value) for name, value in found.items()} | {"study": study}

    def table(self, part: pa.Table) -> pa.Table:
        """Returns a file of a table with its reasons cleaned; the same table if they are clean."""
        if "reason" not in part.column_names or not pa.types.is_string(part.schema.field("reason").type):
            return part
        before = part.column("reason").to_pylist()
        after = [None if reason is None else self.cleaned(reason) for reason in before]
        if after == before:
            return part
        place = part.column_names.index("reason")
        return part.set_column(place, part.schema.field(place), pa.array(after, pa.string()))

    def _tree(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): self._tree(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._tree(item) for item in value]
        return self.cleaned(value) if isinstance(value, str) else value


def texts(name: str, part: pa.Table) -> Iterator[tuple[str, str]]:
    """Yields (where, text) for each distinct text in a file of a table."""
    for column in part.column_names:
        if pa.types.is_string(part.schema.field(column).type):
            yield from ((f"{name}, {column}", text) for text in part.column(column).unique().to_pylist() if text)


def texts_of(tree: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yields (where, text) for each text in nested values; a place is named like study.data.root, or start.0."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from texts_of(value, f"{where}.{key}" if where else str(key))
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from texts_of(value, f"{where}.{i}")
    elif isinstance(tree, str):
        yield where, tree
