"""A results store as a mapping from the names of its studies to their results. Reads it; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hpo import store as stores
from hpo.api.results import Results
from hpo.store import StoreError
from hpo.text import nearest, shown


class NoSuchStudy(StoreError, KeyError):
    """A study that the store does not hold."""

    __str__ = Exception.__str__  # KeyError's would quote the sentence


class Store(Mapping[str, Results]):
    """The studies of a store by name: `list(store)`, `store["digits"]`. Each look reads the store as it is then."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __getitem__(self, name: str) -> Results:
        if name not in (known := stores.studies(self.uri)):
            there = nearest(str(name), known) if known else "it holds no study"
            raise NoSuchStudy(f"the study must be in the store, but {self.uri} has no {shown(name)}; {there}")
        return Results(stores.read(self.uri, name), self.uri)

    def __iter__(self) -> Iterator[str]:
        return iter(stores.studies(self.uri))

    def __len__(self) -> int:
        return len(stores.studies(self.uri))

    def __contains__(self, name: object) -> bool:
        return name in stores.studies(self.uri)

    def __repr__(self) -> str:
        return f"<Store {self.uri}: {', '.join(self) or 'no study'}>"

    def _repr_html_(self) -> str:
        from hpo.api.html import box, definitions

        rows = [
            (name, f"{len(found.runs)} runs, {len(found.charges):,} epochs charged") for name, found in self.items()
        ]
        return box(definitions(rows or [("", "no study")]), title=self.uri)


def open_store(store: str | Path) -> Store:
    """Opens a results store: a folder, s3://bucket/prefix, or a bundle. `hpo.open(store)["name"]` are a study's results."""
    return Store(str(store))
