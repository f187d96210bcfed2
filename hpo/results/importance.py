"""The importance of a study's hyperparameters: which trials to learn from, and what fANOVA finds. Pure; reads StudyData only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import HpoError
from hpo.results.association import Association, association
from hpo.results.fanova import Marginal, PairShare, Share, fanova
from hpo.results.forest import Vector
from hpo.results.ped_anova import PedAnova, TopImportance
from hpo.store import columns as stored
from hpo.study.space import SearchSpace, Value
from hpo.study.space_file import entries, parse_space
from hpo.text import plain

if TYPE_CHECKING:
    from hpo.store import StudyData

FEWEST = 12  # trials needed to give any share
MOST = 2000  # trials used at most: a random choice if there are more
POOR_FIT = 0.5  # R squared below which nothing is claimed
LEADING = 0.1  # share from which a hyperparameter's place in an order is compared
FIRM = 0.9  # support from which PED-ANOVA's order counts as firm


class TooFewTrials(HpoError):
    """Too few trials, or trials too much alike, for importance to mean anything."""


@dataclass(frozen=True)
class Disagreement:
    """The first place at which PED-ANOVA ranks another hyperparameter than functional ANOVA does.

    `support`: the share of resamples of the trials in which PED-ANOVA prefers its own to the other's. `firm`: whether
    functional ANOVA's intervals of the two are apart and the support is at least 90 percent.
    """

    place: int
    fanova: str
    ped_anova: str
    support: float
    firm: bool


@dataclass(frozen=True)
class Importance:
    """The importance of a study's hyperparameters, the most important first.

    `unexplained`: the share of the variance in interactions beyond those shown. `fit`: R squared of the
    surrogate on trials that it had not seen; if it is poor, the shares are guesses. `incumbent`: the configuration
    around which `sensitivity` was computed. `epochs`: how far the trials were trained, in words. `ped_anova`: what sets
    the best trials apart, and `disagreement` where that is another order than that of `shares`; None if it is not.
    """

    study: str
    metric: str
    mode: str
    trials: int
    epochs: str
    fit: float
    unexplained: float
    shares: tuple[Share, ...]
    pairs: tuple[PairShare, ...]
    marginals: tuple[Marginal, ...]
    incumbent: Mapping[str, Value]
    sensitivity: tuple[Marginal, ...]
    association: Association | None
    seed: int
    ped_anova: TopImportance
    disagreement: Disagreement | None = None
    notes: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether the surrogate explains enough of the variance for the shares to be trusted."""
        return self.fit >= POOR_FIT

    def to_json(self) -> dict[str, Any]:
        """Returns everything as JSON values; null for numbers that are not finite."""
        found = {
            **asdict(self),
            "decided": self.decided,
            "association": self.association.to_json() if self.association else None,
        }
        found["sensitivity"] = [{**asdict(m), "spread": m.spread} for m in self.sensitivity]
        answer: dict[str, Any] = plain(found)
        return answer


def importance(data: StudyData, *, pairs: bool = True, seed: int = 0) -> Importance:
    """Computes the importance of a study's hyperparameters for its metric. Raises TooFewTrials."""
    space = parse_space(data.definition["space"])
    trials, epochs, notes = _trials(data, space)
    mode = str(data.definition["mode"])
    values = np.array([value for _, value in trials])
    configs = [config for config, _ in trials]
    _check(data.name, values)
    if len(values) > MOST:
        chosen = np.random.default_rng([seed, 0]).choice(len(values), MOST, replace=False)
        notes.append(f"{MOST:,} of {len(values):,} trials were used, chosen at random.")
        values, configs = values[chosen], [configs[i] for i in chosen]
    found = fanova(space, configs, values, pairs=pairs, seed=seed)
    top = PedAnova(space, configs, values, mode=mode)
    best = top.importance()
    incumbent = configs[int(np.argmax(values if mode == "max" else -values))]
    return Importance(
        study=data.name,
        metric=str(data.definition["metric"]),
        mode=mode,
        trials=len(values),
        epochs=epochs,
        fit=found.fit,
        unexplained=found.unexplained,
        shares=found.shares(),
        pairs=found.pair_shares() if pairs else (),
        marginals=found.marginals(),
        incumbent=incumbent,
        sensitivity=found.sensitivity(incumbent),
        association=association("batch_size", "learning_rate", configs, list(values), mode=mode),
        seed=seed,
        ped_anova=best,
        disagreement=_disagreement(found.shares(), best, top, seed),
        notes=tuple(notes),
    )


