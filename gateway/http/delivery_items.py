"""Deliveries and replays as answers. Pure: values in, JSON values out."""

from collections.abc import Mapping, Sequence

from audit.entry import Entry
from audit.evidence import Kind
from audit.outcomes import Told
from audit.ref import format_ref
from gateway.egress.delivery import format_delivery
from gateway.egress.replay import Replay
from gateway.egress.undelivered import Single, Stretch
from gateway.instants import format_instant
from gateway.redelivery import Whose
from partners.endpoint import Side, party_of

Names = Mapping[str, str]
"""Names of endpoints, by id."""


def single_item(one: Single, names: Names, base: str) -> dict[str, object]:
    """A delivery that has a row."""
    return {
        "id": format_delivery(one.endpoint, one.ref),
        "partner": party_of(one.partner)[0],
        "endpoint": one.endpoint,
        "name": names.get(one.endpoint),
        "state": one.state,
        "reason": one.reason,
        "ref": format_ref(one.ref),
        "event": {"id": one.event_id, "source": one.source, "type": one.event_type},
        "events": 1,
        "attempt_count": one.attempts,
        "next_at": None if one.next_at is None else format_instant(one.next_at),
        "since": format_instant(one.since),
        "at": format_instant(one.updated_at),
        "range": None,
        "links": _links(base, one.endpoint, one.ref, party_of(one.partner)[1]),
    }


def stretch_item(one: Stretch, partner: str, names: Names) -> dict[str, object]:
    """A range of a backlog: many deliveries that have no rows."""
    since = None if one.since is None else format_instant(one.since)
    return {
        "id": None,
        "partner": partner,
        "endpoint": one.endpoint,
        "name": names.get(one.endpoint),
        "state": one.state,
        "reason": one.reason,
        "ref": None,
        "event": None,
        "events": one.events,
        "attempt_count": 0,
        "next_at": None,
        "since": since,
        "at": since,
        "range": {
            "topic": one.topic,
            "partition": one.partition,
            "from": one.start,
            "to": one.end,
        },
        "links": None,
    }


def entry_item(entry: Entry, names: Names, base: str, side: Side) -> dict[str, object]:
    """A delivery that ended, by the entry that says so; or an event that could be delivered to nobody."""
    evidence = entry.evidence()
    members = {} if evidence is None else evidence.members
    is_refused = entry.kind is Kind.REFUSED
    state = {Kind.REFUSED: "refused", Kind.CANCELLED: "cancelled"}.get(entry.kind, "delivered")
    is_one = entry.ref is not None and entry.endpoint is not None
    return {
        "id": format_delivery(entry.endpoint or "", entry.ref or b"") if is_one else None,
        "partner": entry.partner,
        "endpoint": entry.endpoint,
        "name": names.get(entry.endpoint or ""),
        "state": state,
        "reason": members.get("code") if is_refused else None,
        "ref": None if entry.ref is None else format_ref(entry.ref),
        "event": {"id": entry.event_id, "source": entry.source, "type": entry.event_type},
        "events": 1,
        "attempt_count": members.get("number", members.get("attempts", 0)),
        "next_at": None,
        "since": format_instant(entry.at),
        "at": format_instant(entry.at),
        "range": None,
        "links": _links(base, entry.endpoint or "", entry.ref or b"", side) if is_one else None,
    }


def told_item(
    whose: Whose, endpoint: str, told: Sequence[Told], names: Names, base: str
) -> dict[str, object]:
    """A delivery that has no row, by what evidence tells of it; `told` is not empty."""
    side = whose.side
    first, last = told[0].evidence, told[-1].evidence
    outcome = next((word for one in reversed(told) if (word := _outcome(one)) is not None), "pending")
    attempts = [one.evidence for one in told if one.evidence.kind is Kind.ATTEMPTED]
    ref = first.ref or b""
    return {
        "id": format_delivery(endpoint, ref),
        "partner": whose.partner.slug,
        "endpoint": endpoint,
        "name": names.get(endpoint),
        "state": {"retry": "pending"}.get(outcome, outcome),
        "reason": None if outcome == "delivered" or not attempts else attempts[-1].text("reason"),
        "ref": format_ref(ref),
        "event": {"id": first.text("id"), "source": first.text("source"), "type": first.text("type")},
        "events": 1,
        "attempt_count": len(attempts),
        "next_at": None,
        "since": format_instant(first.at),
        "at": format_instant(last.at),
        "range": None,
        "links": _links(base, endpoint, ref, side),
    }


