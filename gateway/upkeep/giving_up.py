"""Claims that nobody will ever settle, given up by an operator's word.

Nothing that may have been produced is lost: a claim is deleted only while it has no record, none can be under
way any more, and the sequencer has read its partition up to an end that was asked for before. Should a record
of it be found all the same, later, it has its receipt with it, and becomes an entry and a claim again.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete
from sqlmodel import Session, col, select, text

from audit.ref import format_ref
from gateway.broker.port import Broker, BrokerError
from gateway.database import clock
from gateway.errors import SetupError
from gateway.positions import load
from gateway.rows import ClaimRow
from gateway.sequencer.round import ROLE

OLD_MS: Final = 10 * 60_000
"""No append is under way after that: clients of Kafka have given it up, and every lease has run out."""

MOST_LISTED: Final = 1_000

_UNCONFIRMED: Final = text("state = 'unconfirmed'")
"""As the index has it, without parameters."""


class ClaimKeptError(SetupError):
    """The claim may not be given up; says why."""

    code = "claim_kept"


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A claim without a record. `at`: when it was made, Unix milliseconds, `is_old`: long enough ago."""

    ref: bytes
    partner: str
    type: str
    topic: str
    partition: int
    at: int
    is_old: bool


@dataclass(frozen=True, slots=True)
class End:
    """Where a partition ended when the broker was asked. `topic_id` None: it is not there."""

    topic_id: str | None
    offset: int = 0


def unsettled(session: Session) -> list[Unsettled]:
    """Claims that have no record yet, oldest first, at most `MOST_LISTED`."""
    now = clock(session)
    query = select(ClaimRow).where(_UNCONFIRMED).order_by(col(ClaimRow.at), col(ClaimRow.ref))
    return [_unsettled(row, now) for row in session.exec(query.limit(MOST_LISTED))]


def find(session: Session, ref: bytes) -> Unsettled:
    """A claim without a record.

    Raises:
        ClaimKeptError: there is none, or it has one.
    """
    row = session.get(ClaimRow, ref)
    if row is None or row.state != "unconfirmed":
        raise ClaimKeptError(f"{format_ref(ref)}: no claim without a record has this reference")
    return _unsettled(row, clock(session))


async def end_of(broker: Broker, claim: Unsettled) -> End:
    """Where its partition ends now.

    Raises:
        BrokerError: the broker is away.
    """
    there = (await broker.describe([claim.topic])).get(claim.topic)
    if there is None or claim.partition >= there.partitions:
        return End(None)
    ((_, end),) = await broker.bounds([(claim.topic, claim.partition)])
    again = (await broker.describe([claim.topic])).get(claim.topic)
    if again is None or again.id != there.id:
        raise BrokerError("broker_unavailable", f"{claim.topic} is being made again: ask once more")
    return End(there.id, end)


def give_up(session: Session, ref: bytes, end: End) -> Unsettled:
    """Delete a claim. `end`: of its partition, asked for before this transaction.

    Raises:
        ClaimKeptError: it has a record, or may have one.
    """
    row = session.get(ClaimRow, ref, with_for_update=True, populate_existing=True)
    if row is None or row.state != "unconfirmed":
        raise ClaimKeptError(f"{format_ref(ref)}: no claim without a record has this reference")
    now = clock(session)
    claim = _unsettled(row, now)
    if not claim.is_old or row.lease_until >= now:
        raise ClaimKeptError(f"{format_ref(ref)}: an attempt may be under way; ask again in ten minutes")
    if end.topic_id is not None:
        progress = load(session, ROLE, end.topic_id, claim.partition)
        read = 0 if progress is None else progress.next
        if read < end.offset:
            raise ClaimKeptError(
                f"{format_ref(ref)}: {claim.topic} [{claim.partition}] ends at {end.offset}, and the "
                f"sequencer has read it up to {read}: the record may be among the rest. Let the gateway run "
                "until it has read all of it"
            )
    session.execute(delete(ClaimRow).where(col(ClaimRow.ref) == ref))
    return claim


def _unsettled(row: ClaimRow, now: int) -> Unsettled:
    is_old = row.at < now - OLD_MS
    return Unsettled(row.ref, row.partner, row.event_type, row.topic, row.partition, row.at, is_old)
