"""A person's way through the pages on a real Ray cluster with tokens: write, mend, submit, watch, stop, go on, compare.

Files go along as a zip, and the log of a job is followed while it runs.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from ray_head import Head
from ray_service import Service, study

pytestmark = pytest.mark.journey

MINUTE = 60_000.0


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    head = Head()
    try:
        head.server()
        started = Service(head, tmp_path_factory.mktemp("service"))
        try:
            yield started
        finally:
            started.child.close()
    finally:
        head.close()


def test_a_study_is_written_mended_submitted_watched_stopped_and_gone_on_with(service, watched):
    here = f"http://127.0.0.1:{service.port}"
    with watched((f"{here}/", f"blob:{here}/"), 1280) as seen:
        page = seen.page
        page.goto(f"{here}/submit")
        page.get_by_label("Token").fill(service.tokens["anna"])
        page.get_by_role("button", name="Log in").click()
        first = submitted(page, study("first", seconds=0.2, epochs=160))
        expect(page).to_have_url(f"{here}/studies/{first}", timeout=MINUTE)
        expect(page.locator(".state[data-word=running]").first).to_be_visible(timeout=2 * MINUTE)
        page.locator("#connection[data-state=live]").wait_for()
        followed = log_of(seen, here)
        service.until(lambda: service.charged(first) > 4)
        expect(followed.get_by_role("log")).to_contain_text("epochs charged", timeout=MINUTE)
        so_far = followed.get_by_role("log").inner_text()
        confirmed(page, "Stop")
        expect(page.locator(".state[data-word=stopped]").first).to_be_visible(timeout=2 * MINUTE)
        ended(followed, so_far)
        charged = service.charged(first)
        page.goto(f"{here}/submit")
        second = submitted(page, study("second", seconds=0.01, epochs=24))
        expect(page.locator(".state[data-word=complete]").first).to_be_visible(timeout=2 * MINUTE)
        page.goto(f"{here}/studies/{first}")
        confirmed(page, "Go on")
        service.until(lambda: service.charged(first) > charged)
        expect(page.locator(".state[data-word=complete]").first).to_be_visible(timeout=3 * MINUTE)
        found = service.ask("GET", f"/jobs?study={first}")[1]
        assert found["total"] == 2  # one submission, one going on
        told = service.ask("GET", f"/studies/{first}")[1]["job"]
        assert told == {name: found["jobs"][0][name] for name in ("id", "page")}
        page.goto(f"{here}/jobs/{found['jobs'][0]['id']}")
        expect(page.get_by_role("log")).to_contain_text(first, timeout=MINUTE)
        compared(page, here, first, second)
        assert seen.complaints == []


def test_files_go_along_as_a_zip(service, watched):
    here = f"http://127.0.0.1:{service.port}"
    text = study("listed", seconds=0.01, epochs=12).replace(
        "  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}", "  candidates: recipes.csv"
    )
    with watched((f"{here}/", f"blob:{here}/"), 1280) as seen:
        page = seen.page
        page.goto(f"{here}/login?token={service.tokens['anna']}&next=/submit")
        written(page, text)
        expect(page.locator(".problems li")).to_contain_text("recipes.csv", timeout=MINUTE)
        expect(sending(page)).to_be_disabled()
        page.get_by_text("Options").click()
        chosen = page.get_by_label("Files (a zip)")
        chosen.set_input_files(archive(**{"others.csv": "learning_rate\n0.1\n"}))
        expect(page.locator("#why")).to_contain_text("with its files")
        sending(page).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Submit").click()
        expect(dialog.get_by_role("alert")).to_contain_text("recipes.csv", timeout=MINUTE)
        dialog.get_by_role("button", name="Cancel").click()
        chosen.set_input_files(archive(**{"recipes.csv": "learning_rate\n0.001\n0.01\n0.1\n"}))
        sending(page).click()
        dialog.get_by_role("button", name="Submit").click()
        expect(page).to_have_url(f"{here}/studies/listed", timeout=MINUTE)
        expect(page.locator(".state[data-word=complete]").first).to_be_visible(timeout=2 * MINUTE)
        page.locator("#tab-trials").click()
        page.locator(".grid-body .grid-row:not(.waiting)").nth(1).wait_for()
        tried = service.ask("GET", "/studies/listed/trials")[1]
        place = [one["name"] for one in tried["columns"]].index("learning_rate")
        assert {row[place] for row in tried["rows"]} <= {0.001, 0.01, 0.1}
        assert [one for one in seen.complaints if "422" not in one] == []  # the browser's word for the refused files


def archive(**files):
    """A zip of these files, as a browser hands it over."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as written:
        for name, text in files.items():
            written.writestr(name, text)
    return {"name": "files.zip", "mimeType": "application/zip", "buffer": content.getvalue()}


def log_of(seen, here):
    """Opens the log of the study's job in a tab of its own, where the study's page leads to it."""
    tab = seen.tab()
    tab.goto(here + seen.page.get_by_role("link", name="Log", exact=True).get_attribute("href"))
    tab.locator("#connection[data-state=live]").wait_for()
    return tab


def ended(tab, so_far):
    """Expects the log's end and what became of the job, in a tab that nobody touched meanwhile."""
    expect(tab.locator(".facts")).to_contain_text("STOPPED", timeout=MINUTE)
    whole = tab.get_by_role("log").inner_text()
    assert whole.startswith(so_far)
    assert len(whole) > len(so_far)
    assert tab.evaluate(
        "(log => log.scrollHeight - log.scrollTop - log.clientHeight < 30)(document.querySelector('[role=log]'))"
    )
    tab.close()


def submitted(page, text):
    """Submits a study that is wrong at first; returns its name."""
    name = re.search(r"study: (\w+)", text)[1]
    written(page, text.replace("methods: [random]", "methods: [randon]"))
    problem = page.locator(".problems li")
    expect(problem).to_contain_text("randon", timeout=MINUTE)
    expect(sending(page)).to_be_disabled()
    written(page, text)
    expect(sending(page)).to_be_enabled(timeout=MINUTE)
    sending(page).click()
    dialog = page.get_by_role("dialog")
    assert "1 methods" in dialog.inner_text() or "1 method" in dialog.inner_text()
    dialog.get_by_role("button", name="Submit").click()
    dialog.wait_for(state="detached", timeout=MINUTE)
    return name


def written(page, text):
    """Writes a study file over what the editor holds."""
    page.get_by_role("textbox", name="Study file").focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def sending(page):
    return page.locator(".send button")


def confirmed(page, action):
    page.get_by_role("button", name=action, exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=action, exact=True).click()
    dialog.wait_for(state="detached", timeout=MINUTE)


def compared(page, here, *studies):
    """Compares studies from their list, and downloads the comparison."""
    page.goto(f"{here}/")
    for name in studies:
        page.get_by_label(f"Select {name}").check()
    page.get_by_role("link", name=f"Compare {len(studies)} selected").click()
    page.locator(".verdict").wait_for(timeout=MINUTE)
    with page.expect_download() as saved:
        page.get_by_role("link", name="JSON").click()
    assert json.loads(saved.value.path().read_text())["tasks"] == list(studies)
