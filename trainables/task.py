"""The task of a study: the part that all its trials share, as a frozen value. Imports neither torch nor NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn

from hpo.text import nearest
from trainables.errors import BadTrainable


class Section(dict[str, Any]):
    """A section of a study file. It reads and serializes to JSON like a dictionary, but cannot be changed.

    Mappings inside are sections too; lists are copies.
    """

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__({name: _frozen(value) for name, value in dict(values).items()})

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a section of a task cannot be changed; copy it with dict(section)")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[Section], tuple[dict[str, Any]]]:
        return Section, (dict(self),)  # pickle would fill an empty section item by item


@dataclass(frozen=True, eq=False)
class Task(Mapping[str, Any]):
    """The part that all trials of a study share; `data` and `model` are the study file's sections of these names.

    It is a mapping too: `task["data"]` is `task.data`. Equal to any mapping with the same items.
    """

    trainable: str = ""
    data: Section = field(default_factory=Section)
    model: Section = field(default_factory=Section)
    fixed: Section = field(default_factory=Section)  # hyperparameters that are not searched; `config` has them too
    early_stopping: Section | None = None  # patience, metric, mode
    train_on: str | int | None = None  # in a final exam that trains on all training data "full", or on how many

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Task:
        """The task that `to_json` wrote. Missing parts are empty. Raises BadTrainable for an unknown part."""
        known = [part.name for part in fields(cls)]
        for name in values:
            if name not in known:
                raise BadTrainable(f"a task has the parts {', '.join(known)}, but got {name!r}; {nearest(name, known)}")
        stopping = values.get("early_stopping")
        return cls(
            values.get("trainable") or "",
            Section(values.get("data") or ()),
            Section(values.get("model") or ()),
            Section(values.get("fixed") or ()),
            None if stopping is None else Section(stopping),
            values.get("train_on"),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the parts by name; `train_on` only where it is set."""
        return dict(self)

    def __getitem__(self, name: str) -> Any:
        if name not in set(self):
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return (part.name for part in fields(self) if part.name != "train_on" or self.train_on is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Section(value)
    return [_frozen(item) for item in value] if isinstance(value, list | tuple) else value
