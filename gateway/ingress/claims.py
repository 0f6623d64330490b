"""The claim: the row that makes one event id one event.

First writer wins; later ones get the first receipt, a wait, a take-over or a conflict. Every write here runs
inside a group commit, or in a transaction of its own for a strict batch; nothing is published from here.

Crash order: a claim is committed before its record is produced. A claim whose record's fate is unknown stays
`unconfirmed` until the sequencer sees the record, or a repeat takes the claim over after its lease. Who took
one over and produced nothing gives the lease back; killed before that, the lease runs out.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Literal, cast

from sqlmodel import Session, col, select, text, update

from audit.bulk import Change, find_rows, insert_told_rows, update_rows
from audit.dated import Dated, insert_dated_rows
from audit.evidence import Evidence
from audit.log import submit
from gateway.announcements import Announcement, announce_once
from gateway.broker.port import Position
from gateway.database import clock, clock_words
from gateway.event import Content, Direction, EventKey
from gateway.honest_clock import MAX_DIFFERENCE_MS
from gateway.ingress.claim_leases import abandon, give_back, take_over
from gateway.record import Framing
from gateway.rows import ClaimRow

ClaimState = Literal["unconfirmed", "confirmed", "erased"]
_CHUNK = 500
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False)
_MOST_REFS: Final = 20_000
_FEW: Final = 50
"""Claims that go into one statement, whatever they hold."""

_UNCONFIRMED: Final = text("state = 'unconfirmed'")
"""As the index has it, without parameters: databases take no index for a rule that a parameter may change."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What was decided about one event id.

    `datum` is kept until confirmed, so that a take-over can publish. `origin_signature`: the sender's own, as
    `Origin.to_json` has it. `erased`: only its ref is left, so that the event is not taken a second time.
    `search`: what the event is found by, as `audit.marks.join_search` has it.
    """

    ref: bytes
    key: EventKey
    type: str
    attributes: Mapping[str, str]
    log: str
    event_sha256: bytes
    content_sha256: bytes
    content: Content | None
    receipt: str = field(repr=False)
    schema_id: int
    framing: Framing
    topic: str
    partition: int
    record_key: bytes | None
    at: int
    datum: bytes | None = field(repr=False)
    state: ClaimState = "unconfirmed"
    lease_until: int = 0
    position: Position | None = None
    origin_signature: bytes | None = field(default=None, repr=False)
    search: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Take:
    """Claim these, each for itself.

    Answers a `Found` for each, or None: the clocks differ, and nothing was done.
    """

    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Confirm:
    """These records are durable: (ref, receipt, position) of each. Answers nothing."""

    stored: tuple[tuple[bytes, str, Position], ...]


@dataclass(frozen=True, slots=True)
class Abandon:
    """The broker refused these for certain: (ref, receipt, lease) of each. Answers nothing.

    Only as long as the lease is its maker's: a claim that was taken over is no longer ours to delete.
    """

    refused: tuple[tuple[bytes, str, int], ...]


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Take over a claim whose lease has run out: (ref, lease seen) of each.

    Answers, by ref, the lease of each that is ours now.
    """

    seen: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Nothing was produced for these since we took them over: (ref, receipt, our lease) of each.

    Answers nothing. Only as long as the lease is ours: the next repeat may then take over at once.
    """

    held: tuple[tuple[bytes, str, int], ...]


@dataclass(frozen=True, slots=True)
class Enter:
    """Evidence for the log, as (row id, evidence) of each, and what is told of it. Answers nothing."""

    entries: tuple[tuple[bytes, Evidence], ...]
    told: tuple[Announcement, ...] = ()


Write = Take | Confirm | Abandon | TakeOver | GiveBack | Enter


@dataclass(frozen=True, slots=True)
class Found:
    """The claim that holds the ref now.

    `mine`: this very attempt made it. `now`: the database's clock, ms. `lease_until`: by it, how long one
    that is mine is so alone; the claim itself does not say it.
    """

    claim: Claim
    mine: bool
    now: int
    lease_until: int = 0


Answer = tuple[Found, ...] | dict[bytes, int] | None


def write_group(lease_ms: int) -> Callable[[Session, Sequence[Write]], Sequence[Answer]]:
    """The work of one group commit over claims; leases last `lease_ms` by the database's clock."""

    def work(session: Session, items: Sequence[Write]) -> Sequence[Answer]:
        taken = iter(take_timely(session, [one.claims for one in items if isinstance(one, Take)], lease_ms))
        confirm(session, [each for one in items if isinstance(one, Confirm) for each in one.stored])
        answers: list[Answer] = []
        for item in items:
            match item:
                case Take():
                    answers.append(next(taken))
                case Confirm() | GiveBack():
                    answers.append(None)
                case Abandon(refused):
                    abandon(session, refused)
                    answers.append(None)
                case TakeOver(seen):
                    answers.append(take_over(session, seen, clock(session), lease_ms))
                case Enter(entries):
                    for row_id, evidence in entries:
                        submit(session, evidence, id=row_id)
                    answers.append(None)
        _announce(session, [one for item in items if isinstance(item, Enter) for one in item.told])
        give_back(session, [each for one in items if isinstance(one, GiveBack) for each in one.held])
        return answers

    return work


