"""The files of deploy/aws and docker/, and all scripts, against the schemas and linters of the tools that read them."""

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
import pytest
import yaml
from botocore.validate import ParamValidator

ROOT = Path(__file__).parents[2]
DEPLOY, DOCKER = ROOT / "deploy", ROOT / "docker"
BIN = Path(sys.executable).parent


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


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


def test_rays_provider_starts_the_instances_that_the_file_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own code asks moto's EC2, which checks requests and remembers instances as AWS does."""
    import boto3
    from moto import mock_aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler._private.util import prepare_config

    monkeypatch.setenv("HOME", str(tmp_path))  # a key pair is created there
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "for-moto")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    (tmp_path / ".ssh").mkdir()
    config = prepare_config(documents(DEPLOY / "aws" / "cluster.yaml")[0])
    region = config["provider"]["region"]
    with mock_aws():
        ec2 = boto3.client("ec2", region_name=region)
        image = ec2.describe_images()["Images"][0]["ImageId"]
        for node in config["available_node_types"].values():
            profile = node["node_config"]["IamInstanceProfile"]["Name"]
            boto3.client("iam", region_name=region).create_instance_profile(InstanceProfileName=profile)
            node["node_config"]["ImageId"] = image
        config = AWSNodeProvider.bootstrap_config(AWSNodeProvider.fillout_available_node_types_resources(config))
        provider = AWSNodeProvider(config["provider"], config["cluster_name"])
        for kind, node in config["available_node_types"].items():
            provider.create_node(node["node_config"], {"ray-user-node-type": kind}, 1)
        made = [one for group in ec2.describe_instances()["Reservations"] for one in group["Instances"]]
        opened = ec2.describe_security_groups(GroupNames=["hpo"])["SecurityGroups"][0]["IpPermissions"]
    assert {one["InstanceType"]: one.get("InstanceLifecycle") for one in made} == {
        "m7i.large": None,
        "g5.2xlarge": "spot",
    }
    assert config["available_node_types"]["spot_gpu"]["resources"]["accelerator_type:A10G"] == 1
    assert {rule.get("FromPort") for rule in opened if rule["IpRanges"]} == {22}


def test_instances_keep_to_the_service_model_of_ec2() -> None:
    session = botocore.session.get_session()
    shape = session.get_service_model("ec2").operation_model("RunInstances").input_shape
    for name, node in documents(DEPLOY / "aws" / "cluster.yaml")[0]["available_node_types"].items():
        request = node["node_config"] | {"MinCount": 1, "MaxCount": 1}
        assert not ParamValidator().validate(request, shape).has_errors(), name
    wrong = {"MinCount": 1, "MaxCount": 1, "InstanceMarket": "spot"}
    assert ParamValidator().validate(wrong, shape).has_errors()


# -- scripts ------------------------------------------------------------------------------------------------------

STAND_INS = [DOCKER / "stand_ins" / name for name in ("ssh", "docker")]
SCRIPTS = sorted([*DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.sbatch"), *DOCKER.rglob("*.sh"), *STAND_INS])


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
RUN apt-get update && touch /run/installed
RUN useradd --uid 1000 hpo \
    && install -d -o hpo -g hpo -m 700 /home/hpo \
    && echo "$WHO" > /home/hpo/who \
    && echo login > /etc/profile.d/hpo.sh
ENV PATH=/opt/hpo/bin:$PATH
USER 1000
RUN entrypoint.sh cat /home/hpo/who > said
"""
    rehearsal = Rehearsal(tmp_path, {"WHO": "somebody"})
    for word, rest in steps(text):
        rehearsal.take(word, rest)
    assert (tmp_path / "src" / "said").read_text() == "somebody\n"
    assert (tmp_path / "etc" / "profile.d" / "hpo.sh").read_text() == "login\n"
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "home" / "hpo").stat().st_mode & 0o777 == 0o700
    assert {path.name for path in (tmp_path / "src").iterdir()} == {"LICENSE", "health.sh", "cluster", "said"}
    assert (tmp_path / "src" / "cluster" / "tokens.py").exists()
    assert rehearsal.variables["PATH"].startswith(f"{tmp_path}/opt/hpo/bin:")
    rehearsed = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in steps((DOCKER / "Dockerfile").read_text())} <= rehearsed


def test_compose_services_fit_together() -> None:
    compose = documents(DOCKER / "compose.yaml")[0]
    services = compose["services"]
    assert {"token", "s3", "bucket", "head", "worker", "study", "serve"} == set(services)
    assert services["worker"]["deploy"]["replicas"] == 2
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for published in service.get("ports", []):
            assert published.startswith("127.0.0.1:"), f"{name} is open to the network at {published}"
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], name
