"""The study page and the trial page in a real Chromium, on the whole service: they follow, filter, brush and copy."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.synthetic_study import KINDS, SPACE, minimised, nothing_trained, played, write_study

MARKUP = "<img src=x onerror=alert(1)> & ünï 数据 \u202e"
TABS = ("overview", "trials", "curves", "parallel", "importance", "failures", "record")
ROWS = {
    "overview": ".methods tbody tr",
    "trials": "[role=grid] .grid-body .grid-row",
}  # what is there once a tab is whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Studies of four and of twenty methods, one to be minimised by cost, one of which nothing trained, one of odd names."""
    store = str(tmp_path_factory.mktemp("store"))
    write_study(store, played("four", budget=96))
    write_study(store, played("twenty", methods=tuple(f"method-{'long-' * (i % 4)}{i}" for i in range(20)), budget=32))
    write_study(store, minimised(played("loss", budget=48)))
    write_study(
        store,
        nothing_trained(played("failing", budget=24, seeds=(0,)), lambda number: f"ValueError: no file /data/{number}"),
    )
    write_study(store, named(played("markup", methods=("grid", "<b>bold</b> 数据"), seeds=(0, 1), budget=48)))
    write_study(store, played("growing", budget=96), charges=400)
    return store


def named(tables):
    first = tables.rows["trials"][0]
    first |= {"status": "failed", "kind": "error", "reason": MARKUP, "best_value": None}
    failure = {"study": tables.name, "trial": first["trial"], "epoch": 0, "kind": "error", "reason": MARKUP}
    tables.rows["failures"] = [failure]
    return tables


def ready(path):
    return ".study-top, .trial-top"


def filtered(page):
    return page.locator(".filtered span").first


def filters(page):
    return parse_qs(urlsplit(page.url).query).get("where", [])


def shown(page, column):
    """The values of a column in the rows that the table shows: there are some."""
    page.locator(".grid-body .grid-row:not(.waiting)").first.wait_for()
    heads = [text.split("\n")[0] for text in page.locator("[role=columnheader]").all_inner_texts()]
    cells = page.locator(
        f".grid-body .grid-row:not(.waiting) [aria-colindex='{heads.index(column) + 1}']"
    ).all_inner_texts()
    assert cells
    return [float(cell) for cell in cells]


def handles(page):
    """The two ends of each brush on the axes, by which it is dragged."""
    return page.locator("#panel-parallel .chart svg path[fill-opacity='0']")


def to_line(page, panel, width):
    """Moves the pointer onto a chart's first line of this width."""
    chart = page.locator(f"#panel-{panel} .chart").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    line = chart.locator(f"svg path[fill=none][stroke-width='{width}']").first
    x, y = line.evaluate("line => (at => [at.x, at.y])(line.getPointAtLength(0.8 * line.getTotalLength()))")
    page.mouse.move(box["x"] + x, box["y"] + y)


def drawn(page, panel):
    chart = page.locator(f"#panel-{panel} .chart svg").first
    chart.wait_for()
    return page.locator(f"#panel-{panel} .chart").first


# -- every page ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("study", "width", "scheme"),
    [("four", 1280, "light"), ("twenty", 390, "dark"), ("failing", 1280, "dark")],
)
def test_every_tab_is_whole_accessible_and_quiet(seen, study, width, scheme):
    with seen(f"/studies/{study}", width, scheme) as watching:
        page = watching.page
        for tab in TABS:
            page.locator(f"#tab-{tab}").click()
            panel = page.locator(f"#panel-{tab}")
            panel.locator("h2, [role=grid]").first.wait_for()
            page.wait_for_load_state("load")
            assert urlsplit(page.url).fragment == tab
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if row := ROWS.get(tab):
                panel.locator(row).first.wait_for()
            if tab in ROWS or study != "twenty":  # whose many lines take long
                assert (tab, watching.inaccessible()) == (tab, [])
        page.reload()
        expect(page.locator(f"#tab-{TABS[-1]}")).to_be_in_viewport(ratio=0.9)  # of tabs that do not all fit
        assert page.locator("img").count() == 0
        assert [one for one in watching.complaints if "409" not in one] == []  # a study may have too few trials


