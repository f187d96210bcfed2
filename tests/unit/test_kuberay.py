"""The manifests of deploy/kuberay against KubeRay's and Kubernetes' schemas, and against what their pods must be able to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CRDS = ROOT.parent / "shared" / "data" / "kuberay-crds"  # of KubeRay 1.7


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def closed(schema: Any) -> Any:
    """Returns a CRD's schema that refuses unknown fields, which the API server would drop silently."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    new = {name: closed(part) for name, part in schema.items()}
    if "properties" in new and not new.get("x-kubernetes-preserve-unknown-fields"):
        new.setdefault("additionalProperties", False)
    return new


def validator(name: str) -> jsonschema.Draft4Validator:
    """Returns a validator of KubeRay's objects that refuses unknown fields."""
    if not CRDS.is_dir():
        pytest.skip(f"KubeRay's custom resource definitions are not at {CRDS}")
    definition = documents(CRDS / f"ray.io_{name}s.yaml")[0]
    version = next(v for v in definition["spec"]["versions"] if v["name"] == "v1")
    return jsonschema.Draft4Validator(closed(version["schema"]["openAPIV3Schema"]))


def cluster(name: str) -> dict[str, Any]:
    """Returns the specification of a manifest's Ray cluster."""
    spec: dict[str, Any] = documents(DEPLOY / "kuberay" / f"{name}.yaml")[0]["spec"]
    return spec.get("rayClusterSpec", spec)


@pytest.mark.parametrize("name", ["rayjob", "raycluster"])
def test_manifests_keep_to_kuberays_schemas(name: str) -> None:
    manifest = documents(DEPLOY / "kuberay" / f"{name}.yaml")[0]
    assert (manifest["kind"].lower(), manifest["apiVersion"]) == (name, "ray.io/v1")
    validator(name).validate(manifest)
    with pytest.raises(jsonschema.ValidationError, match="rayversion"):
        validator(name).validate(manifest | {"spec": manifest["spec"] | {"rayversion": "2"}})


def test_either_way_to_keep_the_heads_state_fits_the_schema() -> None:
    text = (DEPLOY / "kuberay" / "raycluster.yaml").read_text()
    ways = re.findall(r"^  # (gcsFaultToleranceOptions: .+)$", text, re.M)
    assert len(ways) == 2
    for way in ways:
        manifest = yaml.safe_load(text.replace(f"# {way}", way))
        assert "gcsFaultToleranceOptions" in manifest["spec"]
        validator("raycluster").validate(manifest)


@pytest.mark.parametrize("name", ["rayjob", "raycluster"])
def test_pods_require_a_token_and_run_unprivileged(name: str) -> None:
    import ray

    spec = cluster(name)
    assert spec["rayVersion"] == ray.__version__
    assert spec["authOptions"]["mode"] == "token"
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    if name == "rayjob":
        pods.append(documents(DEPLOY / "kuberay" / "rayjob.yaml")[0]["spec"]["submitterPodTemplate"]["spec"])
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}, "1.37", strict=True
        )


@pytest.mark.parametrize("name", ["rayjob", "raycluster"])
def test_clusters_grow_from_no_workers_and_shrink_to_none(name: str) -> None:
    spec = cluster(name)
    assert spec["enableInTreeAutoscaling"] is True
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] == 0 < group["maxReplicas"]
        assert "replicas" not in group, "applying the file again would end the workers that the autoscaler asked for"


@pytest.mark.parametrize("name", ["rayjob", "raycluster"])
def test_only_the_autoscaler_may_talk_to_kubernetes(name: str) -> None:
    """A driver runs users' code: it must not be able to start pods."""
    spec = cluster(name)
    head = spec["headGroupSpec"]["template"]["spec"]
    [mount] = spec["autoscalerOptions"]["volumeMounts"]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert mount["name"] in {volume["name"] for volume in head["volumes"]}
    for pod in [head, *(group["template"]["spec"] for group in spec["workerGroupSpecs"])]:
        assert pod["automountServiceAccountToken"] is False
        assert all(one["name"] != mount["name"] for container in pod["containers"] for one in container["volumeMounts"])


def test_a_rayjob_retries_what_may_pass_and_ends() -> None:
    spec = documents(DEPLOY / "kuberay" / "rayjob.yaml")[0]["spec"]
    assert spec["entrypoint"].startswith("python -m cluster.entrypoint hpo run ")
    assert spec["backoffLimit"] > 0
    assert spec["activeDeadlineSeconds"] > spec["preRunningDeadlineSeconds"] > 0


