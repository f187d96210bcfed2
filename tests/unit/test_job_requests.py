"""What a submission becomes: its variables, visible and private, its place, its command, and the jobs that help it."""

from __future__ import annotations

import json
import shlex
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cluster import driver, request, variables
from cluster.job import CANCEL, RETRIES, Job, JobError, Submission
from cluster.variables import VariableError, asked, load, read

DOTENV = r"""
# a comment
PLAIN=one two   # and another
export EXPORTED=yes
EMPTY=
HASH=a#b
SINGLE='$HOME \n "as it stands"' # comment
DOUBLE="a \"b\" \\ \n \$X ${Y}"
SPACED = around
"""


def test_dotenv_files_are_read_as_a_shell_would(tmp_path: Path) -> None:
    (tmp_path / "env").write_text(DOTENV)
    assert read(tmp_path / "env") == {
        "PLAIN": "one two", "EXPORTED": "yes", "EMPTY": "", "HASH": "a#b", "SINGLE": r'$HOME \n "as it stands"',
        "DOUBLE": 'a "b" \\ \n $X ${Y}', "SPACED": "around",
    }  # fmt: skip


@pytest.mark.parametrize(
    "line", ["hunter2", "1A=hunter2", "A='hunter2", 'A="hunter2\\"', "A='hunter2' hunter2", "A=hunter2\0"]
)
def test_lines_that_are_no_variable_are_refused_without_their_text(tmp_path: Path, line: str) -> None:
    (tmp_path / "env").write_text(f"GOOD=1\n{line}\n")
    with pytest.raises(VariableError, match=r"env, line 2, must be NAME=VALUE") as caught:
        read(tmp_path / "env")
    assert "hunter2" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(VariableError, match=r"but .*nowhere cannot: No such file"):
        read(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"A=\xff\n")
    with pytest.raises(VariableError, match="it is not UTF-8"):
        read(tmp_path / "binary")


