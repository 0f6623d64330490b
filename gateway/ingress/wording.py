"""Outcomes from claims: what a sender is told of an event that has one."""

import base64
import json
from typing import Any

from audit.ref import format_ref
from gateway.broker.port import Position
from gateway.ingress.claims import Claim
from gateway.ingress.outcome import Accepted, First, Refused
from gateway.ingress.prepare import Prepared
from gateway.instants import format_instant
from partners.allowance import shown_types
from partners.event_type import is_type


def newly_accepted(prepared: Prepared, position: Position | None) -> Accepted:
    """The answer for an event that this very attempt claimed: what its receipt says is still at hand."""
    return Accepted(
        ref=prepared.claim.ref,
        key=prepared.claim.key,
        type=prepared.claim.type,
        at=prepared.claim.at,
        receipt=prepared.claim.receipt,
        duplicate=False,
        schema=prepared.schema,
        contract=prepared.channel.contract,
        topic=prepared.claim.topic,
        partition=prepared.claim.partition,
        position=position,
    )


def accepted(claim: Claim, *, duplicate: bool) -> Accepted:
    """The answer for a claim's event; schema and contract as its first receipt has them."""
    members = evidence_members(claim.receipt)
    schema = members["schema"]
    return Accepted(
        ref=claim.ref,
        key=claim.key,
        type=claim.type,
        at=claim.at,
        receipt=claim.receipt,
        duplicate=duplicate,
        schema=(schema["subject"], schema["version"], schema["id"]),
        contract=members["contract"],
        topic=claim.topic,
        partition=claim.partition,
        position=claim.position,
    )


def conflict(held: Claim) -> Refused:
    """The refusal of an event whose id another event holds, or one that was erased: perhaps this very one."""
    at = format_instant(held.at)
    if held.state == "erased":
        return Refused(
            "content_erased",
            f"An event with this id was accepted at {at}, as {format_ref(held.ref)}, and erased since: it is "
            "not taken a second time.",
            hint="Another event needs an id of its own.",
        )
    return Refused(
        "event_conflict",
        f"Another event with this id was accepted at {at}, as {format_ref(held.ref)}.",
        hint="A changed event needs an id of its own; a repeat must have the same content.",
        first=First(held.ref, held.at, held.event_sha256, held.content_sha256),
        key=held.key,
    )


def beyond_allowance(event_type: str, allowed: frozenset[str]) -> Refused:
    """The refusal of an event of a type that the credential may not send, whatever the contract has."""
    # Any text can be put in the place of a type.
    name = event_type if is_type(event_type) else "this type"
    return Refused(
        "scope_missing",
        f"The credential may not send {name}; it may send {shown_types(allowed)}.",
        hint="Send it with a credential that may, or ask for one.",
    )


def evidence_members(receipt: str) -> dict[str, Any]:
    """The members of one of our own receipts; nothing is verified here."""
    payload = receipt.split(".")[1]
    padded = payload + "=" * (-len(payload) % 4)
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(padded))
    return members
