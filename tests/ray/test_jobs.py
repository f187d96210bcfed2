"""Jobs on a real head that asks for a token: submit, follow, stop, retry, and every refusal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import INSTANT, rows
from fault_places import s3
from faulty_cluster import until
from faulty_proxy import faulty
from ray_head import NONE, SECRET, Head
from ray_nodes import BIN, Child, environment, free_ports

from cluster import attempts, request
from cluster.attempts import watch
from cluster.job import HeadUnreachable, JobError, NoSuchJob, Submission
from cluster.jobs import JobServer
from cluster.tokens import Token
from hpo.storage.place import place
from hpo.store import read, verify


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    started = Head()
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def server(head: Head) -> JobServer:
    return head.server()


@pytest.fixture(autouse=True)
def no_token_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")  # the user's variable must not win over the argument


DRIVER = """
import pathlib, signal, sys, time
done = pathlib.Path(sys.argv[1])
if done.exists():
    print("going on after", done.read_text(), flush=True); sys.exit(0)
def stop(number, frame):
    done.write_text("epoch 3"); print("stopped by", signal.Signals(number).name, flush=True); sys.exit(130)
signal.signal(signal.SIGINT, stop)
for epoch in range(1, 1000):
    print("epoch", epoch, flush=True); time.sleep(0.1)
"""


def test_submit_follow_stop_resubmit_done(server: JobServer, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "driver.py").write_text(DRIVER)
    store = tmp_path / "store"
    submission = Submission(
        f"{sys.executable} driver.py {store}", name="My Study!", store=str(store), working_dir=tmp_path / "work"
    )
    first = server.submit(submission)
    assert first.id.startswith("my-study-")
    assert first.id.endswith("-1")
    text = ""
    for part in server.follow(first.id):
        text += part
        if "epoch 3\n" in text:
            break
    stopped = server.stop(first.id)
    assert stopped.status == "STOPPED"
    assert not stopped.retryable
    assert "stopped by SIGINT" in server.logs(first.id)
    assert "".join(server.follow(first.id)) == server.logs(first.id)

    second = server.submit(submission, after=stopped)
    assert second.id == first.id[:-1] + "2"
    followed = "".join(server.follow(second.id))
    assert "going on after epoch 3" in followed
    assert followed == server.logs(second.id)
    done = server.job(second.id)
    assert (done.status, done.attempt, done.store, done.exit_code) == ("SUCCEEDED", 2, str(store), 0)
    assert [job.id for job in server.jobs()][:2] == [second.id, first.id]
    with pytest.raises(JobError, match="refused"):
        server.submit(submission, after=stopped)  # attempt 2 exists


def running(wanted: Callable[[list[str]], bool]) -> list[int]:
    """Returns the Python processes whose command is wanted."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if "python" in words[0] and wanted(words):
                found.append(int(path.parent.name))
    return found


def kill(wanted: Callable[[list[str]], bool]) -> None:
    until(lambda: running(wanted), 120, lambda: "the process to be killed must run")
    for number in running(wanted):
        os.kill(number, signal.SIGKILL)


def test_a_killed_driver_is_retried(server: JobServer, tmp_path: Path) -> None:
    mark = tmp_path / "killed"
    written: list[str] = []
    said: list[str] = []
    killed_once = Submission(f"test -e {mark} && echo done || (touch {mark}; kill -9 $$)", name="killed", retries=3)
    ended = watch(server, killed_once, write=written.append, say=said.append)
    assert (ended.status, ended.attempt) == ("SUCCEEDED", 2)
    assert "done" in "".join(written)
    assert (
        said[-1] == f"job {ended.series}-1 ended early: its driver ended with exit code 137; job {ended.id} continues"
    )
    again = "".join(text for job in server.series(ended.series) if job.helper for text in server.follow(job.id))
    assert f"cluster: job {ended.id} succeeded" in again


def test_a_failure_of_the_study_is_not_retried_and_attempts_come_to_an_end(server: JobServer) -> None:
    for code, retries, attempts_made in ((2, 3, 1), (9, 1, 2)):
        said: list[str] = []
        ended = watch(server, Submission(f"exit {code}", retries=retries), write=str, say=said.append)
        assert (ended.status, ended.exit_code, ended.attempt) == ("FAILED", code, attempts_made)
        assert said[-1].endswith("no attempts are left") == (code == 9)


