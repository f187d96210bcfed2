"""Stepped ranges of reals in whole studies: one trial a level, whoever names its value, and none lost afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from without_ray import dispatching, play_to_the_end

from hpo import store
from hpo.errors import StudyError
from hpo.game.contract import LANDSCAPES, verify
from hpo.methods import build
from hpo.methods.protocol import InvalidOption, Setting
from hpo.replay import from_store, replay
from hpo.replay.sources.store import finished
from hpo.results.importance import importance
from hpo.results.refinement import from_study, plan
from hpo.store import StudyData, recover
from hpo.study.space import Choice, Float, SearchSpace
from hpo.study.study import Study
from hpo.study.values import Method, Observation

STUDY = """
study: steps
trainable: curves
space:
  dropout: {type: float, low: 0, high: 0.3, step: 0.1, grid: [0, 0.1, 0.2, 0.30000000000000004]}
  learning_rate: {type: choice, values: [0.001, 0.003, 0.01, 0.03]}
budget: {epochs: 48, max_epochs: 2}
methods: [grid, random, {refine: {incumbent: {dropout: 0.30000000000000004, learning_rate: 0.01}}}]
start:
  - {dropout: 0.30000000000000004, learning_rate: 0.001}
"""

SPACE = SearchSpace(
    {
        "learning_rate": Float(0.001, 0.01, step=0.003),
        "dropout": Float(0.0, 0.3, step=0.1),
        "finetuned_layers": Choice((1, 3, "all")),
        "momentum": Float(0.1, 0.7, step=0.2),
    },
    {"momentum": {"dropout": (0.1 + 0.2, 0.1)}},
)


def load(folder: Path, text: str = STUDY) -> Study:
    (folder / "steps.yaml").write_text(f"{text}store: {folder / 'store'}\n")
    return Study.load(folder / "steps.yaml")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("steps")
    study = load(folder)
    play_to_the_end(dispatching(study))
    return study


def aged(data: StudyData) -> StudyData:
    """Returns the study as older versions stored it: their fourth level was 0.30000000000000004."""

    def old(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("config_dropout")
        values = [0.1 + 0.2 if value == 0.3 else value for value in table.column(place).to_pylist()]
        return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))

    return replace(data, trials=old(data.trials), epochs=old(data.epochs))


def test_all_methods_share_the_trials_of_a_level(played: Study) -> None:
    assert store.verify(played.store) == []
    data = store.read(played.store)
    rows = data.trials.to_pylist()
    assert {row["config_dropout"] for row in rows} == {0.0, 0.1, 0.2, 0.3}
    # 16 configurations in all: grid and random train all of them, and refine adds none.
    assert len({row["trial"] for row in rows}) == 16
    start = next(row["trial"] for row in rows if (row["config_dropout"], row["config_learning_rate"]) == (0.3, 0.001))
    first = {row["run"]: row["trial"] for row in data.charges.to_pylist() if row["number"] == 0}
    assert first == {"grid/0": start, "random/0": start, "refine/0": first["refine/0"]}


@pytest.mark.parametrize("age", [lambda data: data, aged])
def test_importance_uses_every_trial(played: Study, age: Any) -> None:
    found = importance(age(store.read(played.store)), pairs=False)
    assert (found.trials, found.notes) == (16, ())
    assert [m.values for m in found.marginals if m.name == "dropout"] == [(0.0, 0.1, 0.2, 0.3)]


def test_importance_counts_the_trials_that_it_leaves_out(played: Study) -> None:
    data = store.read(played.store)
    place = data.trials.schema.get_field_index("config_dropout")
    off = [0.25 if value == 0.1 else value for value in data.trials.column(place).to_pylist()]
    changed = data.trials.set_column(place, data.trials.schema.field(place), pa.array(off, pa.float64()))
    found = importance(replace(data, trials=changed), pairs=False)
    assert found.trials == 12
    assert found.notes == ("Trials left out because their configuration is outside the search space: 4.",)


@pytest.mark.parametrize("age", [lambda data: data, aged])
def test_a_winner_is_refined_from_its_level(played: Study, age: Any) -> None:
    data = age(store.read(played.store))
    chosen = plan(data, importance(data, pairs=False))
    assert chosen.config in played.space
    assert all(config in played.space for config in chosen.configs)
    base = {"dropout": 0.1 + 0.2, "learning_rate": 0.01}
    refined = from_study(data, base)
    assert refined.config == {**base, "dropout": 0.3}
    assert {c.value for c in refined.changes if c.name == "dropout"} == {0.0, 0.1, 0.2}


def test_earlier_results_are_found_again(played: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    data = aged(store.read(played.store))
    monkeypatch.setattr(recover, "read", lambda uri, name: data)
    prior = recover.prior_observations(played.model_copy(update={"study": "later", "prior": played.store}))
    assert len(prior) == data.epochs.num_rows
    assert {o.config["dropout"] for o in prior} == {0.0, 0.1, 0.2, 0.3}


def test_an_older_store_answers_a_replay_exactly(played: Study) -> None:
    data = aged(store.read(played.store))
    table = finished(data, played)
    assert table is not None
    assert {config["dropout"] for config in table.configs} == {0.0, 0.1, 0.2, 0.3}
    found = replay(played, data=from_store(played.store, played))
    assert found.answers.others == 0


def test_both_values_of_a_level_in_an_older_store_are_one_configuration(played: Study) -> None:
    data = store.read(played.store)
    both = replace(data, trials=pa.concat_tables([data.trials, aged(data).trials]))
    table = finished(both, played)
    assert table is not None
    assert len(table.configs) == 16


@pytest.mark.parametrize("name", ["grid", "random", "tpe", "genetic", "asha", "refine", "default", "bohb"])
def test_methods_keep_to_the_levels(name: str) -> None:
    settings = [Setting(SPACE, budget=60, max_epochs=3, parallelism=3, start=(
        {"learning_rate": 0.01, "dropout": 0.1 + 0.2, "finetuned_layers": 3, "momentum": 0.1 + 2 * 0.2},))]  # fmt: skip
    verify(Method(name, name), settings, LANDSCAPES[2:3], finite=name in ("grid", "default", "refine"), every=7)


def test_start_and_prior_become_levels_for_every_method() -> None:
    config = {"learning_rate": 0.01, "dropout": 0.1 + 0.2, "finetuned_layers": 3, "momentum": 0.5}
    setting = Setting(SPACE, budget=9, max_epochs=3, start=(config,), prior=(Observation(config, 3, 0.5),))
    assert setting.start[0] == setting.prior[0].config == {**config, "dropout": 0.3}
    assert setting.start[0] in SPACE


def test_a_value_between_levels_is_refused_with_its_place(tmp_path: Path) -> None:
    text = STUDY.replace("start:\n  - {dropout: 0.30000000000000004", "start:\n  - {dropout: 0.25")
    with pytest.raises(StudyError, match=r"steps.yaml:10:\d+: dropout must lie in \[0, 0.3\] by 0.1, but got 0.25"):
        load(tmp_path, text)
    with pytest.raises(InvalidOption, match=r"dropout must lie in \[0, 0.3\] by 0.1, but got 0.15"):
        build(
            Method("refine", "refine", {"incumbent": {"dropout": 0.15, "learning_rate": 0.001, "finetuned_layers": 1}}),
            Setting(SPACE, budget=9, max_epochs=3),
        )


def test_a_study_s_identity_does_not_change_with_the_spelling_of_its_levels(tmp_path: Path) -> None:
    """Stores know a study by its file's values: the digest is that of the text, whichever value a level has."""
    study = load(tmp_path)
    assert study.definition["start"] == [{"dropout": 0.30000000000000004, "learning_rate": 0.001}]
    assert study.definition["space"]["dropout"]["grid"][-1] == 0.30000000000000004
