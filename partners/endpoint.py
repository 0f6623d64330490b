"""Webhook endpoints: where events are sent, how fast, how often again; which URLs are writable at all.

The text of a URL is judged here. The address behind it is judged at every connect, elsewhere: a text proves
nothing about an address.
"""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from partners.errors import EndpointUrlError
from partners.filter import Filter, Passes, compile_filter

Order = Literal["none", "key", "endpoint"]
Format = Literal["cloudevents", "data", "binary"]
EndpointState = Literal["unverified", "active", "paused", "disabled"]
Side = Literal["partner", "house"]

STANDARD_75H: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds to wait before each attempt; the first is made at once. Source: Standard Webhooks 1.0.0."""

SCHEDULES: Final = {"standard-75h": STANDARD_75H}
MAX_CONCURRENCY: Final = 64
MAX_URL_BYTES: Final = 2_048
DEFAULT_CONCURRENCY: Final = 8

OPERATIONAL: Final = (
    "gateway.contract.changed",
    "gateway.credential.expiring",
    "gateway.credential.revoked",
    "gateway.delivery.parked",
    "gateway.endpoint.disabled",
    "gateway.endpoint.failing",
    "gateway.endpoint.recovered",
    "gateway.endpoint.secret_rotated",
    "gateway.event.refused",
    "gateway.log.checkpoint_late",
    "gateway.quota.near",
    "gateway.record.unreadable",
)
"""Events of the gateway's own that an endpoint may ask for, beside those of the contract."""

ALL_OPERATIONAL: Final = "gateway.*"
"""Asks for all of them, later ones too."""

ALL: Final = "-"
"""In place of a partner's slug, which it cannot be: all partners."""

_OWN: Final = "gateway."
_HOUSE: Final = "house/"

_MAX_HOST_BYTES: Final = 253
_HTTPS_PORT: Final = 443
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PATTERN: Final = re.compile(
    r"(?P<wild>\*\.)?(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
)


def is_elsewhere(one: str, other: str) -> bool:
    """Whether two URLs of endpoints lead to different servers."""
    before, after = urlsplit(one), urlsplit(other)
    return (before.scheme, before.netloc.lower()) != (after.scheme, after.netloc.lower())


