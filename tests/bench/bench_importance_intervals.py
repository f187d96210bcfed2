"""How often the intervals of importance cover the true shares, on functions whose shares are known.

    python tests/bench/bench_importance_intervals.py [--quick] [--json FILE] [--write] [--only "held out"]

Trials are drawn as random search draws them, without noise and with noise of 0.3 standard deviations of the function; or
four fifths of them around the best so far, with noise of 0.1. Counted are the intervals of hyperparameters whose share
is above 0.5 percent, of such pairs, and of all whose share is zero; studies called undecided count beside the others. The
error of the largest share is signed: the mean of estimate minus truth, of the surrogate alone and as reported. The second
table is of functions that were not looked at while the method was made.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from rows import ROOT, Row, command, markdown, row, tell, write

from hpo.results.fanova import TREES, cells
from hpo.results.forest import Forest, decompose
from hpo.results.importance import POOR_FIT
from hpo.results.ped_anova import PedAnova
from hpo.results.shares import Axes
from hpo.study.space import Config
from tests.known_shares import HELD_OUT, KNOWN, Known

SOME = 0.005  # share from which a hyperparameter or pair counts as mattering
REPETITIONS = {100: 30, 300: 20, 1000: 12}
WAYS = {"random": 0.0, "random, noise 0.3": 0.3, "searched, noise 0.1": 0.1}
HEAD = (
    "function", "trials", "drawn", "studies", "decided", "cover: single", "cover: pairs", "cover: zeros", "of decided",
    "median width", "error, surrogate", "error, reported",
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """A study's intervals against the truth: whether each covers, by kind, and the errors of the largest share."""

    decided: bool
    single: list[bool]
    pairs: list[bool]
    zeros: list[bool]
    widths: list[float]
    surrogate: float
    reported: float
    agrees: bool


def judge(known: Known, configs: list[Config], values: np.ndarray, seed: int) -> Judged:
    found, rng = known.estimate(configs, values, seed), np.random.default_rng(seed)
    surrogate = Forest(known.places(configs), values, known.active(configs), cells(known.space), trees=TREES, rng=rng)
    best = PedAnova(known.space, configs, values, mode="max").importance()

    def covers(wanted: Sequence[Axes]) -> list[bool]:
        ends = [(found.of[axes], known.shares[axes]) for axes in wanted]
        return [estimate.low <= max(0.0, true) + 1e-9 and true <= estimate.high + 1e-9 for estimate, true in ends]

    matter = [axes for axes, true in known.shares.items() if true > SOME]
    single = [axes for axes in matter if len(axes) == 1]
    first = max(single, key=lambda axes: known.shares[axes])
    leader = max(range(len(known.space)), key=lambda axis: found.of[(axis,)].share)
    return Judged(
        found.fit >= POOR_FIT,
        covers(single),
        covers([axes for axes in matter if len(axes) == 2]),
        covers([axes for axes, true in known.shares.items() if true < 1e-9]),
        [found.of[axes].high - found.of[axes].low for axes in single],
        decompose(surrogate, [], seed=seed).single(first[0]) - known.shares[first],
        found.of[first].share - known.shares[first],
        known.space.names[leader] == best.shares[0].name,
    )


def studies(known: Known, trials: int, way: str, count: int) -> list[Judged]:
    draw = known.search if way.startswith("searched") else known.draw
    return [judge(known, *draw(trials, WAYS[way], seed), seed) for seed in range(count)]


def share(flags: Sequence[bool]) -> str:
    return f"{np.mean(flags):.2f} of {len(flags)}" if flags else ""


def line(name: str, trials: int, way: str, found: Sequence[Judged]) -> list[str]:
    """Returns a line of the table."""
    kinds = [[flag for one in found for flag in getattr(one, kind)] for kind in ("single", "pairs", "zeros")]
    decided = [flag for one in found if one.decided for flag in one.single]
    width = np.median([width for one in found for width in one.widths])
    errors = [np.mean([getattr(one, who) for one in found]) for who in ("surrogate", "reported")]
    return [name, f"{trials:,}", way, str(len(found)), str(sum(one.decided for one in found)), *map(share, kinds),
            share(decided), f"{width:.2f}", *(f"{error:+.3f}" for error in errors)]  # fmt: skip


def table(functions: Mapping[str, Known], largest: int, quick: bool) -> tuple[list[Row], list[list[str]]]:
    """Returns the rows of the bench's table and the lines of the page's, up to the `largest` number of trials."""
    rows, lines = [], []
    for trials, way in itertools.product(REPETITIONS, WAYS):
        if trials > (min(REPETITIONS) if quick else largest) or (way.startswith("searched") and trials > 300):
            continue
        every: list[Judged] = []
        for name, known in functions.items():
            found = studies(known, trials, way, 4 if quick else REPETITIONS[trials])
            every += found
            lines.append(line(name, trials, way, found))
            print(*lines[-1], sep=" | ", flush=True)
            rows += as_rows(f"{name}, {trials} trials, {way}", found)
        lines.append([*line("all", trials, way, every)[:-2], "", ""])
    return rows, lines


def as_rows(what: str, found: Sequence[Judged]) -> list[Row]:
    covered = float(np.mean([flag for one in found for flag in one.single]))
    agree = float(np.mean([one.agrees for one in found]))
    return [
        row(f"{what}: intervals cover the true share", [covered], "share", "at least 0.9"),
        row(f"{what}: PED-ANOVA names the same first", [agree], "share"),
    ]


def main(quick: bool = False, *, only: str = "", page: Path | None = None) -> list[Row]:
    """Returns the rows of the bench's table; writes the whole tables into `page`. `only`: one of the two tables."""
    rows = []
    for name, functions, largest in (("known", KNOWN, 1000), ("held out", HELD_OUT, 300)):
        if only in ("", name):
            found, lines = table(functions, largest, quick)
            rows += found
            if page is not None:
                write(page, f"coverage of importance, {name}", markdown(HEAD, lines))
    return rows


if __name__ == "__main__":
    parser = command(__doc__, writes=True)
    parser.add_argument("--only", choices=("known", "held out"), default="", help="one of the two tables")
    given = parser.parse_args()
    page = ROOT / "docs" / "explanation" / "statistics.md" if given.write else None
    tell(main(given.quick, only=given.only, page=page), given.json)
