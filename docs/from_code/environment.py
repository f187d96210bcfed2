"""The environment variables that users may set; a test compares their names with the code. Pure."""

from __future__ import annotations

from docs.from_code import tables

VARIABLES = {
    "HPO_ACTIVATIONS_DISK": ("nodes", "50G", "The most that reused activations take in files of a node's cache."),
    "HPO_ACTIVATIONS_MEMORY": ("nodes", "1G", "The most that reused activations take in shared memory of a node."),
    "HPO_BENCHMARKS": (
        "client",
        "",
        "Folder where `hpo benchmarks` and `--curves NAME` find public benchmarks by name.",
    ),
    "HPO_CACHE": ("nodes", "~/.cache/hpo-arena", "Folder of decoded images and kept activations."),
    "HPO_DEPLOY": ("Slurm job", "deploy", "Folder of `head.sh` and `worker.sh`."),
    "HPO_HOSTS": (
        "driver",
        "",
        "Folder of the environments of other libraries, see `hpo host add`; by default below `XDG_DATA_HOME`.",
    ),
    "HPO_IMAGE": ("driver", "", "The container image, which the store records."),
    "HPO_JOB_ADDRESS": ("client", "", "Default of `--address` for `hpo submit`, `jobs`, `logs` and `stop`."),
    "HPO_MPS": ("nodes", "", "`1`: trials that share a GPU run under NVIDIA's Multi-Process Service."),
    "HPO_RANKS_BACKEND": ("nodes", "", "`nccl` or `gloo`: how the processes of a trial with several GPUs meet."),
    "HPO_SERVE_TOKEN": ("service", "", "One more token of `hpo serve`, an admin's, of at least 16 characters."),
    "HPO_SERVICE": ("client", "", "Address of a service: the default of `hpo --service` and of `hpo.connect`."),
    "HPO_SERVICE_CA": ("client", "", "File with the certificate of an authority that the service's may come from."),
    "HPO_SERVICE_TOKEN": (
        "client",
        "",
        "Token for the service; by default the one that `hpo --service URL login` keeps.",
    ),
    "HPO_SPOOL": (
        "driver",
        "",
        "Folder for results that a store does not have yet; by default below `XDG_STATE_HOME`.",
    ),
    "HPO_STOP_SECONDS": ("head.sh", "75", "Seconds that an interrupted command has to write its results."),
    "HPO_STORE_AWAY": ("driver", "2", "Exit code where a store does not answer."),
}

INTERNAL = {"HPO_PRIVATE", "HPO_SUBMITTED"}
"""Variables that processes of this project set for one another."""


def table() -> str:
    """Returns the table of environment variables."""
    rows = [
        (tables.code(name), where, tables.code(default), about) for name, (where, default, about) in VARIABLES.items()
    ]
    return tables.table(("variable", "read by", "default", "meaning"), rows)
