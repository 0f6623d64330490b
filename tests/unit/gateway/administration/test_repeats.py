"""Requests under a key, on both databases and of two processes: one turn, one answer, whatever dies."""

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from sqlalchemy import text
from sqlmodel import Session

from gateway import facts
from gateway.administration.repeats import KEPT_MS, Asked, Repeats, Turn, drop_repeats, keep
from gateway.database import Database, clock
from gateway.errors import CallerError

ASKED: Final = Asked("crd_1", "key-1", bytes(32))


@pytest.fixture
def two(database_url: str) -> Iterator[tuple[Database, Database]]:
    """One database as two processes have it."""
    databases = Database(database_url), Database(database_url)
    yield databases
    for one in databases:
        one.close()


def of(database: Database) -> Repeats:
    return Repeats(database, os.urandom)


async def begun(repeats: Repeats, asked: Asked = ASKED) -> Turn | bytes | str:
    """The turn or the answer; else how soon to come again."""
    try:
        return await repeats.begin(asked)
    except CallerError as error:
        assert error.code == "idempotency_conflict"  # noqa: PT017 - all others are failures
        return str(error.members.get("retry", "no"))


def change(turn: Turn, name: str) -> Callable[[Session], None]:
    """A change and its answer, in one transaction."""

    def work(session: Session) -> None:
        facts.keep(session, name, "done")
        keep(session, turn, name.encode())

    return work


async def done(database: Database) -> list[str]:
    query = text("SELECT name FROM gateway_meta WHERE value = 'done' ORDER BY name")
    return await database.read(lambda session: list(session.execute(query).scalars()))


async def over(database: Database) -> None:
    """As if the lease had run out."""
    await database.write(lambda session: session.execute(text("UPDATE gateway_repeat SET open_until = 0")))


async def test_of_many_at_once_one_has_the_turn_and_all_get_its_answer(
    two: tuple[Database, Database],
) -> None:
    first, second = map(of, two)
    found = await asyncio.gather(*(begun(one) for one in (first, second) for _ in range(10)))
    [turn] = [one for one in found if isinstance(one, Turn)]
    assert found.count("later") == 19
    await two[0].write(change(turn, "a"))
    assert [await begun(one) for one in (first, second)] == [b"a", b"a"]
    assert await begun(second, Asked("crd_1", "key-1", b"\1" * 32)) == "no"
    assert isinstance(await begun(second, Asked("crd_2", "key-1", bytes(32))), Turn)


async def test_who_died_is_followed_and_who_only_slept_changes_nothing(
    two: tuple[Database, Database],
) -> None:
    first, second = map(of, two)
    asleep = await begun(first)
    assert isinstance(asleep, Turn)
    assert await begun(second) == "later"
    await over(two[0])
    assert await begun(second, Asked("crd_1", "key-1", b"\1" * 32)) == "no"
    heir = await begun(second)
    assert isinstance(heir, Turn)
    with pytest.raises(CallerError) as caught:
        await two[0].write(change(asleep, "asleep"))
    assert caught.value.code == "idempotency_conflict"
    await first.give_up(asleep)
    assert await begun(first) == "later"
    await two[1].write(change(heir, "heir"))
    assert (await begun(first), await done(two[0])) == (b"heir", ["heir"])
    # What is answered is answered, however late somebody wakes up.
    await second.give_up(heir)
    assert await begun(first) == b"heir"


async def test_two_who_both_took_over_change_once(two: tuple[Database, Database]) -> None:
    for round_number in range(5):
        asked = Asked("crd_1", f"round-{round_number}", bytes(32))
        assert isinstance(await begun(of(two[0]), asked), Turn)
        await over(two[0])
        found = await asyncio.gather(*(begun(of(one), asked) for one in two))
        assert [isinstance(one, Turn) for one in found].count(True) == 1


async def test_a_key_is_free_once_nothing_was_changed_or_a_day_has_passed(
    two: tuple[Database, Database],
) -> None:
    repeats, database = of(two[0]), two[0]
    turn = await begun(repeats)
    assert isinstance(turn, Turn)
    await repeats.give_up(turn)
    turn = await begun(repeats, Asked("crd_1", "key-1", b"\1" * 32))
    assert isinstance(turn, Turn)
    await database.write(change(turn, "a"))
    now = await database.read(clock)
    assert await database.write(lambda session: drop_repeats(session, now=now, limit=10)) == 0
    await database.write(lambda session: session.execute(text("UPDATE gateway_repeat SET until = 0")))
    turn = await begun(repeats)
    assert isinstance(turn, Turn)
    await database.write(change(turn, "b"))
    later = now + 2 * KEPT_MS
    assert await database.write(lambda session: drop_repeats(session, now=later, limit=10)) == 1
