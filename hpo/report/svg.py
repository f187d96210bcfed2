"""Turns a matplotlib figure into an inline SVG that follows the page's colours, font and width. No I/O.

The figure's light colours become CSS variables (see palette), its text stays text, a prefix keeps its ids unique on
the page, and named artists get a <title>, which browsers show as a tooltip and screen readers read out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hpo.report.canvas import salted
from hpo.report.palette import TINTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VARIABLES = {tint.light: tint.css for tint in TINTS}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")  # nobody sees less than a tenth of a pixel
_FONT_FAMILY = re.compile(r"(?:'[^']*'|[A-Za-z][\w -]*)(?:, (?:'[^']*'|[A-Za-z][\w -]*))+")
_REFERENCE = re.compile(r"url\(#")


def inline(figure: Figure, name: str, title: str, tooltips: Mapping[str, str] | None = None) -> str:
    """Returns the figure as an <svg> element for an HTML page.

    `name`: unique on the page, the prefix of every id. `title`: what the picture shows, for readers who cannot see it.
    `tooltips`: an artist's gid -> its tooltip.
    """
    root = ElementTree.fromstring(_svg(figure))
    _strip(root)
    _theme(root, name)
    for artist, text in (tooltips or {}).items():
        for element in root.iter():
            if element.get("id") == f"{name}-{artist}":
                tooltip = ElementTree.Element("title")
                tooltip.text = text
                element.insert(0, tooltip)
    _head(root, name, title)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with salted(**{"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _strip(root: ElementTree.Element) -> None:
    """Removes namespaces, metadata and matplotlib's style sheet: HTML uses plain names, and the page has its own style."""
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
        for key in [key for key in element.attrib if key.startswith("{")]:
            element.set(key.rsplit("}", 1)[-1], element.attrib.pop(key))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style"):
                parent.remove(child)


def _theme(root: ElementTree.Element, name: str) -> None:
    for element in root.iter():
        for key, value in element.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == "href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif key == "style":
                element.set(key, _themed_style(value, name))
            elif key == "clip-path":
                element.set(key, _REFERENCE.sub(f"url(#{name}-", value))
            elif key in ("d", "x", "y", "width", "height", "transform"):
                element.set(key, _LONG_NUMBER.sub(_short, value))


def _themed_style(style: str, name: str) -> str:
    style = _COLOUR.sub(lambda match: _VARIABLES.get(match.group().lower(), match.group()), style)
    style = _REFERENCE.sub(f"url(#{name}-", style)
    if "font" in style:
        style = _FONT_FAMILY.sub("var(--font)", style)
    return style


def _short(match: re.Match[str]) -> str:
    return f"{float(match.group()):.1f}".removesuffix(".0")


def _head(root: ElementTree.Element, name: str, title: str) -> None:
    """Sets size, name and role. Width and height keep the page from jumping; CSS lets the picture shrink."""
    _, _, width, height = (float(part) for part in root.get("viewBox", "0 0 1 1").split())
    for key in [key for key in root.attrib if key.startswith("xmlns") or key == "version"]:
        del root.attrib[key]
    root.set("width", f"{width:g}")
    root.set("height", f"{height:g}")
    root.set("class", "figure")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    label = ElementTree.Element("title", {"id": f"{name}-title"})
    label.text = title
    root.insert(0, label)
