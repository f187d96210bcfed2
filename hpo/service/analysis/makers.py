"""What can be made of studies, and how. Runs in a process of its own; imports what draws and computes only there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.files import write_whole

if TYPE_CHECKING:
    from hpo.results.values import Comparison
    from hpo.store import StudyData
    from hpo.store.state import State

FIGURES = ("anytime", "curves", "parallel", "importance")
PICTURES = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class Asked:
    """What is asked for: the studies, the options, the store's address, which commands name, and the studies' states."""

    studies: Sequence[StudyData]
    options: Mapping[str, Any]
    store: str
    states: Mapping[str, State]


@dataclass(frozen=True)
class Kind:
    """A kind of analysis: its media type, its file's suffix, and what writes the file.

    `long`: it takes many seconds, so that others go first.
    """

    media: str
    suffix: str
    make: Callable[[Asked, Path], None]
    long: bool = False


def kind(what: str, options: Mapping[str, Any]) -> Kind:
    """Returns the kind of analysis. Raises KeyError for one that there is not."""
    if what == "figure":
        made = options["format"]
        return Kind(PICTURES[made], f".{made}", _figure)
    return KINDS[what]


def warm_up() -> None:
    """Imports what the makers need, and draws once: matplotlib then knows its fonts."""
    import tempfile

    from hpo.report import html, plots
    from hpo.results import compare, importance

    _ = html, compare, importance
    with tempfile.TemporaryDirectory() as folder:
        plots.save(plots.importance({"x": (0.5, 0.4, 0.6)}), Path(folder) / "x.svg")


def _written(text: Callable[[Asked], str], asked: Asked, path: Path) -> None:
    write_whole(path, text(asked).encode())


# -- the makers ---------------------------------------------------------------------------------------------------


def _compared(asked: Asked) -> Comparison:
    from hpo.results.compare import compare_many

    known = ("workers", "target", "difference")
    found = compare_many(asked.studies, **{name: asked.options[name] for name in known if name in asked.options})
    return replace(found, states=asked.states)


def _report(asked: Asked) -> str:
    from hpo.report.html import page, tasks_page
    from hpo.report.record_section import command_of
    from hpo.results.importance import importance_or_none

    found, studies = _compared(asked), asked.studies
    if len(studies) == 1:
        command = command_of(studies[0], asked.store)
        return page(studies[0], found, importance_or_none(studies[0], seed=0), command=command)
    importances = {data.name: one for data in studies if (one := importance_or_none(data, seed=0)) is not None}
    chosen = [word for data in studies for word in ("--study", data.name)]
    again = shlex.join(["hpo", "compare", asked.store, *chosen, "--format", "html"])
    return tasks_page(
        studies, found, importances, command="\n".join([*(command_of(one, asked.store) for one in studies), again])
    )


def _comparison(asked: Asked, format: str = "json") -> str:
    from hpo.report.comparison_tables import render_comparison

    return render_comparison(_compared(asked), format)


def _importance(asked: Asked) -> str:
    from hpo.report.importance_tables import render_importance
    from hpo.results.importance import importance

    return render_importance(importance(asked.studies[0], pairs=bool(asked.options.get("pairs", False))), "json")


def _figure(asked: Asked, path: Path) -> None:
    from hpo.api.results import Results
    from hpo.report.plots import save

    draw = getattr(Results(asked.studies[0]).plot, str(asked.options["name"]))
    save(draw(asked.options["method"]) if "method" in asked.options else draw(), path)


def _bundle(asked: Asked, path: Path) -> None:
    from hpo.bundle.make import make

    make(asked.store, str(asked.options.get("suite", asked.studies[0].name)), path)


KINDS = {
    "report": Kind("text/html; charset=utf-8", ".html", partial(_written, _report), long=True),
    "comparison": Kind("application/json", ".json", partial(_written, _comparison)),
    "importance": Kind("application/json", ".json", partial(_written, _importance)),
    "latex": Kind("application/x-tex", ".tex", partial(_written, partial(_comparison, format="latex"))),
    "bundle": Kind("application/gzip", ".tar.gz", _bundle, long=True),
}