def test_a_client_submits_again_where_the_head_lost_what_would(server: JobServer, tmp_path: Path) -> None:
    lost, mark, said = tmp_path / "lost", tmp_path / "killed", list[str]()
    waits = f"while ! test -e {lost}; do sleep 0.1; done"
    submission = Submission(f"test -e {mark} || ({waits}; touch {mark}; kill -9 $$)", name="lost", retries=1)

    def say(sentence: str) -> None:
        said.append(sentence)
        if not lost.exists():
            (helper,) = (job for job in server.jobs() if job.helper and job.series.startswith("lost-"))
            kill(lambda words: "cluster.attempts" in words and f'"{helper.series}"' in " ".join(words))
            assert server.wait(helper.id, 60).status == "FAILED"
            lost.touch()

    ended = watch(server, submission, write=str, say=say)
    assert (ended.status, ended.attempt) == ("SUCCEEDED", 2)
    assert f"job {ended.series}-1 ended early: its driver ended with exit code 137; trying again" in said


@pytest.mark.soak
def test_a_driver_whose_node_is_lost_is_retried_on_another(head: Head, server: JobServer, tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    away = head.join("role=away")
    submission = Submission(f"test -e {mark} || (touch {mark}; sleep 900)", labels={"role": "away"}, retries=1)
    until(lambda: len(server.nodes()) == 2, 120, lambda: away.text)
    job = server.submit(submission)
    until(mark.exists, 120, lambda: server.logs(job.id))
    os.killpg(away.process.pid, signal.SIGKILL)
    until(lambda: server.series(job.series)[-2].attempt == 2, 180, lambda: str(server.series(job.series)))
    assert server.job(job.id).retryable
    head.join("role=away")
    assert server.wait(f"{job.series}-2", 180).status == "SUCCEEDED"


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_driver_is_retried_when_its_store_does_not_answer(
    head: Head, server: JobServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "AWAY_SECONDS", 1.0)
    study, mark, said = tmp_path / "instant.yaml", tmp_path / "killed", list[str]()
    study.write_text(INSTANT.format(seconds=0, fail_share=0, epochs=12, seeds="[0]", clock="virtual"))
    with s3(tmp_path / "s3") as (proxy, variables), faulty(SimpleNamespace(url=head.url, strict=False)) as door:
        proxy.add("refused", times=None)

        def say(sentence: str) -> None:
            said.append(sentence)
            if "its store did not answer" in sentence:
                proxy.clear()
                door.add("refused", times=3)  # and the job server does not answer for a while

        run = f"{BIN}/hpo run {study} --address auto --store s3://faults/results --methods random --no-report"
        submission = Submission(
            f"test -e {mark} || (touch {mark}; kill -9 $$); {run}", name="away", store="s3://faults/results",
            environment={name: str(value) for name, value in variables.items()},
        )  # fmt: skip
        first = server.submit(submission)
        asked = request.attempt(submission, first.series, 1, server.nodes())
        through = JobServer(door.url, token=Token(SECRET, "the test"))
        attempts.supervise(through, asked, request.runtime_env(submission, tmp_path), retries=3, say=say)
        ended = server.series(first.series)[-1]
        written = [server.logs(job.id) for job in server.series(first.series)]
        assert (ended.status, ended.attempt) == ("SUCCEEDED", 3), "".join(written)
        assert [sentence.partition(": ")[2] for sentence in said if "trying again" in sentence] == [
            "its driver ended with exit code 137; trying again", "its store did not answer; trying again",
        ]  # fmt: skip
        assert any("waiting for the head" in sentence for sentence in said)
        assert "hpo: s3://faults/results must answer, but" in written[1]
        (charged,) = read("s3://faults/results", "instant").runs["charged_epochs"].to_pylist()
        assert charged == 12
        where = place("s3://faults/results")
        (log,) = where.names("instant/driver")
        lines = [json.loads(line) for line in (where.read(log) or b"").splitlines()]
        assert [line["event"] for line in lines if line["event"] != "figures"] == ["begun", "done"]
        assert lines[-2]["charged_epochs"] == {"random/0": 12}


def test_no_such_job(server: JobServer) -> None:
    for act in (server.job, server.logs, server.stop, lambda name: list(server.follow(name))):
        with pytest.raises(NoSuchJob, match="no job 'nowhere-1'"):
            act("nowhere-1")
    with pytest.raises(NoSuchJob, match="letters"):
        server.job("../version")


def test_wrong_token(head: Head, server: JobServer) -> None:
    with pytest.raises(JobError, match=r"asks for the cluster's token, but the token from a guess is wrong") as caught:
        JobServer(head.url, token=Token("f" * 64, "a guess"))
    assert "f" * 64 not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_token(head: Head, server: JobServer) -> None:
    with pytest.raises(JobError, match="asks for the cluster's token, but there is none here"):
        JobServer(head.url)


def test_wrong_address(head: Head, server: JobServer) -> None:
    with pytest.raises(JobError, match="must answer at"):
        JobServer(f"http://127.0.0.1:{head.gcs}")


# -- the same on the command line -----------------------------------------------------------------------------------


def hpo(head: Head, *words: object, token: object = None) -> subprocess.CompletedProcess[str]:
    """Runs a command with the head's token, with another token file, or with NONE without a token."""
    return subprocess.run(
        [BIN / "python", "-m", "hpo.cli", *map(str, words)], capture_output=True, text=True, timeout=300, check=False,
        env=environment(RAY_AUTH_TOKEN_PATH=head.folder / "token" if token is None else token, COLUMNS=200, NO_COLOR=1),
    )  # fmt: skip


def scraped(head: Head) -> dict[str, float]:
    """Returns the study's metrics as Prometheus reads them from the head's node: name -> sum over its series."""
    with urllib.request.urlopen(f"http://127.0.0.1:{head.metrics}/metrics", timeout=30) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line.startswith("ray_hpo_")]
    found: dict[str, float] = {}
    for line in lines:
        name = line.partition("{")[0].removeprefix("ray_hpo_")
        found[name] = found.get(name, 0.0) + float(line.split()[-1])
    return found


