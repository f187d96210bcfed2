"""The study page in a real Chromium over 100,000 trials: how long a reader waits, from the action to what it shows.

    python tests/bench/bench_pages.py [--quick] [--json FILE]

The service has read the study before, as it has for every reader but the first. Chromium, the service and the store
share this machine. --quick: 10,000 trials.
"""

from __future__ import annotations

import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from large_store import write
from playwright.sync_api import sync_playwright
from rows import Row, command, row, tell

from tests.browser.conftest import CHROMIUM, QUIET
from tests.serving import context, serving

ROWS = ".grid-body .grid-row:not(.waiting)"


def measured(page: Any, here: str, times: int) -> dict[str, list[float]]:
    """Returns seconds by action."""
    found: dict[str, list[float]] = {}

    def took(what: str, action: Callable[[], object], shown: Callable[[], object]) -> None:
        began = time.perf_counter()
        action()
        shown()
        found.setdefault(what, []).append(time.perf_counter() - began)

    table = page.get_by_role("grid")
    first = page.locator(ROWS).first
    said = page.locator(".filtered")
    for number in range(times):
        page.goto("about:blank")
        took(
            "open a study, to its curves", lambda: page.goto(here), page.locator("#panel-overview .chart svg").wait_for
        )
        took("its trials, to the first rows", page.locator("#tab-trials").click, first.wait_for)
        page.locator("[role=columnheader]", has_text="learning_rate").click()
        took("sort them by another column", page.locator("[role=columnheader]", has_text="epochs").click,
             page.locator("[role=columnheader][aria-sort=descending]", has_text="epochs").wait_for)  # fmt: skip
        low = 0.001 + number / 1000
        page.get_by_label("Column").select_option("learning_rate")
        page.get_by_label("Value", exact=True).fill(str(low))
        took("filter them", page.get_by_role("button", name="Add filter").click,
             said.filter(has_text="learning_rate is").wait_for)  # fmt: skip
        page.get_by_role("button", name="Show all").click()
        said.filter(has_text="All").wait_for()
        table.focus()
        took("leap to the last row", lambda: page.keyboard.press("Control+End"), lambda: _last(page))
        took("parallel coordinates", page.locator("#tab-parallel").click,
             page.locator("#panel-parallel .chart svg").wait_for)  # fmt: skip
        took("learning curves", page.locator("#tab-curves").click, page.locator("#panel-curves .chart svg").wait_for)
    return found


def _last(page: Any) -> None:
    total = page.get_by_role("grid").get_attribute("aria-rowcount")
    page.locator(f".grid-row[aria-rowindex='{total}']:not(.waiting)").wait_for()


def rows(trials: int, times: int) -> list[Row]:
    """Measures on a new store of 50 runs x `trials` trials."""
    with tempfile.TemporaryDirectory() as folder:
        write(f"{folder}/store", "big", trials=trials)
        made = context(f"{folder}/store", Path(folder) / "cache", seconds=2)
        with serving(made) as port, sync_playwright() as playwright:
            here = f"http://127.0.0.1:{port}"
            urllib.request.urlopen(f"{here}/api/v1/studies/big").read()
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(120_000)
            found = measured(page, f"{here}/studies/big", times)
            browser.close()
    return [row(f"{50 * trials:,} trials: {what}", values, "s") for what, values in found.items()]


def main() -> None:
    given = command(__doc__).parse_args()
    tell(rows(200, 3) if given.quick else rows(2_000, 5), given.json)


if __name__ == "__main__":
    main()
