"""How far two runs of one study differ: per run, per method, in the final exams, and in the verdicts on pairs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hpo.errors import HpoError
from hpo.results.compare import compare
from hpo.results.statistics import mean_interval
from hpo.results.values import Comparison, Interval, PairTest, RunSummary
from hpo.store.differences import differences
from hpo.text import plain

if TYPE_CHECKING:
    from hpo.store import StudyData

PLACES = (("data", "root"), ("model", "weights"))  # where data and weights lie may differ between two machines
OPPOSITE = {"a better": "b better", "b better": "a better"}


class DifferentStudies(HpoError):
    """Results of two studies that are not the same one."""


@dataclass(frozen=True)
class RunDifference:
    """One run in both: its best validation value and its exam, before and after. `same_winner`: the same epoch of a trial."""

    method: str
    seed: int
    before: float | None
    after: float | None
    test_before: float | None
    test_after: float | None
    same_winner: bool

    @property
    def difference(self) -> float | None:
        """After minus before; None unless both are known."""
        return _minus(self.after, self.before)

    @property
    def test_difference(self) -> float | None:
        """After minus before in the final exam; None unless both are known."""
        return _minus(self.test_after, self.test_before)


@dataclass(frozen=True)
class Spread:
    """Paired differences, after minus before: how many, how many are 0 exactly, their mean and interval, the largest size."""

    pairs: int
    equal: int
    mean: float | None
    ci95: Interval
    largest: float | None


@dataclass(frozen=True)
class MethodDifference:
    """A method over the runs that both hold complete, on validation data and in the final exam."""

    method: str
    value: Spread
    test: Spread


@dataclass(frozen=True)
class VerdictDifference:
    """The verdict on a pair of methods, before and after. `exam`: in the final exam instead of validation."""

    a: str
    b: str
    exam: bool
    before: str
    after: str

    @property
    def same(self) -> bool:
        """Whether both say the same."""
        return self.before == self.after

    @property
    def reversed(self) -> bool:
        """Whether each calls the other method better."""
        return OPPOSITE.get(self.before) == self.after


@dataclass(frozen=True)
class Repetition:
    """Two runs of one study. `only_before`, `only_after`: complete runs that the other does not hold."""

    study: str
    metric: str
    test_metric: str
    mode: str
    runs: tuple[RunDifference, ...]
    methods: tuple[MethodDifference, ...]
    verdicts: tuple[VerdictDifference, ...]
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every run has the same values exactly, and every verdict is the same."""
        same = (run.before == run.after and run.test_before == run.test_after for run in self.runs)
        return not self.only_before and not self.only_after and all(same) and all(v.same for v in self.verdicts)

    @property
    def summary(self) -> str:
        """How far the two differ, in a few sentences."""
        return " ".join(_sentences(self))

    def to_json(self) -> dict[str, Any]:
        """Returns all figures as JSON values."""
        runs = [asdict(r) | {"difference": r.difference, "test_difference": r.test_difference} for r in self.runs]
        verdicts = [asdict(v) | {"same": v.same, "reversed": v.reversed} for v in self.verdicts]
        found: dict[str, Any] = plain(
            asdict(self) | {"summary": self.summary, "equal": self.equal, "runs": runs, "verdicts": verdicts}
        )
        return found


def repetition(before: StudyData, after: StudyData) -> Repetition:
    """Compares two runs of one study. Raises DifferentStudies where what results depend on differs, but for paths."""
    other = differences(_without_places(before.definition), _without_places(after.definition))
    if other or before.name != after.name:
        raise DifferentStudies(
            f"two runs of one study must be compared, but these are {before.name} and {after.name}, which differ in "
            f"{other or 'their names'}; `hpo compare STORE --all` compares different studies as tasks"
        )
    first, second = compare(before), compare(after)
    old, new = _complete(first), _complete(second)
    runs = tuple(_run(old[key], new[key], first.test_metric) for key in old if key in new)
    labels = dict.fromkeys(run.method for run in runs)
    return Repetition(
        study=before.name,
        metric=first.metric,
        test_metric=first.test_metric,
        mode=first.mode,
        runs=runs,
        methods=tuple(_method(label, [run for run in runs if run.method == label]) for label in labels),
        verdicts=tuple(_verdicts(first, second)),
        only_before=tuple(f"{method}/{seed}" for method, seed in old if (method, seed) not in new),
        only_after=tuple(f"{method}/{seed}" for method, seed in new if (method, seed) not in old),
    )


