"""What the trainables of this project report, and what a metric's name tells. Imports trainables, which need torch."""

from __future__ import annotations

from docs.from_code.tables import code, table
from hpo.results.bounds import CORRELATIONS, SHARES
from hpo.study.modes import LARGER
from trainables.curves import Curves
from trainables.image_check import METRICS as OF_IMAGES
from trainables.task import Task

ABOUT = {
    "loss": "what was trained on, with label smoothing, augmentation and class weights",
    "accuracy": "share of right predictions",
    "precision": "mean over the classes of the share of right ones among the predicted",
    "recall": "mean over the classes of the share of found ones among the true",
    "f1": "mean over the classes of the harmonic mean of both",
}


def reported() -> str:
    """Returns the metrics of an epoch for each of our trainables."""
    names = ", ".join(map(code, Curves.metrics(Task.from_json({}))))
    rows = [(code(name), f"`val_{name}`", f"`test_{name}`", ABOUT[name]) for name in OF_IMAGES]
    whole = table(("training", "validation", "exam", "meaning"), rows)
    return f"`image_classifier` and `mlp`:\n\n{whole}\n\n`image_classifier` adds `images_per_second`. `curves` has {names}."


def modes() -> str:
    """Returns which names tell the mode and the bounds."""
    larger, shares = (", ".join(map(code, sorted(names))) for names in (LARGER - SHARES - CORRELATIONS, SHARES))
    rows = [
        ("`loss` or `error` anywhere in it", "`min`", "at least 0"),
        (f"a word of it is one of {shares}", "`max`", "0 to 1, or 0 to 100 if a value above 1 occurs"),
        (f"a word of it is one of {', '.join(map(code, sorted(CORRELATIONS)))}", "`max`", "-1 to 1"),
        (f"a word of it is one of {larger}", "`max`", "none, but `r2` is at most 1"),
        ("none of these", "the study's `mode`", "the study's `bounds`"),
    ]
    return table(("the metric's name", "mode", "bounds"), rows)
