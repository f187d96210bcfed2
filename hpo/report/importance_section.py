"""The report's section on importance: which hyperparameters mattered, how, and which go together. Pure."""

from __future__ import annotations

from typing import Any

from hpo.report.parts import Section
from hpo.report.plots import Looks
from hpo.report.trials_section import marginals
from hpo.store import StudyData


def importance_section(data: StudyData, importance: Any, looks: Looks) -> Section:
    return Section("importance", "Importance", marginals(data, looks, {}))
