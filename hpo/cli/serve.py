"""`hpo serve`: the pages and the API of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.options import StoreArgument
from hpo.errors import HpoError
from hpo.files import expanded

HostOption = Annotated[
    str, typer.Option(help="Address to listen on; one that other machines can reach needs a token (`hpo token add`).")
]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on (0: any free one).")]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        help="Job server of the cluster that studies are submitted to, http://HOST:8265 (default: none can be).",
    ),
]
CertificateOption = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM, with its chain): serve HTTPS.")
]
KeyOption = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (default: in the certificate's file).")
]
PublicOption = Annotated[
    list[str] | None,
    typer.Option("--public-name", metavar="HOST", help="Name by which browsers call the service; repeat it for more."),
]
RootOption = Annotated[
    str, typer.Option("--root-path", metavar="/PATH", help="Path at which a reverse proxy shows the service.")
]
ProxyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        metavar="ADDRESS",
        help="Address of a reverse proxy whose X-Forwarded-For and X-Forwarded-Proto are believed; repeat it for more.",
    ),
]
TokensOption = Annotated[
    Path | None,
    typer.Option("--tokens", metavar="FILE", help="File of tokens (default: below ~/.config, one for each store)."),
]
OpenOption = Annotated[
    bool, typer.Option("--no-token", help="Ask for no token: every user of this machine may do everything.")
]
CacheOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Folder for what can be made again (default: below ~/.cache).")
]
AllowCodeOption = Annotated[
    bool,
    typer.Option("--allow-code", help="Submitted studies may name any trainable, and so run any code on the cluster."),
]
AllowTrainableOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:CLASS", help="Trainable that submitted studies may name beside those of HPO Arena; repeat it."
    ),
]
DataRootOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH", help="Folder or s3://... below which data of submitted studies may lie; repeat it."),
]
AllowStoreOption = Annotated[
    list[str] | None,
    typer.Option(metavar="URI", help="Store that submitted studies may write to beside the served one; repeat it."),
]
JobEnvOption = Annotated[
    list[str] | None,
    typer.Option(
        "--job-env", metavar="NAME",
        help="Variable whose value here jobs get, privately, such as the keys of a store on S3; repeat it.",
    ),
]  # fmt: skip
AtATimeOption = Annotated[
    int | None, typer.Option("--studies-at-a-time", min=1, metavar="N", help="Most studies of an owner at a time.")
]
OwnerSlotsOption = Annotated[
    int | None, typer.Option("--slots", min=1, metavar="N", help="Most trials of an owner at a time.")
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs-a-day", min=1, metavar="N", help="Most epochs that an owner submits in a day.")
]
QueueOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Queue in which submitted studies wait, as of `hpo submit --queue`.")
]


def serve(
    store: StoreArgument,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    address: AddressOption = None,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    public_name: PublicOption = None,
    root_path: RootOption = "",
    trusted_proxy: ProxyOption = None,
    tokens: TokensOption = None,
    no_token: OpenOption = False,
    cache: CacheOption = None,
    allow_code: AllowCodeOption = False,
    allow_trainable: AllowTrainableOption = None,
    data_root: DataRootOption = None,
    allow_store: AllowStoreOption = None,
    job_env: JobEnvOption = None,
    studies_at_a_time: AtATimeOption = None,
    slots: OwnerSlotsOption = None,
    epochs_a_day: EpochsOption = None,
    queue: QueueOption = None,
) -> None:
    """Serve the pages and the API of a store: watch studies, and, with --address, submit and stop them."""
    from hpo.service.context import Settings
    from hpo.service.server import Listening, cache_path
    from hpo.service.server import serve as serve_store

    settings = Settings(
        store=store, cache=expanded(cache) if cache else cache_path(store), job_server=address, allow_code=allow_code,
        trainables=tuple(allow_trainable or ()), data_roots=tuple(data_root or ()), stores=tuple(allow_store or ()),
        job_variables=tuple(job_env or ()), studies_at_a_time=studies_at_a_time, slots=slots, epochs_a_day=epochs_a_day,
        queue=queue, root_path=_checked_root(root_path),
    )  # fmt: skip
    listening = Listening(
        host=host, port=port, certificate=tls_cert, key=tls_key, public=tuple(public_name or ()),
        proxies=tuple(trusted_proxy or ()), tokens=tokens, open=no_token,
    )  # fmt: skip
    serve_store(settings, listening)


def _checked_root(path: str) -> str:
    """Returns the path without its last slash. Raises HpoError for what is no path."""
    if path in ("", "/"):
        return ""
    plain = path.startswith("/") and "//" not in path and not set(path) & set("?#\\ \"'<>%") and path.isprintable()
    if not plain or ".." in path.split("/") or not path.isascii():
        raise HpoError(f"--root-path must be a path such as /hpo, but got {path!r}")
    return path.rstrip("/")
