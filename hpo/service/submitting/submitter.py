"""Submitting a study for an owner: checked, allowed, within quotas, recorded, and made once."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.job import Job, NoSuchJob, attempt_id, new_series
from cluster.variables import asked
from hpo.files import write_whole
from hpo.service.context import Caller, Context
from hpo.service.problems import Problem
from hpo.service.submitting import quotas
from hpo.service.submitting.examined import FILE, Examined
from hpo.service.submitting.options import Options
from hpo.service.submitting.queue import EPOCHS, STUDIES, WORKERS, Queue, active, explained, queue_of, studies_of
from hpo.service.submitting.records import Records, Submitted, digest
from hpo.service.submitting.upload import Limits, unpack
from hpo.storage.place import place
from hpo.store import layout
from hpo.store.errors import StoreError
from hpo.store.summary import Facts, from_bytes

if TYPE_CHECKING:
    from cluster.job import Submission

UNPACKED = "submitting-"  # begins the name of a folder with the files of a submission
STATUS = {
    "forbidden": 403,
    "taken": 409,
    "away": 503,
    "invalid": 422,
}  # of problems; the first kind that is there counts


@dataclass(frozen=True)
class Order:
    """What somebody asks for. key: an idempotency key. archive: the files that come with the study, as a zip."""

    text: str
    options: Options
    caller: Caller
    key: str | None = None
    archive: bytes | None = None
    owner: str | None = None  # by default who the study says, or the caller

    @property
    def body(self) -> str:
        """A digest of all that must be the same under one key."""
        return digest(
            self.text, json.dumps(asdict(self.options), sort_keys=True), self.archive or b"", self.owner or ""
        )


class Submitter:
    """Submits to the cluster's job server, one study at a time, so that quotas hold for simultaneous requests too.

    Keeps nothing in memory that a restart would need: what was asked for is in the store, what runs is known to the head,
    and a job's id follows from its key, so that the head itself refuses a second one.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turn = asyncio.Lock()
        self._tidied = float("-inf")
        self._tidying: asyncio.Task[None] | None = None
        self.store = context.checker.rules.store

    async def submit(self, order: Order) -> dict[str, Any]:
        """Returns the answer for a study that is submitted, or was with the same key. Raises Problem."""
        queue = queue_of(self._context)
        return await asyncio.shield(queue.begin(self._submitted(order, queue)))  # its files are needed until it is sent

    async def _submitted(self, order: Order, queue: Queue) -> dict[str, Any]:
        records = await asyncio.to_thread(Records, self.store)
        key = digest(order.caller.name, order.key or secrets.token_hex(16))
        answered = await asyncio.to_thread(records.answer, key, order.body)
        if answered is not None:
            return dict(answered)
        folder = await asyncio.to_thread(self._unpacked, order.archive)
        try:
            found = await self._examined(order, folder)
            async with self._turn:
                return await self._submit(order, found, key, folder, queue, records)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _submit(
        self, order: Order, found: Examined, key: str, folder: Path, queue: Queue, records: Records
    ) -> dict[str, Any]:
        """The part that no other submission comes between."""
        answered = await asyncio.to_thread(
            records.answer, key, order.body
        )  # again: the same request may have been first
        if answered is not None:
            return dict(answered)
        series = new_series(found.name or "", key[:12])
        made = await queue.ask(self._known, queue, series)
        if made is None:
            workers = await self._room(queue, found, order)
            await asyncio.to_thread(self._note, order, found, series)
            files = await asyncio.to_thread(records.keep_files, order.archive) if order.archive else None
            kept = Submitted(order.text, found.owner or "", asdict(order.options), files, found.plans, series)
            await asyncio.to_thread(records.keep_answer, key, order.body, None)
            for name in dict.fromkeys((found.name or "", *found.studies)):
                await asyncio.to_thread(records.keep_submitted, name, kept)
            with explained():
                made = await queue.ask(self._sent, queue, found, order, workers, folder, series)
            await queue.ask(queue.look, True)
            for name in found.studies:
                self._context.readings.forget(name)
        answer = self._answer(found, made)
        await asyncio.to_thread(records.keep_answer, key, order.body, answer)
        self._tidy(records)
        return answer

    def _tidy(self, records: Records) -> None:
        """Begins, once a day, to delete records that nobody needs any more, and what a killed service was unpacking."""
        if time.monotonic() < self._tidied + quotas.DAY or (self._tidying is not None and not self._tidying.done()):
            return

        def tidy() -> None:
            for folder in self._context.settings.cache.glob(f"{UNPACKED}*"):
                with suppress(OSError):
                    if time.time() - folder.stat().st_mtime > quotas.DAY:
                        shutil.rmtree(folder, ignore_errors=True)
            with suppress(StoreError):
                records.tidy()

        self._tidied, self._tidying = time.monotonic(), asyncio.create_task(asyncio.to_thread(tidy))

    # -- what must hold -------------------------------------------------------------------------------------------

    async def _examined(self, order: Order, folder: Path) -> Examined:
        """Returns what the check finds, with the study's owner. Raises Problem with all problems of the text."""
        caller = order.caller
        found = await self._context.checker.examine(
            order.text, order.options, folder=str(folder), owner=order.owner or caller.name
        )
        if found.problems:
            status = next(status for kind, status in STATUS.items() if kind in found.kinds)
            first = next(one for one in found.problems if STATUS[one.kind] == status)
            raise Problem(status, first.message, problems=[asdict(one) for one in found.problems])
        if found.owner != caller.name and not caller.may("admin"):
            raise Problem(
                403, f"owner must be {caller.name}, the name of your token, but got {found.owner}; leave it out"
            )
        settings = self._context.settings
        if settings.queue and order.options.queue not in (None, settings.queue) and not caller.may("admin"):
            raise Problem(403, f"queue must be {settings.queue} here, but got {order.options.queue}; leave it out")
        known = {summary.study: summary for summary in await self._context.readings.summaries()}
        for name in dict.fromkeys((found.name or "", *found.studies)):  # a suite is recorded under its own name, too
            self._check_owner(known.get(name), caller)
        if found.store not in (None, self.store):
            await asyncio.to_thread(self._check_elsewhere, str(found.store), found.studies, caller)
        return found

    @staticmethod
    def _check_owner(known: Facts | None, caller: Caller) -> None:
        if known is not None and known.owner != caller.name and not caller.may("admin"):
            raise Problem(
                403, f"study {known.study} must be yours to go on with it, but it belongs to {known.owner or 'nobody'}; "
                "give yours another name"
            )  # fmt: skip

    @classmethod
    def _check_elsewhere(cls, store: str, studies: Sequence[str], caller: Caller) -> None:
        """Checks the owners of studies in another store that the service allows; whose one is, its summary tells."""
        where = place(store)
        for name in studies:
            if where.read(layout.head(name)) is not None:
                found = from_bytes(where.read(layout.summary(name)))
                cls._check_owner(found[0] if found else Facts(study=name), caller)

    async def _room(self, queue: Queue, found: Examined, order: Order) -> int | None:
        """Returns the most trials that the job may train at a time. Raises Problem where a job plays the study, and 429."""
        jobs = await queue.ask(queue.look, True)
        for job in active(jobs).values():
            if twice := sorted(set(studies_of(job)) & set(found.studies)):
                raise Problem(
                    409, f"a study must have one job at a time, but {job.id} plays {twice[0]}; stop it, or wait"
                )
        settings, owner = self._context.settings, found.owner or ""
        limits = quotas.Quotas(settings.studies_at_a_time, settings.slots, settings.epochs_a_day)
        trained, charged = (0.0, dict[str, float]()) if limits.epochs_a_day is None else await self._spent(owner, jobs)
        done = sum(charged.pop(name, 0.0) for name in found.studies)
        epochs = max(0.0, sum(work.epochs for work in found.work) - done)
        usage = quotas.Usage(owner, jobs, trained)
        of_series = {job.series: sum(charged.get(name, 0.0) for name in studies_of(job)) for job in usage.series}
        return quotas.check(limits, usage, epochs, order.options.workers, of_series)

    async def _spent(self, owner: str, jobs: Sequence[Job]) -> tuple[float, dict[str, float]]:
        """Returns the epochs that an owner's studies trained in the last 24 hours, and what each was charged in all."""
        import pyarrow.compute as pc

        since, trained, charged = time.time() - quotas.DAY, 0.0, {}
        for summary in await self._context.readings.summaries():
            if summary.owner != owner:
                continue
            charged[summary.study] = summary.charged
            if (summary.updated or 0) >= since:
                epochs = (await self._context.readings.reading(summary.study)).data.epochs
                trained += pc.sum(pc.greater_equal(epochs["finished"], since)).as_py() or 0
        return trained, charged

    # -- the act --------------------------------------------------------------------------------------------------

    def _note(self, order: Order, found: Examined, series: str) -> None:
        """Writes the audit log, before anything is done."""
        self._context.audit.write(
            order.caller, "submit", study=found.name, series=series, owner=found.owner, studies=len(found.studies),
            files=bool(order.archive),
        )  # fmt: skip

    def _sent(self, queue: Queue, found: Examined, order: Order, workers: int | None, folder: Path, series: str) -> Job:
        submission = self._submission(found, replace(order.options, workers=workers), folder, series)
        return queue.cluster.submit(submission)

    def _submission(self, found: Examined, options: Options, folder: Path, series: str) -> Submission:
        from hpo.api import submission as submitting

        file, store = folder / FILE, found.store or self.store
        write_whole(file, found.text.encode())
        visible, private = asked(self._context.settings.job_variables, ())
        settings, repeat = self._context.settings, f"hpo --service URL continue {found.studies[0]}"
        made = submitting.submission(
            found.name or "", store, submitting.command(FILE, store, **options.arguments), file, folder,
            environment={**visible, submitting.SUBMITTED: repeat}, private=private, owner=found.owner,
            queue=options.queue or settings.queue,
            retries=options.retries, series=series,
            notes={
                EPOCHS: f"{sum(work.epochs for work in found.work):.0f}",
                **({} if options.workers is None else {WORKERS: str(options.workers)}),
                **({} if found.studies == (found.name,) else {STUDIES: ",".join(found.studies)}),
            },
        )  # fmt: skip
        return replace(made, needed=tuple(path for path in folder.rglob("*") if path.is_file()))

    @staticmethod
    def _known(queue: Queue, series: str) -> Job | None:
        """Returns the job that an earlier try submitted whose answer was lost."""
        with explained():
            try:
                return queue.cluster.job(attempt_id(series, 1))
            except NoSuchJob:
                return None

    def _answer(self, found: Examined, job: Job) -> dict[str, Any]:
        name = found.studies[0] if len(found.studies) == 1 else found.name
        root = self._context.settings.root_path
        return {
            "study": name,
            "studies": list(found.studies),
            "job": job.id,
            "series": job.series,
            "owner": found.owner,
            "state": "queued",
            "url": f"{root}/studies/{found.studies[0]}",
            "page": queue_of(self._context).cluster.page(job.id),
        }

    def _unpacked(self, archive: bytes | None) -> Path:
        """Returns a folder of the cache with the files of an archive."""
        self._context.settings.cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=UNPACKED, dir=self._context.settings.cache))
        try:
            if archive is not None:
                unpack(io.BytesIO(archive), folder, Limits(code=self._context.settings.allow_code))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder
