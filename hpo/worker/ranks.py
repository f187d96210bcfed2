"""A trial on several GPUs: rank actors in the trial's placement group, driven as one trainable. Imports ray.

The actors stay with the worker from trial to trial, because a process takes seconds to start.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.util import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from hpo.worker.devices import hide_what_was_not_given


class Rank:
    """One process of the trial, with the user's trainable as one member of a process group.

    Files travel as bytes, so that ranks may run on different nodes: rank 0 writes them, all ranks read them.
    """

    def __init__(self) -> None:
        hide_what_was_not_given(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        self._trainable: Any = None

    def meeting_point(self) -> tuple[str, int]:
        from trainables.ranks import free_port

        return str(ray.util.get_node_ip_address()), free_port()

    def build(
        self,
        trainable: str,
        codes: Mapping[str, bytes],
        rank: int,
        world: int,
        point: tuple[str, int],
        arguments: dict[str, Any],
    ) -> dict[str, str]:
        """Builds the trainable and returns its provenance. `codes`: for `given.receive`."""
        from trainables import given, load
        from trainables.ranks import join

        given.receive(codes)
        config = arguments.pop("config")
        self._trainable = load(trainable)(config, group=join(rank, world, *point), **arguments)
        return dict(getattr(self._trainable, "provenance", {}))

    def train_epoch(self) -> dict[str, float]:
        return dict(self._trainable.train_epoch())

    def test(self) -> dict[str, Any]:
        return dict(self._trainable.test())

    def release(self) -> None:
        """Frees the trainable and its memory, and leaves the process group."""
        from trainables.memory import memory
        from trainables.ranks import leave

        self._trainable = None
        leave()
        memory().release()

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
    """A trainable whose work several rank actors share. Every call goes to all of them; the answer is rank 0's.

    Raises what the user's trainable raised in a rank, so that the failure keeps its kind.
    """

    def __init__(self, trainable: str, world: int, cpus: float, **arguments: Any) -> None:
        from trainables import given

        codes = given.codes(trainable)
        self._actors = _crew(world, cpus)
        point = self._all([self._actors[0].meeting_point.remote()])[0]
        (self.provenance, *_) = self._all(
            [a.build.remote(trainable, codes, i, world, point, arguments) for i, a in enumerate(self._actors)]
        )

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
        """Frees what the trial holds; the rank actors wait for the worker's next trial."""
        if self._actors:
            self._all([actor.release.remote() for actor in self._actors])
            self._actors = []

    def _all(self, references: list[Any]) -> list[Any]:
        try:
            return list(ray.get(references))
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            self._end()  # the other ranks may wait for this one for ever
            raise cause from None
        except ray.exceptions.RayActorError:
            self._end()
            ray.actor.exit_actor()  # as if the worker had died: the dispatch assigns the trial anew
            raise

    def _end(self) -> None:
        for actor in self._actors:
            with suppress(ray.exceptions.RayError):
                ray.kill(actor)
        self._actors = []
        _crews.clear()


_crews: dict[tuple[int, float], list[Any]] = {}


def _crew(world: int, cpus: float) -> list[Any]:
    """Returns this worker's rank actors; they fill the bundles of its placement group after the first, its own."""
    if (world, cpus) not in _crews:
        group = get_current_placement_group()
        _crews[world, cpus] = [
            ray.remote(Rank)
            .options(
                num_gpus=1,
                num_cpus=cpus,
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=i + 1),
            )
            .remote()
            for i in range(world)
        ]
    return list(_crews[world, cpus])
