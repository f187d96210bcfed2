"""Stores to look at: studies in every state and of every shape, written by real writers in processes of their own.

python tests/bench/shown_stores.py STORE STUDY STATE    plays the driver of one study until its standard input ends
"""

from __future__ import annotations

import json
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from hpo.store import StudyWriter, notes
from hpo.study.values import Charge, EpochRecord, RunKey
from tests.bench import large_store
from tests.synthetic_study import ENVIRONMENT, KINDS, Tables, minimised, nothing_trained, played, write_study

RECORDED = Path(__file__).parents[1] / "recorded_stores"
MARKUP = "<img src=x onerror=alert(1)> & ünï 数据 \u202e"
LONG = "imagenet-subset-efficientnet-b0-learning-rate-schedules-with-warm-restarts-2026-11-27-second-attempt"
SHARES = {"starting": 0.0, "running": 0.55, "killed": 0.4, "interrupted": 0.3, "failed": 0.2}  # of the budget


def write_shapes(uri: str) -> None:
    """Writes complete studies: of four, of twenty and of one method; minimised; with failures only; of odd and long names."""
    write_study(uri, played("clothing-mobilenet", budget=160))
    write_study(uri, played("clothing-second", budget=160, seeds=(0, 1, 2, 3, 4)))
    write_study(
        uri,
        played(
            "twenty-methods", methods=tuple(f"{'multi-fidelity-' * (i % 4)}method-{i}" for i in range(20)), budget=48
        ),
    )
    write_study(uri, played("one-run", methods=("random",), seeds=(0,), budget=16))
    write_study(uri, minimised(played("least-loss", budget=96)))
    write_study(uri, nothing_trained(played("nothing-trained", budget=24, seeds=(0,)), missing))
    write_study(uri, played(LONG, methods=("grid", "<b>bold</b> 数据"), seeds=(0, 1), budget=48))
    write_study(uri, played("put-away", budget=32, seeds=(0, 1)))
    notes.archive(uri, "put-away", by="ana")


def missing(number: int) -> str:
    """Why a trial fails, for one of two reasons."""
    return MARKUP if number % 5 == 0 else f"FileNotFoundError: [Errno 2] No such file or directory: '/data/{number}'"


def write_recorded(folder: Path) -> None:
    """Unpacks the digits study, as a version before wrote it, into a store."""
    with tarfile.open(RECORDED / "digits.tar.gz") as archive:
        archive.extractall(folder, filter="data")


def write_many(folder: Path, number: int = 300) -> None:
    """Writes a store of so many studies: one that is written, and summaries of others like it."""
    write_study(str(folder), played("study-000", budget=16, seeds=(0, 1)))
    kept = json.loads((folder / ".studies" / "study-000.json").read_text())
    owners, now = ("ana", "bo", "chandrasekhar.venkataraman", None), time.time()
    for i in range(1, number):
        name = f"study-{i:03}" if i % 7 else f"study-{i:03}-with-a-longer-name-than-most"
        (folder / name).mkdir()
        shutil.copy(folder / "study-000" / "study.json", folder / name / "study.json")
        facts = {
            **kept["facts"],
            "study": name,
            "owner": owners[i % 4],
            "began": now - i * 9000.0,
            "updated": now - i * 8000.0,
        }
        (folder / ".studies" / f"{name}.json").write_text(json.dumps({**kept, "facts": facts}))


def write_large(uri: str, trials: int = 2_000) -> None:
    """Writes a study of 50 runs of so many trials."""
    large_store.write(uri, "hundred-thousand", trials=trials)


# -- drivers ------------------------------------------------------------------------------------------------------


@contextmanager
def drivers(uri: str) -> Iterator[None]:
    """Writes a study in each state; those of the living are played on until the block ends."""
    players = {state: _player(uri, state) for state in SHARES}
    try:
        for player in players.values():
            assert player.stdout is not None
            player.stdout.readline()
        players["killed"].send_signal(signal.SIGKILL)
        yield
    finally:
        for player in players.values():
            player.stdin.close() if player.stdin is not None else None
            player.wait(60)


