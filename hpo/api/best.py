"""A study's best trial: its configuration, its exam, and the weights that the exam kept. Reads the store only to load them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpo.errors import HpoError
from hpo.files import expanded
from hpo.storage.place import is_sealed, place
from hpo.store import StudyData, layout
from hpo.store import columns as stored

if TYPE_CHECKING:
    from torch import nn

    from hpo.results.values import RunSummary

NETWORKS = ("image_classifier",)  # the trainables that are networks


class NothingBest(HpoError):
    """A study without a value of its metric, a method that it does not have, or weights that nobody kept."""


@dataclass(frozen=True)
class Best:
    """The best epoch that a run was charged for: `value` is the study's metric there.

    `test`: the metrics of its final exam, None without one. `weights`: the archive with the trainable's state after that
    exam, a path or an S3 address; None where a store keeps none.
    """

    study: str
    method: str
    seed: int
    config: Mapping[str, Any]
    metric: str
    value: float
    trial: str
    epoch: int
    test: Mapping[str, float] | None
    weights: str | None
    store: str | None
    _exam: Mapping[str, Any] | None = field(repr=False)
    _definition: Mapping[str, Any] = field(repr=False)

    def load(self) -> Any:
        """Returns the trainable as its exam left it: `test()` gives the exam's result again.

        Needs what its training needed, such as the data. A trainable that was given as an object comes from the store: load
        only results that you trust. Raises NothingBest where no weights were kept.
        """
        from trainables import load
        from trainables.task import Task

        if self.weights is None or self._exam is None:
            raise NothingBest(
                f"the store must hold the weights of the best trial of {self.study}, but holds none: a run keeps them "
                "after the final exam of its winner"
            )
        from hpo.worker.checkpoints import Checkpoints

        folder, _, file = self.weights.rpartition("/")
        self._receive_code()
        task = {name: self._definition.get(name) for name in ("trainable", "data", "model", "fixed")}
        given = Task.from_json({**task, "early_stopping": self._stopping, **self._train_on})
        trainable = load(given.trainable)(
            {**given.fixed, **self.config}, task=given, seed=self._exam["seed"], max_epochs=self._exam["max_epochs"]
        )
        with Checkpoints(folder).opened(file.split("-")[0]) as found:
            for _, unpacked in found:
                trainable.load(unpacked)
                return trainable
        raise NothingBest(f"{self.weights} must be readable, but is not; run the study again to train it anew")

    def model(self) -> nn.Module:
        """Returns the network of an `image_classifier` with its trained weights, in evaluation mode.

        Raises NothingBest for another trainable, whose state `load` returns.
        """
        if self._definition.get("trainable") not in NETWORKS or self._definition.get("data", {}).get("folds"):
            raise NothingBest(
                f"model() needs a single network of {' or '.join(NETWORKS)}, but {self.study} trains "
                f"{self._definition.get('trainable')}; load() returns the trainable itself"
            )
        trained: nn.Module = self.load().models[0].tested_model()
        return trained

    def _receive_code(self) -> None:
        """Takes the code of a trainable that was given as an object, where this process does not have it."""
        from trainables import given

        name = given.of(str(self._definition.get("trainable")))
        if name and not given.known(name) and self.store is not None:
            content = place(self.store).read(layout.code(self.study, name.removeprefix(given.KIND)))
            given.receive({} if content is None else {name: content})

    @property
    def _stopping(self) -> dict[str, Any] | None:
        from hpo.study.sections import Stopping

        given = self._definition.get("early_stopping")
        return Stopping(**given).rule if given else None

    @property
    def _train_on(self) -> dict[str, Any]:
        final = self._definition.get("final") or {}
        retrained = self._exam is not None and self._exam["exam"] != "winner" and final.get("retrain") == "full"
        return {"train_on": final.get("train") or "full"} if retrained else {}

    def _repr_html_(self) -> str:
        from hpo.api.html import box, definitions

        rows = [
            ("method", f"{self.method}, seed {self.seed}"),
            (self.metric, f"{self.value:.6g} after epoch {self.epoch}"),
        ]
        rows += [
            (name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in self.config.items()
        ]
        rows += [(name, f"{value:.6g}") for name, value in (self.test or {}).items()]
        rows += [("weights", self.weights)] if self.weights else []
        return box(definitions(rows), title=f"{self.study}: the best trial")


def best_of(data: StudyData, runs: Sequence[RunSummary], method: str | None, store: str | None) -> Best:
    """Returns the best of all runs, or of a method's. `runs`: those of the study's comparison. Raises NothingBest."""
    known = list(dict.fromkeys(run.method for run in runs))
    if method is not None and method not in known:
        raise NothingBest(f"method must be one of {', '.join(known)}, but got {method!r}")
    sign = 1 if data.definition["mode"] == "max" else -1
    won = [(run, run.incumbent) for run in runs if run.incumbent is not None and method in (None, run.method)]
    if not won:
        whose = data.name if method is None else method
        raise NothingBest(f"no run of {whose} has a value of {data.definition['metric']} yet; run it, or go on with it")
    run, winner = max(won, key=lambda pair: sign * pair[1].value)
    exams = stored.exams(data, [(winner.trial, winner.epoch)])[winner.trial, winner.epoch]
    exam = {**exams[0], "max_epochs": _max_epochs(data, winner.trial, exams[0])} if exams else None
    return Best(
        study=data.name,
        method=run.method,
        seed=run.seed,
        config=winner.config,
        metric=str(data.definition["metric"]),
        value=winner.value,
        trial=winner.trial,
        epoch=winner.epoch,
        test=winner.test,
        weights=None if store is None or is_sealed(store) or exam is None else _weights(store, data.name, exam),
        store=store,
        _exam=exam,
        _definition=data.definition,
    )


def _max_epochs(data: StudyData, trial: str, exam: Mapping[str, Any]) -> int:
    """Returns the epochs that the rate schedule of the exam's training ran over."""
    rows = data.epochs.select(["trial", "max_epochs"]).to_pylist()
    return max(int(exam["epoch"]), *(int(row["max_epochs"]) for row in rows if row["trial"] == trial))


def _weights(store: str, study: str, exam: Mapping[str, Any]) -> str | None:
    """Returns where the state after the exam is, None where it is not there (any more)."""
    root = store.rstrip("/") if "://" in store else str(expanded(store))
    folder = layout.winners(f"{root}/{layout.checkpoints(study)}", exam["exam"])
    names = place(folder).beginning(f"{exam['trial']}-")
    return f"{folder}/{names[-1]}" if names else None
