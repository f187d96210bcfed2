"""Shared by the checks on a GPU: their marker, rows for gpu.py as soon as a check ends, measurements, images, weights."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
ROWS = "HPO_GPU_ROWS"  # the file that gets a JSON line for each result
CLASSES = ("circle", "cross", "square", "triangle")
COUNTS = {"train": 12, "validation": 6, "test": 6}  # made images of each class
PIXELS = 160


# -- rows for gpu.py ----------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get(ROWS) and not hasattr(config, "workerinput"):  # xdist's workers report to the controller
        config.pluginmanager.register(_Rows(Path(os.environ[ROWS]), os.environ.get("HPO_GPU_PART", "tests")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            item.add_marker("gpu")


class _Rows:
    """Appends what becomes of each check at once: a part that is killed keeps what it had."""

    def __init__(self, path: Path, part: str) -> None:
        self._path, self._part = path, part

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._write(nodeid, began=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed or (report.skipped and report.when == "setup"):
            ok = None if report.skipped else not report.failed
            seconds = None if report.skipped else round(report.duration, 2)
            self._write(report.nodeid, ok=ok, value=seconds, unit="s", detail=_detail(report))
        for name, row in report.user_properties if report.when == "call" else ():
            if name == "measured":
                self._write(**row)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(f"collecting {report.nodeid}", ok=False, detail=report.longreprtext[-2000:])

    def _write(self, what: str, **row: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({"part": self._part, "what": what.partition("::")[2] or what, **row}) + "\n")


def _detail(report: pytest.TestReport) -> str:
    """Returns the reason of a failure, then its traceback's end; why a check was not run; "" for one that passed."""
    if report.passed:
        return ""
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    reason = f"{crash.message}\n" if crash is not None else ""
    return f"{reason[:2000]}{report.longreprtext[-4000:]}"


# -- for the checks -----------------------------------------------------------------------------------------------

Measured = Callable[..., None]


@pytest.fixture(autouse=True)
def card(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Shares the GPU with the checks in other processes, or keeps them away from it where `whole_card` is used."""
    with (tmp_path_factory.getbasetemp().parent / "card").open("w") as file:  # the folder of all of xdist's workers
        fcntl.flock(file, fcntl.LOCK_EX if "whole_card" in request.fixturenames else fcntl.LOCK_SH)
        yield


@pytest.fixture
def whole_card() -> None:
    """To be used by a check that fills the GPU: no other one runs meanwhile."""


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Returns a function that adds a measurement to the table: measured(what, value, unit, bar="", ok=None)."""

    def add(what: str, value: float, unit: str, bar: str = "", ok: bool | None = None) -> None:
        row = {"what": what, "value": float(value), "unit": unit, "bar": bar, "ok": ok}
        request.node.user_properties.append(("measured", row))

    return add


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder with train, validation and test: the one that HPO_GPU_IMAGES names, or else `shapes`."""
    given = os.environ.get("HPO_GPU_IMAGES")
    return Path(given) if given else _write_shapes(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of coloured shapes: 4 classes, 48 training, 24 validation and 24 test images of 160 px."""
    return _write_shapes(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="session")
def weights() -> str:
    """MobileNetV2's weights: the file that HPO_GPU_WEIGHTS names, or else "none"."""
    return os.environ.get("HPO_GPU_WEIGHTS") or "none"


def _write_shapes(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for shape in CLASSES:
            (folder / split / shape).mkdir(parents=True)
            for i in range(count):
                _shape(shape, rng).save(folder / split / shape / f"{i}.jpg", quality=92)
    return folder


def _shape(name: str, rng: np.random.Generator) -> Image.Image:
    """Draws the shape somewhere, in some size and colour, on a noisy ground."""
    image = Image.fromarray(rng.integers(90, 170, (PIXELS, PIXELS, 3), dtype=np.uint8))
    radius = int(rng.integers(25, 60))
    x, y = (int(v) for v in rng.integers(radius, PIXELS - radius, 2))
    color = tuple(int(v) for v in rng.integers(0, 256, 3))
    draw = ImageDraw.Draw(image)
    box = (x - radius, y - radius, x + radius, y + radius)
    match name:
        case "circle":
            draw.ellipse(box, fill=color)
        case "square":
            draw.rectangle(box, fill=color)
        case "triangle":
            draw.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=color)
        case _:
            draw.line((x, y - radius, x, y + radius), fill=color, width=radius // 3)
            draw.line((x - radius, y, x + radius, y), fill=color, width=radius // 3)
    return image
