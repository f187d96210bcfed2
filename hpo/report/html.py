"""The report: one HTML file that needs no network, made from a study's tables, comparison and importance.

Reads the template and the style sheet in `templates`; writes only the report's file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from hpo import __version__
from hpo.files import write_whole
from hpo.report import palette, tasks_section
from hpo.report.aggregate_section import aggregate_section
from hpo.report.comparison_section import anytime_section, comparison_section
from hpo.report.exam_section import exams
from hpo.report.importance_section import importance_section
from hpo.report.looks import method_looks
from hpo.report.objectives_section import objectives_section
from hpo.report.parts import Command, Section
from hpo.report.record_section import environment, ledger, repeat
from hpo.report.trials_section import failures, learning, tried
from hpo.results.standing import current
from hpo.results.verdict import lead
from hpo.store import StudyData
from hpo.store.columns import labels

if TYPE_CHECKING:
    from hpo.results.importance import Importance
    from hpo.results.values import Comparison

_TEMPLATES = resources.files("hpo.report") / "templates"


def write_html(
    data: StudyData, comparison: Comparison, importance: Importance | None, path: str | Path, *, command: str
) -> Path:
    """Writes the report, whole or not at all, and returns its path. `command`: the command that repeats the study."""
    path = Path(path)
    write_whole(path, page(data, comparison, importance, command=command).encode())
    return path


def page(data: StudyData, comparison: Comparison, importance: Importance | None, *, command: str) -> str:
    """Returns the report as HTML text."""
    data, looks = current(data), method_looks(comparison)
    sections: Sequence[Section] = [
        anytime_section(comparison, looks),
        comparison_section(comparison, looks),
        aggregate_section(comparison, looks),
        *objectives_section(comparison, looks, [data]),
        tried(data, looks, constrained=bool(comparison.constraints)),
        importance_section(data, importance, looks),
        learning(data, looks),
        exams(data, looks),
        failures(data),
        ledger(data),
        environment(data),
        repeat(data, command),
    ]
    return _render(title=data.name, verdict=lead(comparison), facts=facts(data), sections=sections, version=__version__)


def write_tasks(
    studies: Sequence[StudyData], comparison: Comparison, importances: Mapping[str, Importance], path: str | Path, *,
    command: str,
) -> Path:  # fmt: skip
    """Writes the report of several studies as tasks, whole or not at all, and returns its path."""
    path = Path(path)
    write_whole(path, tasks_page(studies, comparison, importances, command=command).encode())
    return path


def tasks_page(
    studies: Sequence[StudyData], comparison: Comparison, importances: Mapping[str, Importance], *, command: str
) -> str:
    """Returns the report of several studies as tasks as HTML text."""
    looks = method_looks(comparison)
    sections: Sequence[Section] = [
        tasks_section.anytime(comparison, looks),
        comparison_section(comparison, looks),
        aggregate_section(comparison, looks),
        *objectives_section(comparison, looks, studies),
        tasks_section.importance(importances),
        tasks_section.exams(studies),
        tasks_section.ledgers(studies),
        tasks_section.environments(studies),
        Section("repeat", "Repeat it", [Command(command)]),
    ]
    facts = [
        ("Tasks", str(len(studies))), ("Metric", f"{comparison.metric} ({comparison.mode})"),
        ("Methods", str(len(comparison.methods))), ("Runs", str(len(comparison.runs))),
    ]  # fmt: skip
    return _render(
        title=comparison.title,
        verdict=lead(comparison),
        facts=facts,
        sections=sections,
        version=__version__,
    )


def _size(budget: Mapping[str, Any]) -> str:
    return f"a cost of {budget['cost']:g}" if "cost" in budget else f"{budget.get('epochs', '?')} epochs"


def facts(data: StudyData) -> list[tuple[str, str]]:
    """Returns the study's task, metric, budget, methods, seeds and trials, in a few words each."""
    definition = data.definition
    budget, task = definition.get("budget", {}), definition.get("data", {}).get("name")
    model = definition.get("model", {}).get("name")
    per_trial = "per trial" if "cost" not in budget else "epochs per trial"
    found = [
        ("Task", " · ".join(str(part) for part in (task, model or definition.get("trainable")) if part)),
        ("Metric", f"{definition['metric']} ({definition['mode']})"),
        ("Budget per run", f"{_size(budget)}, at most {budget.get('max_epochs', '?')} {per_trial}"),
        ("Methods", str(len(labels(data.definition, data.runs)))),
        ("Seeds", str(len(definition.get("seeds", ())))),
        ("Trials", f"{pc.count_distinct(data.trials['trial']).as_py():,}"),
    ]
    return [(name, value) for name, value in found if value]


def _render(**values: Any) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False, keep_trailing_newline=True)
    template = environment.from_string((_TEMPLATES / "report.html.j2").read_text(encoding="utf-8"))
    css = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    return template.render(palette=Markup(palette.css()), css=Markup(css), **values)