@dataclass(frozen=True, slots=True)
class SecretTerms:
    """Of one signing secret: its id, since when it signs, and until when (None: until it is removed).

    Both times in Unix milliseconds. From `until` on it signs nothing more.
    """

    id: str
    created_at: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """What an endpoint does not get any more: every record of a partition before `offset`.

    But for what somebody asked for after `at`, Unix milliseconds. `role` and `credential`: who gave it up.
    """

    topic_id: str
    partition: int
    offset: int
    role: str
    credential: str | None
    at: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL with the event types that go there, and the filter that their data has to pass.

    `types` empty: every type that the partner receives. What is the gateway's own (`OPERATIONAL`) goes to
    those alone that name it. `per_second` None: as fast as it answers. `delays`:
    seconds to wait before each attempt, the first included. `keys`: sealed signing secrets, newest first;
    `secrets`: the terms of each, in their order, or none where none of them ends. `headers`: sent with each
    POST. `skips`: what was given up when it was resumed. `is_paused`: it is
    unverified since it got another URL while it was paused or disabled, and paused once it is verified.
    `declared`: it stands in the contract file. `side`: whose it is. The partner's gets what the partner
    receives; the house's gets what the partner sends from `created_at` on (Unix milliseconds), by its types:
    `begins` says where its topic ended then, by id and offset; None: that is not known.
    `access`: what it demands of us, sealed (`partners.access`).
    """

    id: str
    partner: str
    name: str
    url: str
    types: frozenset[str]
    order: Order
    concurrency: int
    per_second: int | None
    delays: tuple[int, ...]
    keys: tuple[bytes, ...] = field(repr=False)
    state: EndpointState
    declared: bool = True
    access: bytes | None = field(default=None, repr=False)
    side: Side = "partner"
    created_at: int = field(default=0, compare=False)
    begins: tuple[str, int] | None = field(default=None, compare=False)

    filter: Filter | None = None
    format: Format = "cloudevents"
    headers: tuple[tuple[str, str], ...] = ()
    secrets: tuple[SecretTerms, ...] = ()
    skips: tuple[Skip, ...] = ()
    is_paused: bool = False
    _passes: Passes | None = field(init=False, repr=False, compare=False, default=None)

    @property
    def owner(self) -> str:
        """Under which name it and its deliveries are kept: no partner is shown what is under another one."""
        return self.partner if self.side == "partner" else house_of(self.partner)

    @property
    def wants_events(self) -> bool:
        """Whether it asks for more than what is the gateway's own."""
        return not self.types or any(not one.startswith(_OWN) for one in self.types)

    def __post_init__(self) -> None:
        """Compile the filter, once for all events."""
        if self.filter is not None:
            object.__setattr__(self, "_passes", compile_filter(self.filter))

    def wants(self, event_type: str, data: Callable[[], object]) -> bool:
        """Tell whether an event goes there, in whichever state it is.

        `data`: gives the event's data as JSON values, numbers with a fraction as `Decimal`; called only
        where there is a filter. What is the gateway's own passes every filter: these are of the contract.
        """
        if not self.listens_to(event_type):
            return False
        return self._passes is None or event_type.startswith(_OWN) or self._passes(data())

    def keys_at(self, now: int) -> tuple[bytes, ...]:
        """The sealed secrets that sign at this time, newest first."""
        if not self.secrets:
            return self.keys
        pairs = zip(self.keys, self.secrets, strict=True)
        return tuple(key for key, terms in pairs if terms.until is None or now < terms.until)

    def skip_of(self, topic_id: str, partition: int, offset: int, *, wanted_at: int = 0) -> Skip | None:
        """What says that a record was given up; None where it was not.

        `wanted_at`: when its delivery was last asked for, beside its having been recorded; 0: never.
        """
        for one in self.skips:
            is_before = offset < one.offset and (topic_id, partition) == (one.topic_id, one.partition)
            if is_before and (wanted_at <= one.at or not one.at):
                return one
        return None

    def settled_as(self, wanted: "DeclaredEndpoint") -> "Endpoint":
        """The endpoint with what is asked for; its name, state and secrets stay."""
        return replace(
            self,
            url=wanted.url,
            types=wanted.types,
            order=wanted.order,
            concurrency=wanted.concurrency,
            per_second=wanted.per_second,
            delays=wanted.delays,
            filter=wanted.filter,
            format=wanted.format,
            headers=wanted.headers,
        )

    def listens_to(self, event_type: str) -> bool:
        """Tell whether events of a type go there, in whichever state it is."""
        if event_type in self.types:
            return True
        if event_type.startswith(_OWN):
            return ALL_OPERATIONAL in self.types
        return not self.types


@dataclass(frozen=True, slots=True)
class DeclaredEndpoint:
    """An endpoint as it is asked for, by a contract file or a request; fields as in `Endpoint`."""

    name: str
    url: str
    types: frozenset[str]
    order: Order
    concurrency: int
    per_second: int | None
    delays: tuple[int, ...]
    filter: Filter | None = None
    format: Format = "cloudevents"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host that endpoints may have, or (`*.`) every host below one. `port` None: 443."""

    text: str
    host: str
    is_wild: bool
    port: int | None

    def covers(self, host: str, port: int) -> bool:
        """Tell whether an endpoint at this host and port is covered."""
        if port != (self.port or _HTTPS_PORT):
            return False
        return host.endswith("." + self.host) if self.is_wild else host == self.host


def house_of(partner: str) -> str:
    """The owner of the house's endpoints in the exchange with a partner; no slug has a slash."""
    return f"{_HOUSE}{partner}"


def party_of(owner: str) -> tuple[str, Side]:
    """The partner and the side that an owner's name stands for."""
    is_house = owner.startswith(_HOUSE)
    return (owner.removeprefix(_HOUSE), "house") if is_house else (owner, "partner")


def key_place(endpoint_id: str) -> str:
    """Name the place of an endpoint's sealed secrets: what `seal` and its counterpart bind them to."""
    return f"partners_endpoint/{endpoint_id}/sealed_keys"


def new_endpoint(
    partner: str, endpoint_id: str, wanted: DeclaredEndpoint, sealed: bytes, *, state: EndpointState, now: int
) -> Endpoint:
    """Make an endpoint as it is asked for, with one secret, which is sealed."""
    return Endpoint(
        id=endpoint_id,
        partner=partner,
        name=wanted.name,
        url=wanted.url,
        types=wanted.types,
        order=wanted.order,
        concurrency=wanted.concurrency,
        per_second=wanted.per_second,
        delays=wanted.delays,
        keys=(sealed,),
        state=state,
        filter=wanted.filter,
        format=wanted.format,
        headers=wanted.headers,
        secrets=(SecretTerms(secret_id(sealed), now),),
    )


