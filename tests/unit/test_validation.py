"""The one validation of `hpo check`, `run`, `submit`, `refine` and `replay`: what cannot work is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import INSTANT

from hpo import cli
from hpo.errors import HpoError, StudyError
from hpo.live import session
from hpo.live.validation import validate, validate_to_submit
from hpo.store import StudyWriter
from hpo.study.study import Study
from trainables import declarations, sources
from trainables.augment import PRESETS
from trainables.contract import verify
from trainables.errors import BadStudy, NotHere
from trainables.image_check import FEWEST_LAYERS, Declared, _digits
from trainables.network import describe
from trainables.sections import AUGMENTATIONS

IMAGES = """
study: images
trainable: image_classifier
data: {name: digits, train: 30, validation: 500, test: 500}
model: {name: digits_net, weights: DEFAULT}
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.03, log: true}
  optimizer: {type: choice, values: [adam, sgd]}
  finetuned_layers: {type: choice, values: [4, 16, all]}
fixed: {batch_size: 8, image_size: 32}
budget: {epochs: 16, max_epochs: 4}
methods: [random]
"""
CURVES = INSTANT.format(seconds=0, fail_share=0, epochs=36, seeds="[0]", clock="virtual")
PERCEPTRON = """
study: perceptron
trainable: mlp
data: {name: synthetic_08, train: 0.01}
space:
  layers: {type: int, low: 1, high: 3}
  units_3: {type: int, low: 8, high: 16, if: {layers: [3]}}
  learning_rate: {type: float, low: 0.001, high: 0.01}