def test_the_verdict_the_ledger_and_the_methods_are_those_of_the_command_line(seen, port, folder):
    from hpo import store
    from hpo.results.compare import compare

    told = compare(store.read(folder, "four")).to_json()
    with seen("/studies/four") as watching:
        page = watching.page
        page.locator(".verdict", has_text=told["verdict"]).wait_for()
        assert "1,152 of 1,152 epochs" in page.locator(".spent").first.inner_text()
        page.locator(".methods td.against", has_text="more seeds").first.wait_for()
        best = max(told["methods"], key=lambda row: row["mean"])["method"]
        assert page.locator(".methods tbody tr").first.get_attribute("data-key") == best
        assert page.locator(".ledger tbody tr").count() == 12
        assert page.locator(".ledger", has_text="96 of 96").count()


# -- trials -------------------------------------------------------------------------------------------------------


def test_a_filter_is_said_in_a_sentence_stands_in_the_address_and_can_be_cleared(seen):
    with seen("/studies/four#trials") as watching:
        page = watching.page
        filtered(page).filter(has_text="All").wait_for()
        page.get_by_label("Column").select_option("optimizer")
        page.get_by_label("Value", exact=True).select_option("adam")
        page.get_by_role("button", name="Add filter").click()
        filtered(page).filter(has_text="optimizer is adam").wait_for()
        assert filters(page) == ["optimizer:eq:adam"]
        shown = filtered(page).inner_text()
        page.reload()
        filtered(page).filter(has_text="optimizer is adam").wait_for()
        assert filtered(page).inner_text() == shown
        page.get_by_role("button", name="Show all").click()
        filtered(page).filter(has_text="All").wait_for()
        assert filters(page) == []


def test_a_metric_to_be_minimised_has_its_least_value_on_top(seen):
    with seen("/studies/loss#trials") as watching:
        page = watching.page
        page.locator("[role=columnheader][aria-sort=ascending]", has_text="best value").wait_for()
        place = page.locator("[role=columnheader]").all_inner_texts().index("best value\n▲")
        cells = page.locator(f".grid-body [aria-colindex='{place + 1}']").all_inner_texts()
        values = [float(cell) for cell in cells[:10]]
        assert values == sorted(values)


def test_the_keyboard_moves_sorts_selects_and_opens(seen):
    with seen("/studies/four#trials") as watching:
        page = watching.page
        grid = page.get_by_role("grid")
        page.locator(".grid-body .grid-row:not(.waiting)").nth(3).wait_for()
        grid.focus()
        for key in ("ArrowDown", "ArrowDown", " ", "ArrowDown", " "):
            page.keyboard.press(key)
        assert page.get_by_text("2 rows selected").is_visible()
        page.keyboard.press("Control+End")
        active = grid.get_attribute("aria-activedescendant")
        assert active.split("-")[2] == str(int(grid.get_attribute("aria-rowcount")) - 1)
        page.locator(f"#{active}").wait_for()
        page.keyboard.press("Control+Home")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.locator("[role=columnheader][aria-sort=ascending]", has_text="run").wait_for()
        assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"
        page.keyboard.press("ArrowDown")
        page.locator(".grid-body .grid-row:not(.waiting)").first.wait_for()
        page.keyboard.press("Enter")
        page.locator(".trial-top h1").wait_for()


def test_selected_configurations_are_copied_and_their_curves_shown(seen):
    with seen("/studies/four#trials") as watching:
        page = watching.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.locator(".grid-body .grid-row:not(.waiting)").first.click()
        trial = page.locator(".grid-row[aria-selected=true] a").inner_text()
        page.get_by_role("button", name="Copy as Python").click()
        page.get_by_role("button", name="Copied").wait_for()
        text = page.evaluate("navigator.clipboard.readText()")
        found = {}
        exec(text, found)  # it is Python
        assert set(found["config"]) == set(SPACE)
        page.get_by_role("button", name="Show learning curves").click()
        page.locator("#panel-curves", has_text="1 trial chosen").wait_for()
        assert trial in page.url


