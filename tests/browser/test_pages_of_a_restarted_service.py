"""A page that is open while its service is killed and started again: it goes on by itself, and shows what came meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from hpo.study.study import Study
from tests.served_process import ServedProcess
from tests.without_ray import dispatching, train

pytestmark = pytest.mark.journey

SECOND = 1000.0
STUDY = """
study: restarted
trainable: curves
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.1, log: true}
budget: {epochs: 40, max_epochs: 4}
methods: [random, {asha: {eta: 2}}]
seeds: [0]
parallelism: 2
"""
REFUSED = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")


@pytest.fixture
def served(tmp_path: Path):
    process = ServedProcess(tmp_path / "store", tmp_path)
    yield process
    process.end()


def test_an_open_page_outlives_its_service(served: ServedProcess, tmp_path: Path, watched) -> None:
    (tmp_path / "restarted.yaml").write_text(STUDY)
    dispatch = dispatching(Study.load(tmp_path / "restarted.yaml", store=str(tmp_path / "store")))
    grow(dispatch, 10)
    secret = served.token("anna", "view")
    served.start()
    with watched((f"{served.url}/", f"blob:{served.url}/"), 1280) as seen:
        page = seen.page
        page.goto(f"{served.url}/studies/restarted")
        page.get_by_label("Token").fill(secret)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator(".state[data-word=running]").first).to_be_visible(timeout=60 * SECOND)
        page.locator("#connection[data-state=live]").wait_for()
        page.evaluate("window.mine = true")  # a page that is loaded anew does not have it
        served.end()
        page.locator("#connection[data-state=away]").wait_for()
        grow(dispatch, 1000)
        dispatch.finish(complete=True)
        served.start()
        page.locator("#connection[data-state=live]").wait_for(timeout=60 * SECOND)
        expect(page.locator(".state[data-word=complete]").first).to_be_visible(timeout=60 * SECOND)
        expect(page.get_by_text("2 of 2 runs complete").first).to_be_visible(timeout=60 * SECOND)
        assert page.evaluate("window.mine")
        assert [each for each in seen.complaints if not any(word in each for word in REFUSED)] == []


def grow(dispatch, epochs: int) -> None:
    """Trains at least so many epochs, or all that are left."""
    trained = 0
    while trained < epochs and not dispatch.finished:
        trained += len(train(dispatch, dispatch.next()))
