"""MkDocs' hook: takes pages from outside docs/ into the site and turns links between the two into links of the site.

The files stay where they are useful without the site: beside the manifests of deploy/, or at the top of the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs.from_code import notebooks

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]

TAKEN = {
    "deploy/README.md": "how-to/clusters.md",
    "deploy/aws/README.md": "how-to/aws.md",
    "deploy/kuberay/README.md": "how-to/kuberay.md",
    "deploy/slurm/README.md": "how-to/slurm.md",
    "deploy/monitoring/README.md": "how-to/monitoring.md",
    "docker/README.md": "how-to/containers.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""File of the repository -> page of the site."""

LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from outside docs/, the gallery's files, and the notebooks: with what their cells show, if they were run.

    Raises FileNotFoundError if a page is missing.
    """
    from mkdocs.structure.files import File

    for made in sorted((ROOT / "build" / "gallery").glob("*.*")):
        files.append(File.generated(config, f"gallery/{made.name}", abs_src_path=str(made)))
    for source, page in TAKEN.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=moved(text, source)))
    for notebook in notebooks.sources():
        ran = ROOT / "build" / "notebooks" / notebook.name
        text, pictures = notebooks.page(ran if ran.exists() else notebook)
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=text))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turns links of pages in docs/ to files outside into links of the site."""
    place = page.file.src_uri
    return markdown if place in TAKEN.values() else moved(markdown, posixpath.join("docs", place))


def moved(text: str, source: str) -> str:
    """Returns the text of the repository's file `source` with its links as its page needs them.

    A link to a file that is no page of the site becomes its name, as code: the site holds pages only.
    """
    here = _page(source) or source

    def link(found: re.Match[str]) -> str:
        head, target, anchor, tail = found[1], found[2], found[3] or "", found[4]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        named = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page = _page(named)
        if page is None:
            return found[0] if head.startswith("!") else f"{head[1:-2]} (`{named}`)"
        return f"{head}{posixpath.relpath(page, posixpath.dirname(here) or '.')}{anchor}{tail}"

    return LINK.sub(link, text)


def _page(named: str) -> str | None:
    """Returns the site's page or picture of a file of the repository; None if it has none."""
    inside = named.removeprefix("docs/")
    if inside != named and named.endswith(".ipynb"):
        return inside.removesuffix(".ipynb") + ".md"
    return TAKEN.get(named, inside if inside != named and not inside.startswith("from_code/") else None)
