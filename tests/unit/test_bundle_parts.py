"""The parts of bundles on their own: what is hidden, which numbers count as equal, the card, the list of packages."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import hpo
from hpo.bundle import software
from hpo.bundle.card import data_card
from hpo.bundle.differing import of_pages, of_values
from hpo.bundle.private import Privacy, texts, texts_of
from hpo.study import environment
from tests.synthetic_study import synthetic_study

# -- what is hidden -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read /home/alice/photos/1.jpg: torn", "cannot read ~/photos/1.jpg: torn"),
        ("/Users/bob", "~"),
        ("--root=/root/data", "--root=~/data"),
        ("file:/home/alice", "file:~"),
        ("/rootfs /homework/x home/alice a/home/b", "/rootfs /homework/x home/alice a/home/b"),
        ("http://me:word@host:80/x", "http://***@host:80/x"),
        ("s3://bucket/prefix user@host", "s3://bucket/prefix user@host"),
        ("http://h/?token=abc123&x=1", "http://h/?token=***&x=1"),
        ("hpo run s --token abc123 --seeds 1", "hpo run s --token *** --seeds 1"),
        ("PASSWORD=hunter2", "PASSWORD=***"),
        ("Authorization: Bearer abcdefgh123", "Authorization: Bearer ***"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("the token must be in a file", "the token must be in a file"),
    ],
)
def test_texts_without_home_folders_passwords_and_tokens(text: str, shown: str) -> None:
    private = Privacy.here()
    assert private.cleaned(text) == shown
    assert private.cleaned(shown) == shown
    assert (private.reveals_home(text) or private.reveals_secret(text)) == (text != shown)
    assert not private.reveals_home(shown)
    assert not private.reveals_secret(shown)


def test_secrets_of_the_environment_and_the_own_home_are_found_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "HPO_SERVE_TOKEN": "battery-staple", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "DB_PASSWORD": "short",
        "RAY_AUTH_TOKEN_PATH": "/run/hpo/auth_token", "HOME": "/srv/users/eve",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    text = "battery-staple, wJalrXUtnFEMI, short, /run/hpo/auth_token, /srv/users/eve/x, /srv/users/evening"
    assert Privacy.here().cleaned(text) == "***, ***, short, /run/hpo/auth_token, ~/x, /srv/users/evening"


def test_reasons_are_cleaned_in_tables_and_nothing_else_is() -> None:
    table = pa.table({"reason": ["no /home/al/x", None], "trial": ["/home/al", "b"]}, metadata={b"hpo_schema": b"2"})
    clean = Privacy.here().table(table)
    assert clean.to_pydict() == {"reason": ["no ~/x", None], "trial": ["/home/al", "b"]}
    assert clean.schema == table.schema
    assert Privacy.here().table(clean) is clean
    assert list(texts("t", clean)) == [("t, reason", "no ~/x"), ("t, trial", "/home/al"), ("t, trial", "b")]


def test_what_results_depend_on_stays_in_the_head() -> None:
    found = {"schema": 2, "digest": "d", "made": "m", "methods": {"a": {"options": {"file": "/root/f"}}},
             "study": {"data": {"root": "/home/al/x"}, "methods": [{"options": {"file": "/root/f"}}],
                       "store": "/home/al/s", "seeds": [0]},
             "environment": {"command": ["/root/x"], "cpus": 2}}  # fmt: skip
    clean = Privacy.here().head(found)
    assert clean == {
        **found,
        "study": {**found["study"], "store": "~/s"},
        "environment": {"command": ["~/x"], "cpus": 2},
    }
    assert dict(texts_of(clean))["study.data.root"] == "/home/al/x"


# -- what counts as equal -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bundled", "derived", "where"),
    [
        ({"a": [1.0, {"b": 2}]}, {"a": [1.0 + 0.9e-9, {"b": 2}]}, []),
        ({"a": [1.0, {"b": 2}]}, {"a": [1.0 + 1.2e-9, {"b": 3}]}, ["a[0]", "a[1].b"]),
        ({"a": 0.0}, {"a": 1e-13}, []),
        ({"a": 0.0}, {"a": 1e-11}, ["a"]),
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": None}, {"a": 0.0}, ["a"]),
        ({"a": 1}, {"a": 1, "b": 2}, ["b"]),
        ({"a": 1, "b": 2}, {"a": 1}, ["b"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a"]),
        ({"verdict": "x"}, {"verdict": "y"}, ["verdict"]),
        ({"tests": [{"verdict": "a better"}]}, {"tests": [{"verdict": "undecided"}]}, ["tests[0].verdict"]),
    ],
)
def test_values_differ_where_they_are_further_apart_than_one_in_a_billion(
    bundled: Any, derived: Any, where: list[str]
) -> None:
    assert [found.where for found in of_values(bundled, derived, same_version=True)] == where


def test_another_version_may_have_new_keys_and_other_words_but_no_other_figures() -> None:
    old = {"verdict": "Undecided.", "notes": ["n"], "tests": [{"verdict": "a better", "p": 0.5}], "gone": 1}
    new = {"verdict": "Nothing.", "notes": [], "tests": [{"verdict": "undecided", "p": 0.4, "more": 1}], "new": 2}
    found = [difference.where for difference in of_values(old, new, same_version=False)]
    assert found == ["tests[0].verdict", "tests[0].p", "gone"]


PAGE = '<style>b {color: red}</style><p>mean 0.1234 of <b>1,234</b> −2.5e-05</p><svg><path d="M1.5 2.5"/><text>9</text></svg>'


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("0.1234", "0.1235", []),
        ("0.1234", "0.1236", ["the text"]),
        ("1,234", "1,235", []),
        ("1,234", "1,236", ["the text"]),
        ("1,234", "1234.", ["the text"]),
        ("−2.5e-05", "−2.6e-05", []),
        ("−2.5e-05", "−2.7e-05", ["the text"]),
        ("−2.5e-05", "2.5e-05", ["the text"]),
        ("mean", "median", ["the text"]),
        ("<text>9", "<text>11", ["the text"]),
        ("<p>mean", "<p>mean of", ["the text"]),
        ("M1.5", "M1.6", []),
        ("M1.5", "M1.7", ["the drawing or style"]),
        ("red", "blue", ["the drawing or style"]),
    ],
)
def test_pages_differ_where_a_reader_would_see_it(old: str, new: str, found: list[str]) -> None:
    other = PAGE.replace(old, new)
    assert other != PAGE
    kinds = [d.where.rpartition(", ")[2] for d in of_pages(PAGE, other, drawings=True)]
    assert kinds == found
    seen = [kind for kind in found if kind == "the text"]
    assert [d.where.rpartition(", ")[2] for d in of_pages(PAGE, other, drawings=False)] == seen


# -- the card and the packages ------------------------------------------------------------------------------------


def test_the_card_has_the_counts_that_workers_reported_and_says_what_is_not_known() -> None:
    data = synthetic_study(methods=("random",), seeds=(0,), budget=16)
    counts = {"train": [30, 20, 10, 5, 5], "validation": [1, 2, 3, 4, 5], "test": [2, 2, 2, 2, 2]}
    whole = {"train": [31, 22, 13, 9, 10], "validation": [0] * 5, "test": [2] * 5}
    trained = {"data_digest": ["ab", "cd"], "data_counts": [json.dumps(counts), json.dumps(whole)]}
    card = data_card(replace(data, environment={"trained_on": trained}))
    assert card["counts"]["train"]["examples"] == 70
    assert card["counts"]["validation"]["by_class"] == {"dress": 1, "hat": 2, "pants": 3, "shirt": 4, "shoes": 5}
    assert card["counts"]["also_trained_on"] == [{"train": 85, "validation": 0, "test": 10}]
    assert (card["name"], card["digest"], card["licence"]) == ("clothing", ["ab", "cd"], "not known")


def test_the_card_of_an_older_store_has_the_test_counts_of_its_exams() -> None:
    data = synthetic_study(methods=("random",), seeds=(0,), budget=16)
    exam = data.exams.to_pylist()[0]
    sums = [sum(row) for row in json.loads(exam["confusion"])]
    card = data_card(replace(data, environment={}))
    assert (card["counts"]["train"], card["counts"]["validation"], card["digest"]) == ("not known",) * 3
    assert card["counts"]["test"] == {
        "examples": sum(sums),
        "by_class": dict(zip(json.loads(exam["classes"]), sums, strict=True)),
    }
    other = data_card(replace(data, environment={"trained_on": {"data_counts": ["many", "[1]", '{"train": "ab"}']}}))
    assert other["counts"]["train"] == "not known"
    nothing = data_card(replace(data, environment={}, exams=data.exams.slice(0, 0)))
    assert nothing["counts"]["test"] == "not known"


def test_licences_are_told_where_publishers_state_them() -> None:
    data = synthetic_study(methods=("random",), seeds=(0,), budget=16)
    digits = replace(data, definition={**data.definition, "data": {"name": "digits"}})
    assert data_card(digits)["licence"] == "CC BY 4.0"
    curves = replace(data, definition={**data.definition, "trainable": "curves"})
    assert (data_card(curves)["name"], data_card(curves)["licence"]) == ("none: synthetic curves", "none needed")


def test_without_the_project_at_hand_all_installed_packages_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(hpo.__file__).parents[1]
    assert software.requirements() == ("requirements.lock", (root / "requirements.lock").read_bytes())
    monkeypatch.setattr(hpo, "__file__", str(tmp_path / "hpo" / "__init__.py"))
    name, content = software.requirements()
    lines = content.decode().splitlines()
    assert (name, lines) == ("installed.txt", sorted(lines))
    assert f"numpy=={metadata.version('numpy')}" in lines


def test_a_run_in_a_container_records_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HPO_IMAGE", raising=False)
    assert "image" not in environment.collect()
    monkeypatch.setenv("HPO_IMAGE", "registry/hpo-arena@sha256:00ff ")
    assert environment.collect()["image"] == "registry/hpo-arena@sha256:00ff"
