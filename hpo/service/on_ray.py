"""The service on the cluster itself, as an application of Ray Serve: needs `pip install 'ray[serve]'` on the cluster.

    serve run hpo.service.on_ray:service store=s3://bucket/results address=http://127.0.0.1:8265

Serve starts it again wherever its node or process ends. One replica serves all: quotas are counted by one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from hpo.files import expanded
from hpo.service.context import Settings


class Arguments(BaseModel):
    """What the service is started with, as of `hpo serve`; several values of one are separated by commas."""

    model_config = ConfigDict(extra="forbid")

    store: str
    address: str | None = None
    tokens: str | None = None
    cache: str | None = None
    public_name: str = ""
    root_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    allow_code: bool = False
    allow_trainable: str = ""
    data_root: str = ""
    allow_store: str = ""
    job_env: str = ""
    studies_at_a_time: int | None = Field(default=None, ge=1)
    slots: int | None = Field(default=None, ge=1)
    epochs_a_day: int | None = Field(default=None, ge=1)
    queue: str | None = None

    @property
    def settings(self) -> Settings:
        """The service's settings."""
        from hpo.service.server import cache_path

        return Settings(
            store=self.store, cache=expanded(self.cache) if self.cache else cache_path(self.store),
            job_server=self.address, allow_code=self.allow_code, trainables=_parts(self.allow_trainable),
            data_roots=_parts(self.data_root), stores=_parts(self.allow_store), job_variables=_parts(self.job_env),
            studies_at_a_time=self.studies_at_a_time, slots=self.slots, epochs_a_day=self.epochs_a_day, queue=self.queue,
            root_path=self.root_path,
        )  # fmt: skip


def service(arguments: Mapping[str, str]) -> Any:
    """Returns the application for Ray Serve: one replica on the head, which holds as many requests as come."""
    from ray import serve

    given = Arguments.model_validate(arguments)
    deployment = serve.deployment(
        name="hpo", num_replicas=1, max_ongoing_requests=10_000,
        ray_actor_options={"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}},
    )  # fmt: skip
    return deployment(serve.ingress(lambda: application(given))()).bind()


def application(arguments: Arguments) -> FastAPI:
    """Returns the service as an ASGI application, behind tokens: HPO_SERVE_TOKEN of its process, and the file of tokens.

    Raises UnsafeAddress where there is no token: others reach what Ray Serve serves.
    """
    import os

    from hpo.service import access, threads
    from hpo.service.access import tokens as kept
    from hpo.service.app import application as assembled
    from hpo.service.server import opened

    settings = arguments.settings
    path = Path(arguments.tokens) if arguments.tokens else kept.default_path(settings.store)
    tokens = access.Tokens(path, environment=os.environ.get(kept.VARIABLE))
    if not tokens.all():
        raise access.UnsafeAddress(
            f"others reach what Ray Serve serves, so there must be a token, but {path} has none; `hpo token add NAME` on the "
            f"head makes one, or set {kept.VARIABLE} for it"
        )
    names = access.Names(_parts(arguments.public_name), reachable=True)
    threads.prepare()
    return assembled(opened(settings, access.Access(tokens, access.Sessions(settings.cache / "sessions.json"), names)))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
