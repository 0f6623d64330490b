"""Who signed what the checkpoint topic shows decides whether a gateway may start."""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import Session, col

from audit import log as audit_log
from audit.checkpoint import Checkpoint, format_checkpoint, read_checkpoint, sign_checkpoint, split_origin
from audit.entry import draft_entry
from audit.epochs import Opening, members_of, open_epoch
from audit.evidence import Kind, make_evidence
from audit.note import Signer, VerifierKey, format_line
from gateway import keys
from gateway.broker.port import Broker, Record
from gateway.database import Database
from gateway.rows import KeyRow
from gateway.sequencer.authors import Author, Authors, keys_by_log
from gateway.sequencer.guard import Guard, LogBehindError
from gateway.sequencer.mark import Installation
from gateway.sequencer.published import MOST_EPOCH, Gathering, gather, read_shown
from tests.unit.audit.builders import LOG_SIGNER, OTHER_SIGNER, evidence
from tests.unit.gateway.ingress.brokers import WilfulBroker

TOPIC = "gateway.checkpoints"
LOG = "gw.example/log/k3v9q2"
ORIGIN = f"{LOG}/1"
ANCHOR = "gw.example/log/anchor/1"
LEAKED, LOST = keys.SigningKey(b"\x11" * 32, "checkpoint"), keys.SigningKey(b"\x22" * 32, "checkpoint")


def note(size: int, *signers: Signer, origin: str = ORIGIN) -> bytes:
    return sign_checkpoint(Checkpoint(origin, size, b"x" * 32), *(signers or (LOG_SIGNER,)))


def forged(size: int, origin: str = ORIGIN) -> bytes:
    """Names our key, and bears no signature of it."""
    text = format_checkpoint(Checkpoint(origin, size, b"x" * 32))
    key_id = VerifierKey(origin, LOG_SIGNER.public_key).key_id
    return (text + "\n" + format_line(origin, key_id, b"s" * 64)).encode()


