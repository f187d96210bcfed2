"""The data-set card: what a store knows of the data that its trials were trained on. What it does not know, it says."""

from __future__ import annotations

import json
from typing import Any

from hpo.store import StudyData

UNKNOWN = "not known"

LICENCES = {  # as their publishers state them; of most data sets the store knows the name only
    "digits": (
        "CC BY 4.0",
        "UCI Machine Learning Repository, Optical Recognition of Handwritten Digits; a copy in scikit-learn",
    ),
    "fashion_mnist": ("MIT", "Zalando Research, https://github.com/zalandoresearch/fashion-mnist"),
}
NO_DATA = "curves"  # the trainable whose epochs are functions of the configuration


def data_card(data: StudyData) -> dict[str, Any]:
    """Returns name, digest, splits, counts, licence and source of a study's data, each "not known" where it is not."""
    section = dict(data.definition.get("data") or {})
    trained = data.environment.get("trained_on", {})
    name = str(section.get("name") or UNKNOWN)
    licence, source = LICENCES.get(name, (UNKNOWN, UNKNOWN))
    if data.definition.get("trainable") == NO_DATA:
        name, licence, source = "none: synthetic curves", "none needed", "computed from the configuration"
    return {
        "name": name,
        "asked_for": section,
        "digest": trained.get("data_digest", UNKNOWN),
        "counts": _counts(data),
        "licence": licence,
        "source": source,
        "remarks": trained.get("data_remarks", []),
        "included": "no: a bundle holds no data",
    }


def _counts(data: StudyData) -> dict[str, Any]:
    """Returns how many examples each split has, by class where that is known.

    Workers report the counts of all splits, those of the search first; without them, the exams' confusion matrices hold
    the test's.
    """
    found: dict[str, Any] = dict.fromkeys(("train", "validation", "test"), UNKNOWN)
    classes, test = _tested(data)
    if test is not None:
        found["test"] = _by_class(test, classes)
    reported = [_counted(text) for text in data.environment.get("trained_on", {}).get("data_counts", ())]
    for split, counts in reported[0].items() if reported else ():
        found[split] = _by_class(counts, classes)
    if len(reported) > 1:  # the final exam may train on all of train and validation
        found["also_trained_on"] = [{split: sum(counts) for split, counts in other.items()} for other in reported[1:]]
    return found


def _counted(text: str) -> dict[str, list[int]]:
    """Returns the counts that a worker reported; none of a user's trainable that reports something else."""
    try:
        found = {str(split): [int(count) for count in counts] for split, counts in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
    return found


def _by_class(counts: list[int], classes: list[str] | None) -> dict[str, Any]:
    names = classes if classes and len(classes) == len(counts) else [str(k) for k in range(len(counts))]
    return {"examples": sum(counts), "by_class": dict(zip(names, counts, strict=True))}


def _tested(data: StudyData) -> tuple[list[str] | None, list[int] | None]:
    """Returns the names of the classes, and the test's examples of each, from the first exam that has a matrix."""
    for row in data.exams.to_pylist():
        if row.get("confusion"):
            counts = [sum(line) for line in json.loads(row["confusion"])]
            return (json.loads(row["classes"]) if row.get("classes") else None), counts
    return None, None
