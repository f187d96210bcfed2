"""Image studies on a local cluster: trials over rank actors, awkward files, sizes that the model cannot take."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

RANKS = """
study: ranks
data: {name: digits, train: 40, validation: 40, test: 40}
model: {name: digits_net, weights: none}
space: {learning_rate: {type: float, low: 0.001, high: 0.1, log: true}}
fixed: {batch_size: 20, image_size: 16, optimizer: sgd}
budget: {epochs: 3, max_epochs: 2}
start: [{learning_rate: 0.1}, {learning_rate: 0.001}]
methods: [{asha: {eta: 2}}] # the better of two trials of an epoch, the first, goes on
metric: val_loss
mode: min
parallelism: 1
resources: {cpus: 1, gpus: 2}
"""
PICTURES = """
study: pictures
data: {name: image_folder, root: pictures, corrupt: skip}
model: {name: squeezenet1_1, weights: none}
space: {image_size: {type: choice, values: [8, 32]}}
fixed: {batch_size: 8}
budget: {epochs: 2, max_epochs: 1}
methods: [grid]
"""
AWKWARD = {"L": (40, 30), "RGBA": (33, 21), "CMYK": (50, 50), "1": (1, 1), "RGB": (20_000, 3)}


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    import ray

    patch = pytest.MonkeyPatch()
    patch.setenv("HPO_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("HPO_ACTIVATIONS_MEMORY", "0")
    ray.init(
        address="local", num_cpus=3, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    yield
    ray.shutdown()
    patch.undo()


def played(folder, text):
    """The study, and what is in its store when it has been played one assignment at a time."""
    from hpo.game.runs import runs_of
    from hpo.live.dispatch import Dispatch
    from hpo.live.tune.driver import drive
    from hpo.store import StudyWriter, read
    from hpo.study.study import Study

    path = folder / "study.yaml"
    path.write_text(text)
    study = Study.load(path, store=str(folder / "store"))
    writer = StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest,
        environment={}, space_kinds=study.kinds,
    )  # fmt: skip
    drive(Dispatch(study, runs_of(study), writer, f"{study.store}/checkpoints", 8), study.resources, limit=1)
    return study, read(study.store, study.study)


@pytest.mark.timeout(600)
def test_ranks_train_paused_and_resumed_trials_as_one_process_does(tmp_path):
    from trainables.image_classifier import ImageClassifier

    study, found = played(tmp_path, RANKS)
    assert found.failures.num_rows == 0
    assert found.exams.num_rows == 1
    first, other, again = [row["trial"] for row in sorted(found.charges.to_pylist(), key=lambda row: row["order"])]
    assert first == again != other, "it was paused while the other trained"
    epochs = sorted(found.epochs.to_pylist(), key=lambda row: (row["trial"], row["epoch"]))
    assert len({row["worker"] for row in epochs}) == 1
    for row in epochs:
        if row["epoch"] == 1:
            config = {**study.fixed, "learning_rate": row["config_learning_rate"]}
            alone = ImageClassifier(config, task=study.task, seed=row["seed"], max_epochs=row["max_epochs"])
        expected = alone.train_epoch()
        assert row["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-4)
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-4)


@pytest.mark.timeout(600)
def test_a_size_too_small_for_the_model_fails_its_trial_and_spoiled_files_are_skipped(tmp_path):
    rng = np.random.default_rng(0)
    for k, name in enumerate(("dark", "light")):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(100 * k, 100 * k + 100, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
        for i, (mode, size) in enumerate(AWKWARD.items()):
            Image.new("RGB", size, (100 * k + 50,) * 3).convert(mode).save(folder / f"awkward{i}.tif")
        (folder / "notes.txt").write_text("not a picture")
        whole = folder / "cut.jpg"
        Image.new("RGB", (64, 64)).save(whole)
        whole.write_bytes(whole.read_bytes()[:300])
    _, found = played(tmp_path, PICTURES)
    (failed,) = found.failures.to_pylist()
    assert failed["kind"] == "invalid"
    assert "image_size must suit the model, but 8 px do not" in failed["reason"]
    (epoch,) = found.epochs.to_pylist()
    assert epoch["config_image_size"] == 32
    assert found.exams.num_rows == 1
