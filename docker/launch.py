"""Plays `ray up` with deploy/aws/cluster.yaml, without AWS and Docker, then a RayJob: does the image have what they run?

    python docker/launch.py        (as root; needs debootstrap, and a Python with this project's packages)

A new Debian root gets the last stage of the Dockerfile; the running Python stands for the image's /opt/hpo. In it, as user
1000 and in namespaces of its own, Ray's launcher starts a head. The head's autoscaler starts a worker when a task asks for
a GPU, with the ssh and rsync of the image, and gives it back once it is idle. What stands in for the cloud, for ssh to a
node and for a node's docker is in stand_ins/. The root lies in TMPDIR and is deleted at the end.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rayjob
import yaml
from ray.autoscaler._private.util import fillout_defaults
from rehearse import ROOT, steps

STAND_INS = Path(__file__).with_name("stand_ins")
SHOWN = (Path(sys.prefix), Path(sys.base_prefix), ROOT)  # folders of this machine that the root shows at their places
TASK = """
import ray
ray.init("auto", log_to_driver=False)
print("the worker's GPUs:", ray.get(ray.remote(num_gpus=1)(lambda: ray.get_gpu_ids()).remote(), timeout=240), flush=True)
"""


def build(root: Path) -> None:
    """Makes the image's root: Debian, the last stage of the Dockerfile, and this Python as /opt/hpo."""
    subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", root], check=True)
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    (root / "opt").mkdir(exist_ok=True)
    (root / "opt" / "hpo").symlink_to(sys.prefix)
    for word, rest in _last_stage():
        if word == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            for source in sources:
                if target.startswith("/usr"):
                    shutil.copy2(ROOT / source, root / target.lstrip("/"))
        elif word == "RUN":
            subprocess.run(["chroot", root, "sh", "-c", rest], check=True)
        elif word == "ENV":
            given = [f"{name}={value}" for name, value in re.findall(r"(\w+)=(\S+)", rest)]
            environment += [pair.replace("$PATH", environment[0].removeprefix("PATH=")) for pair in given]
    (root / "etc" / "launch-environment").write_text("\n".join(environment) + "\n")


def _last_stage() -> list[tuple[str, str]]:
    all_steps = list(steps((ROOT / "docker" / "Dockerfile").read_text()))
    begins = [number for number, (word, _) in enumerate(all_steps) if word == "FROM"]
    return all_steps[begins[-1] :]


def furnish(root: Path) -> None:
    """Adds what the image does not have: the stand-ins, the person who calls `ray up`, and places for this Python."""
    for name in ("ssh", "docker"):
        shutil.copy2(STAND_INS / name, root / "usr" / "local" / "bin" / name)
    subprocess.run(["chroot", root, "useradd", "--non-unique", "--uid", "1000", "ubuntu"], check=True)
    person = root / "home" / "person"
    (person / ".ray").mkdir(parents=True, mode=0o700)
    (person / ".ray" / "auth_token").write_text(secrets.token_hex(32))
    (person / ".ray" / "auth_token").chmod(0o600)
    (person / "key.pem").write_text("no key: nothing checks it here\n")
    config = fillout_defaults(yaml.safe_load((ROOT / "deploy" / "aws" / "cluster.yaml").read_text()))
    config["provider"] = {"type": "external", "module": "nodes.Nodes"}
    config["auth"]["ssh_private_key"] = "/home/person/key.pem"
    config["idle_timeout_minutes"] = 0.1
    (person / "cluster.yaml").write_text(yaml.safe_dump(config))
    shutil.copy2(STAND_INS / "nodes.py", person)
    with (root / "etc" / "launch-environment").open("a") as stream:
        stream.write(f"PYTHONPATH=/home/person:{ROOT}\n")  # the head's autoscaler imports nodes.py
    (person / "task.py").write_text(TASK)
    for name in ("launch.py", "rehearse.py", "rayjob.py"):
        shutil.copy2(ROOT / "docker" / name, person)
    shutil.copy2(ROOT / "deploy" / "kuberay" / "rayjob.yaml", person)
    nodes = root / "run" / "launch" / "nodes"
    nodes.mkdir(parents=True)
    (root / "var" / "log" / "launch").touch()
    for path in (person, nodes.parent, root / "var" / "log" / "launch"):
        subprocess.run(["chown", "-R", "1000:1000", path], check=True)
    for path in SHOWN:
        place = root / str(path).lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for above in place.relative_to(root).parents:
            (root / above).chmod(0o755 if str(above) != "tmp" else 0o1777)


def enter(root: Path) -> int:
    """Plays inside the root and returns the exit code; every process that is left then ends with its namespace."""
    binds = "".join(f"mount --rbind {p} {root}{p}\n" for p in ("/dev", *SHOWN))
    inside = "exec chroot --userspec=1000:1000 {root} env -i HOME=/home/person PATH=/opt/hpo/bin:/usr/local/bin:/usr/bin:/bin"
    script = f"""set -e
{binds}mount -t tmpfs shm {root}/dev/shm
ip link set lo up 2>/dev/null || {sys.executable} -c "{LOOPBACK}"
{inside.format(root=root)} RAY_AUTH_MODE=token PYTHONPATH=/home/person python /home/person/launch.py inside
"""
    namespaces = ["--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", f"--mount-proc={root}/proc"]
    return subprocess.run(["unshare", *namespaces, "bash", "-c", script], check=False).returncode


LOOPBACK = "import socket,fcntl,struct; s=socket.socket(); fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0x41))"


def play() -> None:
    """Starts the head, asks for a GPU, waits until the worker that came is gone again; then plays the RayJob."""
    subprocess.run(["ray", "up", "--yes", "--no-config-cache", "/home/person/cluster.yaml"], check=True, timeout=400)
    container = ["docker", "exec", "-i", "hpo", "bash", "--login", "-c"]
    here = os.environ | {"NODE": "127.0.0.1"}
    task = subprocess.run([*container, "python -"], input=TASK, text=True, check=False, env=here)
    if task.returncode != 0:
        subprocess.run([*container, "tail -n 60 /tmp/ray/session_latest/logs/monitor*"], check=False, env=here)
        raise SystemExit("launch: a task that needs a GPU must run on a worker that the head starts, but it did not")
    for _ in range(120):
        if list(Path("/run/launch/nodes").glob("node-*.gone")):
            break
        time.sleep(1)
    else:
        raise SystemExit("launch: an idle worker must be given back within two minutes, but it was not")
    subprocess.run([*container, "ray stop --force"], check=True, env=here)
    rayjob.play(Path("/home/person/rayjob.yaml"))


def main() -> int:
    if sys.argv[1:] == ["inside"]:
        play()
        return 0
    with tempfile.TemporaryDirectory(prefix="hpo-launch-") as folder:
        root = Path(folder).resolve()
        root.chmod(0o755)
        build(root)
        furnish(root)
        code = enter(root)
    print(
        "launch: the head started, a worker came and went; a refused study ended its RayJob as stopped"
        if code == 0
        else "launch: failed"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
