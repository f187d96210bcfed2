"""The API over studies of every kind: folds, a budget in cost, conditions, a suite, all failed, one that runs and dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter
from without_ray import dispatching, play_to_the_end

from hpo.service.models import analyses, curves, ledger, record, study, trials
from hpo.store import lease
from hpo.study.study import Study
from tests import stores
from tests.serving import API, asking, context

ROOT = Path(__file__).parents[2]
TEXT = """
study: {name}
trainable: curves
data: {{folds: {folds}, fail_share: {failing}}}
space:
  optimizer: {{type: choice, values: [adam, sgd]}}
  momentum: {{type: float, low: 0.1, high: 0.9, if: {{optimizer: sgd}}}}
  learning_rate: {{type: float, low: 1.0e-4, high: 0.1, log: true}}
  cost: {{type: choice, values: [0.1, 0.35, 1.0]}}
budget: {{{budget}, max_epochs: 4}}
methods: [random, {{asha: {{eta: 2}}}}]
seeds: [0, 1]
parallelism: 2
{more}
"""
STUDIES: dict[str, dict[str, Any]] = {
    "folds": {"folds": 3, "budget": "epochs: 36"}, "cost": {"budget": "cost: 5.25"}, "failed": {"failing": 1.0},
    "first": {"more": "suite: pair"}, "second": {"more": "suite: pair", "failing": 0.3},
}  # fmt: skip
ANSWERS = {
    "": study.StudyAnswer, "/plan": record.PlanAnswer, "/definition": record.DefinitionAnswer, "/runs": study.RunsAnswer,
    "/trials": trials.TrialsAnswer, "/parallel": curves.ParallelAnswer, "/curves": curves.CurvesAnswer,
    "/anytime": curves.AnytimeAnswer, "/anytime?over=seconds": curves.AnytimeAnswer, "/ledger": ledger.LedgerAnswer,
    "/failures": ledger.FailuresAnswer, "/comparison": analyses.ComparisonAnswer,
}  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service of a store with all of them, and with a study that is being written."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, how in STUDIES.items():
        values = {"folds": 1, "failing": 0.0, "budget": "epochs: 12", "more": "", **how}
        (folder / "study.yaml").write_text(TEXT.format(name=name, **values))
        play_to_the_end(dispatching(Study.load(folder / "study.yaml", store=str(folder / "results"))))
    with asking(context(folder / "results", folder / "cache")) as found:
        yield found


def told(client: TestClient, path: str) -> Any:
    """Returns an answer, waiting for one that is being made."""
    deadline = time.monotonic() + 60
    while (found := client.get(f"{API}{path}")).status_code == 202 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found.status_code == 200, found.text
    return found.json()


@pytest.mark.parametrize("name", STUDIES)
def test_every_answer_is_as_documented(client: TestClient, name: str) -> None:
    for path, model in ANSWERS.items():
        TypeAdapter(model).validate_json(json.dumps(told(client, f"/studies/{name}{path}")), strict=True)
    one = told(client, f"/studies/{name}/trials?limit=1")["rows"][0]
    columns = [column["name"] for column in told(client, f"/studies/{name}/trials")["columns"]]
    trial = told(client, f"/studies/{name}/trials/{one[columns.index('trial')]}")
    trials.TrialAnswer.model_validate(trial)
    assert client.get(f"{API}/studies/{name}/importance").status_code in (200, 202)


def test_folds_are_charged_each(client: TestClient) -> None:
    found = told(client, "/studies/folds")
    assert (found["folds"], found["budget"]["unit"], found["budget"]["charged"]) == (3, "epochs", 144)
    assert {run["charged"] for run in told(client, "/studies/folds/ledger")["runs"]} == {36}
    assert [method["x"][-1] for method in told(client, "/studies/folds/anytime")["methods"]] == [36, 36]
    assert told(client, "/studies/folds/plan")["estimate"]["studies"] == ["folds"]  # judged by its own epochs


def test_a_budget_in_cost_is_told_in_cost(client: TestClient) -> None:
    found = told(client, "/studies/cost")
    assert (found["budget"]["unit"], found["progress"], found["state"]["word"]) == ("cost", 1.0, "complete")
    assert {run["unit"] for run in told(client, "/studies/cost/ledger")["runs"]} == {"cost"}
    over = told(client, "/studies/cost/anytime?over=cost")
    assert over["budget"] == 5.25
    assert all(0 < method["x"][-1] <= 5.25 for method in over["methods"])
    momentum = next(each for each in found["space"] if each["name"] == "momentum")
    assert momentum["condition"] == {"optimizer": ["sgd"]}


def test_a_study_whose_trials_all_fail_has_failed_and_says_why(client: TestClient) -> None:
    found = told(client, "/studies/failed")
    failures = told(client, "/studies/failed/failures")
    assert (found["state"]["word"], found["best"], found["state"]["command"]) == ("failed", None, None)
    assert found["state"]["sentence"] == found["failure"]
    assert found["failed_trials"] == found["trials"] == failures["total"]
    assert sum(group["count"] for group in failures["groups"]) == failures["total"]
    assert told(client, "/studies/failed/anytime")["methods"] == []
    (listed,) = told(client, "/studies?state=failed")["studies"]
    assert (listed["study"], listed["failed_trials"]) == ("failed", found["failed_trials"])


def test_a_suite_is_listed_and_compared_as_tasks(client: TestClient) -> None:
    assert {one["study"] for one in told(client, "/studies?suite=pair")["studies"]} == {"first", "second"}
    assert told(client, "/comparison?study=first&study=second")["tasks"] == ["first", "second"]
    assert client.get(f"{API}/suites/nothing/bundle").json()["detail"].endswith("holds none of the name nothing")
    assert client.get(f"{API}/report?study=first&study=nothing").status_code == 404
    assert client.get(f"{API}/report").status_code == 422


def test_a_study_has_an_interim_verdict_until_every_run_is_complete(tmp_path: Path) -> None:
    methods = [{"label": name, "name": name, "options": {}} for name in ("random", "asha")]
    writer = stores.open_writer(
        str(tmp_path / "results"), "live", methods=methods, seeds=[0], budget={"epochs": 8, "max_epochs": 8}
    )
    with asking(context(tmp_path / "results", tmp_path / "cache")) as client:
        assert told(client, "/studies/live")["state"]["word"] == "starting"
        assert told(client, "/studies/live")["verdict_sentence"] is None  # nothing is charged yet
        for number in range(3):
            stores.epoch(writer, number, 1)
            stores.charge(writer, number, number, 1)
        assert (
            until(client, "/studies/live", lambda found: found["budget"]["charged"] == 3)["state"]["word"] == "running"
        )
        said = "Interim: none of 2 runs is complete yet, and only those are compared."
        assert until(client, "/studies/live", lambda found: found["verdict_sentence"])["verdict_sentence"] == said
        stores.charge(writer, 3, 2, 2)
        found = until(client, "/studies/live", lambda found: found["budget"]["charged"] == 4)
        assert found["verdict_sentence"] == said  # the last one, while the next is being made
        writer.close(compact=False)
        assert until(client, "/studies/live", lambda found: found["state"]["word"] == "stopped")["verdict"] is None
        found = until(client, "/studies/live", lambda found: found["verdict_sentence"])
        assert found["verdict_sentence"] == said  # it may go on


KILLED = """
import sys, time
from hpo.store import StudyWriter
from tests.stores import KINDS, charge, epoch

