"""The routes of drafts over a real store: the check with its estimate, the schema for an editor, presets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fastapi.testclient import TestClient
from ruamel.yaml import YAML
from serving import API, asking, context
from stores import charge, epoch, open_writer

from hpo.study.finding import presets
from hpo.study.meanings import STUDY

TEXT = """study: another
trainable: curves
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
budget: {epochs: 100, max_epochs: 6}
methods: [random]
resources: {gpus: 0.5}
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service of a store with one study of the same trainable, whose epochs took a quarter of a second each."""
    folder = tmp_path_factory.mktemp("drafts")
    store = folder / "store"
    writer = open_writer(
        str(store), study="before", trainable="curves", methods=[{"label": "random", "name": "random", "options": {}}],
        seeds=[0], budget={"epochs": 100, "max_epochs": 6}, metric="val_accuracy", mode="max",
    )  # fmt: skip
    for number in range(3):
        epoch(writer, number, 1)
        charge(writer, number, number, 1)
    writer.close(compact=False)
    with asking(context(store, folder / "cache")) as asked:
        yield asked


def check(client: TestClient, text: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"{API}/drafts/check", json={"text": text, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_good_draft_has_its_plan_and_an_estimate_from_earlier_epochs(client: TestClient) -> None:
    found = check(client, TEXT, workers=2)
    assert (found["ok"], found["study"], found["problems"]) == (True, "another", [])
    assert ["budget", "100 epochs per run, at most 6 per trial; 100 in all"] in found["plan"]["rows"]
    estimate = found["estimate"]
    assert (estimate["epochs"], estimate["studies"]) == (100, ["before"])
    assert estimate["seconds"] == pytest.approx(100 * estimate["seconds_an_epoch"] / 2)
    assert estimate["seconds_an_epoch"] == 0.25
    assert estimate["gpu_hours"] == pytest.approx(50 * estimate["seconds_an_epoch"] / 3600)


def test_an_estimate_without_earlier_epochs_tells_the_epochs_alone(client: TestClient) -> None:
    estimate = check(client, TEXT.replace("resources:", "data: {name: other}\nresources:"))["estimate"]
    assert (estimate["epochs"], estimate["seconds"], estimate["gpu_hours"], estimate["studies"]) == (
        100,
        None,
        None,
        [],
    )


def test_a_bad_draft_has_the_sentences_of_hpo_check_at_their_lines(client: TestClient, tmp_path: Path) -> None:
    from conftest import hpo

    text = TEXT.replace("max_epochs: 6", "max_epochs: 600").replace("learning_rate", "learning rate")
    (tmp_path / "study.yaml").write_text(text)
    said = hpo("check", tmp_path / "study.yaml").stderr
    [problem] = check(client, text)["problems"]
    assert said == f"hpo: {tmp_path}/study.yaml:{problem['line']}:{problem['column']}: {problem['message']}\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [({"text": "x" * 300_001}, 422), ({"text": "#" * 299_000}, 413), ({}, 422), ({"text": 1}, 422),
     ({"text": "", "workers": 0}, 422), ({"text": "", "workers": True}, 422),
     ({"text": "", "workers": "2"}, 422), ({"text": "", "more": 1}, 422), ([], 422)],
)  # fmt: skip
def test_bodies_that_are_no_draft_are_refused(client: TestClient, body: Any, status: int) -> None:
    answer = client.post(f"{API}/drafts/check", json=body)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_a_number_is_one_in_json_and_a_text_in_a_form(client: TestClient) -> None:
    for path, body in (("/studies", {"text": TEXT}), ("/studies/before/continue", {})):
        for given in (True, "2", 2.5):
            answer = client.post(f"{API}{path}", json={**body, "retries": given})
            assert (answer.status_code, "retries" in answer.json()["detail"]) == (422, True), (path, given)
    for given, status in (("2", 409), ("2.5", 422), ("many", 422)):  # 409: it is understood, but there is no cluster
        form = {"study": ("study.yaml", TEXT), "retries": (None, given)}
        assert client.post(f"{API}/studies", files=form).status_code == status, given


def test_the_schema_describes_every_key_and_takes_every_preset(client: TestClient) -> None:
    answer = client.get(f"{API}/drafts/schema")
    schema = answer.json()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(STUDY) <= set(schema["properties"])
    assert all(schema["properties"][key].get("description") for key in STUDY)
    assert "](" not in answer.text
    for name, path in presets().items():
        wrong = list(jsonschema.Draft202012Validator(schema).iter_errors(YAML(typ="safe").load(path)))
        assert wrong == [], name
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**YAML(typ="safe").load(presets()["digits"]), "sapce": {}})
    assert client.get(f"{API}/drafts/schema", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_presets_are_listed_and_read(client: TestClient) -> None:
    listed = {one["name"]: one["about"] for one in client.get(f"{API}/presets").json()["presets"]}
    assert listed.keys() == presets().keys()
    assert client.get(f"{API}/presets/digits").json()["text"] == presets()["digits"].read_text()
    missing = client.get(f"{API}/presets/digit")
    assert (missing.status_code, "'digits'" in missing.json()["detail"]) == (404, True)
    assert client.get(f"{API}/presets/..%2f..%2fetc").status_code == 404


def test_a_service_without_a_cluster_says_so(client: TestClient) -> None:
    for method, path in (
        ("POST", "/studies"),
        ("POST", "/studies/before/stop"),
        ("GET", "/jobs"),
        ("GET", "/jobs/a/log"),
    ):
        answer = client.request(method, f"{API}{path}", json={"text": TEXT} if path == "/studies" else None)
        assert (answer.status_code, "--address" in answer.json()["detail"]) == (409, True), path
    assert client.post(f"{API}/studies/before/archive").json()["archived"] is True
    assert client.post(f"{API}/studies/before/unarchive").json()["archived"] is False
