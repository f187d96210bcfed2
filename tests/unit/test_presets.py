"""The preset studies: each loads, says what it reproduces and what it needs, and its trainable accepts its configurations."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hpo.game.runs import runs_of
from hpo.study.study import Study, presets
from trainables import sources, tabular
from trainables.augment import PRESETS
from trainables.mlp import Shape
from trainables.sections import Data
from trainables.settings import Settings

WANTED = {
    *("digits", "clothing", "fashion-mnist", "paper000-association", "paper000-optimizers", "paper001-cifar100"),
    *("paper001-dogs", "paper001-mio-tcd", "paper001-mio-tcd-balanced", "paper001-mio-tcd-imbalanced"),
    *("paper002-synthetic-08", "paper002-synthetic-09", "paper002-synthetic-10", "paper003-two-stage"),
}


def test_all_that_the_readme_promises_are_there():
    assert set(presets()) >= WANTED


@pytest.mark.parametrize("name", sorted(presets()))
def test_a_preset_is_a_study_of_its_name_that_every_method_can_play(name):
    study = Study.load(name)
    assert study.study == name
    assert len(runs_of(study)) == len(study.methods) * len(study.seeds)
    comment = "".join(line for line in Path(presets()[name]).read_text().splitlines() if line.startswith("#"))
    assert "Needs:" in comment
    assert re.search(r"[Pp]aper \d{3}|small real task", comment)


@pytest.mark.parametrize("name", sorted(presets()))
def test_its_trainable_accepts_its_configurations(name):
    study = Study.load(name)
    rng = np.random.default_rng(0)
    accept = Shape.of if study.trainable == "mlp" else Settings.of
    for _ in range(20):
        accept({**study.fixed, **study.space.sample(rng)})
    if study.trainable == "mlp":
        assert study.data["name"] in tabular.SETS
    else:
        Data.read(study.data)
        assert study.data.get("augment", "none") in PRESETS
        assert study.data["name"] in dict(sources.names())


@pytest.mark.parametrize("name", ["digits", "clothing", "fashion-mnist", "paper001-cifar100", "paper000-association"])
def test_the_grid_spends_the_budget_exactly(name):
    study = Study.load(name)
    assert len(study.space.grid()) * study.budget.max_epochs == study.budget.epochs


def test_space_b_of_paper_001_has_16_grid_points():
    study = Study.load("paper001-dogs")
    assert len(study.space.grid()) == 16
    assert study.budget.epochs == 16 * 25
