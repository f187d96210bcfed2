"""The methods by name: METHODS, `build` and `describe`.

A method of the table is a schedule composed with a searcher, or whole. Third parties' methods come as "module:Class" or by
entry points. A method's file is imported when the method is built, so that importing the registry stays cheap. Pure but
for these imports.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from hpo.methods.hosted.libraries import HOSTED
from hpo.methods.protocol import Factory, InvalidOption, Method, Schedule, Searcher, Setting
from hpo.text import nearest, one_line, shown

# -- factories and their options ----------------------------------------------------------------------------------


def load(path: str) -> Callable[..., Any]:
    """Imports what "module:Class" names. Raises InvalidOption if it cannot be imported or called."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a user's module raises while it is imported
        raise InvalidOption(
            f"{shown(path)} must name a class as module:Class, but it cannot be imported: {one_line(error)}"
        ) from error
    if not callable(found):
        raise InvalidOption(f"{shown(path)} must name a class or a function, but it is {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def keywords(factory: Callable[..., Any], beyond: int) -> tuple[str, ...] | None:
    """Returns the names of a factory's options: its parameters after the first `beyond`; None if it takes any option."""
    parameters = list(inspect.signature(factory).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return tuple(p.name for p in parameters[beyond:] if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD))


def default_values(factory: Callable[..., Any], beyond: int) -> dict[str, Any]:
    """Returns the defaults of a factory's options by name; options without a default are left out."""
    parameters = list(inspect.signature(factory).parameters.values())[beyond:]
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def check_options(owner: str, given: Mapping[str, Any], known: tuple[str, ...] | None) -> None:
    """Raises InvalidOption for the first option that `owner` does not know; with `known` None it knows all."""
    if known is None:
        return
    for name in given:
        if name not in known:
            raise InvalidOption(f"{owner} has no option {shown(name)}; {nearest(name, known)}")


# -- searchers ----------------------------------------------------------------------------------------------------

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
    "priorband": "hpo.methods.searchers.ensemble:Ensemble",
    "transfer": "hpo.methods.searchers.transfer:Transfer",
}
"""The searchers by name."""


def build_searcher(name: str, setting: Setting, **options: Any) -> Searcher:
    """Builds a searcher by its name, or by "module:Class". Raises InvalidOption for values that cannot hold."""
    made: Searcher = load(SEARCHERS.get(name, name))(setting, **options)
    return made


def searcher_options(name: str) -> tuple[str, ...] | None:
    """Returns the names of a registered searcher's options; None if it takes any option."""
    return keywords(load(SEARCHERS[name]), 1)


def named_searcher(method: str, chosen: object) -> tuple[str, dict[str, Any]]:
    """Returns the searcher that a method's option `searcher` names, and its options: a name, or {name: {option: value}}.

    As among methods, `{ray-tune: hyperopt}` is short for `{ray-tune: {name: hyperopt}}`.
    """
    name, given = next(iter(chosen.items())) if isinstance(chosen, Mapping) and len(chosen) == 1 else (chosen, None)
    if isinstance(given, str) and name in HOSTED:
        given = {"name": given}
    if not isinstance(name, str) or not isinstance(given or {}, Mapping):
        raise InvalidOption(f"searcher of {method} must be a name or {{name: {{options}}}}, but got {shown(chosen)}")
    return name, dict(given or {})


def chosen_searcher(method: str, chosen: object, setting: Setting, max_epochs: int | None = None) -> Searcher:
    """Builds the searcher that a method's option `searcher` names; `max_epochs` is R of the method, if not the study's."""
    name, options = named_searcher(method, chosen)
    if name in HOSTED:
        from hpo.methods.hosted.searcher import searcher_of

        return searcher_of(method, name, setting, options, max_epochs)
    if name in SEARCHERS:
        check_options(f"searcher {name} of {method}", options, searcher_options(name))
    elif ":" not in name:
        raise InvalidOption(f"{method} knows no searcher {shown(name)}; {nearest(name, [*SEARCHERS, *HOSTED])}")
    return build_searcher(name, setting, **options)


