"""Classes and functions that are given as objects: one name for the same code in every process, another for other code."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial

import cloudpickle
import numpy as np
import pandas
import pytest
import torch

from hpo.live import code
from hpo.study.study import Study
from trainables import given, load
from trainables.code_digest import code_digest
from trainables.curves import Curves
from trainables.errors import BadTrainable

CELL = """
import enum
from dataclasses import dataclass, field
from functools import partial

import numpy as np

TABLE = np.arange(4.0)
NAMES = {"b", "a", "c"}

class Kind(enum.Enum):
    ONE = 1

@dataclass
class Options:
    rates: list = field(default_factory=lambda: [0.1])
    names: frozenset = frozenset(NAMES)

class Base:
    kind = Kind.ONE
    def value(self, x):
        return x * TABLE.sum()

class Model(Base):
    __slots__ = ("x",)
    @property
    def double(self):
        return 2 * self.value(1)
    @staticmethod
    def of(options=Options()):
        return Model()

def helper(x, power=2):
    return x ** power

def made(rate):
    part = partial(helper, power=3)
    def train(config, *, seed, resume=None):
        model = Model.of()
        for name in sorted(NAMES):
            if name in {"a", "b"}:
                yield {"val_accuracy": rate * part(model.double)}
    return train

train = made(0.5)
"""


def cell(text: str = CELL) -> dict:
    """Runs a notebook's cell, and returns its names."""
    names = {"__name__": "__main__"}
    exec(compile(text, "<cell>", "exec", dont_inherit=True), names)
    return names


def digest(text: str = CELL) -> str:
    return given.name_of(cell(text)["train"])


def test_the_name_is_the_same_in_other_processes():
    script = f"from trainables import given\n{CELL}\nprint(given.name_of(train))"
    for seed in ("1", "2"):  # of the hashes of strings, by which sets are ordered
        child = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert child.stdout.strip() == digest()
    assert digest().startswith("given:train@")


HARD_CELL = """
import re
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

import pydantic

WORD = re.compile("a+")
T = TypeVar("T")

class Options(pydantic.BaseModel):
    rate: float = 0.5

@lru_cache(maxsize=None)
def factorial(n):
    return 1 if n == 0 else n * factorial(n - 1)

class Model(Generic[T]):
    @cached_property
    def five(self):
        return 5

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

def train(config, *, seed):
    while True:
        yield {"value": Options().rate + factorial(3) + Model().five + even(2) + odd(2) + len(WORD.findall("aba"))}
"""


def test_what_cloudpickle_or_the_order_of_sets_would_break_is_the_same_elsewhere(tmp_path):
    """Caches, recursion in a circle, compiled patterns, type variables and pydantic's models, which hold addresses."""
    script = f"from pathlib import Path\nfrom trainables import given\n{HARD_CELL}\nname = given.name_of(train)\n"
    script += f"Path({str(tmp_path / 'code')!r}).write_bytes(given.codes(name)[name])\nprint(name)"
    for seed in ("1", "2", "3"):
        child = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert child.stdout.strip() == digest(HARD_CELL)
    found = cloudpickle.loads((tmp_path / "code").read_bytes())
    assert next(found({}, seed=0)) == {"value": 0.5 + 6 + 5 + 1 + 0 + 2}
    assert f"given:train@{code_digest(found)}" == digest(HARD_CELL)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("n * factorial", "n + factorial"),
        ("maxsize=None", "maxsize=3"),
        ("return 5", "return 6"),
        ("a+", "b+"),
        ("= 0.5", "= 1.5"),
    ],
)
def test_code_behind_a_cache_or_a_model_counts(before, after):
    assert digest(HARD_CELL.replace(before, after, 1)) != digest(HARD_CELL)


def test_a_digest_leaves_the_values_alone(tmp_path):
    with (tmp_path / "log.txt").open("w") as log:
        with pytest.raises(BadTrainable, match="must be able to move"):
            code_digest(log)
        log.write("still open")


def test_the_name_is_that_of_the_code_that_was_sent():
    train = cell()["train"]
    assert code_digest(cloudpickle.loads(cloudpickle.dumps(train))) == code_digest(train)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import enum", "import enum  # a remark\n\n"),
        ("        model = Model.of()", "\n        # a remark\n        model = (\n            Model.of()\n        )"),
        ("train = made(0.5)", "unused = 3\n\ntrain = made(0.5)"),
        ('{"b", "a", "c"}', '{"c", "b", "a"}'),
    ],
)
def test_it_stays_where_the_code_does_the_same(before, after):
    assert digest(CELL.replace(before, after, 1)) == digest()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("rate * part", "rate + part"),
        ("made(0.5)", "made(0.25)"),
        ("power=2", "power=4"),
        ("power=3", "power=4"),
        ("x ** power", "x + power"),
        ("np.arange(4.0)", "np.arange(5.0)"),
        ("return 2 * self", "return 3 * self"),
        ("x * TABLE.sum()", "x * TABLE.max()"),
        ("ONE = 1", "ONE = 2"),
        ("kind = Kind.ONE", "kind = 1"),
        ("[0.1]", "[0.2]"),
        ('"c"}', '"d"}'),
        ("resume=None", "resume=1"),
    ],
)
def test_it_differs_where_the_code_or_what_it_refers_to_does(before, after):
    changed = CELL.replace(before, after, 1)
    assert changed != CELL
    assert digest(changed) != digest()


