"""The methods by name: METHODS, `build` and `describe`. A method is a schedule composed with a searcher, or whole.

Third parties' methods come by "module:Class" or by entry points. Pure but for imports: a method's file is imported when
the method is built.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from hpo.methods.protocol import Factory, InvalidOption, Method, Schedule, Searcher, Setting
from hpo.text import nearest


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


SEARCHERS: Mapping[str, str] = {
    "grid": "hpo.methods.searchers.grid:Grid",
    "random": "hpo.methods.searchers.random_search:RandomSearch",
    "sobol": "hpo.methods.searchers.quasi_random:Sobol",
    "halton": "hpo.methods.searchers.quasi_random:Halton",
    "bayesian": "hpo.methods.searchers.bayesian:Bayesian",
    "tpe": "hpo.methods.searchers.tpe:Tpe",
    "genetic": "hpo.methods.searchers.genetic:Genetic",
    "local": "hpo.methods.searchers.local:Local",
    "cmaes": "hpo.methods.searchers.cma_es:CmaEs",
}
"""The searchers by name; each one's file is imported when it is asked for."""


def build_searcher(name: str, setting: Setting, **options: Any) -> Searcher:
    """A searcher by its name, or of one's own as "module:Class". Raises InvalidOption for options that cannot hold."""
    made: Searcher = load(SEARCHERS.get(name, name))(setting, **options)
    return made


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
            searcher = build_searcher(self.searcher, setting, **rest)
        return factory(setting, searcher, **mine)  # type: ignore[no-any-return]


def unknown_option(method: str, name: str, known: tuple[str, ...]) -> InvalidOption:
    return InvalidOption(f"{method} has no option {name!r}; {nearest(name, known)}")


def searcher_options(name: str) -> tuple[str, ...] | None:
    """The names of a registered searcher's options; None where it takes any."""
    return keywords(load(SEARCHERS[name]), 1)


def chosen_searcher(method: str, chosen: object, setting: Setting) -> Searcher:
    """The searcher of the option `searcher`: a name, or {name: {option: value}}."""
    name, given = next(iter(chosen.items())) if isinstance(chosen, Mapping) and len(chosen) == 1 else (chosen, None)
    if not isinstance(name, str) or not isinstance(given or {}, Mapping):
        raise InvalidOption(f"searcher of {method} must be a name or {{name: {{options}}}}, but got {chosen!r}")
    options: dict[str, Any] = dict(given or {})
    registered = SEARCHERS
    if name in registered:
        known = searcher_options(name)
        for option in options:
            if known is not None and option not in known:
                raise unknown_option(f"searcher {name} of {method}", option, known)
    elif ":" not in name:
        raise InvalidOption(f"{method} knows no searcher {name!r}; {nearest(name, registered)}")
    searcher: Searcher = build_searcher(name, setting, **options)
    return searcher


def foreign(path: str, setting: Setting, options: Mapping[str, Any], *, name: str | None = None) -> Schedule:
    """A method from outside: a factory of a schedule, or of a searcher, which is then trained in full."""
    return foreign_from(name or path, load(path), setting, options)


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
        from hpo.methods.schedules.full import Full

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


# -- the table ----------------------------------------------------------------------------------------------------

_FULL = "hpo.methods.schedules.full:Full"
_ASHA = "hpo.methods.schedules.asha:Asha"
_STOPPING = "hpo.methods.schedules.asha_stopping:AshaStopping"
_HALVING = "hpo.methods.schedules.successive_halving:SuccessiveHalving"
_HYPERBAND = "hpo.methods.schedules.hyperband:Hyperband"
_ASYNC = "hpo.methods.schedules.hyperband:AsyncHyperband"
_MEDIAN = "hpo.methods.schedules.median_stopping:MedianStopping"
_BOHB = "hpo.methods.whole.bohb:Bohb"
_MULTI = "hpo.methods.whole.multifidelity:Multifidelity"
_UNFREEZING = "hpo.methods.whole.sequential_unfreezing:SequentialUnfreezing"
_DEFAULT = "hpo.methods.whole.default:Default"
_REFINE = "hpo.methods.whole.refine:Refine"
_PATIENCE = "hpo.methods.schedules.patience:Patience"

