"""The gateway over HTTP, as any client has it: one method a verb, refusals as errors.

Repeats what the gateway asks to be repeated later, a few times; what has an unknown outcome it leaves to the
caller. Sends no key to another host: redirects are not followed, proxies of the environment not used.
"""

import json
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from gateway.cli.errors import AnswerError, ProblemError, UnreachableError, UsageError
from gateway.cli.place import Place
from gateway.cli.registry_answers import registry_problem

Params = Mapping[str, str | int | bool | None]
Body = bytes | Callable[[], Iterable[bytes]]
"""A body, or what makes one bit by bit, anew for each try."""

ALL: Final = "-"
"""All partners, where one can be named."""

_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
_STREAM_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0, read=45.0)
"""A stream gives a sign of life every 15 s."""
_LINE_BYTES: Final = 16 * 2**20
_PATIENCE_SECONDS: Final = (1, 2, 4, 8)
_PAGE: Final = 200
_PROBLEM: Final = "application/problem+json"
_REFUSED: Final = 400
_NO_TLS: Final = ("wrong_version_number", "wrong version number", "record layer failure")
"""What OpenSSL calls an answer in clear to its handshake, by version."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def document(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            AnswerError: it is none.
        """
        try:
            found = json.loads(self.content)
        except ValueError as error:
            raise _strange(self.status) from error
        if not isinstance(found, dict):
            raise _strange(self.status)
        return found