def test_brushing_an_axis_filters_the_table_and_a_link_shows_the_same_brush(seen):
    with seen("/studies/four#parallel") as watching:
        page = watching.page
        box = drawn(page, "parallel").bounding_box()
        filtered(page).filter(has_text="All").wait_for()
        left = box["x"] + 54
        page.mouse.move(left, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(left, box["y"] + 150, steps=3)
        page.mouse.move(left, box["y"] + 220, steps=3)
        page.mouse.up()
        filtered(page).filter(has_text="learning_rate from").wait_for()
        page.wait_for_timeout(500)  # a slow drag is taken in parts
        assert [one.split(":")[:2] for one in filters(page)] == [["learning_rate", "ge"], ["learning_rate", "le"]]
        low, high = (float(one.split(":")[2]) for one in filters(page))
        said = filtered(page).inner_text()
        page.locator("#tab-trials").click()
        assert filtered(page).inner_text() == said
        assert all(low <= value <= high for value in shown(page, "learning_rate"))
        page.locator("#tab-parallel").click()
        page.reload()
        drawn(page, "parallel")
        expect(handles(page)).to_have_count(2)
        page.mouse.click(left, box["y"] + 300)
        filtered(page).filter(has_text="All").wait_for()
        assert filters(page) == []
        assert watching.complaints == []


def test_brushing_a_curve_of_importance_filters_the_table(seen):
    with seen("/studies/four#importance") as watching:
        page = watching.page
        for name in ("learning_rate", "optimizer"):
            figure = page.locator("#panel-importance figure", has_text=name)
            figure.locator("svg").wait_for()
            figure.scroll_into_view_if_needed()
            box = figure.locator(".chart").bounding_box()
            page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 50)
            page.mouse.down()
            page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 55, steps=3)
            page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 60, steps=3)
            page.mouse.up()
            filtered(page).filter(has_text=name).wait_for()
            page.wait_for_timeout(500)
        rate, to, choice = filters(page)
        low, high = float(rate.removeprefix("learning_rate:ge:")), float(to.removeprefix("learning_rate:le:"))
        names = choice.removeprefix("optimizer:in:").split(",")
        assert 0 < len(names) < 4
        assert all(low <= value <= high for value in shown(page, "learning_rate"))
        assert watching.complaints == []


# -- a study that goes on -----------------------------------------------------------------------------------------


def test_a_growing_study_is_renewed_in_place(seen, folder):
    with seen("/studies/growing#trials") as watching:
        page = watching.page
        page.locator(".spent", has_text="400 of 1,152").wait_for()
        row = page.locator(".grid-body .grid-row:not(.waiting)").nth(1)
        row.click()
        chosen = page.locator(".grid-row[aria-selected=true] a").inner_text()
        page.get_by_role("grid").focus()
        page.evaluate("document.querySelector('[role=grid]').scrollTop = 90")
        assert page.evaluate("document.querySelector('[role=grid]').scrollTop") == 90
        write_study(folder, played("growing", budget=96))
        page.locator(".spent", has_text="1,152 of 1,152").wait_for()
        page.locator(".state", has_text="complete").wait_for()
        assert "complete" in page.locator("#announcements").inner_text()
        assert page.get_by_text("1 row selected").is_visible()
        assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"
        assert page.evaluate("document.querySelector('[role=grid]').scrollTop") == 90
        page.get_by_role("button", name="Show learning curves").click()
        assert chosen in page.url
        assert watching.complaints == []


# -- the rest -----------------------------------------------------------------------------------------------------


def test_curves_are_highlighted_by_pointer_and_by_keyboard(seen):
    with seen("/studies/four") as watching:
        page = watching.page
        drawn(page, "overview")
        strong = page.locator("#panel-overview .chart svg path[stroke-width='3.2']")
        page.get_by_role("button", name="bayesian").focus()
        expect(strong).to_have_count(1)
        page.keyboard.press("Tab")
        expect(strong).to_have_count(1)  # the next method's
        page.locator(".methods tbody tr").first.hover()
        expect(strong).to_have_count(1)
        page.locator("#anytime-heading").hover()
        expect(strong).to_have_count(0)
        to_line(page, "overview", 2.2)
        expect(page.locator(".methods tr.pointed")).to_have_count(1)
        expect(strong).to_have_count(1)
        page.locator("#tab-curves").click()
        drawn(page, "curves")
        alone = page.locator("#panel-curves .chart svg path[stroke-width='3']")
        told = page.locator("#panel-curves .told")
        page.locator("#panel-curves summary").focus()
        page.keyboard.press("Enter")
        page.locator("#panel-curves tbody tr").first.wait_for()  # they are made once it is open
        expect(alone).to_have_count(0)
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#panel-curves tbody tr') !== null")
        expect(alone).to_have_count(1)
        expect(told).to_contain_text(page.evaluate("document.activeElement.textContent"))
        page.locator("#panel-curves summary").focus()
        expect(alone).to_have_count(0)
        expect(told).to_have_text("")
        page.locator("#panel-curves tbody tr").nth(2).hover()
        expect(alone).to_have_count(1)
        page.locator("#curves-heading").hover()
        expect(alone).to_have_count(0)
        to_line(page, "curves", 1.3)
        expect(alone).to_have_count(1)
        trial = told.inner_text().split(" · ")[1]
        page.mouse.down()
        page.mouse.up()
        page.locator(".trial-top h1", has_text=trial).wait_for()
        assert watching.complaints == []


