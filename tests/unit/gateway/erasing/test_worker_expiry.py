"""What goes with its time, and what a hold keeps: the work of the role, on whole gateways."""

import asyncio
from collections.abc import AsyncIterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event, select, text
from sqlmodel import Session, col

from audit import log
from audit.ref import format_ref, parse_ref
from gateway.bootstrap.ground import clock
from gateway.egress.rows import AttemptRow
from gateway.erasing.worker import DAY_MS, Eraser
from gateway.retention import Retention
from gateway.rows import ClaimRow, DeliveryRow
from tests.builders import CONTRACTS, House, open_house
from tests.unit.gateway.erasing.remains import remains
from tests.unit.gateway.erasing.stage import BODY, WORDS, entries, erase, hold, lift, owe, send

KEPT = "keep: {content: 1d, evidence: 3d}\n"
LEAVE = frozenset({"destructive"})


@pytest.fixture
async def house(tmp_path: Path, database_url: str) -> AsyncIterator[House]:
    async with open_house(tmp_path, url=database_url, flags={"retention.claims": "2d"}) as opened:
        await opened.world.apply(CONTRACTS.replace("{slug}", "acme") + KEPT, allow=LEAVE)
        await opened.world.parts.catalog.refresh()
        yield opened


def eraser(house: House, days: float) -> Eraser:
    """The role, so many days from now."""
    return replace(house.world.parts.eraser, clock=lambda: clock() + int(days * DAY_MS))


def retention(house: House, days: float) -> Retention:
    return replace(house.world.parts.retention, clock=lambda: clock() + int(days * DAY_MS))


async def expired(house: House, days: float) -> None:
    while await eraser(house, days).expire():
        pass


async def dropped(house: House, days: float) -> None:
    while await retention(house, days).round():
        pass


async def evidence_of(house: House, ref: str) -> list[bool]:
    async with house.client("acme") as client:
        shown = (await client.get(f"/v1/history/{ref}")).json()
    return [bool(one["evidence"]) for one in shown["entries"]]


async def test_evidence_goes_with_its_time_in_one_entry_for_many(house: House) -> None:
    refs = [await send(house, BODY.replace(b"4711", b"%d" % number)) for number in range(3)]
    await expired(house, 2.9)
    assert [await evidence_of(house, ref) for ref in refs] == [[True]] * 3
    await expired(house, 3.1)
    assert [await evidence_of(house, ref) for ref in refs] == [[False]] * 3
    [said] = await entries(house, "evidence.expired", 1)
    # The three, and the event by which the gateway has told of the contract.
    assert (said["entries"], said["keep_days"], said["by"]) == (4, 3, {"role": "gateway", "credential": None})
    assert sum(one["to"] - one["from"] for one in said["ranges"]) == 4
    async with house.client("acme") as client:
        shown = (await client.get(f"/v1/history/{refs[0]}")).json()
        assert shown["erased"]["erasure"] is None
        assert shown["erased"]["basis"] == "keep.evidence"
        proof = await client.get(f"/v1/history/{refs[0]}/proof")
        assert proof.status_code == 200
    await expired(house, 3.2)
    assert len(await entries(house, "evidence.expired", 1)) == 1
    # Contracts, credentials and what was said of it stay.
    await expired(house, 4_000)
    assert await entries(house, "contract.changed", 2)


async def test_what_a_contract_keeps_longer_from_now_on_does_not_go_by_the_one_before(house: House) -> None:
    """Directories in memory may be a second old."""
    ref = await send(house)
    before = copy(house.world.parts.catalog)
    await house.world.apply(CONTRACTS.replace("{slug}", "acme") + "keep: {content: 100d, evidence: 100d}\n")
    await house.world.parts.catalog.refresh()
    late, dropping = replace(eraser(house, 4), catalog=before), replace(retention(house, 4), catalog=before)
    for kept in (True, False):
        for _ in range(3):
            await late.expire()
            await dropping.round()
        assert await evidence_of(house, ref) == [kept]
        assert await claims(house) == ({ref: True} if kept else {})
        await house.world.apply(CONTRACTS.replace("{slug}", "acme") + KEPT, allow=LEAVE)


async def test_evidence_stays_as_long_as_a_receipt_that_holds_it(house: House) -> None:
    short = replace(house.world.parts.eraser, claims_ms=10 * DAY_MS, clock=lambda: clock() + 9 * DAY_MS)
    ref = await send(house)
    while await short.expire():
        pass
    assert await evidence_of(house, ref) == [True]


async def test_nothing_that_is_held_goes_with_its_time_and_all_of_it_after_the_lift(house: House) -> None:
    free, held = await send(house, BODY.replace(b"4711", b"free")), await send(house)
    owe(house, held, state="parked")
    name = await hold(house, refs=[held])
    later = 4_000
    await dropped(house, later)
    await expired(house, later)
    assert await claims(house) == {held: True}
    assert (await evidence_of(house, free), await evidence_of(house, held)) == ([False], [True])
    assert await parked(house) == 2
    await lift(house, name)
    await dropped(house, later)
    await expired(house, later)
    assert (await claims(house), await evidence_of(house, held), await parked(house)) == ({}, [False], 0)
    assert await remains(house.doors.database, *WORDS) <= {"gateway_repeat.answer"}


