"""Runs in the image's root what KubeRay 1.7 runs in the pods of deploy/kuberay/rayjob.yaml; launch.py calls it inside.

The commands are those that the operator builds (controllers/ray/common: pod.go and job.go): the head's, a worker's wait for
it, the submitter's, and the probes, which have no token. The study file is missing, so that the study is refused: the job
must end as STOPPED, which the operator does not retry.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

HEAD = (
    "ulimit -n 65536; ray start --head --block --dashboard-agent-listen-port=52365 --dashboard-host=0.0.0.0 "
    "--memory=8589934592 --metrics-export-port=8080 --no-monitor --num-cpus=0"
)
SUBMIT = """until python -c "import urllib.request; r=urllib.request.urlopen('{url}/api/gcs_healthz', timeout=5); \
exit(0 if b'success' in r.read() else 1)" >/dev/null 2>&1 ; do echo "Waiting for Ray Dashboard GCS" ; sleep 2 ; done ; \
if ! ray job status --address {url} {job} >/dev/null 2>&1 ; then ray job submit --address {url} --no-wait \
--submission-id {job} -- {entrypoint} ; fi ; ray job logs --address {url} --follow {job}"""
URL, JOB = "http://127.0.0.1:8265", "hpo-study-abcde"
PROBES = {"the operator's probe": "http://127.0.0.1:52365/api/healthz", "Prometheus": "http://127.0.0.1:8080/metrics"}


class Pod:
    """The environment of a container: the image's, and what the operator adds."""

    def __init__(self) -> None:
        image = dict(line.split("=", 1) for line in Path("/etc/launch-environment").read_text().splitlines())
        self._environment = image | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, command: str, options: str = "-c", **more: Any) -> subprocess.Popen[str]:
        where = "/home/hpo/work"
        return subprocess.Popen(
            ["/bin/bash", options, "--", command], env=self._environment, cwd=where, text=True, **more
        )

    def ask(self, command: str, options: str = "-c") -> str:
        """Runs a command to its end and returns its output. Raises CalledProcessError if it does not end with 0."""
        asked = self.start(command, options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = asked.communicate(timeout=300)
        if asked.returncode != 0:
            raise SystemExit(f"rayjob: must end with 0, but ended with {asked.returncode}: {command}\n{output}")
        return output


def answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def play(manifest: Path) -> None:
    """Starts the head and submits the manifest's entrypoint."""
    entrypoint = yaml.safe_load(manifest.read_text())["spec"]["entrypoint"]
    pod = Pod()
    head = pod.start(HEAD, stdout=subprocess.DEVNULL)
    try:
        for options in ("-c", "-cl"):  # -cl: where the operator has ENABLE_LOGIN_SHELL
            pod.ask("until ray health-check --address 127.0.0.1:6379 > /dev/null 2>&1; do sleep 1; done", options)
        pod.ask("ray kuberay-autoscaler --help")
        print(pod.ask(SUBMIT.format(url=URL, job=JOB, entrypoint=entrypoint), "-ce"), flush=True)
        status = pod.ask(f"ray job status --address {URL} {JOB}")
        if "stopped" not in status:
            raise SystemExit(f"rayjob: a study that is refused must end as STOPPED, but got: {status}")
        for who, url in PROBES.items():
            end = time.monotonic() + 60
            while not answers(url):
                if time.monotonic() > end:
                    raise SystemExit(f"rayjob: {who} must get an answer from {url} without a token, but got none")
                time.sleep(1)
    finally:
        head.terminate()
        head.wait(60)
