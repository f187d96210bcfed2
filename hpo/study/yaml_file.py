"""A YAML file and the line and column of each of its keys. Reads files; writes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from hpo.errors import StudyError
from hpo.text import cut, encodable, one_line, shown

BYTES = 1_000_000  # of a file
LONGEST = 400  # characters of the parser's words: it quotes a doubled key with its whole value
DEPTH = 20  # of mappings and lists in each other
NODES = 100_000  # with every alias in full
LARGEST = 2**63  # whole numbers are smaller, up to their sign: tables have 64 bits for them

Location = tuple[str | int, ...]


class Document:
    """A YAML 1.2 mapping read from a file, or from its `content`. Refuses duplicate keys; reads 1e-5 as a number.

    Refuses what YAML can say and no study means: tags, keys that are not single values, infinite and huge numbers, a
    nesting without end, aliases that expand beyond all bounds.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self.path, self._content = path, content
        self.root = self._parsed(self._text())
        if not isinstance(self.root, CommentedMap):
            kind = "nothing" if self.root is None else type(self.root).__name__
            raise self._error(0, 0, f"a study file must be a mapping of keys to values, but got {kind}")
        self.values: dict[str, Any] = _Plain(self).of(self.root)
        """The document as plain dictionaries, lists and scalars."""

    def place(self, location: Sequence[str | int]) -> str:
        """Returns `file:line:column` of the deepest part of `location` that the file contains."""
        node: Any = self.root
        mark = (0, 0)
        for part in location:
            if not isinstance(node, CommentedMap | CommentedSeq):
                break
            try:
                if isinstance(node, CommentedMap):
                    part = next(key for key in node if str(key) == str(part))  # a key may be a number in the file
                mark = (node.lc.key(part) if isinstance(node, CommentedMap) else node.lc.item(part)) or mark
                node = node[part]
            except (StopIteration, KeyError, IndexError, TypeError, AttributeError):
                break
        return f"{self.path}:{mark[0] + 1}:{mark[1] + 1}"

    def _error(self, line: int, column: int, message: str) -> StudyError:
        return StudyError(f"{self.path}:{line + 1}:{column + 1}: {message}")

    def _text(self) -> str:
        try:
            content = self.path.read_bytes() if self._content is None else self._content
        except FileNotFoundError:
            raise StudyError(
                f"a study file must exist, but there is no {self.path}; `hpo studies` lists the presets"
            ) from None
        except OSError as error:
            raise StudyError(f"a study file must be readable UTF-8 text, but {self.path} is not: {error}") from None
        if len(content) > BYTES:
            raise self._error(0, 0, f"a study file must have at most {BYTES:,} bytes, but has {len(content):,}")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            before = content[: error.start]
            column = len(before) - (before.rfind(b"\n") + 1)
            message = f"a study file must be readable UTF-8 text, but {self.path} is not: {error}"
            raise self._error(before.count(b"\n"), column, message) from None

    def _parsed(self, text: str) -> Any:
        must = "a study file must be valid YAML, but"
        try:
            self._check_depth(text)
            return YAML(typ="rt").load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            found = cut(" ".join(str(error.problem or error.context).split()), LONGEST)
            raise self._error(mark.line if mark else 0, mark.column if mark else 0, f"{must} {found}") from None
        except ReaderError as error:
            before = text[: error.position]
            found = f"it has the special character {shown(text[error.position : error.position + 1])}"
            raise self._error(before.count("\n"), len(before) - (before.rfind("\n") + 1), f"{must} {found}") from None
        except (YAMLError, RecursionError) as error:
            raise self._error(0, 0, f"{must} {one_line(error)}") from None
        except StudyError:
            raise
        except Exception as error:  # the parser's own mistakes: a date that is none, a key that cannot be hashed
            raise self._error(0, 0, f"{must} it cannot be read ({type(error).__name__}: {one_line(error)})") from None

    def _check_depth(self, text: str) -> None:
        """Raises StudyError, before anything is built, where mappings and lists are nested too deeply."""
        depth = 0
        for event in YAML(typ="rt").parse(text):
            kind = type(event).__name__
            depth += kind in ("MappingStartEvent", "SequenceStartEvent")
            depth -= kind in ("MappingEndEvent", "SequenceEndEvent")
            if depth > DEPTH:
                mark = event.start_mark
                message = f"mappings and lists must be nested at most {DEPTH} deep, but these are deeper"
                raise self._error(mark.line, mark.column, message)


class _Plain:
    """Turns a document's nodes into plain values. Raises StudyError, with its place, for a node that no study may have."""

    def __init__(self, document: Document) -> None:
        self._document, self._nodes = document, 0

    def of(self, node: Any, location: Location = ()) -> Any:
        self._nodes += 1
        if self._nodes > NODES:
            raise self._error(location, f"aliases must expand to at most {NODES:,} values, but these expand to more")
        if len(location) > DEPTH:
            raise self._error(location, f"mappings and lists must be nested at most {DEPTH} deep, but these are deeper")
        tag = getattr(getattr(node, "tag", None), "value", None)
        if tag is not None or isinstance(node, TaggedScalar):
            raise self._error(location, f"a value must be written without a tag, but got {shown(str(tag))}")
        if isinstance(node, dict):
            return {self._key(key, location): self.of(value, (*location, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [self.of(value, (*location, i)) for i, value in enumerate(node)]
        return self._scalar(node, location)

    def _key(self, key: Any, location: Location) -> str:
        if not isinstance(key, str | int | float | bool) and key is not None:
            raise self._error(location, f"a key must be a single value, but got {shown(key)}")
        if isinstance(key, str) and not key.strip():
            raise self._error((*location, key), f"a key must not be blank, but got {shown(str(key))}")
        return self._text(str(key), (*location, str(key)))

    def _scalar(self, node: Any, location: Location) -> Any:
        if isinstance(node, bool) or node is None:
            return node
        if isinstance(node, int):
            if not -LARGEST <= node < LARGEST:
                raise self._error(location, f"a whole number must fit into 64 bits, but got {shown(int(node))}")
            return int(node)
        if isinstance(node, float):
            if not math.isfinite(node):
                raise self._error(location, f"a number must be finite, but got {float(node)}")
            return float(node)
        if not isinstance(node, str | date):
            raise self._error(location, f"a value must be written without a tag, but got a {type(node).__name__}")
        return self._text(str(node), location)

    def _text(self, text: str, location: Location) -> str:
        """Returns text that tables and paths can hold: escapes can write what UTF-8 cannot encode, and NUL."""
        if encodable(text) != text or "\0" in text:
            raise self._error(
                location, f"text must be UTF-8 without NUL, but got {shown(text)}; write it without that escape"
            )
        return text

    def _error(self, location: Location, message: str) -> StudyError:
        return StudyError(f"{self._document.place(location)}: {message}")
