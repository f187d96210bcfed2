"""The preset studies: each loads, says what it reproduces and what it needs, and its trainable accepts its configurations."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hpo.game.runs import runs_of
from hpo.study.study import Study, presets
from trainables import backbones, sources, tabular
from trainables.augment import PRESETS
from trainables.catalog import Catalog
from trainables.mlp import Shape
from trainables.network import Network
from trainables.sections import Data
from trainables.settings import Settings
from trainables.sources import Part, Source
from trainables.task import Task

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


# -- facts of the papers ------------------------------------------------------------------------------------------

STUDY_III = sorted(name for name in presets() if re.match("paper001-mio-tcd-(im)?balanced", name))

# The last layers of Keras' Xception without its top, as Keras lists them, and what each is in legacy_xception.
KERAS = (
    ("block14_sepconv2_act", ()), ("block14_sepconv2_bn", ("bn4",)), ("block14_sepconv2", ("conv4",)),
    ("block14_sepconv1_act", ()), ("block14_sepconv1_bn", ("bn3",)), ("block14_sepconv1", ("conv3",)),
    ("add_11", ()), ("batch_normalization_3", ("block12.skipbn",)), ("block13_pool", ()),
    ("conv2d_3", ("block12.skip",)), ("block13_sepconv2_bn", ("block12.rep.5",)),
    ("block13_sepconv2", ("block12.rep.4",)), ("block13_sepconv2_act", ()), ("block13_sepconv1_bn", ("block12.rep.2",)),
    ("block13_sepconv1", ("block12.rep.1",)), ("block13_sepconv1_act", ()), ("add_10", ()),
    ("block12_sepconv3_bn", ("block11.rep.8",)), ("block12_sepconv3", ("block11.rep.7",)),
)  # fmt: skip


def test_layers_of_paper_001_train_the_weights_that_keras_counts():
    network = Network(backbones.outline("timm:legacy_xception", 71), 71)
    ours = {}
    for layers in (9, 14, 18):
        modules = tuple(f"{module}." for _, found in KERAS[:layers] for module in found)
        wanted = {name for name, _ in network.model.named_parameters() if name.startswith(modules)}
        numbers = [n for n in range(40) if body(network, n) == wanted]
        ours[layers] = min(numbers)
    assert ours == {9: 10, 14: 17, 18: 21}
    for name in presets():
        if name.startswith("paper001-"):
            layers = Study.load(name).space.domains["finetuned_layers"].options
            assert [value for value in layers if value != 0] == [*ours.values(), "all"]


def body(network: Network, layers: int) -> set[str]:
    """Returns the names of the parameters before the head that are trained with the last `layers`."""
    head = set(network.trained(network.cut(0)))
    return set(network.trained(network.cut(layers))) - head


@pytest.mark.parametrize("name", STUDY_III)
def test_study_iii_searches_a_subset_and_trains_its_winner_on_the_paper_s_whole_training_set(name):
    # 519,164 images of 11 classes, the rarest with 1,751 and the most common with 260,518, as in the paper's Table 1.
    counts = [1_751, 1_982, 2_284, 5_120, 5_174, 6_262, 9_679, 10_346, 50_906, 165_142, 260_518]
    labels = np.repeat(np.arange(11), counts)
    assert len(labels) == 519_164
    catalog = Catalog(Source(tuple("abcdefghijk"), {"all": Part(labels, None, None)}))
    study = Study.load(name)
    search = catalog.plan(Data.of(Task.from_json(study.task)))
    final = catalog.plan(Data.of(Task.from_json({**study.task, "train_on": study.final.train})))
    assert [len(part) for part in search] == [11_000, 2_750, 5_500]
    assert [len(part) for part in final] == [410_931, 2_750, 5_500]
    assert np.array_equal(search[2], final[2])
    assert not set(final[0]) & set(final[2])
    assert study.final.retrain == "full"


def test_paper_003_searches_the_ranges_of_its_tables():
    for name, sizes in (("paper003-transfer", {"batch_size": (16, 32, 64)}),
                        ("paper003-two-stage", {"head_batch_size": (16, 32), "batch_size": (16, 32)})):  # fmt: skip
        domains = Study.load(name).space.domains
        dropout = domains["dropout"]
        assert (dropout.low, dropout.high, dropout.step) == (0.0, 0.5, None)
        assert {size: domains[size].options for size in sizes} == sizes
