"""The libraries that can be hosted, by the name that a study gives them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Library:
    """A library that can be hosted.

    `package`: its distribution; `module`: what is imported; `guest`: the file in guests/ that drives it; `pins`: what
    `hpo host add` installs.
    """

    name: str
    about: str
    package: str
    module: str
    guest: str
    pins: tuple[str, ...]


LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library(
            "optuna", "Optuna: {sampler: TPESampler, pruner: HyperbandPruner}",
            "optuna", "optuna", "optuna", ("optuna==5.0.0",),
        ),
        Library(
            "syne-tune", "Syne Tune: ASHA, ASHABORE, ASHACQR, BOHB, BORE, BOTorch, CQR, REA, RandomSearch or TPE",
            "syne-tune", "syne_tune", "syne_tune", ("syne-tune==0.16.0",),
        ),
    )
}  # fmt: skip
