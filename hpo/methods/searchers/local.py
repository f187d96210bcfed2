"""Local search: steps around the best configuration so far, which shrink while they do not help. Pure."""

from __future__ import annotations

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searchers.history import ranks
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Choice, Config


class Local(Searching):
    """Starts at the study's first `start` configuration, or at the middle of the space, and moves to what is better.

    Options: step (the deviation of a step in the unit cube); shrink (the factor of the step after each suggestion that
    did not become the best; one that does restores the full step).
    """

    def __init__(self, setting: Setting, *, step: float = 0.2, shrink: float = 0.95) -> None:
        super().__init__(setting, tag=0x10CA1)
        self._step = options.real("step", step, 1e-6, 1.0)
        self._shrink = options.real("shrink", shrink, 0.1, 1.0)

    def propose(self, rng: np.random.Generator) -> Config | None:
        space = self.setting.space
        seen = [s for s in self.history.seen() if not s.failed]
        if not seen:
            middle = space.decode(np.full(len(space), 0.5))
            return middle if self.history.is_new(middle) else space.sample(rng)
        best = int(np.argmin(ranks(seen)))
        width = max(0.01, self._step * self._shrink ** (len(seen) - 1 - best))
        centre = space.encode(seen[best].config)
        for _ in range(50):
            config = space.decode(self._move(centre, width, rng))
            if self.history.is_new(config):
                return config
            width = min(1.0, width * 1.1)
        return None

    def _move(
        self, centre: np.ndarray[tuple[int], np.dtype[np.float64]], width: float, rng: np.random.Generator
    ) -> list[float]:
        moved = rng.random(len(centre)) < max(0.5, 1 / len(centre))
        moved[rng.integers(len(centre))] = True
        domains = self.setting.space.domains.values()
        return [
            float(u)
            if not move
            else rng.random()
            if isinstance(d, Choice)
            else float(np.clip(rng.normal(u, width), 0, 1))
            for u, move, d in zip(centre, moved, domains, strict=True)
        ]
