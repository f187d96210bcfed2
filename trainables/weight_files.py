"""Files of weights: read without running code, and freed of what training programs wrap around them. Reads only."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hpo.text import one_line
from trainables.errors import BadWeights

State = dict[str, Tensor]
# Entries of checkpoints that hold the weights, the first that is there counts: averaged ones only where there are no others.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights",
            "ema", "ema_state_dict", "state_dict_ema", "model_ema")  # fmt: skip
PREFIXES = ("module.", "model.", "_orig_mod.")  # DataParallel, Lightning, torch.compile
COUNTER = "n_averaged"  # beside the weights in torch.optim.swa_utils.AveragedModel
log = logging.getLogger(__name__)


def read(path: Path) -> State:
    """Returns the tensors of a file by name, mapped where the format allows it. Raises BadWeights.

    Wrappers and prefixes that training programs add are taken off, and the log says which.
    """
    try:
        content = _safetensors(path) if path.suffix == ".safetensors" else _unpickled(path)
    except pickle.UnpicklingError as error:
        if b"\x80" not in _head(path) and not _head(path).startswith(b"PK"):
            raise BadWeights(f"{path} must hold weights, but it is no file that torch has written") from error
        raise BadWeights(
            f"{path} must hold a dictionary of tensors, but it holds Python objects (a whole model, say), which are not "
            "loaded because they can run code; save model.state_dict() instead"
        ) from error
    except Exception as error:  # whatever a file that holds something else makes the readers raise
        raise BadWeights(f"{path} must hold weights, but it cannot be read: {one_line(error)}") from error
    state, removed = unwrapped(content)
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadWeights(f"{path} must hold weights, a dictionary of tensors, but it holds {_described(content)}")
    if removed:
        log.warning("%s: took off %s to find the weights", path, ", ".join(removed))
    return state


def unwrapped(content: Any) -> tuple[dict[str, Any], list[str]]:
    """Returns the weights within a checkpoint, and what was taken off around them, from the outside in."""
    removed = []
    while isinstance(content, Mapping):
        inner = next((name for name in WRAPPERS if isinstance(content.get(name), Mapping) and content[name]), None)
        if inner is None:
            break
        content = content[inner]
        removed.append(f"the entry {inner!r}")
    state = dict(content) if isinstance(content, Mapping) else {}
    state.pop(COUNTER, None)
    while prefix := next((p for p in PREFIXES if state and all(str(key).startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
        removed.append(f"the prefix {prefix!r}")
    return state, removed


def _safetensors(path: Path) -> State:
    from safetensors.torch import load_file

    return load_file(path)


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # the old format cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2)


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dictionary of {', '.join(map(str, list(content)[:5])) or 'nothing'}"
    return f"a {type(content).__name__}"
