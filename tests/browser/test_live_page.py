"""The live page of a running study: it follows the store, on a desk and on a phone."""

from __future__ import annotations

import pytest

from tests.serving import serving
from tests.synthetic_study import played, write_study


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (390, "dark")])
def test_the_page_follows_the_store(watched, tmp_path, width, scheme):
    tables = played("growing", budget=48, seeds=(0,))
    write_study(str(tmp_path), tables, charges=100)
    with serving(tmp_path, seconds=0.2) as port, watched(f"http://127.0.0.1:{port}/", width, scheme) as seen:
        page = seen.page
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("link", name="growing").click()
        page.locator("#runs tr").nth(3).wait_for()
        assert "100 of 192 epochs charged" in page.locator("#state").inner_text()
        assert page.locator("#chart path.run").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        write_study(str(tmp_path), tables)
        page.locator("#state", has_text="Complete: 192 of 192 epochs charged").wait_for()
        assert page.locator("#chart path.run").count() == 4
        size = page.locator("#chart text").first.evaluate("t => t.getBoundingClientRect().height")
        assert size >= 10  # as large on a phone as on a desk
        assert seen.complaints == []


def test_names_from_the_store_are_text_never_markup(watched, tmp_path):
    tables = played("growing", budget=48, seeds=(0,))
    for failure in tables.rows["failures"]:
        failure["reason"] = "<img src=x onerror=alert(1)>"
    tables.rows["failures"] = tables.rows["failures"] or [
        {"trial": "t", "epoch": 0, "kind": "error", "reason": "<img src=x onerror=alert(1)>"}
    ]
    write_study(str(tmp_path), tables)
    with serving(tmp_path, seconds=0.2) as port, watched(f"http://127.0.0.1:{port}/") as seen:
        seen.page.goto(f"http://127.0.0.1:{port}/studies/growing")
        seen.page.locator("#failures", has_text="<img src=x").wait_for()
        assert seen.page.locator("img").count() == 0
        assert seen.complaints == []