_TABLE: tuple[Composition | Whole, ...] = (
    Composition("grid", "every combination of grid values, in an order whose prefixes cover the space", _FULL, "grid"),
    Composition("random", "independent uniform configurations, each trained to the end", _FULL, "random"),
    Composition("sobol", "scrambled Sobol points, each trained to the end", _FULL, "sobol"),
    Composition("halton", "scrambled Halton points, each trained to the end", _FULL, "halton"),
    Composition("bayesian", "Gaussian process with an acquisition function", _FULL, "bayesian"),
    Composition("tpe", "tree-structured Parzen estimator (Bergstra et al. 2011)", _FULL, "tpe"),
    Composition("genetic", "a population with tournaments, crossover and mutation", _FULL, "genetic"),
    Composition("local", "steps around a start point", _FULL, "local"),
    Composition("cmaes", "covariance matrix adaptation", _FULL, "cmaes"),
    Composition("asha", "asynchronous successive halving with pausing and promotion (Li et al. 2020)", _ASHA),
    Composition("asha-stopping", "what Ray Tune calls ASHA: trials below the rung's bar stop for good", _STOPPING),
    Composition("sha", "synchronous successive halving (Jamieson and Talwalkar 2016)", _HALVING),
    Composition("hyperband", "brackets of synchronous successive halving (Li et al. 2018)", _HYPERBAND),
    Composition("async-hyperband", "brackets of ASHA side by side (Li et al. 2020)", _ASYNC),
    Composition("median-stopping", "stops what is below the median of the others (Golovin et al. 2017)", _MEDIAN),
    Composition("patience", "stops what has not improved for some epochs", _PATIENCE),
    Composition("asha+tpe", "ASHA over configurations that TPE suggests", _ASHA, "tpe"),
    Composition("asha+bayesian", "ASHA over configurations that the Gaussian process suggests", _ASHA, "bayesian"),
    Whole("bohb", "Hyperband over kernel densities of good and bad configurations (Falkner et al. 2018)", _BOHB),
    Whole("multifidelity", "a surrogate over configuration and epoch decides which trial goes on (paper 004)", _MULTI),
    Whole(
        "sequential-unfreezing",
        "attempts that unfreeze layers and lower the rate (paper 000, Algorithm 2)",
        _UNFREEZING,
    ),
    Whole("default", "published default configurations: the baseline (paper 000, Table 4, and others)", _DEFAULT),
    Whole("refine", "one-at-a-time changes of a tuned configuration (paper 003)", _REFINE),
)

METHODS: dict[str, Factory] = {composition.name: composition for composition in _TABLE}


@cache
def _installed() -> dict[str, Any]:
    """Third parties' methods: the entry points of the group hpo.methods by name."""
    return {entry.name: entry for entry in entry_points(group="hpo.methods")}


def build(method: Method, setting: Setting) -> Schedule:
    """The schedule of a method as a study names it: of the table, of an installed package, or "module:Class".

    Raises InvalidOption (one sentence, the nearest valid name) for unknown names and options that cannot hold.
    """
    if method.name in METHODS:
        return METHODS[method.name](setting, **method.options)
    if ":" in method.name:
        return foreign(method.name, setting, method.options)
    if method.name in _installed():
        return foreign(_installed()[method.name].value, setting, method.options, name=method.name)
    raise InvalidOption(f"there is no method {method.name!r}; {nearest(method.name, [*METHODS, *_installed()])}")


def describe() -> list[tuple[str, str]]:
    """All methods: (name, what it is in one line)."""
    installed = [(name, f"installed: {entry.value}") for name, entry in sorted(_installed().items())]
    return [(composition.name, composition.about) for composition in _TABLE] + installed
