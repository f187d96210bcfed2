"""The study: what is searched, with what, under which budget; read from a study file and validated. Reads files only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from hpo.errors import StudyError
from hpo.study.early_stopping import EarlyStopping
from hpo.study.space import SearchSpace, Value
from hpo.study.space_file import Located, at, kind_of, parse_space
from hpo.study.values import Method, TrialKey, digest
from hpo.study.yaml_file import Document
from hpo.text import nearest

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Scalar = bool | int | float | str


class Section(BaseModel):
    """A part of a study file: unknown keys are refused, nothing is coerced silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Budget(Section):
    """`epochs` a run is charged for; at most `max_epochs` a trial."""

    epochs: Positive
    max_epochs: Positive


class Stopping(Section):
    """Early stopping of every trial by its own curve."""

    patience: Positive
    metric: str = "val_loss"
    mode: Literal["min", "max"] | None = None

    @property
    def rule(self) -> EarlyStopping:
        lower = "loss" in self.metric or "error" in self.metric
        return EarlyStopping(self.patience, self.metric, self.mode or ("min" if lower else "max"))


class Resources(Section):
    """What one trial takes of a node. `gpus` may be a fraction (several trials a GPU) or whole (one trial on several)."""

    cpus: Annotated[float, Field(ge=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    pack: bool | None = None  # whether trials wait for room in their device's memory; by default where they share a GPU

    @property
    def packed(self) -> bool:
        """Whether trials are admitted by what their kind was measured to take."""
        return 0 < self.gpus < 1 if self.pack is None else self.pack

    @model_validator(mode="after")
    def _whole(self) -> Resources:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus must be at most 1 or a whole number, but got {self.gpus}")
        return self


class Track(Section):
    """Where curves are copied to while the study runs: a folder for TensorBoard, the URL of an MLflow server."""

    tensorboard: str | None = None
    mlflow: Annotated[str, Field(pattern="^https?://")] | None = None


class Final(Section):
    """The final exam of each run's winner: `retrain` it on all training data or not, then test it once."""

    retrain: Literal["none", "train", "full"] = "none"
    epochs: Positive | None = None
    seeds: Positive = 1


class Data(Section):
    """The data of an image or tabular task."""

    name: str
    root: str | None = None
    train: int | float | None = None
    validation: int | float | str | None = None
    test: int | float | str | None = None
    balanced: bool = False
    seed: int = 0
    download: bool = False
    augment: str | None = None
    class_weights: Literal["none", "log", "balanced"] | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    corrupt: Literal["refuse", "skip"] | None = None
    fit: Literal["squeeze", "crop"] | None = None


class Model(Section):
    """The backbone and its weights; further keys belong to the model (a vision transformer's patch size, say)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    name: str
    weights: str | None = None


class Study(Section):
    """A study, whole and valid. Built by `Study.load`; `digest` tells whether two studies may share a store."""

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    trainable: str = "image_classifier"
    data: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    space_file: dict[str, dict[str, Any]] = Field(alias="space")
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    budget: Budget
    methods_file: list[str | dict[str, dict[str, Any] | None]] = Field(alias="methods", min_length=1)
    seeds: Annotated[list[Count], Field(min_length=1)] = [0]
    parallelism: Positive = 4
    clock: Literal["virtual", "arrival"] = "virtual"
    early_stopping: Stopping | None = None
    resources: Resources = Resources()
    metric: str = "val_accuracy"
    mode: Literal["min", "max"] = "max"
    final: Final = Final()
    store: str = "results"
    checkpoints_gb: Annotated[float, Field(gt=0)] = 20  # the most that all checkpoints of the study may take
    track: Track = Track()
    start: list[dict[str, Scalar]] = Field(default_factory=list)
    prior: str | None = None
    folder: Path = Field(default=Path(), exclude=True)
    _document: Document | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        if self.budget.max_epochs > self.budget.epochs:
            raise ValueError(
                f"budget.max_epochs <= budget.epochs must hold, but got (max_epochs={self.budget.max_epochs}, "
                f"epochs={self.budget.epochs}); a run could not train one trial to the end"
            )
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ, but got {self.seeds}")
        both = sorted(set(self.fixed) & set(self.space_file))
        if both:
            raise ValueError(f"a hyperparameter must be searched or fixed, but got {both[0]!r} in space and in fixed")
        return self

    # -- reading --------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, source: str | Path, **changes: Any) -> Study:
        """The study of a file or a preset's name, `changes` (store, seeds, methods, epochs) laid over it.

        Raises StudyError: one sentence with file, line and column.
        """
        path, folder = find(source)
        document = Document(path)
        values = document.values
        for key, value in changes.items():
            if value is not None and key == "epochs":
                values["budget"] = {**(values.get("budget") or {}), "epochs": value}
            elif value is not None and key == "methods":
                values["methods"] = _chosen(values.get("methods") or [], value)
            elif value is not None:
                values[key] = value
        try:
            study = cls.model_validate({**values, "folder": folder})
            study._document = document
            study.validate_parts()
        except ValidationError as error:
            raise StudyError(_sentence(document, error)) from None
        except Located as error:
            raise StudyError(f"{document.place(error.location)}: {error}") from None
        return study

    def validate_parts(self) -> None:
        """Raises where the space, the methods' spelling, the start configurations or the data section cannot hold."""
        space = self.space
        for i, config in enumerate(self.start):
            with at("start", i):
                space.check(config)
        _ = self.methods
        if self.trainable in ("image_classifier", "mlp"):
            for name, section in (("data", Data), ("model", Model)):
                given = getattr(self, name)
                if name == "data" or given:
                    try:
                        section.model_validate(given)
                    except ValidationError as error:
                        problem = error.errors()[0]
                        raise Located((name, *problem["loc"]), _explain(problem, section.model_fields, name)) from None

    # -- what it says ---------------------------------------------------------------------------------------------

    @cached_property
    def space(self) -> SearchSpace:
        return parse_space(self.space_file)

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """The methods with unique labels; `label` and `parallelism` are read off their options."""
        methods: list[Method] = []
        for i, entry in enumerate(self.methods_file):
            if isinstance(entry, dict) and len(entry) != 1:
                raise Located(("methods", i), f"a method must be a name or one name with options, but got {entry}")
            name, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
            options = dict(options or {})
            label = str(options.pop("label", name))
            parallelism = options.pop("parallelism", None)
            if parallelism is not None and not (isinstance(parallelism, int) and parallelism >= 1):
                raise Located(
                    ("methods", i, name, "parallelism"), f"parallelism >= 1 must hold, but got {parallelism!r}"
                )
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+:-]*", label):
                raise Located(
                    ("methods", i), f"a method's label must be letters, digits and . _ + : -, but got {label!r}"
                )
            if any(other.label == label for other in methods):
                raise Located(
                    ("methods", i), f"methods must differ, but got {label!r} twice; give one of them a `label`"
                )
            methods.append(Method(name, label, options, parallelism))
        return tuple(methods)

    def error(self, location: Sequence[str | int], message: str) -> StudyError:
        """What cannot hold about the part of the study at `location`, with its place in the file."""
        return StudyError(f"{self._document.place(location)}: {message}" if self._document else message)

    @property
    def folds(self) -> int:
        """How many epochs one epoch is charged: one for each fold of the validation."""
        return int(self.data.get("folds") or 1)

    @cached_property
    def task(self) -> dict[str, Any]:
        """What every trial has in common and its curve depends on, as the trainable gets it; JSON-able."""
        stopping = self.early_stopping.rule if self.early_stopping else None
        return {
            "trainable": self.trainable,
            "data": self.data,
            "model": self.model,
            "fixed": self.fixed,
            "early_stopping": stopping
            and {"patience": stopping.patience, "metric": stopping.metric, "mode": stopping.mode},
        }

    def located(self) -> dict[str, Any]:
        """The task with paths that hold on this machine: relative ones start at the study file's folder."""
        task = {**self.task, "data": dict(self.data), "model": dict(self.model)}
        for section, key in (("data", "root"), ("model", "weights")):
            value = task[section].get(key)
            if isinstance(value, str) and "://" not in value and (key == "root" or "/" in value):
                task[section][key] = str((self.folder / value).resolve())
        return task

    @cached_property
    def task_digest(self) -> str:
        return digest([self.task, self.metric])

    def key(self, config: Mapping[str, Value], seed: int, max_epochs: int) -> TrialKey:
        """The trial of a configuration in this study."""
        return TrialKey(self.task_digest, config, seed, max_epochs)

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The resolved study as JSON: what the store keeps and reports print."""
        shown = self.model_dump(mode="json", by_alias=True)
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
        """Equal digests: the same task, space, budget and clock. Methods and seeds may be added to a store later."""
        fields = ("space", "parallelism", "clock", "metric", "mode", "budget", "start", "prior")
        return digest([self.task, {name: self.definition[name] for name in fields}])

    @property
    def kinds(self) -> dict[str, str]:
        """Each hyperparameter's type in the store's columns: float, int, bool or str (mixed values become text)."""
        return {name: kind_of(domain) for name, domain in self.space.domains.items()}


# -- where studies come from --------------------------------------------------------------------------------------


def presets() -> dict[str, Path]:
    """The studies that come with the package, by name."""
    folder = Path(str(resources.files("hpo.study"))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(source: str | Path) -> tuple[Path, Path]:
    """The file of a study and the folder its relative paths start at: its own, or for a preset the working folder."""
    path = Path(source)
    known = presets()
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path, path.parent
    if str(source) in known:
        return known[str(source)], Path()
    raise StudyError(f"STUDY must be a file or a preset, but got {str(source)!r}; {nearest(str(source), known)}")


def _chosen(entries: Sequence[Any], names: Iterable[str]) -> list[Any]:
    """The file's entries for the named methods; a name that the file does not have stands for the method as it is."""
    by_label: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, dict) and len(entry) == 1:
            name, options = next(iter(entry.items()))
            by_label[str((options or {}).get("label", name))] = entry
        else:
            by_label[str(entry)] = entry
    return [by_label.get(name, name) for name in names]


