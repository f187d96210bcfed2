"""A connection to a service: its studies by name, submissions, checks, jobs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack
from urllib.parse import quote

from hpo.api.study import Study
from hpo.client import tokens
from hpo.client.errors import NotFound, ServiceError
from hpo.client.files import download
from hpo.client.job import Job
from hpo.client.study import ServedStudy
from hpo.client.submission import Wishes, body, has_tasks, text_of
from hpo.client.suite import ServedSuite
from hpo.client.transport import Transport, service_address
from hpo.client.trust import in_the_clear

VARIABLE = "HPO_SERVICE"
PATIENCE = 60.0  # seconds
PAGE, MOST_JOBS = 200, 1000  # studies and jobs of an answer


def connect(
    url: str | None = None, *, token: str | None = None, ca: str | Path | None = None, patience: float = PATIENCE
) -> Client:
    """Connects to a service: `hpo.connect("https://host:8080")["digits"].compare()`.

    `url`: default HPO_SERVICE. `token`: default HPO_SERVICE_TOKEN, then what `hpo --service URL login` has kept. `ca`: a file
    with the certificate of the authority to trust besides the usual ones (default: HPO_SERVICE_CA). `patience`: seconds for
    which a request is tried again while the service, or its store, is away. Raises ServiceError.
    """
    return Client(url, token=token, ca=ca, patience=patience)


class Client(Mapping[str, ServedStudy]):
    """The studies of a service by name: `list(client)`, `client["digits"]`; see `connect`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        ca: str | Path | None = None,
        patience: float = PATIENCE,
    ) -> None:
        given = url or os.environ.get(VARIABLE)
        if not given:
            raise ServiceError(f"a service's address must be given, but got none; set {VARIABLE}=https://HOST:PORT")
        where = service_address(given)
        secret = tokens.find(where) if token is None else token
        if secret is not None and not (secret.isascii() and secret.isprintable() and " " not in secret):
            raise ServiceError("a token must be one word of ASCII characters, but got another text; copy it again")
        self.transport = Transport(where, secret, ca, patience)
        self.warnings: tuple[str, ...] = ()
        """A sentence for what is unsafe about the connection."""
        if secret and in_the_clear(where):
            self.warnings = (
                f"the token travels to {where} unencrypted; use https, or a tunnel (ssh -L 8080:127.0.0.1:8080 HOST)",
            )

    # -- studies --------------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> ServedStudy:
        found = ServedStudy(self, name)
        found.state  # noqa: B018  raises NotFound
        return found

    def __iter__(self) -> Iterator[str]:
        return (summary["study"] for summary in self.studies())

    def __len__(self) -> int:
        return int(self.transport.json("GET", "/studies", params={"limit": 1})["total"])

    def study(self, name: str) -> ServedStudy:
        """Returns a study without a look whether the service knows it."""
        return ServedStudy(self, name)

    def studies(
        self, *, search: str | None = None, state: str | Sequence[str] | None = None, owner: str | None = None,
        suite: str | None = None, archived: bool = False, sort: str = "-updated",
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Returns a summary of each study: its state, owner, progress, best value, verdict and more.

        `search`: a part of the name, the task or the like. `state`: one word, or several. `sort`: name, state, owner, began,
        updated, progress or best; with a "-" before it downwards.
        """
        wanted = {"search": search, "state": state, "owner": owner, "suite": suite, "sort": sort, "limit": PAGE}
        query = {name: value for name, value in wanted.items() if value is not None}
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.transport.json("GET", "/studies", params={**query, "archived": str(archived).lower(), **cursor})
            found += page["studies"]
            if not page["next"]:
                return found
            cursor = {"cursor": page["next"]}

    def chosen(self, names: Sequence[str] = (), *, every: bool = False) -> list[str]:
        """Returns the studies that names mean: a suite's name means all of its studies, `every` all that there are.

        No name means the only study, or the only suite. Raises ServiceError where there is not one alone.
        """
        known = self.studies(sort="name")
        suites: dict[str | None, list[str]] = {}
        for summary in known:
            suites.setdefault(summary["suite"], []).append(summary["study"])
        all_names = [summary["study"] for summary in known]
        if every or (not names and (len(known) == 1 or (len(suites) == 1 and None not in suites))):
            names = all_names
        if not names:
            there = f"there are {len(known)}: {', '.join(all_names)}" if known else "there is none yet"
            raise ServiceError(f"a study of {self.transport.url} must be named, since {there}")
        found = [study for name in names for study in ([name] if name in all_names else suites.get(name, [name]))]
        return list(dict.fromkeys(found))

    def suite(self, name: str) -> ServedSuite:
        """Returns a suite of the service, archived studies left out. Raises NotFound for none of that name."""
        names = [summary["study"] for summary in self.studies(suite=name, sort="name")]
        if not names:
            raise NotFound(f"a suite of {self.transport.url} must be named, but it has none of the name {name}", 404)
        return ServedSuite(self, name, [self.study(each) for each in names])

    def report(self, names: Sequence[str], path: str | Path) -> Path:
        """Writes the service's report over several studies as tasks, one HTML file, and returns its path."""
        return download(self.transport, "/report", Path(path), study=names)

    def me(self) -> dict[str, Any]:
        """Returns whose token this is, its role, and what the service is."""
        return self.transport.json("GET", "/me")

    # -- work for the cluster -------------------------------------------------------------------------------------------

    def check(self, study: Study | str | Path) -> dict[str, Any]:
        """Returns the service's check of a study: {"ok", "problems", "plan", "study"}; a problem has line, column, message."""
        return self.transport.json("POST", "/drafts/check", json={"text": text_of(study)})

    def submit(self, study: Study | str | Path, *, key: str | None = None, **wishes: Unpack[Wishes]) -> ServedStudy:
        """Submits a study to the service's cluster and returns it.

        `study`: a Study, a study file or a preset's name. `key`: under one key a study is submitted once, however often it is
        asked for (default: a new one for each call). `wishes`: priority, queue, retries; workers: the most trials at a time;
        least: those that it gets first; methods, seeds and budget in place of the study's; files: a folder with code of its
        own, or a zip. Raises Refused, NotAllowed.
        """
        text = text_of(study)
        if has_tasks(text):
            raise ServiceError(
                "a study must have no tasks to be submitted by `submit`, but this is a suite; use `submit_suite`"
            )
        return ServedStudy(self, str(self._submitted(text, key, wishes)["study"]))

    def submit_suite(self, suite: str | Path, *, key: str | None = None, **wishes: Unpack[Wishes]) -> ServedSuite:
        """Submits a suite, a study file with `tasks`, as one job, and returns it; the options are those of `submit`."""
        answer = self._submitted(text_of(suite), key, wishes)
        return ServedSuite(self, str(answer["study"]), [self.study(name) for name in answer["studies"]])

    def _submitted(self, text: str, key: str | None, wishes: Wishes) -> dict[str, Any]:
        headers = {
            "Idempotency-Key": key or secrets.token_hex(16)
        }  # made once: a repeated request is the same submission
        return self.transport.json("POST", "/studies", headers=headers, **body(text, wishes))

    def jobs(self, study: str | None = None) -> list[Job]:
        """Returns the jobs that the cluster remembers, newest first; with `study`, those that play it."""
        query = {"limit": MOST_JOBS} if study is None else {"limit": MOST_JOBS, "study": study}
        return [Job.of(facts, self.transport) for facts in self.transport.json("GET", "/jobs", params=query)["jobs"]]

    def job(self, id: str) -> Job:
        """Returns a job, or the newest attempt of a series. Raises NotFound."""
        return Job.of(self.transport.json("GET", f"/jobs/{quote(id, safe='')}"), self.transport)

    def close(self) -> None:
        """Closes the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def __repr__(self) -> str:
        return f"<Client of {self.transport.url}>"
