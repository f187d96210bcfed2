"""Trials on several processes: by gloo on one GPU as by one process, by NCCL in a group of one, refused where NCCL cannot.

Without a GPU the same by gloo on the CPU. The ranks are child processes (this file, run as a program), which a test kills
at its limit: a rank that waits for another would wait for minutes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hpo.errors import HpoError
from trainables import ranks
from trainables.image_classifier import ImageClassifier
from trainables.parallel import Shard, SharedDropout

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
LIMITS = (
    {"trained": 40, "refused": 30, "alone": 30} if GPU else dict.fromkeys(("trained", "refused", "alone"), 150)
)  # s
TASK = {
    "data": {"name": "digits", "train": 80, "validation": 40, "test": 40, "augment": "trivialaugment"},
    "model": {"name": "digits_net", "weights": "none"},
}
CONFIG = {"image_size": 16, "batch_size": 16, "finetuned_layers": "all", "optimizer": "sgd", "learning_rate": 0.05,
          "momentum": 0.9, "dropout": 0.0}  # fmt: skip
EPOCHS = 2
TOLERANCE = 5e-3 if GPU else 1e-4  # of a loss; half a batch may take other kernels than a whole one


# -- the children -----------------------------------------------------------------------------------------------------


def child(job: Mapping[str, Any]) -> dict[str, Any]:
    """Joins the group, adds up a tensor over its ranks, trains and tests; or tells why it was refused."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    group, found = None, {}
    if job["world"]:
        try:
            group = ranks.join(job["rank"], job["world"], "127.0.0.1", job["port"])
        except HpoError as error:
            return {"refused": str(error)}
        total = torch.full((3,), job["rank"] + 1.0, device=DEVICE)
        torch.distributed.all_reduce(total, group=group)
        found = {"backend": torch.distributed.get_backend(group), "total": total.tolist()}
    trainable = ImageClassifier(CONFIG, task=TASK, seed=0, max_epochs=EPOCHS, group=group)
    curve = [trainable.train_epoch() for _ in range(EPOCHS)]
    tested = trainable.test()
    ranks.leave()
    return found | {"curve": curve, "test_loss": tested["test_loss"], "device": trainable.provenance["device"]}


def play(folder: Path, jobs: list[dict[str, Any]], limit: float) -> list[dict[str, Any]]:
    """Runs each job in a child process; returns what they found. Kills all of them at the limit, in seconds."""
    ends, children = time.monotonic() + limit, []
    for number, job in enumerate(jobs):
        place = folder / str(number)
        with place.with_suffix(".log").open("w") as log:
            command = [sys.executable, __file__, json.dumps(job), str(place.with_suffix(".json"))]
            children.append(
                subprocess.Popen(
                    command, stdout=log, stderr=log, env=environment(folder, job["backend"]), start_new_session=True
                )
            )
    try:
        for running in children:
            with suppress(subprocess.TimeoutExpired):
                running.wait(max(0.0, ends - time.monotonic()))
    finally:
        for running in children:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    logs = "\n".join(f"child {i}: {(folder / f'{i}.log').read_text()[-700:]}" for i in range(len(jobs)))
    codes = [running.returncode for running in children]
    assert codes == [0] * len(jobs), f"children ended with {codes} within {limit} s (-9: killed)\n{logs}"
    return [json.loads((folder / f"{i}.json").read_text()) for i in range(len(jobs))]


def environment(folder: Path, backend: str) -> dict[str, str]:
    """One GPU is seen, however many there are."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"CUDA_VISIBLE_DEVICES": seen, "PYTHONPATH": os.pathsep.join(paths), ranks.BACKEND: backend}
    return {**os.environ, **own, "HPO_CACHE": str(folder / "cache"), "HPO_ACTIVATIONS_MEMORY": "0"}


def group_of(world: int, backend: str = "") -> list[dict[str, Any]]:
    port = ranks.free_port()
    return [{"rank": rank, "world": world, "port": port, "backend": backend} for rank in range(world)]


# -- the tests --------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(LIMITS["trained"] + 10)
def test_two_processes_by_gloo_train_as_one(tmp_path):
    alone = {"rank": 0, "world": 0, "port": 0, "backend": ""}
    *both, expected = play(tmp_path, [*group_of(2, "gloo"), alone], LIMITS["trained"])
    assert expected["curve"][-1]["loss"] < expected["curve"][0]["loss"] - 10 * TOLERANCE
    for found in both:
        assert (found["backend"], found["total"]) == ("gloo", [3.0] * 3)
        assert found["device"] == expected["device"]
        for mine, wanted in zip(found["curve"], expected["curve"], strict=True):
            for name in ("loss", "val_loss"):
                assert mine[name] == pytest.approx(wanted[name], abs=TOLERANCE)
        assert found["test_loss"] == pytest.approx(expected["test_loss"], abs=TOLERANCE)


@pytest.mark.timeout(LIMITS["refused"] + 10)
def test_two_processes_by_nccl_are_refused_without_a_gpu_each(tmp_path):
    reason = "ranks 0 and 1 share GPU-" if GPU else "rank 0 and 1 does not"
    for found in play(tmp_path, group_of(2, "nccl"), LIMITS["refused"]):
        assert reason in found["refused"]
        assert "HPO_RANKS_BACKEND=gloo" in found["refused"]


@pytest.mark.timeout(LIMITS["alone"] + 10)
def test_a_group_of_one_trains_by_the_default_backend(tmp_path):
    (found,) = play(tmp_path, group_of(1), LIMITS["alone"])
    assert (found["backend"], found["total"]) == ("nccl" if GPU else "gloo", [1.0] * 3)
    assert found["curve"][-1]["loss"] < found["curve"][0]["loss"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_of_two_ranks_is_that_of_one_process(dtype):
    rows = torch.randn(64, 1280, device=DEVICE).to(dtype)
    torch.manual_seed(5)
    expected = nn.Dropout(0.4)(rows)
    for rank in range(2):
        shared = SharedDropout(0.4)
        shared.shard = Shard(total=len(rows))
        shared.shard.rank, shared.shard.world = rank, 2
        torch.manual_seed(5)
        assert torch.equal(shared(rows[rank::2]), expected[rank::2])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(child(json.loads(sys.argv[1]))))
    os._exit(0)  # torch 2.11 was seen to abort now and then when the interpreter ends its threads