@pytest.mark.timeout(900)
@pytest.mark.journey
def test_a_study_stopped_as_a_job_and_resumed(head: Head, server: JobServer, tmp_path: Path) -> None:
    (tmp_path / "instant.yaml").write_text(
        INSTANT.format(seconds=1.0, fail_share=0, epochs=40, seeds="[0]", clock="virtual")
    )
    where = ("--address", head.url)
    words = ("submit", tmp_path / "instant.yaml", "--store", tmp_path / "store", "--methods", "random", *where)
    submitted = hpo(head, *words)
    assert submitted.returncode == 0, submitted.stderr
    assert f"{head.url}/#/jobs/" in submitted.stderr
    job = submitted.stdout.strip()
    follow = [BIN / "python", "-m", "hpo.cli", "logs", job, *where]
    following = Child(follow, environment(RAY_AUTH_TOKEN_PATH=head.folder / "token"), tmp_path / "followed")
    try:
        following.until(lambda: list((tmp_path / "store").rglob("charges/*.parquet")))
        following.until(lambda: scraped(head).get("charged_epochs", 0) > 0)
        assert {"trials", "epochs_per_second", "idle_share", "slots", "slots_busy", "store_waiting"} <= set(
            scraped(head)
        )
        stopped = hpo(head, "stop", job, *where)
        assert stopped.stdout == f"{job} STOPPED\n"
        assert following.wait() == 0
    finally:
        following.close()
    assert "epochs charged" in following.text
    assert "to continue: hpo submit" in following.text
    assert verify(str(tmp_path / "store")) == []
    (run,) = read(str(tmp_path / "store")).runs.to_pylist()
    assert run["status"] == "partial"
    nowhere = hpo(head, *words, "--on", "role=nobody").stdout.strip()
    again = hpo(head, *words, "--follow", "--on", "role=driver")
    assert again.returncode == 0, again.stdout + again.stderr
    assert verify(str(tmp_path / "store")) == []
    (run,) = read(str(tmp_path / "store")).runs.to_pylist()
    assert (run["status"], run["charged_epochs"]) == ("complete", 40)
    log = [json.loads(line) for line in (tmp_path / "store" / "instant" / "driver.jsonl").read_text().splitlines()]
    assert [line["event"] for line in log if line["event"] != "figures"] == ["begun", "interrupted", "begun", "done"]
    assert log[-2]["charged_epochs"] == {"random/0": 40}
    now = states(hpo(head, "jobs", *where).stdout)
    assert (now[job], now[nowhere]) == ("STOPPED", "PENDING")
    assert sum(name.startswith("instant-") and status == "SUCCEEDED" for name, status in now.items()) == 1
    assert hpo(head, "stop", nowhere, *where).stdout == f"{nowhere} STOPPED\n"


MINE = """
study: mine
trainable: mine:Mine
space:
  rate: {type: float, low: 0.01, high: 1.0, log: true}
budget: {epochs: 24, max_epochs: 6}
methods: [random]
seeds: [0]
metric: value
mode: max
"""
TRAINABLE = """
import os, pathlib, time
assert os.environ["HF_TOKEN"][::-1] == "EMOH$ 2retnuh", "the driver and its trials have the private variables"
assert os.environ["LEVEL"] == "1"
class Mine:
    trained = 0  # by this process
    def __init__(self, config, *, task, seed, max_epochs): self.rate, self.epoch = config["rate"], 0
    def train_epoch(self):
        Mine.trained, self.epoch = Mine.trained + 1, self.epoch + 1
        while Mine.trained > 8 and not os.path.exists(os.environ["GATE"]): time.sleep(0.1)
        return {"value": self.rate * self.epoch}
    def save(self, directory): (pathlib.Path(directory) / "epoch").write_text(str(self.epoch))
    def load(self, directory): self.epoch = int((pathlib.Path(directory) / "epoch").read_text())
    def test(self): return {"value": self.rate}
"""
ENV = """
export HF_TOKEN='hunter2 $HOME'
AWS_SECRET_ACCESS_KEY=hunter2hunter2  # Tune would copy it to its trials, and Ray would log it
"""


