"""The study file's `resources`: accelerators, labels and custom resources, as Ray knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import StudyError
from hpo.study import accelerators
from hpo.study.labels import tidy
from hpo.study.study import Resources, Study

STUDY = """
study: s
trainable: curves
space: {{x: {{type: float, low: 0, high: 1}}}}
budget: {{epochs: 4, max_epochs: 2}}
methods: [random]
resources: {resources}
"""


def loaded(folder: Path, resources: str) -> Resources:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(resources=resources))
    return Study.load(str(path)).resources


def test_all_of_it_becomes_one_request(tmp_path: Path) -> None:
    nodes = 'labels: {region: "in(us-1, us-2)", tier: "!spot"}'
    text = f"{{cpus: 2, gpus: 0.5, memory_gb: 1, accelerator: H100, {nodes}, custom: {{license: 1}}}}"
    section = loaded(tmp_path, text)
    assert section.bundles == (
        {"CPU": 2, "memory": 2**30, "license": 1, "GPU": 0.5, "accelerator_type:H100": 0.001},
    )  # fmt: skip
    assert section.labels == {"region": "in(us-1,us-2)", "tier": "!spot"}  # Ray takes a blank for a part of the name
    assert str(section) == (
        "2 CPU and 0.5 H100 per trial, 1 GiB of memory, 1 license; on nodes with region=in(us-1,us-2), tier=!spot"
    )


def test_each_of_several_processes_is_on_the_accelerator_and_the_first_takes_the_rest() -> None:
    first, *ranks = Resources(cpus=3, gpus=2, memory_gb=1, accelerator="A100", custom={"license": 1}).bundles
    assert first == {"CPU": 1, "memory": 2**30, "license": 1}
    assert ranks == [{"GPU": 1, "CPU": 3, "accelerator_type:A100": 0.001}] * 2


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ("{gpus: 1, accelerator: h100}", "got 'h100'; did you mean 'H100'?"),
        ("{gpus: 1, accelerator: L40}", "did you mean 'L40S'? (for a type of your cluster's own: custom:"),
        ("{gpus: 1, accelerator: abacus}", "; valid: H100, H200"),
        ("{accelerator: H100}", "accelerator H100 needs gpus above 0, but got 0"),
        ("{labels: {region: in(us-1, us-2)}}", "got 'in(us-1'; in braces it needs quotes: {region: \"in(a, b)\"}"),
        (
            "{labels: {region: us_}}",
            "the label region must be a value, in(a, b), or one of these after '!', but got 'us_'",
        ),
        ("{labels: {spot: true}}", "but got True; quote it"),
        ("{labels: {my label: a}}", "a label's name must be letters, digits"),
        ("{custom: {license: 0}}", "custom.license must be at least 0.0001, but got 0"),
        ("{custom: {TPU: 1.5}}", "custom.TPU must be at most 1 or a whole number, but got 1.5"),
        ("{custom: {CPU: 1}}", "'CPU' is one of Ray's own"),
        ("{custom: {license: one}}", "resources.custom.license"),
        ("{acelerator: H100}", "did you mean 'accelerator'?"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(tmp_path: Path, resources: str, words: str) -> None:
    with pytest.raises(StudyError) as raised:
        loaded(tmp_path, resources)
    sentence = str(raised.value)
    assert words in sentence
    assert sentence.startswith(f"{tmp_path / 'study.yaml'}:7:")
    assert "\n" not in sentence


def test_the_accelerators_are_those_that_ray_names() -> None:
    from ray.util.accelerators import accelerators as theirs

    named = {value for name, value in vars(theirs).items() if name.isupper() or name.startswith("AMD_")}
    assert set(accelerators.NAMES) == named


@pytest.mark.parametrize(
    "key", ["a", "ray.io/market-type", "a/b/c", "-a", "a_", "a b", "x" * 63, "x" * 64, "/a", "a.b/c-d", "é"]
)
@pytest.mark.parametrize(
    "selector",
    [
        "a",
        "!a",
        "in(a)",
        "in(a,b)",
        "!in(a,b)",
        "in()",
        "in(a,)",
        "!!a",
        "a,b",
        "in(!a)",
        "not in(a)",
        "in(a",
        "x" * 64,
        "-",
        "é",
    ],
)
def test_labels_are_accepted_where_ray_accepts_them(key: str, selector: str) -> None:
    from ray._private.label_utils import validate_label_selector

    wrong = validate_label_selector({key: selector})
    if wrong is None:
        assert tidy(key, selector) == selector
    else:
        with pytest.raises(ValueError, match="must be"):
            tidy(key, selector)
