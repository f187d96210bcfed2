"""A stand-in for NVIDIA's Multi-Process Service on machines without a GPU: its control program and the CUDA driver.

The program is a real executable: `-d` leaves a daemon that listens on a socket in the pipe directory, and without
arguments it passes its standard input on to that daemon. The driver is a real library whose cuInit finds the daemon by
CUDA_MPS_PIPE_DIRECTORY, as CUDA's does, and makes it start its server.

FAKE_MPS=refuses: the daemon does not start; deaf: it starts and answers nothing. FAKE_CUDA: what cuInit returns,
with 0 for a driver that does without the daemon. FAKE_CUDA_UNTIL: seconds since the epoch until which it is not ready.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """#!{python} -S
import os, socket, sys

pipes = os.environ["CUDA_MPS_PIPE_DIRECTORY"]
mode = os.environ.get("FAKE_MPS", "")


def note(text):
    with open(os.environ["FAKE_MPS_JOURNAL"], "a") as journal:
        journal.write(text + "\\n")


def ask(words):
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(pipes + "/control")
        line.sendall(words.encode())
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(4096), b"")).decode()


def serve(listening):
    while True:
        line, _ = listening.accept()
        words = line.recv(4096).decode().strip()
        if mode == "deaf":
            held.append(line)
            continue
        if words == "quit":
            os.unlink(pipes + "/control")
            note("quit")
        elif words == "get_server_list" and os.path.exists(pipes + "/server"):
            line.sendall(f"{{os.getpid()}}\\n".encode())
        line.close()
        if words == "quit":
            sys.exit()


held = []
if sys.argv[1:] == ["-d"]:
    if mode == "refuses":
        sys.exit("the daemon must be permitted, but it is not")
    if "CUDA_VISIBLE_DEVICES" in os.environ or os.stat(pipes).st_mode & 0o077:
        sys.exit("the daemon must see all GPUs, and its pipes must be private")
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(pipes + "/control")
    except OSError:
        sys.exit("An instance of this daemon is already running")
    listening.listen()
    note("start")
    if not os.fork():
        os.setsid()
        serve(listening)
else:
    try:
        print(ask(sys.stdin.read()), end="")
    except OSError:
        sys.exit("Cannot find MPS control daemon process")
"""
DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int cuInit(unsigned flags) {
    const char *pipes = getenv("CUDA_MPS_PIPE_DIRECTORY"), *answer = getenv("FAKE_CUDA");
    const char *until = getenv("FAKE_CUDA_UNTIL");
    char path[512];
    FILE *file;
    if (until != NULL && time(NULL) < atol(until)) return 807;
    if (answer != NULL) return atoi(answer);
    if (pipes == NULL) return 0;
    snprintf(path, sizeof path, "%s/server", pipes);
    file = fopen(path, "w");
    if (file != NULL) fclose(file);
    return 0;
}
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = device == 0 ? (void *)&cuInit : NULL; return 0; }
int cuDevicePrimaryCtxRelease(int device) { return 0; }
"""


def program(folder: Path) -> Path:
    """Writes the control program into a folder for the PATH."""
    path = folder / "nvidia-cuda-mps-control"
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(0o755)
    return path


def driver(folder: Path) -> None:
    """Compiles the driver into a folder for LD_LIBRARY_PATH."""
    source = folder / "cuda.c"
    source.write_text(DRIVER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", source], check=True, timeout=60)
