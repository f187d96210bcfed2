"""What routes of several groups take: the studies that they are of, and how a caller goes on with a stream."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path, Query

StudyName = Annotated[str, Path(description="Name of the study.", examples=["digits"], max_length=200)]
StudyNames = Annotated[
    list[Annotated[str, Query(max_length=200)]],
    Query(min_length=1, max_length=100, description="The studies, which count as tasks.", examples=["digits"]),
]
SuiteName = Annotated[str, Path(description="Name of the suite.", examples=["garden"], max_length=200)]
LastEvent = Annotated[str, Header(alias="Last-Event-ID", max_length=200, description="Go on after this event.")]
