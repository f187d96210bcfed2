"""What routes of several groups take: the study of a path, and how a caller goes on with a stream."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path

StudyName = Annotated[str, Path(description="Name of the study.", examples=["digits"], max_length=200)]
LastEvent = Annotated[str, Header(alias="Last-Event-ID", max_length=200, description="Go on after this event.")]
