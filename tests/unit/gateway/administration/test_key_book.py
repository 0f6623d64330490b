"""The key ring of a process: what was decided anywhere reaches it, and what is over is written down once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlmodel import Session, col

from gateway import keys
from gateway.administration import key_changes
from gateway.administration.evidence import Author
from gateway.administration.key_book import KeyBook
from gateway.administration.key_changes import Freeze, KeyMaker, Rotation
from gateway.bootstrap.ground import entropy
from gateway.keys import Opener
from gateway.rows import KeyRow
from gateway.vault import MasterKey, Vault
from tests.world import World, running

BY = Author("operator", None)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as opened:
        await opened.apply()
        yield opened


def another(world: World, vault: Vault | None = None) -> KeyBook:
    """The book of another process on the same database, which does not run by itself."""
    book = world.parts.keys
    opener = Opener(vault or world.parts.ground.vault)
    return KeyBook(database=book.database, opener=opener, scribe=book.scribe, current=book.current)


async def rotated(world: World, purpose: keys.Purpose, overlap_ms: int) -> str:
    maker, wanted = KeyMaker(world.parts.ground.vault, entropy), Rotation(purpose, 0, overlap_ms)
    change = await world.parts.keys.database.write(
        lambda session: key_changes.rotate(session, world.parts.keys.scribe, maker, wanted, BY)
    )
    assert change.made is not None
    return change.made.id


async def test_what_another_process_rotates_signs_here_within_seconds(world: World) -> None:
    made = await rotated(world, "receipt", 3_600_000)
    async with asyncio.timeout(20):
        while world.parts.keys.current.receipt.key_id != made:  # noqa: ASYNC110 - the book looks by itself
            await asyncio.sleep(0.05)


async def test_that_a_keys_time_is_over_is_written_once_by_many(world: World) -> None:
    await rotated(world, "checkpoint", 0)
    books = [another(world) for _ in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for book in books:
            tasks.create_task(book.refresh())

    def retired(session: Session) -> int:
        words = (
            "SELECT (SELECT count(*) FROM audit_entry WHERE kind = 'key.changed' AND code = 'retired')"
            ' + (SELECT count(*) FROM audit_pending WHERE CAST(raw AS TEXT) LIKE \'%"action":"retired"%\')'
        )
        return int(session.execute(text(words)).scalar_one())

    # One in the house's log, one in the partner's.
    assert await world.parts.keys.database.read(retired) == 2
    assert all(len(book.current.checkpoints) == 1 for book in books)


async def test_a_ring_that_cannot_be_read_stays_but_for_what_is_frozen(world: World) -> None:
    book = another(world, Vault(MasterKey({1: b"\x01" * 32}), entropy))
    before = book.current
    await book.refresh()
    assert "does not open" in book.problem
    assert book.warnings() == [book.problem]
    assert book.current.receipt.key_id == before.receipt.key_id
    maker, wanted = KeyMaker(world.parts.ground.vault, entropy), Freeze("webhook", "copied")
    await book.database.write(lambda session: key_changes.freeze(session, book.scribe, maker, wanted, BY))
    await book.refresh()
    assert book.current.webhooks == ()
    assert book.sign_webhook(b"message") == []
    assert any("webhook" in words for words in book.warnings())


async def test_in_a_ring_that_cannot_be_read_a_key_ends_all_the_same(world: World) -> None:
    book = another(world, Vault(MasterKey({1: b"\x01" * 32}), entropy))
    (old,) = book.current.checkpoints
    ends = update(KeyRow).where(col(KeyRow.id) == old.key_id).values(retires_at=1)
    await book.database.write(lambda session: session.execute(ends))
    await book.refresh()
    assert "does not open" in book.problem
    assert book.current.checkpoints == ()


async def test_an_end_without_a_successor_is_warned_of(world: World) -> None:
    book = another(world)
    ends = update(KeyRow).where(col(KeyRow.purpose) == "receipt").values(retires_at=4_000_000_000_000)
    await book.database.write(lambda session: session.execute(ends))
    await book.refresh()
    assert ["nobody follows" in words for words in book.warnings()] == [True]
