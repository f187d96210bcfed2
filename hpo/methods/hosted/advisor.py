"""A library's method in one run: opened when it is first asked, and broken for good when it cannot go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from hpo.methods import options as checks
from hpo.methods.hosted import environments
from hpo.methods.hosted.libraries import HOSTED, Library
from hpo.methods.hosted.process import Guest, HostFailed, opened
from hpo.methods.hosted.spaces import Translation
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.searchers.costs import Costs
from hpo.methods.searchers.history import History
from hpo.study.space import Config
from hpo.study.values import canonical

LIMIT = 600.0  # seconds for one answer
TAG = 20  # of our own random draws, in place of suggestions that were made before

Answer = TypeVar("Answer")


class Advisor:
    """A library's method in a process of its own, and the configurations that its suggestions become.

    What the library suggests a second time is replaced by a random new configuration, and it is told so, as it is of
    configurations that the study's `start` names, and of the nearest open candidate where the space is a pool.

    `name`: of the library; `kind`: what the method decides (full, stopping or promoting); `broken` and `deterministic` as
    in protocol.Remote. Options of every library: name (which of its methods), max_epochs (R), limit (seconds for one
    answer), flat (a library that knows no conditions searches all hyperparameters always), deterministic (false: the same
    seed does not give the same suggestions). All others are the library's.
    """

    def __init__(
        self,
        setting: Setting,
        method: str,
        *,
        name: str = "",
        max_epochs: int | None = None,
        limit: float = LIMIT,
        flat: bool = False,
        deterministic: bool = True,
        **options: Any,
    ) -> None:
        self.max_epochs = checks.epochs(setting, max_epochs)
        self._limit = checks.real("limit", limit, 1e-3, 1e9)
        self._setting, self._library = setting, HOSTED[method].library(method, name)
        self.name, self._python = self._library.name, environments.python_of(self._library)
        self._history = History(setting, Costs(setting, aware=False))
        self._translation = Translation(setting.space, flat=checks.flag("flat", flat))
        self._opening = {
            "name": name, "options": options, "space": self._translation.told, "max_epochs": self.max_epochs,
            "budget": setting.budget, "seed": setting.seed, "parallelism": setting.parallelism, "prior": self._prior(),
        }  # fmt: skip
        found = _tried(self._library, self._python, self._opening)
        self.kind = str(found["kind"])
        self.deterministic = checks.flag("deterministic", deterministic) and bool(found["deterministic"])
        self._guest: Guest | None = None
        self._suggested = 0
        self._stored: Mapping[int, Config] = {}
        self.broken = ""

    def _prior(self) -> list[tuple[Config, int, float]]:
        known = [(r.config, len(r.curve), r.curve[-1]) for r in self._history.records.values() if r.curve]
        return [(self._translation.full(config), epochs, best) for config, epochs, best in known]

    def guarded(self, step: Callable[[], Answer], instead: Answer) -> Answer:
        """Takes a step of the library; where that fails, it is broken, and what is decided is `instead`."""
        if self.broken:
            return instead
        try:
            return step()
        except (HostFailed, InvalidOption) as error:
            self.broken = str(error)
            self.end()
            return instead

    def tell(self, do: str, **told: Any) -> None:
        """Says something that needs no answer. Raises HostFailed where the library cannot be opened."""
        self._open().tell(do, **told)

    def ask(self, do: str, **told: Any) -> dict[str, Any]:
        """Says something and returns the answer. Raises HostFailed, and InvalidOption for what the library refuses."""
        return self._open().ask(do, self._limit, **told)

    def _open(self) -> Guest:
        if self._guest is None:
            self._guest, _ = opened(self._library, self._python, self._opening, self._limit)
        return self._guest

    def end(self) -> None:
        """Learns that the run is over."""
        if self._guest is not None:
            self._guest.close()

    def repeat(self, configs: Mapping[int, Config]) -> None:
        """Learns which configurations it suggested in an earlier sitting, by their numbers."""
        self._stored = configs

    # -- suggestions --------------------------------------------------------------------------------------------------

    def settled(self, theirs: int, suggested: Mapping[str, Any]) -> Config | None:
        """Returns the configuration of the library's trial `theirs`: the suggested one, unless it was made before.

        None if nothing is left. Raises HostFailed for a suggestion that the space does not have.
        """
        wanted = self._translation.understood(self.name, suggested)
        config = self._instead_of(wanted, theirs)
        if config is None:
            self.tell("fail", trial=theirs)
            return None
        self._suggested += 1
        if config != wanted:
            self.tell("take", trial=theirs, config=self._translation.full(config, suggested))
        return config

    def _instead_of(self, wanted: Config, theirs: int) -> Config | None:
        start, stored = self._history.next_start(), self._stored.get(self._suggested)
        if start is not None:
            return start
        if stored is not None and self._history.is_new(stored):
            return self._history.take(stored)
        if self._setting.space.pool is None and self._history.is_new(wanted):
            return self._history.take(wanted)
        near = self._nearest_open(wanted)
        if near is not None:
            return self._history.take(near)
        return self._history.fresh(np.random.default_rng([self._setting.seed, TAG, theirs]))

    def _nearest_open(self, config: Config) -> Config | None:
        """Returns the open candidate nearest to a configuration; None where the space is no pool, or nothing is open."""
        space = self._setting.space
        if space.pool is None:
            return None
        place = space.features(config)
        return self._history.best_open(space.pool.features, lambda rows: -((rows - place) ** 2).sum(axis=1))


class Advised:
    """What a library decides, which may break (protocol.Remote)."""

    def __init__(self, advisor: Advisor) -> None:
        self._advisor = advisor

    @property
    def broken(self) -> str:
        return self._advisor.broken

    @property
    def deterministic(self) -> bool:
        return self._advisor.deterministic

    def end(self) -> None:
        self._advisor.end()

    def repeat(self, configs: Mapping[int, Config]) -> None:
        self._advisor.repeat(configs)


_known: dict[str, Mapping[str, Any]] = {}


def _tried(library: Library, python: str, opening: Mapping[str, Any]) -> Mapping[str, Any]:
    """Opens a run and closes it again; returns what the library says of itself. Raises InvalidOption where it cannot."""
    name = canonical([library.name, python, {**opening, "seed": 0, "prior": [], "budget": 0}])
    if name not in _known:
        try:
            first, _known[name] = opened(library, python, {**opening, "prior": []}, LIMIT)
            first.close()
        except HostFailed as error:
            raise InvalidOption(str(error)) from error
    return _known[name]
