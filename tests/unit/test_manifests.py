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


def test_instances_keep_to_the_service_model_of_ec2() -> None:
    session = botocore.session.get_session()
    shape = session.get_service_model("ec2").operation_model("RunInstances").input_shape
    for name, node in documents(DEPLOY / "aws" / "cluster.yaml")[0]["available_node_types"].items():
        request = node["node_config"] | {"MinCount": 1, "MaxCount": 1}
        assert not ParamValidator().validate(request, shape).has_errors(), name
    wrong = {"MinCount": 1, "MaxCount": 1, "InstanceMarket": "spot"}
    assert ParamValidator().validate(wrong, shape).has_errors()


# -- Kubernetes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rayjob", "raycluster"])
def test_manifests_keep_to_kuberays_schemas(name: str) -> None:
    if not CRDS.is_dir():
        pytest.skip(f"KubeRay's custom resource definitions are not at {CRDS}")
    manifest = documents(DEPLOY / "kuberay" / f"{name}.yaml")[0]
    definition = documents(CRDS / f"ray.io_{name}s.yaml")[0]
    version = next(v for v in definition["spec"]["versions"] if v["name"] == manifest["apiVersion"].split("/")[1])
    assert manifest["kind"] == definition["spec"]["names"]["kind"]
    validator = jsonschema.Draft4Validator(closed(version["schema"]["openAPIV3Schema"]))
    validator.validate(manifest)
    with pytest.raises(jsonschema.ValidationError, match="rayversion"):
        validator.validate(manifest | {"spec": manifest["spec"] | {"rayversion": "2"}})


@pytest.mark.parametrize("name", ["rayjob", "raycluster"])
def test_pods_require_a_token_and_run_unprivileged(name: str) -> None:
    import ray

    spec = documents(DEPLOY / "kuberay" / f"{name}.yaml")[0]["spec"]
    spec = spec.get("rayClusterSpec", spec)
    assert spec["rayVersion"] == ray.__version__
    assert spec["authOptions"]["mode"] == "token"
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        assert pod["securityContext"]["runAsNonRoot"] is True
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}, "1.37", strict=True
        )


def test_shared_kubernetes_objects() -> None:
    objects = documents(DEPLOY / "kuberay" / "shared.yaml")
    assert [thing["kind"] for thing in objects] == ["ServiceAccount", "PersistentVolumeClaim", "NetworkPolicy"]
    for thing in objects:
        assert kubernetes_validate.validate(thing, "1.37", strict=True)


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
