"""Joining the process group of a trial that several processes train together. The caller starts the processes.

Ranks with a GPU each meet by nccl, ranks without GPUs by gloo; HPO_RANKS_BACKEND names one of the two. NCCL hangs or
fails in its own words where two ranks share a GPU: so the ranks first tell each other which GPU they have.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # documented, but not in __all__

from trainables.errors import BadStudy

BACKEND = "HPO_RANKS_BACKEND"
BACKENDS = ("nccl", "gloo")
LONGEST = timedelta(minutes=10)  # that one rank waits for another
WHERE = ("resources", "gpus")


def free_port() -> int:
    """Returns a port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def join(rank: int, world: int, host: str, port: int) -> Any:
    """Joins the group of `world` ranks that meet at host:port. The current device becomes this rank's GPU, if it has one.

    A process that sees several GPUs takes the one of its rank, counted around. Raises BadStudy in every rank if the
    ranks' devices do not suit the backend, or HPO_RANKS_BACKEND is neither nccl nor gloo.
    """
    leave()
    if host == "127.0.0.1":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    device = _own_device(rank)
    store = TCPStore(host, port, world, is_master=rank == 0, timeout=LONGEST)
    told = [_identity(device), os.environ.get(BACKEND, "")]
    devices, named = zip(*_exchange(store, rank, world, told), strict=True)
    backend = choose(devices, named)
    dist.init_process_group(
        backend,
        store=PrefixStore("group", store),
        rank=rank,
        world_size=world,
        timeout=LONGEST,
        device_id=device if backend == "nccl" else None,
    )
    return dist.group.WORLD


def leave() -> None:
    """Leaves the group, so that the process can join another."""
    if dist.is_initialized():
        dist.destroy_process_group()


def choose(devices: Sequence[str], named: Sequence[str]) -> str:
    """Returns the backend of ranks on `devices`, each a GPU's unique name, or empty for a rank without a GPU.

    `named` is each rank's HPO_RANKS_BACKEND, empty for the default. Raises BadStudy where they cannot meet.
    """
    world, names = len(devices), sorted(set(named))
    if len(names) > 1 or names[0] not in ("", *BACKENDS):
        raise BadStudy(
            WHERE,
            f"{BACKEND} must be nccl or gloo, the same in all processes, but got {' and '.join(map(repr, names))}; "
            "unset it to have it chosen",
        )
    if names == ["gloo"] or (names == [""] and not any(devices)):
        return "gloo"
    if without := [rank for rank in range(world) if not devices[rank]]:
        raise BadStudy(
            WHERE,
            f"each of a trial's {world} processes must see a GPU for NCCL, but rank {_list(without)} does not; give it "
            f"one, or set {BACKEND}=gloo",
        )
    for device in devices:
        sharing = [rank for rank in range(world) if devices[rank] == device]
        if len(sharing) > 1:
            raise BadStudy(
                WHERE,
                f"each of a trial's {world} processes must have a GPU of its own for NCCL, but ranks {_list(sharing)} "
                f"share {device}; ask for no more GPUs than there are, or set {BACKEND}=gloo",
            )
    return "nccl"


def _list(ranks: Sequence[int]) -> str:
    return " and ".join(map(str, ranks))


def _own_device(rank: int) -> torch.device | None:
    """Makes this rank's GPU the current device."""
    if not torch.cuda.is_available():
        return None
    device = torch.device("cuda", rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def _identity(device: torch.device | None) -> str:
    return "" if device is None else f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def _exchange(store: TCPStore, rank: int, world: int, own: list[str]) -> list[list[str]]:
    """Returns what each rank tells, in the order of ranks. Rank 0, which serves the store, leaves last."""
    store.set(f"told/{rank}", json.dumps(own))
    found = [json.loads(store.get(f"told/{other}")) for other in range(world)]
    store.set(f"read/{rank}", "yes")
    if rank == 0:
        store.wait([f"read/{other}" for other in range(world)])
    return found