definition = {
    "study": "dead", "metric": "val_accuracy", "mode": "max", "methods": [{"label": "random", "name": "random"}],
    "seeds": [0], "budget": {"epochs": 40, "max_epochs": 8},
}
writer = StudyWriter.open(
    sys.argv[1], study="dead", definition=definition, digest="d", environment={"command": "hpo run dead.yaml"}, space_kinds=KINDS
)
for number in range(40):
    epoch(writer, number, 1)
    charge(writer, number, number, 1)
    print(number, flush=True)
    time.sleep(0.1)
"""


@contextmanager
def driving(store: Path, charges: int) -> Iterator[subprocess.Popen[str]]:
    """Yields a driver that has told of so many charges, ten a second, since its first summary."""
    writing = [sys.executable, "-c", KILLED, str(store)]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    with subprocess.Popen(writing, env=paths, stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout is not None
            while driver.stdout.readline().strip() not in (str(charges - 1), ""):
                pass
            yield driver
        finally:
            driver.kill()


def test_a_driver_that_was_killed_gives_no_sign_of_life_and_its_command_goes_on(tmp_path: Path) -> None:
    results, cache = tmp_path / "results", tmp_path / "cache"
    with driving(results, charges=10) as driver, asking(context(results, cache)) as client:
        assert (
            until(client, "/studies/dead", lambda found: found["budget"]["charged"] > 4)["state"]["word"] == "running"
        )
        driver.kill()
        dead = until(client, "/studies/dead", lambda found: found["state"]["word"] != "running")
        assert (dead["state"]["word"], dead["state"]["command"]) == ("no sign of life", "hpo run dead.yaml")
        assert "no sign of life" in dead["state"]["sentence"]

        def listed(found: Any) -> bool:
            """Whether the list says of it what its page says, although the driver's last summary is older."""
            (one,) = found["studies"]
            return all(one[name] == dead[name] for name in ("trained_epochs", "progress", "budget", "best"))

        (one,) = until(client, "/studies", lambda found: listed(found) and found["studies"][0]["verdict"])["studies"]
        assert (one["state"]["word"], one["verdict"]) == ("no sign of life", "nothing to compare with")


