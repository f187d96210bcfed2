"""The pages' shells and their built files, as they are sent. Knows no study and no store; reads only this package."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from hpo.report import palette

HEADERS = {"Cache-Control": "no-store"}  # beside those that every answer gets, the policy among them
THEME = "hpo_theme"  # the cookie with a reader's choice: the first byte has it, so that no page flashes
KINDS = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "txt": "text/plain"}
_FOLDER = resources.files("hpo.service") / "pages"
_BUILT = _FOLDER / "built"


@dataclass(frozen=True)
class Asset:
    """A built file: its content as it is and compressed, and its media type."""

    content: bytes
    compressed: bytes
    media: str


def shell(
    request: Request, name: str, *, title: str, status: int = 200, framed: bool = True, **values: Any
) -> HTMLResponse:
    """Returns a page that holds `values` as text and asks the API for all else.

    name: of the template in pages/shells, and of the script where one is built. framed: with navigation and the reader's
    name, which need a reader who is logged in.
    """
    root = root_of(request)
    theme = request.cookies.get(THEME)
    frame = {
        "root": root,
        "title": title,
        "theme": theme if theme in ("light", "dark") else None,
        "assets": f"{root}/assets/{version()}",
        "script": f"{name}.js" if name in _manifest()["pages"] else None,
        "parts": _manifest()["pages"].get(name, ()),
        "here": name,
        "framed": framed,
    }
    body = _template(name).render(**values, title=title, root=root)
    return HTMLResponse(_template("frame").render(**frame, body=Markup(body)), status, HEADERS)


def root_of(request: Request) -> str:
    """Returns the path at which a proxy shows the service; empty without one."""
    return str(request.scope.get("root_path", "")).rstrip("/")


@cache
def version() -> str:
    """Returns a digest of all built files: it is part of their addresses, so that browsers may keep them for good."""
    digest = hashlib.sha256()
    for name, made in sorted(assets().items()):
        digest.update(name.encode() + b"\0" + made.content + b"\0")
    return digest.hexdigest()[:16]


@cache
def assets() -> dict[str, Asset]:
    """Returns the built files by name; theme.css begins with the palette's colours."""
    found = {}
    for file in _BUILT.iterdir():
        media = KINDS.get(file.name.rpartition(".")[2])
        if media is not None:
            content = (colours().encode() if file.name == "theme.css" else b"") + file.read_bytes()
            found[file.name] = Asset(content, gzip.compress(content, mtime=0), media)
    return found


def colours() -> str:
    """Returns the palette as CSS variables: light, dark, or as the system has it where a reader chose neither;
    light on paper."""
    light = "color-scheme:light;" + "".join(f"--{tint.name}:{tint.light};" for tint in palette.TINTS)
    dark = "color-scheme:dark;" + "".join(f"--{tint.name}:{tint.dark};" for tint in palette.TINTS)
    system = f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
    return f":root{{{light}}}\n@media screen{{:root[data-theme=dark]{{{dark}}}}}\n{system}\n"


@cache
def _manifest() -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((_BUILT / "manifest.json").read_text(encoding="utf-8"))
    return manifest


@cache
def _environment() -> Environment:
    def source(name: str) -> str:
        return (_FOLDER / "shells" / f"{name}.html.j2").read_text(encoding="utf-8")

    return Environment(autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(source))


def _template(name: str) -> Any:
    return _environment().get_template(name)
