"""Where everything of a study lies below the store's root: the one owner of paths. Pure.

    <study>/study.json                      the head: schema, digest, definition, environment
    <study>/seal.json                       digests of the files of a study that has ended
    <study>/<table>/000003-1a2b3c-000017    .parquet: batch 17 of the third writer, whose token is 1a2b3c
    <study>/<table>/000003-whole            .parquet: all files before it, merged by the third writer
    <study>/<table>/current                 .parquet: a snapshot (trials, runs), replaced whole
    <study>/lease/000003                    .json: who is, or was, the third writer
    <study>/driver.jsonl                    the driver's log (local stores)
    <study>/driver/000003-1a2b3c            .jsonl: the third writer's part of the driver's log (S3)
    <study>/spool/000003-1a2b3c-000018      .jsonl: its batch 18, which the tables do not have yet (local stores)
    <study>/checkpoints                     the newest checkpoint of each trial that may go on
    <study>/winners/retrain-0               the winners' checkpoints after the exam `retrain/0`
    <study>/code/train@0123456789abcdef     .pickle: the trainable, where it was given as an object
    <study>/suggested/optuna/0/12           .json: the configuration of a run's trial 12, where its method is not deterministic
    .studies/<study>                        .json: the study's summary, for lists of studies; may be missing
    .studies/<study>@archived               .json: the mark of a study that lists leave out
    .studies/<study>@verdict                .json: the comparison's verdict in five words, and of which results

The names of a table's files sort in the order in which the files were written.
"""

from __future__ import annotations

import re

from hpo.store.errors import StoreError


def checked(study: str) -> str:
    """Returns the study's name. Raises StoreError if no folder can have it."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", study):
        raise StoreError(f"a study's name must be letters, digits, '.', '_' and '-', but got {study!r}; name another")
    return study


def head(study: str) -> str:
    """Returns the path of the study's head."""
    return f"{checked(study)}/study.json"


SUMMARIES = ".studies"  # no study's name: such a name begins with no dot


def summary(study: str) -> str:
    """Returns the path of the study's summary."""
    return f"{SUMMARIES}/{checked(study)}.json"


def beside_summary(study: str, what: str) -> str:
    """Returns the path of a note on the study beside its summary; no study's name holds an "@"."""
    return f"{SUMMARIES}/{checked(study)}@{what}.json"


def seal(study: str) -> str:
    """Returns the path of the seal of a study that has ended."""
    return f"{checked(study)}/seal.json"


def table(study: str, name: str) -> str:
    """Returns the folder of a table's files."""
    return f"{checked(study)}/{name}"


def part(study: str, name: str, batch: str) -> str:
    """Returns the path of a batch's rows of a table."""
    return f"{table(study, name)}/{batch}.parquet"


def whole(study: str, name: str, generation: int) -> str:
    """Returns the path of a table's merged file."""
    return part(study, name, f"{generation:06d}-whole")


def is_whole(name: str) -> bool:
    """Tells whether the file is a merged one."""
    return name.endswith("-whole.parquet")


def table_of(name: str) -> str:
    """Returns the table that a file belongs to."""
    return name.split("/")[-2]


def snapshot(study: str, name: str) -> str:
    """Returns the path of a table that is replaced whole."""
    return part(study, name, "current")


def leases(study: str) -> str:
    """Returns the folder of the study's leases."""
    return f"{checked(study)}/lease"


def lease(study: str, generation: int) -> str:
    """Returns the path of a writer's lease."""
    return f"{leases(study)}/{generation:06d}.json"


def spool(study: str) -> str:
    """Returns the folder of a local store's spool."""
    return f"{checked(study)}/spool"


def logs(study: str) -> str:
    """Returns the folder of the drivers' logs on S3."""
    return f"{checked(study)}/driver"


def log(study: str, writer: str | None = None) -> str:
    """Returns the path of the driver's log: one for all writers of a local store, one for each writer on S3."""
    return f"{checked(study)}/driver.jsonl" if writer is None else f"{logs(study)}/{writer}.jsonl"


def writer(generation: int, token: str) -> str:
    """Returns the writer's part of its files' names."""
    return f"{generation:06d}-{token}"


def batch(generation: int, token: str, sequence: int) -> str:
    """Returns the name of a writer's batch, which its file in the spool and its parts in the tables share."""
    return f"{writer(generation, token)}-{sequence:06d}"


def generation(batch: str) -> int:
    """Returns the generation of the writer of a batch, or of a table's file by its name; 0 for one that names no writer."""
    found = re.match(r"([0-9]+)-", batch)
    return int(found[1]) if found else 0


def checkpoints(study: str) -> str:
    """Returns the folder of the trials' checkpoints."""
    return f"{checked(study)}/checkpoints"


def code(study: str, name: str) -> str:
    """Returns the path of the code of an object; `name`: NAME@DIGEST."""
    return f"{checked(study)}/code/{name}.pickle"


def suggested(study: str, run: str, number: int) -> str:
    """Returns the path of the configuration of a run's trial, kept where its method would not suggest it again."""
    return f"{checked(study)}/suggested/{run}/{number}.json"


def study_of(checkpoints: str) -> str:
    """Returns the folder, or the S3 prefix, of the study whose trials' checkpoints lie there."""
    return checkpoints.rpartition("/")[0]


def winners(checkpoints: str, exam: str) -> str:
    """Returns the folder of the winners' checkpoints after an exam, beside that of the trials."""
    return f"{study_of(checkpoints)}/winners/{exam.replace('/', '-')}"
