"""The service's pages in a real Chromium, on the whole service: log-in, studies, compare, submit, access, and their frame."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.entrance import SECRET, entry
from tests.serving import context, serving
from tests.synthetic_study import played, write_study

BOLD = "<b>bold</b>"


@pytest.fixture(scope="module")
def access(tmp_path_factory):
    return entry(tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two complete studies, and one that was killed."""
    folder = tmp_path_factory.mktemp("store")
    for name, charges in (("alpha", None), ("beta", None), ("gamma", 30)):
        write_study(str(folder), played(name, budget=16, seeds=(0, 1)), charges=charges)
        tell(folder, name, owner={"alpha": "ana", "beta": "bo", "gamma": BOLD}[name])
    tell(folder, "gamma", charged=30)
    return folder


def tell(store, study, to=None, **facts):
    """Changes what the summary of a study says, or writes it as that of another."""
    kept = json.loads((store / ".studies" / f"{study}.json").read_text())
    kept["facts"] |= {"study": to or study, **facts}
    (store / ".studies" / f"{to or study}.json").write_text(json.dumps(kept))


@pytest.fixture(scope="module")
def port(store, access, tmp_path_factory):
    with serving(context(store, tmp_path_factory.mktemp("cache"), access=access)) as number:
        yield number


@pytest.fixture(scope="module")
def seen(watched, port, access):
    """seen(path, role, width, scheme) as a context: a page that is logged in, and has asked for nothing but this service."""

    @contextmanager
    def opened(path: str, role: str = "admin", width: int = 1280, scheme: str = "light") -> Iterator[Watched]:
        secret = new_secret(access, f"reader-{role}", role)
        here = f"http://127.0.0.1:{port}"
        with watched((f"{here}/", f"blob:{here}/"), width, scheme) as watching:
            watching.page.goto(f"{here}/login?token={secret}&next=/login-done")
            watching.complaints.clear()
            watching.page.goto(here + path)
            yield watching

    return opened


def new_secret(access, name, role):
    """The secret of a new token of that name; an older one is revoked."""
    if any(token.name == name for token in access.tokens.all()):
        access.tokens.revoke(name)
    return access.tokens.add(name, role)[1]


def rows(page):
    return page.locator(".studies tbody tr")


def names(page):
    return rows(page).locator(".name a").all_inner_texts()


def text_of(page):
    return page.get_by_role("textbox", name="Study file")


# -- log in -------------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_refused_and_the_right_one_leads_to_the_page_that_was_asked_for(watched, port):
    here = f"http://127.0.0.1:{port}"
    with watched(f"{here}/") as seen:
        page = seen.page
        page.goto(f"{here}/compare?study=alpha")
        page.get_by_label("Token").fill("wrong-token-of-nobody")
        page.get_by_role("button", name="Log in").click()
        assert "no token" in page.get_by_role("alert").inner_text()
        assert seen.inaccessible() == []
        page.get_by_label("Token").fill(SECRET)
        page.get_by_role("button", name="Log in").click()
        page.locator(".verdict").wait_for()
        assert page.url == f"{here}/compare?study=alpha"
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Token").wait_for()
        page.goto(f"{here}/")
        assert "/login" in page.url


# -- every page ---------------------------------------------------------------------------------------------------

PAGES = {
    "/": ".studies tbody tr",
    "/?q=nothing": ".empty",
    "/compare": ".empty",
    "/compare?study=alpha&study=beta": ".curves svg",
    "/submit": ".card .facts, .problems",
    "/access": "table tbody tr",
}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_is_quiet_accessible_and_fits(seen, width, scheme):
    for path, ready in PAGES.items():
        with seen(path, width=width, scheme=scheme) as watching:
            watching.page.locator(ready).first.wait_for(timeout=60_000)
            assert (path, watching.inaccessible()) == (path, [])
            assert (path, watching.page.evaluate("document.documentElement.scrollWidth") <= width) == (path, True)
            assert (path, watching.complaints) == (path, [])


def test_a_page_that_does_not_exist_leads_back(seen):
    with seen("/studies/nothing") as watching:
        assert "no study 'nothing'" in watching.page.locator("main").inner_text()
        watching.page.get_by_role("link", name="All studies").click()
        rows(watching.page).first.wait_for()