def has_enough(data: StudyData) -> bool:
    """Whether there are trials enough for `importance`; computes none."""
    trials, _, _ = _trials(data, parse_space(data.definition["space"]))
    try:
        _check(data.name, np.array([value for _, value in trials]))
    except TooFewTrials:
        return False
    return True


def importance_or_none(data: StudyData, *, seed: int = 0) -> Importance | None:
    """Computes the importance with pairs; None if there are too few trials."""
    try:
        return importance(data, pairs=True, seed=seed)
    except TooFewTrials:
        return None


def over_tasks(found: Sequence[Importance]) -> tuple[Share, ...]:
    """Returns the mean share of each hyperparameter that all tasks search, the most important first.

    Intervals combine the tasks' half-widths as independent errors of the mean.
    """
    common = [s.name for s in found[0].shares if all(any(o.name == s.name for o in f.shares) for f in found)]
    rows = []
    for name in common:
        mine = [share for f in found for share in f.shares if share.name == name]
        mean = float(np.mean([share.share for share in mine]))
        below = math.sqrt(sum((share.share - share.low) ** 2 for share in mine)) / len(mine)
        above = math.sqrt(sum((share.high - share.share) ** 2 for share in mine)) / len(mine)
        rows.append(Share(name, mean, max(0.0, mean - below), min(1.0, mean + above)))
    return tuple(sorted(rows, key=lambda share: -share.share))


def _disagreement(shares: Sequence[Share], best: TopImportance, top: PedAnova, seed: int) -> Disagreement | None:
    """Compares the first two places, as long as a hyperparameter in them has a tenth of the importance."""
    for place, (ours, theirs) in enumerate(zip(shares[:2], best.shares[:2], strict=True), start=1):
        if max(ours.share, theirs.share) < LEADING or theirs.share == 0:
            return None
        if ours.name != theirs.name:
            other = next(share for share in shares if share.name == theirs.name)
            support = top.support(theirs.name, ours.name, seed=seed)
            return Disagreement(place, ours.name, theirs.name, support, ours.low > other.high and support >= FIRM)
    return None


def _check(study: str, values: Vector) -> None:
    if len(values) < FEWEST:
        raise TooFewTrials(f"importance needs at least {FEWEST} trials with a value, but {study} has {len(values)}")
    if np.ptp(values) == 0:
        raise TooFewTrials(
            f"importance needs trials with different values, but all {len(values)} of {study} have {values[0]:g}"
        )


def _trials(data: StudyData, space: SearchSpace) -> tuple[list[tuple[dict[str, Value], float]], str, list[str]]:
    """Returns (configuration, best value) of the trials to learn from, how far they were trained, and what was left out.

    If enough trials were trained to the end, only these count: a stopped trial's value shows how early it was stopped.
    A trial that several runs share counts once, as far as any run trained it.
    """
    section = entries(data.definition["space"])
    rows: dict[str, dict[str, Any]] = {}
    for row in data.trials.to_pylist() if data.trials.num_rows else []:
        if row["trial"] not in rows or (row["epochs"] or 0) > (rows[row["trial"]]["epochs"] or 0):
            rows[row["trial"]] = row
    known = [row for row in rows.values() if row["best_value"] is not None and math.isfinite(row["best_value"])]
    useful = [row for row in known if row["status"] != "failed"]
    longest = max((row["epochs"] for row in useful), default=0)
    whole = [row for row in useful if row["status"] == "completed" or row["epochs"] == longest]
    enough = len(whole) >= max(FEWEST, len(useful) / 4)
    chosen, epochs = (whole, "trained to the end") if enough else (useful, "trained to different epochs")
    notes = []
    if lost := len(rows) - len(useful):
        notes.append(f"Trials left out because they failed or have no value: {lost:,}.")
    if enough and len(whole) < len(useful):
        notes.append(f"Trials left out because they were stopped early: {len(useful) - len(whole):,}.")
    pairs = [(space.snap(stored.config(row, section)), float(row["best_value"])) for row in chosen]
    inside = [(config, value) for config, value in pairs if config in space]
    if outside := len(pairs) - len(inside):
        notes.append(f"Trials left out because their configuration is outside the search space: {outside:,}.")
    return inside, epochs, notes
