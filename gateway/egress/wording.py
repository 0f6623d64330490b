"""What the relay decided, as evidence. Source: docs/formats.md, section 3."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from audit.evidence import Kind, make_evidence
from audit.ref import format_ref
from audit.store import Pending
from gateway.broker.port import Position
from gateway.egress.acknowledgement import spoken
from gateway.egress.delivery import Attempt, Decision, Delivered, Delivery, Held, Parked, RetryAt
from gateway.egress.reading import Refused, Routed, Unreadable
from gateway.egress.shared import Onward
from gateway.event import short_pointer
from gateway.origin_evidence import Origin
from gateway.positions import is_forwarded, plain
from partners.endpoint import Skip

_ID_BYTES: Final = 16
_SALT_BYTES: Final = 32
_FAULTS: Final = 20
_OUTCOMES: Final[dict[type[Decision], str]] = {
    Delivered: "delivered",
    RetryAt: "retry",
    Parked: "parked",
    Held: "held",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies."""

    topic: str
    position: Position


@dataclass(frozen=True, slots=True)
class Voice:
    """Speaks for one partner's log. `iss`: our origin; `log`: `<host>/log/<random name>`."""

    iss: str
    log: str
    partner: str
    entropy: Callable[[int], bytes]

    def attempted(self, attempt: Attempt) -> Pending:
        """One POST and what came of it."""
        answer = attempt.answer
        members = {
            **_event(attempt.delivery),
            **_provenance(attempt.delivery),
            "endpoint": attempt.delivery.endpoint,
            "url": attempt.url,
            "attempt": attempt.id,
            "number": attempt.number,
            "content_sha256": attempt.content_sha256.hex(),
            "content_length": attempt.content_length,
            "status": answer.status,
            "reason": answer.failure,
            "ms": answer.ms,
            "answer_sha256": answer.body_sha256.hex() if answer.body_sha256 else None,
            "outcome": _OUTCOMES[type(attempt.decision)],
        }
        return self._say(Kind.ATTEMPTED, members, attempt.at, attempt.delivery.search)

    def acknowledged(self, attempt: Attempt, answer: Origin, at: int) -> Pending:
        """The receiver has signed its answer: it has the event."""
        delivery = attempt.delivery
        members = {
            "ref": format_ref(delivery.ref),
            "endpoint": delivery.endpoint,
            "key": answer.key_id,
            "token": spoken(answer),
        }
        return self._say(Kind.ACKNOWLEDGED, members, at, delivery.search)

    def parked(self, delivery: Delivery, reason: str, at: int) -> Pending:
        """Nothing more is tried: the schedule is used up, or the endpoint is gone."""
        members = _event(delivery) | {
            "endpoint": delivery.endpoint,
            "attempts": delivery.attempts,
            "reason": reason,
        }
        return self._say(Kind.PARKED, members, at, delivery.search)

    def cancelled(self, delivery: Delivery, skip: Skip, at: int) -> Pending:
        """Given up by somebody, and not sent any more."""
        members = _event(delivery) | {
            "endpoint": delivery.endpoint,
            "attempts": delivery.attempts,
            "by": {"role": skip.role, "credential": skip.credential},
        }
        return self._say(Kind.CANCELLED, members, at, delivery.search)

    def unsent(self, reading: Unreadable | Refused | Routed, place: Place, at: int) -> Pending:
        """A record that goes to no endpoint, for whichever reason."""
        match reading:
            case Unreadable():
                return self.unreadable(reading, place, at)
            case Refused():
                return self.refused(reading, place, at)
            case Routed():
                return self.unrouted(reading, place, at)

    def unrouted(self, routed: Routed, place: Place, at: int) -> Pending:
        """No endpoint listens to the event."""
        members = {
            "ref": format_ref(routed.ref),
            "source": routed.key.source,
            "id": routed.key.id,
            "type": routed.event_type,
            "record": _place(place, routed.sha256),
        }
        return self._say(Kind.UNROUTED, members, at, routed.search)

    def refused(self, refused: Refused, place: Place, at: int) -> Pending:
        """The contract does not allow the event. Of what another partner forwards the record is not named."""
        key, faults = refused.key, refused.faults[:_FAULTS]
        members = {
            "direction": "outbound",
            "ref": None if key is None else format_ref(key.ref()),
            "source": None if key is None else key.source,
            "id": None if key is None else key.id,
            "type": refused.event_type,
            "content": None,
            "record": None if is_forwarded(place.position.topic_id) else _place(place, refused.sha256),
            "code": refused.code,
            "faults": [{"pointer": short_pointer(f.pointer), "code": f.code} for f in faults],
            "faults_total": len(refused.faults),
            "auth": None,
            "count": 1,
            "since": at,
        }
        return self._say(Kind.REFUSED, members, at)

    def forwarded(self, onward: Onward, at: int) -> Pending:
        """An accepted event went on to another partner, or was not fit to."""
        members = {
            "ref": onward.ref,
            "source": onward.source,
            "id": onward.id,
            "type": onward.event_type,
            "to": onward.to,
            "as": onward.becomes,
            "code": onward.code,
        }
        return self._say(Kind.FORWARDED, members, at)

    def unreadable(self, unreadable: Unreadable, place: Place, at: int) -> Pending:
        """The record is no event."""
        members = {
            "direction": "outbound",
            "record": _place(place, unreadable.sha256),
            "code": unreadable.code,
        }
        return self._say(Kind.UNREADABLE, members, at)

    def hole(self, place: Place, end: int, at: int) -> Pending:
        """Records from the place up to, not with, `end` went by retention before they were read."""
        members = {
            "topic": place.topic,
            "topic_id": plain(place.position.topic_id),
            "partition": place.position.partition,
            "from": place.position.offset,
            "to": end,
        }
        return self._say(Kind.RETENTION_HOLE, members, at)

    def _say(self, kind: Kind, members: dict[str, Any], at: int, search: bytes | None = None) -> Pending:
        evidence = make_evidence(
            kind,
            {"partner": self.partner, **members},
            iss=self.iss,
            log=self.log,
            at=at,
            salt=self.entropy(_SALT_BYTES),
        )
        return Pending(self.entropy(_ID_BYTES), evidence, search)


def _event(delivery: Delivery) -> dict[str, Any]:
    return {
        "ref": format_ref(delivery.ref),
        "source": delivery.source,
        "id": delivery.event_id,
        "type": delivery.event_type,
    }


def _provenance(delivery: Delivery) -> dict[str, Any]:
    """By what an event goes out. Of what another partner forwards the record is not named."""
    known, record = delivery.provenance, None
    if not is_forwarded(delivery.position.topic_id):
        record = _place(Place(delivery.topic, delivery.position), None if known is None else known.sha256)
    if known is None:
        return {"schema": None, "record": record, "contract": None}
    return {"schema": known.schema, "record": record, "contract": known.contract}


def _place(place: Place, sha256: bytes | None) -> dict[str, Any]:
    return {
        "topic": place.topic,
        "topic_id": plain(place.position.topic_id),
        "partition": place.position.partition,
        "offset": place.position.offset,
        "sha256": None if sha256 is None else sha256.hex(),
    }
