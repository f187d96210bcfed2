"""The study: what is searched, with which methods, under which budget; read from a study file and validated.

Reads study files; writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from hpo.errors import StudyError
from hpo.files import expanded, names_weights
from hpo.study import candidates
from hpo.study.difference import Difference
from hpo.study.finding import find, presets
from hpo.study.messages import LONGEST, Located, at, explain, first, one_sentence
from hpo.study.methods_file import MOST_WORKERS, chosen, parse_methods
from hpo.study.modes import Mode, mode_of, unknown
from hpo.study.sections import Budget, Data, Final, Model, Name, Resources, Section, Seed, Stopping, Track
from hpo.study.space import SearchSpace, Value
from hpo.study.space_file import check_name, kind_of, parse_space
from hpo.study.values import Method, TrialKey, digest
from hpo.study.yaml_file import Document
from hpo.text import cut, shown

__all__ = ["NAME", "Resources", "Study", "find", "presets"]

Scalar = bool | int | float | str

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of a study and of a suite: a folder of the store has it
OURS = ("image_classifier", "mlp")  # trainables of this project: only their data and model sections have a known form


class Study(Section):
    """A whole, valid study, built by `Study.load`. Two studies of one name share a store only if their digests agree."""

    study: Annotated[str, Field(pattern=NAME)]
    trainable: Name = "image_classifier"
    data: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    space_file: dict[str, Any] = Field(alias="space")
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    budget: Budget
    methods_file: list[str | dict[str, dict[str, Any] | str | None]] = Field(alias="methods", min_length=1)
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(default_factory=lambda: [0])
    parallelism: Annotated[int, Field(ge=1, le=MOST_WORKERS)] = 4
    clock: Literal["virtual", "cost", "arrival"] = "virtual"
    early_stopping: Stopping | None = None
    resources: Resources = Resources()
    metric: Name = "val_accuracy"
    mode: Mode
    bounds: list[float | None] | None = None  # of the metric; default: by its name
    difference: float | str | None = None  # the smallest that matters between methods: 0.005, or 1 %
    final: Final = Final()
    store: Name = "results"
    priority: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        default=1, exclude=True
    )  # its weight on a shared cluster
    owner: Name | None = Field(default=None, exclude=True)
    checkpoints_gb: Annotated[float, Field(gt=0)] = 20  # for all checkpoints of the study together
    track: Track = Track()
    start: list[dict[str, Scalar]] = Field(default_factory=list)
    prior: Name | None = None
    suite: Annotated[str, Field(pattern=NAME)] | None = None  # a store's studies of one suite are compared as tasks
    folder: Path = Field(default=Path(), exclude=True)
    _document: Document | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _oriented(cls, values: Any) -> Any:
        """Fills in the mode that the metric's name tells, so that the study and its definition always have one."""
        if not isinstance(values, Mapping) or values.get("mode") is not None:
            return values
        metric = values.get("metric", cls.model_fields["metric"].default)
        named = isinstance(metric, str) and metric.strip()
        mode = mode_of(metric) if named else "max"  # what is no name is refused as such
        if mode is None:
            raise Located(("metric",), unknown(metric))
        return {**values, "mode": mode}

    @model_validator(mode="before")
    @classmethod
    def _with_candidates(cls, values: Any) -> Any:
        """Reads the file of candidates, so that the study and its definition hold them themselves."""
        space = values.get("space") if isinstance(values, Mapping) else None
        if candidates.from_table(space):
            raise Located(("space",), candidates.UNKNOWN)
        if not isinstance(space, Mapping) or not isinstance(space.get(candidates.KEY), str):
            return values
        rows = candidates.read(space[candidates.KEY], Path(values.get("folder", "")))
        return {**values, "space": {**space, candidates.KEY: rows}}

    @field_validator("difference")
    @classmethod
    def _readable(cls, given: float | str | None) -> float | str | None:
        if given is not None:
            try:
                Difference.parse(given)
            except StudyError as error:
                raise ValueError(str(error)) from None
        return given

    @field_validator("bounds", mode="before")
    @classmethod
    def _bounds(cls, given: Any) -> Any:
        pair = given if isinstance(given, list | tuple) and len(given) == 2 else [given]
        numbers = [end for end in pair if isinstance(end, int | float) and not isinstance(end, bool)]
        known = len(numbers) + sum(end is None for end in pair) == 2 and all(map(math.isfinite, numbers))
        if given is not None and (not known or (len(numbers) == 2 and numbers[0] >= numbers[1])):
            raise ValueError(
                "bounds must be the metric's smallest and largest value, [LOW, HIGH], null for an open end, "
                f"but got {shown(given)}"
            )
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        if self.budget.epochs is not None and self.budget.max_epochs > self.budget.epochs:
            raise ValueError(
                f"budget.max_epochs <= budget.epochs must hold, but got (max_epochs={self.budget.max_epochs}, "
                f"epochs={self.budget.epochs}); otherwise no run could train a trial to the end"
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ, but got {shown(self.seeds)}")
        return self

    # -- loading --------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, source: str | Path, **changes: Any) -> Self:
        """Loads a study file or a preset; `changes` (store, seeds, methods, epochs, priority, min_workers) replace what it says.

        Raises StudyError: one sentence with file, line and column.
        """
        path, folder = find(source)
        return cls.of(Document(path), folder, **changes)

    @classmethod
    def of(cls, document: Document, folder: Path, **changes: Any) -> Self:
        """Returns the study of a document whose relative paths start at `folder`; `changes` and errors as for `load`."""
        values = document.values
        if "tasks" in values:
            raise StudyError(
                f"{document.place(('tasks',))}: a file with tasks is a suite, which `hpo check`, `run` and `replay` take, and "
                "hpo.Suite.load"
            )
        for key, value in changes.items():
            if value is not None and key == "epochs":
                if isinstance(budget := values.get("budget") or {}, dict):  # anything else is refused below
                    values["budget"] = {**budget, "cost" if "cost" in budget else "epochs": value}
            elif value is not None and key == "min_workers":
                if isinstance(given := values.get("resources") or {}, dict):
                    values["resources"] = {**given, "min_workers": value}
            elif value is not None and key == "methods":
                known = values.get("methods")
                values["methods"] = chosen(known if isinstance(known, list) else [], value)
            elif value is not None:
                values[key] = value
        with one_sentence(document, cls.model_fields):
            study = cls.model_validate({**values, "folder": folder})
            study._document = document
            study.validate_parts()
        return study

    def validate_parts(self) -> None:
        """Raises Located if the space, the methods' form, a start configuration, the data or the model is invalid."""
        space = self.space
        for name in self.fixed:
            check_name(name, "fixed")
            if name in space.domains:
                raise Located(
                    ("fixed", name),
                    f"a hyperparameter must be searched or fixed, but got {shown(name)} in space and in fixed",
                )
        self._validate_folds()
        for i, config in enumerate(self.start):
            with at("start", i):
                space.check(space.snap(config))
        _ = self.methods
        if self.trainable in OURS:
            _validate_part("data", Data, self.data)
            if self.model:
                _validate_part("model", Model, self.model)

    def _validate_folds(self) -> None:
        """Raises Located where no run could train a trial to the end, because each epoch is charged once for each fold."""
        folds, budget = self.data.get("folds"), self.budget
        if folds is None:
            return
        if isinstance(folds, bool) or not isinstance(folds, int) or folds < 1:
            raise Located(("data", "folds"), f"data.folds must be a whole number >= 1, but got {shown(folds)}")
        if budget.epochs is not None and budget.max_epochs * folds > budget.epochs:
            raise Located(
                ("data", "folds"),
                f"budget.max_epochs * data.folds <= budget.epochs must hold, but got (max_epochs={budget.max_epochs}, "
                f"folds={folds}, epochs={budget.epochs}); otherwise no run could train a trial to the end",
            )

    def changed(self, **values: Any) -> Self:
        """Returns the study with other values of these keys, which are taken as they are."""
        changed = self.model_copy(update=values)
        for name in set(vars(changed)) - set(type(self).model_fields):  # what was computed from the old values
            del vars(changed)[name]
        return changed

    def error(self, location: Sequence[str | int], message: str) -> StudyError:
        """Returns an error about the part of the study at `location`, with its place in the file."""
        message = cut(message, LONGEST)
        return StudyError(f"{self._document.place(location)}: {message}" if self._document else message)

    # -- the parts ------------------------------------------------------------------------------------------------

    @cached_property
    def space(self) -> SearchSpace:
        return parse_space(self.space_file)

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """The methods, each with a label of its own."""
        return parse_methods(self.methods_file)

    @property
    def folds(self) -> int:
        """The number of validation folds, and so of epochs that a run is charged for each epoch of a trial."""
        return int(self.data.get("folds") or 1)

    @cached_property
    def task(self) -> dict[str, Any]:
        """What all trials share and their curves depend on, as the trainable receives it; plain JSON values."""
        return {
            "trainable": self.trainable,
            "data": self.data,
            "model": self.model,
            "fixed": self.fixed,
            "early_stopping": self.early_stopping.rule if self.early_stopping else None,
        }

    def located(self) -> dict[str, Any]:
        """Returns the task with absolute paths; relative ones start at the study file's folder."""
        task = {**self.task, "data": dict(self.data), "model": dict(self.model)}
        for section, key in (("data", "root"), ("model", "weights")):
            value = task[section].get(key)
            if isinstance(value, str) and "://" not in value and (key == "root" or names_weights(value)):
                task[section][key] = str((self.folder / expanded(value)).resolve())
        return task

    @cached_property
    def task_digest(self) -> str:
        return digest([self.task, self.metric])

    def key(self, config: Mapping[str, Value], seed: int, max_epochs: int) -> TrialKey:
        """Returns the key of this study's trial of a configuration."""
        return TrialKey(self.task_digest, config, seed, max_epochs)

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The study with all defaults filled in, as plain JSON values: stores keep it, reports print it."""
        shown = self.model_dump(mode="json", by_alias=True, exclude={"suite"} if self.suite is None else None)
        shown["methods"] = [
            {
                "name": m.name,
                "label": m.label,
                "options": dict(m.options),
                "parallelism": m.parallelism or self.parallelism,
            }
            for m in self.methods
        ]
        return shown

    @cached_property
    def digest(self) -> str:
        """Digest of all that stored results depend on: task, space, budget, clock and the like.

        Methods and seeds are not part of it, so that they may be added to a store later.
        """
        fields = ("space", "parallelism", "clock", "metric", "mode", "budget", "start", "prior")
        return digest([self.task, {name: self.definition[name] for name in fields}])

    @property
    def kinds(self) -> dict[str, str]:
        """The type of each hyperparameter's column in the store: float, int, bool or str (mixed values become text)."""
        return {name: kind_of(domain) for name, domain in self.space.domains.items()}


def _validate_part(name: str, section: type[Section], given: Mapping[str, Any]) -> None:
    try:
        section.model_validate(given)
    except ValidationError as error:
        problem = first(error)
        raise Located((name, *problem["loc"]), explain(problem, section.model_fields, name)) from None
