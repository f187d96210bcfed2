"""Environment variables of a job: which are sent along, which are private, and how private ones reach its processes.

Ray writes a job's `env_vars` into its logs and shows them to anyone who may list jobs. Private ones therefore travel in a
file of the job's working folder, which every process of the job reads as it starts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

from cluster.errors import ClusterError

FILE = ".hpo-environment"
LOAD = "cluster.variables.load"  # what Ray calls in each worker process of a job with private variables
PRIVATE = "HPO_PRIVATE"  # in the job's processes: the names of the private variables, for those who log environments
# Settings of S3 that are no secrets: sent with every job. Keys are sent only when they are asked for.
AWS_SETTINGS = (
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(?i)(?:^|_)(?:token|secret|password|passwd|key|credentials?)(?:$|_)")
_EXPANDED = re.compile(r"\$(?:\{\w+\}|[A-Za-z_])")  # Ray replaces these in what it is given as env_vars
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "$": "$"}


class VariableError(ClusterError):
    """A variable that cannot be given to a job. Never quotes a value."""


def asked(
    settings: Sequence[str], files: Sequence[Path], here: Mapping[str, str] = os.environ
) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the visible and the private variables of a job.

    settings: NAME=VALUE, visible, or NAME, which takes its value from `here` and is private. files: dotenv files, private.
    S3's settings in `here` are added to the visible ones. Later ones win; `settings` win over files. Raises VariableError.
    """
    visible = {name: here[name] for name in AWS_SETTINGS if name in here}
    private = {name: value for path in files for name, value in read(path).items()}
    for setting in settings:
        name, given, value = setting.partition("=")
        _check_setting(name, value, shown=bool(given), known=name in here)
        private.pop(name, None)
        visible.pop(name, None)
        (visible if given else private)[name] = value if given else here[name]
    return {name: value for name, value in visible.items() if name not in private}, private


def _check_setting(name: str, value: str, *, shown: bool, known: bool) -> None:
    if not _NAME.fullmatch(name):
        raise VariableError(f"--env must be NAME=VALUE or NAME, a name of letters, digits and _, but got {name!r}")
    if not shown and not known:
        raise VariableError(f"--env {name} takes its value from your environment, but {name} is not set; set it first")
    if shown and _SECRET.search(name):
        raise VariableError(
            f"--env {name}=... would show its value in Ray's logs; write --env {name} to take it from your environment, "
            "or put it into a file for --env-from"
        )
    if shown and _EXPANDED.search(value):
        raise VariableError(
            f"the value of --env {name} must not contain $NAME or ${{NAME}}, which Ray would replace; "
            "put it into a file for --env-from"
        )


def read(path: Path) -> dict[str, str]:
    """Returns the variables of a dotenv file: lines NAME=VALUE, with `export`, quotes and comments as in a shell.

    Expands nothing: what is in quotes is meant as it stands, but for \\n, \\t, \\", \\\\ and \\$ in double ones. Raises
    VariableError with the file and the line, never with what the line says.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise VariableError(f"--env-from must name a file that can be read, but {path} cannot: {reason}") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("export ").lstrip()
        if not text or text.startswith("#"):
            continue
        name, given, rest = text.partition("=")
        value = _unquoted(rest.strip()) if given and "\0" not in rest else None
        if value is None or not _NAME.fullmatch(name.rstrip()):
            raise VariableError(
                f"{path}, line {number}, must be NAME=VALUE, with the quotes of a value closed on the same line, but is not"
            )
        found[name.rstrip()] = value
    return found


def _unquoted(text: str) -> str | None:
    """Returns a value without its quotes and the comment behind it; None if a quote is open."""
    if text[:1] not in ("'", '"'):
        return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].rstrip()
    quoted = re.fullmatch(r"'([^']*)'\s*(?:#.*)?" if text[0] == "'" else r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', text)
    if quoted is None:
        return None
    if text[0] == "'":
        return quoted[1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), quoted[1])


def packed(private: Mapping[str, str]) -> dict[str, bytes]:
    """Returns the file for the job's working folder, by its name; nothing without private variables."""
    return {FILE: json.dumps(dict(private), sort_keys=True).encode()} if private else {}


def load(folder: Path = Path(), environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets the private variables of the job that this process belongs to; Ray calls it in each worker process first."""
    try:
        private = json.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return
    environment.update({**private, PRIVATE: ",".join(private)})
