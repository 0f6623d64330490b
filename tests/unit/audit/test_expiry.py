"""Evidence past its time: a log is walked once, holds win, and a look costs a row."""

from collections.abc import Callable, Sequence

import pytest
from sqlmodel import Session

from audit import erasure, expiry, holds, log
from audit.evidence import Evidence, Kind
from audit.expiry import Step
from audit.holds import Hold, Scope, Word
from tests.unit.audit.builders import AT, LOG, ORIGIN, append, evidence

NOW = AT + 10_000
WORD = Word("case", "operator", None, 1)


def grow(session: Session, batch: Sequence[Evidence], *, origin: str = ORIGIN) -> None:
    log.open_log(session, origin)
    append(session, origin, batch)
    session.commit()


def walk(session: Session, before: int, *, limit: int = 500, steps: int = 50) -> list[Step]:
    """Steps until nothing is due."""
    done: list[Step] = []
    for _ in range(steps):
        if not expiry.due_logs(session, {LOG: before}):
            return done
        found = expiry.step(session, LOG, before=before, now=NOW, limit=limit)
        assert found is not None
        if found.ranges:
            done.append(found)
    raise AssertionError("it does not end")


def there(session: Session, count: int, *, origin: str = ORIGIN) -> list[int]:
    return [index for index in range(count) if log.entry(session, origin, index).raw is not None]


def test_what_is_past_its_time_goes_and_the_walk_stops_at_what_is_not(session: Session) -> None:
    grow(session, [evidence(number) for number in range(10)])
    assert walk(session, AT + 4) == [Step(ORIGIN, ((0, 4),))]
    assert there(session, 10) == [4, 5, 6, 7, 8, 9]
    assert expiry.due_logs(session, {LOG: AT + 4}) == []
    assert walk(session, AT + 6, limit=1) == [Step(ORIGIN, ((4, 5),)), Step(ORIGIN, ((5, 6),))]
    assert [(one.first, one.end, one.erasure) for one in erasure.gone(session, ORIGIN)] == [
        (0, 4, None),
        (4, 5, None),
        (5, 6, None),
    ]


def test_what_tells_of_contracts_keys_and_erasures_stays(session: Session) -> None:
    stays = [Kind.CONTRACT_CHANGED, Kind.KEY_CHANGED, Kind.ERASED, Kind.HOLD_SET, Kind.EPOCH_OPENED]
    goes = [Kind.REFUSED, Kind.ATTEMPTED, Kind.CONTENT_READ, Kind.STREAM_ACKNOWLEDGED]
    grow(session, [evidence(number, kind=kind) for number, kind in enumerate([*stays, *goes])])
    assert walk(session, NOW) == [Step(ORIGIN, ((5, 9),))]


def test_what_was_erased_before_is_not_said_to_expire(session: Session) -> None:
    grow(session, [evidence(number) for number in range(5)])
    erasure.erase(session, erasure.standing(session, [(2).to_bytes(32, "big")]), at=1, erasure="e", basis="b")
    assert walk(session, NOW) == [Step(ORIGIN, ((0, 2), (3, 5)))]


@pytest.mark.parametrize("scope", [Scope(((2).to_bytes(32, "big"),)), Scope(since=AT + 2, until=AT + 3)])
def test_what_is_held_stays_and_goes_after_the_lift(session: Session, scope: Scope) -> None:
    grow(session, [evidence(number) for number in range(6)])
    hold = Hold("hld_1", LOG, "acme", scope, WORD)
    holds.set_hold(session, hold)
    assert walk(session, AT + 5, limit=2) == [
        Step(ORIGIN, ((0, 2),)),
        Step(ORIGIN, ((3, 4),)),
        Step(ORIGIN, ((4, 5),)),
    ]
    assert there(session, 6) == [2, 5]
    holds.lift(session, hold, WORD)
    assert walk(session, AT + 5) == []
    expiry.go_back(session, LOG)
    assert walk(session, AT + 5) == [Step(ORIGIN, ((2, 3),))]
    expiry.go_back(session, LOG)
    assert expiry.due_logs(session, {LOG: AT + 5}) == [], "nothing was passed over"


def test_an_old_entry_behind_a_young_one_goes_later_and_never_sooner(session: Session) -> None:
    grow(session, [evidence(0, at=AT + 50), evidence(1, at=AT)])
    assert walk(session, AT + 10) == []
    assert there(session, 2) == [0, 1]
    assert walk(session, AT + 51) == [Step(ORIGIN, ((0, 2),))]


def test_more_ranges_than_a_record_holds_are_several_steps(session: Session) -> None:
    kinds = (Kind.ACCEPTED, Kind.KEY_CHANGED)
    grow(session, [evidence(number, kind=kinds[number % 2]) for number in range(230)])
    first, second = walk(session, NOW)
    assert (first.entries, second.entries) == (100, 15)
    assert [index for index in there(session, 230) if index % 2 == 0] == []


def test_more_ranges_than_a_record_holds_wait_for_nothing_that_is_younger(session: Session) -> None:
    kinds = (Kind.ACCEPTED, Kind.KEY_CHANGED)
    grow(session, [evidence(number, kind=kinds[number % 2]) for number in range(230)])
    grow(session, [evidence(230, at=NOW + 1_000_000)])
    assert [one.entries for one in walk(session, NOW)] == [100, 15]
    assert [index for index in there(session, 231) if index % 2 == 0] == [230]


def test_the_walk_goes_on_into_the_next_epoch(session: Session) -> None:
    grow(session, [evidence(number) for number in range(3)])
    grow(session, [evidence(number) for number in range(3, 5)], origin=f"{LOG}/2")
    assert walk(session, NOW) == [Step(ORIGIN, ((0, 3),)), Step(f"{LOG}/2", ((0, 2),))]
    grow(session, [evidence(9, at=NOW + 1)], origin=f"{LOG}/2")
    assert expiry.due_logs(session, {LOG: NOW}) == []
    assert walk(session, NOW + 2) == [Step(f"{LOG}/2", ((2, 3),))]


def test_a_log_without_entries_is_looked_at_once(session: Session) -> None:
    assert expiry.due_logs(session, {LOG: NOW - 5}) == [LOG]
    assert walk(session, NOW - 5) == []
    assert expiry.due_logs(session, {LOG: NOW - 5}) == []


def test_a_step_reads_a_range_of_one_key(session: Session, plan: Callable[[str], list[str]]) -> None:
    grow(session, [evidence(number) for number in range(10)])
    walk(session, NOW)
    for fragment in ("is_there", "audit_expiry.held_epoch", "min(audit_entry.epoch)"):
        steps = plan(fragment)
        assert [one for one in steps if one.startswith("SCAN") or "Seq Scan" in one] == []