def attempt_items(told: Sequence[Told], excerpts: Mapping[str, bytes]) -> list[dict[str, object]]:
    """The attempts, oldest first. `excerpt`: the first bytes of the answer, as text; None: not kept."""
    found: list[dict[str, object]] = []
    for one in told:
        evidence = one.evidence
        if evidence.kind is not Kind.ATTEMPTED:
            continue
        members, attempt = evidence.members, evidence.text("attempt") or ""
        raw = excerpts.get(attempt)
        found.append(
            {
                "id": attempt,
                "number": members["number"],
                "at": format_instant(evidence.at),
                "url": members["url"],
                "status": members["status"],
                "reason": members["reason"],
                "ms": members["ms"],
                "outcome": members["outcome"],
                "excerpt": None if raw is None else raw.decode("utf-8", "replace"),
                "log": None if one.log is None else {"origin": one.log[0], "index": one.log[1]},
            }
        )
    return found


def acknowledgement_item(pair: tuple[str, bytes], told: Sequence[Told]) -> dict[str, object] | None:
    """The receiver's acknowledgement as a document by itself, the first one; None: it gave none.

    Source: docs/formats.md, section 6; `audit.receiver` verifies it.
    """
    first = next((one for one in told if one.evidence.kind is Kind.ACKNOWLEDGED), None)
    if first is None:
        return None
    return {
        "delivery": format_delivery(*pair),
        "ref": format_ref(pair[1]),
        "endpoint": pair[0],
        "key": first.evidence.text("key"),
        "at": format_instant(first.evidence.at),
        "token": first.evidence.text("token"),
        "log": None if first.log is None else {"origin": first.log[0], "index": first.log[1]},
    }


def replay_item(replay: Replay, base: str, waits_for: str | None) -> dict[str, object]:
    """A replay as it stands."""
    wish, counts = replay.wish, replay.counts
    partner, side = party_of(wish.owner)
    return {
        "id": replay.id,
        "partner": partner,
        "endpoint": wish.endpoint,
        "which": wish.which,
        "types": list(wish.types),
        "since": format_instant(wish.since),
        "until": format_instant(wish.until),
        "rate": wish.rate,
        "dry_run": wish.dry_run,
        "state": replay.state,
        "total": replay.total,
        "done": replay.done,
        "handed": counts.handed,
        "delivered": counts.delivered,
        "waiting": counts.waiting,
        "cancelled": counts.cancelled,
        "passed": counts.passed,
        "lost": counts.lost,
        "waits_for": waits_for if replay.is_open else None,
        "created_at": format_instant(replay.created_at),
        "ended_at": None if replay.ended_at is None else format_instant(replay.ended_at),
        "error": None,
        "links": {"self": f"{base}/{'house-' * (side == 'house')}replays/{replay.id}"},
    }


def _outcome(told: Told) -> str | None:
    match told.evidence.kind:
        case Kind.ATTEMPTED:
            return told.evidence.text("outcome")
        case Kind.PARKED:
            return "parked"
        case Kind.CANCELLED:
            return "cancelled"
    return None


def _links(base: str, endpoint: str, ref: bytes, side: Side) -> dict[str, str]:
    return {
        "self": f"{base}/{'house-' * (side == 'house')}deliveries/{format_delivery(endpoint, ref)}",
        "event": f"{base}/history/{format_ref(ref)}",
    }
