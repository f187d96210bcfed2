"""What a study that comes from elsewhere may name: code, places to read, places to write. Follows links; opens no file.

A study's text is judged before anything of it is read or imported. Relative paths are those of the files that come with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from hpo.files import expanded
from hpo.study.messages import Located
from hpo.study.methods_file import Entry
from hpo.text import shown
from trainables import TRAINABLES

LIBRARIES = ("optunahub",)  # methods that load packages of others as they are asked to
CODE = "only a service that was started with --allow-code takes code"
WRITTEN = (("store",), ("track", "tensorboard"), ("track", "mlflow"))  # where a study writes


class Forbidden(Located):
    """What the service does not allow a study to name."""


@dataclass(frozen=True)
class Rules:
    """What studies may name besides what is always allowed: this project's trainables and methods, and the service's store.

    allow_code: any code. trainables: names, with * for any text. data_roots, stores: folders or addresses, and all below.
    """

    store: str
    allow_code: bool = False
    trainables: tuple[str, ...] = ()
    data_roots: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    sources: tuple[str, ...] = field(init=False)
    targets: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", (self.store, *self.stores))
        object.__setattr__(self, "sources", (*self.data_roots, *self.targets))

    def check(self, values: Mapping[str, Any]) -> Iterator[Forbidden]:
        """Yields all that the values of a study file name and may not."""
        yield from self._of_study(values, ())
        tasks = values.get("tasks")
        for task, changed in tasks.items() if isinstance(tasks, Mapping) else ():
            if isinstance(changed, Mapping):
                yield from self._of_study(changed, ("tasks", task))

    def knows(self, trainable: str) -> bool:
        """Tells whether a trainable is this project's, or one that the service was started for."""
        return trainable in TRAINABLES or any(fnmatchcase(trainable, known) for known in self.trainables)

    def _of_study(self, values: Mapping[str, Any], at: tuple[str | int, ...]) -> Iterator[Forbidden]:
        if not self.allow_code:
            yield from self._code(values, at)
        for location, text in _texts({key: value for key, value in values.items() if key != "tasks"}):
            allowed = self.targets if location[:2] in WRITTEN or location[:1] in WRITTEN else self.sources
            if why := _refused(text, allowed):
                yield Forbidden((*at, *location), f"{'.'.join(map(str, location))} {why}, but got {shown(text)}")

    def _code(self, values: Mapping[str, Any], at: tuple[str | int, ...]) -> Iterator[Forbidden]:
        trainable = values.get("trainable")
        if isinstance(trainable, str) and not self.knows(trainable):
            known = ", ".join([*TRAINABLES, *self.trainables])
            yield Forbidden(
                (*at, "trainable"),
                f"trainable must be one that this service allows ({known}), but got {shown(trainable)}",
            )
        model = values.get("model")
        if isinstance(model, Mapping) and model.get("hooks") is not None:
            yield Forbidden(
                (*at, "model", "hooks"), f"model.hooks must be left out, since {CODE}, but got {shown(model['hooks'])}"
            )
        methods = values.get("methods")
        for i, entry in enumerate(methods if isinstance(methods, list) else ()):
            for name in _methods(entry):
                if ":" in name or name in LIBRARIES:
                    yield Forbidden(
                        (*at, "methods", i),
                        f"a method must have a name that `hpo methods` lists, since {CODE}, but got {shown(name)}",
                    )


def below(text: str, root: str) -> bool:
    """Tells whether a path or an address is `root`, or lies below it; links of this machine's folders are followed."""
    if "://" in text or "://" in root:
        return "://" in text and (text.rstrip("/") + "/").startswith(root.rstrip("/") + "/")
    return _real(text).is_relative_to(_real(root))


def _real(path: str) -> Path:
    return expanded(path).resolve()


def outside(text: str) -> bool:
    """Tells whether a text, if it names a file, names one beyond the files that come with the study."""
    return text.startswith(("/", "~", "\\")) or "://" in text or ".." in PurePosixPath(text.replace("\\", "/")).parts


def _refused(text: str, allowed: Sequence[str]) -> str:
    """Returns what must hold for a text that names a place; nothing where it holds, or where the text names none."""
    if not outside(text):
        return ""
    if ".." in text.replace("\\", "/").split("/") or ("://" in text and any(mark in text for mark in "?#%\\")):
        return "must name a place without .., ?, # and %"
    if any(below(text, root) for root in allowed):
        return ""
    return f"must lie below one of the places that this service allows ({', '.join(allowed)})"


def _texts(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields every text of a study's values, with the keys that lead to it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*at, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _texts(inner, (*at, i))
    elif isinstance(value, str):
        yield at, value


def _methods(entry: Entry | Any) -> Iterator[str]:
    """Yields the names of a method and of the searcher that its options name."""
    name, options = next(iter(entry.items())) if isinstance(entry, Mapping) and entry else (entry, None)
    if isinstance(name, str):
        yield name
    chosen = options.get("searcher") if isinstance(options, Mapping) else None
    if isinstance(chosen, Mapping) and chosen:
        chosen = next(iter(chosen))
    if isinstance(chosen, str):
        yield chosen
