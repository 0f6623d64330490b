"""An entry of a log as it is found again, and the search columns that evidence gives it."""

from dataclasses import dataclass, field

from audit.evidence import Evidence, Kind, leaf_of, parse_evidence
from audit.kinds import MEMBERS

_LISTED = frozenset({Kind.REFUSED, Kind.UNREADABLE, Kind.CONTENT_READ, Kind.STREAM_ACKNOWLEDGED})
_BESIDE = frozenset({Kind.CONTENT_READ})
"""Kinds that name an event and never stand for it."""
OUTBOUND_KINDS = frozenset(
    {
        Kind.UNROUTED,
        Kind.ATTEMPTED,
        Kind.PARKED,
        Kind.ACKNOWLEDGED,
        Kind.CANCELLED,
        Kind.RETRIED,
    }
)
"""Kinds of deliveries: they do not say which way the event went."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed record.

    origin, index: where it stands. leaf: what the log holds of it. raw: the evidence, None once erased.
    code: why it was refused, or how the attempt ended; credential: by which the event was sent, or `asked_by`
    the one that a change or a look was asked for with; the other members as in the evidence.
    """

    origin: str
    index: int
    leaf: bytes = field(repr=False)
    raw: bytes | None = field(repr=False)
    kind: Kind
    at: int
    ref: bytes | None
    partner: str | None
    direction: str | None
    source: str | None
    event_id: str | None
    event_type: str | None
    endpoint: str | None
    code: str | None
    credential: str | None = None

    def evidence(self) -> Evidence | None:
        """The evidence record read again; None once erased."""
        return None if self.raw is None else parse_evidence(self.raw)


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to become an entry of `log` (without its epoch); the other members as those of `Entry`.

    digest: SHA-256 of the content that it speaks of. search: as `audit.marks.join_search` has it.
    """

    raw: bytes = field(repr=False)
    log: str
    kind: Kind
    at: int
    ref: bytes | None
    partner: str | None
    direction: str | None
    source: str | None
    event_id: str | None
    event_type: str | None
    endpoint: str | None = None
    code: str | None = None
    credential: str | None = None
    digest: bytes | None = None
    search: bytes | None = None

    def leaf(self) -> bytes:
        """What the log holds of it."""
        return leaf_of(self.raw, self.kind, self.at)

    def is_of_event(self) -> bool:
        """Whether it can stand for the event that it names."""
        return self.ref is not None and self.kind not in _BESIDE

    def is_listed(self) -> bool:
        """Whether a record that belongs to no event has a row of its own in the history.

        A refused or unreadable event has, a look of our side at many events, and what a reader of a stream
        acknowledges; a change of a contract or key is no exchange.
        """
        return self.ref is None and self.kind in _LISTED


def draft_entry(evidence: Evidence, search: bytes | None = None) -> Draft:
    """The entry that evidence makes. `search`: what its event is found by."""
    return Draft(
        raw=evidence.raw,
        log=evidence.log,
        kind=evidence.kind,
        at=evidence.at,
        ref=evidence.ref,
        partner=evidence.text("partner"),
        direction=_direction(evidence),
        source=evidence.text("source"),
        event_id=evidence.text("id"),
        event_type=evidence.text("type"),
        endpoint=evidence.text("endpoint"),
        code=_code(evidence),
        credential=_credential(evidence),
        digest=digest_of(evidence),
        search=search,
    )


def asked_by(credential: str) -> str:
    """How the column has a credential that sent no event, but asked for what the entry tells of.

    So that what it sent and what it asked for are two ranges of one index, however long either is.
    """
    return f"by {credential}"


def digest_of(evidence: Evidence) -> bytes | None:
    """The digest of what a party can show: the content as received or as sent; else the record's."""
    members = evidence.members
    found = members.get("content_sha256")
    for name in ("content", "record"):
        whole = members.get(name)
        if found is None and isinstance(whole, dict):
            found = whole.get("sha256")
    return bytes.fromhex(found) if isinstance(found, str) else None


def directions_of(kind: Kind) -> tuple[str, ...]:
    """Which directions entries of a kind can have, as their rows name them; empty: none."""
    if kind is Kind.FORWARDED:
        return ("inbound",)
    if kind in OUTBOUND_KINDS:
        return ("outbound",)
    return ("inbound", "outbound") if "direction" in MEMBERS[kind] else ("",)


def can_be_first(kind: Kind) -> bool:
    """Whether an entry of a kind can be the row that stands in a list of events."""
    return kind in _LISTED or ("ref" in MEMBERS[kind] and kind not in _BESIDE)


def _direction(evidence: Evidence) -> str | None:
    """Which way the event went: deliveries do not say it, they all go out."""
    if evidence.kind is Kind.FORWARDED:
        return "inbound"
    return "outbound" if evidence.kind in OUTBOUND_KINDS else evidence.text("direction")


def _credential(evidence: Evidence) -> str | None:
    """By which credential the event came, or which one asked for it; never the one that a change is about."""
    auth, by = (evidence.members.get(name) for name in ("auth", "by"))
    found = auth.get("credential") if isinstance(auth, dict) else None
    asked = by.get("credential") if isinstance(by, dict) else None
    if isinstance(found, str):
        return found
    return asked_by(asked) if isinstance(asked, str) else None


def _code(evidence: Evidence) -> str | None:
    """The one word that tells apart records of one kind: code, outcome or action, of what is parked why.

    The reasons of other records are what somebody wrote: no word to search by.
    """
    names = ("reason",) if evidence.kind is Kind.PARKED else ("code", "outcome", "action")
    for name in names:
        if name in evidence.members:
            word = evidence.text(name)
            # PostgreSQL keeps no NUL; the record itself has it, and the log must go on.
            return None if word is None or "\x00" in word else word
    return None
