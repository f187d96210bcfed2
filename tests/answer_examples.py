"""The examples of the OpenAPI document: what the service answers for a recorded store, cut short.

python tests/answer_examples.py --write    after a change of the answers' members
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hpo.files import unpack
from hpo.service import documented
from tests.serving import API, asking, context

RECORDED = Path(__file__).parent / "recorded_stores" / "complete.tar.gz"
SHOWN = 2  # of a list's values
LETTERS = 300  # of a text
NOW = 1_795_774_000.0

JOB = {
    "id": "digits-3f9a1c-1", "series": "digits-3f9a1c", "attempt": 1, "study": "digits", "studies": ["digits"],
    "owner": "ana", "queue": None, "state": "RUNNING", "status": "RUNNING", "done": False, "store": "s3://lab/results",
    "started": NOW, "ended": None, "exit_code": None, "message": "Job is currently running.",
    "page": "http://head:8265/#/jobs/digits-3f9a1c-1",
}  # fmt: skip
TOKEN = {"name": "ana", "role": "run", "created": NOW, "revocable": True}
ACTED = {
    "study": "digits", "archived": False, "job": "digits-3f9a1c-1",
    "state": {"word": "stopped", "since": NOW, "sentence": "stopped by SIGTERM", "command": "hpo --service URL continue digits"},
}  # fmt: skip
# what takes a cluster, or a token of the role admin
WRITTEN: dict[str, Any] = {
    "ActedAnswer": ACTED,
    "SubmittedAnswer": {
        "study": "digits", "studies": ["digits"], "job": "digits-3f9a1c-1", "series": "digits-3f9a1c", "owner": "ana",
        "state": "queued", "url": "/studies/digits", "page": "http://head:8265/#/jobs/digits-3f9a1c-1",
    },
    "JobAnswer": JOB,
    "JobsAnswer": {"jobs": [JOB], "total": 1},
    "LogAnswer": {"text": "digits: 24 of 96 epochs charged\n", "next": 4096, "ended": False},
    "TokensAnswer": {"tokens": [TOKEN]},
    "NewTokenAnswer": {**TOKEN, "token": "hpo_..."},
    "AuditAnswer": {
        "entries": [
            {"time": NOW, "who": "ana", "role": "run", "from": "10.0.0.7", "what": "stop", "study": "digits", "detail": {}},
        ],
        "next": None,
    },
}  # fmt: skip


def answers(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Returns the name of each value that a route answers with as JSON, with a method and a path that does."""
    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status in ("200", "201"):
                media = operation["responses"].get(status, {}).get("content", {}).get("application/json", {})
                if reference := media.get("schema", {}).get("$ref"):
                    found.setdefault(reference.rpartition("/")[2], (method, path))
    return found


def recorded() -> dict[str, Any]:
    """Returns an example of each value."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with tarfile.open(RECORDED) as archive:
            unpack(archive, Path(folder))
        with asking(context("store", Path(folder) / "cache")) as client:
            listed = client.get(f"{API}/studies").json()["studies"]
            study = listed[0]["study"]
            trial = client.get(f"{API}/studies/{study}/runs").json()["runs"][0]["incumbent"]
            found = dict(WRITTEN)
            for name, (method, path) in answers(documented.document(client.app)).items():  # type: ignore[arg-type]
                if name in found or name == "SchemaAnswer":  # which is a schema itself
                    continue
                asked = path.format(study=study, trial=trial, name="digits") + ("?study=" + study) * path.endswith(
                    "v1/comparison"
                )
                body = {"text": client.get(f"{API}/presets/digits").json()["text"]} if method == "post" else None
                while (answer := client.request(method, asked, json=body)).status_code == 202:
                    time.sleep(0.1)
                assert answer.status_code == 200, (asked, answer.text)
                found[name] = short(answer.json())
    return dict(sorted(found.items()))


def short(value: Any) -> Any:
    """Returns a value with the first ones of each list, and the beginning of each long text."""
    if isinstance(value, dict):
        return {key: short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [short(each) for each in (value if any(isinstance(each, str) for each in value) else value[:SHOWN])]
    return (
        value
        if not isinstance(value, str) or len(value) <= LETTERS
        else f"{value[:LETTERS].rpartition(chr(10))[0] or value[:LETTERS]}\n"
    )


if __name__ == "__main__":
    text = json.dumps(recorded(), indent=1, ensure_ascii=False)
    if "--write" in sys.argv:
        documented.EXAMPLES.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