def _without_places(definition: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(definition)
    for section, key in PLACES:
        found[section] = {name: value for name, value in (found.get(section) or {}).items() if name != key}
    return found


def _complete(found: Comparison) -> dict[tuple[str, int], RunSummary]:
    return {(run.method, run.seed): run for run in found.runs if run.complete}


def _run(before: RunSummary, after: RunSummary, test_metric: str) -> RunDifference:
    won = [(run.incumbent.trial, run.incumbent.epoch) if run.incumbent else None for run in (before, after)]
    values = [_finite(value) for run in (before, after) for value in (run.value, run.test(test_metric))]
    return RunDifference(before.method, before.seed, values[0], values[2], values[1], values[3], won[0] == won[1])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _minus(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _method(label: str, runs: Sequence[RunDifference]) -> MethodDifference:
    return MethodDifference(
        label, _spread([run.difference for run in runs]), _spread([run.test_difference for run in runs])
    )


def _spread(found: Sequence[float | None]) -> Spread:
    known = [value for value in found if value is not None]
    mean, ci95 = mean_interval(known)
    largest = max((abs(value) for value in known), default=None)
    return Spread(len(known), sum(value == 0 for value in known), mean, ci95, largest)


def _verdicts(before: Comparison, after: Comparison) -> Iterator[VerdictDifference]:
    for exam, old, new in ((False, before.tests, after.tests), (True, before.test_tests, after.test_tests)):
        again = {pair: verdict for test in new for pair, verdict in _both_ways(test)}
        for test in old:
            if (test.a, test.b) in again:
                yield VerdictDifference(test.a, test.b, exam, test.verdict, again[test.a, test.b])


def _both_ways(test: PairTest) -> Iterator[tuple[tuple[str, str], str]]:
    yield (test.a, test.b), test.verdict
    yield (test.b, test.a), OPPOSITE.get(test.verdict, test.verdict)


# -- sentences ----------------------------------------------------------------------------------------------------


def _sentences(found: Repetition) -> Iterator[str]:
    if not found.runs:
        yield "No run is complete in both, so that nothing can be compared."
    for what, pairs in (
        (found.metric, [run.difference for run in found.runs]),
        (found.test_metric, [run.test_difference for run in found.runs]),
    ):
        spread = _spread(pairs)
        if spread.pairs and spread.equal == spread.pairs:
            yield f"All {spread.pairs} values of {what} are equal exactly."
        elif spread.pairs:
            yield (
                f"{spread.equal} of {spread.pairs} values of {what} are equal exactly; the second differs by "
                f"{spread.mean:+.4g} on average and by at most {spread.largest:.4g}."
            )
    if found.runs and found.verdicts:
        yield from _on_verdicts(found.verdicts)
    for which, only in (("first", found.only_before), ("second", found.only_after)):
        if only:
            yield f"{len(only)} complete {'run is' if len(only) == 1 else 'runs are'} in the {which} only: {', '.join(only)}."


def _on_verdicts(verdicts: Sequence[VerdictDifference]) -> Iterator[str]:
    changed = [v for v in verdicts if not v.same]
    if not changed:
        all_of = (
            "The verdict on the only pair of methods is"
            if len(verdicts) == 1
            else (f"All {len(verdicts)} verdicts on pairs of methods are")
        )
        yield f"{all_of} the same."
        return
    yield f"{len(verdicts) - len(changed)} of {len(verdicts)} verdicts on pairs of methods are the same."
    turned = [v for v in changed if v.reversed]
    yield (
        f"{len(turned)} of the others {'is' if len(turned) == 1 else 'are'} reversed."
        if turned
        else "None of the others is reversed."
    )