def _player(uri: str, state: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, __file__, uri, f"study-{state}", state]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def play(uri: str, name: str, state: str) -> None:
    """Plays a driver: delivers a share of the study, says `ready`, and goes on until its standard input ends."""
    tables = played(name, budget=480)
    environment = {**ENVIRONMENT, "command": f"hpo run {name}.yaml --store {uri}"}
    writer = StudyWriter.open(
        uri, study=name, definition=tables.definition, digest="synthetic", environment=environment, space_kinds=KINDS
    )
    charges = sorted(tables.rows["charges"], key=lambda row: row["at"])
    upto = int(SHARES[state] * len(charges))
    epochs = {(row["trial"], row["epoch"]): row for row in tables.rows["epochs"] if not row["attempt"]}
    with writer.journal() as journal:
        journal.write("begun", command=environment["command"], runs=12)
        for row in charges[:upto]:
            _deliver(writer, tables, epochs, row)
        writer.snapshot(*_standing(tables, charges[:upto]))
        journal.write("figures", **_figures(charges, upto))
        if state == "interrupted":
            journal.write("interrupted", signal="SIGTERM", charged_epochs=upto)
        if state == "failed":
            journal.write("failed", reason="No trial could be started for 10 min: the cluster has no node with a GPU")
        writer.flush()
        if state in ("interrupted", "failed"):
            writer.close(compact=False)
        print("ready", flush=True)
        _wait(None if state != "running" else lambda: _go_on(writer, tables, epochs, charges, journal))
        if state not in ("interrupted", "failed"):
            writer.close(compact=False)


def _wait(meanwhile: Callable[[], None] | None) -> None:
    while not select.select([sys.stdin], [], [], 1.0)[0]:
        if meanwhile is not None:
            meanwhile()


_sent = 0


def _go_on(writer: StudyWriter, tables: Tables, epochs: dict[Any, Any], charges: list[Any], journal: Any) -> None:
    """Delivers one more charge."""
    global _sent
    place = int(SHARES["running"] * len(charges)) + _sent
    if place < len(charges):
        _deliver(writer, tables, epochs, charges[place])
        writer.snapshot(*_standing(tables, charges[: place + 1]))
        if _sent % 10 == 0:
            journal.write("figures", **_figures(charges, place))
        _sent += 1


def _deliver(writer: StudyWriter, tables: Tables, epochs: dict[Any, Any], row: dict[str, Any]) -> None:
    trained = epochs.pop((row["trial"], row["epoch"]), None)
    if trained is not None:
        metrics = {name: trained[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        record = EpochRecord(row["trial"], row["epoch"], metrics, trained["seconds"], 0, trained["worker"])
        writer.epoch(tables.keys[row["trial"]], record)
    run = RunKey(row["method"], row["seed"])
    writer.charge(Charge(run, *(row[name] for name in ("order", "trial", "number", "epoch", "at", "value"))))


def _standing(tables: Tables, charges: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the rows of trials and runs after these charges."""
    of: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in charges:
        of.setdefault((row["run"], row["number"]), []).append(row)
    trials = []
    for row in tables.rows["trials"]:
        mine = of.get((row["run"], row["number"]), [])
        if mine:
            best = max(mine, key=lambda one: one["value"])
            status = row["status"] if len(mine) == row["epochs"] else "running"
            trials.append(
                {**row, "status": status, "epochs": len(mine), "best_epoch": best["epoch"], "best_value": best["value"]}
            )
    runs = []
    for row in tables.rows["runs"]:
        mine = [one for one in charges if one["run"] == row["run"]]
        best = max(mine, key=lambda one: one["value"], default=None)
        own = [one for one in trials if one["run"] == row["run"]]
        more = {
            "status": "partial",
            "charged_epochs": len(mine),
            "trials": len(own),
            "failed_trials": 0,
            "shared_epochs": 0,
            "wasted_epochs": 0,
        }
        winner = {
            "incumbent_trial": best and best["trial"],
            "incumbent_epoch": best and best["epoch"],
            "incumbent_value": best and best["value"],
        }
        runs.append({**row, **more, **winner, "train_seconds": 2.2 * len(mine)})
    return trials, runs


def _figures(charges: list[dict[str, Any]], upto: int) -> dict[str, Any]:
    charged: dict[str, int] = {}
    for row in charges[:upto]:
        charged[row["run"]] = charged.get(row["run"], 0) + 1
    left = len(charges) - upto
    return {
        "charged_epochs": charged, "trials": {"running": 4, "completed": upto // 16, "paused": 7}, "running": 4,
        "trained_epochs": upto, "left_epochs": left, "seconds_left": left / 1.9 if upto else None,
        "epochs_per_second": 1.9 if upto else 0.0, "slots": 4, "busy": 4 if upto else 0, "starting": 0 if upto else 4,
        "waiting": 2, "idle_share": 0.04, "store_waiting": 0, "store_trouble": "",
    }  # fmt: skip


if __name__ == "__main__":
    play(*sys.argv[1:4])
