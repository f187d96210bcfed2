"""The shells of the pages and their files: what they hold, how long they are kept, and what names may do to them."""

from __future__ import annotations

import gzip
import re

import pytest

from hpo.report import palette
from hpo.service import shells
from tests.serving import asking, context
from tests.synthetic_study import played, write_study


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    write_study(str(store), played("digits", budget=8, seeds=(0,)))
    with asking(context(store, tmp_path_factory.mktemp("cache"))) as found:
        yield found


def asset(client, name="theme.css"):
    return (
        re.search(rf'"(/[^"]*/assets/[0-9a-f]+|/assets/[0-9a-f]+)/{re.escape(name)}"', client.get("/").text)[1]
        + f"/{name}"
    )


@pytest.mark.parametrize(
    "path", ["/", "/compare", "/submit", "/access", "/jobs/a-1", "/studies/digits", "/studies/digits/trials/ab12"]
)
def test_every_page_is_a_shell_without_script_or_style_of_its_own(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<style|style=|<script(?![^>]* src=)|\son\w+=", answer.text)
    assert re.search(r'<html lang="en"', answer.text)


@pytest.mark.parametrize(
    "path", ["/studies/nothing", "/studies/nothing/trials/ab", "/studies/%2e%2e", "/studies/a%00b"]
)
def test_a_study_that_is_not_there_has_no_page(client, path):
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/jobs/{}", "/studies/digits/trials/{}", "/studies/{}"])
def test_names_in_addresses_are_text(client, path):
    answer = client.get(path.format("%3Cimg src=x onerror=alert(1)%3E%22"))
    assert "<img" not in answer.text
    assert "&lt;img" in answer.text


def test_a_built_file_is_kept_for_good_at_its_own_address_and_asked_for_again_at_an_old_one(client):
    path = asset(client)
    answer = client.get(path)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    old = client.get("/assets/0123456789abcdef/theme.css")
    assert old.content == answer.content
    assert old.headers["cache-control"] == "no-cache"


def test_a_built_file_is_sent_compressed_to_who_takes_it(client):
    path = asset(client)
    assert client.get(path).headers["content-encoding"] == "gzip"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(shells.assets()["theme.css"].compressed) == plain.content


@pytest.mark.parametrize(
    "name", ["manifest.json", "..%2fbuild.mjs", "%2e%2e/package.json", "studies.ts", "__init__.py"]
)
def test_no_other_file_of_the_package_is_sent(client, name):
    assert client.get(f"/assets/0123456789abcdef/{name}").status_code == 404


def test_the_style_sheet_has_every_colour_of_the_reports(client):
    text = client.get(asset(client)).text
    for tint in palette.TINTS:
        assert f"--{tint.name}:{tint.light}" in text
        assert f"--{tint.name}:{tint.dark}" in text


@pytest.mark.parametrize(
    ("value", "theme"), [("dark", "dark"), ("light", "light"), ("system", None), ('"><script>', None)]
)
def test_the_cookie_of_the_theme_is_one_of_three_words(client, value, theme):
    text = client.get("/", headers={"Cookie": f"hpo_theme={value}"}).text
    found = re.search(r'data-theme="([^"]*)"', text)
    assert (found and found[1]) == theme


def test_a_proxy_s_root_path_is_in_every_address(tmp_path):
    with asking(context(tmp_path, tmp_path / "cache", root_path="/hpo")) as client:
        text = client.get("/hpo/").text
        assert '<meta name="root" content="/hpo">' in text
        local = re.findall(r'(?:href|src|action)="(/[^"]*)"', text)
        assert local
        assert all(address.startswith("/hpo/") for address in local)
        assert client.get(asset_of(text)).status_code == 200


def asset_of(text):
    return re.search(r'href="([^"]*theme\.css)"', text)[1]


def test_the_text_colours_of_warnings_are_readable_in_both_themes(client):
    text = client.get(asset(client)).text
    light, dark = re.findall(r"--warn:\s*(#[0-9a-f]{6})", text)[:2]
    for paper in (palette.PAPER.light, palette.CARD.light):
        assert palette.contrast(light, paper) >= 4.5
    for paper in (palette.PAPER.dark, palette.CARD.dark):
        assert palette.contrast(dark, paper) >= 4.5
