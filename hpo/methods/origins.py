"""Where users' and third parties' methods come from: distributions with their versions, or the digest of a module's source.

Pure but for the imports of these methods.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any

from hpo.methods.hosted import environments
from hpo.methods.hosted.libraries import HOSTED
from hpo.methods.protocol import InvalidOption
from hpo.methods.registry import METHODS, SEARCHERS, installed, named_searcher
from hpo.study.values import Method

SOURCE = "source of "  # before a module's name, where no installed distribution holds the module


def origins(methods: Iterable[Method]) -> dict[str, str]:
    """Returns distribution -> version of every method and searcher that is not one of ours.

    For a module that no distribution holds: "source of MODULE" -> the SHA-256 digest of its source, or "not known".
    """
    theirs = dict(origin for method in methods for name in _foreign(method) for origin in origins_of(name))
    return theirs | {package: version for method in methods for package, version in _hosted(method)}


def _hosted(method: Method) -> Iterator[tuple[str, str]]:
    """Yields the distribution and the version of the libraries that the method or its searcher is hosted from."""
    for name, options in ((method.name, method.options), _searcher(method)):
        if name in HOSTED:
            library = HOSTED[name].library(name, options.get("name", ""))
            found = environments.version(library)
            yield library.package, "not installed" if found is None else found[0]


def _foreign(method: Method) -> Iterator[str]:
    """Yields the names of a method and its searcher where they are not in our tables."""
    if method.name not in METHODS and method.name not in HOSTED:
        yield method.name
    name, _ = _searcher(method)
    if ":" in name and name not in SEARCHERS:
        yield name


def _searcher(method: Method) -> tuple[str, Mapping[str, Any]]:
    """Returns the name and the options of the method's searcher; an empty name where the study names none."""
    chosen = method.options.get("searcher", "")
    try:
        return named_searcher(method.name, chosen)
    except InvalidOption:  # a user's method may mean something else by an option of that name
        return "", {}


def origins_of(name: str) -> list[tuple[str, str]]:
    """Returns (distribution, version) of an installed name or of "module:Class", which may also be a trainable."""
    entry = installed().get(name)
    if entry is not None and entry.dist is not None:
        return [(entry.dist.name, entry.dist.version)]
    module = name.partition(":")[0] if entry is None else str(entry.module)
    found = metadata.packages_distributions().get(module.split(".")[0], ())
    return [(each, metadata.version(each)) for each in dict.fromkeys(found)] or [(SOURCE + module, _digest(module))]


def _digest(module: str) -> str:
    try:
        source = inspect.getsource(importlib.import_module(module))
    except (OSError, TypeError, ImportError):
        return "not known"
    return f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"
