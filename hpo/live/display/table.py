"""The table of the methods: as many columns, and as long bars, as the width has room for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text

from hpo.live.display.moment import Moment, Tally
from hpo.live.display.words import amount, clipped, measured

EVERY = ("method", "done", "charged", "best", "mean", "running", "paused", "failed")
SOME = ("method", "done", "charged", "best", "mean", "failed")
PLANS: tuple[tuple[tuple[str, ...], tuple[int, ...], bool], ...] = (  # columns, bars, whether the metric is named
    (EVERY, (40, 24, 16, 10), True),
    (SOME, (24, 16, 10), True),
    (SOME, (16, 10, 6), False),
    (("method", "charged", "best", "mean"), (10, 6), False),
    (("method", "charged", "best"), (10, 6, 0), False),
)
USUAL = {name: "0.0000" if name in ("best", "mean") else "" for name in EVERY}
GAP = 2
LEAST_NAME = 8  # of a method whose name must be cut


def bar_of(share: float, width: int, ascii_only: bool = False, *, over: bool = False) -> Text:
    """Returns a bar of `width` cells, whole only where the share is; green where all is `over`."""
    done = width if share >= 1 else min(width - 1, int(share * width))
    full, empty = "#." if ascii_only else "━┄"
    return Text.assemble((full * done, "green" if over or share >= 1 else "cyan"), (empty * (width - done), "dim"))


def table(moment: Moment, width: int, ascii_only: bool = False) -> list[Text]:
    """Returns the table's lines: its titles, and one of each method."""
    charges = _charges(moment.tallies)
    rows = [_cells(tally, charge) for tally, charge in zip(moment.tallies, charges, strict=True)]
    columns, bar, titles, widths = _fitting(moment, rows, width)
    lines = [_line([Text(titles[name], "dim") for name in columns], columns, widths)]
    for tally, cells in zip(moment.tallies, rows, strict=True):
        drawn = [Text(clipped(cells[name], widths[name])) for name in columns]
        if bar:
            share = tally.charged / tally.budget if tally.budget else 1.0
            at = columns.index("charged")
            drawn[at] = Text.assemble(
                bar_of(share, bar, ascii_only, over=tally.over == tally.runs), " " * GAP, drawn[at]
            )
        lines.append(_line(drawn, columns, widths))
    return lines


def _charges(tallies: Sequence[Tally]) -> list[str]:
    """Returns what each method was charged of its budget, below each other."""
    budgets = [amount(tally.budget) for tally in tallies]
    wide = max(map(len, budgets), default=0)  # of both numbers, so that nothing moves while they grow
    return [f"{amount(t.charged):>{wide}} of {budget:>{wide}}" for t, budget in zip(tallies, budgets, strict=True)]


def _cells(tally: Tally, charge: str) -> dict[str, str]:
    counts = {"running": tally.running, "paused": tally.paused, "failed": tally.failed}
    return {
        "method": tally.method,
        "done": f"{tally.over}/{tally.runs}",
        "charged": charge,
        "best": measured(tally.best),
        "mean": measured(tally.mean),
        **{name: f"{count:,}" if count else "-" for name, count in counts.items()},
    }


def _fitting(
    moment: Moment, rows: Sequence[Mapping[str, str]], width: int
) -> tuple[list[str], int, dict[str, str], dict[str, int]]:
    """Returns the columns, the length of the bars, the titles and the widths of the first plan that fits."""
    several = any(tally.runs > 1 for tally in moment.tallies)
    for names, bar, named in ((columns, bar, named) for columns, bars, named in PLANS for bar in bars):
        columns = [name for name in names if several or name not in ("done", "mean")]
        best = f"best {moment.metric}" if named else "best"
        titles = {name: name for name in EVERY} | {"charged": f"{moment.unit} charged", "best": best}
        widths = {name: max(cell_len(cells[name]) for cells in [titles, USUAL, *rows]) for name in columns}
        if bar:
            charge = max(cell_len(cells["charged"]) for cells in rows)
            widths["charged"] = max(cell_len(titles["charged"]), bar + GAP + charge)
        over = sum(widths.values()) + GAP * (len(columns) - 1) - width
        if over <= 0:
            break
    else:
        widths["method"] = max(LEAST_NAME, widths["method"] - over)
    return columns, bar, titles, widths


def _line(cells: Sequence[Text], columns: Sequence[str], widths: Mapping[str, int]) -> Text:
    """Returns cells side by side: words on the left of their columns, numbers on the right."""
    line = Text()
    for name, cell in zip(columns, cells, strict=True):
        space = " " * (widths[name] - cell.cell_len)
        line.append(" " * GAP if line else "")
        line.append_text(Text.assemble(cell, space) if name in ("method", "charged") else Text.assemble(space, cell))
    line.rstrip()
    return line
