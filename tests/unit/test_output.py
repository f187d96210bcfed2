"""Standard output while a cluster is there: results alone."""

from __future__ import annotations

import subprocess
import sys
import threading

from hpo.live.output import for_results


def test_what_other_threads_print_does_not_mix_with_results(capsys):
    with for_results():
        print("one")
        other = threading.Thread(target=print, args=("(raylet) a worker died",))
        other.start()
        other.join()
        print("two", flush=True)
    print("three")
    printed = capsys.readouterr()
    assert printed.out == "one\ntwo\nthree\n"
    assert printed.err == "(raylet) a worker died\n"


def test_a_pipe_and_its_end_are_as_they_were():
    """Rich and click ask standard output what it is, and a closed pipe must be noticed."""
    code = (
        "import sys, threading; from hpo.live.output import for_results\n"
        "with for_results():\n"
        "    assert not sys.stdout.isatty() and sys.stdout.encoding and sys.stdout.fileno() == 1\n"
        "    sys.stdout.buffer.write(b'bytes ')\n"
        "    print('text')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "bytes text\n"
