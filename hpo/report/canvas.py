"""The canvas of all figures: style, size, legends, saving. Imports matplotlib only when a figure is drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hpo.files import write_whole
from hpo.report.palette import CARD, INK, LINE, MUTED, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Vector: TypeAlias = NDArray[np.float64]
Looks: TypeAlias = Mapping[str, Look]

WIDTH, HEIGHT = 420, 290  # of one panel, in CSS pixels
_DATED = {"svg": "Date", "pdf": "CreationDate"}  # omitted, so that equal figures make equal files
_STYLE = {
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED.light,
    "axes.labelcolor": INK.light,
    "text.color": INK.light,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.labelcolor": INK.light,
    "ytick.labelcolor": INK.light,
    "axes.grid": True,
    "grid.color": LINE.light,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "figure.facecolor": CARD.light,
    "axes.facecolor": "none",
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "lines.linewidth": 1.9,
}


@contextmanager
def style() -> Iterator[None]:
    """Draws with the report's style for as long as the block lasts."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def panel(width: float = WIDTH, height: float = HEIGHT, arranged: bool = True) -> tuple[Figure, Any]:
    """Returns a figure with one pair of axes; `arranged`: matplotlib's layout engine makes room for labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), layout="constrained" if arranged else None)
    return figure, figure.subplots()


def save(figure: Figure, path: str | Path) -> Path:
    """Writes the figure as a picture in the format of the path's suffix (.png, .svg, .pdf), whole or not at all."""
    import matplotlib

    path, buffer = Path(path), io.BytesIO()
    kind = path.suffix.lstrip(".") or "png"
    with matplotlib.rc_context({"svg.hashsalt": "hpo-arena"}):
        figure.savefig(buffer, format=kind, dpi=160, metadata=None if kind == "png" else {_DATED[kind]: None})
    write_whole(path, buffer.getvalue())
    return path


def legend(axes: Axes, entries: int) -> None:
    """Adds a legend of the labelled artists above the axes, unless there are none."""
    if entries:
        axes.figure.legend(loc="outside upper left", ncols=min(entries, 4), handlelength=2.2, columnspacing=1.2)


def method_legend(axes: Axes, drawn: set[str], looks: Looks) -> None:
    """Adds a legend of the methods in `drawn`, by colour, above the axes."""
    from matplotlib.lines import Line2D

    shown = [name for name in looks if name in drawn]
    handles = [Line2D([], [], color=looks[name].colour, label=name, lw=2.2) for name in shown]
    axes.figure.legend(handles=handles, loc="outside upper left", ncols=min(len(shown) or 1, 4), handlelength=1.6)
