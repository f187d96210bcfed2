"""The methods of other libraries: which library, its pinned version, and what a study may ask of it. Pure but for its imports."""

from __future__ import annotations

from docs.from_code.tables import code, same_names, table
from hpo.methods.hosted.libraries import HOSTED, LIBRARIES

TAKES = {
    "optuna": (
        "`sampler` and `pruner`, each a name or `{name: {options}}`. Without a sampler: the one that Optuna takes by "
        "default, `TPESampler`.",
        "yes",
        "A pruner decides after every epoch whether a trial stops.",
        "yes",
    ),
    "optunahub": (
        "the package's name; `registry`, a folder with a copy of the registry's packages; `class`, where a package has "
        "several; `pruner`; arguments of the class.",
        "yes",
        "As with Optuna.",
        "yes",
    ),
    "syne-tune": (
        "`name`: ASHA, ASHABORE, ASHACQR, BOHB, BORE, BOTorch, CQR, REA, RandomSearch or TPE; arguments of that baseline.",
        "no",
        "ASHA, ASHABORE, ASHACQR and BOHB stop trials after an epoch.",
        "no",
    ),
    "smac": (
        "`facade`: HyperparameterOptimizationFacade (default), BlackBoxFacade, RandomFacade, MultiFidelityFacade or "
        "HyperbandFacade; arguments of its intensifier; `min_epochs`.",
        "yes",
        "MultiFidelityFacade and HyperbandFacade pause trials at levels and resume the best.",
        "where all trials are trained to the end",
    ),
    "neps": (
        "`name`: priorband, hyperband, successive_halving, asha, async_hb, bayesian_optimization, pibo, random_search or ifbo; "
        "arguments of that algorithm; `min_epochs`; `defaults` and `confidence`, the beliefs of priorband and pibo.",
        "no",
        "All but bayesian_optimization, pibo and random_search pause trials at levels and resume the best.",
        "no",
    ),
    "hebo": ("arguments of HEBO, such as `rand_sample`.", "no", "None: each trial is trained to the end.", "yes"),
    "ray-tune": (
        "`name`: hyperopt or bohb. hyperopt: `algorithm` (tpe, anneal, rand) and its arguments. bohb: `eta`, `min_epochs` and "
        "the arguments of its densities.",
        "yes",
        "bohb pauses trials at the levels of Hyperband's brackets and resumes the best.",
        "hyperopt",
    ),
}  # method -> options, whether it knows conditions, what it does to trials, whether it learns from `prior`


def libraries() -> str:
    """Returns the table of the libraries with what `hpo host add` installs."""
    rows = []
    for library in LIBRARIES.values():
        methods = [
            code(f"{method}: {name}" if name else method)
            for method, hosting in HOSTED.items()
            for name, host in hosting.hosts.items()
            if host == library.name
        ]
        pins = ", ".join((*library.pins, *library.alone))
        rows.append((code(library.name), f"{library.package} {library.pin}", ", ".join(methods), pins))
    return table(("environment", "library", "methods", "what `hpo host add` installs"), rows)


def methods() -> str:
    """Returns the table of the methods: what they take, and what the libraries can do."""
    same_names("hosted methods", TAKES, HOSTED)
    rows = [(code(name), *TAKES[name]) for name in HOSTED]
    return table(("method", "options", "conditions", "stops or pauses trials", "learns from `prior`"), rows)
