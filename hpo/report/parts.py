"""What a report page is made of: sections of parts, which the template writes in order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from markupsafe import Markup

from hpo.report import svg, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Command:
    """Text to be typed, as it stands."""

    text: str
    kind: ClassVar[str] = "command"


@dataclass(frozen=True)
class Picture:
    """An inline SVG, its name for those who do not see it, and a caption that says how to read it."""

    svg: Markup
    title: str
    caption: str


@dataclass(frozen=True)
class Figures:
    """Pictures side by side where there is room; `wide` ones scroll on narrow screens."""

    figures: Sequence[Picture]
    size: Literal["", "small", "wide"] = ""
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Html:
    """A table, or another piece that is HTML already."""

    html: Markup
    kind: ClassVar[str] = "html"


@dataclass(frozen=True)
class Grid:
    """Pieces of HTML side by side where there is room."""

    cells: Sequence[Markup]
    kind: ClassVar[str] = "grid"


@dataclass(frozen=True)
class Folded:
    """A piece that opens on demand."""

    title: str
    html: Markup
    kind: ClassVar[str] = "folded"


LONG = 24  # rows: a longer table would push what follows out of sight
Part: TypeAlias = Text | Command | Figures | Html | Grid | Folded


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading and an anchor."""

    slug: str
    title: str
    parts: Sequence[Part]


def picture(
    figure: Figure, name: str, title: str, caption: str = "", tooltips: Mapping[str, str] | None = None
) -> Picture:
    """A matplotlib figure as a picture of the page; `name` is unique in it."""
    return Picture(Markup(svg.inline(figure, name, title, tooltips)), title, caption)


def table(content: tables.Table) -> Html | Folded:
    """A table as part of the page; a long one opens on demand."""
    html = Markup(tables.html(content))
    return Html(html) if len(content.rows) <= LONG else Folded(f"{content.title} ({len(content.rows)} rows)", html)
