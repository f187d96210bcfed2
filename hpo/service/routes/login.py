"""The log-in page: a token begins a session of a browser, logging out ends it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from hpo.service import shells
from hpo.service.access import Access, AccessError
from hpo.service.access.access import cookie_name, cookies
from hpo.service.access.gate import port_of, source_of
from hpo.service.context import Caller, Context
from hpo.service.problems import Problem
from hpo.storage.errors import StorageError

FORM_BYTES = 8192
NOTE_SECONDS = 3.0  # that a log-in waits for the audit log
FOREIGN = "Another page led here, with a token. Log in only if you know whose token it is."


def router(context: Context) -> APIRouter:
    """Returns the routes: pages, which lie at the root."""
    routes, entry = APIRouter(), context.access or Access()

    @routes.get("/login", include_in_schema=False)
    async def login_page(request: Request, token: str = "", next: str = "/") -> Response:
        there = local_path(next)
        if entry.tokens is None or (not token and _known(entry, request)):
            return _to(request, there)
        if token and entry.names.foreign(request.headers):  # else any page could log a reader in as somebody else
            return _page(context, request, there, FOREIGN, token=token)
        return await _entered(context, entry, request, token, there) if token else _page(context, request, there)

    @routes.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        form = await _form(request)
        there = local_path(form.get("next", "/"))
        if entry.tokens is None:
            return _to(request, there)
        return await _entered(context, entry, request, form.get("token", ""), there)

    @routes.post("/logout", include_in_schema=False)
    async def logout(request: Request) -> Response:
        name = cookie_name(port_of(request.scope))
        for secret in cookies(request.headers, name) if entry.sessions else ():
            await asyncio.to_thread(entry.sessions.end, secret)  # type: ignore[union-attr]
        answer = _to(request, "/login")
        answer.delete_cookie(name, path=_cookie_path(request), httponly=True, samesite="lax")
        return answer

    return routes


def _page(
    context: Context, request: Request, there: str, problem: str = "", status: int = 200, token: str = ""
) -> Response:
    store = context.settings.store.rstrip("/").rpartition("/")[2]  # where it lies is nobody's business before
    return shells.shell(
        request, "login", title="Log in", status=status, framed=False, next=there, problem=problem, store=store,
        token=token,
    )  # fmt: skip


async def _entered(context: Context, entry: Access, request: Request, secret: str, there: str) -> Response:
    """Logs a browser in and sends it on, or shows why not."""
    try:
        return await _begun(context, entry, request, secret, there)
    except AccessError as error:  # a disk that is full, a file that somebody broke
        print(f"hpo: nobody can log in: {error}", file=sys.stderr)
        problem = Problem(503, "Nobody can log in now; the service's log says why.")
    except Problem as refused:
        problem = refused
    answer = _page(context, request, there, str(problem), problem.status)
    answer.headers.update(problem.headers)
    return answer


async def _begun(context: Context, entry: Access, request: Request, secret: str, there: str) -> Response:
    """Begins a session, and sends the browser on. Raises Problem for a wrong token."""
    source = source_of(request.scope)
    token = await asyncio.to_thread(entry.present, secret.strip(), source)
    if token is None:
        raise Problem(401, "this is no token of this service; ask its admin for one")
    if entry.sessions is None:
        raise Problem(409, "this service keeps no sessions; send `Authorization: Bearer TOKEN`")
    session = await asyncio.to_thread(entry.sessions.begin, token)
    caller = Caller(token.name, token.role, source)
    try:
        async with asyncio.timeout(NOTE_SECONDS):
            await asyncio.to_thread(context.audit.write, caller, "log in")
    except TimeoutError:
        pass  # the thread goes on trying
    except StorageError as error:  # nothing of the store is changed, and who finds it away must be able to see that
        print(f"hpo: a log-in of {token.name} is not in the audit log: {error}", file=sys.stderr)
    answer = _to(request, there)
    answer.set_cookie(
        cookie_name(port_of(request.scope)),
        session,
        max_age=int(entry.sessions.seconds),
        path=_cookie_path(request),
        httponly=True,
        samesite="lax",
        secure=request.scope.get("scheme") == "https",
    )
    return answer


def local_path(there: str) -> str:
    """Returns a path of this service to go on to: `/` for the address of another host, or what could be taken for one."""
    try:
        parts = urlsplit(there)
    except ValueError:
        return "/"
    plain = there.startswith("/") and not there.startswith("//") and "\\" not in there and there.isprintable()
    return there if plain and not parts.scheme and not parts.netloc and not there.startswith("/login") else "/"


def _to(request: Request, path: str) -> RedirectResponse:
    return RedirectResponse(shells.root_of(request) + path, 303)


def _cookie_path(request: Request) -> str:
    return shells.root_of(request) or "/"


def _known(entry: Access, request: Request) -> bool:
    """Tells whether the browser has a session already."""
    try:
        return entry.admit(request.headers, source_of(request.scope), port_of(request.scope)) is not None
    except (Problem, AccessError):
        return False


async def _form(request: Request) -> Mapping[str, str]:
    """Returns the fields of a form. Raises Problem for a body that the log-in form cannot have made."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Problem(
            415, "the log-in form must be sent as application/x-www-form-urlencoded; open /login in a browser"
        )
    held = b""
    async for chunk in request.stream():
        held += chunk
        if len(held) > FORM_BYTES:
            raise Problem(413, f"the log-in form must have at most {FORM_BYTES:,} bytes, but this one has more")
    try:
        return {key: values[-1] for key, values in parse_qs(held.decode(), max_num_fields=10).items()}
    except ValueError:
        raise Problem(400, "the log-in form must have the fields token and next, but this one cannot be read") from None
