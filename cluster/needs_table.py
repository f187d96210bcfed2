"""What trials need beside what the nodes have, as a table: one row a node, or one a kind of node where there are many. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from cluster.shortage import GIB, accelerators, custom

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table
    from rich.text import Text

    from cluster.needs import Needs, Node, Report

GAP = 2
FOLD = 8  # from more nodes on, those that differ in nothing share a row

Cells = dict[str, str]
_WORDS = ("", "accelerator", "packages", "data", "store")


def rows(report: Report) -> list[Cells]:
    """Returns the table's rows, column -> text: what a trial needs, then the nodes."""
    return [_needed(report.needs), *(_folded(report) if len(report.nodes) > FOLD else _each(report))]


def lines(report: Report, width: int) -> list[Table | Text]:
    """Returns the rows for a console of `width` cells: below each other as many tables as it takes to cut no cell.

    Leaves out columns in which nothing is asked and nothing found. Data and store are told at the end: a path would take the
    room of all columns.
    """
    from rich.text import Text

    cells = rows(report)
    columns = [name for name in cells[0] if any(row[name] != "-" for row in cells)]
    wide = {name: max(len(text) for text in [name, *(row[name] for row in cells)]) for name in columns}
    blocks: list[list[str]] = []
    for name in columns[1:]:
        if not blocks or sum(GAP + wide[other] for other in [*blocks[-1], name]) > width + GAP:
            blocks.append(columns[:1])
        blocks[-1].append(name)
    tables = [_table(cells, block, report.needs) for block in blocks]
    return [Text(_title(report), "italic"), *tables, *map(Text, _places(report.needs))]


def _table(cells: Sequence[Cells], columns: Sequence[str], needs: Needs) -> Table:
    from rich.table import Table

    shown = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for name in columns:
        justify: JustifyMethod = "left" if name in _WORDS or name in needs.request.labels else "right"
        shown.add_column(name, justify=justify, no_wrap=True)
    for row in cells:
        shown.add_row(*(row[name] for name in columns))
    return shown


def _places(needs: Needs) -> list[str]:
    return [f"{name}: {place}" for name, place in (("data", needs.data_root), ("store", needs.store)) if place]


def _title(report: Report) -> str:
    room, free = report.room, report.free
    trials = f"{room} trial" if room == 1 else f"{room} trials"
    return f"needs and nodes: room for {trials}" + (f", {free} of them now" if free < room else "")


def _needed(needs: Needs) -> Cells:
    request = needs.request
    need = request.total
    return {
        "": "a trial needs", "trials": "1", "free now": "-", "CPU": f"{need.get('CPU', 0):g}",
        "GPU": f"{need.get('GPU', 0):g}", "accelerator": accelerators(need) or "-", "memory": _gib(need.get("memory", 0)),
        **{name: f"{amount:g}" for name, amount in custom(need).items()}, **request.labels,
        "GPU memory": _gib(needs.gpu_memory), "packages": f"{len(needs.packages)} pinned",
        "data": "readable" if needs.data_root else "-", "store": "writable" if needs.store else "-",
        "clock": f"±{needs.clock_skew:g} s",
    }  # fmt: skip


def _each(report: Report) -> list[Cells]:
    return [_row(node, report.needs) for node in report.nodes]


def _row(node: Node, needs: Needs) -> Cells:
    has = node.resources.total
    return {
        "": f"{node.name} (driver)" if node.driver else node.name, "trials": str(node.room(needs)),
        "free now": str(node.free(needs)), "CPU": f"{has.get('CPU', 0):g}", "GPU": f"{has.get('GPU', 0):g}",
        "accelerator": accelerators(has) or "-", "memory": _gib(has.get("memory", 0)),
        **{name: f"{has.get(name, 0):g}" for name in custom(needs.request.total)},
        **{key: node.resources.labels.get(key, "-") for key in needs.request.labels},
        **_seen(node, needs),
    }  # fmt: skip


def _seen(node: Node, needs: Needs) -> Cells:
    """Returns the cells of what the node answered."""
    if node.answer is None:
        return {"GPU memory": "-", "packages": "no answer", "data": "-", "store": "-", "clock": "-"}
    versions = len(list(node.version_complaints(needs)))
    return {
        "GPU memory": _gib(node.gpu_share(needs)),
        "packages": "same as driver's" if not versions else f"{versions} differ",
        "data": "-" if needs.data_root is None else "readable" if not node.answer["data_root"] else "NOT readable",
        "store": "-" if needs.store is None else "writable" if not node.answer["store"] else "NOT writable",
        "clock": f"{node.skew:+.1f} s",
    }


def _folded(report: Report) -> list[Cells]:
    """Returns a row for each kind of node: its trials are added up, its clock is the one that differs most."""

    def kind(node: Node) -> tuple[str, ...]:
        row = _row(node, report.needs)
        memory = f"{node.resources.total.get('memory', 0) / GIB:.0f}"  # machines of one type differ by some MB
        return (memory, *(text for name, text in row.items() if name not in ("", "free now", "memory", "clock")))

    alike = groupby(sorted(report.nodes, key=lambda node: (kind(node), node.name)), key=kind)
    kinds = [list(group) for _, group in alike]
    kinds.sort(key=lambda group: -len(group) * group[0].room(report.needs))
    return [_together(group, report.needs) for group in kinds]


def _together(nodes: Sequence[Node], needs: Needs) -> Cells:
    row = _row(nodes[0], needs)
    if len(nodes) == 1:
        return row
    far = max(nodes, key=lambda node: abs(node.skew))
    driver = "; driver" if any(node.driver for node in nodes) else ""
    return {
        **row,
        "": f"{len(nodes)} nodes ({nodes[0].name} ... {nodes[-1].name}{driver})",
        "trials": f"{sum(node.room(needs) for node in nodes)} ({row['trials']} each)",
        "free now": str(sum(node.free(needs) for node in nodes)),
        "clock": _row(far, needs)["clock"],
    }


def _gib(count: float) -> str:
    return f"{count / GIB:.1f} GiB" if count else "-"
