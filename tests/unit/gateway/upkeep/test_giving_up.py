"""An operator gives up a claim that can never be settled, and none whose record may be there."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Update, update
from sqlmodel import col, select

from audit.ref import format_ref
from gateway.bootstrap.claims import give_up, list_unsettled
from gateway.database import Database
from gateway.ingress.outcome import Accepted
from gateway.rows import ClaimRow, PositionRow
from gateway.settings import Settings
from gateway.upkeep.giving_up import OLD_MS, ClaimKeptError
from tests.unit.gateway.cli.conftest import Shell
from tests.unit.gateway.ingress.brokers import WilfulBroker
from tests.world import FIRST, make_settings, running

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}
B = {**A, "order_id": "B-1"}


@pytest.fixture
async def left(tmp_path: Path, database_url: str) -> tuple[Settings, bytes]:
    """An installation that is stopped, with one event and one claim without a record; the claim's ref."""
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        await world.send(A)
        await world.settled(FIRST + 1)
        broker.fates = ["lose"]
        await world.send(B)
    database = Database(database_url)
    with database.begin() as session:
        ref = session.exec(select(ClaimRow.ref).where(col(ClaimRow.state) == "unconfirmed")).one()
        session.execute(update(ClaimRow).values(lease_until=0))
    database.close()
    return make_settings(tmp_path, url=database_url), ref


def change(url: str, statement: Update) -> None:
    database = Database(url)
    with database.begin() as session:
        session.execute(statement)
    database.close()


def age(settings: Settings) -> None:
    change(settings.database.url, update(ClaimRow).values(at=col(ClaimRow.at) - 2 * OLD_MS))


async def gave_up(settings: Settings, ref: bytes, *, is_rehearsal: bool = False) -> bytes:
    found = await asyncio.to_thread(give_up, settings, ref, is_rehearsal=is_rehearsal)
    return found.ref


async def test_what_is_given_up_is_a_new_event_when_it_is_sent_again(
    left: tuple[Settings, bytes], tmp_path: Path
) -> None:
    settings, ref = left
    age(settings)
    assert [one.ref for one in list_unsettled(settings)] == [ref]
    assert await gave_up(settings, ref, is_rehearsal=True) == ref
    assert await gave_up(settings, ref) == ref
    assert list_unsettled(settings) == []
    with pytest.raises(ClaimKeptError, match="no claim without a record"):
        await gave_up(settings, ref)
    async with running(tmp_path, url=settings.database.url) as world:
        (again,) = await world.send(B)
        assert isinstance(again, Accepted)
        assert (again.ref, again.duplicate) == (ref, False)


async def test_a_claim_whose_record_may_be_there_is_kept(left: tuple[Settings, bytes]) -> None:
    settings, ref = left
    with pytest.raises(ClaimKeptError, match="may be under way"):
        await gave_up(settings, ref)
    age(settings)
    # One record of the partition is not read yet, as far as the sequencer's place tells.
    change(settings.database.url, update(PositionRow).values(next=col(PositionRow.next) - 1))
    with pytest.raises(ClaimKeptError, match="has read it up to 0"):
        await gave_up(settings, ref)
    assert [one.ref for one in list_unsettled(settings)] == [ref]


def test_as_an_operator_types_it(left: tuple[Settings, bytes], tmp_path: Path) -> None:
    settings, ref = left
    shell = Shell(tmp_path, environ={"GATEWAY_DATABASE__URL": settings.database.url})
    place = ("--data", str(tmp_path))
    ended = shell.run("claims", "list", *place)
    assert (ended.code, ended.out.startswith(format_ref(ref))) == (0, True)
    ended = shell.run("claims", "abandon", format_ref(ref), *place, "--yes")
    assert (ended.code, "may be under way" in ended.err) == (5, True)
    age(settings)
    ended = shell.run("claims", "abandon", format_ref(ref), *place, "--yes", "--json")
    assert (ended.code, ended.document()["ref"]) == (0, format_ref(ref))
    assert shell.run("claims", "list", *place).out == "Every claim has its record.\n"
    assert shell.run("claims", "abandon", "nonsense", *place, "--yes").code == 2
