"""Where study files come from: a path, or a preset of the package. Reads the names of files; writes nothing."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from hpo.errors import StudyError
from hpo.text import nearest, shown


def presets() -> dict[str, Path]:
    """Returns the study files that come with the package, by name."""
    folder = Path(str(resources.files("hpo.study"))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(source: str | Path) -> tuple[Path, Path]:
    """Returns a study's file and the folder where its relative paths start: the file's, for a preset the working folder."""
    path = Path(source)
    known = presets()
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path, path.parent
    if str(source) in known:
        return known[str(source)], Path()
    raise StudyError(f"STUDY must be a file or a preset, but got {shown(str(source))}; {nearest(str(source), known)}")