def squeezed(line: str) -> str:
    return "  ".join(part.strip() for part in line.split("  ") if part.strip())


def states(listed: str) -> dict[str, str]:
    """Returns what `hpo jobs` says: job -> state."""
    lines = (squeezed(line).split("  ") for line in listed.splitlines() if line.strip())
    return {name: state for name, state, *_ in lines}


@pytest.mark.timeout(900)
@pytest.mark.journey
def test_a_queued_study_survives_its_client_and_its_driver_and_keeps_its_secrets(
    head: Head, server: JobServer, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    for name, text in {"work/mine.yaml": MINE, "work/mine.py": TRAINABLE, "env": ENV}.items():
        (tmp_path / name).write_text(text)
    where = ("--address", head.url)
    words = ("submit", tmp_path / "work" / "mine.yaml", "--queue", "study", "--env-from", tmp_path / "env", "--env",
             "LEVEL=1", "--env", f"GATE={tmp_path / 'gate'}", "--owner", "ann", *where)  # fmt: skip
    command = [BIN / "python", "-m", "hpo.cli", *words, "--store", tmp_path / "hurt", "--retries", 1, "--follow"]
    client = Child(command, environment(RAY_AUTH_TOKEN_PATH=head.folder / "token"), tmp_path / "client")
    client.until(lambda: list((tmp_path / "hurt").rglob("charges/*.parquet")))
    client.process.kill()
    client.wait()
    whole, unwanted = (
        hpo(head, *words, "--store", tmp_path / name, *more).stdout.strip()
        for name, more in (("whole", ()), ("unwanted", ("--retries", 1)))
    )
    hurt = next(job.series for job in server.jobs() if job.store == str(tmp_path / "hurt"))
    listed = hpo(head, "jobs", *where).stdout
    assert "ann" in listed
    assert str(tmp_path / "hurt") in listed
    now = states(listed)
    assert (now[f"{hurt}-1"], now[whole], now[f"{unwanted}-1"]) == ("RUNNING", "queued", "queued")
    assert hpo(head, "stop", unwanted, *where).stdout == f"{unwanted}-1 STOPPED\n"

    kill(lambda words: "run" in words and str(tmp_path / "hurt") in words)
    (tmp_path / "gate").touch()
    until(lambda: server.series(hurt)[-1].helper and all(job.done for job in server.series(hurt)), 300,
          lambda: str(server.series(hurt)))  # fmt: skip
    assert [job.status for job in server.series(hurt) if job.helper is None] == ["FAILED", "SUCCEEDED"]
    assert server.wait(whole, 300).status == "SUCCEEDED"
    for table in ("runs", "charges", "epochs"):
        assert rows(tmp_path / "hurt", table, "mine") == rows(tmp_path / "whole", table, "mine"), table

    told = [path for path in head.folder.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert {(path.name, path.stat().st_mode & 0o777) for path in told} == {(".hpo-environment", 0o600)}
    assert "hunter2" not in repr([(job.entrypoint, job.metadata, job.message) for job in server.jobs()])
    assert (
        f"--queue study --env-from {tmp_path / 'env'}"
        in server._client.get_job_info(whole).runtime_env["env_vars"]["HPO_SUBMITTED"]
    )
    assert not (tmp_path / "unwanted").exists()


def test_refusals_are_one_sentence(head: Head, server: JobServer, tmp_path: Path) -> None:
    (tmp_path / "guess").write_text("f" * 64)
    (tmp_path / "guess").chmod(0o600)
    (port,) = free_ports(1)
    for words, token, said in (
        (("jobs", "--address", head.url), tmp_path / "guess", "is wrong"),
        (("jobs", "--address", head.url), tmp_path / "nowhere", "must name a token file, but there is none"),
        (("jobs", "--address", head.url), NONE, "asks for the cluster's token, but there is none here"),
        (("jobs", "--address", f"http://127.0.0.1:{head.gcs}"), None, "must answer at"),
        (("logs", "nowhere-1", "--address", head.url), None, "there is no job 'nowhere-1'"),
        (("jobs", "--address", f"http://127.0.0.1:{port}"), None, "connection refused"),
    ):
        answer = hpo(head, *words, token=token)
        assert (answer.returncode, answer.stdout) == (2, ""), answer.stderr
        assert len(answer.stderr.splitlines()) == 1, answer.stderr
        assert answer.stderr.startswith("hpo: ")
        assert said in answer.stderr
        assert "f" * 64 not in answer.stderr


def test_unreachable_head() -> None:
    (port,) = free_ports(1)
    with pytest.raises(
        HeadUnreachable, match=f"must answer at http://127.0.0.1:{port}, but none does .connection refus"
    ):
        JobServer(f"http://127.0.0.1:{port}")
