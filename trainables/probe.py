"""The memory probe: takes as much memory as an epoch of a trial, before anything is trained, and leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from trainables.batches import moved, split_batches
from trainables.fine_tuning import FineTuning
from trainables.settings import Stage

PROBE_STEPS = 3  # the first makes the optimizer's state, the second has it beside its activations, allocators settle


@contextmanager
def probing(model: FineTuning) -> Iterator[None]:
    """Takes an epoch's peak of memory on entry; until exit, holds what such an epoch holds.

    It takes PROBE_STEPS on a largest batch and a pass of validation, in the first and in the last epoch's stage, beside
    the rows that lie on the GPU throughout. Afterwards the model trains as if nothing had happened, bit for bit on a
    CPU. Not included: activations kept in the machine's memory (all processes share them), torch.compile, whose
    kernels take less than those that run here, and ranks, which share a batch.
    """
    stages = [model.stage(epoch) for epoch in (1, model.max_epochs)]
    resident: list[Tensor] = []
    for stage in {(stage.layers, stage.batch_size): stage for stage in stages}.values():
        resident.clear()
        model.choose(stage)
        before = model.part.copy()  # until it is restored, it stands for the best weights that early stopping keeps
        with model.machine.at_work():
            resident += _try(model, stage)
        model.part.restore(before)
    yield
    model.model.zero_grad(set_to_none=True)
    del model.part


def _try(model: FineTuning, stage: Stage) -> list[Tensor]:
    """Takes some steps and a pass of validation; returns stand-ins for the rows that lie on the GPU all epoch."""
    feed, cut = model.feed, model.part.cut
    size = max(map(len, split_batches(torch.arange(feed.samples), stage.batch_size)))
    source, resident = feed.training_stand_in(cut, size)
    steps, batch = model.steps(source), torch.arange(size)
    there, together = moved(batch, model.machine.device), model.settings.accumulation_steps
    model.part.train_mode()
    with model.draws.lent(model.machine.device):
        for number in range(PROBE_STEPS):
            steps.take([batch] * together, [there] * together, model.draws, number)
    if not len(model.dataset.validation):
        return [resident]
    source, more = model.held_out.validation_stand_in(cut)
    with model.part.evaluated():
        model.evaluation(source).measure()
    return [resident, more]