fixed: {optimizer: adam}
budget: {epochs: 8, max_epochs: 4}
methods: [random]
"""


def ended(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


def load(folder: Path, text: str) -> Study:
    (folder / "study.yaml").write_text(text)
    return Study.load(folder / "study.yaml")


@pytest.mark.parametrize("text", [IMAGES, CURVES, PERCEPTRON])
def test_the_studies_that_the_mistakes_are_made_in_are_valid(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    validate(load(tmp_path, text))
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"], "validation writes nothing"


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("name: digits,", "name: digitz,", "4:8", "data.name must be a known data set, but got 'digitz'; did you mean 'digits'"),
        ("learning_rate", "learning_rat", "7:3", "'learning_rat'; did you mean 'learning_rate'?"),
        ("fixed: {", "fixed: {weight_decy: 0.1, ", "10:9", "'weight_decy'; did you mean 'weight_decay'?"),
        ("batch_size: 8", "batchsize: 8", "10:9", "'batchsize'; did you mean 'batch_size'?"),
        ("[adam, sgd]", "[sgd, adamm]", "8:43", "rmsprop, sgd, ridge, but got 'adamm'; did"),
        ("16, all]", "16, 400]", "9:52", "finetuned_layers must be at most 25, the layers of digits_net, or all, but got 400"),
        ("16, all]", "16, four]", "9:52", "finetuned_layers must be a whole number or all, but got 'four'"),
        ("batch_size: 8", "batch_size: 0", "10:9", "batch_size must be >= 1, but got 0"),
        ("batch_size: 8", "batch_size: true", "10:9", "batch_size must be a whole number, but got True"),
        ("low: 1.0e-4, high: 0.03, log: true", "low: 0, high: 0.03", "7:32", "learning_rate must be > 0, but got 0.0"),
        ("weights: DEFAULT", "weights: DEFUALT", "5:27", "none or a file, but got 'DEFUALT'; did you mean 'DEFAULT'"),
        ("digits_net, weights: DEFAULT", "resnet18, weights: DEFUALT", "5:25", "but got 'DEFUALT'; did you mean 'DEFAULT'?"),
        ("name: digits_net", "name: digit_net", "5:9", "model.name must be a known model, but got 'digit_net'; did you"),
        ("weights: DEFAULT", "weights: gone/w.pth", "5:27", "model.weights must name a file that exists, but there is none at"),
        ("test: 500}", "test: 500, augment: papr001}", "4:61", "but got 'papr001'; did you mean 'paper001'?"),
        ("validation: 500", "validation: valid", "4:33", "or a ready split (none here), but got 'valid'"),
        ("train: 30", "train: 3000", "4:22", "data.train: 3000 needs 3000 images"),
        ("train: 30", "train: 1.5", "4:22", "a fraction in (0, 1], a count >= 1 or 'N per class', but got 1.5"),
        ("name: digits, train: 30", "name: image_folder, root: gone", "4:28", "data.root must exist, but there is none at"),
        ("methods:", "metric: val_acuracy\nmethods:", "12:1", "better; did you mean 'val_accuracy'?"),
        ("methods:", "metric: val_acuracy\nmode: max\nmethods:", "12:1", "_second), but got 'val_acuracy'; did"),
        ("methods:", "early_stopping: {patience: 2, metric: val_lo}\nmode: max\nmethods:", "12:1", "early_stopping.mode must be"),
        ("methods:", "early_stopping: {patience: 2, metric: val_los, mode: min}\nmethods:", "12:31", "did you mean 'val_loss'?"),
        ("train: 30, validation: 500", "folds: 5", "4:22", "budget.max_epochs * data.folds <= budget.epochs must hold"),
        ("batch_size: 8", "nesterov: true", "10:9", "nesterov needs optimizer sgd with momentum > 0"),
        ("batch_size: 8", "heads: 4", "10:9", "heads can be set only for a vision transformer with weights: none"),
        ("digits_net, weights: DEFAULT", "inception_v3, weights: none", "10:24", "image_size must suit the model, but 32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_study_of_images_that_cannot_work(tmp_path, monkeypatch, capsys, command, old, new, place, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "_Sitting", None)  # a study that is not refused must not begin
    assert old in IMAGES
    file = tmp_path / "study.yaml"
    file.write_text(IMAGES.replace(old, new))
    code, out, err = ended(capsys, command, file)
    assert (code, out) == (2, ""), err
    assert says in err
    assert err.startswith(f"hpo: {file}:{place}: ")
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


@pytest.mark.parametrize(
    ("text", "old", "new", "says"),
    [
        (PERCEPTRON, "synthetic_08", "synthetic_8", "did you mean 'synthetic_08'?"),
        (PERCEPTRON, "train: 0.01", "train: 2", "data.train must be a fraction in (0, 1] or a count of at least 3, but got 2"),
        (PERCEPTRON, "learning_rate:", "learning_rat:", "'learning_rat'; did you mean 'learning_rate'?"),
        (PERCEPTRON, "adam", "adamm", "one of adam, adadelta, rmsprop, sgd, but got 'adamm'; did you mean 'adam'?"),
        (PERCEPTRON, "low: 8", "low: 0", "units_3 must be a whole number >= 1, but got 0"),
        (PERCEPTRON, "high: 3}", "high: 2}", "units_3"),
        (PERCEPTRON, "units_3", "units_4", "units_4 exists only where layers >= 4, but layers is at most 3"),
        (PERCEPTRON, "methods", "metric: val_images\nmode: max\nmethods", "metric must be one of the metrics that mlp reports"),
        (CURVES, "fail_share: 0", "fail_shar: 0", "unknown key 'fail_shar' in data; did you mean 'fail_share'?"),
        (CURVES, "fail_share: 0", "fail_share: 2", "data.fail_share must be a number in [0, 1], but got 2"),
        (CURVES, "fail_share: 0", "fail: 3", "data.fail must be a list of partial configurations, but got 3"),
        (CURVES, "budget:", "fixed: {cost: -1}\nbudget:", "cost must be a number >= 0, but got -1"),
        (CURVES, "budget:", "metric: val_f1\nbudget:", "metric must be one of the metrics that curves reports (loss, accuracy, "),
        (CURVES, "budget:", "prior: gone\nbudget:", "a store must hold a study, but there is none in gone"),
    ],
)  # fmt: skip
def test_a_study_of_another_trainable_that_cannot_work(tmp_path, text, old, new, says):
    assert old in text
    with pytest.raises(HpoError) as refused:
        validate(load(tmp_path, text.replace(old, new)))
    assert says in str(refused.value)


def test_a_split_that_is_ready_under_another_name_is_found(tmp_path):
    for part in ("train", "val"):
        for title in ("a", "b"):
            (tmp_path / "photos" / part / title).mkdir(parents=True)
            for i in range(5):
                (tmp_path / "photos" / part / title / f"{i}.png").write_bytes(b"")
    folder = IMAGES.replace(
        "name: digits, train: 30, validation: 500, test: 500", "name: image_folder, root: photos, test: 0.2"
    )
    validate(load(tmp_path, folder.replace("test: 0.2", "test: 0.2, validation: valid")))
    with pytest.raises(
        StudyError, match=r":4:\d+: data.validation must be .*ready split \(validation\), but got 'vald'"
    ):
        validate(load(tmp_path, folder.replace("test: 0.2", "test: 0.2, validation: vald")))
    with pytest.raises(StudyError, match=r"data\.test must be"):
        validate(load(tmp_path, folder.replace("test: 0.2", "test: holdout")))


def test_weights_of_another_model_are_refused_by_their_keys(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(StudyError, match=r":5:\d+: the weights must fit the model .* missing .*unknown conv.weight"):
        validate(load(tmp_path, IMAGES.replace("weights: DEFAULT", "weights: ./w.pth")))


def test_what_only_this_machine_lacks_does_not_keep_a_study_from_others(tmp_path):
    study = load(tmp_path, IMAGES.replace("name: digits, train: 30", "name: image_folder, root: gone"))
    validate(study, elsewhere=True)
    validate_to_submit(study)
    with pytest.raises(StudyError, match=r"data\.root must exist"):
        validate(study)
    worse = load(tmp_path, IMAGES.replace("DEFAULT", "gone/w.pth").replace("500, test", "vlid, test"))
    with pytest.raises(StudyError, match=r"data\.validation must be"):
        validate_to_submit(worse)


# -- replays ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path) -> str:
    """Returns a store that holds the study of computed curves, without any epoch yet."""
    study = load(tmp_path, CURVES)
    StudyWriter.open(
        str(tmp_path / "results"), study=study.study, definition=study.definition, digest=study.digest, environment={},
        space_kinds=study.kinds,
    ).close(compact=False)  # fmt: skip
    return str(tmp_path / "results")


def table(folder: Path) -> str:
    """Writes the curve of one configuration of the study of computed curves, with a metric that it does not report."""
    rows = [f"0.01,adam,{epoch},{epoch / 10},{1 / epoch}" for epoch in range(1, 10)]
    head = "config_learning_rate,config_optimizer,epoch,val_accuracy,glory"
    (folder / "curves.csv").write_text("\n".join([head, *rows]))
    return str(folder / "curves.csv")


MISTAKES = [
    ("budget:", "budgte:", "unknown key 'budgte'; did you mean 'budget'?"),
    ("budget: {epochs", "budget: {epoch", "unknown key 'epoch' in budget; did you mean 'epochs'?"),
    ("fail_share: 0", "fail_shar: 0", "unknown key 'fail_shar' in data; did you mean 'fail_share'?"),
    ("fail_share: 0", "fail_share: 2", "data.fail_share must be a number in [0, 1], but got 2"),
    ("budget:", "fixed: {cost: -1}\nbudget:", "cost must be a number >= 0, but got -1"),
    ("trainable: curves", "trainable: curvs", "trainable must be one of image_classifier, mlp, curves or package.module:Class"),
    ("budget:", "start: [{optimizer: adam}]\nbudget:", "a configuration must give learning_rate a value, but gives none"),
    ("budget:", "prior: gone\nbudget:", "a store must hold a study, but there is none in gone"),
    ("methods: [", "methods: [{asha: {label: a, etaa: 3}}, ", "asha has no option 'etaa'; did you mean 'eta'?"),
    ("methods: [", "methods: [{i-epoch: {top_k: 1000}}, ", "top_k must be a whole number with 1 <= top_k <= "),
    ("methods: [", "methods: [ahsa, ", "there is no method 'ahsa'; did you mean 'asha'?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), MISTAKES)
def test_a_replay_refuses_what_a_run_refuses(tmp_path, monkeypatch, capsys, stored, old, new, says):
    monkeypatch.chdir(tmp_path)
    assert old in CURVES
    file = tmp_path / "study.yaml"
    file.write_text(CURVES.replace(old, new, 1))
    before = sorted(tmp_path.rglob("*"))
    checked = ended(capsys, "check", file)
    assert checked[0] == 2
    assert says in checked[2]
    assert ended(capsys, "replay", file, "--curves", stored) == checked
    assert sorted(tmp_path.rglob("*")) == before
    assert ended(capsys, "replay", file, "--curves", table(tmp_path)) == checked


def test_the_metric_of_a_replay_is_one_of_those_that_its_curves_have(tmp_path, monkeypatch, capsys, stored):
    """Over a store they are what the trainable reports; a table from elsewhere has its own."""
    monkeypatch.chdir(tmp_path)
    file, curves = tmp_path / "study.yaml", table(tmp_path)
    file.write_text(CURVES.replace("budget:", "metric: glory\nmode: max\nbudget:"))
    checked = ended(capsys, "check", file)
    assert "metric must be one of the metrics that curves reports (" in checked[2]
    assert ended(capsys, "replay", file, "--curves", stored) == checked
    file.write_text(CURVES.replace("budget:", "metric: gloory\nmode: max\nbudget:"))
    code, _, err = ended(capsys, "replay", file, "--curves", curves)
    assert (code, "must have a column 'gloory'" in err) == (2, True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("budget:", "metric: glory\nmode: max\nbudget:"),
        ("trainable: curves", "trainable: not.here:Mine"),
        ("data:", "early_stopping: {patience: 2, metric: its_own, mode: min}\ndata:"),
    ],
)
def test_a_table_answers_a_study_that_could_not_be_trained_here(tmp_path, capsys, old, new):
    file = tmp_path / "study.yaml"
    assert old in CURVES
    file.write_text(CURVES.replace(old, new, 1))
    assert ended(capsys, "check", file)[0] == 2
    code, out, err = ended(capsys, "replay", file, "--curves", table(tmp_path), "--methods", "random")
    assert code == 0, err
    assert "random" in out


# -- users' trainables --------------------------------------------------------------------------------------------

WHOLE = """
class Mine:
    def __init__(self, config, *, task, seed, max_epochs): pass
    def train_epoch(self): return {"val_accuracy": 1.0}
    def save(self, directory): pass
    def load(self, directory): pass
    def test(self): return {}
