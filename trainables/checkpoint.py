"""A trial's state as one file without pickles: tensors by name, and JSON values in the header. Written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from hpo.files import appearing

FILE = "trial.safetensors"


def write(directory: str | Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Writes DIRECTORY/trial.safetensors; a reader finds the old file or the new one, never a part."""
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with appearing(Path(directory) / FILE) as beside:
        save_file(content, beside, {"values": json.dumps(values)})


def read(directory: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the tensors, on the CPU, and the values that `write` was given."""
    with safe_open(Path(directory) / FILE, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no dictionary
        return tensors, json.loads(file.metadata()["values"])


def pack_optimizer(optimizer: Optimizer, names: Iterable[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the optimizer's state as tensors and values "parameter/key"; `names` are its parameters', in order."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    state = optimizer.state_dict()["state"]
    for index, name in enumerate(names):
        for key, value in state.get(index, {}).items():
            (tensors if isinstance(value, Tensor) else values)[f"{name}/{key}"] = value
    return tensors, values


def unpack_optimizer(
    optimizer: Optimizer, names: Iterable[str], tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> None:
    """Gives a new optimizer the state that `pack_optimizer` took from one of the same kind."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    owners = dict(zip(names, parameters, strict=True))
    for full, value in (*tensors.items(), *values.items()):
        owner, _, key = full.rpartition("/")
        optimizer.state[owners[owner]][key] = _like(value, owners[owner])


def _like(value: Any, parameter: Tensor) -> Any:
    """Returns the value in its parameter's layout: vectorized arithmetic is bitwise equal only in equal layouts."""
    if not isinstance(value, Tensor):
        return value
    if value.shape != parameter.shape or value.dim() == 0:
        return value.clone().to(parameter.device)  # a step count: it has no layout of a parameter
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
