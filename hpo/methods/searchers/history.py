"""The memory of a searcher: its suggestions, their values, and a total order of what was seen. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpo.methods.protocol import Setting
from hpo.methods.searchers.costs import Costs
from hpo.study.space import Config, Vector
from hpo.study.values import digest

Matrix = NDArray[np.float64]

DRAWS = 1000  # random draws before the space is listed to find what is left
LISTED = 20_000  # spaces of at most this size are listed when random draws find nothing new


@dataclass
class Record:
    """A configuration and its curve: the best value up to each epoch, NaN before the first that was observed."""

    config: Config
    curve: list[float] = field(default_factory=list)
    failed: bool = False
    closed: bool = False

    @property
    def pending(self) -> bool:
        """Whether the configuration is neither stopped, nor fully trained, nor failed."""
        return not (self.failed or self.closed)

    def add(self, epoch: int, value: float) -> None:
        """Takes in an epoch; epochs that were left out keep the best value before them."""
        before = self.curve[-1] if self.curve else math.nan
        self.curve.extend([before] * (epoch - len(self.curve)))
        for k in range(epoch - 1, len(self.curve)):
            self.curve[k] = value if math.isnan(self.curve[k]) else max(value, self.curve[k])


class Seen(NamedTuple):
    """A configuration with its curve (the best value up to each epoch); the curve is empty if it failed."""

    config: Config
    curve: Sequence[float]
    failed: bool

    @property
    def level(self) -> int:
        """The number of observed epochs."""
        return len(self.curve)

    @property
    def value(self) -> float:
        """The best value of all epochs; -inf if the configuration failed."""
        return -np.inf if self.failed else self.curve[-1]


@dataclass
class History:
    """The memory of a searcher: suggestions, observations and failures, with the study's start and prior.

    Memory grows linearly with the observed epochs. Earlier results that do not belong to the study's space are left out.
    A configuration that they trained to R is suggested only if the study's start names it or nothing else is left. Random
    ones are drawn as `costs` has it.
    """

    setting: Setting
    costs: Costs
    records: dict[str, Record] = field(default_factory=dict)
    _start: deque[Config] = field(default_factory=deque)
    _known: set[str] = field(default_factory=set)  # digests of configurations that earlier results trained to R
    _left: list[Config] | None = None
    _names: dict[int, str] = field(default_factory=dict)  # id() of a record's own configuration -> its digest

    def __post_init__(self) -> None:
        self._start.extend(self.setting.start)
        for earlier in self.setting.prior:
            if earlier.config in self.setting.space:
                name, last = digest(dict(earlier.config)), self.setting.max_epochs
                record = self.records.setdefault(f"prior {name}", Record(earlier.config, closed=True))
                record.add(min(earlier.epoch, last), earlier.value)
                if earlier.epoch >= last:
                    self._known.add(name)

    def __len__(self) -> int:
        return len(self.records)

    def is_new(self, config: Config) -> bool:
        """Whether the configuration was neither suggested yet nor trained to R before."""
        name = digest(dict(config))
        return name not in self.records and name not in self._known

    def take(self, config: Config) -> Config:
        """Records that the configuration is suggested now; returns it."""
        name = digest(dict(config))
        if name in self.records:  # nothing else is left; its id() may come again once nobody holds it
            self._names.pop(id(self.records[name].config), None)
        self.records[name] = Record(config)
        self._names[id(config)] = name
        return config

    def next_start(self) -> Config | None:
        """Suggests the next of the study's start configurations; None if none is left."""
        while self._start:
            config = self._start.popleft()
            if digest(dict(config)) not in self.records:
                return self.take(config)
        return None

    def fresh(self, rng: np.random.Generator) -> Config | None:
        """Suggests a random new configuration; None if the space is exhausted."""
        config = self._unlisted(rng) if self.setting.space.pool is None else self._candidate(rng)
        if config is not None:
            return self.take(config)
        if self._known and self.setting.space.size <= LISTED:  # nothing else is left
            self._known.clear()
            self._left = None
            return self.fresh(rng)
        return None

    def _candidate(self, rng: np.random.Generator) -> Config | None:
        left, pool = self.open(), self.setting.space.pool
        if not left or not pool:
            return None
        return pool[left[self.costs.weighed(rng, self.costs.pool[left])] if self.costs.count else int(rng.choice(left))]

    def sample(self, rng: np.random.Generator) -> Config | None:
        """Draws a random configuration, new or not; where costs count, a new one of a pool, None if none is left."""
        if self.costs.count and self.setting.space.pool is not None:
            return self._candidate(rng)
        drawn = [self.setting.space.sample(rng) for _ in range(self.costs.draws)]
        return drawn[self.costs.pick(rng, drawn)]

    def _unlisted(self, rng: np.random.Generator) -> Config | None:
        """Returns a random new configuration of a space without a pool, which is listed only where draws find none."""
        space = self.setting.space
        for _ in range(DRAWS):
            config = self.sample(rng)
            if config is not None and self.is_new(config):
                return config
        if space.size > LISTED:
            return None
        if self._left is None:
            listed = list(space.grid(points=LISTED))
            self._left = [listed[i] for i in rng.permutation(len(listed))]
        while self._left:
            left = self._left.pop()
            if left in space and self.is_new(left):
                return left
        return None

    def open(self) -> list[int]:
        """Returns the numbers of the pool's candidates that are new; none where the space has no pool."""
        pool = self.setting.space.pool
        if pool is None:
            return []
        return [i for name, i in pool.numbers.items() if name not in self.records and name not in self._known]

    def best_open(self, rows: Matrix, rate: Callable[[Matrix], Vector], logs: Vector | None = None) -> Config | None:
        """Returns the new candidate that is rated highest; None if none is left. `rows` [n, ...]: of the pool's candidates.

        `logs` [n]: logarithms of their costs, which ratings lose.
        """
        left = self.open()
        if self.setting.space.pool is None or not left:
            return None
        rates = rate(rows[left]) if logs is None else rate(rows[left]) - logs[left]
        return self.setting.space.pool[left[int(np.argmax(rates))]]

    def _name(self, config: Config) -> str:
        return self._names.get(id(config)) or digest(dict(config))

    def observe(self, config: Config, epoch: int, value: float) -> None:
        self.records[self._name(config)].add(epoch, value)

    def fail(self, config: Config) -> None:
        self.records[self._name(config)].failed = True

    def close(self, config: Config) -> None:
        self.records[self._name(config)].closed = True

    def untouched(self) -> list[Config]:
        """Returns the running configurations that have no result yet."""
        return [record.config for record in self.records.values() if record.pending and not record.curve]

    def seen(self) -> list[Seen]:
        """Returns what was observed or failed, in the order of suggestion; running configurations as well."""
        return [
            Seen(record.config, () if record.failed else record.curve, record.failed)
            for record in self.records.values()
            if record.failed or record.curve
        ]