def _announce(session: Session, told: Sequence[Announcement]) -> None:
    """By their keys: another process may be telling the same, which in another order is a deadlock."""
    for one in sorted(told, key=lambda one: (one.partner, one.id)):
        announce_once(session, one)


def is_timely(claims: Sequence[Claim], now: int) -> bool:
    """Whether the clock that signed these claims agrees with the database's (`now`).

    The newest tells: on a busy host the first of a batch was signed some seconds ago.
    """
    newest = max((claim.at for claim in claims), default=now)
    return abs(now - newest) <= MAX_DIFFERENCE_MS


def take_timely(
    session: Session, takes: Sequence[Sequence[Claim]], lease_ms: int
) -> list[tuple[Found, ...] | None]:
    """As `take`, all of them together; None for those whose clock differs from the database's."""
    if not takes:
        return []  # most groups only confirm, where their events came in batches
    claims, words = [claim for some in takes for claim in some], clock_words(session)
    if words is None or len(claims) > _FEW:
        now = clock(session)
        timely = [claim for some in takes if is_timely(some, now) for claim in some]
        taken = iter(take(session, timely, now, lease_ms))
    else:
        # The insertion asks for the time itself: a question of its own is a quarter of a small group.
        dated = Dated(words, "lease_until", lease_ms, "newest", MAX_DIFFERENCE_MS)
        newest = [(claim, max(one.at for one in some)) for some in takes for claim in some]
        newest.sort(key=lambda one: one[0].ref)
        rows = [{**_to_row(claim), "newest": at} for claim, at in newest]
        inserted = insert_dated_rows(session, ClaimRow, rows, "ref", dated)
        now = next(iter(inserted.values())) - lease_ms if inserted else clock(session)
        timely = [claim for some in takes if is_timely(some, now) for claim in some]
        taken = iter(_look(session, timely, inserted, now, now + lease_ms))
    return [tuple(islice(taken, len(some))) if is_timely(some, now) else None for some in takes]


def take(session: Session, claims: Sequence[Claim], now: int, lease_ms: int) -> list[Found]:
    """Insert where nobody was first; what was not inserted for certain is read back, to see who holds it.

    Rows go in sorted by key: unsorted overlapping groups deadlock on PostgreSQL. A claim of another process
    may be in the way of the insertion, and be abandoned before it is read. It is not ours then, and found as
    if it were there: to insert once more what comes before that which we hold already would be a deadlock,
    and whoever waits for it hears soon that it is gone.
    """
    until = now + lease_ms
    rows = [{**_to_row(claim), "lease_until": until} for claim in sorted(claims, key=lambda claim: claim.ref)]
    return _look(session, claims, insert_told_rows(session, ClaimRow, rows, "ref"), now, until)


def _look(
    session: Session, claims: Sequence[Claim], inserted: Collection[bytes], now: int, until: int
) -> list[Found]:
    """Who holds each. `inserted`: refs of which it is certain that rows of these claims were."""
    copies = Counter(claim.ref for claim in claims)
    # Of those that are in this group twice one was inserted, and nothing has told which.
    told = {ref for ref in inserted if copies[ref] == 1}
    held = {claim.ref: claim.receipt for claim in claims if claim.ref in told}
    asked = sorted(ref for ref in copies if ref not in told)
    held.update(find_rows(session, ClaimRow, ["ref", "receipt"], key="ref", among=asked))
    foreign = sorted(claim.ref for claim in claims if held.get(claim.ref) != claim.receipt)
    others = read(session, foreign) if foreign else {}

    def look(claim: Claim) -> Found:
        if held.get(claim.ref) == claim.receipt:
            return Found(claim, mine=True, now=now, lease_until=until)
        return Found(others.get(claim.ref) or replace(claim, lease_until=until), mine=False, now=now)

    return [look(claim) for claim in claims]