# -- messages -----------------------------------------------------------------------------------------------------


def _sentence(document: Document, error: ValidationError) -> str:
    """The first thing that is wrong, as one sentence with its place. A misspelt key comes before what it leaves missing."""
    problem = min(error.errors(), key=lambda p: p["type"] == "missing")
    location = [part for part in problem["loc"] if not (isinstance(part, str) and part in _UNION_PARTS)]
    fields: Mapping[str, Any] = Study.model_fields
    for part in location[:-1]:
        section = fields.get(str(part))
        annotation = getattr(section, "annotation", None)
        choices = [annotation, *getattr(annotation, "__args__", ())]
        fields = next((c.model_fields for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), {})
    return f"{document.place(location)}: {_explain(problem, fields, '.'.join(map(str, location[:-1])))}"


_UNION_PARTS = frozenset({"str", "int", "float", "bool", "dict[str,nullable[dict[str,any]]]"})


def _explain(problem: Any, fields: Mapping[str, Any], section: str) -> str:
    kind, got, context = problem["type"], problem.get("input"), problem.get("ctx") or {}
    name = ".".join(str(p) for p in problem["loc"]) or "the study"
    last = str(problem["loc"][-1]) if problem["loc"] else ""
    if kind == "extra_forbidden":
        valid = [f.alias or n for n, f in fields.items() if n != "folder"]
        return f"unknown key {last!r}{f' in {section}' if section else ''}; {nearest(last, valid)}"
    if kind == "missing":
        return f"{name} must be given, but it is missing"
    if kind in ("greater_than_equal", "greater_than"):
        sign, bound = (">=", context.get("ge")) if kind == "greater_than_equal" else (">", context.get("gt"))
        return f"{name} {sign} {bound} must hold, but got {got!r}"
    if kind == "value_error":
        return str(context.get("error", problem["msg"]))
    if kind == "string_pattern_mismatch":
        return f"{name} must be letters, digits, '.', '_' and '-', but got {got!r}"
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}, but got {got!r}"
