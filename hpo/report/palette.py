"""One look per method: a colour for light and for dark paper, a dash and a marker. Pure; no matplotlib, no I/O.

The colours differ in lightness as well as in hue, and each has its own dash and marker: no reader needs to distinguish
hues. Pictures use the light colours; HTML pages replace them with the CSS variables that `css` defines, so the same
figure is readable on light and on dark paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Dash: TypeAlias = tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Tint:
    """A colour: the name of its CSS variable, and #rrggbb on light and on dark paper."""

    name: str
    light: str
    dark: str

    @property
    def css(self) -> str:
        return f"var(--{self.name})"

    @property
    def between(self) -> str:
        """#rrggbb for a terminal, whose paper nobody knows: it stands out from light and from dark paper."""
        pairs = [(int(self.light[i : i + 2], 16), int(self.dark[i : i + 2], 16)) for i in (1, 3, 5)]
        return "#" + "".join(f"{round(0.6 * light + 0.4 * dark):02x}" for light, dark in pairs)


PAPER = Tint("paper", "#ffffff", "#14181d")
CARD = Tint("card", "#fdfdfc", "#1b2128")
INK = Tint("ink", "#1b2026", "#e7eaee")
MUTED = Tint("muted", "#5a636e", "#a3adb9")
LINE = Tint("line", "#d5d9de", "#39424d")
ACCENT = Tint("accent", "#2f5d8c", "#86b6e8")
GOOD = Tint("good", "#1d6b3c", "#7fd39b")
BAD = Tint("bad", "#a3262c", "#ff9a94")

METHODS = (
    Tint("method-0", "#0067b1", "#5fb4f2"),
    Tint("method-1", "#b84300", "#ff9e64"),
    Tint("method-2", "#00755c", "#4bd6ab"),
    Tint("method-3", "#9c3f86", "#e6a0d6"),
    Tint("method-4", "#7d5a00", "#e4c04c"),
    Tint("method-5", "#404b57", "#c2cad4"),
    Tint("method-6", "#1f7788", "#86dcec"),
    Tint("method-7", "#ad1746", "#ff86a3"),
)
OTHER = Tint("other", "#9aa2ac", "#66707c")  # the lines of methods beyond the top few; never text
TINTS = (PAPER, CARD, INK, MUTED, LINE, ACCENT, GOOD, BAD, OTHER, *METHODS)

DASHES: tuple[Dash, ...] = ((0, ()), (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
TOP = 6  # methods in colour where there are more than METHODS has colours
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")


@dataclass(frozen=True)
class Look:
    """How a method is drawn, the same in every figure."""

    tint: Tint
    dash: Dash
    marker: str

    @property
    def colour(self) -> str:
        """#rrggbb on light paper; HTML pages find the CSS variable by it."""
        return self.tint.light

    @property
    def top(self) -> bool:
        """Whether the method has a colour of its own; the others of a large study share a grey."""
        return self.tint is not OTHER

    @property
    def text(self) -> str:
        """#rrggbb of the method's name beside its line; the grey of lines is too faint for text."""
        return self.colour if self.top else MUTED.light


def looks(methods: Sequence[str], best: Sequence[str] = ()) -> dict[str, Look]:
    """Returns a look for each method, in the order of `methods`: up to eight have a colour each, by their place.

    Of more, the first TOP of `best` (default: of `methods`) have a colour, and the others are grey.
    """
    names = list(dict.fromkeys(methods))
    few = len(names) <= len(METHODS)
    coloured = names if few else [name for name in dict.fromkeys([*best, *names]) if name in names][:TOP]
    places = {name: i for i, name in enumerate(coloured)}
    return {name: _look(places[name]) if name in places else Look(OTHER, DASHES[0], ".") for name in names}


def _look(place: int) -> Look:
    return Look(METHODS[place], DASHES[place % len(DASHES)], MARKERS[place])


def css() -> str:
    """Returns the style rules that define every colour on light paper, dark paper and in print (always light)."""
    light = "".join(f"--{tint.name}:{tint.light};" for tint in TINTS)
    dark = "".join(f"--{tint.name}:{tint.dark};" for tint in TINTS)
    return (
        f":root{{color-scheme:light dark;{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )


def luminance(colour: str) -> float:
    """Returns the relative luminance of #rrggbb, 0 (black) to 1 (white), as WCAG 2.2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Returns the contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)
