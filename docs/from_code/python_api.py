"""The Python API's page: every public name with its signature and its docstring. Pure but for its imports."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from hpo.api.best import Best
from hpo.api.objective import space_of
from hpo.api.plan import Plan, SuitePlan
from hpo.api.plots import Plots
from hpo.api.replaying import ReplayResults, replay
from hpo.api.results import Results
from hpo.api.running import run
from hpo.api.space import Choice, Float, Int
from hpo.api.stores import Store, open_store
from hpo.api.study import Study
from hpo.api.suite import Suite, SuiteResults
from hpo.api.summaries import Comparison, Importance
from hpo.api.tables import Table
from hpo.client import Client, Job, ServedStudy, ServedSuite, Standing, connect

CLIENT = ("studies", "submit", "submit_suite", "check", "jobs", "job", "me", "chosen", "close")
STUDY = ("load", "check", "to_yaml", "stored_in", "digest", "definition")
NAMES: tuple[tuple[str, Any, tuple[str, ...] | None], ...] = (
    ("hpo.Study", Study, STUDY),
    ("hpo.Suite", Suite, ("load", "check", "stored_in")),
    ("hpo.Float", Float, ()),
    ("hpo.Int", Int, ()),
    ("hpo.Choice", Choice, ()),
    ("hpo.space_of", space_of, None),
    ("hpo.run", run, None),
    ("hpo.open", open_store, None),
    ("hpo.replay", replay, None),
    ("Store", Store, ()),
    ("hpo.Results", Results, None),
    ("ReplayResults", ReplayResults, ("answers",)),
    ("SuiteResults", SuiteResults, ("compare", "importance", "report")),
    ("Table", Table, None),
    ("Comparison", Comparison, ("verdict", "to_json", "render", "table", "pairs")),
    ("Importance", Importance, ("decided", "to_json", "render", "table")),
    ("Best", Best, None),
    ("Plots", Plots, None),
    ("Plan", Plan, ()),
    ("SuitePlan", SuitePlan, ()),
    ("hpo.connect", connect, None),
    ("Client", Client, CLIENT),
    ("ServedStudy", ServedStudy, None),
    ("ServedSuite", ServedSuite, ("results", "compare", "report", "bundle", "wait", "stop", "log")),
    ("Standing", Standing, ("over", "verdict")),
    ("Job", Job, ("log",)),
)
"""(name, object, members; None for all of its own): names with `hpo.` are imported from there, others are what they return."""


def reference() -> str:
    """Returns a section for each name."""
    return "\n\n".join("\n\n".join(_section(*entry)) for entry in NAMES)


def _section(name: str, value: Any, members: tuple[str, ...] | None) -> Iterator[str]:
    yield f"## {name}"
    called = inspect.isfunction(value) or value in (Study, Suite, Float, Int, Choice)
    if called:
        yield _code(name, value)
    yield _text(value)
    if value in (Study, Suite):
        yield _text(value.__init__)
    if inspect.isclass(value):
        kept = [m for m in vars(value) if m[0] != "_"] if members is None else members
        hidden = {f.name for f in fields(value)} if is_dataclass(value) else set()
        for member in kept:
            if member not in hidden or members:
                yield from _member(name.removeprefix("hpo."), value, member)


def _member(owner: str, kind: type, member: str) -> Iterator[str]:
    found = inspect.getattr_static(kind, member, None)
    plain = getattr(found, "__func__", getattr(found, "fget", getattr(found, "func", found)))
    own = owner if isinstance(found, classmethod) else owner.lower()
    yield f"### {owner}.{member}"
    if inspect.isfunction(found) or isinstance(found, classmethod):
        yield _code(f"{own}.{member}", plain)
    if text := _text(plain):
        yield text


def _code(name: str, value: Any) -> str:
    """Returns a signature, on several lines where it is long."""
    found = inspect.signature(value)
    shown = [
        p.replace(annotation=_bare(p.annotation)) for p in found.parameters.values() if p.name not in ("self", "cls")
    ]
    returned = "" if inspect.isclass(value) else f" -> {_bare(found.return_annotation)}"
    line = f"{name}{inspect.Signature(shown)}{returned}"
    if len(line) > 110:
        star = "    *,\n" if shown and shown[0].kind is inspect.Parameter.KEYWORD_ONLY else ""
        parts = []
        for i, parameter in enumerate(shown):
            first = i and parameter.kind is inspect.Parameter.KEYWORD_ONLY != shown[i - 1].kind
            parts += ["    *,"] if first else []
            parts.append(f"    {parameter},")
        line = f"{name}(\n{star}" + "\n".join(parts) + f"\n){returned}"
    return f"```text\n{line}\n```"


class _Bare(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _bare(annotation: Any) -> _Bare:
    """Returns an annotation without the modules of ours that its names come from."""
    return _Bare(re.sub(r"\b(?:domains|studies|hpo\.[\w.]+)\.", "", str(annotation)))


def _text(value: Any) -> str:
    return inspect.cleandoc(getattr(value, "__doc__", "") or "")
