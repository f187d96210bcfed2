"""Makes the archives beside this one as the installed version writes them: `python make.py FOLDER`.

Those of schema 2 come from the last version with flat modules (`hpo.dispatch`, `hpo.training`); keep them, and put
those of a later format beside them.

- complete: a study with its exams, and `compare.json`, its comparison then.
- interrupted: the same study after its driver was killed: rows in the spool, a lease that nobody released, checkpoints.
- trial: a checkpoint of a small network after 2 of 4 epochs, and `curve.json`, the metrics of all 4.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from hpo import store
from hpo.game.runs import runs_of
from hpo.live.dispatch import Dispatch
from hpo.results.compare import compare
from hpo.store import StudyWriter
from hpo.study.study import Study
from hpo.worker.training import Assignment, Training

STUDY = """
study: recorded
trainable: curves
data: {fail_share: 0.1}
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
  optimizer: {type: choice, values: [adam, sgd]}
  layers: {type: choice, values: [9, 14, all]}
budget: {epochs: 24, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
seeds: [0, 1]
parallelism: 2
final: {retrain: train, seeds: 1}
store: store
"""
NETWORK = {
    "trial": "0123456789abcdef",
    "config": {"learning_rate": 0.01, "units": 4, "batch_size": 16},
    "task": {"trainable": "mlp", "data": {"name": "synthetic_09", "train": 60, "validation": 20, "test": 20}},
    "seed": 1,
    "max_epochs": 4,
    "known": 0,
}
FLUSHED, KILLED = 9, 14  # assignments
LONG_AGO = 1.7e9  # the unix time of the lease: it is not watched for a sign of life


def play(killed: bool) -> None:
    """Plays the study in the working folder, and with `killed` dies with a part of the results in the spool."""
    Path("study.yaml").write_text(STUDY)
    study = Study.load("study.yaml")
    environment = {"python": "3.11", "packages": {"hpo-arena": "0.1.0"}}
    writer = StudyWriter.open(
        study.store, study=study.study, definition=study.definition, digest=study.digest, environment=environment,
        space_kinds=study.kinds,
    )  # fmt: skip
    dispatch = Dispatch(study, runs_of(study), writer, "store/recorded/checkpoints", 8)
    done = 0
    while not dispatch.finished:
        assignment = dispatch.next()
        assert assignment is not None
        training = Training(assignment)
        while assignment.trial in dispatch.live:
            dispatch.report(assignment, training.step(), "node:1")
        done += 1
        if killed and done == FLUSHED:
            dispatch.snapshot()
            writer.flush()
        if killed and done == KILLED:
            os._exit(9)
    dispatch.finish(complete=True)
    Path("compare.json").write_text(json.dumps(compare(store.read("store")).to_json(), indent=1))


def train() -> None:
    """Trains the network twice in the working folder: to its second epoch and to its last."""
    rows = []
    for stop, checkpoints in ((2, "checkpoints"), (4, "whole")):
        training, rows, done = Training(Assignment(**NETWORK, stop=stop, checkpoints=checkpoints)), [], False
        while not done:
            report = training.step()
            rows, done = rows + report.records, report.done
    Path("curve.json").write_text(json.dumps([row["metrics"] for row in rows], indent=1))


def neutral() -> None:
    """Leaves nothing of this machine in the working folder."""
    for lease in Path().glob("store/*/lease/*.json"):
        content = json.loads(lease.read_text())
        process = {"system": "a boot pid:[1]", "started": "1"}
        content |= {"host": "node", "pid": 1, "process": process, "since": LONG_AGO, "renewed": LONG_AGO}
        lease.write_text(json.dumps(content))


def pack(archive: Path, parts: list[str]) -> None:
    """Packs parts of the working folder, without owners and times."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(archive, "w:gz", compresslevel=9) as packed:
        for part in parts:
            packed.add(part, filter=plain)


def work(name: str) -> None:
    """Makes one archive's content in the working folder, in a process of its own since that may die."""
    train() if name == "trial" else play(killed=name == "interrupted")


def main(target: Path) -> None:
    for name, parts in (("complete", ["store", "compare.json"]), ("interrupted", ["store"]),
                        ("trial", ["checkpoints", "curve.json"])):  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, __file__, "work", name], cwd=folder, check=name != "interrupted")
            os.chdir(folder)
            neutral()
            pack(target / f"{name}.tar.gz", parts)
            os.chdir(target)


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1] == "work" else main(Path(sys.argv[1]).resolve())
