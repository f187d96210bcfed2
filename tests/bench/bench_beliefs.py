"""What a user's beliefs are worth to PriorBand on recorded trainings of small networks, where they are right and where not.

    python tests/bench/bench_beliefs.py [--seeds 20] [--half all] [--beliefs good bad ...] [--quick] [--json FILE] [--write]

TaskSet's tasks (see tasks.py). The belief names one recorded configuration of 1,000, with medium confidence: the tenth best
(`good`), the hundredth best (`fair`), the median one (`poor`), or the hundredth worst (`bad`). Normalized regret after so
many full trainings' epochs. --write puts the table into docs/how-to/start-from-what-you-know.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from recorded import taskset
from rows import CURVES, ROOT, Row, command, markdown, row, tell, write
from tasks import Task, play, tasksets

from hpo.study.beliefs import Belief
from hpo.study.space import SearchSpace

PAGE = ROOT / "docs" / "how-to" / "start-from-what-you-know.md"
TRAININGS = (2, 5, 10, 20)
PLACES = {"none": None, "good": 10, "fair": 100, "poor": 500, "bad": 900}
WORDS = {"none": "no belief", "good": "the 10th best", "fair": "the 100th best", "poor": "the median one",
         "bad": "the 900th best"}  # fmt: skip


def believed(task: Task, number: int, place: int | None) -> Task:
    """Returns the task with the belief that good configurations are like the one at this place among the recorded ones."""
    if place is None:
        return task
    recorded = taskset()
    best = np.nanmax(np.nan_to_num(recorded.values[number], nan=-np.inf), axis=1)
    at = int(np.argsort(-best, kind="stable")[place])
    cube = recorded.trees[number].data[at] / np.maximum(recorded.weights[number], 1e-9)
    config = task.space.decode(np.clip(cube, 0.0, 1.0))
    domains = {name: replace(domain, prior=Belief(config[name])) for name, domain in task.space.domains.items()}
    return replace(task, space=SearchSpace(domains, task.space.conditions))


def main(given: Any) -> None:
    rows: list[Row] = []
    table: list[list[str]] = []
    for name in ("hyperband", "priorband"):
        for kind in given.beliefs if name == "priorband" else ["none"]:
            tasks = [believed(t, int(t.name.split("/")[1]), PLACES[kind]) for t in tasksets(given.half)]
            played = [[play(task, name, s, max(TRAININGS)) for s in range(given.seeds)] for task in tasks]
            line = [f"`{name}`", WORDS[kind]]
            for n in TRAININGS:
                means = [
                    float(np.mean([g.regret[n * t.max_epochs - 1] for g in r]))
                    for t, r in zip(tasks, played, strict=True)
                ]
                rows.append(row(f"{name}, {WORDS[kind]}, {n} trainings: regret by task", means, "regret"))
                line.append(f"{np.mean(means):.3f}")
            print(*line, flush=True)
            table.append(line)
    tell(rows, given.json)
    if given.write:
        write(PAGE, "beliefs", markdown(["method", "belief", *(f"{n} trainings" for n in TRAININGS)], table))


if __name__ == "__main__":
    parser = command(__doc__, writes=True)
    parser.add_argument("--half", choices=["development", "confirmation", "all"], default="all")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--beliefs", nargs="+", choices=list(PLACES), default=list(PLACES))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.half, arguments.seeds = "development", 2
    if CURVES.exists():
        main(arguments)
    else:
        print(f"there is no {CURVES}: nothing to measure")
