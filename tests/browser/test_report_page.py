"""The report as a reader sees it: opened from disk, on a desk and on a phone, on light and dark paper, and printed."""

from __future__ import annotations

import pytest

from hpo.report import write_html
from hpo.report.palette import contrast
from hpo.results.compare import compare
from hpo.results.importance import importance_or_none
from hpo.results.view import View
from tests.synthetic_study import synthetic_study

SIZES = [(1200, "light"), (1200, "dark"), (390, "light"), (390, "dark")]
SECTIONS = [
    "anytime",
    "comparison",
    "aggregates",
    "trials",
    "importance",
    "learning",
    "exam",
    "failures",
    "ledger",
    "environment",
    "repeat",
]

# Every text with the colour it is drawn in and the first opaque colour behind it, as [red, green, blue] each.
COLOURS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const layer = rgba(getComputedStyle(e).backgroundColor);
      if (layer[3]) layers.push(layer);
      if (layer[3] === 255) break;
    }
    let seen = [255, 255, 255];
    for (const [r, g, b, a] of layers.reverse())
      seen = [r, g, b].map((c, i) => Math.round(c * a / 255 + seen[i] * (1 - a / 255)));
    return seen;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest("title, .skip")) continue;
    const style = getComputedStyle(element);
    const drawn = element.closest("svg") ? style.fill : style.color;
    const text = walker.currentNode.textContent.trim().slice(0, 40);
    found.push([text, rgba(drawn).slice(0, 3), behind(element.closest("svg") ?? element)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    data = synthetic_study(budget=96, seeds=range(6))
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_html(data, compare(data), importance_or_none(data, seed=0), path, command="hpo run clothing.yaml")


@pytest.fixture(scope="module", params=SIZES, ids=[f"{width}-{scheme}" for width, scheme in SIZES])
def opened(request, watched, report):
    width, scheme = request.param
    with watched(report.as_uri(), width, scheme) as seen:
        seen.page.goto(report.as_uri())
        yield seen


def test_no_complaint_no_request_and_every_section_in_its_order(opened):
    assert opened.page.locator("main > section").evaluate_all("all => all.map(s => s.id)") == SECTIONS
    assert opened.page.locator("#verdict").inner_text().strip()
    assert opened.complaints == []


def test_nothing_sticks_out(opened):
    page = opened.page
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """width => [...document.querySelectorAll("main *, header *")].filter(e => !e.closest(".scroll *, svg *"))
        .filter(e => e.getBoundingClientRect().right > width + 1).map(e => e.tagName + "." + e.className)""",
        width,
    )
    assert outside == []


def test_pictures_have_size_and_name_and_their_text_stays_inside(opened):
    assert opened.page.locator("svg.figure").count() >= 12
    check_pictures(opened.page)


def check_pictures(page):
    found = page.locator("svg.figure").evaluate_all(
        """all => all.map(svg => {
          const box = svg.getBoundingClientRect();
          const out = [...svg.querySelectorAll("text")].filter(t => {
            const b = t.getBoundingClientRect();
            return b.left < box.left - 2 || b.right > box.right + 2 || b.top < box.top - 2 || b.bottom > box.bottom + 2;
          }).map(t => t.textContent);
          return [svg.querySelector("title").textContent, box.width, box.height, out];
        })"""
    )
    for name, width, height, outside in found:
        assert name
        assert width > 200, name
        assert height > 80, name
        assert outside == [], name


def test_every_text_stands_out_from_its_paper(opened):
    check_contrast(opened.page, least=300)


def check_contrast(page, least):
    hexed = "#{:02x}{:02x}{:02x}".format
    texts = page.evaluate(COLOURS)
    assert len(texts) > least
    poor = [(text, drawn, paper) for text, drawn, paper in texts if contrast(hexed(*drawn), hexed(*paper)) < 4.5]
    assert poor == []


def test_a_confusion_matrix_stands_out_even_where_every_answer_is_right(opened):
    cells = opened.page.locator(".matrix td")
    assert cells.count() >= 100
    cells.evaluate_all("all => all.forEach(cell => cell.style.setProperty('--share', 1))")
    check_contrast(opened.page, least=300)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A report on twenty methods with long names and two objectives."""
    methods = tuple(f"a_method_with_a_long_name{'_indeed' * (i % 3)}_{'x' * i}" for i in range(20))
    data = synthetic_study(methods=methods, seeds=range(5), budget=32)
    view = View.read("val_accuracy,train_seconds", None, ["val_loss<=1.5"])
    comparison, (within,) = view.compared([data])
    path = tmp_path_factory.mktemp("many") / "many.html"
    return write_html(within, comparison, None, path, command="hpo run many.yaml")


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_twenty_methods_with_long_names_and_two_objectives_stay_inside(watched, many, width, scheme):
    with watched(many.as_uri(), width, scheme) as seen:
        seen.page.goto(many.as_uri())
        assert seen.page.locator("main > section").evaluate_all("all => all.map(s => s.id)")[:4] == [
            "anytime", "comparison", "aggregates", "objectives",
        ]  # fmt: skip
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.locator("#comparison details").count() == 2
        assert not seen.page.get_by_text("Paired over seeds").is_visible()
        seen.page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
        check_pictures(seen.page)
        check_contrast(seen.page, least=300)
        assert seen.complaints == []


def test_ids_are_unique_and_links_lead_somewhere(opened):
    page = opened.page
    ids = page.locator("[id]").evaluate_all("all => all.map(e => e.id)")
    assert len(ids) == len(set(ids))
    targets = page.locator("a[href^='#']").evaluate_all("all => all.map(a => a.getAttribute('href').slice(1))")
    assert set(targets) <= set(ids)


def test_it_prints_on_light_paper_whole(watched, report):
    with watched(report.as_uri(), scheme="dark") as seen:
        seen.page.goto(report.as_uri())
        seen.page.emulate_media(media="print")
        paper = seen.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        assert not seen.page.locator("nav").is_visible()
        assert len(seen.page.pdf()) > 50_000


def test_the_file_is_small_and_needs_nothing(report):
    text = report.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_500_000
    assert "<script" not in text
    assert "https://" not in text
    assert "http://" not in text
