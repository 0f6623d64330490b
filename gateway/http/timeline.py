"""Rows of the history as JSON values: allow-lists, one function a shape."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from audit.entry import Entry
from audit.erasure import Gone
from audit.errors import MalformedError
from audit.evidence import Kind
from audit.ref import format_ref
from audit.search import Exchange
from audit.states import newer_state, state_of
from gateway.ingress.claims import Claim
from gateway.ingress.unsequenced import Waiting
from gateway.ingress.wording import accepted
from gateway.instants import format_instant

_ABOUT: Final = frozenset({"partner", "direction", "ref", "source", "id", "type"})
_BESIDE: Final = frozenset({Kind.REFUSED, Kind.CONTENT_READ})
_SENT: Final = frozenset({Kind.ACCEPTED, Kind.REFUSED})
_ENDED: Final = {Kind.PARKED: "parked", Kind.CANCELLED: "cancelled"}
_ATTEMPTS: Final = frozenset({Kind.ATTEMPTED, Kind.PARKED, Kind.CANCELLED})
_READERS: Final = frozenset({Kind.CONTENT_READ, Kind.STREAM_ACKNOWLEDGED})
_OF_READERS: Final = frozenset({"route", "consumer", "types", "topic", "ranges", "by"})


Reasons = Mapping[tuple[str, int], Gone]
"""By origin and index of an entry."""

_NO_REASONS: Final[Reasons] = {}


def waiting_item(waiting: Waiting, partner: str | None) -> dict[str, object]:
    """An accepted event that the log has not got yet. `unconfirmed`: the broker's answer is still open."""
    return {
        "partner": partner,
        "ref": format_ref(waiting.ref),
        "id": waiting.id,
        "source": waiting.source,
        "type": waiting.type,
        "direction": waiting.direction,
        "state": waiting.state,
        "kind": Kind.ACCEPTED.value,
        "at": format_instant(waiting.at),
        "log": None,
        "deliveries": [],
    }


def exchange_item(exchange: Exchange, names: Mapping[str, str]) -> dict[str, object]:
    """An event of the log, by its first entry and its newest state. `names`: of endpoints, by id."""
    sent = [
        {
            "endpoint": one.endpoint,
            "name": names.get(one.endpoint),
            "attempts": one.attempts,
            "state": one.state,
            "at": format_instant(one.at),
        }
        for one in exchange.sent
    ]
    return _row(exchange) | {"deliveries": sent}


def _row(exchange: Exchange) -> dict[str, object]:
    first = exchange.first
    item: dict[str, object] = {
        "partner": first.partner,
        "ref": None if first.ref is None else format_ref(first.ref),
        "id": first.event_id,
        "source": first.source,
        "type": first.event_type,
        "direction": first.direction,
        "state": exchange.state or None,
        "kind": first.kind.value,
        "at": format_instant(first.at),
        "log": {"origin": first.origin, "index": first.index},
    }
    if first.credential is not None and first.kind in _SENT:
        item["credential"] = first.credential
    if first.kind is Kind.REFUSED:
        item["code"] = first.code
        item |= {name: value for name, value in _members(first).items() if name in {"count", "faults"}}
    if first.raw is None:
        item["erased"] = True
    if first.kind in _READERS:
        item |= {name: value for name, value in _members(first).items() if name in _OF_READERS}
    return item


def entry_row(exchange: Exchange) -> dict[str, object]:
    """An entry in a list of entries, with what its kind has beyond naming the event."""
    return _row(exchange) | {"evidence": _members(exchange.first)}


