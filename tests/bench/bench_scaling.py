"""How ASHA scales from 1 to 500 workers on recorded curves: `python tests/bench/bench_scaling.py [--write]`.

Li et al. 2020: the time to a good configuration falls near-linearly with workers. This bench measures the virtual time
until a run is charged for a good value, on TaskSet's tasks if ../shared/data has them. A good value is one that only the
best 2 of a task's 1,000 configurations ever reach (answered by the nearest recorded curve), or one that 1 in 10,000
random configurations reaches (answered by the surrogate), which is a longer search. No run can be faster than the epochs
that its good configuration takes. `--write` writes docs/reference/replay.md and its picture.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import CURVES, ROOT, Row, command, markdown, row, tell, write

from hpo.replay import Weather, replay
from hpo.replay.answers import Between
from hpo.replay.curve_forest import CurveForest
from hpo.replay.sources import RecordedTable, load
from hpo.replay.sweep import reached_at
from hpo.study.study import Study

WORKERS = (1, 2, 5, 10, 25, 50, 100, 250, 500)
FIRST, MOST = 2_000, 500_000  # budgets in epochs, the first and the largest to try
SHOWN = (10, 100, 500)  # workers, in the table of all benches
RARE = 10_000  # random configurations, one of which is good
STRAGGLING = 0.5  # sigma
PAGE = ROOT / "docs" / "reference" / "replay.md"
PICTURE = ROOT / "docs" / "pictures" / "asha-scaling.svg"

Times = dict[int, list[float]]  # workers -> of each game


@dataclass(frozen=True)
class Search:
    """A search to measure: the answer for unrecorded configurations, tasks, seeds, stragglers."""

    name: str
    between: Between
    tasks: int
    seeds: int
    stragglers: float = 0.0

    def games(self) -> Iterator[tuple[Study, RecordedTable, float]]:
        for name in [str(name) for name in np.load(CURVES)["tasks"]][:: 12 // self.tasks]:
            for seed in range(self.seeds):
                study = Study.load(
                    ROOT / "hpo" / "replay" / "recorded" / "taskset.yaml", methods=["asha"], seeds=[seed]
                )
                table = load(str(CURVES), study.space, study.metric, name)
                yield study, table, self.good(study, table)

    def good(self, study: Study, table: RecordedTable) -> float:
        """Returns a loss that few configurations ever reach."""
        if self.between == "nearest":
            return float(np.sort(np.nanmin(np.where(np.isfinite(table.values), table.values, np.inf), axis=1))[1])
        space, rng = study.space, np.random.default_rng(0)
        whole = np.flatnonzero(table.known == table.epochs)
        forest = CurveForest(np.array([space.features(table.configs[i]) for i in whole]), table.values[whole])
        drawn = np.array([space.features(space.sample(rng)) for _ in range(2 * RARE)])
        return float(np.sort(forest.curves(drawn).min(axis=1))[1])

    def times(self, workers: tuple[int, ...]) -> Times:
        """Measures the virtual time to a good value, by workers."""
        found: Times = {count: [] for count in workers}
        for study, table, good in self.games():
            budget = FIRST
            for count in workers:
                time, budget = self._time(study, table, good, count, budget)
                found[count].append(time)
        return found

    def _time(self, study: Study, table: RecordedTable, good: float, workers: int, budget: int) -> tuple[float, int]:
        """Returns the time and a budget that should suffice for more workers; a larger budget changes no earlier decision."""
        weather = Weather(stragglers=self.stragglers, seed=study.seeds[0])
        while budget < MOST:
            played = replay(study, table=table, workers=workers, budget=budget, weather=weather, between=self.between)
            (found,) = reached_at(played, good).values()
            if math.isfinite(found):
                return found, math.ceil(1.2 * found * workers)
            budget = math.ceil(1.5 * budget)
        return math.inf, budget


def speedups(found: Times) -> Times:
    """Returns how much faster than one worker each game is."""
    return {n: [a / b for a, b in zip(found[min(found)], mine, strict=True)] for n, mine in found.items()}


def draw(found: dict[str, Times], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "scaling"  # the same picture, the same file
    from matplotlib import pyplot

    figure, place = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name, times in found.items():
        workers = list(times)
        middle = [statistics.median(values) for values in times.values()]
        (line,) = place.plot(workers, middle, marker="o", label=name)
        low, high = zip(*(np.quantile(values, [0.25, 0.75]) for values in times.values()), strict=True)
        place.fill_between(workers, low, high, alpha=0.15, lw=0, color=line.get_color())
        place.plot(workers, [middle[0] / count for count in workers], ls=":", color=line.get_color())
    place.plot([], [], ls=":", color="grey", label="linear")
    place.set(xscale="log", yscale="log", xlabel="virtual workers", ylabel="virtual time to a good value, epochs")
    place.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def page(found: dict[str, Times]) -> str:
    """Returns the table of docs/reference/replay.md: median times and median speedups over games."""
    gains = {name: speedups(times) for name, times in found.items()}
    head = ["workers", *(f"{what}: {name}" for name in found for what in ("time", "speedup"))]
    body = []
    for count in next(iter(found.values())):
        cells: list[object] = [count]
        for name, times in found.items():
            cells += [f"{statistics.median(times[count]):,.0f}", f"{statistics.median(gains[name][count]):,.1f}"]
        body.append(cells)
    return markdown(head, body)


def main(quick: bool = False, put: bool = False) -> list[Row]:
    """Returns the rows of the bench's table."""
    if not CURVES.exists():
        print(f"no recorded curves at {CURVES}: scaling is not measured")
        return []
    few = (2, 1) if quick else (6, 2)
    searches = [
        Search("best 2 of 1,000", "nearest", *few),
        Search("the same, stragglers", "nearest", few[0], 1, STRAGGLING),
        *([] if quick else [Search("1 in 10,000", "surrogate", 3, 1)]),
    ]
    found = {search.name: search.times(WORKERS[:5] if quick else WORKERS) for search in searches}
    table = page(found)
    print(table)
    if put:
        draw(found, PICTURE)
        write(PAGE, "table of ASHA's scaling", table)
    return [
        row(f"ASHA's speedup, {count} workers, good: {name}", gains, "ratio", workers=count)
        for name, times in found.items()
        for count, gains in speedups(times).items()
        if count in SHOWN
    ]


if __name__ == "__main__":
    given = command(__doc__, writes=True).parse_args()
    tell(main(given.quick, given.write), given.json)
