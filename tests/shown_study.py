"""A study of 60 runs at a moment, as its display is told of it."""

from __future__ import annotations

from hpo.live.display.moment import Moment, Tally
from hpo.live.incidents import Incident
from hpo.live.occupancy import Occupancy

METHODS = ("grid", "random", "sobol", "bayesian", "asha", "hyperband")
REASON = (
    "trial 3f2a91bc7de01234 failed in epoch 3: ValueError: the learning rate is so large that every weight became infinite "
    "within the first batch, which no optimizer survives and nothing can repair later on"
)


def tally(number: int, method: str, runs: int = 10) -> Tally:
    return Tally(
        method, runs, number, 1000.0 * number, 6_000, 0.9 + number / 100, 0.88 + number / 1000, 4, 1_234, number % 2
    )


SIXTY = Moment(
    study="sixty-runs", metric="val_accuracy", unit="epochs", elapsed=192.3, left=4_760.2, share=0.397, charged=15_000,
    budget=36_000, stored=1_024, trained=10_398, rate=2.134, occupancy=Occupancy(64, 61, 2, 1), exams=(0, 0),
    tallies=tuple(tally(number, method) for number, method in enumerate(METHODS)),
    promotions=(Incident(1_000, "promoted", "asha/0 takes trial c60d96792a42f0d2 further, after 4 epochs at 0.9312"),),
    incidents=(
        Incident(1_010, "failed", REASON),
        Incident(1_020, "lost", "worker host:1234 was lost: The actor died unexpectedly before finishing this task."),
    ),
    met=2, failed=3, trouble="",
)  # fmt: skip
