"""A person's way through the pages on a real Ray cluster with tokens: write, mend, submit, watch, stop, go on, compare."""

from __future__ import annotations

import json
import re
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
        service.until(lambda: service.charged(first) > 4)
        confirmed(page, "Stop")
        expect(page.locator(".state[data-word=stopped]").first).to_be_visible(timeout=2 * MINUTE)
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


def submitted(page, text):
    """Submits a study that is wrong at first; returns its name."""
    name = re.search(r"study: (\w+)", text)[1]
    editor = page.get_by_role("textbox", name="Study file")
    editor.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text.replace("methods: [random]", "methods: [randon]"))
    problem = page.locator(".problems li")
    expect(problem).to_contain_text("randon", timeout=MINUTE)
    button = page.get_by_role("button", name=re.compile("^Submit"))
    expect(button).to_be_disabled()
    editor.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    expect(button).to_be_enabled(timeout=MINUTE)
    button.click()
    dialog = page.get_by_role("dialog")
    assert "1 methods" in dialog.inner_text() or "1 method" in dialog.inner_text()
    dialog.get_by_role("button", name="Submit").click()
    dialog.wait_for(state="detached", timeout=MINUTE)
    return name


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
