"""The queue of deploy/kuberay fits the study that it is for: names, what Kueue refuses, and the quota of two studies."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

KUBERAY = Path(__file__).parents[2] / "deploy" / "kuberay"
UNITS = {"Mi": 2**20, "Gi": 2**30, "m": 0.001}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.load_all((KUBERAY / name).read_text(), yaml.CSafeLoader))


def patched(manifest: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the manifest with `add` operations of a JSON patch applied."""
    manifest = copy.deepcopy(manifest)
    for step in patch:
        assert step["op"] == "add"
        *parents, last = step["path"].strip("/").split("/")
        part: Any = manifest
        for name in parents:
            part = part[int(name) if isinstance(part, list) else name]
        part[last] = step["value"]
    return manifest


def number(quantity: str) -> float:
    unit = next((unit for unit in UNITS if quantity.endswith(unit)), "")
    return float(quantity.removesuffix(unit)) * UNITS.get(unit, 1)


def requests(job: dict[str, Any]) -> Counter[str]:
    """Returns what a RayJob's pods ask for in total."""
    cluster = job["spec"]["rayClusterSpec"]
    pods = [(cluster["headGroupSpec"]["template"], 1)]
    pods += [(group["template"], group["replicas"]) for group in cluster["workerGroupSpecs"]]
    pods += [(job["spec"]["submitterPodTemplate"], 1)] if "submitterPodTemplate" in job["spec"] else []
    total: Counter[str] = Counter()
    for template, count in pods:
        for container in template["spec"]["containers"]:
            for resource, quantity in container["resources"]["requests"].items():
                total[resource] += count * number(str(quantity))  # type: ignore[assignment]
    return total


def test_two_studies_fit_the_queue_and_a_third_waits() -> None:
    flavor, cluster_queue, queue = documents("kueue.yaml")
    (patch,) = documents("kueue-patch.yaml")
    (before,) = documents("rayjob.yaml")
    job = patched(before, patch)
    assert job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": queue["metadata"]["name"]}
    assert queue["spec"]["clusterQueue"] == cluster_queue["metadata"]["name"]
    spec = job["spec"]
    assert (spec["shutdownAfterJobFinishes"], spec["rayClusterSpec"]["enableInTreeAutoscaling"]) == (True, False)
    for group in spec["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["minReplicas"] == group["replicas"] == group["maxReplicas"], "Kueue counts `replicas`"
    (group,) = cluster_queue["spec"]["resourceGroups"]
    (quota,) = group["flavors"]
    assert quota["name"] == flavor["metadata"]["name"]
    offered = {each["name"]: number(each["nominalQuota"]) for each in quota["resources"]}
    asked = requests(job)
    assert set(asked) == set(group["coveredResources"]) == set(offered)
    assert {name: int(offered[name] // asked[name]) for name in asked} == dict.fromkeys(asked, 2)
