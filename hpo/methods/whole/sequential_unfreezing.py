"""Sequential model-based optimization with unfreezing: Migayo et al. 2023 (paper 000), Algorithm 2. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from hpo.methods import options
from hpo.methods.protocol import InvalidOption, Remote, Searcher, Setting
from hpo.methods.registry import chosen_searcher
from hpo.methods.schedules.roster import Composed
from hpo.methods.whole.default import PUBLISHED, in_space, ordered_layers
from hpo.study.space import Choice, Config, Domain, InvalidSpace, SearchSpace, Value
from hpo.study.values import Decision, Observation, Segment, digest
from hpo.text import shown


@dataclass
class Attempt:
    """A configuration theta_i under way: which retraining it is (0: frozen), and its best value so far."""

    config: Config
    step: int
    value: float = -math.inf


class SequentialUnfreezing(Composed):
    """Trains the defaults (y1), then makes attempts.

    An attempt trains a proposal with the backbone frozen. If that is no better than the best so far, it trains the same
    with more layers unfrozen and a lower rate; if that is no better either, the attempt is discarded.

    Every training is to R and counts with its best epoch. Options: max_epochs (R); searcher (proposes frozen
    configurations; bayesian, as in the paper); attempts (N: after so many discarded ones, the rest of the budget is plain
    search over the whole space, the paper's Algorithm 1; no limit by default); steps (how many times an attempt unfreezes
    a further layer); lower (the factor of the rate, 0.1 as in Table 4); layers and rate (the names of the two
    hyperparameters). If the space has no such layers, only the rate is lowered.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        max_epochs: int | None = None,
        searcher: Any = "bayesian",
        attempts: int | None = None,
        steps: int = 1,
        lower: float = 0.1,
        layers: str = "finetuned_layers",
        rate: str = "learning_rate",
    ) -> None:
        if rate not in setting.space.domains and layers not in setting.space.domains:
            raise InvalidOption(
                f"sequential-unfreezing needs {rate} or {layers} in the space (its options rate and layers name them), "
                f"but the space has only {', '.join(setting.space.names)}"
            )
        self._attempts = attempts if attempts is None else options.whole("attempts", attempts, 1)
        self._steps = options.whole("steps", steps, 0)
        self._lower = options.real("lower", lower, 0.0, 1.0)
        self._layers, self._rate = layers, rate
        self._setting, self._searcher = setting, searcher
        self._frozen = frozen(setting.space, layers)
        super().__init__(self._propose_in(self._frozen, ()), options.epochs(setting, max_epochs))
        self._queue: deque[tuple[Config, int]] = deque([(self._first(), 0)])
        self._tried: set[str] = set()
        self._under_way: dict[int, Attempt] = {}
        self._results: list[Observation] = []
        self._best = -math.inf
        self._discarded = 0
        self._baseline_known = self._plain = False

    def _propose_in(self, space: SearchSpace, prior: tuple[Observation, ...]) -> Searcher:
        start = tuple(config for config in self._setting.start if config in space)
        prior = (*(o for o in self._setting.prior if o.config in space), *prior)
        setting = replace(self._setting, space=space, start=start, prior=prior)
        searcher = chosen_searcher("sequential-unfreezing", self._searcher, setting)
        if isinstance(searcher, Remote):  # it begins anew amid the run, where nothing can be refused
            raise InvalidOption(
                f"searcher of sequential-unfreezing must be one of this project, but got {shown(self._searcher)}"
            )
        return searcher

    def _first(self) -> Config:
        """Returns theta_1: the study's first start configuration, or the paper's defaults."""
        if self._setting.start:
            return self._setting.start[0]
        return in_space(self._frozen, PUBLISHED[0])

    # -- the schedule -------------------------------------------------------------------------------------------------

    def next_segment(self) -> Segment | None:
        if self._under_way and not self._baseline_known:
            return None  # the first attempts are compared with y1
        while self._queue:
            config, step = self._queue.popleft()
            if self._is_new(config):
                return self._train(config, step, told=False)
        return self._propose()

    def _propose(self) -> Segment | None:
        while (config := self.roster.searcher.suggest()) is not None:
            if self._is_new(config):
                return self._train(config, 0, told=True)
            self.roster.searcher.close(config)
        if self._under_way or self._plain:
            return None
        self._search_plainly()
        return self._propose()

    def _train(self, config: Config, step: int, told: bool) -> Segment:
        self._tried.add(digest(dict(config)))
        trial = self.roster.add(config, told)
        self._under_way[trial] = Attempt(config, step)
        return self.roster.segment(trial, self.max_epochs)

    def _is_new(self, config: Config) -> bool:
        return digest(dict(config)) not in self._tried

    def decide(self, trial: int, epoch: int, value: float, through: bool) -> Decision:
        attempt = self._under_way[trial]
        attempt.value = max(attempt.value, value)
        if not through:
            return Decision.CONTINUE
        self.roster.close(trial)
        self._judge(self._under_way.pop(trial))
        return Decision.STOP

    def drop(self, trial: int, epoch: int) -> None:
        self._under_way.pop(trial)
        if self._baseline_known:
            self._discard()
        self._baseline_known = True

    # -- Algorithm 2, lines 2 to 12 -----------------------------------------------------------------------------------

    def _judge(self, attempt: Attempt) -> None:
        self._results.append(Observation(attempt.config, self.max_epochs, attempt.value))
        if not self._baseline_known or attempt.value > self._best:
            self._best = max(self._best, attempt.value)
        elif not self._plain:
            unfrozen = self._unfrozen(attempt) if attempt.step < self._steps else None
            if unfrozen is not None and self._is_new(unfrozen):
                self._queue.append((unfrozen, attempt.step + 1))
            else:
                self._discard()
        self._baseline_known = True

    def _discard(self) -> None:
        self._discarded += 1
        if self._discarded == self._attempts:
            self._search_plainly()

    def _search_plainly(self) -> None:
        """Goes over to Algorithm 1: searches the whole space, with the results of all trainings so far."""
        if not self._plain:
            self._plain = True
            self.roster.replace(self._propose_in(self._setting.space, tuple(self._results)))

    def _unfrozen(self, attempt: Attempt) -> Config | None:
        """Returns the configuration with one more layer unfrozen and a lower rate; None if it leaves the space."""
        changed: dict[str, Value] = dict(attempt.config)
        if self._layers in changed:
            values = ordered_layers(self._setting.space.domains[self._layers])
            place = values.index(changed[self._layers])
            changed[self._layers] = values[min(place + 1, len(values) - 1)]
        if self._rate in changed:
            changed[self._rate] = lowered(self._setting.space.domains[self._rate], changed[self._rate], self._lower)
        return self._setting.space.nearest(changed) if self._fits(changed) else None

    def _fits(self, config: Config) -> bool:
        try:
            self._setting.space.fits(config)
        except InvalidSpace:
            return False
        return True


def frozen(space: SearchSpace, layers: str) -> SearchSpace:
    """Returns the part of a space in which as few layers are trained as it allows."""
    if layers not in space.domains:
        return space
    if space.pool is None:
        fewest = ordered_layers(space.domains[layers])[0]
        return SearchSpace({**space.domains, layers: Choice((fewest,))}, space.conditions)
    offered = [config[layers] for config in space.pool if layers in config]
    if not offered:
        return space
    fewest = next(value for value in ordered_layers(space.domains[layers]) if value in offered)
    return SearchSpace(space.domains, space.conditions, [c for c in space.pool if c.get(layers) == fewest])


def lowered(domain: Domain, rate: Value, factor: float) -> Value:
    """Returns the domain's value nearest to rate * factor; for a choice, the next lower number, if there is one."""
    if isinstance(domain, Choice):
        below = [v for v in domain.options if not isinstance(v, str) and not isinstance(rate, str) and v < rate]
        return max(below) if below else rate
    return domain.decode(domain.encode(max(domain.low, float(rate) * factor)))
