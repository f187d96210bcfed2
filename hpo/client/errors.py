"""What the service answers instead of a result, as errors of ours: its own sentence, and what a program may read besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from hpo.errors import HpoError
from hpo.text import cut

LONGEST = 300  # characters of an answer that is no sentence of the service


class ServiceError(HpoError):
    """An answer of the service that is no result. `status` is HTTP's, None without an answer; `more` what a program may read."""

    def __init__(self, sentence: str, status: int | None = None, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.more = dict(more or {})

    @property
    def problems(self) -> list[dict[str, Any]]:
        """What is wrong with a study file, each {"line", "column", "message"}; empty for other requests."""
        return list(self.more.get("problems") or [])


class NotSignedIn(ServiceError):
    """A token that is missing, wrong or revoked."""


class NotAllowed(ServiceError):
    """A request that the token's role does not include, or that the service's settings rule out."""


class NotFound(ServiceError, KeyError):
    """A study, trial or job that the service does not know."""

    __str__ = Exception.__str__  # KeyError's would quote the sentence


class Refused(ServiceError):
    """A request with a mistake, or one that does not fit what is there; see `problems` for those of a study file."""


class ServiceAway(ServiceError):
    """A service that does not answer, or whose store is away."""


class NotTrusted(ServiceError):
    """A service whose certificate this machine does not trust."""


KINDS: dict[int, type[ServiceError]] = {
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    **dict.fromkeys((400, 409, 413, 415, 422, 429), Refused),
    **dict.fromkeys((502, 503, 504), ServiceAway),
}


def of(response: httpx.Response, url: str) -> ServiceError:
    """Returns the error that an answer tells of. `url`: the service's address, for answers that are not the service's own."""
    status, kind = response.status_code, KINDS.get(response.status_code, ServiceError)
    told = _members(response)
    if isinstance(detail := told.get("detail"), str):
        more = {name: value for name, value in told.items() if name not in ("type", "title", "status", "detail")}
        return kind(_hint(kind, detail), status, more)
    text = " ".join(response.text.split()) or response.reason_phrase
    message = f"{url} must be the address of `hpo serve`, but it answered {status}: {cut(text, LONGEST)}"
    return kind(_hint(kind, message), status)


def _members(response: httpx.Response) -> Mapping[str, Any]:
    """Returns the members of a problem, none for an answer of another kind, such as a proxy's page."""
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _hint(kind: type[ServiceError], sentence: str) -> str:
    """Returns the sentence with what a user of the client does about it."""
    if kind is NotSignedIn:
        return f"{sentence.rstrip('. ')}; give a token by HPO_SERVICE_TOKEN, or keep one with `hpo --service URL login`"
    return sentence