def standing(seen: Sequence[Seen]) -> Vector:
    """Returns the share of the others that each is better than, in [0, 1], or -1 if it failed; shape [n].

    Compares two configurations at the longest training that both had, by the best value up to there. So the rungs of
    successive halving, and trials that still run, are judged by what is comparable.
    """
    wins, others = np.zeros(len(seen)), np.full(len(seen), 1e-9)
    levels = np.array([s.level for s in seen])
    for level in sorted({s.level for s in seen if not s.failed}):
        reached = np.flatnonzero(levels >= level)
        values = np.array([seen[int(i)].curve[level - 1] for i in reached])
        reached, values = reached[~np.isnan(values)], values[~np.isnan(values)]
        here = levels[reached] == level
        for who, rivals in ((reached, values[here]), (reached[here], values[~here])):
            mine, sorted_rivals = values if who is reached else values[here], np.sort(rivals)
            below, upto = (np.searchsorted(sorted_rivals, mine, side) for side in ("left", "right"))
            wins[who] += (below + upto) / 2  # ties count half; a comparison with itself is one
            others[who] += len(rivals)
    return np.array([-1.0 if s.failed else wins[i] / others[i] for i, s in enumerate(seen)])


def ranks(seen: Sequence[Seen]) -> NDArray[np.int64]:
    """Returns the place of each by its standing, 0 for the best; of equal ones the longer trained, then the earlier, is first."""
    stands = standing(seen)
    order = sorted(range(len(seen)), key=lambda i: (-stands[i], -seen[i].level, i))
    places = np.empty(len(seen), dtype=np.int64)
    places[order] = np.arange(len(seen))
    return places
