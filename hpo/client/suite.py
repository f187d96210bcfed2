"""A suite of the service: its studies, one for each task, and their results side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack
from urllib.parse import quote

from hpo.client.files import download
from hpo.client.study import PATIENCE, ServedStudy, Standing

if TYPE_CHECKING:
    from hpo.api.suite import SuiteResults
    from hpo.api.summaries import Compared, Comparison
    from hpo.client.client import Client


class ServedSuite(Mapping[str, ServedStudy]):
    """The studies of a suite by their names: `list(suite)`, `suite["digits.small"]`. One job plays them all."""

    def __init__(self, client: Client, name: str, studies: Sequence[ServedStudy]) -> None:
        self.name, self._client, self._studies = name, client, {study.name: study for study in studies}

    def __getitem__(self, name: str) -> ServedStudy:
        return self._studies[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._studies)

    def __len__(self) -> int:
        return len(self._studies)

    @property
    def url(self) -> str:
        """The address of its first study's page."""
        return next(iter(self._studies.values())).url

    @property
    def results(self) -> SuiteResults:
        """The results of its studies as they are now, and what follows from all of them."""
        from hpo.api.suite import SuiteResults

        return SuiteResults(self.name, {name: study.results for name, study in self._studies.items()})

    def compare(self, **options: Unpack[Compared]) -> Comparison:
        """Compares the methods over the tasks, as `hpo compare` does; options as for `Results.compare`."""
        return self.results.compare(**options)

    def report(self, path: str | Path) -> Path:
        """Writes the service's report over the tasks, one HTML file that needs no network, and returns its path."""
        return self._client.report(list(self), path)

    def bundle(self, path: str | Path) -> Path:
        """Writes the bundle of all its studies, a .tar.gz that anyone can verify, and returns its path."""
        return download(self._client.transport, f"/suites/{quote(self.name, safe='')}/bundle", Path(path))

    def wait(self, patience: float = PATIENCE) -> dict[str, Standing]:
        """Waits until all its studies are complete, and returns how each stands; see `ServedStudy.wait`."""
        return {name: study.wait(patience) for name, study in self._studies.items()}

    def stop(self) -> None:
        """Stops the suite's job, and so all of its studies."""
        next(iter(self._studies.values())).stop()

    def log(self, follow: bool = False) -> Iterator[str]:
        """Yields the log of its job, piece by piece; `follow`: until the job ends."""
        return next(iter(self._studies.values())).log(follow)

    def __repr__(self) -> str:
        return f"<ServedSuite {self.name}: {', '.join(self._studies)}>"
