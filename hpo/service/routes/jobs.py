"""The cluster's jobs that play studies of the store, and their logs: in pieces, or followed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from starlette.responses import StreamingResponse

from cluster.job import QUEUE, Job
from hpo.service.context import Context
from hpo.service.documented import content, errors
from hpo.service.models.jobs import JobAnswer, JobsAnswer, LogAnswer
from hpo.service.problems import encoded
from hpo.service.routes.parameters import LastEvent
from hpo.service.streams import BEGIN, HEARTBEAT, answer, written
from hpo.service.submitting.logs import Logs, Piece
from hpo.service.submitting.queue import queue_of, studies_of

JobName = Annotated[
    str, Path(description="A job's id, or a series: its last attempt.", max_length=200, examples=["digits-3f9a1c-1"])
]
Offset = Annotated[
    int, Query(ge=-(2**40), le=2**40, description="`next` of the piece before; negative: the last so many bytes.")
]
FOLLOWED = "`log`: a piece, as GET /jobs/{id}/log answers it. `end`: the job has ended, and so has its log."


def router(context: Context) -> APIRouter:
    """Returns the routes."""
    routes = APIRouter(tags=["jobs"])
    logs = None if context.queue is None else Logs(context.queue.cluster, context.settings.cache / "logs")
    _jobs(routes, context)
    _logs(routes, context, logs)
    return routes


def _jobs(routes: APIRouter, context: Context) -> None:
    @routes.get("/jobs", summary="List jobs", response_model=JobsAnswer, responses=errors(409))
    async def jobs(
        study: Annotated[str | None, Query(max_length=200, description="Only those that play this study.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="Most jobs of the answer.")] = 100,
        offset: Annotated[int, Query(ge=0, le=2**31, description="Jobs to leave out before.")] = 0,
    ) -> dict[str, Any]:
        """The jobs that play studies, newest first, as the cluster remembers them."""
        queue = queue_of(context)
        found, retried = await queue.jobs(), await queue.retried()
        found = [job for job in found if study is None or study in (job.study, *studies_of(job))]
        page = found[offset : offset + limit]
        return {"jobs": [told(context, job, retried) for job in page], "total": len(found)}

    @routes.get("/jobs/{id}", summary="Read a job", response_model=JobAnswer, responses=errors(404, 409))
    async def job(id: JobName) -> dict[str, Any]:
        """A job, or the last attempt of a series."""
        queue = queue_of(context)
        return told(context, await queue.job(id), await queue.retried())


def _logs(routes: APIRouter, context: Context, logs: Logs | None) -> None:
    @routes.get("/jobs/{id}/log", summary="Read a log", response_model=LogAnswer, responses=errors(404, 409, 429))
    async def log(id: JobName, offset: Offset = 0) -> dict[str, Any]:
        """A piece of a job's log, from an offset on; at most 256 KiB."""
        found = await queue_of(context).job(id)
        assert logs is not None
        return shown(await logs.piece(found.id, offset))

    @routes.get(
        "/jobs/{id}/log/follow", summary="Follow a log", response_class=StreamingResponse,
        responses=content("text/event-stream", FOLLOWED) | errors(404, 409, 429),
    )  # fmt: skip
    async def follow(
        id: JobName,
        offset: Offset = 0,
        last: LastEvent = "",
    ) -> Response:
        """A job's log as it is written; a stream that was broken goes on where it ended."""
        found = await queue_of(context).job(id)
        assert logs is not None
        start = int(last) if last.isascii() and last.isdigit() else offset
        pieces = logs.follow(found.id, start)
        return answer(_events(pieces))


async def _events(pieces: AsyncIterator[Piece | None]) -> AsyncIterator[bytes]:
    yield BEGIN
    async for piece in pieces:
        if piece is None:
            yield HEARTBEAT
            continue
        if piece.text:
            yield written(str(piece.next), "log", encoded(shown(piece)))
        if piece.ended:
            yield written(str(piece.next), "end", b"{}")


def shown(piece: Piece) -> dict[str, Any]:
    """Returns a piece of a log as the API shows it."""
    return {"text": piece.text, "next": piece.next, "ended": piece.ended}


def told(context: Context, job: Job, retried: Collection[str] = ()) -> dict[str, Any]:
    """Returns a job as the API shows it."""
    state = f"{job.state}, retried" if job.series in retried and job.retryable else job.state
    return {
        "id": job.id,
        "series": job.series,
        "attempt": job.attempt,
        "study": job.study,
        "studies": list(studies_of(job)),
        "owner": job.owner,
        "queue": job.metadata.get(QUEUE),
        "state": state,
        "status": job.status,
        "done": job.done,
        "store": job.store,
        "started": job.started,
        "ended": job.ended,
        "exit_code": job.exit_code,
        "message": job.message,
        "page": context.queue.cluster.page(job.id) if context.queue else "",
    }