def model(x):
    found = torch.nn.Linear(2, 1)
    found.load_state_dict({"weight": x * torch.ones(1, 2), "bias": torch.ones(1)})
    return found


@pytest.mark.parametrize(
    "make",
    [
        lambda x: pandas.DataFrame({"a": [1.0, x]}),
        lambda x: pandas.DataFrame({f"column {x}": [1.0]}),
        lambda x: model(x),
        lambda x: torch.full((2, 2), x, requires_grad=True),
        lambda x: torch.full((2, 2), x, dtype=torch.bfloat16),
        lambda x: np.random.default_rng(int(x)),
        lambda x: {"a": [x, {1, "b"}], "b": (None, b"c")},
    ],
    ids=["frame", "columns", "model", "tensor", "bfloat16", "generator", "plain"],
)  # fmt: skip
def test_values_count_by_what_they_hold(make):
    assert code_digest(make(1.0)) == code_digest(make(1.0))
    assert code_digest(make(1.0)) != code_digest(make(2.0))


def test_what_can_be_imported_goes_by_its_name():
    assert given.name_of(Curves) == "trainables.curves:Curves"
    assert given.name_of(Curves, "tune") == given.name_of({"tune": Curves}) == "tune:trainables.curves:Curves"
    assert given.name_of({"optuna": "module:objective"}) == "optuna:module:objective"
    assert given.codes("trainables.curves:Curves") == {}


def test_lambdas_and_partial_functions_have_names_too():
    shrinking = lambda config, *, seed: iter([{"val_loss": 1 / seed}])  # noqa: E731
    assert given.name_of(shrinking).startswith("given:lambda@")
    assert given.name_of(partial(shrinking, seed=3)) != given.name_of(shrinking)
    assert next(load(given.name_of(shrinking)).function({}, seed=2)) == {"val_loss": 0.5}


LOCK = threading.Lock()
FOUND_BY_NAME = type("Named", (), {"__reduce__": lambda self: "HERE", "__repr__": lambda self: "HERE"})()
FOUND_BY_NAME.__module__ = "__main__"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (3, "a trainable must be a class, a function or a name, but got 3"),
        ({"tune": 3}, "a trainable must be a class, a function or a name, but got 3"),
        ({}, 'a trainable with its kind must be one pair, such as {"optuna": objective}, but got {}'),
        (
            {"optna": id},
            "a trainable's kind must be one of generator, tune, optuna, lightning, huggingface, but got 'optna'; did you mean "
            "'optuna'?",
        ),
        (lambda config: LOCK, "all that a trainable refers to must be able to move to another process, but <unlocked"),
        (
            lambda config: FOUND_BY_NAME,
            "all that a trainable refers to must be able to move to another process, but HERE is not: other processes could "
            "only import it; put it into a module",
        ),
        (
            partial(lambda config, data: iter(()), data=bytes(given.MOST_BYTES)),
            "a trainable and what it refers to must take at most 64 MiB, but lambda takes 64; load large data inside of it",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_sentence(found, message):
    with pytest.raises(BadTrainable) as error:
        given.name_of(found)
    assert str(error.value).startswith(message)


def test_the_code_goes_to_the_store_and_comes_back_in_a_process_that_does_not_have_it(tmp_path, monkeypatch):
    train = cell()["train"]
    file = tmp_path / "study.yaml"
    file.write_text(
        f"study: mine\ntrainable: {given.name_of(train)}\nspace: {{x: {{type: float, low: 0, high: 1}}}}\n"
        "budget: {epochs: 4, max_epochs: 2}\nmethods: [random]\n"
    )
    study = Study.load(file, store=str(tmp_path / "store"))
    code.keep(study)
    code.keep(study)
    assert [path.name for path in (tmp_path / "store").rglob("*.pickle")] == [f"{study.trainable[6:]}.pickle"]
    monkeypatch.setattr(given, "_codes", {})
    monkeypatch.setattr(given, "_objects", {})
    with pytest.raises(BadTrainable, match="run the script or notebook that defines it"):
        load(study.trainable)
    code.recover(study)
    assert load(study.trainable).called == "train"


def test_a_damaged_code_is_refused_with_a_sentence(monkeypatch):
    monkeypatch.setattr(given, "_codes", {})
    given.receive({"given:x@0": b"no pickle"})
    with pytest.raises(BadTrainable, match="the code of trainable 'given:x@0' must be readable here, but: "):
        load("given:x@0")
