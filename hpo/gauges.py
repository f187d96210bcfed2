"""A study's figures as Ray's own metrics. Imports ray when made."""

from __future__ import annotations

from typing import Any

from hpo.figures import Figures


class Gauges:
    """The study's figures as Ray's own metrics, which its Prometheus endpoint shows as ray_hpo_*."""

    def __init__(self, study: str) -> None:
        from ray.util.metrics import Gauge

        def gauge(name: str, about: str, *tags: str) -> Any:
            return Gauge(f"hpo_{name}", description=about, tag_keys=("study", *tags))

        self._study = study
        self._charged = gauge("charged_epochs", "epochs charged to a run", "run")
        self._trials = gauge("trials", "trials of all runs by state", "state")
        self._numbers = {
            "epochs_per_second": gauge("epochs_per_second", "epochs charged a second since the first"),
            "idle_share": gauge("idle_share", "share of the slots' time that was idle since the first epoch"),
            "slots": gauge("slots", "trials that fit the cluster at a time"),
            "busy": gauge("slots_busy", "slots that train"),
            "store_waiting": gauge("store_waiting", "rows that wait on their way to the store"),
        }

    def show(self, figures: Figures) -> None:
        study = {"study": self._study}
        for run, charged in figures.charged_epochs.items():
            self._charged.set(charged, {**study, "run": run})
        for state, count in figures.trials.items():
            self._trials.set(count, {**study, "state": state})
        for name, gauge in self._numbers.items():
            gauge.set(float(getattr(figures, name)), study)
