"""An entry of a log as it is found again, and the search columns that evidence gives it."""

from dataclasses import dataclass, field

from audit.evidence import Evidence, Kind, parse_evidence

_OUTBOUND = frozenset({Kind.UNROUTED, Kind.ATTEMPTED, Kind.PARKED, Kind.ACKNOWLEDGED})


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed record.

    origin, index: where it stands. leaf: what the log holds of it. raw: the evidence, None once erased.
    code: why it was refused, or how the attempt ended; the other members as in the evidence.
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

    def evidence(self) -> Evidence | None:
        """The evidence record read again; None once erased."""
        return None if self.raw is None else parse_evidence(self.raw)


def direction_of(evidence: Evidence) -> str | None:
    """Which way the event went: deliveries do not say it, they all go out."""
    return "outbound" if evidence.kind in _OUTBOUND else evidence.text("direction")


def code_of(evidence: Evidence) -> str | None:
    """The one word that tells apart records of one kind: code, outcome, reason or action."""
    for name in ("code", "outcome", "reason", "action"):
        if name in evidence.members:
            return evidence.text(name)
    return None


def is_listed(evidence: Evidence) -> bool:
    """Whether a record that belongs to no event has a row of its own in the history.

    A refused or unreadable event has; a change of a contract or key is no exchange.
    """
    return evidence.ref is None and evidence.kind in {Kind.REFUSED, Kind.UNREADABLE}
