"""The searchers by name; each one's file is imported when it is asked for. Pure but for imports."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hpo.methods.protocol import Searcher, Setting

_PATHS = {
    "grid": "hpo.methods.grid:Grid",
    "random": "hpo.methods.random_search:RandomSearch",
    "sobol": "hpo.methods.quasi_random:Sobol",
    "halton": "hpo.methods.quasi_random:Halton",
    "bayesian": "hpo.methods.bayesian:Bayesian",
    "tpe": "hpo.methods.tpe:Tpe",
    "genetic": "hpo.methods.genetic:Genetic",
    "local": "hpo.methods.local:Local",
    "cmaes": "hpo.methods.cma_es:CmaEs",
}


class _Registry(Mapping[str, Callable[..., Searcher]]):
    def __getitem__(self, name: str) -> Callable[..., Searcher]:
        module, _, attribute = _PATHS[name].partition(":")
        found: Callable[..., Searcher] = getattr(importlib.import_module(module), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_PATHS)

    def __len__(self) -> int:
        return len(_PATHS)


SEARCHERS: Mapping[str, Callable[..., Searcher]] = _Registry()


def build_searcher(name: str, setting: Setting, **options: Any) -> Searcher:
    """A searcher by its name, or of one's own as "module:Class". Raises InvalidOption for options that cannot hold."""
    if name in SEARCHERS:
        return SEARCHERS[name](setting, **options)
    from hpo.methods.composition import load

    made: Searcher = load(name)(setting, **options)
    return made
