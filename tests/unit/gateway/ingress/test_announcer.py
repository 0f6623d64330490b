"""What is decided is told, once, however often the program ends in between."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from audit.evidence import Evidence, parse_evidence
from audit.pressing import expand
from audit.rows import EntryRow
from gateway import announcements
from gateway.announcements import Announcement
from gateway.broker.port import Record, Refused, Stored, Unknown
from gateway.egress.stream import Bounds, Tap, find_start, read_page
from gateway.ingress.announcer import LEASE_MS
from gateway.ingress.outcome import Refused as NotTaken
from gateway.operational import CONTRACT_CHANGED
from gateway.rows import AnnouncementRow
from partners import onboarding
from schemas.remote_answers import RemoteRefusedError
from tests.post_server import taking_posts
from tests.unit.gateway.administration.test_agreement import Library, shelve
from tests.unit.gateway.ingress.brokers import WilfulBroker
from tests.waiting import until
from tests.world import CONTRACT, World, draft, running

OUTBOUND = "partners.acme.outbound"
CHANGED = CONTRACT.replace("name: Acme GmbH", "name: Acme AG")


def waiting(session: Session) -> list[AnnouncementRow]:
    return list(session.execute(select(AnnouncementRow).order_by(col(AnnouncementRow.number))).scalars())


async def told(world: World) -> None:
    """Until nothing waits to be told."""
    left: list[tuple[str, int]] = []

    async def is_so() -> bool:
        left[:] = [(one.event_id, one.until) for one in await world.parts.ground.database.read(waiting)]
        return not left

    await until(is_so, lambda: f"left to tell: {left}")


async def put_off(world: World) -> None:
    """Until somebody else has to mend something first."""
    pauses: list[int] = []

    async def is_so() -> bool:
        pauses[:] = [one.until - one.at for one in await world.parts.ground.database.read(waiting)]
        return any(pause > LEASE_MS + 5_000 for pause in pauses)

    await until(is_so, lambda: f"put off: {pauses}")


async def streamed(world: World, *types: str) -> list[dict[str, Any]]:
    """What the partner's stream holds."""
    snapshot, broker = world.parts.catalog.current, world.parts.broker
    tap = Tap("acme", "outbound", OUTBOUND, (0,), frozenset(types), "http://127.0.0.1:8080")
    start = await find_start(broker, tap, snapshot, "earliest")
    page = await read_page(broker, tap, snapshot, start, Bounds(100, 0, asyncio.Event()))
    return [json.loads(one) for one in page.items]


async def entries(world: World) -> list[Evidence]:
    def load(session: Session) -> Sequence[bytes | None]:
        return session.execute(select(col(EntryRow.evidence)).order_by(col(EntryRow.index))).scalars().all()

    found = await world.parts.ground.database.read(load)
    return [parse_evidence(expand(raw)) for raw in found if raw is not None]


async def entered(world: World, kind: str, count: int) -> list[Evidence]:
    """The entries of a kind, once there are so many."""
    found: list[Evidence] = []

    async def are_there() -> bool:
        found[:] = [one for one in await entries(world) if one.kind.value == kind]
        return len(found) >= count

    await until(are_there, lambda: f"{len(found)} of {count} {kind}")
    return found


