"""Rich display: pieces of HTML with their own small style, readable on light and on dark pages. Pure.

A notebook shows many of them on one page of its own, so that every rule is bound to a class of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hpo.report import tables
from hpo.report.tables import Table

_STYLE = """<style>
.hpo-box{font-size:13px;line-height:1.45;color:inherit;max-width:100%}
.hpo-box h4{margin:0 0 .4em;font-size:15px}
.hpo-box .hpo-said{border-left:3px solid #4c8fd6;padding:.2em .8em;margin:.4em 0;max-width:75ch}
.hpo-box .scroll{overflow-x:auto;margin:.6em 0}
.hpo-box table{border-collapse:collapse;font-variant-numeric:tabular-nums;background:transparent}
.hpo-box caption{text-align:left;font-weight:600;caption-side:top;color:inherit;padding:0 0 .3em}
.hpo-box th,.hpo-box td{padding:3px 12px 3px 0;text-align:left;border:0;border-bottom:1px solid rgba(128,128,128,.35);
background:transparent;color:inherit}
.hpo-box .number{text-align:right;white-space:nowrap}
.hpo-box tr.strong{background:rgba(76,143,214,.16)}
.hpo-box .note{opacity:.75;font-size:12px;max-width:90ch;margin:.3em 0}
.hpo-box .hpo-fixed td{white-space:pre-wrap;vertical-align:top}
.hpo-box progress{width:14em;vertical-align:middle}
</style>"""


def box(*parts: str, title: str = "") -> str:
    """Returns the parts, pieces of HTML, as one piece under a title, which is text."""
    head = f"<h4>{escape(title)}</h4>" if title else ""
    return f'{_STYLE}<div class="hpo-box">{head}{"".join(parts)}</div>'


def said(sentence: str) -> str:
    """Returns a leading sentence."""
    return f'<p class="hpo-said">{escape(sentence)}</p>'


def shown(found: Iterable[Table]) -> str:
    """Returns tables."""
    return "".join(tables.html(table) for table in found)


def definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Returns names with their texts."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows)
    return f'<div class="scroll"><table class="hpo-fixed"><tbody>{body}</tbody></table></div>'
