"""One event to a program on this machine, as a webhook: signed anew for each attempt, a few attempts.

Source: Standard Webhooks 1.0.0.
"""

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

import httpx

from audit.ref import format_ref
from gateway.cli.errors import UsageError
from gateway.egress.webhook import Signers, present, signed

PAUSES: Final = (1, 4)
"""Seconds before the second and the third attempt."""
_TIMEOUT: Final = httpx.Timeout(15.0, connect=5.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt. `status`: HTTP's; 0: there was no answer, `reason` says why."""

    number: int
    status: int
    reason: str
    ms: int

    @property
    def is_taken(self) -> bool:
        """Whether the program took it."""
        return httpx.codes.is_success(self.status)


@dataclass(slots=True)
class Forwarder:
    """Posts to one URL. `clock`: Unix milliseconds; `ticks`: seconds; `pause` waits so many."""

    url: str
    secret: bytes = field(repr=False)
    clock: Callable[[], int]
    ticks: Callable[[], float]
    pause: Callable[[float], None]
    transport: httpx.BaseTransport | None = None
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Dial nothing yet."""
        self._http = httpx.Client(
            timeout=_TIMEOUT, trust_env=False, follow_redirects=False, transport=self.transport
        )

    def __enter__(self) -> Self:
        """The forwarder itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, ref: bytes, body: bytes) -> Iterator[Tried]:
        """Each attempt as it has ended; none follows one that was taken."""
        for number, seconds in enumerate((0, *PAUSES), 1):
            if seconds:
                self.pause(seconds)
            tried = self._once(number, ref, body)
            yield tried
            if tried.is_taken:
                return

    def _once(self, number: int, ref: bytes, body: bytes) -> Tried:
        told, sent = present(body, "cloudevents")
        headers = [*told, *signed(webhook_id(ref), sent, Signers([self.secret]), now=self.clock())]
        began, status, reason = self.ticks(), 0, ""
        try:
            status = self._http.post(self.url, content=sent, headers=headers).status_code
        except httpx.HTTPError as error:
            reason = type(error).__name__
        return Tried(number, status, reason, round((self.ticks() - began) * 1_000))


def read_target(text: str, *, any_host: bool) -> str:
    """The URL that is meant by `localhost:3000/hook`; of this machine, unless any host will do.

    Raises:
        UsageError: it is none.
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"{text} is no URL: write it such as localhost:3000/hook") from error
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        raise UsageError(f"{text} is no URL: write it such as localhost:3000/hook")
    if not any_host and not _is_here(host):
        raise UsageError(
            f"{host} is not this machine: events would leave it", hint="Say --any-host if that is meant."
        )
    return url


def webhook_id(ref: bytes) -> str:
    """What the header `webhook-id` says."""
    return format_ref(ref)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
