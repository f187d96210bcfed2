"""Temporary folders and their owners: a start deletes what the dead have left, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import owned
from cluster.owned import Owned, sweep

OWNER = "import sys, time; from cluster.owned import Owned; print(Owned(sys.argv[1]).path, flush=True); time.sleep(600)"
PREFIX = "hpo-test-"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(owned, "LONGEST", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def another(place: Path) -> Callable[[], subprocess.Popen[str]]:
    def begin() -> subprocess.Popen[str]:
        code = (
            f"import tempfile; tempfile.tempdir = {str(place)!r}; import cluster.owned as o; o.LONGEST = 1000; {OWNER}"
        )
        process = subprocess.Popen([sys.executable, "-c", code, PREFIX], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert Path(process.stdout.readline().strip()).is_dir()
        return process

    return begin


def test_folders_of_the_living_stay_and_those_of_the_killed_go(
    another: Callable[[], subprocess.Popen[str]], place: Path
) -> None:
    killed, living = another(), another()
    try:
        assert (sweep(PREFIX), len(list(place.glob(f"{PREFIX}*")))) == ([], 2)
        killed.kill()
        killed.communicate()
        assert len(sweep(PREFIX)) == 1
        assert len(list(place.iterdir())) == 1
    finally:
        living.kill()
        living.communicate()


def test_ones_own_folder_stays_until_it_is_deleted(place: Path) -> None:
    mine = Owned(PREFIX)
    assert (sweep(PREFIX), mine.path.is_dir()) == ([], True)
    mine.delete()
    assert list(place.iterdir()) == []


def test_logs_that_were_kept_stay_for_a_week() -> None:
    mine = Owned(PREFIX)
    mine.keep()
    assert (sweep(PREFIX), mine.path.is_dir()) == ([], True)
    week_ago = time.time() - owned.KEPT_SECONDS - 60
    os.utime(mine.path / owned.KEPT, (week_ago, week_ago))
    assert sweep(PREFIX) == [mine.path]


def test_an_earlier_versions_session_goes_once_its_process_is_dead(place: Path) -> None:
    """Earlier versions held no lock; Ray puts the number of the process into the session's name."""
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    for name, pid in (("dead", gone.stdout.strip()), ("alive", os.getpid())):
        (place / f"{PREFIX}{name}" / f"session_2026-01-01_00-00-00_000001_{pid}").mkdir(parents=True)
    (place / f"{PREFIX}empty").mkdir()
    assert [path.name for path in sweep(PREFIX)] == [f"{PREFIX}dead"]


def test_neither_links_nor_files_nor_other_names_are_touched(place: Path) -> None:
    elsewhere = place / "elsewhere" / "session_x_1"
    elsewhere.mkdir(parents=True)
    (place / "elsewhere" / owned.LOCK).touch()
    (place / f"{PREFIX}link").symlink_to(place / "elsewhere")
    (place / f"{PREFIX}file").touch()
    assert sweep(PREFIX) == []
    assert elsewhere.is_dir()
