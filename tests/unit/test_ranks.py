"""Which backend the ranks of a trial meet by, and that ranks which cannot meet say so at once, all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from trainables import ranks
from trainables.errors import BadStudy

A, B = "GPU-a", "GPU-b"


@pytest.mark.parametrize(
    ("devices", "named", "backend"),
    [
        ([""], "", "gloo"),
        (["", ""], "", "gloo"),
        ([A], "", "nccl"),
        ([A, B], "", "nccl"),
        ([A, B], "nccl", "nccl"),
        ([A, B], "gloo", "gloo"),
        ([A, A], "gloo", "gloo"),
        ([A, ""], "gloo", "gloo"),
    ],
)
def test_nccl_where_every_rank_has_a_gpu_of_its_own_and_gloo_without_gpus(devices, named, backend):
    assert ranks.choose(devices, [named] * len(devices)) == backend


@pytest.mark.parametrize(
    ("devices", "named", "words"),
    [
        (
            [A, A],
            ["", ""],
            "must have a GPU of its own for NCCL, but ranks 0 and 1 share GPU-a; .* HPO_RANKS_BACKEND=gloo",
        ),
        ([B, A, B], ["nccl"] * 3, "each of a trial's 3 processes .* but ranks 0 and 2 share GPU-b"),
        ([A, ""], ["", ""], "each of a trial's 2 processes must see a GPU for NCCL, but rank 1 does not"),
        (["", ""], ["nccl", "nccl"], "but rank 0 and 1 does not"),
        (["", ""], ["mpi", "mpi"], "HPO_RANKS_BACKEND must be nccl or gloo, .* but got 'mpi'; unset it"),
        ([A, B], ["nccl", "gloo"], "the same in all processes, but got 'gloo' and 'nccl'"),
    ],
)
def test_ranks_that_cannot_meet_are_refused(devices, named, words):
    with pytest.raises(BadStudy, match=words) as caught:
        ranks.choose(devices, named)
    assert caught.value.location == ("resources", "gpus")


@pytest.mark.timeout(60)  # the ranks would wait for each other for ten minutes
def test_every_rank_hears_that_two_share_a_gpu(monkeypatch):
    monkeypatch.delenv(ranks.BACKEND, raising=False)
    monkeypatch.setattr(ranks, "_own_device", lambda rank: None)
    monkeypatch.setattr(ranks, "_identity", lambda device: A)
    port = ranks.free_port()
    with ThreadPoolExecutor(3) as pool:
        joining = [pool.submit(ranks.join, rank, 3, "127.0.0.1", port) for rank in range(3)]
        for future in joining:
            with pytest.raises(BadStudy, match="ranks 0 and 1 and 2 share GPU-a"):
                future.result()
