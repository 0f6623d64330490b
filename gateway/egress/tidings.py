"""What of a shard's decisions its partners are told, as events of the gateway's own.

An endpoint is told of when its state changes, not when it fails once more; what can happen to every event is
told as a sample. What becomes of the gateway's own events is never told: that would go on for ever.
"""

from collections.abc import Iterator
from typing import Final

from audit.ref import format_ref
from gateway import happenings, operational
from gateway.announcements import Announcement
from gateway.egress.breaker import Breaker
from gateway.egress.crowding import Crowding
from gateway.egress.delivery import Attempt, Delivery, Held
from gateway.egress.reading import Reading, Refused, Unreadable
from gateway.egress.wording import Place
from gateway.event import short_pointer
from gateway.happenings import Sample
from partners.endpoint import Endpoint, party_of

PARKED_AN_HOUR: Final = 10
"""Parked deliveries of an endpoint that are told in an hour."""


class Tidings:
    """Of one shard."""

    def __init__(self) -> None:
        self._parked = Sample(PARKED_AN_HOUR)
        self._others = Sample(1)

    def attempted(
        self, before: Endpoint, was: Breaker, breaker: Breaker, attempt: Attempt, now: int
    ) -> Iterator[Announcement]:
        """What an attempt changed about its endpoint, which was so `before`; `was`: its breaker then."""
        if before.side == "house" or before.state != "active":
            return
        reason = attempt.answer.failure or ""
        since = breaker.failing_since if was.failing_since is None else was.failing_since
        if breaker.is_open and not was.is_open:
            yield happenings.endpoint_failing(before, reason=reason, since=since or now, now=now)
        if was.is_open and not breaker.is_open:
            yield happenings.endpoint_recovered(before, since=since or now, now=now)
        if isinstance(attempt.decision, Held):
            yield happenings.endpoint_disabled(before, reason=attempt.decision.reason, now=now)

    def crowded(
        self, before: Endpoint, was: Crowding, crowding: Crowding, attempt: Attempt, now: int
    ) -> Iterator[Announcement]:
        """So much waits for a retry since an attempt that nothing new is begun with; or that is over."""
        if before.side == "house" or before.state != "active":
            return
        if was.since is None and crowding.since is not None:
            reason = attempt.answer.failure or "client_error"
            yield happenings.endpoint_failing(before, reason=reason, since=crowding.since, now=now)
        if was.since is not None and crowding.since is None:
            yield happenings.endpoint_recovered(before, since=was.since, now=now)

    def parked(self, endpoint: Endpoint, delivery: Delivery, reason: str, now: int) -> Iterator[Announcement]:
        """Nothing more is tried of a delivery."""
        if endpoint.side == "house" or operational.is_operational(delivery.event_type):
            return
        if self._parked.takes((endpoint.id,), now):
            event = {
                "ref": format_ref(delivery.ref),
                "source": delivery.source,
                "id": delivery.event_id,
                "type": delivery.event_type,
            }
            yield happenings.delivery_parked(
                endpoint, event, attempts=delivery.attempts, reason=reason, now=now
            )

    def recorded(self, owner: str, reading: Reading, place: Place, now: int) -> Iterator[Announcement]:
        """A record that goes to nobody, read for an owner."""
        partner, side = party_of(owner)
        if side == "house":
            return
        match reading:
            case Unreadable(code):
                if self._others.takes((partner, "unreadable", code), now):
                    at = place.position
                    yield happenings.record_unreadable(
                        partner,
                        topic=place.topic,
                        partition=at.partition,
                        offset=at.offset,
                        code=code,
                        now=now,
                    )
            case Refused(code, _, key, event_type, faults):
                if operational.is_operational(event_type or ""):
                    return
                if self._others.takes((partner, "refused", code), now):
                    event = {"direction": "outbound", "type": event_type} | (
                        {}
                        if key is None
                        else {"ref": format_ref(key.ref()), "source": key.source, "id": key.id}
                    )
                    yield happenings.event_refused(
                        partner,
                        event,
                        code=code,
                        faults=[(short_pointer(one.pointer), one.code) for one in faults[:20]],
                        faults_total=len(faults),
                        now=now,
                    )
