"""A real Chromium, the system's own, driven by Playwright; where none is installed the tests say so and are passed over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serving import context, serving

AXE = Path(__file__).with_name("axe.min.js")  # axe-core, by its own licence: see NOTICE

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")  # not the session: Playwright keeps an event loop running, and others need theirs
def chromium():
    if CHROMIUM is None:
        pytest.skip(
            "no Chromium is installed here: the pages are not looked at (Debian: apt-get install chromium libatomic1)"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


def said(message):
    """A message of the console, and where it comes from."""
    where = message.location
    return f"{message.text} ({where.get('url')}:{where.get('lineNumber')}:{where.get('columnNumber')})"


class Watched:
    """A page, and what went wrong on it: errors and warnings of the console, requests beyond those allowed."""

    def __init__(self, page, allowed):
        self.page = page
        self.complaints = []
        self._allowed = allowed
        self._watch(page)

    def tab(self):
        """Opens another tab beside the page, which is watched as well."""
        page = self.page.context.new_page()
        self._watch(page)
        return page

    def _watch(self, page):
        page.on("console", lambda m: self.complaints.append(said(m)) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(self._allowed) else self.complaints.append(request.url),
        )

    def inaccessible(self):
        """What axe finds on the page as it is now: the serious and the critical findings, with the elements."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        return [
            (one["impact"], one["id"], [node["target"] for node in one["nodes"]][:5])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]


@pytest.fixture(scope="module")
def watched(chromium):
    """watched(allowed, width, scheme) as a context: a page that asks for nothing but addresses beginning with `allowed`."""

    @contextmanager
    def opened(allowed: str | tuple[str, ...], width: int = 1200, scheme: str = "light") -> Iterator[Watched]:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        try:
            yield Watched(context.new_page(), allowed)
        finally:
            context.close()

    return opened


@pytest.fixture(scope="module")
def port(folder, tmp_path_factory):
    """The port of a service of the store that the module's fixture `folder` makes."""
    with serving(context(folder, tmp_path_factory.mktemp("cache"))) as number:
        yield number


@pytest.fixture(scope="module")
def seen(request, watched, port):
    """seen(path, width, scheme) as a context: a page of the service that has asked for nothing else.

    It shows what the module's `ready(path)` selects, where that selects something.
    """

    @contextmanager
    def opened(path: str, width: int = 1280, scheme: str = "light") -> Iterator[Watched]:
        here = f"http://127.0.0.1:{port}"
        with watched((f"{here}/", f"blob:{here}/"), width, scheme) as watching:
            watching.page.goto(here + path)
            if selected := request.module.ready(path):
                watching.page.locator(selected).first.wait_for(timeout=60_000)
            yield watching

    return opened
