"""Who may come in: tokens, the audit log, who the caller is, and the health that probes ask for."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from hpo import __version__
from hpo.service.access import AccessError, Token, Tokens, needs
from hpo.service.access.tokens import ENVIRONMENT
from hpo.service.context import ROLES, Caller, Context
from hpo.service.documented import errors
from hpo.service.models.entrance import (
    AuditAnswer,
    AuditEntry,
    HealthAnswer,
    MeAnswer,
    NewTokenAnswer,
    TokenAnswer,
    TokenRequest,
    TokensAnswer,
)
from hpo.service.problems import Problem
from hpo.storage.errors import StorageError
from hpo.storage.place import absolute

READY_SECONDS = 5.0
OPEN: dict[str, Any] = {"security": []}  # to everybody, without a token
Viewer = Annotated[Caller, Depends(needs("view"))]
Admin = Annotated[Caller, Depends(needs("admin"))]


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter()
    _health(routes, context)
    _tokens(routes, context)
    _audit(routes, context)
    return routes


# -- health and who asks ----------------------------------------------------------------------------------------------


def _health(routes: APIRouter, context: Context) -> None:
    @routes.get("/health", tags=["service"], openapi_extra=OPEN)
    async def health() -> HealthAnswer:
        """Tells that the service runs. Needs no token."""
        return HealthAnswer()

    @routes.get("/health/ready", tags=["service"], openapi_extra=OPEN)
    async def ready() -> HealthAnswer:
        """Tells that the service can read its store; 503 while it cannot. Needs no token."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await context.readings.summaries()
        except (StorageError, TimeoutError):
            raise Problem(503, "the store does not answer now") from None
        return HealthAnswer()

    @routes.get("/me", tags=["service"])
    async def me(request: Request, caller: Viewer) -> MeAnswer:
        """Tells who the caller is and what it may do."""
        return MeAnswer(
            name=caller.name,
            role=caller.role,
            can=[role for role in ROLES if caller.may(role)],
            store=context.settings.store,
            version=__version__,
            cluster=context.queue is not None,
            session="authorization" not in request.headers and _asks_for_tokens(context),
        )


def _asks_for_tokens(context: Context) -> bool:
    return context.access is not None and context.access.tokens is not None


# -- tokens and the audit log -----------------------------------------------------------------------------------------


def _tokens(routes: APIRouter, context: Context) -> None:
    @routes.get("/tokens", tags=["access"], responses=errors(409))
    def tokens(caller: Admin) -> TokensAnswer:
        """Lists the tokens, without their secrets."""
        return TokensAnswer(tokens=[TokenAnswer(**_shown(token)) for token in _kept(context).all()])

    @routes.post("/tokens", status_code=201, tags=["access"], responses=errors(409))
    def add(wanted: TokenRequest, caller: Admin) -> NewTokenAnswer:
        """Makes a token. Its secret is in the answer, this once."""
        kept = _kept(context)
        if any(token.name == wanted.name for token in kept.all()):
            raise Problem(409, f"a token's name must be new, but {wanted.name!r} is there already; revoke it first")
        context.audit.write(caller, "add token", token=wanted.name, token_role=wanted.role)
        try:
            token, secret = kept.add(wanted.name, wanted.role, store=absolute(context.settings.store))
        except AccessError as error:
            raise Problem(409, str(error)) from None
        return NewTokenAnswer(**_shown(token), token=secret)

    @routes.delete("/tokens/{name}", status_code=204, tags=["access"], responses=errors(404, 409))
    def revoke(name: Annotated[str, Path(max_length=200, description="The token's name.")], caller: Admin) -> None:
        """Revokes a token: its sessions and streams end within seconds."""
        kept = _kept(context)
        if name == ENVIRONMENT:
            raise Problem(409, "the token of the service's environment cannot be revoked here; start it without one")
        if all(token.name != name for token in kept.all()):
            raise Problem(404, f"a token to revoke must be there, but {name!r} is not")
        context.audit.write(caller, "revoke token", token=name)
        try:
            kept.revoke(name)
        except AccessError as error:
            raise Problem(409, str(error)) from None


def _audit(routes: APIRouter, context: Context) -> None:
    @routes.get("/audit", tags=["access"], responses=errors(422))
    def audit(
        caller: Admin,
        limit: Annotated[int, Query(ge=1, le=500, description="The most entries of a page.")] = 100,
        cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
    ) -> AuditAnswer:
        """Lists who did what, when and from where, the newest first."""
        entries, after = context.audit.entries(limit, cursor)
        return AuditAnswer(entries=[AuditEntry.model_validate(entry) for entry in entries], next=after)


def _kept(context: Context) -> Tokens:
    """Returns the tokens. Raises Problem where nobody needs one."""
    if context.access is None or context.access.tokens is None:
        raise Problem(409, "this service asks for no tokens; start it without --no-token")
    return context.access.tokens


def _shown(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "role": token.role,
        "created": token.created or None,
        "revocable": token.name != ENVIRONMENT,
    }
