"""What a study must have in common with the runs that its store holds: their origin, methods as they were, libraries. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hpo.methods import defaults
from hpo.store.errors import StoreError

DECIDING = ("hpo-arena", "numpy", "scipy", "scikit-learn", "hyperopt", "bayesian-optimization")
"""The packages on whose versions a method of ours may depend in its decisions."""

METHOD_PACKAGES = "method_packages"  # in an environment: package -> version of the users' and third parties' methods

DECIDED_WITH = "decided_with"  # in the head's environment: package -> versions, in the order in which they came

REPLAY = "replay"  # in the head's environment of a replay: the curves that answered it, and how

ANSWERING = ("digest", "between", "times", "weather")  # of a replay's origin: what the answers depend on

Entry = Mapping[str, Any]  # a method: name, options, parallelism
Versions = Mapping[str, Sequence[str]]


def methods(head: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> dict[str, Entry]:
    """Returns all methods that the store ever had, by label: also those that the last command left out.

    `runs`: the rows of the table, for stores of earlier versions, whose heads had only the last command's methods.
    """
    found: dict[str, Entry] = {
        row["method"]: {"name": row["name"], "options": json.loads(row["options"] or "{}")} for row in runs
    }
    found |= {method["label"]: _entry(method) for method in head["study"].get("methods", ())}
    return found | dict(head.get("methods", {}))


def merged(known: Mapping[str, Entry], wanted: Iterable[Entry], charged: set[str], store: str) -> dict[str, Entry]:
    """Returns the known methods with the wanted ones. Raises StoreError for a change of one whose runs are `charged`."""
    found = dict(known)
    for method in wanted:
        label = method["label"]
        if label in charged and label in known:
            _check(label, known[label], method, store)
        found[label] = _entry(method)
    return found


def _entry(method: Entry) -> Entry:
    return {name: method[name] for name in ("name", "options", "parallelism") if name in method}


def _check(label: str, known: Entry, wanted: Entry, store: str) -> None:
    for what in ("name", "parallelism"):
        if what in known and what in wanted and known[what] != wanted[what]:
            raise _changed(label, what, known[what], wanted[what], store)
    before, now = ({**defaults(wanted["name"]), **entry["options"]} for entry in (known, wanted))
    for option in sorted(before.keys() & now.keys()):
        if before[option] != now[option] and _json(before[option]) != _json(now[option]):
            raise _changed(label, option, before[option], now[option], store)


def _json(value: object) -> str:
    """Returns a value as a store's head has it: tuples are lists there, and NaN equals NaN."""
    return json.dumps(value, sort_keys=True, default=str)


def _changed(label: str, what: str, before: object, now: object, store: str) -> StoreError:
    return StoreError(
        f"method {label} must stay as it was for the runs that {store} holds, but {what} was {before!r} there and is "
        f"{now!r} now; give the changed method a label of its own (label: NAME among its options), or take another store"
    )


def check_origin(head: Mapping[str, Any] | None, environment: Mapping[str, Any], store: str) -> None:
    """Raises StoreError where the store's results come from elsewhere: from training, or from other recorded curves."""
    if head is None:
        return
    before, now = (found.get(REPLAY) for found in (head.get("environment", {}), environment))
    if all((before or {}).get(name) == (now or {}).get(name) for name in ANSWERING):
        return
    there, here = (_origin(found) for found in (before, now))
    other = "; its curves, --between, --times or weather were others" if before and now else ""
    raise StoreError(
        f"the results of a stored study must have one origin, but those in {store} were {there} and are to be {here} now"
        f"{other}; take another store"
    )


def _origin(replay: Any) -> str:
    return f"replayed over {replay['curves']}" if isinstance(replay, Mapping) and "curves" in replay else "trained"


# -- versions -----------------------------------------------------------------------------------------------------


def installed(environment: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns the versions of the packages that decide, of an environment as `collect` finds it."""
    ours = {name: version for name, version in environment.get("packages", {}).items() if name in DECIDING}
    return {name: [version] for name, version in (ours | dict(environment.get(METHOD_PACKAGES, {}))).items()}


def decided_with(environment: Mapping[str, Any]) -> Versions:
    """Returns the versions behind the stored decisions; stores of earlier versions have those of their first driver."""
    found: Versions = environment.get(DECIDED_WITH) or installed(environment)
    return found


def changes(before: Versions, now: Versions) -> str:
    """Returns which packages that decide have other versions now, as a clause; empty where none has."""
    found = [
        f"{name} was {' and '.join(versions)} and is {now[name][0] if name in now else 'not installed'}"
        for name, versions in before.items()
        if list(versions) != list(now.get(name, ()))
        and (name in now or name in DECIDING)  # a method that the present command leaves out decides nothing
    ]
    return ", ".join(found)
