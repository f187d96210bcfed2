"""The parts of a report page: sections of text, figures and tables, which the template writes in order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from markupsafe import Markup

from hpo.report import svg, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure


NO_HTML = Markup("")


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Command:
    """Text to type exactly as shown."""

    text: str
    kind: ClassVar[str] = "command"


@dataclass(frozen=True)
class Picture:
    """An inline SVG, a title for readers who cannot see it, and a caption on how to read it."""

    svg: Markup
    title: str
    caption: str


@dataclass(frozen=True)
class Figures:
    """Pictures side by side if there is room; `wide` ones scroll on narrow screens."""

    figures: Sequence[Picture]
    size: Literal["", "small", "wide"] = ""
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Html:
    """A table or another ready piece of HTML."""

    html: Markup
    kind: ClassVar[str] = "html"


@dataclass(frozen=True)
class Grid:
    """Pieces of HTML side by side if there is room."""

    cells: Sequence[Markup]
    kind: ClassVar[str] = "grid"


@dataclass(frozen=True)
class Folded:
    """Parts that open on demand: a piece of HTML, or `parts` of any kind."""

    title: str
    html: Markup = NO_HTML
    parts: Sequence[Part] = ()
    kind: ClassVar[str] = "folded"


LONG = 24  # most rows of a table shown unfolded: a longer one would push the rest out of sight
Part: TypeAlias = "Text | Command | Figures | Html | Grid | Folded"


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading and an anchor."""

    slug: str
    title: str
    parts: Sequence[Part]


def picture(
    figure: Figure, name: str, title: str, caption: str = "", tooltips: Mapping[str, str] | None = None
) -> Picture:
    """Makes a picture of a matplotlib figure; `name` must be unique on the page."""
    return Picture(Markup(svg.inline(figure, name, title, tooltips)), title, caption)


def table(content: tables.Table) -> Html | Folded:
    """Makes a part of a table; a long one opens on demand."""
    return Html(Markup(tables.html(content))) if len(content.rows) <= LONG else folded(content)


def folded(content: tables.Table) -> Folded:
    """Makes a part of a table that opens on demand whatever its length."""
    count = len(content.rows)
    return Folded(f"{content.title} ({count} row{'' if count == 1 else 's'})", Markup(tables.html(content)))
