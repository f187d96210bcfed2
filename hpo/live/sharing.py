"""A study's share of a cluster that others use too: what it asks for, and how many slots it may hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cluster.sharing.client import Ask, Sharing
from cluster.slots import Request
from hpo.study.study import Study

if TYPE_CHECKING:
    from cluster.connect import Connection

MOST_SLOTS = 4096


@contextmanager
def shared(study: Study, connection: Connection, workers: int | None) -> Iterator[Sharing | None]:
    """Yields the study's part in sharing the cluster, until the end of the block; None where the cluster is its own."""
    if connection.local:
        yield None
        return
    sharing = Sharing(ask(study, workers))
    try:
        yield sharing
    finally:
        sharing.close()


def ask(study: Study, workers: int | None) -> Ask:
    """Returns what the study asks of a cluster. The autoscaler is asked for nodes only up to a limit that the user set."""
    resources = study.resources
    limit = most(study, workers)
    return Ask(
        request=Request(resources.bundles, resources.labels),
        study=study.study,
        owner=study.owner or "",
        priority=study.priority,
        least=min(resources.min_workers, limit or MOST_SLOTS),
        most=limit or MOST_SLOTS,
        grows=limit is not None,
    )


def most(study: Study, workers: int | None) -> int | None:
    """Returns the most trials at a time: --workers, or the study's own limit; None without either."""
    return workers or study.resources.max_workers


def grows() -> bool:
    """Returns whether the connected cluster has an autoscaler."""
    from cluster.sharing.world import grows, look

    return grows(look())
