"""Recorded work against the same work run as it is: equal results, equal random numbers, and what cannot be recorded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from trainables.graphs import Recorded, pool
from trainables.machine import Machine, lent_generators
from trainables.pretrained import Normalization

pytestmark = pytest.mark.gpu

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MACHINE = Machine(DEVICE, True, False, Normalization((0.5,) * 3, (0.5,) * 3))


class Total:
    """Adds up a dropout of its inputs, in place."""

    def __init__(self) -> None:
        self.value = torch.zeros(4, device=DEVICE)
        self.calls = 0

    def add(self, inputs: Tensor) -> None:
        self.calls += 1
        self.value += dropout(inputs, 0.5).sum(0)


def played(*, wanted: bool) -> tuple[Tensor, int]:
    total, rows = Total(), torch.arange(48, dtype=torch.float32, device=DEVICE).reshape(12, 4)
    with MACHINE.at_work():
        work = Recorded(total.add, DEVICE, pool(DEVICE, wanted=wanted))
        for seed in range(3):
            with lent_generators(DEVICE, seed):
                for batch in (*rows.split(5), *rows.split(3)):
                    work(batch)
    return total.value.cpu(), total.calls


def test_recorded_work_draws_the_same_numbers_and_gives_the_same_bits():
    (plain, every), (recorded, few) = played(wanted=False), played(wanted=True)
    assert torch.equal(plain, recorded)
    assert every == 3 * 7
    assert few == (1 + 3 if DEVICE.type == "cuda" else every), "once as it is, then once for each of three shapes"


def test_work_that_waits_for_the_gpu_runs_as_it_is_and_what_comes_after_it_is_recorded(caplog):
    found: list[float] = []
    with MACHINE.at_work():
        waiting = Recorded(
            lambda inputs: found.append(float(dropout(inputs, 0.5).sum())), DEVICE, pool(DEVICE, wanted=True)
        )
        for _ in range(4):
            waiting(torch.ones(64, device=DEVICE))
    assert len([value for value in found if 0 < value < 128]) >= 4
    assert ("cannot be recorded" in caplog.text) == (DEVICE.type == "cuda")
    test_recorded_work_draws_the_same_numbers_and_gives_the_same_bits()


def test_a_recorded_step_of_each_optimizer_trains_as_it_does_unrecorded():
    from trainables.optimizers import make_optimizer
    from trainables.settings import OPTIMIZERS, Settings

    for name in OPTIMIZERS:
        settings = Settings(optimizer=name, momentum=0.9 if name in ("sgd", "rmsprop") else 0.0, weight_decay=0.01)
        weights = [_descended(make_optimizer, settings, wanted=wanted) for wanted in (False, True)]
        assert torch.equal(*weights), name
        assert not torch.equal(weights[0], torch.ones_like(weights[0])), name


def _descended(make_optimizer, settings, *, wanted: bool) -> Tensor:
    """Returns weights after six steps at rates that change from step to step."""
    weights = nn.Parameter(torch.ones(8, 8, device=DEVICE))
    with MACHINE.at_work():
        optimizer = make_optimizer([weights], settings)

        def step(inputs: Tensor) -> None:
            optimizer.zero_grad(set_to_none=True)
            (inputs @ weights).square().sum().backward()
            optimizer.step()

        work = Recorded(step, DEVICE, pool(DEVICE, wanted=wanted))
        inputs = torch.linspace(-1, 1, 24, device=DEVICE).reshape(3, 8)
        for number in range(6):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(0.01 * (number + 1))
                else:
                    group["lr"] = 0.01 * (number + 1)
            work(inputs)
    return weights.detach().cpu()
