"""Imports to rows and back."""

from typing import cast

from gateway.event import Direction
from gateway.imports.job import Counts, Failure, Import, Sender, State, Wish, read_origin
from gateway.imports.rows import ImportRow
from partners.credential import Method


def to_row(import_id: str, wish: Wish, now: int, lease_until: int) -> dict[str, object]:
    """The row of an import whose body is about to come."""
    origin = wish.sender.origin
    return {
        "id": import_id,
        "partner": wish.partner,
        "direction": wish.direction,
        "event_type": wish.event_type,
        "media_type": wish.media_type,
        "method": wish.sender.method,
        "credential": wish.sender.credential,
        "origin": None if origin is None else origin.to_json(),
        "idempotency_key": wish.key,
        "dry_run": wish.dry_run,
        "state": "receiving",
        "bytes": 0,
        "done": 0,
        "accepted": 0,
        "duplicates": 0,
        "refused": 0,
        "created_at": now,
        "owner": "",
        "epoch": 0,
        "lease_until": lease_until,
    }


def from_row(row: ImportRow) -> Import:
    """An import as its row has it, but for the header of its file."""
    wish = Wish(
        row.partner,
        cast("Direction", row.direction),
        row.event_type,
        row.media_type,
        Sender(cast("Method", row.method), row.credential, read_origin(row.origin)),
        row.dry_run,
        row.idempotency_key,
    )
    return Import(
        id=row.id,
        wish=wish,
        state=cast("State", row.state),
        size=row.bytes,
        total=row.total,
        counts=Counts(row.done, row.accepted, row.duplicates, row.refused),
        created_at=row.created_at,
        ended_at=row.ended_at,
        waits_for=row.waits_for,
        broken=None if row.broken is None else Failure.from_json(row.broken),
        error=None if row.error is None else Failure.from_json(row.error),
        schema_id=row.schema_id,
        fingerprint=row.fingerprint,
        epoch=row.epoch,
    )
