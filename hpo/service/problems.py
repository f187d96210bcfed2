"""What a request got wrong, as the API answers it: one sentence, by RFC 9457. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.errors import HpoError

MEDIA = "application/problem+json"
AGAIN = {429: "5", 503: "5"}  # seconds after which to ask again


class Problem(HpoError):
    """A request that cannot be answered as asked: `status` of HTTP, the sentence, and what else a program may read.

    `more`: further members of the answer, such as the places of mistakes in a study file. `headers`: further headers; what
    may be asked for again later says when (Retry-After), in a few seconds by default.
    """

    def __init__(self, status: int, sentence: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})
        if status in AGAIN:
            self.headers.setdefault("Retry-After", AGAIN[status])
        self.more = more

    def to_json(self) -> dict[str, Any]:
        """Returns the members of the answer: type, title, status, detail, and the further ones."""
        return {
            "type": "about:blank",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": str(self),
            **self.more,
        }


TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    421: "Wrong host",
    422: "Invalid",
    429: "Too many requests",
    503: "Not available now",
}
