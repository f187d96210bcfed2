"""What the driver tells a guest, and what a guest answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

Config = dict[str, Any]

FULL = "full"  # trains each suggestion to the end
STOPPING = "stopping"  # decides after each epoch whether a trial goes on
PROMOTING = "promoting"  # says how far to train a trial, pauses it there, and may resume it later


class Refused(Exception):
    """What a library cannot do: one sentence."""


@dataclass(frozen=True)
class Domain:
    """A hyperparameter: its `kind` is float, int or choice; `when`: the values of its parents for which it exists."""

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    options: tuple[Any, ...] = ()
    ordered: bool = False
    when: dict[str, list[Any]] = field(default_factory=dict)

    def exists(self, config: Config) -> bool:
        """Reports whether the hyperparameter exists in a configuration that holds those before it."""
        return all(
            any(same(config[parent], value) for value in values) if parent in config else False
            for parent, values in self.when.items()
        )

    @property
    def levels(self) -> list[Any]:
        """The values of a stepped range or a choice."""
        if self.kind == "choice":
            return list(self.options)
        step = self.step or 1
        count = int((self.high - self.low) / step * (1 + 1e-12) + 1e-9) + 1
        values = [self.low + step * k for k in range(count)]
        return [int(v) for v in values] if self.kind == "int" else values

    def index(self, value: Any) -> int:
        """Returns a value's place among the options of a choice, or the levels of a stepped range."""
        levels = self.levels
        if self.kind == "choice":
            return next(i for i, option in enumerate(levels) if same(option, value))
        return min(range(len(levels)), key=lambda i: abs(levels[i] - value))

    # For libraries that know plain ranges and words only: steps and choices among numbers are searched by their places
    # 0, 1, .., and other options are called `option 0`, `option 1`, ..

    @property
    def placed(self) -> list[Any]:
        """The values that are searched by their places, in order; none where it is the values themselves."""
        if self.kind == "choice":
            return sorted(self.options) if self.ordered else []
        return [] if self.step is None else self.levels

    @property
    def words(self) -> list[str]:
        """The options of a choice as words."""
        return [f"option {i}" for i in range(len(self.options))]

    def plain(self, value: Any) -> Any:
        """Returns a value as a place, a word or the number that it is."""
        if placed := self.placed:
            return min(range(len(placed)), key=lambda i: abs(placed[i] - value))
        return self.words[self.index(value)] if self.kind == "choice" else value

    def value(self, plain: Any) -> Any:
        """Returns the value that a place, a word or a number stands for."""
        if placed := self.placed:
            return placed[round(float(plain))]
        if self.kind == "choice":
            return self.options[self.words.index(str(plain))]
        return min(max(round(float(plain)), int(self.low)), int(self.high)) if self.kind == "int" else float(plain)


def same(a: Any, b: Any) -> bool:
    """Compares two values; unlike Python's `==`, `True` is not 1."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool) and isinstance(a, str) == isinstance(b, str)


@dataclass(frozen=True)
class Opening:
    """All that a library may know of a run. Values are oriented: larger is better. Parents come before their children.

    `prior`: earlier results as (configuration, epochs, best value).
    """

    name: str  # which of the library's methods; empty where none was named
    options: dict[str, Any]
    space: tuple[Domain, ...]
    max_epochs: int
    budget: int
    seed: int
    parallelism: int
    prior: tuple[tuple[Config, int, float], ...] = ()

    @classmethod
    def of(cls, told: dict[str, Any]) -> Opening:
        """Returns the opening that the driver told in JSON."""
        space = tuple(Domain(**{**d, "options": tuple(d.get("options", ()))}) for d in told["space"])
        prior = tuple((dict(config), epoch, value) for config, epoch, value in told.get("prior", ()))
        return cls(**{**told, "space": space, "prior": prior})

    def flat(self, library: str) -> tuple[Domain, ...]:
        """Returns the space; raises Refused if it has conditions, for a library that cannot express them."""
        child = next((domain for domain in self.space if domain.when), None)
        if child is not None:
            needs = " and ".join(f"{parent} in {values}" for parent, values in child.when.items())
            raise Refused(
                f"{library} knows no conditions, but {child.name} exists only where {needs}; with the option "
                "`flat: true` it searches all hyperparameters always, and those that do not exist are left out"
            )
        return self.space

    def no_options(self, library: str, known: tuple[str, ...] = ()) -> None:
        """Raises Refused for an option that is not among the `known` ones."""
        for option in self.options:
            if option not in known:
                raise Refused(f"{library} has no option {option!r}; it has {', '.join(known) or 'none'}")


@dataclass(frozen=True)
class Ask:
    """What to train: a new trial with its configuration, or one of before, up to epoch `to`.

    New trials are numbered in the order in which they are asked for.
    """

    trial: int
    to: int
    config: Config | None = None


class Driven(Protocol):
    """A library's method in one run."""

    kind: str
    deterministic: bool

    def ask(self) -> Ask | None:
        """Returns what to train; None for nothing now, or nothing more."""

    def take(self, trial: int, config: Config) -> None:
        """Learns that the trial just asked for is trained with another configuration."""

    def observe(self, trial: int, epoch: int, value: float) -> str:
        """Learns an epoch's value; returns continue, pause or stop (which only a stopping one's driver heeds)."""

    def pause(self, trial: int) -> None:
        """Learns that the trial waits, perhaps for good, because a schedule of the driver has paused it."""

    def close(self, trial: int) -> None:
        """Learns that the trial was stopped or trained to the end."""

    def fail(self, trial: int) -> None:
        """Learns that the trial failed."""


def keyword_arguments(owner: str, made: Any, given: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns `given` options of the callable `made`; raises Refused for one that it does not take.

    `without`: parameters that are not the user's.
    """
    import inspect

    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Refused(f"the options of {owner} must be given by name, but got {given!r}")
    parameters = inspect.signature(made).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(given)
    for option in given:
        if option not in parameters or option in without:
            known = [name for name in parameters if name not in (*without, "self")]
            raise Refused(f"{owner} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return dict(given)
