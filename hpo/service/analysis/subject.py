"""What an analysis is of: its ETag, which names everything that it depends on. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo import __version__
from hpo.service.context import Reading
from hpo.store.state import PLAYED


@dataclass(frozen=True)
class Subject:
    """An analysis of studies as they were read.

    etag: names it with the studies' contents. topic: the same without these, by which a later one takes an earlier one's
    place. changing: a study runs, so that the next reading will differ. states: what became of each study.
    """

    what: str
    options: Mapping[str, Any]
    names: tuple[str, ...]
    etag: str
    topic: str
    changing: bool
    states: Mapping[str, Mapping[str, Any]]


def subject(store: str, what: str, studies: Sequence[Reading], options: Mapping[str, Any] | None) -> Subject:
    """Returns the subject; options that are None are as if not given."""
    given = {name: value for name, value in sorted((options or {}).items()) if value is not None}
    names = tuple(reading.data.name for reading in studies)
    topic = [__version__, store, what, given, names]
    contents = [(reading.contents or reading.version, reading.state.word) for reading in studies]
    changing = any(reading.state.word in PLAYED for reading in studies)
    states = {reading.data.name: reading.state.to_json() for reading in studies}
    return Subject(what, given, names, _digest([topic, contents]), _digest(topic), changing, states)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
