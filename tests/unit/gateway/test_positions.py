from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlmodel import Session

from gateway.database import Database
from gateway.errors import LeaseLostError, PositionMovedError
from gateway.leases import Lease
from gateway.positions import (
    Move,
    Progress,
    Reached,
    advance,
    leave,
    load,
    load_all,
    load_reached,
    owner_in,
    plain,
    share,
)
from gateway.readers import left_in
from gateway.rows import LeaseRow

LEASE = Lease("relay", 3, 7, 0)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as opened:
        opened.execute(
            insert(LeaseRow), [{"role": "relay", "shard": 3, "owner": "a", "epoch": 7, "until": 9}]
        )
        yield opened
    database.close()


def move(before: Progress | None, after: Progress, topic_id: str = "t1", partition: int = 0) -> Move:
    return Move("partners.acme.outbound", topic_id, partition, before, after)


def test_unread_partition_has_no_progress(session: Session) -> None:
    assert load(session, "relay", "t1", 0) is None


def test_progress_is_read_back_as_it_was_stored(session: Session) -> None:
    first, second = Progress(5, (7, 9)), Progress(10)
    advance(session, LEASE, [move(None, first)])
    assert load(session, "relay", "t1", 0) == first
    advance(session, LEASE, [move(first, second)])
    assert load(session, "relay", "t1", 0) == second


def test_offsets_beyond_32_bits_are_kept(session: Session) -> None:
    far = Progress(2**40, (2**40 + 1,))
    advance(session, LEASE, [move(None, far)])
    assert load(session, "relay", "t1", 0) == far


@pytest.mark.parametrize("before", [None, Progress(4), Progress(5, (8,))])
def test_stale_reader_is_refused_and_moves_nothing(session: Session, before: Progress | None) -> None:
    advance(session, LEASE, [move(None, Progress(5))])
    with pytest.raises(PositionMovedError):
        advance(session, LEASE, [move(None, Progress(1), "t2"), move(before, Progress(9))])
    assert load_all(session, "relay") == {("t1", 0): Progress(5)}


def test_a_position_that_is_there_already_is_not_made_again(session: Session) -> None:
    advance(session, LEASE, [move(None, Progress(5))])
    with pytest.raises(PositionMovedError, match="expected None"):
        advance(session, LEASE, [move(None, Progress(5))])


def test_the_stale_one_among_many_is_named(session: Session) -> None:
    advance(session, LEASE, [move(None, Progress(n), f"t{n}") for n in range(3)])
    steps = [move(Progress(n), Progress(9), f"t{n}") for n in range(2)]
    with pytest.raises(PositionMovedError, match=r"stored Progress\(next=2, .*expected Progress\(next=1,"):
        advance(session, LEASE, [*steps, move(Progress(1), Progress(9), "t2")])


def test_reader_that_expects_a_position_where_none_is_stored_is_refused(session: Session) -> None:
    with pytest.raises(PositionMovedError):
        advance(session, LEASE, [move(Progress(0), Progress(1))])


def test_lost_lease_moves_nothing(session: Session) -> None:
    with pytest.raises(LeaseLostError):
        advance(session, Lease("relay", 3, 6, 0), [move(None, Progress(1))])
    assert load_all(session, "relay") == {}


def test_partitions_topics_and_roles_are_apart(session: Session) -> None:
    steps = [move(None, Progress(n), f"t{n}", n % 3) for n in range(450)]
    advance(session, LEASE, steps)
    assert load_all(session, "relay") == {(f"t{n}", n % 3): Progress(n) for n in range(450)}
    assert load_all(session, "sequencer") == {}
    assert load(session, "relay", "t4", 0) is None
    advance(session, LEASE, [move(Progress(n), Progress(n + 1), f"t{n}", n % 3) for n in range(450)])
    assert load(session, "relay", "t449", 449 % 3) == Progress(450)


@pytest.mark.parametrize(("next_", "finished"), [(-1, ()), (5, (4,)), (5, (7, 6)), (5, (7, 7))])
def test_impossible_progress_cannot_be_built(next_: int, finished: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        Progress(next_, finished)


@given(st.integers(0, 2**62), st.sets(st.integers(0, 10_000), max_size=20))
def test_any_set_above_next_makes_progress(next_: int, above: set[int]) -> None:
    finished = tuple(sorted(next_ + each for each in above))
    assert Progress(next_, finished).finished == finished


def test_a_shared_topic_has_a_place_for_each_owner_and_one_id() -> None:
    assert share("Zm9v", "house/acme") != share("Zm9v", "globex")
    assert (plain(share("Zm9v", "globex")), owner_in(share("Zm9v", "globex"))) == ("Zm9v", "globex")
    assert (plain("Zm9v"), owner_in("Zm9v")) == ("Zm9v", None)


def test_who_shares_a_topic_moves_nobody_else(session: Session) -> None:
    mine, theirs = share("t1", "globex"), share("t1", "house/acme")
    advance(session, LEASE, [move(None, Progress(3), mine), move(None, Progress(9), theirs)])
    advance(session, LEASE, [move(Progress(3), Progress(4), mine)])
    assert {place: one.next for place, one in load_all(session, "relay").items()} == {
        (mine, 0): 4,
        (theirs, 0): 9,
    }
    assert load_reached(session) == (Reached("partners.acme.outbound", "t1", 0, 9),)


def test_what_was_left_says_by_which_contract_wherever_it_is_read_on(session: Session) -> None:
    advance(session, LEASE, [move(None, Progress(5))])
    leave(session, LEASE, move(Progress(5), Progress(5)), contract=3)
    leave(session, LEASE, move(None, Progress(8), "t2"), contract=4)
    advance(session, LEASE, [move(Progress(5), Progress(9))])
    found = load_all(session, "relay")
    assert found == {("t1", 0): Progress(9), ("t2", 0): Progress(8)}
    assert left_in(found) == {("t1", 0): 3, ("t2", 0): 4}


def test_nobody_leaves_what_another_reads_or_what_was_read_on(session: Session) -> None:
    advance(session, LEASE, [move(None, Progress(5))])
    with pytest.raises(PositionMovedError):
        leave(session, LEASE, move(Progress(4), Progress(4)), contract=3)
    with pytest.raises(LeaseLostError):
        leave(session, replace(LEASE, epoch=6), move(Progress(5), Progress(5)), contract=3)
    assert left_in(load_all(session, "relay")) == {}
