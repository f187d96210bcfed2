"""Takes pictures of every page in every state, for people to look at, and tells what axe and the console complain of.

    python tests/bench/screens.py FOLDER [--only WORD]... [--widths 1280 390] [--schemes light dark] [--stores FOLDER]

Stores are made by tests/bench/shown_stores.py and served by `hpo serve` with tokens. --stores: keep them in this folder and
take those that are there. --only: pictures whose name contains the word.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Page, sync_playwright
from shown_stores import LONG, drivers, write_large, write_many, write_recorded, write_shapes

from tests import s3_servers
from tests.browser.conftest import CHROMIUM, QUIET, Watched
from tests.served_process import ServedProcess
from tests.synthetic_study import played, write_study

TABS = ("overview", "trials", "curves", "parallel", "importance", "failures", "record")
STUDY = (
    "clothing-mobilenet",
    "clothing-second",
    "twenty-methods",
    "one-run",
    "least-loss",
    "nothing-trained",
    LONG,
    "put-away",
    "digits",
)
STATES = ("starting", "running", "killed", "interrupted", "failed")


@dataclass(frozen=True)
class Picture:
    """What is looked at: an address of a store's service, and what is on the page once it is whole."""

    store: str
    name: str
    path: str
    ready: str = "main"
    role: str = "admin"


def pictures() -> Iterator[Picture]:
    """Yields what there is to look at."""
    yield Picture("empty", "studies-none", "/", ".empty")
    yield Picture("single", "studies-one", "/", ".studies tbody tr")
    yield Picture("many", "studies-300", "/", ".studies tbody tr")
    yield Picture("many", "studies-no-match", "/?q=nothing-like-this", ".empty")
    yield Picture("main", "studies", "/", ".studies tbody tr")
    yield Picture("main", "studies-archived", "/?archived=true", ".studies tbody tr")
    yield Picture("main", "studies-as-viewer", "/", ".studies tbody tr", "view")
    for study in STUDY:
        for tab in TABS:
            yield Picture("main", f"study-{study[:20]}-{tab}", f"/studies/{study}#{tab}", f"#panel-{tab}:not([hidden])")
    for state in STATES:
        for tab in ("overview", "trials", "curves", "record"):
            yield Picture(
                "main", f"state-{state}-{tab}", f"/studies/study-{state}#{tab}", f"#panel-{tab}:not([hidden])"
            )
    for tab in TABS:
        yield Picture("large", f"large-{tab}", f"/studies/hundred-thousand#{tab}", f"#panel-{tab}:not([hidden])")
    yield Picture("main", "trial", "/studies/clothing-mobilenet/trials/best", "#asked-heading")
    yield Picture("main", "trial-failed", "/studies/nothing-trained/trials/first", "#asked-heading")
    yield Picture("main", "trial-none", "/studies/clothing-mobilenet/trials/0123456789abcdef", ".trouble")
    yield Picture("main", "compare-none", "/compare", ".empty")
    yield Picture("main", "compare-one", "/compare?study=clothing-mobilenet", ".curves svg")
    yield Picture("main", "compare-two", "/compare?study=clothing-mobilenet&study=clothing-second", ".curves svg")
    five = "&".join(
        f"study={name}"
        for name in ("clothing-mobilenet", "clothing-second", "one-run", "twenty-methods", "study-running")
    )
    yield Picture("main", "compare-five", f"/compare?{five}", ".curves svg")
    yield Picture(
        "main", "compare-failed", "/compare?study=clothing-mobilenet&study=nothing-trained", ".verdict, .trouble"
    )
    yield Picture("main", "submit", "/submit", ".card .facts, .problems")
    yield Picture("main", "submit-wrong", "/submit?from=clothing-mobilenet", ".card .facts, .problems")
    yield Picture("main", "submit-as-viewer", "/submit", ".card .facts, .problems", "view")
    yield Picture("main", "access", "/access", "table tbody tr")
    yield Picture("main", "access-as-runner", "/access", ".empty", "run")
    yield Picture("main", "missing-page", "/nothing-here", ".empty")
    yield Picture("main", "missing-study", "/studies/nothing", ".empty")
    yield Picture("main", "job-log", "/jobs/raysubmit_nothing", "main .trouble, main pre")
    yield Picture("main", "login", "/login", "form", "nobody")
    yield Picture("s3", "s3-studies", "/", ".studies tbody tr")
    yield Picture("s3", "s3-study", "/studies/clothing-mobilenet", ".ledger tbody tr")


WRITERS = {
    "empty": lambda uri: Path(uri).mkdir(parents=True),
    "single": lambda uri: write_study(uri, played("clothing-mobilenet", budget=48, seeds=(0, 1))),
    "many": lambda uri: write_many(Path(uri)),
    "large": write_large,
    "main": lambda uri: (write_shapes(uri), write_recorded(Path(uri))),
    "s3": lambda uri: write_study(uri, played("clothing-mobilenet", budget=48, seeds=(0, 1))),
}