@pytest.mark.parametrize("scope", [{}, {"since": "1h"}])
async def test_a_hold_on_a_time_keeps_what_is_of_it(house: House, scope: dict[str, str]) -> None:
    ref = await send(house)
    owe(house, ref, state="parked")
    with house.world.parts.ground.database.begin() as session:
        session.execute(text("UPDATE gateway_delivery SET created_at = :now"), {"now": clock()})
        session.execute(text("UPDATE gateway_attempt SET at = :now"), {"now": clock()})
    await hold(house, **scope)
    await dropped(house, 4_000)
    await expired(house, 4_000)
    assert (await claims(house), await evidence_of(house, ref), await parked(house)) == (
        {ref: True},
        [True],
        2,
    )
    refused = await erase(house, refs=[ref])
    assert (refused.status_code, refused.json()["code"]) == (409, "held")


async def test_a_hold_on_another_time_keeps_nothing(house: House) -> None:
    ref = await send(house)
    await hold(house, until="1h")
    await dropped(house, 4_000)
    await expired(house, 4_000)
    assert (await claims(house), await evidence_of(house, ref)) == ({}, [False])


async def claims(house: House) -> dict[str, bool]:
    """The claims that are there, and whether their content is."""

    query = select(col(ClaimRow.ref), col(ClaimRow.content)).where(col(ClaimRow.direction) == "inbound")
    rows = await house.doors.database.read(lambda session: session.execute(query).all())
    return {format_ref(ref): content is not None for ref, content in rows}


async def parked(house: House) -> int:
    """Rows of parked deliveries, and excerpts."""

    def work(session: Session) -> int:
        rows = session.execute(select(col(DeliveryRow.ref))).all()
        return len(rows) + len(session.execute(select(col(AttemptRow.id))).all())

    return await house.doors.database.read(work)


async def test_a_tombstone_goes_with_its_time(house: House) -> None:
    ref = await send(house)
    await erase(house, refs=[ref])
    await dropped(house, 1.9)
    assert await claims(house) == {ref: False}
    await dropped(house, 2.1)
    assert await claims(house) == {}


async def test_a_tombstone_stays_as_long_as_a_contract_ever_had_topics_keep_the_record(house: House) -> None:
    terms = CONTRACTS.replace("{slug}", "acme") + KEPT
    await house.world.apply(terms + "delivery: {hold: 10d}\n")
    other, ref = await send(house, BODY.replace(b"4711", b"other")), await send(house)
    assert (await erase(house, refs=[ref])).status_code == 201
    # No topic is shortened.
    await house.world.apply(terms)
    await house.world.parts.catalog.refresh()
    assert set(await claims(house)) == {other, ref}
    await dropped(house, 9.9)
    assert set(await claims(house)) == {ref}
    await dropped(house, 10.1)
    assert await claims(house) == {}


async def test_a_hold_that_a_former_program_has_read_counts_too(house: House) -> None:
    await house.world.apply(CONTRACTS.replace("{slug}", "acme") + KEPT + "delivery: {hold: 10d}\n")
    await house.world.parts.catalog.refresh()
    with house.world.parts.ground.database.begin() as session:
        session.execute(text("DELETE FROM gateway_meta WHERE name = 'longest_hold_seconds'"))
    ref = await send(house)
    assert (await erase(house, refs=[ref])).status_code == 201
    await dropped(house, 9.9)
    assert set(await claims(house)) == {ref}


async def test_retention_asks_for_what_is_free_by_its_time(house: House) -> None:
    """Where everything is held, no claim is looked at."""
    ref = await send(house)
    await hold(house)
    asked: list[str] = []

    def see(*arguments: object) -> None:
        asked.append(str(arguments[2]))

    engine = house.doors.database._writer
    event.listen(engine, "before_cursor_execute", see)
    await dropped(house, 4_000)
    event.remove(engine, "before_cursor_execute", see)
    assert [one for one in asked if "FROM gateway_claim" in one and "gateway_claim.at" in one] == []
    assert parse_ref(ref) is not None


async def test_several_processes_take_turns_at_a_log(house: House) -> None:
    await send(house)
    both = [eraser(house, 4), eraser(house, 4)]
    while any([await one.expire() for one in both]):
        pass
    assert len(await entries(house, "evidence.expired", 1)) == 1
    partner = house.doors.catalog.current.directory.partner("acme")
    assert partner is not None
    origin = f"{house.doors.values.log_host}/log/{partner.log}/1"
    state = await house.doors.database.read(lambda session: log.state(session, origin))
    assert state.head.size >= 4


async def test_a_mistake_in_one_kind_of_work_ends_neither_the_role_nor_the_other(house: House) -> None:
    ref = await send(house)
    stop = asyncio.Event()
    role = eraser(house, 4)
    await house.doors.database.write(
        lambda session: session.execute(
            text(
                "INSERT INTO gateway_erasure (id, partner, basis, role, state, place, total, done, erased,"
                " held, absent, pending, next_at, created_at) VALUES ('ers_x', 'nobody', 'b', 'operator',"
                " 'waiting', 'null', 0, 0, 0, 0, 0, 0, 0, 0)"
            )
        )
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(role.run(stop))
        for _ in range(1_000):
            if await evidence_of(house, ref) == [False]:
                break
            await asyncio.sleep(0.02)
        stop.set()
    assert await evidence_of(house, ref) == [False]
