"""Reports of a study: a self-contained HTML page, tables in five formats, pictures. Reads tables, writes only these files.

Imports matplotlib and jinja2 only when something is drawn or written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.report.comparison_section import save_picture
    from hpo.report.html import write_html, write_tasks

__all__ = ["save_picture", "write_html", "write_tasks"]


def __getattr__(name: str) -> Any:
    if name in ("write_html", "write_tasks"):
        from hpo.report import html

        return getattr(html, name)
    if name == "save_picture":
        from hpo.report.comparison_section import save_picture

        return save_picture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
