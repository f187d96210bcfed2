"""S3 servers for tests: moto's in a child process, and a real one, Ceph's radosgw, where its binaries are installed.

Debian and Ubuntu have them as packages: radosgw, ceph-mon, ceph-osd, ceph-common. The server runs unprivileged, on
loopback, in one folder, in memory.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

KEY, SECRET = "arena", "arena-secret"
BINARIES = ("ceph-mon", "ceph-osd", "ceph", "monmaptool", "radosgw", "radosgw-admin")


@dataclass(frozen=True)
class S3Server:
    """A running server that knows the key `KEY` with the secret `SECRET`; `strict` where it checks them.

    `kill` ends the process that answers as SIGKILL does, `restart` brings it back with what it had stored.
    """

    name: str
    url: str
    strict: bool
    kill: Callable[[], None] = field(default=lambda: None, repr=False)
    restart: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _await(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no server at {url}:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


@contextlib.contextmanager
def _child(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[S3Server]:
    """Starts moto's server: quick to start, and it accepts any key."""
    port, log = free_port(), folder / "moto.log"
    with _child([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], log) as process:
        _await(f"http://127.0.0.1:{port}", process, log, 60)
        yield S3Server("moto", f"http://127.0.0.1:{port}", strict=False)


def radosgw_missing() -> list[str]:
    """Returns the binaries that a real server needs and this machine lacks."""
    return [name for name in BINARIES if shutil.which(name) is None]


@contextlib.contextmanager
def radosgw(folder: Path) -> Iterator[S3Server]:
    """Starts Ceph's S3 server with one monitor and one object store in memory, which takes about 20 s."""
    monitor, port = free_port(), free_port()
    configuration = folder / "ceph.conf"
    configuration.write_text(_configuration(folder, monitor, port))
    base = ["-c", str(configuration)]

    def done(*command: str, seconds: float = 60) -> str:
        return subprocess.run(
            [command[0], *base, *command[1:]], check=True, capture_output=True, text=True, timeout=seconds
        ).stdout

    for name in ("mon", "osd"):
        (folder / name).mkdir()
    subprocess.run(["monmaptool", "--create", "--clobber", "--fsid", FSID, "--addv", "a", f"[v2:127.0.0.1:{monitor}]",
                    str(folder / "monmap")], check=True, capture_output=True)  # fmt: skip
    done("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))
    with contextlib.ExitStack() as daemons:

        def daemon(*command: str) -> subprocess.Popen[bytes]:
            log = folder / f"{command[0]}.log"
            return daemons.enter_context(_child([command[0], *base, "-f", *command[1:]], log))

        daemon("ceph-mon", "-i", "a")
        done("ceph", "osd", "new", FSID)
        done("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", FSID)
        daemon("ceph-osd", "-i", "0")
        done("radosgw-admin", "user", "create", "--uid", "arena", "--display-name", "arena", "--access-key", KEY,
             "--secret-key", SECRET)  # fmt: skip
        url, gateways = f"http://127.0.0.1:{port}", list[subprocess.Popen[bytes]]()

        def start() -> None:
            gateways.append(daemon("radosgw", "-n", "client.rgw"))
            _await(url, gateways[-1], folder / "radosgw.log", 120)

        def kill() -> None:
            gateways[-1].kill()
            gateways[-1].wait()

        start()
        yield S3Server("radosgw", url, strict=True, kill=kill, restart=start)


FSID = "6a3f7e0c-3c8e-4a55-9d62-0f2f7b8d1c11"


def _configuration(folder: Path, monitor: int, port: int) -> str:
    return f"""
[global]
fsid = {FSID}
mon_host = v2:127.0.0.1:{monitor}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
log_to_stderr = false
mon_data = {folder}/mon
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_data_avail_crit = 0
mon_data_avail_warn = 0
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_class_load_list = *
osd_class_default_list = *
ms_bind_ipv6 = false
ms_mon_client_mode = crc
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
mon_max_pg_per_osd = 1000
rgw_enable_apis = s3
rgw_enable_usage_log = false
rgw_thread_pool_size = 32

[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_run_sync_thread = false
rgw_data = {folder}
"""