class Client:
    """One gateway, one key. Close it, or use it as a context."""

    def __init__(
        self, place: Place, *, pause: Callable[[float], None], transport: httpx.BaseTransport | None = None
    ) -> None:
        """Dial nothing yet. `pause` waits so many seconds.

        Raises:
            UsageError: the file of the certificate authority cannot be used, or the host can be none.
        """
        headers = {"User-Agent": "partner-gateway-cli", "Accept": "application/json"}
        if place.key:
            headers["Authorization"] = f"Bearer {place.key}"
        self.url = place.url
        self._pause = pause
        try:
            self._http = httpx.Client(
                base_url=place.url,
                headers=headers,
                timeout=_TIMEOUT,
                transport=transport,
                trust_env=False,
                follow_redirects=False,
                verify=_context(place),
            )
        except httpx.InvalidURL as error:
            raise UsageError(f"{place.url} is no address of a gateway: {error}") from error

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, params: Params | None = None, *, accept: str = "application/json") -> Answer:
        """Read. Raises ProblemError, UnreachableError, AnswerError."""
        return self._send("GET", path, params, headers={"Accept": accept})

    def post(
        self,
        path: str,
        body: Body,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a body, JSON if `headers` do not say otherwise. Raises as `get`."""
        return self._send("POST", path, params, body, {"Content-Type": "application/json", **(headers or {})})

    def put(
        self,
        path: str,
        body: bytes,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Replace. Raises as `get`."""
        return self._send("PUT", path, params, body, {"Content-Type": "application/json", **(headers or {})})

    def patch(self, path: str, body: bytes, *, params: Params | None = None) -> Answer:
        """Change a part, JSON. Raises as `get`."""
        return self._send("PATCH", path, params, body, {"Content-Type": "application/json"})

    def delete(self, path: str, params: Params | None = None) -> Answer:
        """Take away. Raises as `get`."""
        return self._send("DELETE", path, params)

    def pages(
        self, path: str, params: Params | None = None, *, most: int | None = None, size: int = _PAGE
    ) -> Iterator[Any]:
        """The items of a list, page after page of `size` (up to 1,000), at most `most`. Raises as `get`."""
        for document in self._pages(path, params, most, size, None):
            yield from document.get("items", [])

    def some(
        self, path: str, params: Params | None, *, most: int | None, cursor: str | None = None
    ) -> tuple[list[Any], str | None]:
        """The first items of a list, at most `most`, and where it goes on; None: there are no more.

        `cursor`: where to go on, as the one before said it. Raises as `get`.
        """
        items: list[Any] = []
        following = None
        for document in self._pages(path, params, most, _PAGE, cursor):
            items += document.get("items", [])
            following = document.get("next")
        return items, following

    def _pages(
        self, path: str, params: Params | None, most: int | None, size: int, cursor: str | None
    ) -> Iterator[dict[str, Any]]:
        left = most
        while left is None or left > 0:
            limit = size if left is None else min(size, left)
            document = self.get(path, {**(params or {}), "limit": limit, "cursor": cursor}).document()
            yield document
            cursor = document.get("next")
            if cursor is None:
                return
            left = None if left is None else left - len(document.get("items", []))

    def _send(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        for seconds in (*_PATIENCE_SECONDS, None):
            try:
                return self._once(method, path, params, body, headers)
            except ProblemError as error:
                asks_later = error.document.get("retry") == "later" and error.code != "proof_pending"
                if seconds is None or not asks_later:
                    raise
                self._pause(min(error.retry_after_seconds or seconds, seconds))
        raise AssertionError("the last round returns or raises")

    def _once(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: Body | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        query = {name: _word(value) for name, value in (params or {}).items() if value is not None}
        try:
            content = body() if callable(body) else body
            response = self._http.request(method, path, params=query, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(self.url, error) from error
        _verify_good(response)
        return Answer(response.status_code, dict(response.headers), response.content)

    @contextmanager
    def lines(
        self, path: str, params: Params | None = None, *, headers: Mapping[str, str]
    ) -> Iterator[Iterator[bytes]]:
        """The lines of an answer that goes on, as they come, without their ends. Raises as `get`."""
        query = {name: _word(value) for name, value in (params or {}).items() if value is not None}
        try:
            with self._http.stream(
                "GET", path, params=query, headers=headers, timeout=_STREAM_TIMEOUT
            ) as response:
                if not response.is_success:
                    response.read()
                _verify_good(response)
                yield _lines(response.iter_bytes())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(self.url, error) from error

    def bounded(
        self,
        path: str,
        params: Params | None = None,
        *,
        most: int,
        seconds: float,
        ticks: Callable[[], float],
    ) -> Answer:
        """Read an answer of any status as it is sent, at most `most` bytes of it, within so many seconds.

        For answers of whom nobody trusts. `ticks`: seconds of a clock that nobody sets.

        Raises:
            UnreachableError: nobody answers, or not to the end in time.
            AnswerError: the body is larger, or nothing that HTTP knows.
        """
        query = {name: _word(value) for name, value in (params or {}).items() if value is not None}
        until, raw = ticks() + seconds, bytearray()
        headers = {"Accept": "*/*", "Accept-Encoding": "gzip, identity"}
        try:
            with self._http.stream("GET", path, params=query, headers=headers) as response:
                for piece in response.iter_raw():
                    raw += piece
                    if len(raw) > most:
                        raise AnswerError(
                            f"the answer has more than {most} bytes", status=response.status_code
                        )
                    if ticks() > until:
                        raise UnreachableError(f"the answer did not end within {seconds:.0f} s")
                return Answer(response.status_code, dict(response.headers), bytes(raw))
        except httpx.RemoteProtocolError as error:
            raise AnswerError(f"what is answered is no HTTP ({error})", status=0) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(self.url, error) from error

    def fetch(self, path: str) -> Answer:
        """Read bytes as they are sent, whatever their coding. Raises as `get`."""
        try:
            with self._http.stream("GET", path, headers={"Accept": "*/*"}) as response:
                if response.is_success:
                    raw = b"".join(response.iter_raw())
                    return Answer(response.status_code, dict(response.headers), raw)
                response.read()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreachable(self.url, error) from error
        _verify_good(response)
        raise _strange(response.status_code)


def path_of(*parts: str) -> str:
    """A path whose parts come from outside: each percent-encoded whole."""
    return "".join("/" + quote(part, safe="") for part in parts)


def under(partner: str | None, *parts: str) -> str:
    """A path of the caller's own resources, or of a partner's for our side.

    Raises:
        UsageError: all partners are named, who have lists alone (`listed`).
    """
    if partner == ALL:
        raise UsageError("--partner - is for lists: name the partner whose this is")
    return listed(partner, *parts)


def listed(partner: str | None, *parts: str) -> str:
    """The path of a list: as `under`, or of all partners' things."""
    own = ("v1",) if partner is None else ("v1", "partners", partner)
    return path_of(*own, *parts)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Ended by LF, or CR and LF, and by nothing else: JSON may hold what Unicode has beside them."""
    begun = b""
    for piece in pieces:
        *whole, begun = (begun + piece).split(b"\n")
        if len(begun) > _LINE_BYTES:
            raise AnswerError("a line of the stream is longer than any event", status=200)
        yield from (line.removesuffix(b"\r") for line in whole)


def _verify_good(response: httpx.Response) -> None:
    if response.headers.get("content-type", "").startswith(_PROBLEM):
        raise _problem(response)
    refused = registry_problem(response) if response.status_code >= _REFUSED else None
    if refused is not None:
        raise refused
    if response.status_code >= _REFUSED or response.is_redirect:
        raise _strange(response.status_code)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _context(place: Place) -> ssl.SSLContext | bool:
    if not place.url.startswith("https:"):
        return False
    try:
        return ssl.create_default_context(cafile=None if place.cacert is None else str(place.cacert))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificate authority {place.cacert} cannot be used: {error}") from error


def _problem(response: httpx.Response) -> Exception:
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return _strange(response.status_code)
    after = response.headers.get("retry-after", "")
    seconds = int(after) if after.isascii() and after.isdigit() else None
    return ProblemError(
        document, status=response.status_code, retry_after_seconds=seconds, path=response.request.url.path
    )


def _unreachable(url: str, error: Exception) -> Exception:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UsageError(
            f"the certificate of {url} is not signed by an authority that is trusted here",
            hint="Name the authority's file: --cacert FILE, or GATEWAY_CACERT.",
        )
    if any(words in str(error).lower() for words in _NO_TLS):
        return UsageError(
            f"{url} is an address with TLS, but no TLS is spoken at this port",
            hint="Write http:// instead of https:// if the port is right.",
        )
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        hint = "Is it running (gateway up)? Is the address right (--url, GATEWAY_URL)?"
        return UnreachableError(f"nobody answers at {url}", hint=hint)
    hint = "It may have been done. Repeat a command that sends events: the same event gets the same receipt."
    if url.startswith("http:") and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        # A server that waits for a TLS handshake hangs up on a request in clear, most often without a word.
        hint = f"If TLS is spoken at this port, write https:// instead of http://. Otherwise: {hint.lower()}"
    return UnreachableError(f"{url} broke off, or did not answer in time ({type(error).__name__})", hint=hint)


def _strange(status: int) -> AnswerError:
    hint = "Is this the address of a gateway, or does a proxy stand before it?"
    return AnswerError(f"the answer (status {status}) is not that of a gateway", status=status, hint=hint)
