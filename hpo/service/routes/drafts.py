"""Drafts: a study's text checked as it is written, the schema for its editor, and the presets to start from."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from hpo.service import answering
from hpo.service.context import Context
from hpo.service.documented import errors, unchanged
from hpo.service.models.drafts import CheckAnswer, DraftAsked, PresetAnswer, PresetsAnswer, SchemaAnswer
from hpo.service.problems import Problem
from hpo.service.submitting.estimate import estimate
from hpo.service.submitting.options import Options
from hpo.study.finding import presets
from hpo.text import nearest, shown

PresetName = Annotated[str, Path(description="Name of a preset.", max_length=200, examples=["digits"])]


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter(tags=["drafts"])

    @routes.post("/drafts/check", summary="Check a draft", response_model=CheckAnswer, responses=errors(413, 422, 429))
    async def check(draft: DraftAsked) -> dict[str, Any]:
        """All that is wrong with a study's text, with line and column, in the words of `hpo check`; else its plan."""
        return await checked(context, draft)

    @routes.get(
        "/drafts/schema", summary="Read the schema of a study file", response_model=SchemaAnswer,
        response_model_exclude_unset=True, responses=unchanged() | errors(),
    )  # fmt: skip
    async def schema(request: Request) -> Response:
        """A JSON schema for an editor: the keys with their meanings, and the names of trainables, methods, data and models."""
        return await answering.compressed(
            request, await context.checker.schema(), etag=answering.tag("schema", context.settings.trainables)
        )

    @routes.get("/presets", summary="List the presets", response_model=PresetsAnswer, responses=errors())
    def listed() -> dict[str, Any]:
        """The studies that come with the package, to start from."""
        return {"presets": [{"name": name, "about": about(text)} for name, text in _texts().items()]}

    @routes.get("/presets/{name}", summary="Read a preset", response_model=PresetAnswer, responses=errors(404))
    def preset(name: PresetName) -> dict[str, Any]:
        """A preset's study file."""
        found = _texts()
        if name not in found:
            raise Problem(
                404, f"a preset must be one that comes with the package, but got {shown(name)}; {nearest(name, found)}"
            )
        return {"name": name, "text": found[name]}

    return routes


async def checked(context: Context, draft: DraftAsked) -> dict[str, Any]:
    """Returns the answer to a draft."""
    found = await context.checker.examine(draft.text, Options(workers=draft.workers))
    plan = None if found.plan is None else {**asdict(found.plan), "note": found.plan.note or None}
    return {
        "ok": not found.problems,
        "problems": [asdict(one) for one in found.problems],
        "study": found.name,
        "plan": plan,
        "estimate": asdict(await estimate(context, found.work, draft.workers)) if plan else None,
    }


@cache
def _texts() -> dict[str, str]:
    return {name: path.read_text(encoding="utf-8") for name, path in presets().items()}


def about(text: str) -> str:
    """Returns a study file's first comment."""
    return next((line[1:].strip() for line in text.splitlines() if line.startswith("#")), "")
