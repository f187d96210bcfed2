"""The dashboard and the alert rules against the metrics that a study has, and against the shape that their readers expect."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
LABELS = {"charged_epochs": {"study", "run"}, "trials": {"study", "state"}}
OTHERS = {"study"}

RULES = {
    "type": "object", "additionalProperties": False, "required": ["groups"],
    "properties": {"groups": {"type": "array", "minItems": 1, "items": {
        "type": "object", "additionalProperties": False, "required": ["name", "rules"],
        "properties": {"name": {"type": "string"}, "interval": {"type": "string"}, "rules": {"type": "array", "items": {
            "type": "object", "additionalProperties": False, "required": ["alert", "expr", "labels", "annotations"],
            "properties": {
                "alert": {"type": "string", "pattern": "^Hpo[A-Za-z]+$"}, "expr": {"type": "string"},
                "for": {"type": "string", "pattern": r"^\d+[smhd]$"},
                "labels": {"type": "object", "required": ["severity"], "additionalProperties": {"type": "string"}},
                "annotations": {"type": "object", "required": ["summary", "description"],
                                "additionalProperties": {"type": "string"}},
            }}}}}}},
}  # fmt: skip


def metrics() -> set[str]:
    """Returns the names that the driver gives to its gauges, without the prefix."""
    tree = ast.parse((ROOT / "hpo" / "live" / "monitor.py").read_text())
    names = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "gauge"
        and isinstance(node.args[0], ast.Constant)
    }
    assert names
    return {str(name) for name in names}


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    jsonschema.validate(document, RULES)
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    return json.loads((MONITORING / "dashboard.json").read_text())  # type: ignore[no-any-return]


def expressions() -> list[str]:
    board = dashboard()
    return [
        *(rule["expr"] for rule in rules()),
        *(target["expr"] for panel in board["panels"] for target in panel["targets"]),
        *(variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query"),
    ]


@pytest.mark.parametrize("expression", expressions())
def test_expressions_use_metrics_and_labels_that_there_are(expression: str) -> None:
    used = set(re.findall(r"ray_hpo_(\w+)", expression))
    assert used
    assert used <= metrics()
    known = {label for name in used for label in LABELS.get(name, OTHERS)}
    named = {word for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for word in group.split(", ")}
    assert named | set(re.findall(r"[{,]\s*(\w+)\s*=", expression)) <= known
    assert expression.count("(") == expression.count(")")


def test_alerts_say_which_study_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["annotations"]["summary"].startswith("{{ $labels.study }}: ")
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_the_dashboard_is_whole() -> None:
    board = dashboard()
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= set(board)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["title"]
        assert panel["description"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_the_readmes_command_makes_a_prometheus_rule() -> None:
    text = (MONITORING / "README.md").read_text()
    command = re.search(r"^    (\(printf .+\)) \| kubectl apply -f -$", text, re.M)
    assert command
    made = subprocess.run(["bash", "-c", command[1]], cwd=ROOT, capture_output=True, text=True, check=True)
    rule = yaml.safe_load(made.stdout)
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((MONITORING / "alerts.yaml").read_text())


def test_prometheus_reads_the_pods_that_the_policy_lets_it_reach() -> None:
    monitor = yaml.safe_load((ROOT / "deploy" / "kuberay" / "podmonitor.yaml").read_text())
    policy = list(yaml.safe_load_all((ROOT / "deploy" / "kuberay" / "shared.yaml").read_text()))[-1]
    assert monitor["spec"]["selector"] == policy["spec"]["podSelector"]
    assert [end["port"] for end in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]  # KubeRay's name for 8080
