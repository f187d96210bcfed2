"""The studies that a bundle holds, one or a suite's, and where the files lie that follow from each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.store import StudyData

TASKS = "tasks"  # the folder of what follows from each study of a suite


@dataclass(frozen=True)
class Held:
    """The studies' digests by their names, in order; `suite` is empty for a bundle of one study."""

    suite: str
    digests: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Held:
        """Returns what a manifest names; nothing where it was changed beyond recognition."""
        if "suite" not in manifest:
            return cls("", {str(manifest.get("study", "")): str(manifest.get("digest"))})
        studies = manifest.get("studies")
        known = studies if isinstance(studies, Mapping) else {}
        return cls(str(manifest["suite"]), {str(name): str(digest) for name, digest in known.items()})

    @classmethod
    def among(cls, studies: Sequence[StudyData]) -> Held:
        """Returns what a bundle of these studies holds."""
        suite = str(studies[0].definition.get("suite")) if len(studies) > 1 else ""
        return cls(suite, {data.name: data.digest for data in studies})

    @property
    def manifest(self) -> dict[str, Any]:
        """What the manifest says of them."""
        if self.suite:
            return {"suite": self.suite, "studies": dict(self.digests)}
        ((study, digest),) = self.digests.items()
        return {"study": study, "digest": digest}

    @property
    def title(self) -> str:
        """The suite's name, or the study's."""
        return self.suite or next(iter(self.digests), "")

    def task(self, study: str) -> str:
        """Returns the name of a study's task."""
        return study.removeprefix(f"{self.suite}.")

    def path(self, study: str, file: str) -> str:
        """Returns where a file lies that follows from a study."""
        return f"{TASKS}/{study}/{file}" if self.suite else file