def test_the_list_tells_how_far_a_killed_driver_came_though_nobody_has_opened_its_page(tmp_path: Path) -> None:
    with driving(tmp_path / "results", charges=30) as driver:  # of which some have arrived in the store
        driver.kill()
        driver.wait()
    with asking(context(tmp_path / "results", tmp_path / "other")) as other:
        budget = told(other, "/studies/dead")["budget"]  # of another service, whose page is opened
    assert budget["charged"] > 0
    with asking(context(tmp_path / "results", tmp_path / "cache")) as client:
        # The list has the driver's last summary at first, then what the tables hold.
        (one,) = until(client, "/studies", lambda found: found["studies"][0]["budget"] == budget)["studies"]
        assert (one["state"]["word"], one["trained_epochs"]) == ("no sign of life", budget["charged"])


def until(client: TestClient, path: str, holds: Any) -> Any:
    deadline = time.monotonic() + 30
    while not holds(found := told(client, path)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


FORKED = """
import json, os, sys
from hpo.store import lease

children = []
for _ in range(50):  # forks take less than the kernel's tick: some start in the same one
    order, answer = os.pipe(), os.pipe()
    if not (pid := os.fork()):
        print(lease.lives(json.loads(os.read(order[0], 4096))), file=os.fdopen(answer[1], "w"), flush=True)
        os._exit(0)
    children.append((pid, lease._process(pid), order[1], answer[0]))
pairs = [(one, other) for one in children for other in children if one[0] != other[0] and one[1] == other[1]]
one, other = pairs[0]
os.write(one[2], json.dumps({"pid": other[0], "process": other[1], "token": "anothers"}).encode())
print(os.read(one[3], 4096).decode())
for pid, *_ in children:
    os.kill(pid, 9)
"""


def test_a_driver_that_started_in_the_same_moment_as_the_service_lives() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "True", done.stderr
    holder = {"pid": os.getpid(), "process": lease._process(os.getpid()), "token": "given up"}
    assert lease.lives(holder) is False  # this process gave that one up