def timeline_body(
    base: str,
    ref: bytes,
    claim: Claim | None,
    entries: Sequence[Entry],
    *,
    names: Mapping[str, str],
    erased: Reasons,
) -> dict[str, object]:
    """All that is known of one event; `proof` says whether the log has it.

    `names`: of endpoints, by id. `erased`: why entries have no evidence that have none.
    """
    text = format_ref(ref)
    body: dict[str, object] = {"ref": text}
    if claim is not None and claim.state != "erased":
        body |= _claimed(claim, _newest(entries))
    elif entries:
        first = next((one for one in entries if one.kind not in _BESIDE), entries[0])
        body |= _recorded(first, _newest(entries))
    body["entries"] = [entry_item(one, erased) for one in entries]
    gone = next((why for one in entries if (why := _why(one, erased)) is not None), None)
    if gone is not None:
        body |= {"state": "erased", "erased": gone}
    body["deliveries"] = _deliveries(entries, names)
    is_logged = any(one.kind is Kind.ACCEPTED for one in entries) if claim is not None else bool(entries)
    body["proof"] = "logged" if is_logged else "pending"
    body["links"] = {"self": f"{base}/history/{text}", "proof": f"{base}/history/{text}/proof"}
    return body


def entry_item(entry: Entry, erased: Reasons = _NO_REASONS) -> dict[str, object]:
    """One log entry, with the members that its kind has beyond naming the event."""
    why = _why(entry, erased)
    return {
        "kind": entry.kind.value,
        "at": format_instant(entry.at),
        "log": {"origin": entry.origin, "index": entry.index},
        "evidence": _members(entry),
        **({} if why is None else {"erased": why}),
    }


def _why(entry: Entry, erased: Reasons) -> dict[str, object] | None:
    """When the evidence of an entry was taken away, by which erasure (null: its time was over), and why."""
    gone = erased.get((entry.origin, entry.index)) if entry.raw is None else None
    if gone is None:
        return None
    return {"at": format_instant(gone.at), "erasure": gone.erasure, "basis": gone.basis}


def _newest(entries: Sequence[Entry]) -> str:
    """The state of the event, as lists have it; empty: its entries bring it to none."""
    found = ""
    for one in sorted(entries, key=lambda one: one.at):
        found = newer_state(found, one.kind, one.code)
    return found


def _claimed(claim: Claim, newest: str) -> dict[str, object]:
    """`newest`: by the log, which may not have the event yet, but what was refused under its id."""
    known = accepted(claim, duplicate=False)
    own = "accepted" if claim.state == "confirmed" else "unconfirmed"
    subject, version, schema_id = known.schema
    record: dict[str, object] = {"topic": claim.topic, "partition": claim.partition}
    if claim.position is not None:
        record["offset"] = claim.position.offset
    return {
        "id": claim.key.id,
        "source": claim.key.source,
        "type": claim.type,
        "direction": claim.key.direction,
        "received_at": format_instant(claim.at),
        "state": own if newest in {"", "refused"} else newest,
        "receipt": claim.receipt,
        "schema": {"subject": subject, "version": version, "id": schema_id},
        "contract": known.contract,
        "record": record,
        **({} if claim.origin_signature is None else {"origin": json.loads(claim.origin_signature)}),
    }


def _recorded(first: Entry, newest: str) -> dict[str, object]:
    return {
        "id": first.event_id,
        "source": first.source,
        "type": first.event_type,
        "direction": first.direction,
        "received_at": format_instant(first.at),
        "state": newest or state_of(first.kind, first.code) or None,
    }


def _deliveries(entries: Sequence[Entry], names: Mapping[str, str]) -> list[dict[str, object]]:
    """The newest of each endpoint's attempts, and how many there were."""
    found: dict[str, dict[str, object]] = {}
    for entry in entries:
        if entry.kind not in _ATTEMPTS or entry.endpoint is None:
            continue
        members = _members(entry)
        one = found.setdefault(
            entry.endpoint, {"endpoint": entry.endpoint, "name": names.get(entry.endpoint), "attempts": 0}
        )
        one["attempts"] = members.get("number", members.get("attempts", one["attempts"]))
        one["state"] = _ENDED.get(entry.kind) or members.get("outcome")
        one["reason"] = members.get("reason")
        one["at"] = format_instant(entry.at)
    return list(found.values())


def _members(entry: Entry) -> dict[str, object]:
    try:
        evidence = entry.evidence()
    except MalformedError:
        return {}
    if evidence is None:
        return {}
    return {name: value for name, value in evidence.members.items() if name not in _ABOUT}
