"""The pages by other ways than pointing and clicking: keys alone, a large zoom, no movement, paper, and what is downloaded."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hpo.files import unpack
from tests.synthetic_study import played, write_study

pytestmark = pytest.mark.journey

STUDY = "/studies/four"
PAGES = {
    "/": ".studies tbody tr",
    STUDY: ".methods tbody tr",
    f"{STUDY}#trials": ".grid-body .grid-row:not(.waiting)",
    f"{STUDY}#record": ".record h3",
    "/compare?study=four&study=other": ".curves svg",
    "/submit": ".card .facts",
    "/access": "table tbody",
    "/nowhere": ".empty",
}
FOCUS = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const box = one.getBoundingClientRect(), style = getComputedStyle(one);
  const inner = one.closest('.editor, [role=grid]');
  const seen = style.outlineStyle !== 'none' || style.boxShadow !== 'none' || inner !== null;
  const name = one.id || one.getAttribute('aria-label') || one.textContent.trim().slice(0, 40) || one.tagName;
  return {name, seen, there: box.width > 0 && box.height > 0 && box.right > 0, editor: one.closest('.editor') !== null};
}"""


WANTED = """() => [...document.querySelectorAll('main :is(a[href], button, input, select, summary)')].filter((one) =>
  one.checkVisibility() && !one.disabled && one.tabIndex >= 0 && one.type !== 'radio' && !one.closest('[role=grid], .editor')
).length"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    store = str(tmp_path_factory.mktemp("store"))
    write_study(store, played("four", budget=96))
    write_study(store, played("other", budget=48, seeds=(0, 1)))
    with tarfile.open(Path(__file__).parents[1] / "recorded_stores" / "digits.tar.gz") as recorded:
        unpack(recorded, store)
    return store


def ready(path):
    return PAGES.get(path)


# -- keys alone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_keys_reach_everything_once_and_show_where_they_are(seen, path):
    with seen(path) as watching:
        page = watching.page
        page.wait_for_timeout(200)
        wanted = page.evaluate(WANTED)
        found = []
        for _ in range(200):
            if found and found[-1]["editor"]:
                page.keyboard.press("Escape")  # Tab indents there
            page.keyboard.press("Tab")
            now = page.evaluate(FOCUS)
            if now is None:
                break
            found.append(now)
        assert 3 < len(found) < 200
        assert [one["name"] for one in found if not (one["seen"] and one["there"])] == []
        assert len(found) >= wanted


def test_escape_leaves_a_dialog_and_a_menu_and_the_focus_is_where_it_was(seen):
    with seen(STUDY) as watching:
        page = watching.page
        page.get_by_role("button", name="Archive").focus()
        page.keyboard.press("Enter")
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        assert page.evaluate("document.activeElement.textContent") == "Archive"
        page.locator("summary", has_text="Download").focus()
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Report").wait_for()
        page.keyboard.press("Tab")
        page.keyboard.press("Escape")
        assert not page.get_by_role("link", name="Report").is_visible()
        assert page.evaluate("document.activeElement.textContent") == "Download"


# -- a large zoom, no movement, paper -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_cut_at_twice_the_size(seen, path):
    """At 200 percent, 1280 pixels are 640."""
    with seen(path, width=640) as watching:
        assert watching.page.evaluate("document.documentElement.scrollWidth") <= 640


def test_nothing_moves_for_who_wants_none(seen):
    with seen("/") as watching:
        page = watching.page
        moving = """() => getComputedStyle(document.querySelector('.bar'), '::after').transitionDuration"""
        assert page.evaluate(moving) != "0s"
        page.emulate_media(reduced_motion="reduce")
        assert page.evaluate(moving) == "0s"


def test_paper_is_light_and_has_no_buttons(seen):
    with seen(STUDY, scheme="dark") as watching:
        page = watching.page
        page.get_by_label("Theme").select_option("dark")
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
        assert page.locator(".verdict").is_visible()
        assert page.locator(".methods tbody tr").first.is_visible()
        for gone in (".top", ".tabs", ".actions", ".foot"):
            assert not page.locator(gone).first.is_visible()


# -- downloads ----------------------------------------------------------------------------------------------------


def test_tables_figures_and_the_report_arrive_whole(seen):
    with seen(STUDY) as watching:
        page = watching.page
        page.locator("summary", has_text="Download").click()
        menu = page.locator(".menu-body")

        def saved(link):
            with page.expect_download(timeout=60_000) as waiting:
                link.click()
            return waiting.value.suggested_filename, waiting.value.path().read_bytes()

        for table in ("trials", "failures"):  # Chromium passes over an eleventh download in a row
            line = menu.locator("li", has_text=f"{table}:")
            assert pq.read_table(io.BytesIO(saved(line.get_by_role("link", name="Parquet"))[1])).num_rows > 0
            assert saved(line.get_by_role("link", name="CSV"))[1].count(b"\n") > 1
        for figure in ("anytime", "importance"):
            line = menu.locator("li", has_text=f"{figure}:")
            name, content = saved(line.get_by_role("link", name="SVG"))
            assert name.endswith(".svg")
            assert b"<svg" in content[:2000]
            assert saved(line.get_by_role("link", name="PNG"))[1].startswith(b"\x89PNG")
        assert saved(menu.get_by_role("link", name="LaTeX"))[0] == "four.tex"
        with page.expect_popup() as popup:
            menu.get_by_role("link", name="Report").click()
        popup.value.locator("h1", has_text="four").wait_for(timeout=60_000)
        assert json.dumps(watching.complaints) == "[]"


def test_a_bundle_arrives_as_a_file_and_what_cannot_be_bundled_is_told(seen):
    with seen("/studies/digits") as watching:
        page = watching.page
        page.locator("summary", has_text="Download").click()
        with page.expect_download(timeout=60_000) as waiting:
            page.get_by_role("link", name="Bundle", exact=True).click()
        assert waiting.value.suggested_filename == "digits.tar.gz"
        assert waiting.value.path().read_bytes().startswith(b"\x1f\x8b")  # gzip
    with seen("/studies/four") as watching:
        page = watching.page
        page.locator("summary", has_text="Download").click()
        page.get_by_role("link", name="Bundle", exact=True).click()
        told = page.locator(".menu-body [role=status]", has_text="a study must add up before it is bundled")
        told.wait_for(timeout=60_000)
        assert "downloaded" not in told.inner_text()


# -- brushing -----------------------------------------------------------------------------------------------------


def test_brushing_a_curve_of_the_importance_filters_the_trials(seen):
    with seen(f"{STUDY}#importance") as watching:
        page = watching.page
        chart = page.locator(".marginals figure", has_text="learning_rate").locator(".chart")
        chart.locator("svg").wait_for(timeout=60_000)
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60, steps=4)
        page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 60, steps=4)
        page.mouse.up()
        page.locator(".filtered span").first.filter(has_text="learning_rate from").wait_for()
        assert "where=learning_rate" in page.url
        assert watching.complaints == []
