"""What is done to a study that is there: its job stopped, the study submitted again, put away and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cluster.job import Job
from hpo.service.context import Caller, Context
from hpo.service.problems import Problem
from hpo.service.submitting.options import Options
from hpo.service.submitting.queue import explained, queue_of
from hpo.service.submitting.records import Records, Submitted
from hpo.service.submitting.submitter import Order, Submitter
from hpo.store import notes
from hpo.store.state import LIVE
from hpo.store.summary import Summary
from hpo.study.stored import file_values, to_yaml

STOPPING = 8.0  # seconds that an answer waits for a study to stop; the driver may take a minute to write its results


class Acting:
    """The actions on studies, each for their owner or an admin, and each in the audit log before it is done."""

    def __init__(self, context: Context, submitter: Submitter) -> None:
        self._context, self._submitter = context, submitter
        self._stopping: dict[str, asyncio.Task[Job]] = {}

    async def stop(self, study: str, caller: Caller) -> dict[str, Any]:
        """Asks a study's job to stop, with its later attempts, and waits a little for its end."""
        await self._allowed(study, caller)
        queue = queue_of(self._context)
        await queue.ask(queue.look, True)
        retried = await queue.retried()
        found = [job for job in await queue.of_study(study) if not job.done or job.series in retried]
        if not found:
            raise Problem(
                409, f"a study must have a job that runs or waits to be stopped here, but {study} has none; one that was "
                "started elsewhere is stopped where it runs"
            )  # fmt: skip
        job = found[0]
        if job.id not in self._stopping:
            await self._note(caller, "stop", study, job=job.id)
            task = queue.begin(queue.stop(job.series))
            self._stopping[job.id] = task
            task.add_done_callback(lambda _: self._stopping.pop(job.id, None))
        with explained():
            done, _ = await asyncio.wait({self._stopping.get(job.id) or task}, timeout=STOPPING)
            for ended in done:
                job = ended.result()
        await queue.ask(queue.look, True)
        return await self._answer(study, job.id)

    async def go_on(self, study: str, caller: Caller, wishes: Mapping[str, Any], key: str | None) -> dict[str, Any]:
        """Submits a study again, as it was submitted, or as the store has it."""
        known = await self._allowed(study, caller)
        if known.state.word == "complete":
            raise Problem(
                409, f"a study must have something left to do, but {study} is complete; submit it with more seeds"
            )
        made = await asyncio.to_thread(self._submitted, study, known.suite)
        if made is None or made.owner != (known.owner or made.owner):  # nobody goes on with what another one asked for
            definition = (await self._context.readings.reading(study)).data.definition
            values = file_values(definition)
            values.pop("store", None)  # it may be called otherwise where it was written from
            made = Submitted(to_yaml(values), known.owner or caller.name)
        names = {each.name for each in fields(Options)}
        options = {name: value for name, value in made.options.items() if name in names}
        options |= {name: value for name, value in wishes.items() if value is not None}
        archive = await asyncio.to_thread(self._files, made.files) if made.files else None
        order = Order(
            made.text, Options.of(options), caller, key=None if key is None else f"continue {study} {key}",
            archive=archive, owner=known.owner or caller.name,
        )  # fmt: skip
        answer = await self._submitter.submit(order)
        return await self._answer(study, str(answer["job"]))

    async def archive(self, study: str, caller: Caller, *, archived: bool) -> dict[str, Any]:
        """Puts a study away, so that lists leave it out, or takes it back. Nothing is deleted."""
        known = await self._allowed(study, caller)
        if known.state.word in LIVE and archived:
            raise Problem(
                409, f"a study must be at rest to be put away, but {study} is {known.state.word}; stop it first"
            )
        await self._note(caller, "archive" if archived else "unarchive", study)
        store = self._context.settings.store
        if archived:
            await asyncio.to_thread(notes.archive, store, study, caller.name)
        else:
            await asyncio.to_thread(notes.unarchive, store, study)
        return await self._answer(study, None, archived=archived)

    # -- what they share ------------------------------------------------------------------------------------------

    async def _allowed(self, study: str, caller: Caller) -> Summary:
        """Returns a study's summary. Raises Problem 404 for none, 403 for one of somebody else."""
        known = await self._summary(study)
        if known.owner != caller.name and not caller.may("admin"):
            raise Problem(
                403, f"a study must be yours for this, but {study} belongs to {known.owner or 'nobody'}; ask an admin"
            )
        return known

    async def _summary(self, study: str) -> Summary:
        found = {summary.study: summary for summary in await self._context.readings.summaries()}
        if study not in found:
            await self._context.readings.reading(study)  # tells that there is none, and which there are
            raise Problem(404, f"the study must be in the store, but there is no {study!r}")
        return found[study]

    async def _note(self, caller: Caller, what: str, study: str, **detail: Any) -> None:
        await asyncio.to_thread(lambda: self._context.audit.write(caller, what, study=study, **detail))

    def _submitted(self, study: str, suite: str | None) -> Submitted | None:
        records = Records(self._submitter.store)
        return records.submitted(study) or (records.submitted(suite) if suite else None)

    def _files(self, name: str) -> bytes:
        found = Records(self._submitter.store).files(name)
        if found is None:
            raise Problem(409, "the files that came with the study must be in the store, but are gone; submit it again")
        return found

    async def _answer(self, study: str, job: str | None, *, archived: bool | None = None) -> dict[str, Any]:
        self._context.readings.forget(study)
        known = await self._summary(study)
        return {
            "study": study,
            "state": known.state.to_json(),
            "archived": known.archived if archived is None else archived,
            "job": job,
        }
