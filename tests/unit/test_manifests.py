"""The files of deploy/ and docker/ against the schemas and linters of the tools that read them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import kubernetes_validate
import pytest
import yaml
from botocore.validate import ParamValidator

ROOT = Path(__file__).parents[2]
DEPLOY, DOCKER = ROOT / "deploy", ROOT / "docker"
CRDS = ROOT.parent / "shared" / "data" / "kuberay-crds"
BIN = Path(sys.executable).parent


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


# -- AWS ----------------------------------------------------------------------------------------------------------


def test_cluster_launcher_keeps_to_rays_schema() -> None:
    import ray.autoscaler

    config = documents(DEPLOY / "aws" / "cluster.yaml")[0]
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config | {"worker_nodes": {}}, schema)


def test_cluster_launcher_passes_rays_own_validation() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(documents(DEPLOY / "aws" / "cluster.yaml")[0])
    validate_config(config)
    types = config["available_node_types"]
    assert types["head"]["resources"]["CPU"] == 0
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    assert types["spot_gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert (types["spot_gpu"]["min_workers"], types["spot_gpu"]["max_workers"]) == (0, 4)


def test_cluster_launcher_installs_nothing_in_the_image() -> None:
    """What a file leaves out the launcher fills with its defaults: another Ray by pip, for another Python."""
    from ray.autoscaler._private.util import prepare_config

    config = prepare_config(documents(DEPLOY / "aws" / "cluster.yaml")[0])
    for commands in ("initialization_commands", "head_setup_commands", "worker_setup_commands"):
        assert config[commands] == [], commands


def test_the_image_has_what_the_launcher_runs_in_it() -> None:
    """`make launch` runs it; this says sooner which part is gone."""
    _, _, image = (DOCKER / "Dockerfile").read_text().rpartition("\nFROM ")
    installed = re.search(r"apt-get install .*--no-install-recommends (.+?) \\", image)
    assert installed
    assert {"openssh-client", "rsync"} <= set(installed[1].split())
    first = re.search(r"PATH=(\S+):\$PATH", image)
    login = re.search(r'echo "PATH=(\S+):\\\$PATH" > /etc/profile\.d/\w+\.sh', image)
    assert first
    assert login
    assert first[1] == login[1]
    home = re.search(r"ENV HOME=(\S+)", image)
    assert home
    mounts = documents(DEPLOY / "aws" / "cluster.yaml")[0]["file_mounts"]
    assert all(path.startswith(f"{home[1]}/") for path in mounts)


def test_instances_keep_to_the_service_model_of_ec2() -> None:
    session = botocore.session.get_session()
    shape = session.get_service_model("ec2").operation_model("RunInstances").input_shape
    for name, node in documents(DEPLOY / "aws" / "cluster.yaml")[0]["available_node_types"].items():
        request = node["node_config"] | {"MinCount": 1, "MaxCount": 1}
        assert not ParamValidator().validate(request, shape).has_errors(), name
    wrong = {"MinCount": 1, "MaxCount": 1, "InstanceMarket": "spot"}
    assert ParamValidator().validate(wrong, shape).has_errors()


# -- Kubernetes ---------------------------------------------------------------------------------------------------


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
    [(RAY, True, {6379, 8265, 8080, 10002}), (SUBMITTER, True, {8265}), (HELM, False, {8265}), (HELM, True, {8265}),
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


# -- scripts ------------------------------------------------------------------------------------------------------

SCRIPTS = sorted([*DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.sbatch"), *DOCKER.rglob("*.sh")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_clean(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, check=False).returncode == 0
    found = subprocess.run([str(BIN / "shellcheck"), "-x", str(script)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


# -- containers ---------------------------------------------------------------------------------------------------


def test_dockerfile_is_clean() -> None:
    command = [str(BIN / "hadolint"), "--config", str(DOCKER / "hadolint.yaml"), str(DOCKER / "Dockerfile")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_files_that_the_dockerfile_copies_exist() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M) for word in line.split()[:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_rehearsal_follows_a_dockerfile(tmp_path: Path) -> None:
    sys.path.insert(0, str(DOCKER))
    try:
        from rehearse import Rehearsal, steps
    finally:
        sys.path.remove(str(DOCKER))
    text = r"""
ARG WHO=nobody
WORKDIR /src
# a comment
COPY LICENSE docker/health.sh ./
COPY docker/entrypoint.sh /usr/local/bin/
COPY cluster ./cluster
RUN useradd --uid 1000 hpo \
    && install -d -o hpo -g hpo -m 700 /home/hpo \
    && echo "$WHO" > /home/hpo/who
ENV PATH=/opt/hpo/bin:$PATH
USER 1000
RUN entrypoint.sh cat /home/hpo/who > said
"""
    rehearsal = Rehearsal(tmp_path, {"WHO": "somebody"})
    for word, rest in steps(text):
        rehearsal.take(word, rest)
    assert (tmp_path / "src" / "said").read_text() == "somebody\n"
    assert (tmp_path / "home" / "hpo").stat().st_mode & 0o777 == 0o700
    assert {path.name for path in (tmp_path / "src").iterdir()} == {"LICENSE", "health.sh", "cluster", "said"}
    assert (tmp_path / "src" / "cluster" / "tokens.py").exists()
    assert rehearsal.variables["PATH"].startswith(f"{tmp_path}/opt/hpo/bin:")
    rehearsed = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in steps((DOCKER / "Dockerfile").read_text())} <= rehearsed


def test_compose_services_fit_together() -> None:
    compose = documents(DOCKER / "compose.yaml")[0]
    services = compose["services"]
    assert {"token", "s3", "bucket", "head", "worker", "study"} == set(services)
    assert services["worker"]["deploy"]["replicas"] == 2
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for published in service.get("ports", []):
            assert published.startswith("127.0.0.1:"), f"{name} is open to the network at {published}"
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], name
