"""Requests to one service over HTTP: verified TLS, time limits, patience with what passes, errors as sentences.

The token travels in one header, to the service's own address alone: no redirect to another host is followed.
"""

from __future__ import annotations

import ssl
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from hpo import __version__
from hpo.client import errors
from hpo.client.errors import NotTrusted, ServiceAway, ServiceError
from hpo.client.trust import trusted

API = "/api/v1"
PASSING = (502, 503, 504)  # statuses of a service that is about to answer again
LIMITS = httpx.Timeout(60.0, connect=10.0)
PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds between two tries
REDIRECTS = 5
PIECE = 2**18  # bytes of a download in memory
MAKING_SECONDS = 900.0  # patience with an analysis that is being made


class Transport:
    """Sends requests to the service at `url`. `patience`: the seconds for which it tries again while nothing answers."""

    def __init__(self, url: httpx.URL, token: str | None, ca: str | Path | None, patience: float) -> None:
        self.url, self.patience = url, patience
        headers = {"User-Agent": f"hpo-arena/{__version__}"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._http = httpx.Client(headers=headers, verify=trusted(ca), timeout=LIMITS, follow_redirects=False)
        weakref.finalize(self, self._http.close)  # a notebook's connection is rarely closed
        self._reached = False  # whether it ever answered: if not, the address may be wrong, and patience is in vain

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None, **headers: str) -> httpx.Response:
        """Returns the answer to a GET below the API's root, once what it asks for is made."""
        return self.ask("GET", path, params=params, headers=headers)

    def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Returns a request's answer as JSON's members."""
        answer = self.ask(method, path, **options)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            kind = answer.headers.get("content-type", "nothing")
            raise ServiceError(
                f"{self.url} must be the address of `hpo serve`, but {path} is {kind}", answer.status_code
            )
        return found

    def ask(
        self, method: str, path: str, *, again: bool = True, into: IO[bytes] | None = None, **options: Any
    ) -> httpx.Response:
        """Sends a request below the API's root and returns its answer, a good one; waits for what is being made (202).

        Tries again while the service does not answer, unless `again` is false: the request must not count twice. `into`: a
        file for the answer's content, which then never is in memory as a whole. Raises ServiceError.
        """
        end = time.monotonic() + MAKING_SECONDS
        while (answer := self._patiently(method, path, again, into, options)).status_code == 202:
            if time.monotonic() > end:
                raise ServiceAway(f"{path} must be made within {MAKING_SECONDS:g} s, but is not; ask again later", 202)
            time.sleep(_retry_after(answer, 1.0))
        return answer

    def _patiently(
        self, method: str, path: str, again: bool, into: IO[bytes] | None, options: Mapping[str, Any]
    ) -> httpx.Response:
        """Sends a request until an answer comes that waiting does not change."""
        began, pause = time.monotonic(), PAUSE
        while True:
            wait = pause
            try:
                answer = self._once(method, path, into, options)
            except httpx.TransportError as error:
                trouble = self.trouble(error)
                if not (again and self._reached) or isinstance(trouble, NotTrusted):
                    raise trouble from None
            else:
                if answer.is_success or answer.status_code == 304:
                    return answer
                trouble, wait = errors.of(answer, str(self.url)), _retry_after(answer, pause)
                if not again or answer.status_code not in PASSING:
                    raise trouble
            if time.monotonic() - began + wait > self.patience:
                raise trouble
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """Opens a stream of the API. Raises ServiceError, or httpx.TransportError where it breaks off."""
        with self._http.stream("GET", self.address(path), headers=headers) as answer:
            self._reached = True
            if not answer.is_success:
                answer.read()
                raise self._elsewhere(answer) if answer.has_redirect_location else errors.of(answer, str(self.url))
            yield answer

    def address(self, path: str) -> str:
        """Returns the address of a path below the API's root."""
        return f"{str(self.url).rstrip('/')}{API}{path}"

    def trouble(self, error: httpx.TransportError) -> ServiceError:
        """Returns the sentence for a request that no answer came to."""
        found: BaseException | None = error
        while found is not None:
            if isinstance(found, ssl.SSLCertVerificationError):
                return NotTrusted(
                    f"the certificate of {self.url} must be one that this machine trusts, but: {found.verify_message}; "
                    "give the authority's certificate by HPO_SERVICE_CA=FILE"
                )
            found = found.__cause__ or found.__context__
        reason = str(error) or type(error).__name__
        return ServiceAway(f"the service must answer, but {self.url} does not: {reason}; is `hpo serve` running there?")

    def _once(self, method: str, path: str, into: IO[bytes] | None, options: Mapping[str, Any]) -> httpx.Response:
        """Sends a request once; follows the service's own redirects of a GET."""
        answer = self._taken(self._http.build_request(method, self.address(path), **options), into)
        for _ in range(REDIRECTS):
            if not answer.has_redirect_location:
                return answer
            target = answer.url.join(answer.headers["location"])
            if method != "GET" or _origin(target) != _origin(self.url):
                raise self._elsewhere(answer)
            answer = self._taken(self._http.build_request(method, target, headers=options.get("headers")), into)
        raise ServiceError(f"{self.url} must answer, but redirects more than {REDIRECTS} times")

    def _taken(self, request: httpx.Request, into: IO[bytes] | None) -> httpx.Response:
        """Sends a request, and reads the answer: what was asked for into a file, where there is one, in place of the last try."""
        with closing(self._http.send(request, stream=True)) as answer:
            self._reached = True
            if into is None or answer.status_code != 200:
                answer.read()
            else:
                into.seek(0)
                into.truncate()
                for piece in answer.iter_bytes(PIECE):
                    into.write(piece)
        return answer

    def _elsewhere(self, answer: httpx.Response) -> ServiceError:
        target = answer.url.join(answer.headers["location"]).copy_with(query=None)
        return ServiceError(
            f"the service must answer itself, but {self.url} redirects to {target}, where no token is sent; give the address "
            "at which the service answers",
            answer.status_code,
        )


def service_address(url: str) -> httpx.URL:
    """Returns a service's address. Raises ServiceError for one that no service has."""
    try:
        found = httpx.URL(url.strip())
    except (httpx.InvalidURL, TypeError):
        found = httpx.URL()
    if found.scheme not in ("http", "https") or not found.host or found.userinfo or found.query or found.fragment:
        raise ServiceError(
            f"a service's address must be https://HOST:PORT or http://HOST:PORT, with its path if it has one, but got "
            f"{str(found.copy_with(userinfo=b'')) if found.userinfo else url!r}; a token is given by HPO_SERVICE_TOKEN"
        )
    return found.copy_with(path=found.path.rstrip("/") or "/")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _retry_after(answer: httpx.Response, default: float) -> float:
    """Returns the seconds that a service asks to wait, 30 at most; dates, which ours never sends, count as none."""
    text = answer.headers.get("retry-after", "")
    return min(30.0, float(text)) if text.isdigit() else default
