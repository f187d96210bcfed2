"""A YAML file and the line and column of each of its keys. Reads files; writes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from hpo.errors import StudyError


class Document:
    """A YAML 1.2 mapping read from a file. Refuses duplicate keys; reads 1e-5 as a number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.root = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise StudyError(
                f"a study file must exist, but there is no {path}; `hpo studies` lists the presets"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(f"a study file must be readable UTF-8 text, but {path} is not: {error}") from None
        except MarkedYAMLError as error:
            mark = error.problem_mark
            place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
            raise StudyError(
                f"{place}: a study file must be valid YAML, but {' '.join(str(error.problem).split())}"
            ) from None
        except YAMLError as error:
            raise StudyError(f"{path}: a study file must be valid YAML, but {' '.join(str(error).split())}") from None
        if not isinstance(self.root, dict):
            raise StudyError(
                f"{path}: a study file must be a mapping of keys to values, but got {type(self.root).__name__}"
            )

    @property
    def values(self) -> dict[str, Any]:
        """The document as plain dictionaries, lists and scalars."""
        plain = _plain(self.root)
        assert isinstance(plain, dict)
        return plain

    def place(self, location: Sequence[str | int]) -> str:
        """Returns `file:line:column` of the deepest part of `location` that the file contains."""
        node: Any = self.root
        mark = (0, 0)
        for part in location:
            if not isinstance(node, (CommentedMap, CommentedSeq)):
                break
            try:
                mark = node.lc.key(part) if isinstance(node, dict) else node.lc.item(part)
                node = node[part]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return f"{self.path}:{mark[0] + 1}:{mark[1] + 1}"


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node) if math.isfinite(node) else str(node)
    return str(node)
