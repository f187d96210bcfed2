"""A method of another library as a searcher: the library says what to try, a schedule of ours how far to train it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.methods.hosted.advisor import Advised, Advisor
from hpo.methods.hosted.process import HostFailed
from hpo.methods.protocol import InvalidOption, Setting
from hpo.study.space import Config
from hpo.study.values import digest
from hpo.text import shown

FULL = "full"  # the kind of methods that decide nothing about lengths


class HostedSearcher(Advised):
    """Asks the library for configurations, and tells it their epochs, where they wait and how they ended.

    Unlike our own searchers a library may not learn from trials that run: what it is told at a pause and at the end counts.
    """

    oblivious = False
    expensive = True

    def __init__(self, advisor: Advisor) -> None:
        super().__init__(advisor)
        self._theirs: dict[str, int] = {}  # a configuration's digest -> its number at the library
        self._exhausted = False

    def suggest(self) -> Config | None:
        return self._advisor.guarded(self._next, None)

    def _next(self) -> Config | None:
        asked = None if self._exhausted else self._advisor.ask("ask")["ask"]
        match asked:
            case None:
                return None
            case [int(theirs), _, dict(suggested)]:
                config = self._advisor.settled(theirs, suggested)
            case _:
                raise HostFailed(f"{self._advisor.name} must suggest a configuration, but answered {shown(asked)}")
        if config is None:
            self._exhausted = True
        else:
            self._theirs[digest(dict(config))] = theirs
        return config

    def observe(self, config: Config, epoch: int, value: float) -> None:
        self._tell("observe", config, epoch=epoch, value=value)

    def pause(self, config: Config) -> None:
        """Learns that a suggested configuration waits at its last epoch, and may never be trained on."""
        self._tell("pause", config)

    def fail(self, config: Config) -> None:
        self._tell("fail", config)

    def close(self, config: Config) -> None:
        self._tell("close", config)

    def _tell(self, do: str, config: Config, **told: Any) -> None:
        theirs = self._theirs[digest(dict(config))]
        self._advisor.guarded(lambda: self._advisor.tell(do, trial=theirs, **told), None)


def searcher_of(
    owner: str, method: str, setting: Setting, options: Mapping[str, Any], max_epochs: int | None
) -> HostedSearcher:
    """Builds another library's method as the searcher of our method `owner`, whose R is `max_epochs`.

    Raises InvalidOption for a method that stops or pauses trials itself.
    """
    advisor = Advisor(setting, method, **{"max_epochs": max_epochs, **options})
    if advisor.kind != FULL:
        raise InvalidOption(
            f"searcher of {owner} must only suggest configurations, but {method} with these options stops or pauses trials "
            "itself: name it as a method of its own, or leave that to its library's samplers"
        )
    return HostedSearcher(advisor)
