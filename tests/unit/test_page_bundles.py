"""The pages' bundles: made from the sources that lie beside them, small, self-contained, with their licences."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "hpo" / "service" / "pages"
BUILT = FOLDER / "built"
MEGABYTE = 1_000_000


def digest() -> str:
    """The digest of what the bundles are made from, as build.mjs computes it."""
    beside = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json"]
    sources = [path for path in (FOLDER / "src").rglob("*") if path.suffix in (".ts", ".css", ".svg")]
    found = hashlib.sha256()
    for name in [*beside, *sorted(path.relative_to(FOLDER).as_posix() for path in sources)]:
        found.update(name.encode() + b"\0" + (FOLDER / name).read_bytes() + b"\0")
    return found.hexdigest()


def test_the_bundles_are_made_from_these_sources():
    built = json.loads((BUILT / "manifest.json").read_text())["digest"]
    assert built == digest(), "the pages' sources have changed since `make pages`: run it, and commit built/"


def test_all_bundles_together_are_under_a_megabyte_compressed():
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in BUILT.iterdir() if path.suffix != ".txt"}
    assert sum(sizes.values()) < MEGABYTE, sizes


def test_the_page_of_studies_loads_no_chart_library_and_no_editor():
    pages = json.loads((BUILT / "manifest.json").read_text())["pages"]
    size = sum(len(gzip.compress((BUILT / name).read_bytes())) for name in ["studies.js", *pages["studies"]])
    assert size < 40_000


def test_every_page_has_its_script_and_the_parts_that_it_imports():
    for page, parts in json.loads((BUILT / "manifest.json").read_text())["pages"].items():
        assert all((BUILT / name).is_file() for name in [f"{page}.js", *parts])


def test_every_bundled_library_has_its_licence_beside_the_bundles():
    text = (BUILT / "LICENSES.txt").read_text()
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    for name, version in wanted.items():
        assert f"\n{name} {version} (" in text
    assert "Apache Software Foundation" in text  # the notice that goes with ECharts


def test_bundles_run_without_eval_and_ask_no_other_host():
    for path in BUILT.glob("*.js"):
        text = path.read_text()
        assert "sourceMappingURL" not in text
        assert not re.search(r"(?<![\w.$])eval\(|import\(['\"]https?:|fetch\(['\"]https?:", text), path.name


def test_versions_are_exact_and_the_lock_names_no_registry():
    package = json.loads((FOLDER / "package.json").read_text())
    for version in (package["dependencies"] | package["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
