"""torchvision, imported without torch's compiler: the modules that come first in a process take it from here."""

from __future__ import annotations

from trainables.uncompiled import compiler_apart

with compiler_apart():
    import torchvision
    import torchvision.transforms.v2

__all__ = ["torchvision"]
