"""A disk that is full: one clear sentence, everything readable is read, and nothing that was handed over is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

IN_SMALL_DISK = 'mount -t tmpfs -o size=600k tmpfs "$1" && exec "$2" -c "$3" "$4" "$1"'

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from stores import cells, epoch, open_writer
from hpo import store
from hpo.store import StoreError, delivery

delivery.BATCH_SECONDS = 0.05
folder, handed = Path(sys.argv[2]), 0
uri, filler = str(folder / "store"), folder / "filler"

def fill():
    with filler.open("ab", buffering=0) as stream:
        for size in (4096, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                pass

writer = open_writer(uri)
for handed in range(1, 11):
    epoch(writer, 1, handed)
writer.flush()
fill()
try:
    for number in range(11, 5000):
        epoch(writer, 1, number)
        handed = number
except StoreError as error:
    print(error)
assert handed < 4999
assert len(cells(store.read(uri))) >= 10, "what is there is read on a full disk"
try:
    open_writer(uri, study="other")
except StoreError as error:
    print(error)
filler.unlink()
epoch(writer, 1, handed + 1)
writer.close(compact=True)
assert [e for _, e, _ in cells(store.read(uri))] == list(range(1, handed + 2))
assert store.read(uri).warnings == ()
assert store.studies(uri) == ["s"]
"""


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    small = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*small, "true"], capture_output=True).returncode:
        pytest.skip("a small disk needs user namespaces (unshare), which are not allowed here")
    tests = Path(__file__).parents[1]
    answer = subprocess.run(
        [*small, IN_SMALL_DISK, "sh", str(disk), sys.executable, CHILD, str(tests)],
        capture_output=True, text=True, timeout=300, check=False, cwd=tests.parent,
    )  # fmt: skip
    assert (answer.returncode, answer.stderr) == (0, "")
    first, second = answer.stdout.splitlines()
    assert first.startswith(f"results must be kept in {disk}/store/s/spool, but: No space left on device; make it")
    assert second.endswith(" must have room, but it has none (No space left on device); make some")