FOREIGN_NAME = note(900).replace(f" {ORIGIN} ".encode(), b" somebody ")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A log of three entries; our key, and one that was frozen."""
    made = Database(database_url)
    with made.begin() as session:
        for signer in (LOG_SIGNER, LEAKED):
            keys.keep(session, keys.PublicKey(signer.key_id, "checkpoint", signer.public_key, 1), b"s")
        frozen = update(KeyRow).where(col(KeyRow.id) == LEAKED.key_id).values(compromised_at=5, retired_at=5)
        session.execute(frozen)
        audit_log.open_log(session, ORIGIN)
        drafts = [draft_entry(evidence(number, log=LOG)) for number in range(3)]
        audit_log.append_all(session, {ORIGIN: drafts})
    yield made
    made.close()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[WilfulBroker]:
    made = WilfulBroker(tmp_path)
    await read_shown(made, TOPIC)
    yield made
    await made.close()


def make_guard(broker: Broker, database: Database) -> Guard:
    us = Installation("gw.example/log/house", "https://gw.example")
    return Guard(broker=broker, database=database, us=us, topic=TOPIC, clock=lambda: 1, entropy=os.urandom)


async def show(broker: Broker, *values: bytes | None, origin: str = ORIGIN) -> None:
    await broker.append([Record(TOPIC, 0, origin.encode(), value, (), 1) for value in values])


def genuine(session: Session, signer: Signer = LOG_SIGNER) -> bytes:
    head = audit_log.state(session, ORIGIN).head
    return sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), signer)


def begin_next(session: Session) -> None:
    state = audit_log.state(session, ORIGIN)
    previous = Checkpoint(ORIGIN, state.head.size, state.head.root())
    members = members_of(Opening(f"{LOG}/2", previous, "leaked"))
    told = make_evidence(Kind.EPOCH_OPENED, members, iss="https://gw", log=LOG, at=1, salt=b"s" * 32)
    open_epoch(session, told, after=state, is_behind=False)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (forged(900), "the signature of our key"),
        (FOREIGN_NAME, "no line of it is in the log's own name, but in that of somebody"),
        (b"no note", "it is no checkpoint of a log"),
        (note(900)[:-20], "it is no checkpoint of a log"),
    ],
)
async def test_what_is_not_ours_for_certain_is_told_and_stops_nothing(
    broker: WilfulBroker, database: Database, value: bytes, why: str
) -> None:
    with database.begin() as session:
        await show(broker, genuine(session), value)
    guard = make_guard(broker, database)
    await guard.verify()
    (words,) = guard.warnings
    assert words.startswith(f"{TOPIC} [0] offset 1: ")
    assert why in words


async def test_a_forged_one_hides_none_of_ours(broker: WilfulBroker, database: Database) -> None:
    values = (forged(700), note(5), forged(900), forged(800))
    # Under keys of their own: the embedded broker compacts at once, and Kafka after days.
    await broker.append([Record(TOPIC, 0, b"%d" % key, one, (), 1) for key, one in enumerate(values)])
    with pytest.raises(LogBehindError, match="shows 5 entries"):
        await make_guard(broker, database).verify()


async def test_a_key_that_a_restored_database_lacks_is_not_taken_for_a_forgery(
    broker: WilfulBroker, database: Database
) -> None:
    with database.begin() as session:
        await show(broker, genuine(session), note(5, LOST))
    key_id = VerifierKey(ORIGIN, LOST.public_key).key_id.hex()
    with pytest.raises(LogBehindError, match="which this database does not know") as caught:
        await make_guard(broker, database).verify()
    assert f"{TOPIC} [0] offset 1 shows 5 entries" in caught.value.text
    assert f"signed by the key {key_id}" in caught.value.text
    assert "--disown" in caught.value.text


async def test_an_unknown_key_that_shows_what_we_have_stops_nothing(
    broker: WilfulBroker, database: Database
) -> None:
    with database.begin() as session:
        await show(broker, genuine(session, LOST))
    guard = make_guard(broker, database)
    await guard.verify()
    assert guard.warnings == ()


async def test_a_rotations_two_signatures_are_ours_where_one_of_them_is(
    broker: WilfulBroker, database: Database
) -> None:
    await show(broker, note(5, LOST, LOG_SIGNER))
    with pytest.raises(LogBehindError, match="the checkpoint topic shows 5 entries"):
        await make_guard(broker, database).verify()


async def test_a_frozen_key_stops_its_own_epoch_and_says_nothing_of_one_that_is_over(
    broker: WilfulBroker, database: Database
) -> None:
    await show(broker, note(5, LEAKED))
    with pytest.raises(LogBehindError, match="which was frozen") as caught:
        await make_guard(broker, database).verify()
    assert LEAKED.key_id in caught.value.text
    with database.begin() as session:
        begin_next(session)
    guard = make_guard(broker, database)
    await guard.verify()
    assert ["evidence that somebody has that key" in one for one in guard.warnings] == [True]
    await show(broker, note(6, LOG_SIGNER))
    with pytest.raises(LogBehindError, match="shows 6 entries"):
        await make_guard(broker, database).verify()


@pytest.mark.parametrize("last", [forged(1), None, b"nothing"])
async def test_what_lies_over_ours_makes_it_be_shown_again(
    broker: WilfulBroker, database: Database, last: bytes | None
) -> None:
    """Compaction keeps the last record of a key: without ours, nobody would find a database behind it."""
    with database.begin() as session:
        ours = genuine(session)
    guard = make_guard(broker, database)
    for values, expected in (([ours], {ORIGIN}), ([last], set()), ([ours], {ORIGIN})):
        await show(broker, *values)
        await guard.verify()
        assert guard.shown == expected


def test_the_anchor_is_signed_by_its_own_keys_alone() -> None:
    known = [
        keys.PublicKey(LOG_SIGNER.key_id, "checkpoint", LOG_SIGNER.public_key, 1),
        keys.PublicKey(OTHER_SIGNER.key_id, "anchor", OTHER_SIGNER.public_key, 1),
    ]
    authors = Authors(keys_by_log("gw.example", known))
    signers = [(ORIGIN, LOG_SIGNER), (ORIGIN, OTHER_SIGNER), (ANCHOR, LOG_SIGNER), (ANCHOR, OTHER_SIGNER)]
    found = [
        authors.judge(origin, read_checkpoint(note(1, signer, origin=origin))[1])[0]
        for origin, signer in signers
    ]
    assert found == [Author.OURS, Author.UNKNOWN, Author.UNKNOWN, Author.OURS]


def gathered(values: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Sizes that count, and offsets that were passed over."""
    key = keys.PublicKey(LOG_SIGNER.key_id, "checkpoint", LOG_SIGNER.public_key, 1)
    records = [Record(TOPIC, 0, ORIGIN.encode(), value, (), 1) for value in values]
    shown = gather(lambda: enumerate(records), Authors(lambda _: [key]))
    return [one.size for one in shown.checkpoints.values()], [one.offset for one in shown.passed_over]


def test_every_record_of_a_log_is_verified_once_one_of_it_is_forged() -> None:
    assert gathered([note(1), forged(9), note(2), forged(1), note(3)]) == ([3], [1, 3])
    assert gathered([note(1), note(3), forged(2)]) == ([3], [2])


def test_an_epoch_that_no_path_has_room_for_is_of_no_log() -> None:
    values = [note(1, origin=f"{split_origin(ORIGIN)[0]}/{epoch}") for epoch in (MOST_EPOCH, MOST_EPOCH + 1)]
    assert gathered(values) == ([1], [1])


def test_where_nobody_judges_everything_counts() -> None:
    gathering = Gathering()
    gathering.take(Record(TOPIC, 0, b"k", forged(4), (), 1), 0)
    assert list(gathering.judge()) == [None, None]
    assert not gathering.must_repeat()
    assert gathering.shown().checkpoints[ORIGIN].size == 4
