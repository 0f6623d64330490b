"""Named readers of streams: how far each has said that it has the events, each word an entry of the log.

A place moves on; back it moves only where that is asked for in so many words, since what lies between was
acknowledged once. A word that says nothing new is no entry; one of more types than the last is new for these,
from the first event on.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlmodel import Session, col

from audit.bulk import insert_new_rows
from gateway.administration.evidence import Acknowledged, Author, Scribe
from gateway.database import Database
from gateway.errors import CallerError, StoreError
from gateway.event import Direction
from gateway.rows import ConsumerRow
from partners.partner import Partner

MOST_CONSUMERS: Final = 100
"""Of one side of a partner."""

ConsumerKey = tuple[str, str, Direction, str]
"""Partner, whose reader it is (`partner` or `house`), direction, name."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A named reader. `offsets`: the next that it wants, by partition of the topic with this id.

    `types`: those of its last word; empty: all.
    """

    name: str
    direction: Direction
    topic_id: str
    offsets: Mapping[int, int]
    types: tuple[str, ...]
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Word:
    """What a reader says: that it has all of `types` before `offsets`.

    `is_former`: the topic was made again since, and this is about the one before. `rewind`: it may want some
    again.
    """

    topic: str
    topic_id: str
    offsets: Mapping[int, int]
    types: tuple[str, ...]
    is_former: bool = False
    rewind: bool = False


@dataclass(frozen=True, slots=True)
class Consumers:
    """See the module. `clock`: Unix milliseconds."""

    database: Database
    scribe: Scribe
    clock: Callable[[], int]

    async def find(self, key: ConsumerKey) -> Consumer | None:
        """A reader; None: it has said nothing yet.

        Raises:
            AwayError: the database is away.
        """
        return await self.database.read(lambda session: _consumer(session.get(ConsumerRow, key)))

    async def all_of(self, partner: str, side: str, direction: Direction) -> tuple[Consumer, ...]:
        """The readers of one side of a partner, `partner` or `house`, by name; at most `MOST_CONSUMERS`.

        Raises:
            AwayError: the database is away.
        """
        query = (
            select(ConsumerRow)
            .where(
                col(ConsumerRow.partner) == partner,
                col(ConsumerRow.side) == side,
                col(ConsumerRow.direction) == direction,
            )
            .order_by(col(ConsumerRow.name))
        )
        return await self.database.read(
            lambda session: tuple(_known(row) for row in session.execute(query).scalars())
        )

    async def commit(
        self, partner: Partner, key: ConsumerKey, word: Word, *, by: Author, dry_run: bool = False
    ) -> Consumer:
        """Take a reader's word; makes the reader if there is none.

        Raises:
            CallerError: `precondition_failed`: it has some of what it wants again; `limit_reached`.
            AwayError: the database is away.
        """

        def work(session: Session) -> Consumer:
            return self._commit(session, partner, key, word, by)

        return await (self.database.rehearse(work) if dry_run else self.database.write(work))

    async def forget(self, key: ConsumerKey, *, dry_run: bool = False) -> bool:
        """Forget a reader; whether there was one. What it said stays in the log.

        Raises:
            AwayError: the database is away.
        """

        def work(session: Session) -> bool:
            row = session.get(ConsumerRow, key)
            if row is not None:
                session.delete(row)
                session.flush()
            return row is not None

        return await (self.database.rehearse(work) if dry_run else self.database.write(work))

    def _commit(
        self, session: Session, partner: Partner, key: ConsumerKey, word: Word, by: Author
    ) -> Consumer:
        now = self.clock()
        row = _locked(session, key)
        if row is None:
            _verify_room(session, key)
            # Not alone, perhaps: whoever comes first makes it, and the others wait for it here.
            insert_new_rows(session, ConsumerRow, [_new_row(key, now)])
            row = _locked(session, key)
        if row is None:
            raise StoreError("store_unavailable", "the consumer was forgotten meanwhile")
        before = _offsets(row) if row.topic_id == word.topic_id else {}
        after = word.offsets
        is_back = any(after.get(number, 0) < offset for number, offset in before.items())
        is_late = word.is_former and row.topic_id not in {"", word.topic_id}
        if not word.rewind and (is_back or is_late):
            text = f"The consumer {key[3]} has acknowledged more than that."
            raise CallerError("precondition_failed", text, hint="Say rewind=true if it wants events again.")
        ranges = tuple(
            (number, before.get(number, 0), after.get(number, 0))
            for number in sorted({*before, *after})
            if before.get(number, 0) != after.get(number, 0)
        )
        if row.topic_id == word.topic_id and (more := _more(row, word)) is not None:
            # Of these it had said nothing: it has them from the first on, as far as it had come with others.
            shared = {number: min(offset, after.get(number, 0)) for number, offset in before.items()}
            since = tuple((number, 0, end) for number, end in sorted(shared.items()) if end)
            if since:
                said = Acknowledged(key[2], key[3], more, word.topic, word.topic_id, since)
                self.scribe.acknowledgement(session, partner, said, by, now=now)
        types = ",".join(sorted(word.types))
        is_new = bool(ranges) or row.topic_id != word.topic_id or row.types != types
        if ranges:
            said = Acknowledged(key[2], key[3], word.types, word.topic, word.topic_id, ranges)
            self.scribe.acknowledgement(session, partner, said, by, now=now)
        if is_new:
            row.topic_id, row.types, row.updated_at = word.topic_id, types, now
            row.offsets = json.dumps({str(number): offset for number, offset in sorted(after.items())})
            row.credential = by.credential or by.role
            session.add(row)
            session.flush()
        return _known(row)


def _more(row: ConsumerRow, word: Word) -> tuple[str, ...] | None:
    """The types that the last word did not speak of; none: all. None: it spoke of all these."""
    known = _types(row)
    if not known:
        return None
    if not word.types:
        return ()
    return tuple(one for one in word.types if one not in known) or None


def _verify_room(session: Session, key: ConsumerKey) -> None:
    partner, side = key[:2]
    of_side = select(func.count()).select_from(ConsumerRow)
    count = session.execute(
        of_side.where(col(ConsumerRow.partner) == partner, col(ConsumerRow.side) == side)
    ).scalar_one()
    if count >= MOST_CONSUMERS:
        text = f"There are {MOST_CONSUMERS} consumers, as many as may be; delete one first."
        raise CallerError("limit_reached", text)


def _locked(session: Session, key: ConsumerKey) -> ConsumerRow | None:
    return session.get(ConsumerRow, key, with_for_update=True)


def _new_row(key: ConsumerKey, now: int) -> Mapping[str, object]:
    partner, side, direction, name = key
    return {
        "partner": partner,
        "side": side,
        "direction": direction,
        "name": name,
        "types": "",
        "topic_id": "",
        "offsets": "{}",
        "credential": "",
        "created_at": now,
        "updated_at": now,
    }


def _consumer(row: ConsumerRow | None) -> Consumer | None:
    return None if row is None else _known(row)


def _known(row: ConsumerRow) -> Consumer:
    return Consumer(
        name=row.name,
        direction="inbound" if row.direction == "inbound" else "outbound",
        topic_id=row.topic_id,
        offsets=_offsets(row),
        types=_types(row),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _types(row: ConsumerRow) -> tuple[str, ...]:
    return tuple(one for one in row.types.split(",") if one)


def _offsets(row: ConsumerRow) -> Mapping[int, int]:
    return {int(number): int(offset) for number, offset in json.loads(row.offsets).items()}