def read(session: Session, refs: Sequence[bytes]) -> dict[bytes, Claim]:
    """The claims that hold these refs; refs without a claim are left out."""
    found: dict[bytes, Claim] = {}
    for start in range(0, len(refs), _CHUNK):
        rows = session.exec(select(ClaimRow).where(col(ClaimRow.ref).in_(refs[start : start + _CHUNK])))
        found.update((row.ref, _from_row(row)) for row in rows)
    session.expunge_all()
    return found


def unconfirmed(session: Session, limit: int, *, without: Collection[bytes] = ()) -> list[Claim]:
    """Claims without a confirmed record whose lease has run out, oldest first. `without`: not these refs."""
    rows = session.exec(
        select(ClaimRow.ref)
        .where(_UNCONFIRMED, col(ClaimRow.lease_until) < clock(session))
        .order_by(col(ClaimRow.at), col(ClaimRow.ref))
        .limit(_MOST_REFS)
    )
    refs = [ref for ref in rows if ref not in without][:limit]
    found = read(session, refs)
    return [found[ref] for ref in refs if ref in found]


def unsettled(session: Session, before: int) -> bool:
    """Whether claims of before an instant have no confirmed record, whatever their lease."""
    rows = select(col(ClaimRow.ref)).where(_UNCONFIRMED, col(ClaimRow.at) < before)
    return session.exec(rows.limit(1)).first() is not None


def expire_leases(session: Session) -> None:
    """End the lease of every unconfirmed claim: for the one process that owns the data folder."""
    session.execute(update(ClaimRow).where(_UNCONFIRMED).values(lease_until=0))


def confirm(session: Session, stored: Sequence[tuple[bytes, str, Position]]) -> None:
    """Mark claims whose record is durable. The first copy of an event wins.

    A claim that is confirmed already is left alone. Rows are locked in order of their key, as by all that
    write many claims at once: PostgreSQL deadlocks otherwise.
    """
    first: dict[tuple[bytes, str], Position] = {}
    for ref, receipt, position in sorted(stored, key=lambda one: one[0]):
        first.setdefault((ref, receipt), position)
    rows = [
        {
            "ref": ref,
            "receipt": receipt,
            "topic_id": position.topic_id,
            "partition": position.partition,
            "offset": position.offset,
        }
        for (ref, receipt), position in first.items()
    ]
    update_rows(session, ClaimRow, rows, _CONFIRM)


_CONFIRM = Change(
    match=("ref", "receipt"),
    only=(("state", "unconfirmed"),),
    same=(("state", "confirmed"), ("datum", None)),
)


def _to_row(claim: Claim) -> dict[str, object]:
    """All but how long its lease is."""
    content = claim.content
    return {
        "ref": claim.ref,
        "partner": claim.key.partner,
        "direction": claim.key.direction,
        "source": claim.key.source,
        "event_id": claim.key.id,
        "event_type": claim.type,
        "attributes": _ENCODER.encode(dict(claim.attributes)),
        "log": claim.log,
        "event_sha256": claim.event_sha256,
        "content_sha256": claim.content_sha256,
        "content": content.raw if content else None,
        "content_type": content.media_type if content else "",
        "content_encoding": content.encoding if content else "identity",
        "receipt": claim.receipt,
        "schema_id": claim.schema_id,
        "framing": claim.framing,
        "topic": claim.topic,
        "partition": claim.partition,
        "key": claim.record_key,
        "at": claim.at,
        "datum": claim.datum,
        "origin_signature": claim.origin_signature,
        "search": claim.search,
        "state": "unconfirmed",
        "topic_id": "",
        "owner": "",
    }


def _from_row(row: ClaimRow) -> Claim:
    direction: Direction = "inbound" if row.direction == "inbound" else "outbound"
    content = None
    if row.content is not None:
        encoding: Literal["gzip", "identity"] = "gzip" if row.content_encoding == "gzip" else "identity"
        content = Content(row.content, row.content_type, encoding)
    position = None
    if row.offset is not None:
        position = Position(row.topic_id, row.partition, row.offset)
    return Claim(
        ref=row.ref,
        key=EventKey(row.partner, direction, row.source, row.event_id),
        type=row.event_type,
        attributes=json.loads(row.attributes),
        log=row.log,
        event_sha256=row.event_sha256,
        content_sha256=row.content_sha256,
        content=content,
        receipt=row.receipt,
        schema_id=row.schema_id,
        framing="prefix" if row.framing == "prefix" else "header",
        topic=row.topic,
        partition=row.partition,
        record_key=row.key,
        at=row.at,
        datum=row.datum,
        state=cast("ClaimState", row.state),
        lease_until=row.lease_until,
        position=position,
        origin_signature=row.origin_signature,
        search=row.search,
    )
