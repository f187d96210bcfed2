"""Joining the process group of a trial that several processes train together. The caller starts the processes."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist


def free_port() -> int:
    """Returns a port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def join(rank: int, world: int, host: str, port: int) -> Any:
    """Joins the group of `world` ranks that meet at host:port: nccl where there are GPUs, one for each rank, else gloo."""
    if dist.is_initialized():
        dist.destroy_process_group()
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if host == "127.0.0.1" else "")
    if not os.environ["GLOO_SOCKET_IFNAME"]:
        del os.environ["GLOO_SOCKET_IFNAME"]
    dist.init_process_group(
        backend, init_method=f"tcp://{host}:{port}", rank=rank, world_size=world, timeout=timedelta(minutes=10)
    )
    return dist.group.WORLD


def leave() -> None:
    """Leaves the group, so that the process can join another."""
    if dist.is_initialized():
        dist.destroy_process_group()
