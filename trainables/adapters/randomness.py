"""The global random generators of Python, NumPy and PyTorch, as one trial has them: others' code draws from them.

Every trial has its own states, which are put in place while its code runs. PyTorch is never imported here.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class Randomness:
    """The states of the generators in one trial, all seeded with its seed at first."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._states: dict[str, Any] = {}
        self._kept: bytes | None = None  # of a checkpoint, until the code has come to where it goes on

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Lets the block draw from the trial's generators, and puts those of the process back afterwards."""
        before = _states()
        _set({name: self._states.get(name) for name in before}, self._seed)
        try:
            yield
        finally:
            self._states = _states()
            _set(before, 0)

    def packed(self) -> bytes:
        """Returns the states as they are now, for a checkpoint."""
        return pickle.dumps(self._states)

    def keep(self, packed: bytes) -> None:
        """Takes the states of a checkpoint, which `go_on` puts in place."""
        self._kept = packed

    def go_on(self) -> None:
        """Puts the generators to where they stood at the checkpoint; only the first call does anything."""
        if self._kept is not None:
            kept, self._kept = pickle.loads(self._kept), None
            _set(kept, self._seed)


def _states() -> dict[str, Any]:
    """Returns the state of each generator that this process has."""
    found: dict[str, Any] = {"python": random.getstate(), "numpy": np.random.get_state()}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def _set(states: dict[str, Any], seed: int) -> None:
    """Puts generators in place; seeds the one whose state is None."""
    torch: Any = sys.modules.get("torch")
    for name, state in states.items():
        if name == "python":
            random.seed(seed) if state is None else random.setstate(state)
        elif name == "numpy":
            np.random.seed(seed % 2**32) if state is None else np.random.set_state(state)
        elif name == "torch":
            torch.manual_seed(seed) if state is None else torch.set_rng_state(state)
        elif name == "cuda":
            torch.cuda.manual_seed_all(seed) if state is None else torch.cuda.set_rng_state_all(state)
