"""Mutated study files: `hpo check` accepts one or refuses it with a sentence and a place; there is no third way.

HPO_MUTATIONS=2000 makes it that many.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import INSTANT
from ruamel.yaml import YAML

from hpo import cli
from hpo.study.study import Study, presets

COUNT = int(os.environ.get("HPO_MUTATIONS", "300"))
BATCH = 50
SEEDS = range(0, COUNT, BATCH)

WEIRD = (
    *("", " ", "\n", "a\nb", "null", "~", "yes", "all", "none", "x" * 5000, "\u202e", "emoji :100: [red]", "{}", "[]"),
    *("val_los", "adamm", "s3://", "://", "/", "..", "a" * 300, "10 per class", "0 per class", "timm:", "NaN", "-"),
    *(0, 1, -1, 2, 3, 7, 400, 2**31, 2**63 - 1, 2**63, 10**30, 10**400, -(10**400), 0.0, -0.5, 0.5, 1.5, 1e-300, 1e300),
    *(
        float("inf"),
        float("-inf"),
        float("nan"),
        True,
        False,
        None,
        [],
        {},
        [[]],
        [{}],
        [None],
        {"a": 1},
        [1, 1],
        ["a"],
    ),
    *("1 %", "0 %", "%", "1e400 %", "1 % %", "nan %", [0, 1], [1, 0], [None, 1], [None, None], [0, 1, 2], [10**400, 1]),
    *({"low": 0, "high": 1}, {"type": "float", "low": 0, "high": 1}, {"type": "choice", "values": [[1], {"a": 1}]}),
)
FULL = """
study: full
trainable: curves
data: {fail_share: 0.1}
model: {}
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true, grid: [0.001, 0.01]}
  dropout: {type: float, low: 0, high: 0.5, step: 0.1}
  optimizer: {type: choice, values: [adam, sgd]}
  momentum: {type: float, low: 0.5, high: 0.99, if: {optimizer: sgd}}
  layers: {type: int, low: 1, high: 8}
fixed: {}
budget: {epochs: 60, max_epochs: 6}
methods: [random, {i-epoch: {max_epochs: 6, epochs: 2, top_k: 2, searcher: random}}, {median-stopping: {label: median}}]
seeds: [0, 1]
parallelism: 3
clock: virtual
early_stopping: {patience: 2, metric: val_loss, mode: min}
resources: {cpus: 1, gpus: 0, memory_gb: 0.5, pack: false, labels: {region: "in(a, b)"}, custom: {license: 1},
            min_workers: 1, max_workers: 9}