def test_the_chosen_theme_stays_and_the_first_byte_has_it(seen):
    with seen("/", scheme="light") as watching:
        page = watching.page
        page.get_by_label("Theme").select_option("dark")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        page.goto(page.url + "compare")
        assert 'data-theme="dark"' in page.content()
        page.get_by_label("Theme").select_option("system")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


def test_the_content_is_one_key_away_and_focus_is_seen(seen):
    with seen("/") as watching:
        rows(watching.page).first.wait_for()
        watching.page.keyboard.press("Tab")
        assert watching.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        watching.page.keyboard.press("Enter")
        watching.page.keyboard.press("Tab")
        assert watching.page.evaluate("document.activeElement.closest('main') !== null")
        assert watching.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


# -- studies ------------------------------------------------------------------------------------------------------


def test_a_row_says_what_a_reader_asks_first(seen):
    with seen("/") as watching:
        row = rows(watching.page).filter(has_text="alpha")
        row.wait_for()
        text = re.sub(r"\s+", " ", row.inner_text())
        for part in ("complete", "ana", "4 × 2", "100%", "128 epochs"):
            assert part in text
        killed = rows(watching.page).filter(has_text="gamma")
        assert re.search(r"stopped|no sign of life", killed.inner_text())
        assert BOLD in killed.inner_text()  # a name is text, never markup
        assert watching.page.locator("main b").count() == 0


def test_an_interim_verdict_begins_with_that_word(seen):
    with seen("/") as watching:
        told = watching.page.locator
        expect(told("[data-key=gamma] .verdict-cell")).to_have_text("interim too early to say", timeout=60_000)
        expect(told("[data-key=alpha] .verdict-cell")).to_have_text(re.compile("^undecided"), timeout=60_000)
    with seen("/studies/gamma") as watching:
        expect(watching.page.locator(".verdict.interim")).to_have_text(
            re.compile("^Interim: none of 8 runs is"), timeout=60_000
        )
        assert watching.inaccessible() == []
    with seen("/compare?study=alpha&study=gamma") as watching:
        expect(watching.page.locator(".verdict.interim")).to_have_text(
            re.compile("^Interim, as gamma is not complete: "), timeout=60_000
        )


def test_filters_order_and_search_are_in_the_address_and_the_back_button_undoes_them(seen):
    with seen("/") as watching:
        page = watching.page
        rows(page).nth(2).wait_for()
        page.get_by_role("button", name="complete").click()
        expect(rows(page)).to_have_count(2)
        page.get_by_role("button", name="Study").click()
        expect(rows(page).first).to_contain_text("alpha")
        assert "state=complete" in page.url
        assert "sort=name" in page.url
        page.keyboard.press("/")
        page.keyboard.type("bet")
        expect(rows(page)).to_have_count(1)
        assert "q=bet" in page.url
        page.reload()
        expect(rows(page)).to_have_count(1)
        page.go_back()
        page.go_back()
        expect(rows(page)).to_have_count(3)


def test_a_study_that_changes_keeps_the_selection_the_focus_and_the_place_of_its_row(seen, store):
    with seen("/?sort=name") as watching:
        page = watching.page
        rows(page).nth(2).wait_for()
        page.locator("#connection[data-state=live]").wait_for()
        page.get_by_label("Select beta").check()
        page.get_by_role("link", name="gamma").focus()
        before = names(page)
        mark = "document.querySelector('.studies [data-key=gamma]').mark = 1"
        page.evaluate(mark)
        write_study(str(store), played("gamma", budget=16, seeds=(0, 1)))
        page.locator(".studies [data-key=gamma] .state[data-word=complete]").wait_for(timeout=30_000)
        assert (
            page.evaluate("document.querySelector('.studies [data-key=gamma]').mark") == 1
        )  # the same row, not a new one
        assert page.evaluate("document.activeElement.textContent") == "gamma"
        assert page.get_by_label("Select beta").is_checked()
        assert names(page) == before
        assert "gamma: complete" in page.locator("#announcements").inner_text()