@contextmanager
def served(store: str, folder: Path, kept: Path) -> Iterator[tuple[ServedProcess, dict[str, str]]]:
    """Makes the store where it is not there yet, and yields its service with a token for each role."""
    with ExitStack() as stack:
        uri = str(kept / store)
        if store == "s3":
            uri = stack.enter_context(_bucket(folder))
        if store == "s3" or not Path(uri).exists():
            WRITERS[store](uri)
        if store == "main":
            stack.enter_context(drivers(uri))
        service = ServedProcess(uri, folder)
        tokens = {role: service.token(f"{role}-reader", role) for role in ("admin", "run", "view")}
        service.start()
        stack.callback(service.end)
        yield service, tokens


@contextmanager
def _bucket(folder: Path) -> Iterator[str]:
    import os

    import boto3

    place = folder / "moto"
    place.mkdir()
    with s3_servers.moto(place) as server:
        os.environ |= {
            "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": s3_servers.KEY, "AWS_SECRET_ACCESS_KEY": s3_servers.SECRET,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "HPO_SPOOL": str(folder / "spool"),
        }  # fmt: skip
        boto3.client("s3", endpoint_url=server.url).create_bucket(Bucket="arena")
        yield "s3://arena/team/results"


def take(page: Page, watching: Watched, url: str, one: Picture, path: Path) -> None:
    """Takes one picture, and prints what is wrong with the page."""
    watching.complaints.clear()
    page.goto("about:blank")
    page.goto(url + address(page, url, one))
    try:
        page.locator(one.ready).first.wait_for(timeout=60_000)
    except Exception as error:
        print(f"{path.name}: {str(error).splitlines()[0]}", flush=True)
    if one.name == "submit-wrong":
        page.get_by_role("textbox", name="Study file").focus()
        page.keyboard.press("Control+Home")
        page.keyboard.insert_text("metrc: accuracy\n")
        page.locator(".problems li").first.wait_for(timeout=60_000)
    _settle(page)
    page.screenshot(path=path, full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    found = watching.inaccessible()
    if wide > 0 or found or watching.complaints:
        print(path.name, f"{wide} px too wide" if wide > 0 else "", found or "", watching.complaints or "", flush=True)


def _settle(page: Page) -> None:
    """Waits until nothing on the page is still being made, for a while at most. Polls: the pages' policy forbids to be asked."""
    until = time.monotonic() + 30
    while page.evaluate("/being (made|worked out|read)/.test(document.querySelector('main').innerText)"):
        if time.monotonic() > until:
            break
        page.wait_for_timeout(300)
    page.wait_for_timeout(700)


def address(page: Page, url: str, one: Picture) -> str:
    """The path; `best` and `first` in it stand for a trial of the study."""
    head, _, trial = one.path.rpartition("/")
    if trial not in ("best", "first"):
        return one.path
    order = "-best_value" if trial == "best" else "number"
    answer = page.request.get(f"{url}/api/v1{head}?limit=1&sort={order}").json()
    place = [column["name"] for column in answer["columns"]].index("trial")
    return f"{head}/{answer['rows'][0][place]}"


def main() -> None:
    given = _command().parse_args()
    wanted = [one for one in pictures() if not given.only or any(word in one.name for word in given.only)]
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        for store in dict.fromkeys(one.store for one in wanted):
            mine = Path(place) / store
            mine.mkdir()
            with served(store, mine, given.stores or Path(place) / "stores") as (service, tokens):
                for width in given.widths:
                    for scheme in given.schemes:
                        _visit(
                            browser,
                            service.url,
                            tokens,
                            [one for one in wanted if one.store == store],
                            width,
                            scheme,
                            given.folder,
                        )
        browser.close()


def _visit(
    browser: Any, url: str, tokens: dict[str, str], wanted: list[Picture], width: int, scheme: str, folder: Path
) -> None:
    for role in dict.fromkeys(one.role for one in wanted):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        watching = Watched(page, (f"{url}/", f"blob:{url}/", "about:"))
        if role in tokens:
            page.goto(f"{url}/login?token={tokens[role]}&next=/nothing")
        for one in wanted:
            if one.role == role:
                take(page, watching, url, one, folder / f"{one.name}-{width}-{scheme}.png")
        context.close()


def _command() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", metavar="WORD")
    parser.add_argument("--widths", type=int, nargs="+", default=[1280, 390])
    parser.add_argument("--schemes", nargs="+", default=["light", "dark"])
    parser.add_argument("--stores", type=Path)
    return parser


if __name__ == "__main__":
    main()
