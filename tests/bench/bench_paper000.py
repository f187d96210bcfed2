"""Which method finds the best of paper 000's 20 recorded pairs, and how fast: `python tests/bench/bench_paper000.py`.

Replays the paper's 80 trainings and prints the tables of docs/measured/paper000-replay.md; `--write` writes them there.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from rows import ROOT, Row, command, markdown, row, tell, write

from hpo.replay import best_recorded, replay
from hpo.replay.sources import load
from hpo.results.statistics import holm, signed_rank
from hpo.study.study import Study

TABLE = ROOT / "hpo" / "replay" / "recorded" / "paper000.csv"
MODELS = ("ResNet50", "VGG-16", "Inception", "EfficientNetB0")
PAGE = ROOT / "docs" / "measured" / "paper000-replay.md"
HALF = 10  # of the 20 trainings


@dataclass(frozen=True)
class Found:
    """A method on a model, by seed: trainings and recorded hours until it found the best pair, and its best accuracy
    after half of the trainings."""

    trainings: Sequence[int]
    hours: Sequence[float]
    halfway: Sequence[float]


def found(model: str, seeds: int) -> Mapping[str, Found]:
    """Replays every method on a model; returns the findings by method."""
    study = Study.load(TABLE.with_suffix(".yaml"), seeds=list(range(seeds)))
    table = load(str(TABLE), study.space, study.metric, model)
    best = best_recorded(study, table=table)
    played = replay(study, table=table)
    results: dict[str, Found] = {method.label: Found([], [], []) for method in study.methods}
    for run in played.runs:
        charges = [charge for charge in played.charges if charge.run == run.key]
        at = [charge.value for charge in charges].index(best)
        mine = results[run.key.method]
        results[run.key.method] = Found(
            [*mine.trainings, at + 1],
            [*mine.hours, charges[at].at / 3600],
            [*mine.halfway, max(charge.value for charge in charges[:HALF])],
        )
    return results


def bests() -> str:
    """Returns the table of each model's best pair."""
    told = []
    for model in MODELS:
        study = Study.load(TABLE.with_suffix(".yaml"))
        table = load(str(TABLE), study.space, study.metric, model)
        best = table.configs[int(table.values[:, 0].argmax())]
        hours = table.seconds.sum() / 3600
        told.append([model, best["batch_size"], best["learning_rate"], f"{table.values.max():.4f}", f"{hours:.1f}"])
    return markdown(("model", "batch size", "learning rate", "validation accuracy", "hours of all 20"), told)


def verdicts(results: Mapping[str, Mapping[str, Found]]) -> str:
    """Returns the table of mean trainings, tested against random search by signed ranks over seeds, Holm over methods.

    A seed counts once, with its mean over the models, because three of the models share their best pair.
    """
    means = {
        method: np.mean([by_method[method].trainings for by_method in results.values()], axis=0)
        for method in results[MODELS[0]]
    }
    others = [method for method in means if method != "random"]
    tested = [signed_rank(means["random"] - means[method]) for method in others]
    adjusted = dict(zip(others, holm([p for p, _ in tested]), strict=True))
    sides = {method: "fewer" if side > 0 else "more" for method, (_, side) in zip(others, tested, strict=True)}
    body = []
    for method in sorted(means, key=lambda m: float(means[m].mean())):
        if method == "random":
            said = ""
        else:
            p = adjusted[method]
            said = f"{sides[method]}, p = {p:.2g}" if p < 0.05 else f"undecided, p = {p:.2g}"
        body.append([method, f"{means[method].mean():.1f}", said])
    return markdown(("method", "trainings, mean of all", "against random"), body)


def spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def tables(results: Mapping[str, Mapping[str, Found]]) -> dict[str, str]:
    """Returns the page's tables by name."""
    methods = list(next(iter(results.values())))
    head = ("method", *MODELS)
    return {
        "best pairs": bests(),
        "trainings": markdown(head, [[m, *(spread(results[o][m].trainings, 0) for o in MODELS)] for m in methods]),
        "verdicts": verdicts(results),
        "hours": markdown(head, [[m, *(spread(results[o][m].hours, 1) for o in MODELS)] for m in methods]),
        "half of the budget": markdown(
            head, [[m, *(spread(results[o][m].halfway, 4) for o in MODELS)] for m in methods]
        ),
    }


def main(quick: bool = False, put: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    results = {model: found(model, 3 if quick else 20) for model in MODELS}
    for name, text in tables(results).items():
        print(f"\n{name}\n{text}")
        if put:
            write(PAGE, f"table: {name}", text)
    return [
        row(f"paper 000, 4 models: trainings until {method} finds the best", pooled(results, method), "of 20")
        for method in results[MODELS[0]]
    ]


def pooled(results: Mapping[str, Mapping[str, Found]], method: str) -> list[int]:
    """Returns a method's trainings over all models."""
    return [count for by_method in results.values() for count in by_method[method].trainings]


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    tell(main(given.quick, given.write), given.json)
