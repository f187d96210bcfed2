"""What a request got wrong, as the API answers it: one sentence, by RFC 9457. Knows no route."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from hpo.errors import HpoError
from hpo.text import plain

MEDIA = "application/problem+json"
LATER, AGAIN_SECONDS = (429, 503), 5  # what may be asked again later, by default so soon


class Problem(HpoError):
    """A request that cannot be answered as asked: `status` of HTTP, the sentence, and what else a program may read.

    wait: seconds after which to ask again, as Retry-After; a few for 429 and 503. headers: further headers. more: further
    members of the answer, such as the places of mistakes in a study file.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        wait: float | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})
        if wait is not None or status in LATER:
            self.headers.setdefault("Retry-After", str(math.ceil(AGAIN_SECONDS if wait is None else wait)))
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

    def answer(self) -> Response:
        """Returns the answer."""
        return Response(encoded(self.to_json()), self.status, self.headers, media_type=MEDIA)


def encoded(value: Any) -> bytes:
    """Returns a value as JSON; null for numbers that are not finite."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


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