def secret_id(sealed: bytes) -> str:
    """Name a secret by its sealed form, which tells nothing of it and is never made twice."""
    return "sec_" + base64.b32encode(hashlib.sha256(sealed).digest()[:16]).decode("ascii").rstrip("=").lower()


def parse_host_pattern(text: str) -> HostPattern:
    """Read `hooks.acme.example`, `*.acme.example` or `hooks.acme.example:8443`.

    Raises:
        EndpointUrlError: it is no pattern, with the reason.
    """
    found = _PATTERN.fullmatch(text.lower())
    if found is None:
        raise EndpointUrlError(
            "a host pattern reads hooks.acme.example, *.acme.example or hooks.acme.example:8443"
        )
    host = _verify_host(found["host"].strip("[]").rstrip("."))
    port = None if found["port"] is None else int(found["port"])
    if port is not None and not 0 < port < 65_536:  # noqa: PLR2004 - the range of a TCP port
        raise EndpointUrlError("a port is a number from 1 to 65535")
    if found["wild"] and (_as_address(host) is not None or "." not in host):
        raise EndpointUrlError("'*.' goes before a domain of at least two labels, such as *.acme.example")
    return HostPattern(text, host, found["wild"] is not None, port)


def verify_url(text: str, hosts: Sequence[HostPattern], *, allow_insecure_loopback: bool = False) -> str:
    """Return the URL as it is to be stored (host in lower case, no trailing dot), if it may be an endpoint.

    HTTPS only, on port 443 or one that a host pattern names; no user name, no fragment, no zone, an ASCII
    host. With `allow_insecure_loopback`, http and any port too, where the host is `localhost` or a loopback
    literal; `hosts` is then not asked. An empty `hosts` allows every host.

    Raises:
        EndpointUrlError: it may not, with the rule it breaks.

    Source: OWASP SSRF prevention; RFC 3986, section 3.2.
    """
    parts, port = _split(text)
    host = _verify_host((parts.hostname or "").rstrip("."))
    is_exempt = allow_insecure_loopback and _is_loopback(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_exempt):
        raise EndpointUrlError("an endpoint's URL begins with https://")
    number = port or (_HTTPS_PORT if parts.scheme == "https" else 80)
    is_covered = any(pattern.covers(host, number) for pattern in hosts)
    if not is_exempt and not is_covered:
        if hosts:
            named = ", ".join(pattern.text for pattern in hosts)
            raise EndpointUrlError(
                f"its host and port are not among those allowed by endpoints.hosts: {named}"
            )
        if number != _HTTPS_PORT:
            raise EndpointUrlError("a port other than 443 must be named in endpoints.hosts, as host:port")
    shown = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=shown if port is None else f"{shown}:{port}").geturl()


def _split(text: str) -> tuple[SplitResult, int | None]:
    """Split a URL, refusing first what urlsplit would mend or drop without a word."""
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise EndpointUrlError(
            "a URL holds printable ASCII without spaces or backslashes: "
            "write an international host as xn--..., other characters as %XX"
        )
    if len(text) > MAX_URL_BYTES:
        raise EndpointUrlError(f"a URL has at most {MAX_URL_BYTES} characters")
    if "#" in text:
        raise EndpointUrlError("an endpoint's URL has no fragment (#...)")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise EndpointUrlError("not a URL: one reads https://host/path") from error
    if "@" in parts.netloc:
        raise EndpointUrlError(
            "an endpoint's URL has no user name or password: secrets do not belong in a URL"
        )
    if port == 0 or parts.netloc.endswith(":"):
        raise EndpointUrlError("a port is a number from 1 to 65535")
    return parts, port


def _verify_host(host: str) -> str:
    """Return a host that is an address or a name of legal labels; no zone, no percent, no number games."""
    if not host or len(host) > _MAX_HOST_BYTES:
        raise EndpointUrlError(f"a host has 1 to {_MAX_HOST_BYTES} characters")
    if _as_address(host) is not None:
        return host
    labels = host.split(".")
    if any(_LABEL.fullmatch(label) is None for label in labels):
        raise EndpointUrlError(
            "not a legal host name: labels of a-z, 0-9 and '-', or an address without zone"
        )
    if labels[-1][0].isdigit():
        raise EndpointUrlError(
            "a host that ends in a number must be a complete IPv4 address, such as 192.0.2.1"
        )
    return host


def _as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _as_address(host)
    return host == "localhost" if address is None else address.is_loopback