def test_pointing_at_a_method_and_choosing_it_unfolds_its_seeds(seen):
    with seen("/studies/four") as watching:
        page = watching.page
        drawn(page, "overview")
        lines = page.locator("#panel-overview .chart svg path[fill=none]")
        before = lines.count()
        button = page.get_by_role("button", name="bayesian")
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Tab")
        expect(lines.nth(before)).to_be_attached()
        assert watching.complaints == []


def test_failures_are_grouped_and_lead_to_their_trials(seen):
    with seen("/studies/failing#failures") as watching:
        page = watching.page
        page.locator(".failures li").wait_for()
        assert page.locator(".failures li").count() == 1
        count = int(page.locator(".failures strong").inner_text().split()[0])
        page.get_by_role("button", name="Show in the table").click()
        filtered(page).filter(has_text="of").wait_for()
        assert int(filtered(page).inner_text().split()[0]) >= count


def test_a_reason_is_text_never_markup(seen):
    with seen("/studies/markup#failures") as watching:
        page = watching.page
        page.locator(".reason", has_text="<img src=x onerror=alert(1)>").wait_for()
        assert page.locator(".failures img").count() == 0
        assert watching.complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_a_trial_says_what_it_is_and_who_asked_for_it(seen, width, scheme):
    with seen("/studies/four", width, scheme) as watching:
        page = watching.page
        page.locator(".facts a").first.click()
        page.locator("#asked-heading").wait_for()
        page.locator(".panel .chart svg").wait_for()
        assert page.locator("table.config th").all_inner_texts() == list(KINDS)
        assert "won the run" in page.locator("[aria-labelledby=asked-heading]").first.inner_text()
        page.get_by_text("The same as a table").click()
        page.locator("details tbody tr").nth(9).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert watching.inaccessible() == []
        assert watching.complaints == []


def test_a_trial_that_is_not_there_is_said_in_a_sentence(seen):
    with seen("/studies/four/trials/0123456789abcdef") as watching:
        told = watching.page.locator(".trouble", has_text="0123456789abcdef")
        told.wait_for()
        assert "must be" in told.inner_text()


def test_what_is_made_on_demand_is_downloaded_once_it_is_there(seen, tmp_path):
    with seen("/studies/four") as watching:
        page = watching.page
        page.get_by_text("Download", exact=True).click()
        with page.expect_download() as waiting:
            page.get_by_role("link", name="CSV").first.click()
        assert waiting.value.path().read_text().startswith('"study","run"')
        with page.expect_download(timeout=60_000) as waiting:
            page.get_by_role("link", name="LaTeX").click()
        assert "\\begin{table" in waiting.value.path().read_text() or "tabular" in waiting.value.path().read_text()
        assert watching.complaints == []


def test_a_study_is_stopped_and_goes_on_after_one_question(seen):
    with seen("/studies/four") as watching:
        page = watching.page
        page.get_by_role("button", name="Archive").click()
        dialog = page.get_by_role("dialog")
        assert "Nothing is deleted" in dialog.inner_text()
        dialog.get_by_role("button", name="Cancel").click()
        assert page.evaluate("document.activeElement.textContent") == "Archive"
        page.get_by_role("button", name="Archive").click()
        page.get_by_role("dialog").get_by_role("button", name="Archive").click()
        page.get_by_role("button", name="Take out of the archive").click()
        page.get_by_role("dialog").get_by_role("button", name="Take out").click()
        page.get_by_role("button", name="Archive", exact=True).wait_for()
        assert json.dumps(watching.complaints) == "[]"