def test_a_new_study_appears_by_itself(seen, store):
    with seen("/") as watching:
        rows(watching.page).first.wait_for()
        watching.page.locator("#connection[data-state=live]").wait_for()
        write_study(str(store), played("delta", budget=16, seeds=(0,)))
        rows(watching.page).filter(has_text="delta").wait_for(timeout=30_000)
        assert "delta" in names(watching.page)


def test_rows_are_walked_and_selected_by_keys_and_compared(seen):
    with seen("/?sort=name&q=a") as watching:
        page = watching.page
        rows(page).nth(1).wait_for()
        page.get_by_role("link", name="alpha").focus()
        page.keyboard.press("x")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.textContent") == "beta"
        page.keyboard.press("x")
        page.get_by_role("link", name="Compare 2 selected").click()
        page.locator(".verdict").wait_for()
        assert "study=alpha&study=beta" in page.url


def test_an_empty_store_says_how_to_begin(watched, tmp_path):
    (tmp_path / "store").mkdir()
    with serving(context(tmp_path / "store", tmp_path / "cache")) as port, watched(f"http://127.0.0.1:{port}/") as seen:
        seen.page.goto(f"http://127.0.0.1:{port}/")
        assert f"hpo run digits --store {tmp_path / 'store'}" in seen.page.locator(".empty pre").inner_text()
        assert seen.inaccessible() == []
        assert seen.complaints == []


def test_three_hundred_studies_are_shown_as_one_scrolls(watched, tmp_path):
    store = tmp_path / "store"
    write_study(str(store), played("one", budget=8, seeds=(0,)))
    for i in range(299):
        (store / f"study-{i:03}").mkdir()
        shutil.copy(store / "one" / "study.json", store / f"study-{i:03}" / "study.json")
        tell(store, "one", to=f"study-{i:03}", began=float(i), updated=float(i))
    with serving(context(tmp_path / "store", tmp_path / "cache")) as port, watched(f"http://127.0.0.1:{port}/") as seen:
        page = seen.page
        page.goto(f"http://127.0.0.1:{port}/")
        rows(page).first.wait_for()
        assert "of 300 studies" in page.locator("#matched").inner_text()
        for shown in (100, 200):
            expect(rows(page)).to_have_count(shown)
            page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(rows(page)).to_have_count(300)
        assert page.locator("#matched").inner_text() == "300 studies"
        assert seen.complaints == []


# -- compare ------------------------------------------------------------------------------------------------------


def test_several_studies_are_compared_as_on_the_command_line(seen, store):
    with seen("/compare?study=alpha&study=beta") as watching:
        page = watching.page
        page.locator(".curves svg path.line").nth(7).wait_for()
        assert page.locator(".curves figure").count() == 2
        assert "Undecided" in page.locator(".verdict").inner_text()
        assert page.locator("#methods-heading").inner_text() == "Methods over 2 tasks"
        by_task = page.locator("section[aria-labelledby=tasks-heading]")
        assert by_task.locator("tbody th").all_inner_texts() == ["alpha", "beta"]
        assert len(by_task.locator("thead th").all_inner_texts()) == 5  # the task and four methods
        command = page.locator(".command pre").inner_text()
        assert command == f"hpo compare {store} --study alpha --study beta"
        with page.expect_download() as saved:
            page.get_by_role("button", name="Pairs CSV").click()
        text = saved.value.path().read_text()
        assert text.splitlines()[0].startswith("a,b,pairs,difference")
        assert len(text.splitlines()) == 7  # six pairs of four methods
        page.get_by_role("button", name="Remove beta").click()
        expect(page.locator(".curves figure")).to_have_count(1)
        page.go_back()
        expect(page.locator(".curves figure")).to_have_count(2)
        assert watching.complaints == []


def test_a_study_that_is_not_there_is_named(seen):
    with seen("/compare?study=alpha&study=nothing") as watching:
        assert "nothing" in watching.page.get_by_role("alert").inner_text()


# -- submit -------------------------------------------------------------------------------------------------------