# -- methods ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Composition:
    """A method of the table that composes a schedule ("module:Class") with a searcher.

    Called as a factory: composition(setting, **options). With a fixed `searcher`, options that the schedule does not
    know are the searcher's; `preset` replaces defaults of these. With `searcher` None, the option `searcher` chooses one
    and carries its options: `searcher: {bayesian: {acquisition: ucb}}`.
    """

    name: str
    about: str
    schedule: str
    searcher: str | None = None
    default: str = "random"  # the searcher if none is chosen
    preset: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> tuple[str, ...]:
        """Returns the names of all options."""
        own = keywords(load(self.schedule), 2) or ()
        return (*own, "searcher") if self.searcher is None else (*own, *(searcher_options(self.searcher) or ()))

    def __call__(self, setting: Setting, **options: Any) -> Schedule:
        factory = load(self.schedule)
        own = keywords(factory, 2) or ()
        mine = {name: value for name, value in options.items() if name in own}
        rest = {name: value for name, value in options.items() if name not in own}
        if self.searcher is None:
            chosen = rest.pop("searcher", self.default)
            check_options(self.name, rest, self.options())
            searcher = chosen_searcher(self.name, chosen, setting, mine.get("max_epochs"))
        else:
            check_options(self.name, rest, self.options() if searcher_options(self.searcher) is not None else None)
            searcher = build_searcher(self.searcher, setting, **{**self.preset, **rest})
        return factory(setting, searcher, **mine)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Whole:
    """A method of the table in one piece: `schedule` is "module:Class", called with the setting and its options."""

    name: str
    about: str
    schedule: str

    def options(self) -> tuple[str, ...]:
        """Returns the names of all options."""
        return keywords(load(self.schedule), 1) or ()

    def __call__(self, setting: Setting, **options: Any) -> Schedule:
        return built_by(self.name, load(self.schedule), setting, options)


def built_by(name: str, factory: Callable[..., Any], setting: Setting, options: Mapping[str, Any]) -> Schedule:
    """Builds a method by `factory(setting, **options)`, ours or a third party's.

    The factory makes a schedule, or a searcher, whose configurations are then trained in full (up to the option
    `max_epochs`). Raises InvalidOption for an option that it does not take.
    """
    known = keywords(factory, 1)
    mine = dict(options)
    max_epochs = None if known is None or "max_epochs" in known else mine.pop("max_epochs", None)
    check_options(name, mine, known)
    made = factory(setting, **mine)
    if isinstance(made, Schedule):
        return made
    if isinstance(made, Searcher):
        from hpo.methods.schedules.full import Full

        return Full(setting, made, max_epochs=max_epochs)
    raise InvalidOption(f"{name} must make a Schedule or a Searcher, but it made a {type(made).__name__}")


# -- the table ----------------------------------------------------------------------------------------------------

_FULL = "hpo.methods.schedules.full:Full"
_ASHA = "hpo.methods.schedules.asha:Asha"
_STOPPING = "hpo.methods.schedules.asha_stopping:AshaStopping"
_HALVING = "hpo.methods.schedules.successive_halving:SuccessiveHalving"
_I_EPOCH = "hpo.methods.schedules.i_epoch:IEpoch"
_HYPERBAND = "hpo.methods.schedules.hyperband:Hyperband"
_ASYNC = "hpo.methods.schedules.hyperband:AsyncHyperband"
_MEDIAN = "hpo.methods.schedules.median_stopping:MedianStopping"
_PATIENCE = "hpo.methods.schedules.patience:Patience"
_BOHB = "hpo.methods.whole.bohb:Bohb"
_PRIORBAND = "hpo.methods.whole.priorband:PriorBand"
_MULTI = "hpo.methods.whole.multifidelity:multifidelity"
_UNFREEZING = "hpo.methods.whole.sequential_unfreezing:SequentialUnfreezing"
_DEFAULT = "hpo.methods.whole.default:Default"
_REFINE = "hpo.methods.whole.refine:Refine"

