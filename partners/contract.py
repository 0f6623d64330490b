"""The terms of a contract as values: what a partner sends and receives, and under which conditions.

A `Contract` says what its file says, whether or not this version of the gateway acts on all of it.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from partners.credential import Method
from partners.endpoint import STANDARD_75H, DeclaredEndpoint, Order
from partners.errors import Problem

Direction = Literal["inbound", "outbound"]
IdMode = Literal["pointers", "required", "generated"]
Framing = Literal["prefix", "header"]
Compatibility = Literal[
    "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", "NONE"
]

SECTIONS: Final[dict[Direction, str]] = {"inbound": "sends", "outbound": "receives"}
"""What a contract file calls the directions: it speaks of the partner."""


@dataclass(frozen=True, slots=True)
class IdRule:
    """Where an event's id comes from.

    `pointers`: from the event, at these pointers. `required`: the sender names it. `generated`: we make one.
    """

    mode: IdMode = "required"
    pointers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Forward:
    """To which other partner events go on, and as which type."""

    to: str
    event_type: str


@dataclass(frozen=True, slots=True)
class Terms:
    """One event type in one direction, as the file says it.

    Pointers are RFC 6901, into the event's data. `schema_path` is relative to the file. `accept_versions`
    counts the newest.
    """

    event_type: str
    direction: Direction
    schema_path: str
    id: IdRule
    key_pointer: str | None
    time_pointer: str | None
    search: tuple[str, ...]
    json: Literal["plain", "avro"]
    compatibility: Compatibility
    accept_versions: int
    forward: Forward | None


@dataclass(frozen=True, slots=True)
class Line:
    """Terms joined with what the registry knows: subject, and ids of the accepted schemas, newest first."""

    terms: Terms
    subject: str
    schema_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Oauth:
    """Whose tokens stand for the partner, and for which audience and subject."""

    issuer: str
    audience: str
    subject: str


@dataclass(frozen=True, slots=True)
class Authority:
    """Whose certificates stand for the partner: a file of CA certificates, and the SAN URI that they sign."""

    path: str
    uri: str


@dataclass(frozen=True, slots=True)
class Authentication:
    """How the partner may identify itself.

    `certificates`: paths, relative to the file, of certificates that are taken as they are. `authorities`:
    those whose certificates are taken. `addresses`: the networks that its callers come from; none: any.
    """

    accept: tuple[Method, ...] = ("api_key",)
    require_signature: bool = False
    certificates: tuple[str, ...] = ()
    oauth: Oauth | None = None
    authorities: tuple[Authority, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def declares(self) -> bool:
        """Whether credentials stand in the file."""
        return bool(self.certificates or self.authorities or self.oauth)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the partner may use. None: whatever the gateway's settings say."""

    events_per_second: int | None = None
    bytes_per_day: int | None = None
    event_bytes: int | None = None
    endpoints: int | None = None
    streams: int | None = None


@dataclass(frozen=True, slots=True)
class DeliveryTerms:
    """How events are delivered where an endpoint says nothing else; `delays` as in `Endpoint`.

    `hold_seconds`: how long topics keep what an endpoint does not take, at least; None: as long as the
    settings of the gateway say.
    """

    delays: tuple[int, ...] = STANDARD_75H
    order: Order = "none"
    hold_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """Which endpoints there may be (`hosts`: patterns; none: any), and those that the file declares."""

    hosts: tuple[str, ...] = ()
    verification: Literal["required", "none"] = "required"
    declared: tuple[DeclaredEndpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days the content of events, and their evidence, is kept."""

    content_days: int = 90
    evidence_days: int = 7 * 365


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract. `revision` 0: read from a file and not applied. `terms` in the order of the file."""

    partner: str
    name: str
    contacts: tuple[tuple[str, str], ...]
    authentication: Authentication
    terms: tuple[Terms, ...]
    limits: Limits
    delivery: DeliveryTerms
    endpoints: EndpointRules
    framing: Framing
    keep: Keep
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ContractFile:
    """A contract with the texts that it was read from.

    `files`: path and content of each file that the contract names, sorted by path; empty until attached.
    `places`: the line of every value, by its JSON Pointer.
    """

    name: str
    text: str = field(repr=False)
    contract: Contract
    files: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    places: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    def paths(self) -> tuple[str, ...]:
        """List the files that the contract names, sorted."""
        named = {terms.schema_path for terms in self.contract.terms}
        authentication = self.contract.authentication
        named |= {*authentication.certificates, *(one.path for one in authentication.authorities)}
        return tuple(sorted(named))

    def sha256(self) -> bytes:
        """Digest of this contract, as `contract_sha256`."""
        return contract_sha256(self.text, dict(self.files))

    def problem(self, pointer: str, code: str, detail: str) -> Problem:
        """Make a problem at a place in this file; an unknown pointer falls back to the nearest one above."""
        above = pointer
        while above and above not in self.places:
            above = above.rpartition("/")[0]
        return Problem(self.name, self.places.get(above, 1), pointer, code, detail)


def join_id(parts: Sequence[str]) -> str:
    """Join the values at several pointers to one id: `%` and `:` inside a part escaped, `:` between parts.

    Different parts never make the same id. A single part stays as it is.
    """
    if len(parts) == 1:
        return parts[0]
    return ":".join(part.replace("%", "%25").replace(":", "%3A") for part in parts)


def pointer_to(*tokens: str) -> str:
    """Make a JSON Pointer of member names. Source: RFC 6901, section 3."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def contract_sha256(text: str, files: Mapping[str, str]) -> bytes:
    """Digest of a contract: SHA-256 over its text and its files, each behind its length.

    `gateway/contract/v1` NUL, field(text), then field(path) field(content) for each file by path, where
    field(t) is the length of t in UTF-8 as four bytes, most significant first, and t.

    Raises:
        UnicodeEncodeError: a text holds half of a surrogate pair.
    """
    return hashlib.sha256(contract_bytes(text, files)).digest()


def contract_bytes(text: str, files: Mapping[str, str]) -> bytes:
    """What `contract_sha256` is over."""
    parts = [text]
    for path, content in sorted(files.items()):
        parts += (path, content)
    return b"gateway/contract/v1\x00" + b"".join(map(_field, parts))


def _field(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">I", len(raw)) + raw
