from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, event
from sqlmodel import Session, col, select

from audit.log import pending_logs
from gateway.announcements import Announcement
from gateway.broker.port import Position
from gateway.database import Database, clock
from gateway.ingress.claims import (
    _FEW,
    Abandon,
    Answer,
    Claim,
    Confirm,
    Enter,
    Found,
    Take,
    TakeOver,
    Write,
    expire_leases,
    is_timely,
    read,
    unconfirmed,
    unsettled,
    write_group,
)
from gateway.ingress.prepare import Prepared, prepare
from gateway.rows import AnnouncementRow
from tests.postgres_server import PostgresServer
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

LEASE_MS = 60_000
PLACE = Position("topic-1", 0, 7)
ON = channel([{"name": "id", "type": "string"}, {"name": "qty", "type": "int"}])


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as one:
        yield one
    database.close()


def claim(session: Session, event_id: str = "A", qty: int = 1, *, salt: bytes = b"\x00") -> Claim:
    """A claim signed now; another salt makes another receipt for the same event."""
    at = replace(circumstances(), now=clock(session), entropy=lambda count: salt * count)
    found = prepare(draft({"id": event_id, "qty": qty}), ON, at)
    assert isinstance(found, Prepared)
    return found.claim


def write(session: Session, *items: Write) -> list[Answer]:
    return list(write_group(LEASE_MS)(session, items))


def taken(answer: Answer) -> list[Found]:
    assert isinstance(answer, tuple)
    return list(answer)


def leases(answer: Answer) -> dict[bytes, int]:
    assert isinstance(answer, dict)
    return answer


def held(session: Session, one: Claim) -> Claim:
    return read(session, [one.ref])[one.ref]


def test_the_first_in_a_group_wins_and_the_rest_find_it(session: Session) -> None:
    first, second = claim(session), claim(session, salt=b"\x01")
    assert first.ref == second.ref
    one, two = (taken(answer)[0] for answer in write(session, Take((first,)), Take((second,))))
    assert (one.mine, two.mine) == (True, False)
    assert two.claim.receipt == first.receipt
    (again,) = taken(write(session, Take((second,)))[0])
    assert not again.mine
    assert again.claim.state == "unconfirmed"


def test_of_three_attempts_in_one_group_one_is_told_that_the_claim_is_its_own(session: Session) -> None:
    same = [claim(session, salt=bytes([salt])) for salt in range(3)]
    other = claim(session, "B")
    found = taken(write(session, Take((*same, other)))[0])
    assert [one.mine for one in found] == [True, False, False, True]
    assert {one.claim.receipt for one in found[:3]} == {held(session, each).receipt for each in same}
    assert held(session, same[0]).receipt == same[0].receipt


