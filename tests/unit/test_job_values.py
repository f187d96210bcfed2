"""Submissions, packed working folders and addresses. No cluster."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from cluster import nodes, packing, probe
from cluster.addresses import AddressError, cluster_endpoint, in_the_clear, job_server_url
from cluster.errors import one_line
from cluster.job import Job, JobError, Submission, attempt_id, new_series
from cluster.packing import PackError, files, pack


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def folder(root: Path) -> Path:
    for name in ("study.yaml", "code/model.py", "code/__pycache__/model.pyc", ".env", "keys/id_rsa", "results/a.parquet",
                 ".venv/bin/python", "data/x y é.csv", "ignored.log", ".git/config"):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_which_files_are_packed(tmp_path: Path) -> None:
    root = folder(tmp_path / "work")
    (root / "loop").symlink_to(root)
    archive = pack(root, tmp_path / "a.zip", excludes=("*.log",))
    assert names(archive) == ["code/model.py", "data/x y é.csv", "study.yaml"]
    again = pack(root, tmp_path / "b.zip", excludes=("*.log",))
    assert again.read_bytes() == archive.read_bytes()


def test_git_decides_what_is_ignored_except_needed_files(tmp_path: Path) -> None:
    root = folder(tmp_path / "work")
    (root / ".git" / "config").unlink()
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    (root / ".gitignore").write_text("*.log\nstudy.yaml\n")
    assert [str(path) for path in files(root)] == [".gitignore", "code/model.py", "data/x y é.csv"]
    archive = pack(root, tmp_path / "a.zip", needed=(Path("study.yaml"),))
    assert "study.yaml" in names(archive)
    assert pack(root, tmp_path / "b.zip", needed=(root / "study.yaml",)).read_bytes() == archive.read_bytes()
    with pytest.raises(PackError, match="must be a file in the working folder"):
        pack(root, tmp_path / "a.zip", needed=(Path("../elsewhere.yaml"),))


def test_folders_that_cannot_be_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PackError, match="must exist"):
        pack(tmp_path / "none", tmp_path / "a.zip")
    root = folder(tmp_path / "work")
    with pytest.raises(PackError, match=r"other\.yaml must be a file in the working folder"):
        pack(root, tmp_path / "a.zip", needed=(Path("other.yaml"),))
    size = sum((root / path).stat().st_size for path in files(root))
    monkeypatch.setattr(packing, "LIMIT", size)
    pack(root, tmp_path / "a.zip")
    monkeypatch.setattr(packing, "LIMIT", size - 1)
    with pytest.raises(PackError, match=r"the largest file is data/x y é\.csv"):
        pack(root, tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [("SUCCEEDED", 0, False), ("STOPPED", None, False), ("FAILED", 1, False), ("FAILED", 2, False),
     ("FAILED", 3, True), ("FAILED", 70, False), ("FAILED", 130, False), ("FAILED", 137, True), ("FAILED", -9, True),
     ("FAILED", None, True), ("RUNNING", None, False)],
)  # fmt: skip
def test_what_is_retried(status: str, code: int | None, again: bool) -> None:
    assert Job("a-1", status, "hpo", exit_code=code).retryable is again


def test_a_store_outlives_the_job() -> None:
    for store in (None, "s3://bucket/results", "/mnt/shared/results"):
        assert Submission("hpo run digits", store=store).store == store
    with pytest.raises(JobError, match="must be s3://BUCKET/PREFIX or an absolute path"):
        Submission("hpo run digits", store="results")
    with pytest.raises(JobError, match="entrypoint must be a command"):
        Submission("  ")


def test_ids_fit_a_url() -> None:
    series = new_series("Étude / №1 & more" + "x" * 100)
    assert all(c.isascii() and (c.isalnum() or c == "-") for c in series)
    assert len(series) < 60
    assert new_series("a") != new_series("a")
    assert attempt_id(series, 3) == f"{series}-3"


@pytest.mark.parametrize(("address", "endpoint"), [("auto", None), ("h:1", ("h", 1)), ("[::1]:6379", ("::1", 6379))])
def test_cluster_addresses(address: str, endpoint: tuple[str, int] | None) -> None:
    assert cluster_endpoint(address) == endpoint


@pytest.mark.parametrize("address", ["host", "host:", "host:x", "host:99999999", ":1", "host:1/x", ""])
def test_no_cluster_addresses(address: str) -> None:
    with pytest.raises(AddressError, match="must be auto or HOST:PORT"):
        cluster_endpoint(address)


@pytest.mark.parametrize("address", ["ray://h:10001", "http://h:8265"])
def test_a_driver_belongs_inside(address: str) -> None:
    with pytest.raises(AddressError, match="hpo submit"):
        cluster_endpoint(address)


@pytest.mark.parametrize("address", ["http://h:8265", "https://h", "http://127.0.0.1:8265/"])
def test_job_servers(address: str) -> None:
    assert job_server_url(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address", ["h:8265", "ray://h:1", "http://", "http://h:x", "http://u@h", "http://h/x", "auto", ""]
)
def test_no_job_servers(address: str) -> None:
    with pytest.raises(AddressError, match="http://HOST:8265"):
        job_server_url(address)


def test_unencrypted_addresses() -> None:
    assert in_the_clear("http://head:8265")
    assert not in_the_clear("http://127.0.0.1:8265")
    assert not in_the_clear("https://head:8265")


@pytest.mark.parametrize("address", ["127.0.0.1:9", "http://head:8265"])
def test_waiting_for_workers_without_a_head_is_bad_input(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert nodes.main(["--address", address, "--timeout", "0"]) == 2
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert told.err.startswith("cluster: ")
    assert address in told.err


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("one\ntwo"), "one"), (ValueError("\n one"), "one"), (ValueError(), "ValueError")],
)
def test_foreign_errors_are_quoted_in_one_line(error: Exception, line: str) -> None:
    assert one_line(error) == probe._one_line(error) == line
