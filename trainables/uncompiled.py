"""torch without its compiler, which takes a second to import, until somebody compiles.

torchvision's package imports it to ask a question that arises in detection alone, and the first optimizer imports it to
tell it what not to compile. Once it is loaded, everything is as torch has it. Importing this module changes torch's
optimizers in this process: they load the compiler no more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from inspect import getattr_static
from types import ModuleType
from typing import Any

import torch

COMPILER = "torch._dynamo"
DISABLED = "__dynamo_disable"  # where torch keeps a function's stand-in once it has asked the compiler for it
STEP = "_use_grad"  # the name of torch's function around an optimizer's step


def _ask_later(device: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return bool(is_compile_supported(device))


@contextmanager
def compiler_apart() -> Iterator[None]:
    """Gives whoever imports the compiler in the block a stand-in for what torchvision takes from it."""
    if COMPILER in sys.modules:
        yield
        return
    stand_in, utils = ModuleType(COMPILER), ModuleType(f"{COMPILER}.utils")
    vars(utils).update(is_compile_supported=_ask_later)
    vars(stand_in).update(utils=utils, __path__=[], disable=lambda function, *_, **__: _spared(function))
    sys.modules.update({COMPILER: stand_in, utils.__name__: utils})
    try:
        yield
    finally:
        del sys.modules[COMPILER], sys.modules[utils.__name__]


def _spared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns what torch calls in place of a function that it must not compile: the function, while nothing compiles."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if COMPILER not in sys.modules:
            return function(*arguments, **options)
        hidden = getattr(function, DISABLED, None)
        if hidden is None or hidden is call:
            hidden = import_module(COMPILER).disable(function, wrapping=False)
            setattr(function, DISABLED, hidden)
        return hidden(*arguments, **options)

    return call


def _stepping(step: Callable[..., Any]) -> Callable[..., Any]:
    """Returns an optimizer's step that sets autograd as torch's does, and tells the compiler only where there is one."""
    inside: Callable[..., Any] = step.__wrapped__  # type: ignore[attr-defined]

    @wraps(inside)
    def lean(self: torch.optim.Optimizer, *arguments: Any, **options: Any) -> Any:
        if COMPILER in sys.modules:
            return step(self, *arguments, **options)
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return inside(self, *arguments, **options)

    return lean


def _spare_optimizers() -> None:
    """Changes torch's optimizers, of this process alone; what they compute stays the same to the bit."""
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        inner = getattr(getattr_static(torch.optim.Optimizer, name), "__wrapped__", None)
        if inner is not None and not hasattr(inner, DISABLED):
            setattr(inner, DISABLED, _spared(inner))
    for kind in (torch.optim.Adadelta, torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD):
        if getattr(kind.step, "__code__", None) is not None and kind.step.__code__.co_name == STEP:
            kind.step = _stepping(kind.step)  # type: ignore[method-assign]


_spare_optimizers()
