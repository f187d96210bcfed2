"""The environment that a study runs in: versions, hardware, commit. Reads this machine; writes nothing."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from typing import Any

from hpo.errors import StudyError, how_to_install
from hpo.text import encodable

PACKAGES = (
    "hpo-arena", "ray", "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn",
    "bayesian-optimization", "hyperopt", "pyarrow",
)  # fmt: skip

REQUIRED = ("ray", "numpy", "scipy", "scikit-learn", "pyarrow")  # where this project is not installed as a package
OLDEST, NEWEST = (3, 11), (3, 14)  # Pythons: as the wheels of torch and ray


def versions() -> dict[str, str]:
    """Returns the installed versions of the packages that results may depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def collect() -> dict[str, Any]:
    """Returns what `machine` does and, in a git repository, the working folder's commit."""
    return {**machine(), "git_commit": _commit()}


def node() -> str:
    """Returns this machine's host name and what `machine` finds, as a line of JSON: workers tell it, each for its node."""
    return json.dumps({"host": encodable(socket.gethostname()), **machine()}, sort_keys=True)


def machine() -> dict[str, Any]:
    """Returns versions, processor and memory in GiB; in a container also its image.

    The image is what `HPO_IMAGE` holds, such as "hpo-arena:cpu@sha256:...".
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "packages": versions(),
        **({"image": encodable(image)} if (image := os.environ.get("HPO_IMAGE", "").strip()) else {}),
    }


def nodes(stored: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns what `node` told of each host, by its name, from a study's stored environment; none of earlier versions'."""
    told = stored.get("trained_on")
    found = {}
    for text in told.get("node", ()) if isinstance(told, Mapping) else ():
        with suppress(ValueError, TypeError, KeyError):  # a store that somebody edited: verifying it says so
            about = dict(json.loads(text))
            found[str(about.pop("host"))] = about
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--match="]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def check_torch() -> None:
    """Raises StudyError unless torch and torchvision match: torch 2.N needs torchvision 0.(N+15)."""
    found = versions()
    missing = [name for name in ("torch", "torchvision") if name not in found]
    if missing:
        raise StudyError(
            f"fine-tuning needs torch and torchvision, but {missing[0]} is not installed: {how_to_install('torch')}"
        )
    torch, vision = (found[name].split("+") for name in ("torch", "torchvision"))
    minor, vision_minor = int(torch[0].split(".")[1]), int(vision[0].split(".")[1])
    if torch[0].startswith("2.") and vision_minor != minor + 15:
        raise StudyError(
            f"torch 2.{minor} needs torchvision 0.{minor + 15}, but torch {found['torch']} and torchvision "
            f"{found['torchvision']} are installed; install the pair in requirements.lock"
        )
    if torch[1:] == ["cpu"] and vision[1:] != ["cpu"]:
        raise StudyError(
            f"a CPU build of torch ({found['torch']}) needs the CPU build of torchvision, but {found['torchvision']} "
            "is installed; install both from the same source"
        )


def check_python() -> None:
    """Raises StudyError for a Python for which torch or Ray has no wheels."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise StudyError(
            f"Python must be {_dotted(OLDEST)} to {_dotted(NEWEST)}, but this is {_dotted(sys.version_info[:2])}; "
            "make the environment with another one: `make .venv/ready PYTHON=python3.13`"
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def lacking() -> list[str]:
    """Returns what of this project's requirements is not installed, or not in a version that it needs, one phrase each."""
    from packaging.requirements import Requirement

    found = []
    try:
        needed = metadata.requires("hpo-arena") or []
    except metadata.PackageNotFoundError:  # it runs from a folder, which declares nothing
        needed = list(REQUIRED)
    for requirement in map(Requirement, needed):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            found.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name} must be {requirement.specifier}, but is {version}")
    return found


def gpus_of_torch() -> int | None:
    """Returns how many GPUs torch starts here, asked in a process of its own; None if it cannot be asked."""
    command = [
        sys.executable,
        "-c",
        "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        return int(answer.split()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None
