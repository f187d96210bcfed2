"""Final exams: every winner is tested once, at the epoch at which it won; played without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from without_ray import dispatching, play_to_the_end

from hpo import store
from hpo.errors import StudyError
from hpo.results.compare import compare
from hpo.store import StudyData
from hpo.study.study import Study
from trainables import tabular
from trainables.mlp import Mlp
from trainables.sections import Data

STUDY = """
study: exams
trainable: curves
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
budget: {{epochs: 6, max_epochs: 6}}
methods:
  - {{random: {{label: whole}}}}
  - {{asha: {{eta: 2}}}}
seeds: [0]
start: [{{learning_rate: 0.0602264471998}}]
final: {final}
store: {store}
"""


TABLE = """
study: table
trainable: mlp
data: {{name: synthetic_09, train: 60, validation: 20, test: 20}}
space:
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
budget: {{epochs: 4, max_epochs: 2}}
methods: [random]
final: {final}
store: {store}
"""


def play(folder: Path, final: str, text: str = STUDY) -> StudyData:
    """Plays the study to its end, and once more: the second time nothing is left to do."""
    path = folder / "exams.yaml"
    path.write_text(text.format(final=final, store=folder / "store"))
    study = Study.load(str(path))
    play_to_the_end(dispatching(study))
    again = dispatching(study)
    assert again.finished, "the first time had done everything"
    again.finish(complete=True)
    assert store.verify(study.store) == []
    return store.read(study.store)


def winners(data: StudyData) -> dict[str, tuple[str, int]]:
    return {row["method"]: (row["incumbent_trial"], row["incumbent_epoch"]) for row in data.runs.to_pylist()}


def test_runs_that_won_with_one_trial_at_different_epochs_are_both_tested(tmp_path: Path) -> None:
    data = play(tmp_path, "{retrain: none}")
    won = winners(data)
    assert won["whole"][0] == won["asha"][0]
    assert won["whole"][1] > won["asha"][1]
    taken = [(row["trial"], row["epoch"]) for row in data.exams.to_pylist()]
    assert sorted(taken) == sorted(set(won.values()))
    found = compare(data)
    assert all(run.incumbent and run.incumbent.test for run in found.runs)


@pytest.mark.parametrize(("final", "epochs"), [("{retrain: train, seeds: 2}", None),
                                               ("{retrain: full, epochs: 5}", 5)])  # fmt: skip
def test_retraining_follows_the_study_file(tmp_path: Path, final: str, epochs: int | None) -> None:
    data = play(tmp_path, final)
    won = set(winners(data).values())
    wanted = {(trial, epochs or epoch) for trial, epoch in won}
    names = ["retrain/0", "retrain/1"] if "seeds" in final else ["retrain/0"]
    rows = data.exams.to_pylist()
    assert sorted((r["trial"], r["epoch"], r["exam"]) for r in rows) == sorted((*w, n) for w in wanted for n in names)
    for run in compare(data).runs:
        assert run.incumbent is not None
        assert run.incumbent.exams == len(names)


def test_the_final_training_takes_as_much_of_the_whole_training_part_as_the_study_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = []

    class Recorded(Mlp):
        def test(self) -> dict[str, Any]:
            tables.append(self.table)
            return super().test()

    monkeypatch.setattr("trainables.mlp.Mlp", Recorded)
    data = play(tmp_path, "{retrain: full, train: 90}", TABLE)
    assert len(data.exams) == 1
    assert [(len(table.train), len(table.validation), len(table.test)) for table in tables] == [(90, 20, 20)]


def test_a_size_of_the_final_training_needs_the_whole_training_part(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"train needs `retrain: full`, but got \(retrain=train, train=90\)"):
        play(tmp_path, "{retrain: train, train: 90}", TABLE)


def test_the_store_holds_the_digest_of_the_training_data(tmp_path: Path) -> None:
    data = play(tmp_path, "{retrain: none}", TABLE)
    section = data.definition["data"]
    table = tabular.load(Data.read(section))
    digest, counts = table.digest, json.loads(*data.environment["trained_on"]["data_counts"])
    assert data.environment["trained_on"] == {"data_digest": [digest], "data_counts": ANY, "device": ["cpu"]}
    assert {split: sum(found) for split, found in counts.items()} == {
        "train": len(table.train), "validation": len(table.validation), "test": len(table.test),
    }  # fmt: skip
    assert counts["test"] == [int((table.test.labels == k).sum()) for k in range(table.classes)]
    assert digest != tabular.load(Data.read({**section, "seed": 1})).digest