priority: 2
owner: the vision team
metric: val_accuracy
mode: max
bounds: [0, 1]
difference: 0.5 %
final: {retrain: full, train: 100, epochs: 4, seeds: 2}
store: results
checkpoints_gb: 2.5
track: {tensorboard: board, mlflow: "http://localhost:5000"}
suite: mutants
start: [{learning_rate: 0.01, dropout: 0.3, optimizer: sgd, momentum: 0.9, layers: 2}]
"""  # every key but `prior`

KEYS = ("study", "data", "type", "low", "high", "step", "log", "grid", "values", "if", "seed", "folds", "label", "metric",
        "mode", "patience", "max_epochs", "parallelism", "searcher", "name", "weights", "cost", "", " ", "x",
        "bounds", "difference", "epochs", "top_k")  # fmt: skip
NOISE = ("\x00", "\x07", "\t", ":", "- ", "{", "}", "[", "]", "&a ", "*a", "!!python/object:os.system ", "!x ", "|", ">", "#",
         "%", "@", "'", '"', "<<: ", "? ", "---\n", "...\n", "\u2028", "\ufeff", "1e999", "0x", "0o9", "2001-99-99")  # fmt: skip


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found = []
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], dict | list):
            found += places(node[key])
    return found


def mutated(text: str, rng: random.Random) -> bytes:
    """Returns the study file with one to three mutations of its values, its keys or its bytes."""
    document = YAML(typ="safe", pure=True).load(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change(document, rng)
    stream = Stream()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = rng.random() < 0.5
    try:
        yaml.dump(document, stream)
    except RecursionError:  # too deep for the library that writes it
        stream.text = f"{text}\nprior: {'[' * 300}{']' * 300}\n"
    content = stream.text
    if rng.random() < 0.25:
        content = noisy(content, rng)
    found = content.encode(errors="replace")
    if rng.random() < 0.05:
        at = rng.randrange(len(found) + 1)
        found = found[:at] + bytes(rng.randrange(256) for _ in range(3)) + found[at:]
    return found


class Stream:
    def __init__(self) -> None:
        self.text = ""

    def write(self, part: str | bytes) -> None:
        self.text += part if isinstance(part, str) else part.decode()


def change(document: Any, rng: random.Random) -> None:
    """Deletes, doubles, renames, moves or replaces one value, or nests it deeply."""
    container, key = rng.choice(places(document))
    value = container[key]
    kind = rng.randrange(8)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice(KEYS)] = container.pop(key)
    elif kind == 2 and isinstance(container, dict):
        container[rng.choice(KEYS)] = rng.choice(WEIRD)
    elif kind == 3 and isinstance(container, dict) and isinstance(key, str) and len(key) > 3:
        at = rng.randrange(len(key))
        container[key[:at] + key[at + 1 :]] = container.pop(key)
    elif kind == 4:
        other, place = rng.choice(places(document))
        container[key] = other[place] if not isinstance(other[place], dict | list) else str(other[place])
    elif kind == 5:
        for _ in range(rng.choice((1, 5, 30, 300))):
            value = [value] if rng.random() < 0.5 else {"a": value}
        container[key] = value
    elif kind == 6 and isinstance(container, list):
        container.append(value)
    else:
        container[key] = rng.choice(WEIRD)


def noisy(text: str, rng: random.Random) -> str:
    """Inserts noise, cuts a piece out, or doubles a line."""
    at = rng.randrange(len(text) + 1)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + rng.choice(NOISE) + text[at:]
    if kind == 1:
        return text[:at] + text[at + rng.randrange(1, 20) :]
    lines = text.splitlines(keepends=True)
    line = rng.randrange(len(lines))
    return "".join([*lines[: line + 1], *lines[line:]])


def sources() -> list[str]:
    """Study files to mutate: the cheap ones more often than those whose models must be looked into."""
    instant = INSTANT.format(seconds=0, fail_share=0, epochs=36, seeds="[0]", clock="virtual")
    known = presets()
    cheap = [instant, FULL, known["digits"].read_text(), known["paper002-synthetic-08"].read_text()]
    return [*cheap * 10, *(path.read_text() for path in known.values())]


def test_the_full_study_has_every_key_and_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = YAML(typ="safe", pure=True).load(FULL)
    assert {*document, "prior"} == {field.alias or name for name, field in Study.model_fields.items()} - {"folder"}
    Path("study.yaml").write_text(FULL)
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", "study.yaml"])
    assert ended.value.code == 0


@pytest.mark.timeout(60 + 2 * BATCH)
@pytest.mark.parametrize("first", SEEDS)
def test_a_mutated_study_is_accepted_or_refused_in_a_sentence_with_its_place(first, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files = sources()
    codes: Counter[int] = Counter()
    for seed in range(first, min(first + BATCH, COUNT)):
        rng = random.Random(seed)
        file = tmp_path / "study.yaml"
        file.write_bytes(mutated(rng.choice(files), rng))
        with pytest.raises(SystemExit) as ended:
            cli.main(["check", str(file)])
        said = capsys.readouterr()
        codes[ended.value.code] += 1
        about = f"seed {seed}: {said.err}"
        assert ended.value.code in (0, 2), about
        if ended.value.code == 2:
            assert said.out == "", about
            assert len(said.err.splitlines()) <= 3, about
            assert len(said.err) < 1000, about
            assert re.match(rf"hpo: {re.escape(str(file))}:\d+:\d+: ", said.err), about
    assert [path.name for path in Path(tmp_path).iterdir()] == ["study.yaml"]
    print(dict(codes))
