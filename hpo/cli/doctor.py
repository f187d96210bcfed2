"""`hpo doctor`: says what of this machine, of a store or of a cluster would stop a study, and what to do."""

from __future__ import annotations

import os
import socket
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from hpo import __version__
from hpo.errors import HpoError
from hpo.files import expanded
from hpo.study import environment

if TYPE_CHECKING:
    from cluster.findings import Finding

WIDEST = 100
STYLES = {"ok": "green", "note": "yellow", "problem": "red"}
PORTS = {6379: "a head's", 8265: "a dashboard's and job server's", 8080: "`hpo serve`'s"}
CLOCKS = {"s3": 60.0, "folder": 5.0}  # seconds; S3 tells whole ones, and refuses requests only beyond 15 minutes
CHECKPOINTS = 20 * 2**30  # the default of checkpoints_gb
CACHE = 50 * 2**30  # the default of HPO_ACTIVATIONS_DISK


def doctor(
    address: Annotated[
        str | None, typer.Option(metavar="A", help="A running Ray cluster, auto or HOST:PORT: ask every node.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="URI", help="A store to try: a folder or s3://bucket/prefix; a small file is written."),
    ] = None,
) -> None:
    """Say what of this machine, or of a cluster, would stop a study, and what to do about it."""
    from cluster.addresses import cluster_endpoint

    if address is not None:
        cluster_endpoint(address)  # bad input is refused before anything is looked at
    findings = []
    for finding in _all(address, store):
        findings.append(finding)
        _show(finding)
    problems, notes = (sum(finding.level == level for finding in findings) for level in ("problem", "note"))
    print(_summary(problems, notes))
    if problems:
        raise typer.Exit(1)


def _all(address: str | None, store: str | None) -> Iterator[Finding]:
    from cluster.findings import of_gpus, of_machine
    from cluster.probe import machine

    yield _of("Python", sys.version.split()[0], environment.check_python)
    yield _packages()
    torch = environment.versions().get("torch", "")
    yield _torch()
    told = machine()
    seen = environment.gpus_of_torch() if told["gpus"] and torch else None
    yield of_gpus(told, torch, seen, hidden=os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"))
    yield from of_machine(told)
    yield from _disks(store)
    yield _token()
    yield from _ports()
    if store is not None:
        yield from _store(store)
    if address is not None:
        yield from _cluster(address, store)


def _of(subject: str, says: str, check: Callable[[], None]) -> Finding:
    from cluster.findings import Finding

    try:
        check()
    except HpoError as error:
        return Finding("problem", subject, str(error))
    return Finding("ok", subject, says)


def _torch() -> Finding:
    """Judges torch: a pair that does not match is broken; one that is missing stops only what is trained with it."""
    versions = environment.versions()
    pair = {name: versions.get(name) for name in ("torch", "torchvision")}
    found = _of("torch", " with ".join(f"{name} {version}" for name, version in pair.items()), environment.check_torch)
    if all(pair.values()):
        return found
    return replace(found, level="note", says=f"{found.says}. Trainables that need none run without")


def _packages() -> Finding:
    from cluster.findings import Finding

    lacking = environment.lacking()
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        return Finding(
            "problem",
            "packages",
            f"{'; '.join(lacking[:3])}{more}; run `make .venv/ready`, or `pip install hpo-arena` again",
        )
    try:
        metadata.version("hpo-arena")
    except metadata.PackageNotFoundError:
        return Finding(
            "note", "packages", f"hpo {__version__} runs from a folder and is not installed: `make .venv/ready`"
        )
    return Finding("ok", "packages", f"hpo {__version__} has what it needs, Ray {environment.versions()['ray']}")


def _disks(store: str | None) -> Iterator[Finding]:
    from cluster.findings import of_disk
    from cluster.probe import room
    from trainables.cache import cache_directory

    if store is None or "://" not in store:
        path = str(expanded(store or "results").absolute())
        remedy = "make room, name another --store, or lower checkpoints_gb in the study file"
        left = room(path)
        if left is None or left["total"]:  # a file system without a size is no disk: trying the store says what it is
            yield of_disk("store", path, left, CHECKPOINTS, "the checkpoints of a study", remedy)
    cache = str(cache_directory())
    remedy = "make room, or set HPO_CACHE to a folder on another disk, or HPO_ACTIVATIONS_DISK to a smaller size"
    yield of_disk("cache", cache, room(cache), CACHE, "computed layers of large studies", remedy)


def _token() -> Finding:
    from cluster import tokens
    from cluster.findings import Finding, of_token

    try:
        token = tokens.find()
    except tokens.TokenError as error:
        return Finding("problem", "token", str(error))
    mode = os.environ.get(tokens.MODE, "").lower()
    return of_token(token.source if token else "", mode, len(token.secret) if token else 0, tokens.SHORTEST)


def _ports() -> Iterator[Finding]:
    from cluster.findings import Finding

    taken = [port for port in PORTS if not _free(port)]
    for port in taken:
        yield Finding(
            "note", "ports", f"port {port}, {PORTS[port]}, is in use on this machine: something is there already"
        )
    if not taken:
        yield Finding("ok", "ports", f"{', '.join(map(str, PORTS))} are free")
    if named := os.environ.get("RAY_ADDRESS", ""):
        yield Finding(
            "note", "ports", f"RAY_ADDRESS is {named}: `hpo run` joins that cluster; unset it to start one here"
        )


def _free(port: int) -> bool:
    with closing(socket.socket()) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
        except OSError:
            return False
    return True


def _store(store: str) -> Iterator[Finding]:
    from cluster.findings import Finding, of_clock
    from hpo.storage.examine import examine

    try:
        skew = examine(store)
    except HpoError as error:
        yield Finding("problem", "store", str(error))
        return
    yield Finding("ok", "store", f"{store} can be read and written, and keeps what exists")
    yield of_clock(store, skew, CLOCKS["s3" if "://" in store else "folder"])


def _cluster(address: str, store: str | None) -> Iterator[Finding]:
    """Yields what the preflight's probes find on every node."""
    from cluster.addresses import AddressError
    from cluster.connect import connect
    from cluster.errors import ClusterError
    from cluster.findings import of_cluster, of_refusal
    from cluster.preflight import Needs, installed, preflight, this_python

    needs = Needs(
        packages=installed(environment.PACKAGES),
        python=this_python(),
        store=store if store is None or "://" in store else str(expanded(store).resolve()),
    )
    try:
        with redirect_stdout(sys.stderr), connect(address) as connection:
            report = preflight(connection, needs)
    except AddressError:
        raise
    except ClusterError as error:
        yield of_refusal(error)
        return
    yield from of_cluster(address, report)


def _show(finding: Finding) -> None:
    """Prints one finding, wrapped below itself, in colour where the terminal shows it."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    head = f"{finding.level:<7}  {finding.subject}: "
    lines = textwrap.wrap(
        f"{head}{finding.says}",
        min(WIDEST, console.width),
        subsequent_indent=" " * 9,
        break_long_words=False,
        break_on_hyphens=False,
    )
    text = Text("\n".join(lines))
    text.stylize(STYLES[finding.level], 0, len(finding.level))
    console.print(text)


def _summary(problems: int, notes: int) -> str:
    noted = f"{notes} {'note' if notes == 1 else 'notes'}"
    if problems:
        return f"{problems} {'problem' if problems == 1 else 'problems'}, {noted}"
    return f"Nothing here would stop a study; {noted}."