_HALF = {"random_fraction": 0.5}  # early epochs mislead a model that only follows its own suggestions

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
    Composition("asha-stopping", "what Ray Tune calls ASHA: stops trials below a rung's bar for good", _STOPPING),
    Composition("sha", "synchronous successive halving (Jamieson and Talwalkar 2016)", _HALVING),
    Composition("hyperband", "brackets of synchronous successive halving (Li et al. 2018)", _HYPERBAND),
    Composition("async-hyperband", "brackets of ASHA side by side (Li et al. 2020)", _ASYNC),
    Composition("median-stopping", "stops trials below the median of the others (Golovin et al. 2017)", _MEDIAN),
    Composition("patience", "stops trials that have not improved for some epochs", _PATIENCE),
    Composition("i-epoch", "trains all candidates for i epochs, then the best k whole (Egele et al. 2024)", _I_EPOCH),
    Composition("asha+tpe", "ASHA over configurations of which TPE suggests every second", _ASHA, "tpe", preset=_HALF),
    Composition(
        "asha+bayesian",
        "ASHA over configurations of which the Gaussian process suggests every second",
        _ASHA,
        "bayesian",
        preset=_HALF,
    ),
    Composition("asha+transfer", "ASHA over configurations in the order that other tasks suggest", _ASHA, "transfer"),
    Whole("bohb", "Hyperband over kernel densities of good and bad configurations (Falkner et al. 2018)", _BOHB),
    Whole("priorband", "Hyperband over the user's beliefs about the space (Mallik et al. 2023)", _PRIORBAND),
    Whole("multifidelity", "freeze-thaw: a model of learning curves decides which trials go on (paper 004)", _MULTI),
    Whole(
        "sequential-unfreezing",
        "attempts that unfreeze layers and lower the rate (paper 000, Algorithm 2)",
        _UNFREEZING,
    ),
    Whole("default", "published default configurations: the baseline (paper 000, Table 4, and others)", _DEFAULT),
    Whole("refine", "one-at-a-time changes of a tuned configuration (paper 003)", _REFINE),
)

METHODS: dict[str, Factory] = {method.name: method for method in _TABLE}
"""The methods of the table by name."""


@cache
def installed() -> dict[str, Any]:
    """Returns third parties' methods: the entry points of the group hpo.methods by name."""
    return {entry.name: entry for entry in entry_points(group="hpo.methods")}


def build(method: Method, setting: Setting) -> Schedule:
    """Builds the schedule of a method as a study names it: of the table, of another library, of an installed package, or
    "module:Class".

    Raises InvalidOption (one sentence with the nearest valid name) for unknown names and options that cannot hold.
    """
    name = method.name
    if name in METHODS:
        return METHODS[name](setting, **method.options)
    if name in HOSTED:
        from hpo.methods.hosted.method import hosted

        return hosted(setting, name, **method.options)
    if ":" in name:
        return built_by(name, load(name), setting, method.options)
    if name in installed():
        return built_by(name, load(installed()[name].value), setting, method.options)
    raise InvalidOption(f"there is no method {shown(name)}; {nearest(name, [*METHODS, *HOSTED, *installed()])}")


def defaults(name: str) -> dict[str, Any]:
    """Returns the defaults of the options of a method of the table, by name; none for a third party's method."""
    method = METHODS.get(name)
    if isinstance(method, Whole):
        return default_values(load(method.schedule), 1)
    if not isinstance(method, Composition):
        return {}
    found = default_values(load(method.schedule), 2)
    if method.searcher is None:
        return {**found, "searcher": method.default}
    return {**default_values(load(SEARCHERS[method.searcher]), 1), **method.preset, **found}


def describe() -> list[tuple[str, str]]:
    """Returns all methods as (name, description in one line)."""
    hosted = [(name, f"hosted: {hosting.about}") for name, hosting in HOSTED.items()]
    others = [(name, f"installed: {entry.value}") for name, entry in sorted(installed().items())]
    return [(method.name, method.about) for method in _TABLE] + hosted + others
