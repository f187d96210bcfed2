"""Calibration of comparisons in simulated studies: false verdicts, detected differences, coverage of intervals.

    python tests/bench/bench_calibration.py [--quick] [--json FILE] [--write]

Values are judged by the functions that `compare` calls. Bars: at most 5 percent of studies with a false "better" or
"equivalent" (plus the binomial error), a true difference of one standard deviation between two methods detected with 20
seeds in 80 percent, and intervals that cover the true mean in 93 to 97 percent. `min` and `max` are three standard errors
below and above the measured share. `--write` puts the tables into docs/explanation/statistics.md.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, markdown, row, tell, write

from hpo.results import statistics
from hpo.results.margin import Margin
from hpo.results.pair_tests import TASK_BLOCKS, pair_tests, pair_tests_of_each
from hpo.results.refinement import refinement
from hpo.results.sign_flips import margin_flips, sign_flips
from hpo.study.difference import Difference

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Values]

PAGE = ROOT / "docs" / "explanation" / "statistics.md"
METHODS = (2, 3, 4, 8, 20)
SEEDS = (3, 5, 6, 8, 10, 20, 30)
TASKS = (1, 2, 3, 4, 5, 6, 8, 10, 12)
SHAPES: dict[str, tuple[Draw, float, float]] = {  # draw, true mean, standard deviation
    "normal": (lambda rng, size: rng.normal(0.8, 0.02, size), 0.8, 0.02),
    "best of 16, bounded": (lambda rng, size: rng.beta(16, 1, size), 16 / 17, math.sqrt(16 / (17**2 * 18))),
    "200 images": (lambda rng, size: rng.binomial(200, 0.9, size) / 200, 0.9, math.sqrt(0.09 / 200)),
}


def rarely(count: int) -> str:
    """Returns the bar for a true share of 5 percent in `count` studies: 999 of 1,000 such counts stay below it."""
    return f"at most {0.05 + 3.09 * math.sqrt(0.05 * 0.95 / count):.3f}"


def found_in(what: str, share: float, count: int, bar: str = "") -> Row:
    """Returns a row for a share of `count` studies, with three standard errors on either side."""
    error = 3 * math.sqrt(share * (1 - share) / count)
    return row(what, [max(0.0, share - error), share, min(1.0, share + error)], "share", bar)


# -- two methods --------------------------------------------------------------------------------------------------


def of_two(shape: str, count: int) -> Iterator[Row]:
    """Measures two methods over 5, 10 and 20 seeds: identical ones, then a pair one standard deviation apart."""
    draw, mean, deviation = SHAPES[shape]
    for seeds in (5, 10, 20):
        rng = np.random.default_rng([0, seeds])
        values = draw(rng, (count, seeds, 2))
        false = np.mean([pair_tests("ab", one, "max")[0].better is not None for one in values])
        name = f"{shape}, {seeds} seeds"
        yield found_in(f"{name}: false 'better' verdicts between identical methods", float(false), count, rarely(count))
        low, high = statistics.interval(values.transpose(0, 2, 1))
        bar = "0.93 to 0.97" if seeds >= 10 else ""
        cover = float(np.mean((low <= mean) & (mean <= high)))
        yield found_in(f"{name}: intervals cover the true mean", cover, 2 * count, bar)
        raised = draw(rng, (count, seeds, 2)) + np.array([deviation, 0.0])
        power = float(np.mean([pair_tests("ab", one, "max")[0].better == "a" for one in raised]))
        bar = "at least 0.8" if seeds == 20 else ""
        yield found_in(f"{name}: one standard deviation is detected", power, count, bar)


# -- many methods -------------------------------------------------------------------------------------------------


def pairs_of(values: Values) -> Values:
    """Returns differences [seeds, pairs] of values [seeds, methods]; the first pairs are those of the first method."""
    a, b = np.array(list(combinations(range(values.shape[1]), 2))).T
    return np.asarray(values[:, a] - values[:, b])


def identical(shape: str, seeds: int, methods: int, count: int) -> float:
    """Returns the share of studies of identical methods in which flipped signs show any pair to differ."""
    rng = np.random.default_rng([1, seeds, methods, len(shape)])
    draw = SHAPES[shape][0]
    return float(np.mean([sign_flips(pairs_of(draw(rng, (seeds, methods))))[1].min() < 0.05 for _ in range(count)]))


def one_ahead(seeds: int, methods: int, count: int) -> tuple[float, float, float]:
    """Measures studies whose first method is two standard deviations ahead of the others, which are identical.

    Returns the share of studies with a false claim (between the others, or that the first is worse), and of the first
    method's pairs that are decided: by flipped signs, by signed ranks with Holm's correction.
    """
    rng, first = np.random.default_rng([2, seeds, methods]), methods - 1
    false, shown, ranked = 0, 0.0, 0.0
    for _ in range(count):
        values = rng.normal(size=(seeds, methods))
        values[:, 0] += 2
        differences = pairs_of(values)
        claimed = sign_flips(differences)[1] < 0.05
        ahead = differences.mean(axis=0)[:first] > 0
        false += bool(claimed[first:].any() or (claimed[:first] & ~ahead).any())
        shown += float((claimed[:first] & ahead).mean())
        ranks = statistics.holm([statistics.signed_rank(d)[0] for d in differences.T])
        ranked += float(((ranks[:first] < 0.05) & ahead).mean())
    return false / count, shown / count, ranked / count


def of_many(count: int) -> tuple[list[Row], dict[str, str]]:
    """Measures false claims and power over numbers of methods and seeds; half as many studies of 20 methods."""
    rows, false, power = [], [], []
    for methods in METHODS:
        each = count if methods < 20 else count // 2
        false.append([str(methods)])
        power.append([str(methods)])
        for seeds in SEEDS:
            name = f"{methods} methods, {seeds} seeds"
            shares = [identical(shape, seeds, methods, each) for shape in ("normal", "best of 16, bounded")]
            wrong, shown, ranked = one_ahead(seeds, methods, each)
            rows += [
                found_in(f"{name}: false 'better' verdicts, {kind}", share, each, rarely(each))
                for kind, share in zip(
                    ("identical", "identical and skewed", "one ahead"), (*shares, wrong), strict=True
                )
            ]
            rows.append(found_in(f"{name}: two standard deviations are detected", shown, each))
            rows.append(found_in(f"{name}: two standard deviations, by signed ranks with Holm", ranked, each))
            false[-1].append(", ".join(f"{share:.3f}" for share in (*shares, wrong)))
            power[-1].append(f"{shown:.2f} ({ranked:.2f})")
    head = ("methods", *(f"{seeds} seeds" for seeds in SEEDS))
    return rows, {"false better": markdown(head, false), "power": markdown(head, power)}


# -- equivalence --------------------------------------------------------------------------------------------------


def at_the_edge(shape: str, seeds: int, methods: int, count: int) -> float:
    """Returns the share of studies in which methods that differ by the margin are called equivalent.

    Every other method is ahead by the margin, which is one standard deviation.
    """
    rng = np.random.default_rng([3, seeds, methods, len(shape)])
    draw, _, margin = SHAPES[shape]
    shift = margin * (np.arange(methods) % 2)
    apart = pairs_of(shift[None, :])[0] != 0
    found = [margin_flips(pairs_of(draw(rng, (seeds, methods)) + shift), margin)[apart] for _ in range(count)]
    return float(np.mean([p.min() < 0.05 for p in found]))


def of_equivalence(count: int) -> tuple[list[Row], dict[str, str]]:
    """Measures false equivalence at the margin, and how often identical methods are called equivalent."""
    rows, body = [], []
    for methods in (2, 4, 8):
        body.append([str(methods)])
        for seeds in SEEDS:
            name = f"{methods} methods, {seeds} seeds"
            shares = [at_the_edge(shape, seeds, methods, count) for shape in ("normal", "best of 16, bounded")]
            rng = np.random.default_rng([4, seeds, methods])
            shown = np.mean(
                [(margin_flips(pairs_of(rng.normal(size=(seeds, methods))), 2.0) < 0.05).mean() for _ in range(count)]
            )
            rows += [
                found_in(f"{name}: false 'equivalent' verdicts, {kind}", share, count, rarely(count))
                for kind, share in zip(("normal", "skewed"), shares, strict=True)
            ]
            rows.append(found_in(f"{name}: identical within two standard deviations", float(shown), count))
            body[-1].append(f"{shares[0]:.3f}, {shares[1]:.3f}; {shown:.2f}")
    return rows, {"equivalence": markdown(("methods", *(f"{seeds} seeds" for seeds in SEEDS)), body)}


# -- tasks --------------------------------------------------------------------------------------------------------

NAMED = Margin(Difference(0.5), named=True)


def task_claims(tasks: int, seeds: int, methods: int, count: int) -> tuple[float, float, float]:
    """Measures methods whose effects on a task are drawn with mean zero, twice as far apart as their seeds are.

    Returns the share of studies with a "better" about tasks in general, which is false; of studies with a false claim
    about one of these tasks (worse called better, or equivalent beyond the margin); and the share of pairs whose interval
    covers the mean over all tasks, which is zero.
    """
    rng, labels = np.random.default_rng([5, tasks, seeds, methods]), [f"m{i}" for i in range(methods)]
    general = local = covered = 0.0
    for _ in range(count):
        effects = rng.normal(0, 2, (tasks, 1, methods))
        tables = list(effects + rng.normal(size=(tasks, seeds, methods)))
        if tasks > 1:
            overall = pair_tests(labels, np.array([table.mean(axis=0) for table in tables]), "max", NAMED)
            general += any(t.better for t in overall)
            covered += float(np.mean([t.ci95[0] <= 0 <= t.ci95[1] for t in overall if t.ci95]))
        if tasks < TASK_BLOCKS:
            local += any(wrong(labels, list(effects[:, 0]), pair_tests_of_each(labels, tables, "max", NAMED)))
    return general / count, local / count, covered / count


def wrong(labels: Sequence[str], effects: Sequence[Values], tests: Sequence[Sequence]) -> Iterator[bool]:
    """Tells of each claim about a task whether it is false."""
    for effect, mine in zip(effects, tests, strict=True):
        true = dict(zip(labels, effect.tolist(), strict=True))
        for t in mine:
            gap = true[t.a] - true[t.b]
            yield t.verdict == "equivalent" and abs(gap) >= 0.5
            yield t.better is not None and (gap if t.better == t.a else -gap) <= 0


def of_tasks(count: int) -> tuple[list[Row], dict[str, str]]:
    """Measures claims over 1 to 12 tasks, with 3 and 10 seeds each, of 2 and 4 methods."""
    rows, body = [], []
    for tasks in TASKS:
        body.append([str(tasks)])
        for methods, seeds in ((2, 3), (2, 10), (4, 10)):
            general, local, covered = task_claims(tasks, seeds, methods, count)
            name = f"{tasks} tasks, {methods} methods, {seeds} seeds"
            cells = []
            if tasks > 1:
                rows.append(found_in(f"{name}: false 'better' in general", general, count, rarely(count)))
                rows.append(found_in(f"{name}: intervals cover the mean over tasks", covered, count))
                cells.append(f"{general:.3f} in general")
            if tasks < TASK_BLOCKS:
                rows.append(found_in(f"{name}: false claims on these tasks", local, count, rarely(count)))
                cells.append(f"{local:.3f} on these")
            body[-1].append(", ".join(cells) + (f"; {covered:.2f}" if tasks > 1 else ""))
    head = ("tasks", "2 methods, 3 seeds", "2 methods, 10 seeds", "4 methods, 10 seeds")
    return rows, {"tasks": markdown(head, body)}


# -- changes of a winner ------------------------------------------------------------------------------------------


def refined(count: int) -> Row:
    """Measures false gains among six identical changes of a winner."""
    rng = np.random.default_rng(9)
    base = {"dropout": 0.0}
    configs = [base, *({"dropout": i / 10} for i in range(1, 7))]
    called = 0
    for _ in range(count):
        rows = [(config, seed, float(rng.normal(0.8, 0.02))) for config in configs for seed in range(10)]
        called += refinement(base, rows, metric="m", mode="max").best is not None
    return found_in("six identical changes, 10 seeds: false gains", called / count, count, rarely(count))


# -- all ----------------------------------------------------------------------------------------------------------


def main(quick: bool = False, put: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    count = 100 if quick else 1000
    rows = [found for shape in SHAPES for found in of_two(shape, count)]
    tables: dict[str, str] = {}
    for part in (of_many, of_equivalence, of_tasks):
        found, written = part(count)
        rows += found
        tables |= written
        print(f"{part.__name__}: done", flush=True)
    for name, text in tables.items():
        print(f"\n{name}\n{text}")
        if put:
            write(PAGE, f"table: {name}", text)
    return sorted([*rows, refined(count)], key=lambda one: str(one["bar"]))  # bench.py shows the worst of equal bars


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    tell(main(given.quick, given.write), given.json)
