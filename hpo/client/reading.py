"""A study's tables as the service sends them, made into the values that a store gives. Keeps what has not changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpo.client.errors import ServiceError
from hpo.client.transport import Transport

if TYPE_CHECKING:
    import pyarrow as pa

    from hpo.api.results import Results
    from hpo.store import StudyData


@dataclass
class _Kept:
    etag: str
    value: Any


@dataclass
class Reading:
    """What was last read of the study below `path`, each part with the service's tag, by which it tells what has changed."""

    transport: Transport
    path: str
    name: str
    _kept: dict[str, _Kept] = field(default_factory=dict, repr=False)
    _results: Results | None = field(default=None, repr=False)

    def results(self) -> Results:
        """Returns the study's results; the same object as before if nothing of it has changed."""
        from hpo.api.results import Results

        before = dict(self._kept)
        data = self.data()
        if self._results is None or any(self._kept[part] is not before.get(part) for part in self._kept):
            self._results = Results(data)
        return self._results

    def data(self) -> StudyData:
        """Reads the tables, charges before epochs, so that no charge lacks its epoch."""
        from hpo.store import StudyData, schema

        head = self._part("definition", {})
        found = {name: self.table(name) for name in reversed(schema.TABLES)}
        return StudyData(
            self.name, head["definition"], head.get("environment") or {}, **found,
            warnings=tuple(head.get("warnings") or ()), digest=str(head.get("digest") or ""),
        )  # fmt: skip

    def table(self, name: str) -> pa.Table:
        """Returns a table of the store's, by its name."""
        return self._part(f"tables/{name}", {"format": "arrow"})

    def _part(self, part: str, query: dict[str, str]) -> Any:
        kept = self._kept.get(part)
        known = {} if kept is None else {"If-None-Match": kept.etag}
        answer = self.transport.get(f"{self.path}/{part}", query, **known)
        if answer.status_code == 304 and kept is not None:
            return kept.value
        value = _table(answer.content, f"{self.path}/{part}") if query else answer.json()
        if etag := answer.headers.get("etag"):
            self._kept[part] = _Kept(etag, value)
        else:
            self._kept.pop(part, None)
            self._results = None
        return value


def _table(content: bytes, path: str) -> pa.Table:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(content) as stream:
            return stream.read_all()
    except pa.ArrowInvalid as error:
        raise ServiceError(f"{path} must be a table in Arrow's stream format, but is not: {error}") from None
