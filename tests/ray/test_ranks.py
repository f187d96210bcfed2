"""A trial on two GPUs: rank actors in its placement group train what one process would."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

STUDY = """
study: ranks
data: {name: digits, train: 40, validation: 40, test: 40}
model: {name: digits_net, weights: none}
space: {learning_rate: {type: float, low: 0.001, high: 0.1, log: true}}
fixed: {batch_size: 20, image_size: 16, optimizer: sgd}
budget: {epochs: 4, max_epochs: 2}
methods: [random]
parallelism: 2
"""


def played(folder, gpus, limit):
    from hpo import plan
    from hpo.dispatch import Dispatch
    from hpo.driver import drive
    from hpo.store import StudyWriter, read
    from hpo.study import Study

    path = folder / "ranks.yaml"
    path.write_text(STUDY + f"resources: {{cpus: 1, gpus: {gpus}}}\n")
    study = Study.load(path, store=str(folder / f"store-{gpus}"))
    writer = StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest,
        environment={}, space_kinds=study.kinds,
    )  # fmt: skip
    dispatch = Dispatch(study, plan.runs(study), writer, f"{study.store}/checkpoints", 8)
    drive(dispatch, study.resources, limit=limit)
    return read(study.store, study.study)


@pytest.mark.timeout(600)
def test_two_ranks_train_as_one_process_does(tmp_path):
    import ray

    ray.init(
        address="local", num_cpus=3, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    try:
        ranked = played(tmp_path, gpus=2, limit=1)
        alone = played(tmp_path, gpus=0, limit=1)
    finally:
        ray.shutdown()
    assert [row["trial"] for row in ranked.charges.to_pylist()] == [row["trial"] for row in alone.charges.to_pylist()]
    assert len(ranked.charges) == 4
    one = {(row["trial"], row["epoch"]): row["val_loss"] for row in alone.epochs.to_pylist()}
    for row in ranked.epochs.to_pylist():
        assert row["val_loss"] == pytest.approx(one[row["trial"], row["epoch"]], rel=1e-4)
    assert ranked.failures.num_rows == 0
    assert ranked.exams.num_rows == 1
