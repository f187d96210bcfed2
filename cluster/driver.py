"""Runs a job's command as its driver should run: `python -m cluster.driver COMMAND`. Replaces itself by the command."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import MutableMapping

from cluster import variables

JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # what Ray tells a job's driver about its job
_NICENESS = "RAY_worker_niceness"


def wrapped(command: str) -> str:
    """Returns the shell command that runs `command` through this module."""
    return shlex.join(("python", "-m", "cluster.driver", command))


def prepare(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets the job's private variables, and lets its trials run at Ray's low priority for workers (nice 15).

    Ray runs drivers at nice 0. It takes that over for the trials of a driver that reserves something, which then
    compete with every driver on the node.
    """
    variables.load(environment=environment)
    if JOB_CONFIG in environment:
        config = json.loads(environment[JOB_CONFIG])
        (config.get("runtime_env") or {}).get("env_vars", {}).pop(_NICENESS, None)
        environment[JOB_CONFIG] = json.dumps(config)


if __name__ == "__main__":
    prepare()
    os.execvp("sh", ("sh", "-c", sys.argv[1]))
