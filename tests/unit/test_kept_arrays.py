"""Arrays kept once a node: shared, limited, spilled, emptied; whatever dies in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from trainables import kept_arrays
from trainables.errors import BadData
from trainables.kept_arrays import SHARED_MEMORY, keep, limit, lookup, tiers

FLOATS = np.dtype(np.float32)
KILO = (256,)  # 256 float32: 1 KB


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HPO_ACTIVATIONS_MEMORY", "0")
    monkeypatch.setenv("HPO_ACTIVATIONS_DISK", "1M")
    return tmp_path / "cache"


def fill_with(number):
    def fill(array):
        array[:] = number

    return fill


def never(array):
    raise AssertionError("what is kept must not be computed again")


def test_an_array_is_made_once_and_found_by_all():
    made = keep("a", KILO, FLOATS, fill_with(3))
    again = keep("a", KILO, FLOATS, never)
    assert lookup("b") is None
    assert torch.equal(made.values, torch.full(KILO, 3.0))
    assert torch.equal(again.values, made.values)
    code = "from trainables.kept_arrays import lookup; print(float(lookup('a').values.sum()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "768.0\n"


def test_shared_memory_comes_first_then_the_disk(cache, monkeypatch):
    if not os.access(SHARED_MEMORY, os.W_OK):
        pytest.skip("this system has no /dev/shm")
    monkeypatch.setenv("HPO_ACTIVATIONS_MEMORY", "1500")
    memory, disk = tiers()
    try:
        first = keep("a", KILO, FLOATS, fill_with(1))
        second = keep("b", KILO, FLOATS, fill_with(2))
        assert [path.name for path in memory.folder.iterdir()] == ["a.npy"]
        assert [path.name for path in disk.folder.iterdir()] == ["b.npy"]
        assert (float(first.values[0]), float(second.values[0])) == (1, 2)
        kept_arrays._release()
        assert list(memory.folder.iterdir()) == [], "shared memory must be empty when the last process ends"
        assert float(first.values[0]) == 1, "what is mapped stays readable"
    finally:
        kept_arrays._memory_used.clear()
        for path in memory.folder.iterdir():
            path.unlink()
        memory.folder.rmdir()


@pytest.mark.parametrize(("room", "fits"), [(1023, False), (1024, True), (1025, True)])
def test_the_limit_holds_to_the_byte_of_what_is_asked_for(monkeypatch, room, fits):
    monkeypatch.setenv("HPO_ACTIVATIONS_DISK", str(room))
    assert (keep("a", KILO, FLOATS, fill_with(1)) is not None) == fits


def test_what_nobody_uses_makes_way_the_longest_unused_first(monkeypatch):
    monkeypatch.setenv("HPO_ACTIVATIONS_DISK", "4200")  # three arrays with their headers, not four
    (folder,) = [tier.folder for tier in tiers()[-1:]]
    for age, key in ((30, "old"), (20, "older use"), (10, "new")):
        keep(key, KILO, FLOATS, fill_with(1))
        os.utime(folder / f"{key}.npy", (1e9 - age, 1e9 - age))
    used = lookup("old")  # in use, and used last
    assert keep("more", KILO, FLOATS, fill_with(2)) is not None
    assert sorted(path.stem for path in folder.iterdir()) == ["more", "new", "old"]
    assert float(used.values[0]) == 1


def test_what_is_in_use_is_not_removed(monkeypatch):
    monkeypatch.setenv("HPO_ACTIVATIONS_DISK", "2K")
    used = keep("a", KILO, FLOATS, fill_with(1))
    assert keep("b", KILO, FLOATS, fill_with(2)) is None
    assert lookup("a") is not None
    del used
    assert keep("b", KILO, FLOATS, fill_with(2)) is not None
    assert lookup("a") is None


def test_a_process_killed_while_it_fills_leaves_nothing_that_anyone_reads():
    code = textwrap.dedent("""
        import os, signal, numpy as np
        from trainables.kept_arrays import keep

        def die(array):
            array[:10] = 1
            os.kill(os.getpid(), signal.SIGKILL)

        keep("a", (256,), np.dtype(np.float32), die)
    """)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert lookup("a") is None
    assert float(keep("a", KILO, FLOATS, fill_with(5)).values.sum()) == 5 * 256


def test_an_error_while_filling_is_the_callers_and_leaves_room(cache):
    with pytest.raises(ZeroDivisionError) as caught:
        keep("a", KILO, FLOATS, lambda array: 1 / 0)
    assert not list((cache / "activations").iterdir())
    assert caught.tb, "it holds the array that was not filled, and the array its file: the next must not wait for them"
    assert float(keep("a", KILO, FLOATS, fill_with(5)).values[0]) == 5


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1500", 1500), ("2K", 2048), ("1.5 MB", 1_572_864), ("4g", 2**32)]
)
def test_limits_are_sizes(monkeypatch, text, size):
    monkeypatch.setenv("HPO_ACTIVATIONS_DISK", text)
    assert limit("HPO_ACTIVATIONS_DISK", "1G") == size


def test_a_limit_that_is_no_size_is_refused(monkeypatch):
    monkeypatch.setenv("HPO_ACTIVATIONS_DISK", "much")
    with pytest.raises(BadData, match="must be a size such as 500M or 4G, but got 'much'"):
        limit("HPO_ACTIVATIONS_DISK", "1G")