def test_shared_kubernetes_objects() -> None:
    objects = documents(DEPLOY / "kuberay" / "shared.yaml")
    accounts = [thing["metadata"]["name"] for thing in objects if thing["kind"] == "ServiceAccount"]
    assert accounts == ["hpo", "hpo-head"]
    assert [thing["kind"] for thing in objects][2:] == ["PersistentVolumeClaim", "NetworkPolicy"]
    for thing in objects:
        assert kubernetes_validate.validate(thing, "1.37", strict=True)


def test_the_service_keeps_to_kubernetes_schemas_and_to_its_own_command() -> None:
    from typer.main import get_command
    from typer.testing import CliRunner

    from hpo.cli.app import app

    objects = documents(DEPLOY / "kuberay" / "service.yaml")
    kinds = ["ServiceAccount", "PersistentVolumeClaim", "Deployment", "Service", "NetworkPolicy"]
    assert [thing["kind"] for thing in objects] == kinds
    for thing in objects:
        assert kubernetes_validate.validate(thing, "1.37", strict=True)
    deployment, service, policy = objects[2:]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    secure = container["securityContext"]
    assert (secure["readOnlyRootFilesystem"], secure["allowPrivilegeEscalation"], pod["securityContext"]["runAsNonRoot"]) == (
        True, False, True
    )  # fmt: skip
    assert pod["automountServiceAccountToken"] is False
    assert "hpo-head-svc:8265" in next(word for word in container["command"] if word.startswith("--address"))
    options = {name for parameter in get_command(app).commands["serve"].params for name in parameter.opts}  # type: ignore[attr-defined]
    assert {word.partition("=")[0] for word in container["command"][3:]} <= options
    assert CliRunner().invoke(app, [*container["command"][1:], "--help"]).exit_code == 0
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"/api/v1/health", "/api/v1/health/ready"}
    secrets = {entry["valueFrom"]["secretKeyRef"]["name"] for entry in container["env"] if "valueFrom" in entry}
    assert all(f"secret generic {name}" in (DEPLOY / "kuberay" / "README.md").read_text() for name in secrets)
    writable = {mount["name"] for mount in container["volumeMounts"]}
    assert writable == {volume["name"] for volume in pod["volumes"]}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"] == labels == SERVICE


SERVICE = {"app": "hpo-service"}
RAY = {"ray.io/is-ray-node": "yes"}
SUBMITTER = {"ray.io/originated-from-crd": "RayJob", "ray.io/originated-from-cr-name": "hpo-study"}
HELM = {"app.kubernetes.io/name": "kuberay-operator", "app.kubernetes.io/component": "kuberay-operator"}
KUSTOMIZE = {"app.kubernetes.io/name": "kuberay", "app.kubernetes.io/component": "kuberay-operator"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus", "prometheus": "k8s"}


def reaches(policy: dict[str, Any], labels: dict[str, str], port: int, *, same_namespace: bool) -> bool:
    """Returns whether a pod with these labels reaches a Ray pod's TCP port, as a network plugin decides."""
    for rule in policy["spec"]["ingress"]:
        peers = [
            peer["podSelector"]["matchLabels"].items() <= labels.items()
            and (same_namespace or "namespaceSelector" in peer)
            for peer in rule["from"]
        ]
        if any(peers) and port in [entry["port"] for entry in rule.get("ports", [{"port": port}])]:
            return True
    return False


@pytest.mark.parametrize(
    ("labels", "same_namespace", "open_ports"),
    [(RAY, True, {6379, 8265, 8080, 10002}), (SUBMITTER, True, {8265}), (SERVICE, True, {8265}),
     (SERVICE, False, set()), (HELM, False, {8265}), (HELM, True, {8265}),
     (KUSTOMIZE, False, {8265}), (PROMETHEUS, False, {8080}), ({"app": "shop"}, True, set()), (RAY, False, set()),
     (SUBMITTER, False, set())],
)  # fmt: skip
def test_only_those_who_must_reach_a_ray_pod_do(
    labels: dict[str, str], same_namespace: bool, open_ports: set[int]
) -> None:
    policy = documents(DEPLOY / "kuberay" / "shared.yaml")[-1]
    assert policy["spec"]["podSelector"]["matchLabels"] == RAY
    asked = (6379, 8265, 8080, 10002)
    assert {port for port in asked if reaches(policy, labels, port, same_namespace=same_namespace)} == open_ports


def test_images_are_named_by_digest() -> None:
    for path in [DEPLOY / "aws" / "cluster.yaml", *(DEPLOY / "kuberay").glob("*.yaml")]:
        for image in re.findall(r"image: (?:&image )?([^*\s]\S*)", path.read_text()):
            assert image == "REGISTRY/hpo-arena@sha256:DIGEST", path
