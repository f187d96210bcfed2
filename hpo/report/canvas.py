"""The canvas of all figures: style, size, legends, saving. Imports matplotlib only when a figure is drawn."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.files import write_whole
from hpo.report.palette import CARD, INK, LINE, MUTED, Look
from hpo.text import cut

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Vector: TypeAlias = NDArray[np.float64]
Looks: TypeAlias = Mapping[str, Look]

WIDTH, HEIGHT = 420, 290  # of one panel, in CSS pixels
LONGEST = 25  # characters of a name in a figure; of a longer one the middle is left out
ROW = 17  # height of a legend's row
_DATED = {"svg": "Date", "pdf": "CreationDate"}  # omitted, so that equal figures make equal files
TEXT, TICKS, LEGEND = 12.0, 11.0, 11.5  # sizes of text, in CSS pixels
WORDS: dict[str, Any] = {"color": INK.light, "size": TEXT}  # of text that a figure writes itself
LINES = 1.9  # width of a line that says nothing else
_SALT = threading.Lock()  # of SVG's ids: matplotlib knows only one for all threads


def panel(width: float = WIDTH, height: float = HEIGHT, arranged: bool = True) -> tuple[Figure, Any]:
    """Returns a figure with one pair of axes; `arranged`: matplotlib's layout engine makes room for labels."""
    from hpo.report.figure import Figure

    size = (width / 72, height / 72)
    figure = Figure(figsize=size, layout="constrained" if arranged else None, facecolor=CARD.light)
    axes = figure.subplots()
    dress(axes)
    return figure, axes


def dress(axes: Any, grid: bool = True) -> None:
    """Gives new axes the report's style: on them alone, since matplotlib's settings are those of every thread."""
    axes.set(facecolor="none", axisbelow=True)
    axes.set_prop_cycle(color=[INK.light], linewidth=[LINES])
    axes.spines[:].set_edgecolor(MUTED.light)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(grid, **({"color": LINE.light, "linewidth": 0.7} if grid else {}))
    axes.tick_params(which="both", color=MUTED.light, labelcolor=INK.light, labelsize=TICKS)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(**WORDS)


def save(figure: Figure, path: str | Path) -> Path:
    """Writes the figure as a picture in the format of the path's suffix (.png, .svg, .pdf), whole or not at all."""
    path, buffer = Path(path), io.BytesIO()
    kind = path.suffix.lstrip(".") or "png"
    with salted():
        figure.savefig(buffer, format=kind, dpi=160, metadata=None if kind == "png" else {_DATED[kind]: None})
    write_whole(path, buffer.getvalue())
    return path


@contextmanager
def salted(**settings: str) -> Iterator[None]:
    """Writes SVG with the same ids each time, and with further settings of matplotlib's, by one thread at a time."""
    import matplotlib

    with _SALT, matplotlib.rc_context({"svg.hashsalt": "hpo-arena", **settings}):
        yield


def text_width(text: str, size: float) -> float:
    """Returns the width of a line of text in CSS pixels. The pages' own font is no wider than matplotlib's."""
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=size).get_extents().width) if text.strip() else 0.0


def method_legend(figure: Figure, drawn: Collection[str], looks: Looks, marks: bool = False) -> None:
    """Adds a legend of the methods in `drawn`, by colour, above the axes; methods in grey share one entry.

    It has as many columns as the figure has room for by the width of its longest name.
    """
    shown = [name for name in looks if name in drawn and looks[name].top]
    others = [name for name in looks if name in drawn and not looks[name].top]
    entries = [_entry(name, looks[name], marks) for name in shown]
    entries += [_entry(others_text(len(others)), looks[others[0]], marks)] if others else []
    if entries:
        columns = _columns([str(entry.get_label()) for entry in entries], 72 * figure.get_figwidth())
        rows = -(-len(entries) // columns)
        figure.set_figheight(figure.get_figheight() + ROW * (rows - 1) / 72)  # the axes keep their height
        figure.legend(handles=entries, loc="outside upper left", ncols=columns, **_LEGEND, **_SPACING)


def others_text(count: int) -> str:
    """Returns what the methods in grey are called together."""
    return "1 other" if count == 1 else f"{count} others"


def _entry(label: str, look: Look, marks: bool) -> Line2D:
    from matplotlib.lines import Line2D

    drawn = {"marker": look.marker, "ls": "", "ms": 6.5, "mew": 0} if marks else {"lw": 2.2}
    return Line2D([], [], color=look.colour, label=cut(label, LONGEST), **drawn)


_LEGEND: dict[str, Any] = {"fontsize": LEGEND, "frameon": False, "labelcolor": INK.light}
_SPACING = {"handlelength": 1.6, "handletextpad": 0.7, "columnspacing": 1.2}  # in units of the font size


def _columns(labels: Sequence[str], room: float) -> int:
    """Returns the most columns, up to four, in which a legend with these labels is no wider than `room` CSS pixels."""
    each = max(text_width(label, LEGEND) for label in labels) + LEGEND * sum(_SPACING.values())
    return max(1, min(len(labels), 4, int(room / each)))
