"""Claims of accepted events that the database has forgotten: made again from receipt and record.

A database that was restored from a backup lacks the claims of what was accepted since, and the broker still
has the records. With its entry such an event gets its claim back: a repeat is answered by the first receipt,
and the event has no second one. What only the claim held is gone: the content as it was received, and the
sender's own signature.
"""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from sqlalchemy import or_, select
from sqlmodel import Session, col

from audit.bulk import find_rows, insert_new_rows
from audit.receipt import parse_receipt
from gateway.record import GUID_HEADER
from gateway.rows import ClaimRow
from gateway.sequencer.sighting import Accepted, Sighting

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Forgotten:
    """An accepted event without a claim, whose receipt is ours: as it was seen, and what it becomes."""

    seen: Sighting
    found: Accepted


def restore_claims(session: Session, lost: Mapping[bytes, Forgotten]) -> set[bytes]:
    """Give events their claims back; returns the refs that have them now.

    Somebody may have claimed a ref at the same moment: then that claim counts, and the record is no event.
    """
    rows = [_row(lost[ref]) for ref in sorted(lost)]
    insert_new_rows(session, ClaimRow, rows)
    held = dict(find_rows(session, ClaimRow, ["ref", "receipt"], key="ref", among=sorted(lost)))
    return {ref for ref, one in lost.items() if held.get(ref) == one.found.receipt}


def find_own(session: Session, receipts: AbstractSet[tuple[bytes, str]]) -> frozenset[str]:
    """Those of these receipts, with their refs, that a claim has which was there before the record was.

    One that was made again of a record alone has never had a lease or a content: it proves no more than
    the signature did.
    """
    row, refs = ClaimRow, sorted({ref for ref, _ in receipts})
    is_own = or_(col(row.lease_until) > 0, col(row.content).is_not(None))
    found: set[str] = set()
    for start in range(0, len(refs), _CHUNK):
        some = refs[start : start + _CHUNK]
        query = select(col(row.ref), col(row.receipt)).where(col(row.ref).in_(some), is_own)
        found |= {receipt for ref, receipt in session.execute(query) if (ref, receipt) in receipts}
    return frozenset(found)


def _row(one: Forgotten) -> dict[str, object]:
    record, members = one.seen.read.record, parse_receipt(one.found.receipt.encode()).evidence.members
    content, draft = members["content"], one.found.draft
    is_bare = any(name == GUID_HEADER for name, _ in record.headers)
    return {
        "ref": one.found.ref,
        "partner": draft.partner,
        "direction": draft.direction,
        "source": draft.source,
        "event_id": draft.event_id,
        "event_type": draft.event_type,
        "attributes": json.dumps(members["attributes"], ensure_ascii=False),
        "log": draft.log,
        "event_sha256": bytes.fromhex(members["event_sha256"]),
        "content_sha256": bytes.fromhex(content["sha256"]),
        "content": None,
        "content_type": content["type"],
        "content_encoding": content["encoding"],
        "receipt": one.found.receipt,
        "schema_id": members["schema"]["id"],
        "framing": "header" if is_bare else "prefix",
        "topic": record.topic,
        "topic_id": one.found.position.topic_id,
        "partition": one.found.position.partition,
        "offset": one.found.position.offset,
        "key": record.key,
        "at": draft.at,
        "datum": None,
        "origin_signature": None,
        "state": "confirmed",
        "lease_until": 0,
        "owner": "",
    }
