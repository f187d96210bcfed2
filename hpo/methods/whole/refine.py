"""One-at-a-time changes of a tuned configuration: Shimazoe et al. (paper 003) as a method with a budget. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.registry import chosen_searcher
from hpo.methods.schedules.roster import Composed
from hpo.study.neighbours import neighbours
from hpo.study.space import Config, InvalidSpace, SearchSpace
from hpo.study.values import Decision, Observation, Segment, digest
from hpo.text import nearest, shown

FINEST = 64  # values of a range: the search ends when even steps of that size bring nothing new


class Refine(Composed):
    """Changes one hyperparameter of the incumbent at a time, over its range, and keeps what is better.

    A pass changes the most important hyperparameter, then the least important, then the others. The next pass goes on
    from the better incumbent, or with finer steps if there is none, until no change is left.

    The first of these is the incumbent: the option `incumbent`, the study's first `start` configuration, the best of
    `prior`, or what `searcher` (tpe) finds in the first `share` of the budget. Every training is to R and counts with its
    best epoch. Further options: max_epochs (R); points (values of a range in the first pass); order (the names, the most
    important first; by default the order that earlier results show: the share of variance between quarters).
    """

    def __init__(
        self,
        setting: Setting,
        *,
        max_epochs: int | None = None,
        incumbent: Mapping[str, Any] | None = None,
        order: Sequence[str] | None = None,
        points: int = 5,
        searcher: Any = "tpe",
        share: float = 0.5,
    ) -> None:
        super().__init__(chosen_searcher("refine", searcher, setting, max_epochs), options.epochs(setting, max_epochs))
        self._space = setting.space
        self._names = _checked_order(order, setting.space)
        self._points = options.whole("points", points, 1)
        self._results = list(setting.prior)
        self._incumbent = _given(setting, incumbent)
        self._value = -math.inf
        self._search_until = 0 if self._incumbent else options.real("share", share, 0.0, 1.0) * setting.budget
        self._handed_out = 0
        self._tried: set[str] = set()
        self._best: dict[int, float] = {}  # of each trial under way, its best value so far
        self._configs: dict[int, Config] = {}
        self._pass: deque[str] = deque()
        self._queue: deque[Config] = deque([self._incumbent] if self._incumbent else [])
        self._passes = 0
        self._improved = self._anything_new = False

    def next_segment(self) -> Segment | None:
        if self._handed_out < self._search_until or (self._incumbent is None and not self._best):
            return self._search()
        while not self._queue:
            if self._best or not self._next_name():
                return None
        return self._train(self._queue.popleft(), told=False)

    def _search(self) -> Segment | None:
        config = self.roster.searcher.suggest()
        if config is not None:
            return self._train(config, told=True)
        if not self._best:
            self._search_until = 0
            return self.next_segment() if self._incumbent else None
        return None

    def _train(self, config: Config, told: bool) -> Segment:
        self._tried.add(digest(dict(config)))
        trial = self.roster.add(config, told)
        self._best[trial], self._configs[trial] = -math.inf, config
        self._handed_out += self.max_epochs
        return self.roster.segment(trial, self.max_epochs)

    def _next_name(self) -> bool:
        """Queues the changes of the next hyperparameter; returns False if nothing is left to change."""
        assert self._incumbent is not None
        if not self._pass and not self._begin_pass():
            return False
        name = self._pass.popleft()
        changes = neighbours(self._space, self._incumbent, name, self._points) if name in self._incumbent else []
        self._queue.extend(config for config in changes if digest(dict(config)) not in self._tried)
        self._anything_new |= bool(self._queue)
        return True

    def _begin_pass(self) -> bool:
        """Begins a pass with the same steps if the incumbent improved, or with finer ones; returns False when nothing is left."""
        if self._passes > 0 and not self._improved:
            if self._points >= FINEST and not self._anything_new:
                return False
            self._points *= 2
        self._passes += 1
        self._improved = self._anything_new = False
        self._pass.extend(self._names or by_importance(self._space, self._results))
        return True

    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        self._best[trial] = max(self._best[trial], value)
        if not through:
            return Decision.CONTINUE
        self.roster.close(trial)
        value, config = self._best.pop(trial), self._configs.pop(trial)
        self._results.append(Observation(config, epoch, value))
        if self._incumbent is None or value > self._value:
            self._improved |= self._incumbent is not None and config != self._incumbent
            self._incumbent, self._value = config, value
        return Decision.STOP

    def drop(self, trial: int, epoch: int) -> None:
        del self._best[trial], self._configs[trial]


def _given(setting: Setting, incumbent: Mapping[str, Any] | None) -> Config | None:
    """Returns the incumbent that option, start or prior name. Raises InvalidOption if it does not belong to the space."""
    if incumbent is not None:
        try:
            snapped = setting.space.snap(incumbent)
            setting.space.check(snapped)
        except (InvalidSpace, TypeError, AttributeError) as error:
            raise InvalidOption(f"incumbent of refine must be a configuration of the space: {error}") from error
        return snapped
    if setting.start:
        return setting.start[0]
    known = [o for o in setting.prior if o.config in setting.space]
    return max(known, key=lambda o: o.value).config if known else None


def _checked_order(order: Sequence[str] | None, space: SearchSpace) -> tuple[str, ...]:
    """Returns all names in the given order, but the least important second, as in the paper; empty if none is given."""
    if order is None:
        return ()
    for name in order:
        if name not in space.domains:
            raise InvalidOption(
                f"order of refine must name hyperparameters, but got {shown(name)}; {nearest(name, space.names)}"
            )
    return _most_then_least([*order, *(name for name in space.names if name not in order)])


def _most_then_least(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(names) if len(names) < 3 else (names[0], names[-1], *names[1:-1])


def by_importance(space: SearchSpace, results: Sequence[Observation]) -> tuple[str, ...]:
    """Returns the hyperparameters in the order in which refine changes them: the most important, the least, the others.

    Importance is the variance of the mean value between the quarters of a range, or between the values of a choice.
    """
    known = [o for o in results if o.config in space]
    values = np.array([o.value for o in known])

    def between(name: str) -> float:
        domain = space.domains[name]
        bins = min(4, int(domain.size)) if math.isfinite(domain.size) else 4
        places = [min(bins - 1, int(domain.encode(o.config[name]) * bins)) if name in o.config else -1 for o in known]
        means = {b: values[np.array(places) == b].mean() for b in sorted(set(places))}
        return float(np.var([means[b] for b in places])) if known else 0.0

    return _most_then_least(sorted(space.names, key=lambda name: -between(name)))
