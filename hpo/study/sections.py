"""The sections of a study file: budget, data, model, resources and the like, validated when they are built. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from hpo.study import accelerators
from hpo.study.amounts import COST, EPOCHS, MILLION, Unit
from hpo.study.labels import tidy
from hpo.study.modes import mode_of, unknown
from hpo.text import shown

Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]  # epochs fit into any table, and sums of them too
Seed = Annotated[int, Field(ge=0, le=1_000_000_000_000)]  # an exam's seed is some 10,000 times as large: 64 bits
Name = Annotated[str, Field(pattern=r"\S")]

LEAST_CPU = 0.0001  # for a trial that needs nothing: Ray has no empty requests, and no smaller share
OF_RAY = frozenset({"CPU", "GPU", "memory", "object_store_memory", "bundle"})
DEVICES = frozenset(
    {"neuron_cores", "TPU", "NPU", "HPU", "RBLN", "FURIOSA", "TTNPU", "MBLT"}
)  # counted by devices as GPUs


class Section(BaseModel):
    """A part of a study file: refuses unknown keys and converts no value silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Budget(Section):
    """The most epochs that a run (`epochs`) and a trial (`max_epochs`) may use.

    A run's budget may be a `cost` instead, in what the trainable's `epoch_cost` counts in.
    """

    epochs: Positive | None = None
    cost: Annotated[float, Field(ge=1 / MILLION, le=1_000_000_000)] | None = None
    max_epochs: Positive

    @model_validator(mode="after")
    def _one(self) -> Budget:
        if (self.epochs is None) == (self.cost is None):
            found = "neither" if self.cost is None else f"(epochs={self.epochs}, cost={self.cost:g})"
            raise ValueError(f"budget must have either epochs or cost, but got {found}")
        return self

    @model_serializer(mode="wrap")
    def _given(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what is not given, so that definitions of before stay what they were."""
        return {name: value for name, value in serialize(self).items() if value is not None}

    @property
    def unit(self) -> Unit:
        """What a run's budget counts."""
        return EPOCHS if self.cost is None else COST

    @property
    def amount(self) -> int:
        """A run's budget as a whole number of its unit's amounts."""
        return self.unit.amount((self.epochs or 0) if self.cost is None else self.cost)

    def of(self, size: float) -> Budget:
        """Returns this budget with another size for a run, in the same unit."""
        return Budget.model_validate({**self.model_dump(), self.unit.name: size})


class Stopping(Section):
    """Early stopping of every trial by its own curve."""

    patience: Positive
    metric: Name = "val_loss"
    mode: Literal["min", "max"] | None = None

    @model_validator(mode="after")
    def _oriented(self) -> Stopping:
        if (self.mode or mode_of(self.metric)) is None:
            raise ValueError(unknown(self.metric, "early_stopping.mode"))
        return self

    @property
    def rule(self) -> dict[str, Any]:
        """The rule as a task has it: patience, metric, mode."""
        return {"patience": self.patience, "metric": self.metric, "mode": self.mode or mode_of(self.metric)}


class Resources(Section):
    """What one trial takes of the cluster, and on which nodes.

    `gpus` is a fraction (several trials per GPU) or whole (several GPUs per trial). `memory_gb` and `custom` are taken
    where the trial's first process runs.
    """

    cpus: Annotated[float, Field(ge=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    accelerator: str | None = None  # the type of GPU, by Ray's name
    labels: dict[str, str] = Field(default_factory=dict)  # of the nodes: name -> Ray's label selector
    custom: dict[str, float] = Field(default_factory=dict)  # amounts of resources that the cluster's nodes declare
    # Trials at a time: those that the study gets first where studies share a cluster, and the most, up to which an
    # autoscaler is asked for nodes. They may change from one sitting to the next, so that they are not in the definition.
    min_workers: Annotated[int, Field(ge=0)] = Field(default=0, exclude=True)
    max_workers: Annotated[int, Field(ge=1)] | None = Field(default=None, exclude=True)
    pack: bool | None = None  # whether trials wait for room in device memory; by default only where they share a GPU

    @property
    def packed(self) -> bool:
        """Whether a trial starts only when the memory measured for its kind is free."""
        return 0 < self.gpus < 1 if self.pack is None else self.pack

    @property
    def ranks(self) -> int:
        """The processes that train a trial: one for each GPU where there are several."""
        return int(self.gpus) if self.gpus > 1 else 1

    @property
    def cpus_in_all(self) -> float:
        """The CPUs of a trial: each rank takes `cpus`, and the process that leads several of them one more."""
        return self.cpus if self.ranks == 1 else 1 + self.ranks * self.cpus

    @property
    def memory(self) -> int:
        """The memory of a trial in bytes; 0 where it requests none."""
        return int((self.memory_gb or 0) * 2**30)

    @property
    def bundles(self) -> tuple[dict[str, float], ...]:
        """What a trial asks Ray for: one bundle, or with several GPUs one for itself and one for each rank."""
        marked = {accelerators.resource(self.accelerator): accelerators.SHARE} if self.accelerator else {}
        alone = self.ranks == 1
        first = {"CPU": self.cpus if alone else 1.0, "memory": float(self.memory), **self.custom}
        if alone:
            first |= {"GPU": self.gpus, **marked}
        taken = {name: amount for name, amount in first.items() if amount} or {"CPU": LEAST_CPU}
        return (taken,) if alone else (taken, *({"GPU": 1.0, "CPU": self.cpus, **marked} for _ in range(self.ranks)))

    def __str__(self) -> str:
        gpus = f"{self.gpus:g} {self.accelerator or 'GPU'}"
        parts = [f"{self.memory_gb:g} GiB of memory"] if self.memory_gb else []
        parts += [f"{amount:g} {name}" for name, amount in self.custom.items()]
        nodes = ", ".join(f"{name}={selector}" for name, selector in self.labels.items())
        text = ", ".join([f"{self.cpus:g} CPU and {gpus} per trial", *parts])
        return f"{text}; on nodes with {nodes}" if nodes else text

    @field_validator("accelerator")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in accelerators.NAMES:
            raise ValueError(accelerators.unknown(name))
        return name

    @field_validator("labels", mode="before")
    @classmethod
    def _selectors(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {key: tidy(key, selector) for key, selector in given.items()}

    @field_validator("custom")
    @classmethod
    def _amounts(cls, given: dict[str, float]) -> dict[str, float]:
        for name, amount in given.items():
            if name in OF_RAY or "_group_" in name:
                raise ValueError(
                    f"custom must name resources that nodes declare, but {shown(name)} is one of Ray's own"
                )
            if amount < LEAST_CPU or (name in DEVICES and amount > 1 and amount != int(amount)):
                bounds = (
                    "at most 1 or a whole number" if name in DEVICES and amount > 1 else f"at least {LEAST_CPU:.4f}"
                )
                raise ValueError(f"custom.{name} must be {bounds}, but got {amount}")
        return given

    @model_validator(mode="after")
    def _whole(self) -> Resources:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus must be at most 1 or a whole number, but got {self.gpus}")
        if self.max_workers is not None and self.min_workers > self.max_workers:
            raise ValueError(
                f"min_workers <= max_workers must hold, but got (min_workers={self.min_workers}, "
                f"max_workers={self.max_workers})"
            )
        if self.accelerator and not self.gpus and not self.custom.keys() & DEVICES:
            raise ValueError(f"accelerator {self.accelerator} needs gpus above 0, but got {self.gpus:g}")
        return self


class Track(Section):
    """Where curves are copied while the study runs: a folder for TensorBoard, the URL of an MLflow server."""

    tensorboard: str | None = None
    mlflow: Annotated[str, Field(pattern="^https?://")] | None = None


class Final(Section):
    """The final exam of each run's winner: `retrain` it on all training data or not, then test it once.

    `train`: how many of all training images `retrain: full` takes, stratified; by default every one.
    """

    retrain: Literal["none", "train", "full"] = "none"
    train: Positive | None = None
    epochs: Positive | None = None
    seeds: Positive = 1

    @model_validator(mode="after")
    def _whole_set(self) -> Final:
        if self.train is not None and self.retrain != "full":
            raise ValueError(f"train needs `retrain: full`, but got (retrain={self.retrain}, train={self.train})")
        return self


class Data(Section):
    """The data of an image or tabular task."""

    name: Name
    root: Name | None = None
    train: int | float | None = None
    validation: int | float | str | None = None
    test: int | float | str | None = None
    balanced: bool = False
    seed: Seed = 0
    download: bool = False
    augment: str | None = None
    class_weights: Literal["none", "log", "balanced"] | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    corrupt: Literal["refuse", "skip"] | None = None
    fit: Literal["squeeze", "crop"] | None = None


class Model(Section):
    """The backbone and its weights; further keys belong to the model (a vision transformer's patch size, say)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    name: Name
    weights: Name | None = None
    hooks: Name | None = None
