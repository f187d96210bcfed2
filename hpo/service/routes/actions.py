"""Actions: submit a study, stop it, go on with it, put it away. Each needs the role `run`, and the study to be the caller's."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from hpo.service.access import needs
from hpo.service.context import Caller, Context
from hpo.service.documented import errors
from hpo.service.models.actions import ActedAnswer, SubmissionAsked, SubmittedAnswer, WishesAsked
from hpo.service.problems import Problem
from hpo.service.routes.parameters import StudyName
from hpo.service.submitting.acting import Acting
from hpo.service.submitting.options import Options
from hpo.service.submitting.submitter import Order, Submitter
from hpo.text import shown

Runner = Annotated[Caller, Depends(needs("run"))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=200, examples=["7c2d3f0e-6b0f-4f1c-9d53-0f5d0a6c1b9e"],
        description="A text of your own, such as a random UUID: a request that is sent again with it submits nothing twice.",
    ),
]  # fmt: skip
M = TypeVar("M", bound=BaseModel)
FORM = {
    "type": "object",
    "required": ["study"],
    "properties": {
        "study": {"type": "string", "description": "The study file, as a file or as text."},
        "files": {"type": "string", "format": "binary", "description": "A zip archive of the files that the study names."},
        **{name: {"type": "string"} for name in WishesAsked.model_fields},
    },
}  # fmt: skip
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/SubmissionAsked"}},
            "multipart/form-data": {"schema": FORM},
        },
    }
}


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter(tags=["actions"])
    submitter = Submitter(context)
    _submitting(routes, submitter, context.settings.upload_bytes)
    _acting(routes, Acting(context, submitter))
    return routes


def _submitting(routes: APIRouter, submitter: Submitter, upload_bytes: int) -> None:
    @routes.post(
        "/studies", status_code=201, summary="Submit a study", response_model=SubmittedAnswer, openapi_extra=BODY,
        responses=errors(409, 413, 415, 422, 429),
    )  # fmt: skip
    async def submit(request: Request, caller: Runner, key: Key = None) -> dict[str, Any]:
        """Submits a study as a job: as JSON, or as a form with the files that it needs. Problems of its text come with line and
        column in `problems`, as from /drafts/check."""
        asked, archive = await received(request, upload_bytes)
        text = asked.text if asked.text is not None else as_text(asked.study)
        options = Options.of(asked.model_dump(exclude={"text", "study"}))
        return await submitter.submit(Order(text, options, caller, key, archive))


def _acting(routes: APIRouter, acting: Acting) -> None:
    @routes.post(
        "/studies/{study}/stop", summary="Stop a study", response_model=ActedAnswer, responses=errors(404, 409)
    )
    async def stop(study: StudyName, caller: Runner) -> dict[str, Any]:
        """Asks the study's job to stop, and its retries. What was trained stays; the driver takes up to a minute to end."""
        return await acting.stop(study, caller)

    @routes.post(
        "/studies/{study}/continue", summary="Go on with a study", response_model=ActedAnswer,
        responses=errors(404, 409, 422, 429),
    )  # fmt: skip
    async def go_on(
        study: StudyName, caller: Runner, key: Key = None, wishes: Annotated[WishesAsked | None, Body()] = None
    ) -> dict[str, Any]:
        """Submits the study again as it was submitted, or as the store has it: it goes on from what is there."""
        asked = wishes.model_dump() if wishes else {}
        return await acting.go_on(study, caller, asked, key)

    @routes.post(
        "/studies/{study}/archive", summary="Archive a study", response_model=ActedAnswer, responses=errors(404, 409)
    )
    async def archive(study: StudyName, caller: Runner) -> dict[str, Any]:
        """Puts the study away: lists leave it out. Nothing is deleted."""
        return await acting.archive(study, caller, archived=True)

    @routes.post(
        "/studies/{study}/unarchive", summary="Take a study back", response_model=ActedAnswer,
        responses=errors(404, 409),
    )  # fmt: skip
    async def unarchive(study: StudyName, caller: Runner) -> dict[str, Any]:
        """Takes the study back into the lists."""
        return await acting.archive(study, caller, archived=False)


# -- what a submission is sent as ---------------------------------------------------------------------------------


async def received(request: Request, upload_bytes: int) -> tuple[SubmissionAsked, bytes | None]:
    """Returns a submission and its archive of files, from JSON or from a form. Raises Problem."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _form(request, upload_bytes)
    if kind not in ("application/json", ""):
        raise Problem(415, f"a submission must be application/json or multipart/form-data, but got {kind[:100]}")
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Problem(422, f"the body must be JSON, but cannot be read: {error}") from None
    return validated(SubmissionAsked, given), None


async def _form(request: Request, upload_bytes: int) -> tuple[SubmissionAsked, bytes | None]:
    try:
        form = await request.form(max_files=2, max_fields=20, max_part_size=1_000_000)
    except HTTPException as error:  # a malformed form
        raise Problem(422, f"the form must be readable, but is not: {error.detail}") from None
    try:
        return await _fields(form, upload_bytes)
    finally:
        await form.close()


async def _fields(form: FormData, upload_bytes: int) -> tuple[SubmissionAsked, bytes | None]:
    values: dict[str, Any] = {}
    archive: bytes | None = None
    for name, value in form.multi_items():
        if name in values or (name == "files" and archive is not None):
            raise Problem(422, f"a form must have each field once, but has {shown(name)} twice")
        content = (
            await value.read(upload_bytes + 1) if isinstance(value, UploadFile) else value.encode("utf-8", "replace")
        )
        if name == "files":
            if len(content) > upload_bytes:
                raise Problem(413, f"files must have at most {upload_bytes:,} bytes as an archive; send fewer")
            archive = content
        elif content:
            values["text" if name == "study" else name] = _decoded(name, content)
    return validated(SubmissionAsked, values, strict=False), archive  # a form has texts alone


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(422, f"{shown(name)} must be UTF-8 text, but is not: {error}") from None


def validated(model: type[M], given: Any, *, strict: bool | None = None) -> M:
    """Returns a body's values. Raises RequestValidationError, as for a body that FastAPI validates.

    strict: whether a number must be one, not its text; by default as the model says.
    """
    try:
        return model.model_validate(given, strict=strict)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None


def as_text(study: Any) -> str:
    """Returns a study's values as the text of a study file: JSON is YAML."""
    try:
        return json.dumps(study, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise Problem(422, f"study must map keys to finite values, nested a few deep, but does not: {error}") from None