@pytest.mark.postgres
def test_what_was_inserted_is_not_read_back(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        database = Database(url)
        seen: list[str] = []

        def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        with database.begin() as session:
            event.listen(session.get_bind(), "after_cursor_execute", note)
            first = claim(session)
            (found,) = taken(*write(session, Take((first,))))
            assert found.mine
            asked = [one for one in seen if "SELECT ref, receipt FROM gateway_claim" in one]
            assert asked == []
            (again,) = taken(*write(session, Take((claim(session, salt=b"\x01"),))))
            assert not again.mine
            assert again.claim.receipt == first.receipt
        database.close()


def test_a_group_that_only_confirms_asks_for_no_time(session: Session) -> None:
    one = claim(session)
    write(session, Take((one,)))
    seen: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(session.get_bind(), "after_cursor_execute", note)
    write(session, Confirm(((one.ref, one.receipt, PLACE),)))
    event.remove(session.get_bind(), "after_cursor_execute", note)
    assert held(session, one).state == "confirmed"
    assert seen
    assert not [each for each in seen if "julianday" in each or "clock_timestamp" in each]


def test_a_claim_is_read_back_as_it_was_written(session: Session) -> None:
    one = claim(session)
    (found,) = taken(write(session, Take((one,)))[0])
    assert found.claim == one
    assert found.lease_until == found.now + LEASE_MS
    assert held(session, one) == replace(one, lease_until=found.lease_until)


@pytest.mark.parametrize("off_ms", [6_000, -6_000])
@pytest.mark.parametrize("more", [0, _FEW])
def test_untrusted_clocks_claim_nothing(session: Session, off_ms: int, more: int) -> None:
    good, bad = claim(session, "A"), replace(claim(session, "B"), at=clock(session) + off_ms)
    others = [claim(session, f"C-{number}") for number in range(more)]
    answers = write(session, Take((bad,)), Take((good,)), Take(tuple(others)))
    assert answers[0] is None
    assert [one.mine for answer in answers[1:] for one in taken(answer)] == [True] * (1 + more)
    assert read(session, [bad.ref]) == {}
    assert write(session, Take((bad,))) == [None]


def test_an_old_event_of_a_batch_is_claimed_by_its_newest(session: Session) -> None:
    new = claim(session, "A")
    old = replace(claim(session, "B"), at=new.at - 20_000)
    assert [one.mine for one in taken(*write(session, Take((old, new))))] == [True, True]
    assert read(session, [old.ref])[old.ref].at == old.at


@pytest.mark.postgres
def test_a_small_group_is_claimed_without_a_question_for_the_time(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        database = Database(url)
        with database.begin() as session:
            first, second = claim(session, "A"), claim(session, "B")
            seen: list[str] = []
            event.listen(session.get_bind(), "before_cursor_execute", lambda *of: seen.append(of[2]))
            found = [
                one for answer in write(session, Take((first,)), Take((second,))) for one in taken(answer)
            ]
            assert seen == []
            assert abs(found[0].now - clock(session)) < LEASE_MS
            until = {found[0].now + LEASE_MS}
            assert {one.lease_until for one in found} == until
            assert {held(session, one).lease_until for one in (first, second)} == until
        database.close()


def test_the_newest_of_a_batch_tells_the_clock(session: Session) -> None:
    one, now = claim(session), clock(session)
    assert is_timely([replace(one, at=now - 20_000), replace(one, at=now - 100)], now)
    assert not is_timely([replace(one, at=now - 5_001)], now)
    assert not is_timely([replace(one, at=now), replace(one, at=now + 5_001)], now)
    assert is_timely([], now)


def test_a_confirmation_is_of_its_receipt_and_comes_once(session: Session) -> None:
    one = claim(session)
    write(session, Take((one,)), Confirm(((one.ref, "another", PLACE),)))
    assert held(session, one).state == "unconfirmed"
    write(session, Confirm(((one.ref, one.receipt, PLACE),)))
    found = held(session, one)
    assert (found.state, found.position, found.datum) == ("confirmed", PLACE, None)
    write(session, Confirm(((one.ref, one.receipt, Position("topic-1", 0, 9)),)))
    assert held(session, one).position == PLACE


def test_a_refused_claim_is_deleted_by_its_maker_alone(session: Session) -> None:
    one = claim(session)
    (found,) = taken(write(session, Take((one,)))[0])
    mine = found.lease_until
    write(session, Abandon(((one.ref, "another", mine), (one.ref, one.receipt, mine - 1))))
    assert one.ref in read(session, [one.ref])
    write(session, Abandon(((one.ref, one.receipt, mine),)))
    assert read(session, [one.ref]) == {}


def test_a_claim_that_was_taken_over_is_not_its_makers_to_delete(session: Session) -> None:
    one = claim(session)
    (found,) = taken(write(session, Take((one,)))[0])
    expire_leases(session)
    assert set(leases(write(session, TakeOver(((one.ref, 0),)))[0])) == {one.ref}
    write(session, Abandon(((one.ref, one.receipt, found.claim.lease_until),)))
    assert held(session, one).receipt == one.receipt


def test_a_confirmed_claim_is_never_deleted(session: Session) -> None:
    one = claim(session)
    (found,) = taken(write(session, Take((one,)))[0])
    lease = found.claim.lease_until
    write(session, Confirm(((one.ref, one.receipt, PLACE),)), Abandon(((one.ref, one.receipt, lease),)))
    assert held(session, one).state == "confirmed"


def test_one_of_two_takes_over_and_only_after_the_lease(session: Session) -> None:
    one = claim(session)
    (found,) = taken(write(session, Take((one,)))[0])
    seen = ((one.ref, found.claim.lease_until),)
    assert write(session, TakeOver(seen)) == [{}]
    expire_leases(session)
    late = ((one.ref, 0),)
    first, second = write(session, TakeOver(late), TakeOver(late))
    assert (first, second) == ({one.ref: held(session, one).lease_until}, {})
    assert held(session, one).lease_until > clock(session)


def test_a_restart_finds_what_nobody_confirmed(session: Session) -> None:
    one, two = claim(session, "A"), claim(session, "B")
    write(session, Take((one, two)), Confirm(((two.ref, two.receipt, PLACE),)))
    later = clock(session) + 1_000
    assert unconfirmed(session, 10) == []
    assert unsettled(session, later)
    expire_leases(session)
    assert [each.ref for each in unconfirmed(session, 10)] == [one.ref]
    write(session, Confirm(((one.ref, one.receipt, PLACE),)))
    assert not unsettled(session, later)


def test_more_refs_than_a_statement_takes_are_read(session: Session) -> None:
    one = claim(session)
    write(session, Take((one,)))
    refs = [number.to_bytes(32) for number in range(1, 1_200)]
    assert set(read(session, [*refs, one.ref])) == {one.ref}
    assert pending_logs(session) == ()


@pytest.mark.postgres
@pytest.mark.parametrize("at", ["before", "after"])
def test_a_claim_that_is_abandoned_between_insertion_and_reading_is_not_ours_and_not_waited_for(
    postgres_server: PostgresServer, at: str
) -> None:
    with postgres_server.database() as url:
        here, there = Database(url), Database(url)
        with there.begin() as session:
            theirs = claim(session)
            (found,) = taken(*write(session, Take((theirs,))))
        seen: list[str] = []

        def abandon(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
            if "(SELECT ref, receipt FROM gateway_claim" in statement and not seen:
                seen.append(statement)
                with there.begin() as session:
                    write(session, Abandon(((theirs.ref, theirs.receipt, found.lease_until),)))

        with here.begin() as session:
            event.listen(session.get_bind(), f"{at}_cursor_execute", abandon)
            other = claim(session, "B")
            first, second = taken(*write(session, Take((claim(session, salt=b"\x01"), other))))
            assert first.claim.ref not in read(session, [first.claim.ref])
        assert (first.mine, second.mine) == (False, True)
        here.close()
        there.close()
    assert len(seen) == 1


def test_what_is_told_goes_in_by_its_key_whichever_order_it_comes_in(session: Session) -> None:
    told = [Announcement(partner, "r/1", "gateway.event.refused", "{}", 1) for partner in ("b", "c", "a")]
    write(session, *(Enter((), (one,)) for one in told))
    rows = session.exec(select(AnnouncementRow.partner).order_by(col(AnnouncementRow.number)))
    assert list(rows) == ["a", "b", "c"]