async def test_a_change_of_contract_is_an_event_of_the_partners_stream(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        assert await world.parts.ground.database.read(waiting) == []
        more = CHANGED.replace("receives:", "  order.moved: {schema: moved.avsc, id: /order_id}\nreceives:")
        less = more.split("receives:")[0]
        order = json.loads(await _schema(world))
        files = {"order.avsc": json.dumps(order), "moved.avsc": json.dumps({**order, "name": "Moved"})}
        await world.apply(less, files, allow=frozenset({"destructive"}))
        await told(world)
        (event,) = await streamed(world)
        contract, changed = await entered(world, "contract.changed", 2)
        (receipt,) = await entered(world, "event.accepted", 1)
    assert (event["id"], event["source"], event["type"]) == (
        f"{CONTRACT_CHANGED}/2",
        "/house",
        CONTRACT_CHANGED,
    )
    body = event["data"]
    assert body.pop("changed_at") == event["time"]
    assert body == {
        "partner": "acme",
        "revision": 2,
        "previous_revision": 1,
        "sha256": changed.members["after_sha256"],
        "previous_sha256": contract.members["after_sha256"],
        "added": [{"section": "sends", "type": "order.moved"}],
        "changed": [],
        "removed": [{"section": "receives", "type": "order.accepted"}],
        "sections": ["name"],
    }
    assert changed.members["before_sha256"] == contract.members["after_sha256"]
    assert receipt.members["auth"] == {"method": "gateway", "credential": None}
    assert receipt.members["schema"]["subject"] == f"{OUTBOUND}-gateway.ContractChanged"


async def _schema(world: World) -> str:
    channel = world.parts.catalog.current.channel("acme", "order.placed", "inbound")
    assert channel is not None
    return channel.versions[0].schema.text


async def test_it_goes_to_the_endpoints_that_ask_for_it_and_to_no_other(tmp_path: Path) -> None:
    got: list[tuple[str, str]] = []

    def take(path: str, _headers: Any, body: bytes) -> tuple[int, float]:
        got.append((path, json.loads(body)["type"]))
        return 204, 0

    with taking_posts(take) as url:
        hooks = f"""endpoints:
  verification: none
  declared:
    - {{name: all, url: "{url}/all"}}
    - {{name: ours, url: "{url}/ours", events: ["gateway.*"]}}
    - {{name: one, url: "{url}/one", events: [order.accepted, gateway.contract.changed]}}
"""
        async with running(tmp_path) as world, relaying(world):
            await world.apply(CONTRACT + hooks)
            await world.apply(CHANGED + hooks)
            await told(world)
            await world.send({"order_id": "A-1", "qty": 1}, direction="outbound")
            await entered(world, "delivery.attempted", 4)
    ours = CONTRACT_CHANGED
    assert sorted(got) == [
        ("/all", "order.accepted"),
        ("/one", ours),
        ("/one", "order.accepted"),
        ("/ours", ours),
    ]


@asynccontextmanager
async def relaying(world: World) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with world.parts.dialler, asyncio.TaskGroup() as group:
        group.create_task(world.parts.relay.run(stop))
        try:
            yield
        finally:
            stop.set()


class Deaf(WilfulBroker):
    """A broker that, while deaf, says of no event that it has it; `stored_unsaid`: it has it though."""

    is_deaf = True
    stored_unsaid = False

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """Append, but for what goes to the partner."""
        if not self.is_deaf or all(one.topic != OUTBOUND for one in records):
            return await super().append(records)
        if self.stored_unsaid:
            await super().append(records)
        return [Unknown("the test cut the line")] * len(records)


async def test_a_program_that_ends_between_decision_and_event_tells_it_after_its_next_start(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, broker=Deaf(tmp_path)) as world:
        await world.apply()
        await world.apply(CHANGED)
        database = world.parts.ground.database
        assert [one.event_id for one in await database.read(waiting)] == [f"{CONTRACT_CHANGED}/2"]
    async with running(tmp_path, flags={"claims.lease": "1s"}) as world:
        await world.parts.ground.database.write(_free)
        await told(world)
        assert [one["id"] for one in await streamed(world)] == [f"{CONTRACT_CHANGED}/2"]


def _free(session: Session) -> None:
    """As if the time had passed for which a program that is gone had taken them."""
    for row in waiting(session):
        announcements.give_back(session, row.number or 0, 0)


async def test_one_that_was_published_before_the_end_is_one_event_and_one_entry(tmp_path: Path) -> None:
    broker = Deaf(tmp_path)
    broker.stored_unsaid = True
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        await world.apply(CHANGED)
        await entered(world, "event.accepted", 1)
        broker.is_deaf = False
        await world.parts.ground.database.write(_free)
        await told(world)
        assert [one["id"] for one in await streamed(world)] == [f"{CONTRACT_CHANGED}/2"]
        # The row again, as it would stand there if the program had been killed before it was deleted.
        again = Announcement("acme", f"{CONTRACT_CHANGED}/2", CONTRACT_CHANGED, await _text(world), 0)
        (first,) = await entered(world, "event.accepted", 1)
        again = replace(again, at=_changed_at(again.data))
        await world.parts.ground.database.write(lambda session: announcements.announce(session, again))
        await told(world)
        assert len(await streamed(world)) == 1
        assert [one for one in await entries(world) if one.kind.value == "event.accepted"] == [first]


async def _text(world: World) -> str:
    (event,) = await streamed(world, CONTRACT_CHANGED)
    return json.dumps(event["data"])


def _changed_at(text: str) -> int:
    return int(datetime.fromisoformat(json.loads(text)["changed_at"]).timestamp() * 1000)


async def test_changes_are_told_in_their_order(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        for number in range(4):
            await world.apply(CONTRACT.replace("Acme GmbH", f"Acme {number}"))
        await told(world)
        ids = [one["id"] for one in await streamed(world, CONTRACT_CHANGED)]
    assert ids == [f"{CONTRACT_CHANGED}/{number}" for number in (2, 3, 4)]


async def test_nobody_else_may_send_one(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        (outcome,) = await world.submit([draft({}, CONTRACT_CHANGED, id="1")], direction="outbound")
        assert isinstance(outcome, NotTaken)
        assert outcome.code == "event_type_unknown"
        # A team's own record of that name has no receipt of ours.
        forged = Record(OUTBOUND, 0, None, b"{}", _forged(), 1)
        await world.parts.broker.append([forged])
        assert await streamed(world) == []


def _forged() -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_type", CONTRACT_CHANGED.encode()),
        ("content-type", b"application/json"),
    )


async def test_what_a_closed_partner_was_to_be_told_is_dropped(tmp_path: Path) -> None:
    async with running(tmp_path, broker=Deaf(tmp_path)) as world:
        await world.apply()
        await world.apply(CHANGED)
        database = world.parts.ground.database
        await database.write(lambda session: onboarding.set_partner_state(session, "acme", "closed"))
        await world.parts.catalog.follow()
        await database.write(_free)
        await told(world)


async def test_one_that_a_newer_program_has_made_waits_for_it(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        newer = Announcement("acme", "gateway.moon.full/1", "gateway.moon.full", "{}", 1)
        database = world.parts.ground.database
        await database.write(lambda session: announcements.announce(session, newer))
        assert not await world.parts.announcer.turn()
        assert [one.event_type for one in await database.read(waiting)] == ["gateway.moon.full"]


async def test_those_that_have_to_wait_hold_up_no_other_partner_however_many_they_are(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        database = world.parts.ground.database

        def put_off_many(session: Session) -> None:
            for number in range(announcements.AT_ONCE):
                one = Announcement(f"p{number}", "gateway.moon.full/1", "gateway.moon.full", "{}", 1)
                announcements.announce(session, one)
            for row in waiting(session):
                announcements.give_back(session, row.number or 0, 600_000)

        await database.write(put_off_many)
        await world.apply()
        await world.apply(CHANGED)

        async def is_told() -> bool:
            return len(await database.read(waiting)) == announcements.AT_ONCE

        await until(is_told, lambda: "the one among them is not told")
        assert [one["id"] for one in await streamed(world)] == [f"{CONTRACT_CHANGED}/2"]


async def test_one_that_is_no_event_is_dropped_and_holds_up_no_other(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        wrong = Announcement("acme", f"{CONTRACT_CHANGED}/9", CONTRACT_CHANGED, "{}", 1)
        await world.parts.ground.database.write(lambda session: announcements.announce(session, wrong))
        await world.apply(CHANGED)
        await told(world)
        assert [one["id"] for one in await streamed(world)] == [f"{CONTRACT_CHANGED}/2"]


@pytest.mark.parametrize("framing", ["prefix", "header"])
async def test_an_external_registry_has_our_schema_before_the_event_is_there(
    tmp_path: Path, framing: str
) -> None:
    library = Library()
    framed = f"topics: {{framing: {framing}}}\n"
    async with running(tmp_path) as world:
        shelve(world, library)
        world.parts.announcer.outside = world.parts.administration.registry
        refusal = RemoteRefusedError(422, 42205, "the subject is read only")
        library.failures[f"register {OUTBOUND}-gateway.ContractChanged"] = refusal
        await world.apply(CONTRACT + framed)
        await world.apply(CHANGED + framed)
        database = world.parts.ground.database
        await put_off(world)
        assert await streamed(world) == []
        library.failures.clear()
        await database.write(_free)
        await told(world)
        await world.apply(CONTRACT + framed)
        await told(world)
        first, second = await streamed(world)
    assert library.registered.count(f"{OUTBOUND}-gateway.ContractChanged") == 1
    assert first["dataschema"] == second["dataschema"]
    assert int(first["dataschema"].rpartition("/")[2]) in library.texts.values()
