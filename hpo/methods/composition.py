"""Methods by composition: a schedule and a searcher, named in one table or by "module:Class". Pure but for imports."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hpo.methods.options import nearest
from hpo.methods.protocol import InvalidOption, Schedule, Searcher, Setting


def _searchers() -> Any:
    """The table of searchers, imported when a method is built: the arena needs the protocol alone."""
    return importlib.import_module("hpo.methods.searchers")


def load(path: str) -> Callable[..., Any]:
    """What "module:Class" names. Raises InvalidOption where there is no such thing."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidOption(
            f"{path!r} must name a class as module:Class, but it cannot be imported: {error}"
        ) from error
    if not callable(found):
        raise InvalidOption(f"{path!r} must name a class or a function, but it is {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def keywords(factory: Callable[..., Any], beyond: int) -> tuple[str, ...] | None:
    """The names of a factory's options: its parameters after the first `beyond`; None where it takes any."""
    parameters = list(inspect.signature(factory).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return tuple(p.name for p in parameters[beyond:] if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD))


@dataclass(frozen=True)
class Composition:
    """A method of the table: `schedule` is "module:Class"; with `searcher` None, its option `searcher` chooses one.

    Called as a factory: composition(setting, **options). Options that the schedule does not know are its fixed
    searcher's; a chosen searcher has its options with its name: `searcher: {bayesian: {acquisition: ucb}}`.
    """

    name: str
    about: str
    schedule: str
    searcher: str | None = None
    default: str = "random"  # the searcher where none is chosen

    def options(self) -> tuple[str, ...]:
        """The names of all options."""
        own = keywords(load(self.schedule), 2) or ()
        if self.searcher is None:
            return (*own, "searcher")
        return (*own, *(searcher_options(self.searcher) or ()))

    def __call__(self, setting: Setting, **options: Any) -> Schedule:
        factory = load(self.schedule)
        own = keywords(factory, 2) or ()
        mine = {name: value for name, value in options.items() if name in own}
        rest = {name: value for name, value in options.items() if name not in own}
        if self.searcher is None:
            chosen = rest.pop("searcher", self.default)
            if rest:
                raise unknown_option(self.name, next(iter(rest)), self.options())
            searcher = chosen_searcher(self.name, chosen, setting)
        else:
            known = searcher_options(self.searcher)
            for name in rest:
                if known is not None and name not in known:
                    raise unknown_option(self.name, name, self.options())
            searcher = _searchers().build_searcher(self.searcher, setting, **rest)
        return factory(setting, searcher, **mine)  # type: ignore[no-any-return]


def unknown_option(method: str, name: str, known: tuple[str, ...]) -> InvalidOption:
    return InvalidOption(f"{method} has no option {name!r}{nearest(name, known)}")


def searcher_options(name: str) -> tuple[str, ...] | None:
    """The names of a registered searcher's options; None where it takes any."""
    return keywords(_searchers().SEARCHERS[name], 1)


def chosen_searcher(method: str, chosen: object, setting: Setting) -> Searcher:
    """The searcher of the option `searcher`: a name, or {name: {option: value}}."""
    name, given = next(iter(chosen.items())) if isinstance(chosen, Mapping) and len(chosen) == 1 else (chosen, None)
    if not isinstance(name, str) or not isinstance(given or {}, Mapping):
        raise InvalidOption(f"searcher of {method} must be a name or {{name: {{options}}}}, but got {chosen!r}")
    options: dict[str, Any] = dict(given or {})
    registered = _searchers().SEARCHERS
    if name in registered:
        known = searcher_options(name)
        for option in options:
            if known is not None and option not in known:
                raise unknown_option(f"searcher {name} of {method}", option, known)
    elif ":" not in name:
        raise InvalidOption(f"{method} knows no searcher {name!r}{nearest(name, registered)}")
    searcher: Searcher = _searchers().build_searcher(name, setting, **options)
    return searcher


def foreign(path: str, setting: Setting, options: Mapping[str, Any]) -> Schedule:
    """A method from outside: a factory of a schedule, or of a searcher, which is then trained in full."""
    return foreign_from(path, load(path), setting, options)


def foreign_from(name: str, factory: Callable[..., Any], setting: Setting, options: Mapping[str, Any]) -> Schedule:
    """What `factory(setting, **options)` makes, as a schedule. Raises InvalidOption for an option it does not take."""
    known = keywords(factory, 1)
    mine = dict(options)
    max_epochs = None if known is None or "max_epochs" in known else mine.pop("max_epochs", None)
    for option in mine:
        if known is not None and option not in known:
            raise unknown_option(name, option, known)
    made = factory(setting, **mine)
    if isinstance(made, Schedule):
        return made
    if isinstance(made, Searcher):
        from hpo.methods.full import Full

        return Full(setting, made, max_epochs=max_epochs)
    raise InvalidOption(f"{name} must make a Schedule or a Searcher, but it made a {type(made).__name__}")


@dataclass(frozen=True)
class Whole:
    """A method of the table that is one piece: `schedule` is "module:Class", called with the setting and its options."""

    name: str
    about: str
    schedule: str

    def options(self) -> tuple[str, ...]:
        """The names of all options."""
        return keywords(load(self.schedule), 1) or ()

    def __call__(self, setting: Setting, **options: Any) -> Schedule:
        return foreign_from(self.name, load(self.schedule), setting, options)
