"""The study: what is searched, with which methods, under which budget; its file, its space, its values.

Reads study files and facts about this machine; writes nothing. Knows no method, no store and no cluster.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_STUDY = "hpo.study.study"
_SECTIONS = "hpo.study.sections"
_PLACES = {
    **dict.fromkeys(("Study", "find", "presets"), _STUDY),
    **dict.fromkeys(("Budget", "Data", "Final", "Model", "Resources", "Section", "Stopping", "Track"), _SECTIONS),
    "StudyError": "hpo.errors",
}


def __getattr__(name: str) -> Any:
    """Returns a name of the module that `hpo.study` was up to version 0.1.0, so that old imports keep working.

    The import happens on demand: methods that need only the space do not wait for pydantic and YAML.
    """
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
