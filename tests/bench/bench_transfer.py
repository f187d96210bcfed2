"""What other tasks' results are worth: each of 13 recorded fine-tunings in turn is new, the 12 others are its prior.

    python tests/bench/bench_transfer.py [--half development|confirmation|all] [--seeds 20] [--methods asha ...]
                                         [--priors true inverted ...] [--quick] [--json FILE] [--write]

The tasks are quicktune-a's (see tasks.py), each a pool of its own configurations over the same 31 hyperparameters.
Normalized regret after so many full trainings' epochs: 0 is the best recorded configuration, 1 the median one. Priors that
mislead: `inverted` has every value's sign turned, `half` every second task's, and in `shuffled` the tasks' curves belong to
other configurations of theirs. --write puts the table into docs/how-to/start-from-what-you-know.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rows import ROOT, Row, command, markdown, row, tell, write
from tasks import QUICKTUNE, Game, Task, play, quicktune

from hpo.study.values import Method, Observation

PAGE = ROOT / "docs" / "how-to" / "start-from-what-you-know.md"
TRAININGS = (1, 2, 5, 10)
METHODS = ("random", "asha", "hyperband", "asha+transfer", "hyperband over transfer")
PRIORS = {"none": "no prior", "true": "the 12 others", "half": "half inverted", "inverted": "inverted",
          "shuffled": "shuffled"}  # fmt: skip


def observations(task: Task, inverted: bool = False, shuffled: bool = False) -> list[Observation]:
    """Returns every recorded epoch of a task, as its configuration's or as another's."""
    answer, pool = task.oracle(), list(task.space.pool or ())
    order = np.random.default_rng(len(pool)).permutation(len(pool)) if shuffled else range(len(pool))
    return [
        Observation(config, epoch, float(-value if inverted else value), task.name)
        for config, i in zip(pool, order, strict=True)
        for epoch, value in enumerate(answer(pool[i])[0], start=1)
    ]


def prior_of(task: Task, tasks: list[Task], kind: str) -> tuple[Observation, ...]:
    """Returns the results of all tasks but one."""
    others = [] if kind == "none" else [other for other in tasks if other.name != task.name]
    turned = {"inverted": len(others), "half": len(others) // 2}.get(kind, 0)
    return tuple(o for i, t in enumerate(others) for o in observations(t, i % len(others) < turned, kind == "shuffled"))


def method_of(name: str) -> Method:
    schedule, _, searcher = name.partition(" over ")
    return Method(schedule, name, {"searcher": searcher} if searcher else {})


def games(name: str, kind: str, given: Any) -> list[list[Game]]:
    """Plays a method on every task of the half, with `given.seeds` seeds; [tasks][seeds]."""
    everything, chosen = quicktune("all"), {task.name for task in quicktune(given.half)}
    found = []
    for task in (t for t in everything if t.name in chosen):
        prior = prior_of(task, everything, kind)
        found.append([play(task, method_of(name), s, max(TRAININGS), prior=prior) for s in range(given.seeds)])
    return found


def main(given: Any) -> None:
    rows: list[Row] = []
    table: list[list[str]] = []
    for name in given.methods:
        for kind in given.priors if "transfer" in name else ["none"]:
            played = games(name, kind, given)
            line = [f"`{name.replace(' over ', '` over `')}`", PRIORS[kind]]
            for n in TRAININGS:
                means = [float(np.mean([g.regret[n * 50 - 1] for g in row_])) for row_ in played]
                rows.append(row(f"{name}, {PRIORS[kind]}, {n} trainings: regret by task", means, "regret"))
                line.append(f"{np.mean(means):.3f}")
            seconds = sum(g.seconds for row_ in played for g in row_) / sum(g.trials for row_ in played for g in row_)
            print(*line, f"{1e3 * seconds:.0f} ms a trial", flush=True)
            table.append(line)
    tell(rows, given.json)
    if given.write:
        head = ["method", "prior", *(f"{n} trainings" if n > 1 else "1 training" for n in TRAININGS)]
        write(PAGE, "transfer", markdown(head, table))


if __name__ == "__main__":
    parser = command(__doc__, writes=True)
    parser.add_argument("--half", choices=["development", "confirmation", "all"], default="all")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--priors", nargs="+", choices=list(PRIORS), default=list(PRIORS))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.half, arguments.seeds = "development", 2
    if QUICKTUNE.exists():
        main(arguments)
    else:
        print(f"there is no {QUICKTUNE}: nothing to measure")