def test_what_is_typed_is_visible_and_all_else_is_private(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("HF_TOKEN=t\nLEVEL=1\nAWS_REGION=there\nOWN=file\n")
    here = {"AWS_REGION": "here", "AWS_ENDPOINT_URL": "http://s3", "AWS_SECRET_ACCESS_KEY": "k", "OWN": "mine"}
    assert asked([], [], here) == ({"AWS_REGION": "here", "AWS_ENDPOINT_URL": "http://s3"}, {})
    visible, private = asked(["LEVEL=2=3", "AWS_SECRET_ACCESS_KEY", "OWN"], [tmp_path / "env"], here)
    assert visible == {"AWS_ENDPOINT_URL": "http://s3", "LEVEL": "2=3"}
    assert private == {"HF_TOKEN": "t", "AWS_REGION": "there", "AWS_SECRET_ACCESS_KEY": "k", "OWN": "mine"}


@pytest.mark.parametrize(
    ("setting", "said"),
    [("=x", "--env must be NAME=VALUE or NAME"), ("A-B=x", "--env must be NAME=VALUE or NAME"),
     ("ABSENT", "ABSENT is not set"), ("DB_PASSWORD=hunter2", "would show its value in Ray's logs"),
     ("AWS_SECRET_ACCESS_KEY=hunter2", "--env-from"), ("A=hunter2$HOME", "which Ray would replace"),
     ("A=hunter2${X}", "which Ray would replace")],
)  # fmt: skip
def test_settings_that_are_refused(setting: str, said: str) -> None:
    with pytest.raises(VariableError) as caught:
        asked([setting], [], {})
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_private_variables_travel_in_a_closed_file_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.py").touch()
    submission = Submission("hpo run digits", private={"HF_TOKEN": "hunter2"}, working_dir=tmp_path / "work")
    asked_for = request.attempt(submission, "s", 1, [])
    environment = request.runtime_env(submission, tmp_path)
    helper = request.supervisor(asked_for, 2)
    assert "hunter2" not in repr((submission, asked_for, environment, helper)) + asked_for.to_json()
    with zipfile.ZipFile(environment["working_dir"]) as package:
        assert sorted(package.namelist()) == [variables.FILE, "a.py"]
        assert package.getinfo(variables.FILE).external_attr >> 16 == 0o600
        package.extractall(tmp_path / "there")
    found = {"JOB": "1"}
    load(tmp_path / "there", found)
    assert found == {"JOB": "1", "HF_TOKEN": "hunter2", "HPO_PRIVATE": "HF_TOKEN"}
    load(tmp_path, found)  # a job without private variables
    assert found["HF_TOKEN"] == "hunter2"
    preset = request.runtime_env(Submission("hpo run digits", private={"A": "1"}), tmp_path)
    with zipfile.ZipFile(preset["working_dir"]) as package:
        assert package.namelist() == [variables.FILE]


def test_trials_of_a_driver_that_reserves_something_keep_their_low_priority() -> None:
    told = {"runtime_env": {"env_vars": {"RAY_worker_niceness": "0", "A": "1"}}, "metadata": {}}
    environment = {driver.JOB_CONFIG: json.dumps(told)}
    driver.prepare(environment)
    assert json.loads(environment[driver.JOB_CONFIG])["runtime_env"] == {"env_vars": {"A": "1"}}
    driver.prepare({})


def nodes(head: dict[str, float], *others: dict[str, float]) -> list[dict[str, Any]]:
    return [{"is_head_node": not number, "resources_total": each} for number, each in enumerate((head, *others))]


BIG = {"CPU": 8.0, "memory": 16.0 * 2**30}
AT_HEAD = {"node:__internal_head__": 0.001}


@pytest.mark.parametrize(
    ("wanted", "cluster", "place"),
    [
        ({}, nodes(BIG), {"entrypoint_memory": 2**30, "entrypoint_resources": AT_HEAD}),
        ({}, nodes({"memory": 16.0 * 2**30}), {"entrypoint_memory": 2**30, "entrypoint_resources": AT_HEAD}),  # 0 CPUs
        ({}, nodes({"CPU": 1.0, "memory": 2.0 * 2**30 - 1}), {}),
        ({}, nodes({"CPU": 1.0}), {}),
        ({}, [], {}),  # the state API does not answer: Ray's own default, the head
        ({"memory": 0}, nodes(BIG), {}),
        ({"cpus": 2, "memory": 0}, nodes(BIG), {"entrypoint_num_cpus": 2, "entrypoint_resources": AT_HEAD}),
        ({"cpus": 2}, nodes({"CPU": 0.0, "memory": 2.0**40}, BIG), {"entrypoint_num_cpus": 2}),  # a worker's then
        ({"labels": {"role": "driver"}}, nodes(BIG), {"entrypoint_label_selector": {"role": "driver"}}),
        ({"queue": "study"}, nodes(BIG | {"study": 2.0}),
         {"entrypoint_memory": 2**30, "entrypoint_resources": AT_HEAD | {"study": 1.0}}),
        ({"queue": "study", "memory": 0}, [], {"entrypoint_resources": {"study": 1.0}}),
    ],
)  # fmt: skip
def test_the_drivers_place(wanted: dict[str, Any], cluster: list[dict[str, Any]], place: dict[str, Any]) -> None:
    asked_for = request.attempt(Submission("hpo run digits", **wanted), "s", 1, cluster)
    assert asked_for.placement == place
    assert asked_for.entrypoint == ("python -m cluster.driver 'hpo run digits'" if place else "hpo run digits")


def test_a_queue_that_the_head_has_not() -> None:
    with pytest.raises(JobError, match=r"no node has 'gpus'; start the head with `deploy/head.sh --places N`"):
        request.attempt(Submission("hpo run digits", queue="gpus"), "s", 1, nodes(BIG | {"study": 1.0}))


def test_the_next_attempt_differs_by_its_number_only() -> None:
    submission = Submission("hpo run 'my study'", store="/s", study="digits", owner="ann", retries=3)
    first = request.attempt(submission, "digits-abc", 1, nodes(BIG))
    assert request.Request.from_json(first.to_json()) == first
    assert first.next.id == "digits-abc-2"
    assert (first.next.entrypoint, first.next.placement) == (first.entrypoint, first.placement)
    job = Job(first.next.id, "PENDING", first.entrypoint, metadata=first.next.metadata)
    assert (job.series, job.attempt, job.owner, job.study, job.store) == ("digits-abc", 2, "ann", "digits", "/s")
    helper = request.supervisor(first, 3)
    assert shlex.split(helper.entrypoint)[-1] == first.to_json()
    assert helper.placement == {}
    assert [Job("x", "RUNNING", "", metadata=each.metadata).helper for each in (first, helper)] == [None, RETRIES]
    assert Job("x", "RUNNING", "", metadata=request.cancellation(job).metadata).helper == CANCEL


def test_the_state_of_a_job() -> None:
    assert Job("a", "PENDING", "", metadata={"hpo_queue": "study"}).state == "queued"
    assert Job("a", "RUNNING", "", metadata={"hpo_queue": "study"}).state == "RUNNING"
    assert Job("a", "PENDING", "").state == "PENDING"
    assert Job("a", "FAILED", "", error="JOB_SUPERVISOR_ACTOR_START_TIMEOUT").never_started
