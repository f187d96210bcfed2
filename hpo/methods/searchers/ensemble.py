"""PriorBand's ensemble of a user's beliefs, the incumbent and chance (Mallik et al. 2023, Algorithm 2). Pure."""

from __future__ import annotations

import numpy as np

from hpo.methods import options
from hpo.methods.prior.beliefs import Beliefs
from hpo.methods.protocol import Setting
from hpo.methods.searchers.history import Seen
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Config, Vector


class Ensemble(Searching):
    """Draws each configuration from the user's beliefs, near the incumbent, or uniformly.

    At rung r, counted from the shortest training, beliefs are eta^r times as likely as chance: p_U = 1 / (1 + eta^r), since a
    longer training should not be spent on a random configuration. Once a configuration was trained to R, and as many
    epochs were observed as eta full trainings have, the share of the beliefs is divided between them and the incumbent,
    by how likely each makes the best 1/eta of the configurations at the longest training that eta of them reached; the
    best of K counts K times, the worst once. So beliefs that mislead lose their share. The first configuration is the
    most likely one of some draws. Options: eta, and max_epochs (R), by default the study's.
    """

    def __init__(self, setting: Setting, *, eta: int = 3, max_epochs: int | None = None) -> None:
        super().__init__(setting, tag=0xE5B)
        self._eta = options.whole("eta", eta, 2)
        self._longest = options.epochs(setting, max_epochs)
        self._beliefs = Beliefs(setting.space)
        self._rung = 0

    def aim(self, rung: int) -> None:
        """Learns at which rung the next suggestion starts."""
        self._rung = rung

    def propose(self, rng: np.random.Generator) -> Config | None:
        space = self.setting.space
        if not len(self.history) and not self._beliefs.empty:
            return self._likeliest(rng)
        if rng.random() < 1 / (1 + self._eta**self._rung):
            return space.sample(rng)
        seen = [s for s in self.history.seen() if not s.failed]
        if self._experienced(seen):
            best = max(seen, key=lambda s: s.value).config
            around = Beliefs.around(space, best)
            if rng.random() < self._share(seen, around):
                return self._draw(around, rng, best)
        return self._draw(self._beliefs, rng)

    def _likeliest(self, rng: np.random.Generator, draws: int = 1000) -> Config:
        candidates = self.setting.space.pool or [self._beliefs.draw(rng) for _ in range(draws)]
        return candidates[int(self._beliefs.log_density(candidates).argmax())]

    def _draw(self, beliefs: Beliefs, rng: np.random.Generator, near: Config | None = None) -> Config | None:
        """Draws from a density; from a pool, a candidate that is new."""
        pool = self.setting.space.pool
        if pool is None:
            return beliefs.draw(rng, near)
        left = [pool[i] for i in self.history.open()]
        if not left:
            return None
        return left[int(rng.choice(len(left), p=_normalized(beliefs.log_density(left))))]

    def _experienced(self, seen: list[Seen]) -> bool:
        levels = [s.level for s in seen]
        return max(levels, default=0) >= self._longest and sum(levels) >= self._eta * self._longest

    def _share(self, seen: list[Seen], around: Beliefs) -> float:
        """Returns the incumbent's part of what is not random, in [0, 1]."""
        levels = sorted((s.level for s in seen), reverse=True)
        level = levels[min(self._eta, len(levels)) - 1]
        reached = sorted((s for s in seen if s.level >= level), key=lambda s: -s.curve[level - 1])
        top = [s.config for s in reached[: max(1, len(reached) // self._eta)]]
        weights = np.log(np.arange(len(top), 0, -1))
        scores = [float(np.logaddexp.reduce(weights + b.log_density(top))) for b in (around, self._beliefs)]
        return float(1 / (1 + np.exp(min(scores[1] - scores[0], 700.0))))


def _normalized(logs: Vector) -> Vector:
    shares = np.exp(logs - logs.max())
    return np.asarray(shares / shares.sum())
