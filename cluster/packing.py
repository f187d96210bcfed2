"""Packs a job's working folder into one zip file: never a secret, and the same bytes for the same files."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cluster.errors import ClusterError

EXCLUDED = (
    ".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".*_cache", ".hypothesis", ".ipynb_checkpoints",
    "*.pyc", "*.egg-info", "build", "dist", "results", "scratch", "*.parquet", "*.ckpt", ".DS_Store", "core.[0-9]*",
)  # fmt: skip
SECRET = (
    ".env", ".env.*", ".netrc", ".ssh", ".aws", ".kube", ".docker", ".gnupg", "*.pem", "*.key", "*.p12", "id_rsa*",
    "id_ed25519*", "auth_token", "credentials", "credentials.json", ".hpo-environment",
)  # fmt: skip
LIMIT = 100 * 2**20  # bytes: a job's folder passes through the head's memory to every node
_EPOCH = (1980, 1, 1, 0, 0, 0)


class PackError(ClusterError):
    """A working folder that cannot be sent with a job."""


def files(root: Path, *, excludes: Sequence[str] = ()) -> list[Path]:
    """Returns the files of `root` to send, relative to it and sorted.

    Leaves out what git ignores and what matches EXCLUDED, SECRET or `excludes`, each a pattern for any part of a path.
    Does not follow links to folders.
    """
    patterns = (*EXCLUDED, *SECRET, *excludes)
    found = _tracked(root) or _walked(root, patterns)
    return sorted(p for p in found if not _matches(p, patterns) and (root / p).is_file())


def pack(
    root: Path | None, destination: Path, *, excludes: Sequence[str] = (), needed: Sequence[Path] = (),
    private: Mapping[str, bytes] | None = None,
) -> Path:  # fmt: skip
    """Packs `root` into the zip file `destination`, with the `needed` files even if git ignores them.

    Adds the `private` files, by name, readable by their owner alone; without a `root` only those. Raises PackError if
    there is no such folder, if a needed file is missing, or above LIMIT bytes in total.
    """
    chosen = [] if root is None else _chosen(root, excludes, needed)
    with zipfile.ZipFile(destination, "w", zipfile.ZIP_DEFLATED) as archive:
        destination.chmod(0o600)
        for path in chosen:
            assert root is not None
            _add(archive, path.as_posix(), (root / path).read_bytes(), (root / path).stat().st_mode)
        for name, content in (private or {}).items():
            _add(archive, name, content, 0o600)
    return destination


def _chosen(root: Path, excludes: Sequence[str], needed: Sequence[Path]) -> list[Path]:
    if not root.is_dir():
        raise PackError(f"the working folder must exist, but {root} is not a folder")
    chosen = sorted({*files(root, excludes=excludes), *(_inside(root, path) for path in needed)})
    _check_size(root, chosen)
    return chosen


def _add(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)  # no times: the same files make the same package
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (mode & 0o777) << 16
    archive.writestr(entry, content)


def _inside(root: Path, path: Path) -> Path:
    """Returns `path` (absolute, or relative to `root`) relative to `root`."""
    whole = (root / path).resolve()
    if not whole.is_relative_to(root.resolve()) or not whole.is_file():
        raise PackError(f"{path} must be a file in the working folder {root}, but it is not")
    return whole.relative_to(root.resolve())


def _tracked(root: Path) -> list[Path]:
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [Path(os.fsdecode(name)) for name in answer.stdout.split(b"\0") if name]


def _walked(root: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _matches(Path(name), patterns)]
        for name in names:
            yield (Path(folder) / name).relative_to(root)


def _matches(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(part, pattern) for part in path.parts for pattern in patterns)


def _check_size(root: Path, chosen: Sequence[Path]) -> None:
    sizes = {path: (root / path).stat().st_size for path in chosen}
    total = sum(sizes.values())
    if total > LIMIT:
        largest = max(sizes, key=lambda path: sizes[path])
        raise PackError(
            f"a job's working folder must be at most {LIMIT // 2**20} MiB, but {root} has {total / 2**20:.0f} MiB "
            f"(the largest file is {largest} with {sizes[largest] / 2**20:.0f} MiB); put data where the nodes reach "
            "them and exclude them, or choose a smaller folder"
        )
