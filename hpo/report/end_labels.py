"""Names at the ends of lines, to the right of the axes, none upon another. Draws; no I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.report.canvas import Looks, text_width
from hpo.text import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = 11.0  # of a name, in CSS pixels
APART = 14.0  # from one name to the next
LONGEST = 17  # characters of a name; of a longer one the middle is left out
LEADER = 16.0  # from the axes to the names
EDGES = 60.0  # height that a figure's title, ticks and axis label take


def room(names: Sequence[str]) -> float:
    """Returns the width that the names need beside the axes, in CSS pixels."""
    return LEADER + max((text_width(cut(name, LONGEST), SIZE) for name in names), default=0.0)


def draw(figure: Figure, axes: Axes, ends: Mapping[str, tuple[float, float]], looks: Looks) -> None:
    """Writes each method's name beside the end (x, y) of its line, as near to it as the others' names allow.

    The axes must have their final limits.
    """
    low, high = axes.get_ylim()
    known = {name: (x, min(max(y, low), high)) for name, (x, y) in ends.items() if math.isfinite(y)}
    height = 72 * figure.get_figheight() - EDGES
    shares = [(y - low) / (high - low) for _, y in known.values()]
    for (name, (x, y)), place in zip(known.items(), spread(shares, APART / height), strict=True):
        axes.annotate(
            cut(name, LONGEST), (x, y), (1 + 0.75 * LEADER / (72 * figure.get_figwidth()), place),
            textcoords="axes fraction", size=SIZE, va="center", color=looks[name].text, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": looks[name].colour, "lw": 0.7, "alpha": 0.6, "shrinkA": 1, "shrinkB": 0},
        )  # fmt: skip


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Returns places at least `apart` from each other, in the same order, as near to `places` as a few moves bring them.

    They stay between 0 and 1 where there is room for all of them.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[int]] = [[i] for i in order]
    middles = [places[i] for i in order]
    k = 1
    while k < len(groups):  # neighbours that are too close become one group, spread evenly around its middle
        need = apart * (len(groups[k - 1]) + len(groups[k])) / 2
        if middles[k] - middles[k - 1] >= need - 1e-12:
            k += 1
            continue
        a, b = len(groups[k - 1]), len(groups[k])
        middles[k - 1 : k + 1] = [_inside((a * middles[k - 1] + b * middles[k]) / (a + b), apart * (a + b - 1))]
        groups[k - 1 : k + 1] = [groups[k - 1] + groups[k]]
        k = max(1, k - 1)
    found = list(places)
    for group, middle in zip(groups, middles, strict=True):
        for j, i in enumerate(group):
            found[i] = middle + apart * (j - (len(group) - 1) / 2)
    return found


def _inside(middle: float, width: float) -> float:
    """Returns the middle of a group of this width moved between 0 and 1, if it fits."""
    return min(max(middle, width / 2), 1 - width / 2) if width <= 1 else 0.5
