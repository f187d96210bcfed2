"""A trial's state as one file without pickles: tensors by name, and JSON values in the header. Written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

FILE = "trial.safetensors"


def write(directory: str | Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Writes DIRECTORY/trial.safetensors; a reader finds the old file or the new one, never a part."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{FILE}.partial"
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        partial,
        {"values": json.dumps(values)},
    )
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, folder / FILE)


def read(directory: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the values that `write` was given."""
    with safe_open(Path(directory) / FILE, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
        return tensors, json.loads(file.metadata()["values"])


def pack_optimizer(optimizer: Optimizer, names: Iterable[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The optimizer's state as tensors and values named "parameter/key"; `names` are its parameters' in order."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for index, name in enumerate(names):
        for key, value in optimizer.state_dict()["state"].get(index, {}).items():
            (tensors if isinstance(value, Tensor) else values)[f"{name}/{key}"] = value
    return tensors, values


def unpack_optimizer(
    optimizer: Optimizer, names: Iterable[str], tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> None:
    """Gives a new optimizer the state that `pack_optimizer` took from its like."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, parameter in zip(names, parameters, strict=True):
        for full, value in (*tensors.items(), *values.items()):
            owner, _, key = full.rpartition("/")
            if owner == name:
                optimizer.state[parameter][key] = _like(value, parameter)


def _like(value: Any, parameter: Tensor) -> Any:
    """The value laid out as the optimizer would have it: vectorized arithmetic is bitwise equal only in equal layout."""
    if not isinstance(value, Tensor):
        return value
    if value.shape != parameter.shape or value.dim() == 0:
        return value.clone()  # a step count: optimizers keep it where they made it
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
