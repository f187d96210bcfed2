"""The options of the methods: names and defaults from the registry, meanings told here. Pure but for its imports."""

from __future__ import annotations

from docs.from_code.tables import code, same_names, table, value
from hpo.methods.registry import METHODS, defaults

MEANINGS = {
    "max_epochs": "R, at most the study's, which is the default.",
    "min_epochs": "r: the epochs of the first rung; for `median-stopping` no trial stops earlier; "
    "for `multifidelity` 2 where R >= 16, or else 1.",
    "eta": "Reduction factor: the best 1/eta of a rung go on; for `multifidelity` the factor from one pause to the next.",
    "s": "The first rung is r·eta^s.",
    "full_models": "N_m: after so many fully trained models another round begins with empty rungs.",
    "searcher": "What suggests configurations: a name, or `{name: {options}}`, of this project or another library.",
    "configurations": "n: trials of a round; by default as many as leave one for R.",
    "min_trials": "How many other trials the median needs.",
    "patience": "Epochs in a row without an improvement after which a trial stops.",
    "min_delta": "An improvement must be larger than this.",
    "epochs": "i: epochs of every candidate.",
    "top_k": "k: how many are trained to R; by default 3, or what half of the budget can train.",
    "points": "Values of a range where the study names no grid; for `refine` in its first pass.",
    "acquisition": "`log_ei`, `ei`, `ucb` or `pi`.",
    "initial": "Random configurations before the first that the model suggests.",
    "xi": "Exploration of `ei`, `log_ei` and `pi`, in deviations of the predicted quantity.",
    "kappa": "Exploration of `ucb`, in deviations.",
    "startup": "Random configurations first.",
    "gamma": "The share of good configurations.",
    "candidates": "Draws of which the best is suggested.",
    "prior_weight": "Weight of the whole space in either density.",
    "joint": "One density over whole configurations; `false`: hyperopt's, one for each hyperparameter.",
    "population": "Size of the population; by default the library's for `cmaes`.",
    "tournament": "How many are drawn for a tournament.",
    "crossover": "Probability that a child has two parents.",
    "mutation": "Probability that a gene changes; by default 1 / number of genes.",
    "step": "Deviation of a step in the unit cube.",
    "shrink": "Factor of the step after a suggestion that did not become the best.",
    "sigma": "First step size in the unit cube.",
    "top": "q: the share of results that count as good.",
    "random_fraction": "Share of random configurations.",
    "cost_aware": "Whether [costs count](#costs), where they are declared or recorded; by default where the budget is in cost, "
    "for `bohb` and `multifidelity` never.",
    "samples": "N_s: draws of which the best is suggested.",
    "bandwidth_factor": "b_w: how much wider than the good ones the draws are.",
    "min_bandwidth": "The least bandwidth; by default 0.02, or the paper's 0.001 with `published`.",
    "published": "Count as many results as good as the paper does.",
    "attempts": "N: after so many discarded attempts the rest is plain search; by default no limit.",
    "steps": "How often an attempt unfreezes further layers.",
    "lower": "Factor of the rate with each step.",
    "layers": "Name of the hyperparameter that counts the layers.",
    "rate": "Name of the hyperparameter that is the rate.",
    "incumbent": "The configuration to change; by default the first of `start`, else the best of `prior`, else searched.",
    "order": "Names, the most important first; by default as earlier results show.",
    "share": "Share of the budget for finding the incumbent where there is none.",
}


def options() -> str:
    """Returns the table of all options: what they mean, and the methods that take them with their defaults."""
    takers: dict[str, dict[str, str]] = {}
    for name, method in METHODS.items():
        given = defaults(name)
        for option in method.options():  # type: ignore[attr-defined]
            takers.setdefault(option, {})[name] = value(given.get(option))
    same_names("options of methods", MEANINGS, takers)
    return table(("option", "default", "meaning"), [(code(o), _defaults(takers[o]), MEANINGS[o]) for o in MEANINGS])


def _defaults(by_method: dict[str, str]) -> str:
    """Returns an option's default, and by method where they differ."""
    known = sorted(dict.fromkeys(by_method.values()), key=lambda one: -list(by_method.values()).count(one))
    if len(known) == 1:
        return known[0]
    others = [f"{shown or 'none'} ({', '.join(m for m, v in by_method.items() if v == shown)})" for shown in known]
    return "; ".join(others)
