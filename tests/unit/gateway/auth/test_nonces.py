import asyncio
from collections.abc import Iterator

import pytest
from sqlmodel import Session, col, select

from gateway.auth.nonces import KEPT_MS, SLACK_MS, Nonces, Use, drop_nonces, insert_uses
from gateway.database import Database
from gateway.errors import CallerError
from gateway.rows import NonceRow

NOW = 1_800_000_000_000
LIMIT = 2


@pytest.fixture
def two(database_url: str) -> Iterator[tuple[Database, Database]]:
    """One database as two processes have it."""
    databases = Database(database_url), Database(database_url)
    yield databases
    for one in databases:
        one.close()


def kept(session: Session) -> list[str]:
    return sorted(session.exec(select(col(NonceRow.nonce))))


async def taken(nonces: Nonces, credential: str, nonce: str) -> bool:
    try:
        await nonces.take(credential, nonce, now=NOW)
    except CallerError as error:
        assert error.code == "signature_replayed"  # noqa: PT017 - all others are failures
        return False
    return True


async def test_of_many_with_one_nonce_one_is_first_whichever_process_is_asked(
    two: tuple[Database, Database],
) -> None:
    first, second = (Nonces(one) for one in two)
    for round_number in range(5):
        nonce = f"nonce-{round_number}"
        won = await asyncio.gather(
            *(taken(one, "crd_1", nonce) for one in (first, second) for _ in range(10))
        )
        assert won.count(True) == 1
    assert await taken(second, "crd_2", "nonce-0")
    assert not await taken(first, "crd_2", "nonce-0")


async def test_groups_in_either_order_do_not_block_each_other(two: tuple[Database, Database]) -> None:
    uses = [Use("crd_1", f"n{number}", NOW) for number in range(50)]
    won = await asyncio.gather(
        two[0].write(lambda session: insert_uses(session, uses)),
        two[1].write(lambda session: insert_uses(session, uses[::-1])),
    )
    assert [a != b for a, b in zip(won[0], won[1][::-1], strict=True)] == [True] * len(uses)


async def test_twins_of_one_group_are_told_apart(two: tuple[Database, Database]) -> None:
    uses = [Use("crd_1", "b", NOW), Use("crd_1", "a", NOW), Use("crd_1", "b", NOW)]
    assert await two[0].write(lambda session: insert_uses(session, uses)) == [True, True, False]


async def test_a_nonce_is_forgotten_when_no_signature_with_it_can_be_played_again(
    two: tuple[Database, Database],
) -> None:
    database = two[0]
    for number in range(3):
        await Nonces(database).take("crd_1", f"old-{number}", now=NOW)
    await Nonces(database).take("crd_1", "new", now=NOW + KEPT_MS)

    async def drop(now: int) -> int:
        return await database.write(lambda session: drop_nonces(session, now=now, limit=LIMIT))

    assert await drop(NOW + KEPT_MS + SLACK_MS) == 0
    assert [await drop(NOW + KEPT_MS + SLACK_MS + 1) for _ in range(3)] == [2, 1, 0]
    assert await database.read(kept) == ["new"]
