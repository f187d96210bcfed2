"""The methods by name: METHODS, `build` and `describe`. No ray, no I/O; a method is imported when it is built."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from hpo.methods.composition import Composition, Whole, foreign, foreign_from
from hpo.methods.options import nearest
from hpo.methods.protocol import Factory, InvalidOption, Method, Schedule, Searcher, Setting

__all__ = ["METHODS", "InvalidOption", "Schedule", "Searcher", "Setting", "build", "describe"]

_FULL = "hpo.methods.full:Full"
_ASHA = "hpo.methods.asha:Asha"
_STOPPING = "hpo.methods.asha_stopping:AshaStopping"
_HALVING = "hpo.methods.successive_halving:SuccessiveHalving"
_HYPERBAND = "hpo.methods.hyperband:Hyperband"
_ASYNC = "hpo.methods.hyperband:AsyncHyperband"
_MEDIAN = "hpo.methods.median_stopping:MedianStopping"
_BOHB = "hpo.methods.bohb:Bohb"
_MULTI = "hpo.methods.multifidelity:Multifidelity"
_UNFREEZING = "hpo.methods.sequential_unfreezing:SequentialUnfreezing"
_DEFAULT = "hpo.methods.default:Default"
_REFINE = "hpo.methods.refine:Refine"
_PATIENCE = "hpo.methods.patience:Patience"

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
        return foreign_from(method.name, _installed()[method.name].load(), setting, method.options)
    raise InvalidOption(f"there is no method {method.name!r}{nearest(method.name, [*METHODS, *_installed()])}")


def describe() -> list[tuple[str, str]]:
    """All methods: (name, what it is in one line)."""
    installed = [(name, f"installed: {entry.value}") for name, entry in sorted(_installed().items())]
    return [(composition.name, composition.about) for composition in _TABLE] + installed
