"""The report's section on the final exam: validation and test, precision, recall and F1, confusion matrices. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from hpo.report import plots
from hpo.report.canvas import Looks
from hpo.report.parts import Figures, Folded, Grid, Part, Section, Text, picture, table
from hpo.report.tables import Cell, Column, Table
from hpo.store import StudyData
from hpo.store import columns as stored
from hpo.store.failures import failed_exams

Counts: TypeAlias = NDArray[np.int64]
SHOWN = 20  # most classes of a readable matrix: for larger ones the worst confusions are listed instead
MEASURES = ("accuracy", "precision", "recall", "f1")


def exams(data: StudyData, looks: Looks) -> Section:
    """Returns the winners' results on data that no method ever saw."""
    title = "Final exam"
    rows, failed = _rows(data), failed_exams(data)
    told = [Text(f"{failed[:1].upper()}{failed[1:]}. The same command takes failed exams again.")] if failed else []
    if not rows and told:
        return Section("exam", title, told)
    if not rows:
        text = "No winner has been tested: the study asks for no final exam, or the exam is still to come."
        return Section("exam", title, [Text(text)])
    parts: list[Part] = [*told, Text(_lead(data, rows)), table(_exam_table(data, rows))]
    chart = _selection(data, rows, looks)
    if chart is not None:
        parts.append(chart)
    return Section("exam", title, [*parts, *_confusions(rows, looks)])


def _lead(data: StudyData, rows: Sequence[Mapping[str, Any]]) -> str:
    """Says which tests were taken and how many of them: a test that several runs share counts once."""
    runs = sum(row["incumbent_trial"] is not None for row in data.runs.to_pylist())
    tests = {(row["trial"], row["exam"], row["epoch"]) for row in rows}
    again = sum(exam != "winner" for _, exam, _ in tests)
    trials = len({row["won"] for row in rows})
    lead = (
        f"The winners of {runs} run{'' if runs == 1 else 's'}, chosen by validation, are {trials} different "
        f"training{'' if trials == 1 else 's'}. On data that no method saw, {_times(len(tests) - again)} of models as "
        "their runs left them"
    )
    lead += f" and {_times(again, 'further ')} of their configurations trained anew" if again else ""
    return (
        f"{lead} {'was' if len(tests) == 1 else 'were'} taken. Validation picks the luckiest of many trials, so its value "
        "tends to be too high; trust the test columns."
    )


def _times(count: int, more: str = "") -> str:
    return f"{count} {more}test{'' if count == 1 else 's'}"


def _confusions(rows: Sequence[Mapping[str, Any]], looks: Looks) -> list[Part]:
    """Returns the methods' confusion matrices; those of methods in grey open on demand."""
    cells = {method: _confusion(method, [row for row in rows if row["method"] == method]) for method in looks}
    top, others = ([cell for m, cell in cells.items() if cell and looks[m].top is shown] for shown in (True, False))
    parts: list[Part] = [Grid(top)] if top else []
    title = f"Confusion matrices of the other {len(others)} methods"
    return [*parts, Folded(title, parts=[Grid(others)])] if others else parts


def _rows(data: StudyData) -> list[dict[str, Any]]:
    """Returns one row for each exam of each run's winner; a winner that several runs share appears once for each."""
    runs = [run for run in data.runs.to_pylist() if run["incumbent_trial"] is not None]
    winners = [(run["incumbent_trial"], run["incumbent_epoch"]) for run in runs]
    taken = stored.exams(data, winners)
    return [
        {**exam, "method": run["method"], "run_seed": run["seed"], "won": winner, "validation": run["incumbent_value"]}
        for run, winner in zip(runs, winners, strict=True)
        for exam in taken[winner]
    ]


def exam_tables(data: StudyData) -> list[Table]:
    """Returns the table of a study's exams; none if there are no exams."""
    rows = _rows(data)
    return [_exam_table(data, rows)] if rows else []


def _tested_as(data: StudyData) -> str:
    """Returns the test column of the study's metric."""
    return "test_" + str(data.definition["metric"]).removeprefix("val_")


def _exam_table(data: StudyData, rows: Sequence[Mapping[str, Any]]) -> Table:
    measures = [m for m in MEASURES if any(row.get(f"test_{m}") is not None for row in rows)]
    columns = [
        Column("run", "run", "text"), Column("exam", "exam", "text"), Column("train", "train"),
        Column("validation", "validation"), *(Column(f"test {m.replace('f1', 'F1')}", f"test_{m}") for m in measures),
    ]  # fmt: skip
    train = _train_values(data)
    if not train:
        columns.pop(2)
    body = []
    for row in rows:
        cells: list[Cell] = [f"{row['method']}/{row['run_seed']}", row["exam"]]
        if train:
            cells.append(train.get(row["won"]) if row["exam"] == "winner" else None)
        cells.append(row["validation"])
        body.append((*cells, *(row.get(f"test_{m}") for m in measures)))
    note = (
        "winner: the model as the run left it. retrain/SEED: its configuration, trained again as the study file asks."
    )
    return Table(f"{data.name}: train, validation and test of every winner", tuple(columns), tuple(body), note)


