"""A trial on several GPUs: rank actors in the trial's own placement group, driven as one trainable. Imports ray."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.util import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy


class Rank:
    """One process of the trial: builds the user's trainable with the group and does as it is told.

    Files cross as bytes, so that ranks may sit on different nodes: rank 0 writes, all ranks read.
    """

    def __init__(self) -> None:
        self._trainable: Any = None

    def meeting_point(self) -> tuple[str, int]:
        from trainables.ranks import free_port

        return str(ray.util.get_node_ip_address()), free_port()

    def build(self, trainable: str, rank: int, world: int, point: tuple[str, int], arguments: dict[str, Any]) -> None:
        from trainables import load
        from trainables.ranks import join

        config = arguments.pop("config")
        self._trainable = load(trainable)(config, group=join(rank, world, *point), **arguments)

    def train_epoch(self) -> dict[str, float]:
        return dict(self._trainable.train_epoch())

    def test(self) -> dict[str, Any]:
        return dict(self._trainable.test())

    def save(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            self._trainable.save(folder)
            return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}

    def load(self, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), files)
            self._trainable.load(folder)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


class Ranks:
    """A trainable whose work several rank actors do; every call goes to all of them, rank 0's answer counts.

    Raises what the user's trainable raised in a rank, so that a failure keeps its kind.
    """

    def __init__(self, trainable: str, world: int, cpus: float, **arguments: Any) -> None:
        group = get_current_placement_group()
        self._actors = [
            ray.remote(Rank)
            .options(
                num_gpus=1,
                num_cpus=cpus,
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=i + 1),
            )
            .remote()
            for i in range(world)
        ]
        point = ray.get(self._actors[0].meeting_point.remote())
        self._all([a.build.remote(trainable, i, world, point, arguments) for i, a in enumerate(self._actors)])

    def train_epoch(self) -> dict[str, float]:
        return dict(self._all([actor.train_epoch.remote() for actor in self._actors])[0])

    def test(self) -> dict[str, Any]:
        return dict(self._all([actor.test.remote() for actor in self._actors])[0])

    def save(self, directory: str | Path) -> None:
        _write(Path(directory), self._all([actor.save.remote() for actor in self._actors])[0])

    def load(self, directory: str | Path) -> None:
        folder = Path(directory)
        files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        self._all([actor.load.remote(files) for actor in self._actors])

    def close(self) -> None:
        """Ends the rank actors, so that their GPUs are free for the next trial's."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []

    def _all(self, references: list[Any]) -> list[Any]:
        try:
            return list(ray.get(references))
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            self.close()
            raise cause from None
