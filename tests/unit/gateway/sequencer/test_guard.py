from collections.abc import Sequence
from pathlib import Path

import pytest

from audit import log as audit_log
from audit.checkpoint import Checkpoint, sign_checkpoint
from gateway.broker.port import Record
from gateway.database import Database
from gateway.sequencer.guard import LogBehindError, published_checkpoints, verify_not_behind
from tests.unit.audit.builders import LOG_SIGNER
from tests.unit.gateway.ingress.brokers import WilfulBroker

TOPIC = "gateway.checkpoints"
ORIGIN = "gw.example/log/k3v9q2/1"


def note(size: int, origin: str = ORIGIN) -> bytes:
    return sign_checkpoint(Checkpoint(origin, size, bytes([size]) * 32), LOG_SIGNER)


async def published(folder: Path, values: Sequence[bytes | None]) -> dict[str, Checkpoint]:
    broker = WilfulBroker(folder)
    try:
        await published_checkpoints(broker, TOPIC)  # makes the topic
        await broker.append([Record(TOPIC, 0, b"%d" % key, value, (), 0) for key, value in enumerate(values)])
        return await published_checkpoints(broker, TOPIC)
    finally:
        await broker.close()


async def test_an_empty_topic_is_made_and_shows_nothing(tmp_path: Path) -> None:
    assert await published(tmp_path, []) == {}


async def test_the_newest_checkpoint_of_each_origin_counts_in_any_order(tmp_path: Path) -> None:
    other = "gw.example/log/other/1"
    found = await published(tmp_path, [note(2), note(5), note(1, other), note(3)])
    assert {origin: one.size for origin, one in found.items()} == {ORIGIN: 5, other: 1}


async def test_what_is_no_checkpoint_is_passed_over(tmp_path: Path) -> None:
    found = await published(tmp_path, [None, b"", b"\xff", b"no note", note(1), note(1)[:-20]])
    assert {origin: one.size for origin, one in found.items()} == {ORIGIN: 1}


def test_a_database_without_a_published_log_may_not_go_on(database_url: str) -> None:
    database = Database(database_url)
    with database.begin() as session:
        verify_not_behind(session, {})
        shown = {ORIGIN: Checkpoint(ORIGIN, 3, b"r" * 32)}
        with pytest.raises(LogBehindError, match="3 entries"):
            verify_not_behind(session, shown)
        audit_log.open_log(session, ORIGIN)
        with pytest.raises(LogBehindError, match="restored from an older backup"):
            verify_not_behind(session, shown)
    database.close()
