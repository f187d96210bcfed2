"""YAHPO Gym's scenarios: what its data do not say of its surrogates, the order of their inputs and outputs. Pure.

From the scenario descriptions of YAHPO Gym 1.0 (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpo.study.modes import Mode

SHARES = 20  # epochs where training sets grow: an epoch adds a twentieth


@dataclass(frozen=True)
class Scenario:
    """A scenario: `numbers` and `choices` are its model's inputs, `outputs` its model's, in their order.

    `instance` is the choice that names the task. `fidelity` is what grows with the epochs: epochs, up to the range's upper
    end, or the share of the training set. `fixed`: inputs that no study searches. `usual`: the output that is usually
    compared. `seconds`: the output that is the time of the whole training so far.
    """

    numbers: tuple[str, ...]
    choices: tuple[str, ...]
    outputs: Mapping[str, Mode]
    instance: str | None
    fidelity: str
    usual: str
    seconds: str
    fixed: Mapping[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, Mode]:
        """The outputs that a study may optimize, the usual one first."""
        known = {name: mode for name, mode in self.outputs.items() if name != self.seconds}
        return {self.usual: known[self.usual], **known}


LCBENCH: dict[str, Mode] = {
    "time": "min", "val_accuracy": "max", "val_cross_entropy": "min", "val_balanced_accuracy": "max",
    "test_cross_entropy": "min", "test_balanced_accuracy": "max",
}  # fmt: skip
NB301: dict[str, Mode] = {"val_accuracy": "max", "runtime": "min"}
IAML: dict[str, Mode] = {
    "mmce": "min", "f1": "max", "auc": "max", "logloss": "min", "ramtrain": "min", "rammodel": "min", "rampredict": "min",
    "timetrain": "min", "timepredict": "min", "mec": "min", "ias": "min", "nf": "min",
}  # fmt: skip
RBV2: dict[str, Mode] = {
    "acc": "max", "bac": "max", "auc": "max", "brier": "min", "f1": "max", "logloss": "min", "timetrain": "min",
    "timepredict": "min", "memory": "min",
}  # fmt: skip
TREES = (
    "nrounds", "eta", "gamma", "lambda", "alpha", "subsample", "max_depth", "min_child_weight", "colsample_bytree",
    "colsample_bylevel", "rate_drop", "skip_drop",
)  # fmt: skip
FOREST = ("num.trees", "sample.fraction", "mtry.{}", "min.node.size", "num.random.splits")
TREE = ("cp", "maxdepth", "minbucket", "minsplit")
DARTS = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"
CELLS = ("normal", "reduce")


def _forest(by: str) -> tuple[str, ...]:
    return tuple(name.format(by) for name in FOREST)


def _of(learner: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{learner}.{name}" for name in names)


def _iaml(numbers: tuple[str, ...], choices: tuple[str, ...] = ()) -> Scenario:
    return Scenario((*numbers, "trainsize"), ("task_id", *choices), IAML, "task_id", "trainsize", "mmce", "timetrain")


def _rbv2(numbers: tuple[str, ...], choices: tuple[str, ...] = ()) -> Scenario:
    return Scenario(
        (*numbers, "trainsize", "repl"), ("task_id", *choices, "num.impute.selected.cpo"), RBV2, "task_id", "trainsize", "acc",
        "timetrain", {"repl": 10},
    )  # fmt: skip


SCENARIOS: dict[str, Scenario] = {
    "lcbench": Scenario(
        ("epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout"),
        ("OpenML_task_id",), LCBENCH, "OpenML_task_id", "epoch", "val_accuracy", "time",
    ),
    "nb301": Scenario(
        ("epoch",),
        tuple(f"{DARTS}edge_{cell}_{i}" for cell in CELLS for i in range(14))
        + tuple(f"{DARTS}inputs_node_{cell}_{i}" for cell in CELLS for i in (3, 4, 5)),
        NB301, None, "epoch", "val_accuracy", "runtime",
    ),
    "iaml_ranger": _iaml(_forest("ratio"), ("replace", "respect.unordered.factors", "splitrule")),
    "iaml_rpart": _iaml(TREE),
    "iaml_glmnet": _iaml(("alpha", "s")),
    "iaml_xgboost": _iaml(TREES, ("booster",)),
    "iaml_super": _iaml(
        (*_of("ranger", _forest("ratio")), *_of("rpart", TREE), *_of("glmnet", ("alpha", "s")), *_of("xgboost", TREES)),
        ("learner", *_of("ranger", ("replace", "respect.unordered.factors", "splitrule")), "xgboost.booster"),
    ),
    "rbv2_svm": _rbv2(("cost", "gamma", "tolerance", "degree"), ("kernel",)),
    "rbv2_ranger": _rbv2(_forest("power"), ("respect.unordered.factors", "splitrule")),
    "rbv2_rpart": _rbv2(TREE),
    "rbv2_glmnet": _rbv2(("alpha", "s")),
    "rbv2_xgboost": _rbv2(TREES, ("booster",)),
    "rbv2_aknn": _rbv2(("k", "M", "ef", "ef_construction"), ("distance",)),
    "rbv2_super": _rbv2(
        (
            *_of("svm", ("cost", "gamma", "tolerance", "degree")), *_of("glmnet", ("alpha", "s")), *_of("rpart", TREE),
            *_of("ranger", _forest("power")), *_of("aknn", ("k", "M", "ef", "ef_construction")), *_of("xgboost", TREES),
        ),
        ("learner_id", "svm.kernel", *_of("ranger", ("respect.unordered.factors", "splitrule")), "aknn.distance",
         "xgboost.booster"),
    ),
}  # fmt: skip
