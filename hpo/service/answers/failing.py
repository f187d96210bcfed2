"""Failed trials by reason. Pure."""

from __future__ import annotations

from typing import Any

from hpo.store import StudyData
from hpo.text import wording

NAMED = 20  # trials that a group names


def failures(data: StudyData) -> dict[str, Any]:
    """Returns the failed trials grouped by reason, the most frequent first.

    Reasons that differ in numbers, paths and quoted names alone are one.
    """
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    rows = data.failures.to_pylist()
    for row in rows:
        reason, kind = row["reason"] or "no reason was given", row["kind"] or "error"
        group = groups.setdefault((kind, wording(reason)), {"reason": reason, "kind": kind, "count": 0, "trials": []})
        group["count"] += 1
        if len(group["trials"]) < NAMED:
            group["trials"].append(row["trial"])
    found = sorted(groups.values(), key=lambda group: (-group["count"], group["reason"]))
    return {"study": data.name, "total": len(rows), "groups": found}