def test_the_editor_marks_a_mistake_at_its_line_and_the_plan_comes_when_it_is_mended(seen):
    with seen("/submit") as watching:
        page = watching.page
        page.locator(".card .facts").wait_for(timeout=60_000)
        assert "4 methods" not in page.locator(".pairs").inner_text()
        text_of(page).focus()
        page.keyboard.press("Control+Home")
        page.keyboard.type("metrc: accuracy\n")
        problem = page.locator(".problems li").first
        problem.wait_for(timeout=60_000)
        assert "metrc" in problem.inner_text()
        assert page.locator(".cm-lint-marker-error").count() == 1
        assert page.get_by_role("button", name=re.compile("^Submit")).is_disabled()
        problem.get_by_role("button").click()
        page.keyboard.press("Shift+End")
        page.keyboard.press("Delete")
        page.keyboard.press("Delete")
        page.locator(".card .facts").wait_for(timeout=60_000)
        assert "no cluster" in page.locator("#why").inner_text()
        assert watching.complaints == []


def test_a_selection_is_typed_over_without_a_complaint_of_the_policy(seen):
    with seen("/submit") as watching:
        page = watching.page
        text_of(page).focus()
        for text in ("study: a", "(", "study: b"):
            page.keyboard.press("Control+a")
            page.keyboard.insert_text(text)
        assert text_of(page).inner_text().strip() == "study: b"
        assert watching.complaints == []


def test_keys_and_values_are_completed_from_the_schema(seen):
    with seen("/submit") as watching:
        page = watching.page
        page.locator(".card .facts").wait_for(timeout=60_000)
        text_of(page).focus()
        page.keyboard.press("Control+End")
        page.keyboard.type("par")
        options = page.locator(".cm-tooltip-autocomplete li")
        options.filter(has_text="parallelism").wait_for()
        page.wait_for_timeout(150)  # CodeMirror takes no key for a choice that has just appeared
        page.keyboard.press("Enter")
        page.keyboard.type("2\nmode: m")
        options.filter(has_text="min").wait_for()
        assert options.filter(has_text="max").count() == 1
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")  # out of the editor
        assert page.evaluate("document.activeElement.shadowRoot === null")


def test_a_study_starts_from_a_preset_or_an_earlier_one(seen):
    with seen("/submit?from=alpha") as watching:
        page = watching.page
        text_of(page).wait_for()
        assert "study: alpha-2" in text_of(page).inner_text()
        page.get_by_label("Start from").select_option(label="digits")
        text_of(page).filter(has_text="Handwritten digits").wait_for()
        page.locator(".pairs", has_text="4 methods x 10 seeds").wait_for(timeout=60_000)
        page.reload()  # the text stays with the tab, but the address asks for alpha
        page.goto(page.url.partition("?")[0])
        text_of(page).filter(has_text="Handwritten digits").wait_for()


def test_a_viewer_is_told_that_it_may_not_submit(seen):
    with seen("/submit", role="view") as watching:
        page = watching.page
        page.locator(".card .facts").wait_for(timeout=60_000)
        assert page.get_by_role("button", name=re.compile("^Submit")).is_disabled()
        assert page.locator("#nav-access").is_hidden()


# -- access -------------------------------------------------------------------------------------------------------


def test_an_admin_adds_and_revokes_a_token_and_sees_it_in_the_log(seen):
    with seen("/access") as watching:
        page = watching.page
        page.get_by_label("Name").fill("carol")
        page.get_by_label("Role").select_option("run")
        page.get_by_role("button", name="Add token").click()
        secret = page.locator(".secret pre").inner_text()
        assert len(secret) >= 16
        page.get_by_role("button", name="Revoke carol").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        page.get_by_role("button", name="Revoke carol").wait_for(state="detached")
        log = page.get_by_role("region", name="Audit log, as a table")
        log.locator("tr", has_text="revoke token").filter(has_text="carol").wait_for()
        assert secret not in log.inner_text()
        assert watching.complaints == []


def test_who_is_no_admin_sees_neither_tokens_nor_log(seen):
    with seen("/access", role="run") as watching:
        watching.page.get_by_role("heading", name="For administrators").wait_for()
        assert watching.page.locator("table").count() == 0
        assert watching.complaints == []