def _train_values(data: StudyData) -> dict[tuple[str, int], float]:
    """Returns the training metric of each incumbent at its best epoch, if it was recorded."""
    name = str(data.definition["metric"]).removeprefix("val_")
    if name not in data.epochs.schema.names:
        return {}
    best = {(run["incumbent_trial"], run["incumbent_epoch"]) for run in data.runs.to_pylist()}
    rows = data.epochs.select(["trial", "epoch", name]).to_pylist()
    return {cell: row[name] for row in rows if (cell := (row["trial"], row["epoch"])) in best}


def _selection(data: StudyData, rows: Sequence[Mapping[str, Any]], looks: Looks) -> Figures | None:
    column, pairs = _tested_as(data), dict[str, list[tuple[float, float]]]()
    for row in rows:
        if row["exam"] == "winner" and row.get(column) is not None and row["validation"] is not None:
            pairs.setdefault(row["method"], []).append((row["validation"], row[column]))
    if not pairs:
        return None
    figure = plots.selection(pairs, looks, metric=data.definition["metric"].removeprefix("val_"))
    caption = "Each winner's validation and test values; on the dashed line they are equal."
    return Figures([picture(figure, "selection", "Validation against test of every winner", caption)], "small")


# -- confusion ----------------------------------------------------------------------------------------------------


def _confusion(method: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Returns the method's confusion matrix, summed over its winners, or over their retrainings if there are any."""
    kept = [row for row in rows if row["exam"] != "winner"] or list(rows)
    found = [np.array(json.loads(row["confusion"]), dtype=np.int64) for row in kept if row.get("confusion")]
    if not found:
        return Markup("")
    counts = np.sum(found, axis=0)
    names = class_names(rows, len(counts))
    times = f"{len(found)} tests" if len(found) > 1 else "one test"
    shown = _matrix(counts, names) if len(counts) <= SHOWN else table(_worst(counts, names)).html
    folded = Markup("<details><summary>Precision, recall and F1 of every class</summary>{}</details>")
    return Markup("<h3>{}: confusion over {}</h3>{}{}").format(
        method, times, shown, folded.format(table(_classes(counts, names)).html)
    )


def class_names(rows: Sequence[Mapping[str, Any]], count: int) -> list[str]:
    """Returns the classes' names if the exams have them, otherwise their numbers."""
    known = [json.loads(row["classes"]) for row in rows if row.get("classes")]
    fitting = [names for names in known if len(names) == count]
    return [str(name) for name in fitting[0]] if fitting else [str(i) for i in range(count)]


def _matrix(counts: Counts, names: Sequence[str]) -> Markup:
    """Renders true classes as rows and predicted ones as columns; a cell's shade is its share of the row."""
    total = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(total, 1)
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in names)
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            name,
            Markup("").join(
                Markup('<td style="--share:{:.2f}">{}</td>').format(float(share), int(n))
                for n, share in zip(counts[i], shares[i], strict=True)
            ),
        )
        for i, name in enumerate(names)
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix"><table class="matrix">'
        '<thead><tr><th scope="col">true \\ predicted</th>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(head, body)


def _worst(counts: Counts, names: Sequence[str], most: int = 15) -> Table:
    """Returns the most frequent confusions, for matrices too large to read."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:most]
    rows = []
    for flat in order:
        i, j = divmod(int(flat), len(names))
        if wrong[i, j]:
            rows.append((names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / counts[i].sum())))
    columns = (
        Column("true class", "true", "text"), Column("predicted", "predicted", "text"),
        Column("times", "count", "count"), Column("of the class", "share", "percent"),
    )  # fmt: skip
    return Table(f"The {len(rows)} most frequent confusions of {len(names)} classes", columns, tuple(rows))


def _classes(counts: Counts, names: Sequence[str]) -> Table:
    """Returns precision, recall and F1 of every class."""
    right = np.diag(counts)
    rows = []
    for i, name in enumerate(names):
        precision, recall = _share(right[i], counts[:, i].sum()), _share(right[i], counts[i].sum())
        f1 = None if precision is None or recall is None else _share(2 * precision * recall, precision + recall) or 0.0
        rows.append((name, int(counts[i].sum()), precision, recall, f1))
    columns = (
        Column("class", "class", "text"), Column("images", "support", "count"), Column("precision", "precision"),
        Column("recall", "recall"), Column("F1", "f1"),
    )  # fmt: skip
    return Table(
        "Every class", columns, tuple(rows), "A dash: the class was never predicted or is not in the test set."
    )


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
