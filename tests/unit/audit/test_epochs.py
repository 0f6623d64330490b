"""A log begins anew behind what was shown of it, and says so in its first entry."""

import pytest
from sqlmodel import Session

from audit import fsck, log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.entry import digest_of
from audit.epochs import Opening, is_succeeded, members_of, open_epoch, openings, read_opening
from audit.evidence import Evidence, Kind, make_evidence, parse_evidence
from audit.search import HistoryFilter, find, timeline
from tests.unit.audit.builders import AT, LOG, LOG_SIGNER, ORIGIN, append, evidence

SECOND = f"{LOG}/2"
LOST = Checkpoint(ORIGIN, 30, b"r" * 32)


def opened(previous: Checkpoint | None = LOST, origin: str = SECOND) -> Evidence:
    members = members_of(Opening(origin, previous, "restored"))
    salt = b"s" * 32
    return make_evidence(Kind.EPOCH_OPENED, members, iss="https://gw.example", log=LOG, at=AT, salt=salt)


def grow(session: Session, first: int, count: int, origin: str = ORIGIN) -> None:
    append(session, origin, [evidence(number) for number in range(first, first + count)])


def publish(session: Session, origin: str = ORIGIN) -> None:
    head = log.state(session, origin).head
    log.publish_all(
        session, {origin: sign_checkpoint(Checkpoint(origin, head.size, head.root()), LOG_SIGNER)}
    )


def is_clean(session: Session) -> bool:
    keys = [LOG_SIGNER.public_key]
    return not [
        fault
        for state in log.heads(session)
        for fault in (*fsck.examine_log(session, state), *fsck.examine_checkpoint(session, state, keys))
    ]


def test_an_opening_is_read_as_it_was_written() -> None:
    for previous in (LOST, None):
        raw = opened(previous).raw
        assert read_opening(parse_evidence(raw)) == Opening(SECOND, previous, "restored")


def test_a_log_that_is_not_behind_stays_as_it_is(session: Session) -> None:
    log.open_log(session, ORIGIN)
    grow(session, 0, 5)
    publish(session)
    before = log.state(session, ORIGIN)
    previous = Checkpoint(ORIGIN, 5, before.head.root())
    moved = open_epoch(session, opened(previous), after=before, is_behind=False)
    assert (moved.count, log.state(session, ORIGIN)) == (0, before)
    assert log.state(session, SECOND).head.size == 1
    assert log.entry(session, SECOND, 0).kind is Kind.EPOCH_OPENED
    assert openings(session, LOG) == (Opening(SECOND, previous, "restored"),)
    assert is_clean(session)


@pytest.mark.parametrize(("published", "more"), [(5, 3), (0, 4), (7, 1), (4, 0)])
def test_what_could_never_be_proved_in_the_old_epoch_goes_into_the_new(
    session: Session, published: int, more: int
) -> None:
    log.open_log(session, ORIGIN)
    if published:
        grow(session, 0, published)
        publish(session)
    if more:
        grow(session, published, more)
    moved = open_epoch(session, opened(), after=log.state(session, ORIGIN), is_behind=True)
    refs = {number.to_bytes(32, "big") for number in range(published, published + more)}
    assert (moved.count, set(moved.refs), moved.shift) == (more, refs, 1 - published if more else 0)
    old, new = log.state(session, ORIGIN), log.state(session, SECOND)
    assert (old.head.size, old.checkpoint_size, new.head.size) == (published, published, 1 + more)
    for place, number in enumerate(range(published, published + more), 1):
        (one,) = timeline(session, LOG, number.to_bytes(32, "big"))
        assert (one.origin, one.index, one.evidence()) == (SECOND, place, evidence(number))
    assert is_clean(session)
    grow(session, 90, 20, SECOND)
    publish(session, SECOND)
    assert is_clean(session)
    assert len(find(session, LOG).rows) == published + more + 20
    same = HistoryFilter(digest=digest_of(evidence(1)))
    assert len(find(session, LOG, same).rows) == published + more + 20


def test_a_checkpoint_is_succeeded_only_as_far_as_an_opening_knew_of_it(session: Session) -> None:
    log.open_log(session, ORIGIN)
    grow(session, 0, 5)
    assert not is_succeeded(session, LOST)
    open_epoch(session, opened(), after=log.state(session, ORIGIN), is_behind=True)
    assert is_succeeded(session, LOST)
    assert is_succeeded(session, Checkpoint(ORIGIN, 12, b"x" * 32))
    assert is_succeeded(session, Checkpoint(f"{LOG}/0", 1_000, b"x" * 32))
    # Somebody went on with the old epoch, or shows another history of it.
    assert not is_succeeded(session, Checkpoint(ORIGIN, 31, b"x" * 32))
    assert not is_succeeded(session, Checkpoint(ORIGIN, 30, b"x" * 32))
    assert not is_succeeded(session, Checkpoint(SECOND, 3, b"x" * 32))
    assert not is_succeeded(session, Checkpoint("gw.example/log/other/1", 3, b"x" * 32))


def test_a_third_epoch_takes_nothing_back_of_what_the_second_did_not_know(session: Session) -> None:
    log.open_log(session, ORIGIN)
    grow(session, 0, 5)
    open_epoch(session, opened(), after=log.state(session, ORIGIN), is_behind=True)
    third = opened(Checkpoint(SECOND, 1, log.state(session, SECOND).head.root()), f"{LOG}/3")
    open_epoch(session, third, after=log.state(session, SECOND), is_behind=False)
    for size, expected in ((29, True), (30, False), (31, False)):
        assert is_succeeded(session, Checkpoint(ORIGIN, size, b"x" * 32)) is expected
    assert is_succeeded(session, LOST)
    assert is_succeeded(session, Checkpoint(SECOND, 1, log.state(session, SECOND).head.root()))
    assert not is_succeeded(session, Checkpoint(SECOND, 2, b"x" * 32))


def test_an_epoch_that_the_database_never_had_is_succeeded_by_what_named_a_later_one(
    session: Session,
) -> None:
    third = opened(Checkpoint(SECOND, 9, b"x" * 32), f"{LOG}/3")
    open_epoch(session, third, after=None, is_behind=True)
    assert is_succeeded(session, Checkpoint(ORIGIN, 1_000, b"x" * 32))


def test_an_opening_that_follows_nothing_succeeds_nothing(session: Session) -> None:
    open_epoch(session, opened(None), after=None, is_behind=False)
    assert not is_succeeded(session, LOST)
