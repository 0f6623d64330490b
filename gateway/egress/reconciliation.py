"""Do deliveries and their entries agree? What the tables say, against what the log says of the same things.

Each tick writes rows, ranges and evidence in one transaction, and the sequencer moves evidence in one: on a
snapshot they agree at any time, under load too. What is found here is a bug of ours, or a damaged database.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from audit.outcomes import Census, Fate, Pair, census
from audit.ref import format_ref
from gateway.egress.delivery import format_delivery
from gateway.egress.replay import OPEN
from gateway.egress.rows import ReplayRangeRow, ReplayRow
from gateway.rows import BacklogRow, DeliveryRow
from partners.endpoint import house_of

MOST_ENTRIES: Final = 1_000_000

_MAY_FOLLOW: Final[Mapping[str, frozenset[str]]] = {
    "pending": frozenset({"retry", "held", "retried"}),
    "held": frozenset({"retry", "held", "retried"}),
    "parked": frozenset({"parked"}),
}
"""What the newest entry of a delivery says where its row is in a state, and an attempt was made."""

_WAITING: Final = frozenset({"retry", "held", "retried"})


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One of them, in words. `where`: a delivery, a range or a replay."""

    what: str
    where: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.where}: {self.what}"


def compare(
    session: Session, logs: Mapping[str, str], *, house: str | None = None, most: int = MOST_ENTRIES
) -> list[Disagreement] | None:
    """Every disagreement of these partners (slugs, with their logs' names without epoch).

    `house`: the name of the house's log, for its deliveries with all partners; None: these are left out. To
    be run on a snapshot: `Database.read`. `most`: entries of a log that are read, its newest. None: so much
    evidence is on its way that nothing can be told now.
    """
    found: list[Disagreement] = []
    owner = col(DeliveryRow.partner)
    asked = [(owner == partner, log) for partner, log in logs.items()]
    if house is not None:
        asked.append((owner.startswith(house_of(""), autoescape=True), house))
    for is_asked, log in asked:
        known = census(session, log, most=most)
        if known is None:
            return None
        found += _compare_rows(session, is_asked, known)
    return [*found, *_compare_ranges(session), *_compare_replays(session)]


def _compare_rows(session: Session, is_asked: ColumnElement[bool], known: Census) -> Iterator[Disagreement]:
    row = DeliveryRow
    query = select(col(row.endpoint), col(row.ref), col(row.state), col(row.attempts), col(row.reason))
    rows: dict[Pair, str] = {}
    for endpoint, ref, state, attempts, reason in session.execute(query.where(is_asked)):
        rows[endpoint, ref] = state
        where = format_delivery(endpoint, ref)
        fate = known.fates.get((endpoint, ref))
        if fate is None:
            # Before its first attempt a delivery has no entry; one that is older than what was read neither.
            if known.is_whole and (attempts or state != "pending"):
                yield Disagreement(
                    f"its row says {state} after {attempts} attempts, and no entry does", where
                )
        else:
            yield from _compare_row(state, attempts, reason, fate, where, is_whole=known.is_whole)
    for (endpoint, ref), fate in known.fates.items():
        # One more try that is asked for while an attempt is under way is over with that attempt's success,
        # whose entry is as old as its beginning.
        was_under_way = fate.last == "retried" and fate.is_done
        if fate.words <= _WAITING and (endpoint, ref) not in rows and not was_under_way:
            word = f"its newest entry says {fate.last}, and nothing waits: {format_ref(ref)}"
            yield Disagreement(word, format_delivery(endpoint, ref))


def _compare_row(
    state: str, attempts: int, reason: str | None, fate: Fate, where: str, *, is_whole: bool
) -> Iterator[Disagreement]:
    if state == "cancelled":
        if not fate.was_cancelled and is_whole:
            yield Disagreement("its row says cancelled, and no entry does", where)
        return
    if state not in _MAY_FOLLOW:
        yield Disagreement(f"its row has the state {state}, which there is not", where)
        return
    if attempts and not fate.words & _MAY_FOLLOW[state]:
        yield Disagreement(f"its row says {state}, and its newest entry {fate.last}", where)
    if attempts > fate.attempts and is_whole:
        yield Disagreement(f"its row counts {attempts} attempts, and its log {fate.attempts}", where)
    if state == "parked" and not reason:
        yield Disagreement("its row says parked, and not why", where)


def _compare_ranges(session: Session) -> Iterator[Disagreement]:
    for row in session.execute(select(BacklogRow)).scalars():
        where = f"{row.endpoint} in {row.topic}/{row.partition} {row.from_offset}-{row.to_offset}"
        length = row.to_offset - row.from_offset
        if row.from_offset < 0 or length < 1:
            yield Disagreement("the range is empty", where)
        elif not 0 <= row.events <= length:
            yield Disagreement(f"the range counts {row.events} events in {length} offsets", where)


def _compare_replays(session: Session) -> Iterator[Disagreement]:
    query = select(col(ReplayRow.id), col(ReplayRow.state))
    states = {found.id: found.state for found in session.execute(query)}
    left: dict[str, int] = dict.fromkeys(states, 0)
    for row in session.execute(select(ReplayRangeRow)).scalars():
        where = f"{row.replay} to {row.endpoint} in {row.topic}/{row.partition}"
        counted = row.handed + row.delivered + row.waiting + row.cancelled + row.passed + row.lost
        if not row.from_offset <= row.next_offset <= row.to_offset:
            yield Disagreement(f"it is at {row.next_offset}, outside its range", where)
        if counted > row.next_offset - row.from_offset:
            done = row.next_offset - row.from_offset
            yield Disagreement(f"it counts {counted} events in {done} offsets", where)
        left[row.replay] = left.get(row.replay, 0) + row.to_offset - row.next_offset
    for name, state in states.items():
        if state == "done" and left[name]:
            yield Disagreement(f"it is done, and {left[name]} offsets are left", name)
        if state in OPEN and not left[name]:
            yield Disagreement(f"it is {state}, and nothing is left", name)
