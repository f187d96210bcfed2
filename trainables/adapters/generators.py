"""The global random generators of Python, NumPy and PyTorch, which others' code draws from, as each trial's own.

Writes nothing. A library that is not imported is left alone.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Generators:
    """One trial's states of the global generators: begun from its seed, and in force only while it trains."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.states: dict[str, Any] | None = None
        """As the trial left them; None before it began. A state is what each library calls one; to go on, set them."""

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Lets the block draw where the trial left off, and afterwards the rest of the process where that left off."""
        others = _states()
        self.put(self.states or {})
        try:
            yield
        finally:
            self.states = _states()
            _restore(others)

    def put(self, states: Mapping[str, Any]) -> None:
        """Puts the generators to the states; begins from the seed those of libraries that had not been imported then."""
        _begin(self._seed, _states().keys() - states.keys())
        _restore(states)


def _states() -> dict[str, Any]:
    states: dict[str, Any] = {"python": random.getstate()}
    if (numpy := sys.modules.get("numpy")) is not None:
        states["numpy"] = numpy.random.get_state()
    if (torch := sys.modules.get("torch")) is not None:
        states["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _restore(states: Mapping[str, Any]) -> None:
    if "python" in states:
        random.setstate(states["python"])
    if "numpy" in states:
        sys.modules["numpy"].random.set_state(states["numpy"])
    if "torch" in states:
        sys.modules["torch"].set_rng_state(states["torch"])
    if "cuda" in states:
        sys.modules["torch"].cuda.set_rng_state_all(states["cuda"])


def _begin(seed: int, names: Collection[str]) -> None:
    if "python" in names:
        random.seed(seed)
    if "numpy" in names:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in names:
        sys.modules["torch"].manual_seed(seed)
    if "cuda" in names:
        sys.modules["torch"].cuda.manual_seed_all(seed)