"""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (WHOLE.replace("def test", "def tset"), "a trainable must have the methods train_epoch, save, load, test, but mine_0:"),
        (WHOLE.replace("task, seed", "task, sed"), "must be built as Class(config, task=, seed=, max_epochs=), but"),
        (WHOLE.replace("class Mine", "class Yours"), "must name a class or a function, but mine_2 has no 'Mine'"),
        ("import nothing_such", "must be importable, but: No module named 'nothing_such'"),
        ("1 / 0", "must be importable, but: division by zero"),
        (WHOLE + "    def check(self, task, space, fixed): pass\n", "check of mine_5:Mine must be static"),
        (WHOLE + "    @staticmethod\n    def check(task, space, fixed): 1 / 0\n", "mine_6:Mine must accept the study, but: Zero"),
        (WHOLE + "    @staticmethod\n    def metrics(task): return ['val_acc']\n", "one of the metrics that mine_7:Mine"),
        (WHOLE + "    @staticmethod\n    def check(task, space, fixed):\n        from trainables.errors import BadStudy\n"
         "        raise BadStudy(('space', 'optimizer', 'values', 1), f'{space[\"optimizer\"].options[1]} is slow')\n",
         "study.yaml:7:44: sgd is slow"),
    ],
)  # fmt: skip
def test_a_users_trainable_of_the_wrong_shape(tmp_path, monkeypatch, request, source, says):
    number = request.node.callspec.indices["source"]
    (tmp_path / f"mine_{number}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    study = load(tmp_path, CURVES.replace("trainable: curves", f"trainable: mine_{number}:Mine"))
    with pytest.raises(StudyError) as refused:
        validate(study)
    assert says in str(refused.value)


def test_a_users_trainable_that_declares_nothing_is_accepted(tmp_path, monkeypatch):
    (tmp_path / "mine_whole.py").write_text(WHOLE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    study = load(tmp_path, CURVES.replace("trainable: curves", "trainable: mine_whole:Mine"))
    validate(study)
    assert not Path(study.store).exists(), "validation writes nothing"


# -- what is declared is true -------------------------------------------------------------------------------------


def test_the_declarations_agree_with_what_they_stand_for():
    assert tuple(PRESETS) == AUGMENTATIONS
    assert len(describe("alexnet")) == FEWEST_LAYERS
    assert len(describe("digits_net")) >= FEWEST_LAYERS
    found, real = _digits(), sources.digits()
    assert found.classes == real.classes
    assert np.array_equal(np.bincount(found.parts["all"].labels), np.bincount(real.parts["all"].labels))
    assert declarations("image_classifier") is Declared
    assert declarations("curves").__name__ == "Curves"


def test_a_trainable_reports_the_metrics_that_it_declares():
    verify("curves", {"x": 1.0})
    with pytest.raises(AssertionError, match="metrics must be the names that train_epoch reports"):
        verify(Boasting, {"x": 1.0})


class Boasting(declarations("curves")):
    @staticmethod
    def metrics(task):
        return ("val_accuracy", "val_glory")


def test_errors_of_a_check_survive_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(NotHere(("data", "root"), "gone")))
    assert (type(error), error.location, str(error)) == (NotHere, ("data", "root"), "gone")
    assert isinstance(error, BadStudy)


# -- a stored study of the name -----------------------------------------------------------------------------------


def test_which_part_differs_from_the_stored_study_is_said(tmp_path, capsys):
    from hpo.store import StudyWriter

    store = tmp_path / "store"
    study = load(tmp_path, CURVES)
    StudyWriter.open(
        str(store), study=study.study, definition=study.definition, digest=study.digest, environment={},
        space_kinds=study.kinds,
    ).close(compact=False)  # fmt: skip
    before = sorted(store.rglob("*"))
    file = tmp_path / "study.yaml"
    changed = CURVES.replace("low: 1.0e-4", "low: 1.0e-3").replace("[adam, sgd]", f"[adam, {'x' * 500}]")
    file.write_text(changed + "store: store\nfixed: {dropout: 0.1}\n")
    for command in (("run", file, "--store", store), ("run", file, "--store", store, "--budget", 72)):
        code, _, err = ended(capsys, *command)
        assert code == 2
        assert (
            "which differs in fixed.dropout (None there, 0.1 here), space.learning_rate.low (0.0001 there, 0.001 here)"
            in err
        )
        assert "space.optimizer.values (['adam', 'sgd'] there, ['adam', 'xxxx" in err
        assert len(err) < 600
    assert sorted(store.rglob("*")) == before


def test_a_stored_study_with_the_same_parts_is_no_other(tmp_path):
    from hpo.store.differences import differences

    study = load(tmp_path, CURVES + "early_stopping: {patience: 2}\n")
    stored = json.loads(json.dumps(study.definition))
    assert differences(stored, study.definition) == ""
    assert differences({**stored, "seeds": [9], "methods": []}, study.definition) == ""
