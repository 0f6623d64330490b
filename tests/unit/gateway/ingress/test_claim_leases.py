import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
from sqlmodel import Session

from gateway.broker.port import Position
from gateway.database import Database, clock
from gateway.ingress.claims import (
    Abandon,
    Answer,
    Claim,
    Confirm,
    GiveBack,
    Take,
    TakeOver,
    Write,
    expire_leases,
    read,
    write_group,
)
from gateway.ingress.prepare import Prepared, prepare
from tests.postgres_server import PostgresServer
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

LEASE_MS = 60_000
ON = channel([{"name": "id", "type": "string"}])
PLACE = Position("topic-1", 0, 7)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    with closing(Database(database_url)) as database, database.begin() as one:
        yield one


def write(session: Session, *items: Write) -> list[Answer]:
    return list(write_group(LEASE_MS)(session, items))


def make(session: Session, event_id: str = "A") -> Claim:
    """A claim as its maker holds it."""
    at = replace(circumstances(), now=clock(session))
    prepared = prepare(draft({"id": event_id}), ON, at)
    assert isinstance(prepared, Prepared)
    write(session, Take((prepared.claim,)))
    return held(session, prepared.claim)


def held(session: Session, one: Claim) -> Claim:
    return read(session, [one.ref])[one.ref]


def take_over(session: Session, *claims: Claim) -> tuple[Claim, ...]:
    """The claims as their next owner holds them, their maker's lease having run out."""
    expire_leases(session)
    seen = tuple((one.ref, 0) for one in claims)
    (answer,) = write(session, TakeOver(seen))
    assert isinstance(answer, dict)
    return tuple(replace(one, lease_until=answer[one.ref]) for one in claims)


def given(*claims: Claim) -> GiveBack:
    return GiveBack(tuple((one.ref, one.receipt, one.lease_until) for one in claims))


def test_what_is_given_back_can_be_taken_over_at_once_and_by_one(session: Session) -> None:
    (ours,) = take_over(session, make(session))
    kept = ((ours.ref, ours.lease_until),)
    assert write(session, TakeOver(kept)) == [{}]
    assert write(session, given(ours)) == [None]
    seen = ((ours.ref, held(session, ours).lease_until),)
    first, second = write(session, TakeOver(seen), TakeOver(seen))
    assert (first, second) == ({ours.ref: held(session, ours).lease_until}, {})
    assert held(session, ours).lease_until > clock(session)


def test_many_are_given_back_in_one_write(session: Session) -> None:
    ours = take_over(session, *(make(session, f"A-{number}") for number in range(5)))
    kept = make(session, "kept")
    write(session, given(*ours))
    assert {held(session, one).lease_until for one in ours} == {0}
    assert held(session, kept) == kept


def test_what_another_owner_has_is_not_given_back(session: Session) -> None:
    (ours,) = take_over(session, make(session))
    expire_leases(session)
    (answer,) = write_group(LEASE_MS + 1)(session, [TakeOver(((ours.ref, 0),))])
    assert isinstance(answer, dict)
    theirs = answer[ours.ref]
    assert theirs != ours.lease_until
    write(session, given(ours))
    assert held(session, ours).lease_until == theirs


def test_what_was_claimed_anew_under_another_receipt_is_not_given_back(session: Session) -> None:
    (ours,) = take_over(session, make(session))
    write(session, given(replace(ours, receipt="another")))
    assert held(session, ours).lease_until == ours.lease_until


def test_what_is_confirmed_is_left_alone(session: Session) -> None:
    (ours,) = take_over(session, make(session))
    write(session, given(ours), Confirm(((ours.ref, ours.receipt, PLACE),)))
    found = held(session, ours)
    assert (found.state, found.position, found.lease_until) == ("confirmed", PLACE, ours.lease_until)


def test_a_claim_that_was_given_back_is_not_its_makers_to_delete(session: Session) -> None:
    made = make(session)
    (ours,) = take_over(session, made)
    write(session, given(ours), Abandon(((made.ref, made.receipt, made.lease_until),)))
    assert held(session, made).receipt == made.receipt


def test_a_claim_that_is_gone_is_not_missed(session: Session) -> None:
    (ours,) = take_over(session, make(session))
    session.connection().exec_driver_sql("DELETE FROM gateway_claim")
    assert write(session, given(ours)) == [None]
    assert read(session, [ours.ref]) == {}


@pytest.mark.postgres
def test_what_another_transaction_is_changing_is_not_waited_for(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url, closing(Database(url)) as database:
        with database.begin() as session:
            ours, other = take_over(session, make(session, "A"), make(session, "B"))
        with database.begin() as theirs:
            write(theirs, Confirm(((ours.ref, ours.receipt, PLACE),)))
            with database.begin() as session:
                write(session, given(ours, other))
        with database.begin() as session:
            assert held(session, ours).state == "confirmed"
            assert held(session, other).lease_until == 0


@pytest.mark.postgres
def test_what_another_transaction_is_changing_is_neither_taken_over_nor_abandoned(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.database() as url, closing(Database(url)) as database:
        with database.begin() as session:
            made = [make(session, event_id) for event_id in "ABCD"]
            expire_leases(session)
        first, second, third, fourth = (replace(one, lease_until=0) for one in made)
        with database.begin() as theirs:
            write(theirs, confirmed(first, third))
            with database.begin() as session:
                (answer,) = write(session, TakeOver(((first.ref, 0), (second.ref, 0))))
                assert isinstance(answer, dict)
                assert set(answer) == {second.ref}
                write(session, abandoned(third, fourth))
        with database.begin() as session:
            assert [held(session, one).state for one in (first, third)] == ["confirmed"] * 2
            assert read(session, [fourth.ref]) == {}


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["take over", "abandon", "give back"])
def test_a_lease_that_changes_after_a_confirmation_is_in_no_deadlock(
    postgres_server: PostgresServer, kind: str
) -> None:
    with postgres_server.database() as url, closing(Database(url)) as database:
        with database.begin() as session:
            made = [make(session, event_id) for event_id in "AB"]
            expire_leases(session)
        early, late = sorted((replace(one, lease_until=0) for one in made), key=lambda one: one.ref)
        changes: dict[str, Write] = {
            "take over": TakeOver(((early.ref, 0),)),
            "abandon": abandoned(early),
            "give back": given(early),
        }
        with ThreadPoolExecutor(1) as other, database.begin() as session:
            write(session, confirmed(late))
            begun = other.submit(change_in_another, database, confirmed(early, late))
            wait_until_one_waits(postgres_server)
            write(session, changes[kind])
            session.commit()
            begun.result(timeout=30)
        with database.begin() as session:
            assert [held(session, one).state for one in (early, late)] == ["confirmed"] * 2


def abandoned(*claims: Claim) -> Abandon:
    return Abandon(tuple((one.ref, one.receipt, one.lease_until) for one in claims))


def confirmed(*claims: Claim) -> Confirm:
    return Confirm(tuple((one.ref, one.receipt, PLACE) for one in claims))


def change_in_another(database: Database, item: Write) -> None:
    with database.begin() as session:
        write(session, item)


def wait_until_one_waits(server: PostgresServer) -> None:
    for _ in range(1_000):
        if server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")
