"""A steady-state genetic algorithm with tournaments, crossover and mutation on mixed, conditional spaces. Pure."""

from __future__ import annotations

import numpy as np

from hpo.methods import options
from hpo.methods.protocol import Setting
from hpo.methods.searchers.history import Seen, ranks
from hpo.methods.searchers.searching import Searching
from hpo.study.space import Choice, Config, Int, Vector


class Genetic(Searching):
    """Each suggestion is a child of two parents that won a tournament among the best `population` seen so far.

    There are no generations to wait for: a free worker gets a child at once. Options: population; tournament (how many
    are drawn for one); crossover (the probability that a child has two parents); mutation (the probability that a gene
    changes, by default 1 / number of genes); initial (random configurations first); cost_aware (whether one of several
    children is drawn by their costs, see Costs).
    """

    def __init__(
        self, setting: Setting, *, population: int = 16, tournament: int = 3, crossover: float = 0.8,
        mutation: float | None = None, initial: int | None = None, cost_aware: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(setting, tag=0x6E6E, cost_aware=cost_aware)
        self._population = options.whole("population", population, 2)
        self._tournament = options.whole("tournament", tournament, 1)
        self._crossover = options.real("crossover", crossover, 0.0, 1.0)
        genes = max(1, len(setting.space))
        self._mutation = options.real("mutation", 1 / genes if mutation is None else mutation, 0.0, 1.0)
        self._initial = options.whole("initial", max(4, self._population // 2) if initial is None else initial, 1)

    def propose(self, rng: np.random.Generator) -> Config | None:
        seen = [s for s in self.history.seen() if not s.failed]
        if len(self.history) < self._initial or len(seen) < 2:
            return self.history.sample(rng)
        places = ranks(seen)
        parents = [seen[i] for i in np.argsort(places)[: self._population]]
        for _ in range(20):
            drawn = [self.setting.space.decode(self._child(parents, rng)) for _ in range(self.costs.draws)]
            if new := [config for config in drawn if self.history.is_new(config)]:
                return new[self.costs.pick(rng, new)]
        return None

    def _child(self, parents: list[Seen], rng: np.random.Generator) -> Vector:
        encode = self.setting.space.encode
        mother = encode(self._winner(parents, rng).config)
        if rng.random() < self._crossover:
            father = encode(self._winner(parents, rng).config)
            blend = rng.random(len(mother)) < 0.5
            mixed = np.where(blend, mother, father)
            span = rng.uniform(-0.1, 1.1, len(mother))  # a range's value may lie a little beyond its parents'
            numeric = np.array([not isinstance(d, Choice) for d in self.setting.space.domains.values()])
            mother = np.where(numeric & (rng.random(len(mother)) < 0.5), mother + span * (father - mother), mixed)
        return self._mutate(np.clip(mother, 0.0, 1.0), rng)

    def _winner(self, parents: list[Seen], rng: np.random.Generator) -> Seen:
        """Draws a tournament; its best parent wins, which is the first, since parents are in order of rank."""
        return parents[int(rng.integers(len(parents), size=self._tournament).min())]

    def _mutate(self, genes: Vector, rng: np.random.Generator) -> Vector:
        for j, domain in enumerate(self.setting.space.domains.values()):
            if rng.random() < self._mutation:
                small = isinstance(domain, Int) and domain.size <= 4
                step = rng.random() if isinstance(domain, Choice) or small else genes[j] + rng.normal(0.0, 0.15)
                genes[j] = min(1.0, max(0.0, step))
        return genes
