"""Partners for whom much waits, beside others: they are loaded last, and their leases are kept meanwhile."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlmodel import Session, col

from gateway.broker.port import TopicSpec
from gateway.catalog import Snapshot
from gateway.database import Database
from gateway.egress import deliveries
from gateway.egress.deliveries import Stored, load_alone, load_many
from gateway.leases import Lease
from gateway.rows import DeliveryRow, LeaseRow
from partners.directory import Account, Directory
from partners.endpoint import Endpoint, house_of
from partners.partner import Partner, Topics
from tests.unit.gateway.egress.stage import PARTNER, Stage, endpoint, now, record, stage

OTHER_TOPIC = "partners.globex.outbound"
GLOBEX = Partner("globex", "j2u8p1", "Globex", Topics("partners.globex.inbound", 0, OTHER_TOPIC, 0), "active")


def waiting(number: int, owner: str = "acme", **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "endpoint": "ep_1",
        "ref": number.to_bytes(32),
        "partner": owner,
        "source": "/acme",
        "event_id": f"w{number}",
        "event_type": "order.accepted",
        "topic": "t",
        "topic_id": "id",
        "partition": 0,
        "offset": number,
        "payload": b"{}",
        "schema_id": 41,
        "attempts": 1,
        "next_at": now() + 3_600_000,
        "state": "pending",
        "created_at": 0,
        "updated_at": 0,
    }
    return row | changes


def fill(session: Session, owner: str, count: int, **changes: Any) -> None:
    session.execute(insert(DeliveryRow), [waiting(number, owner, **changes) for number in range(count)])


@pytest.mark.parametrize("owner", ["acme", house_of("acme")])
def test_many_are_those_that_wait_for_either_side(
    database_url: str, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    monkeypatch.setattr(deliveries, "_MANY", 3)
    database = Database(database_url)
    with database.begin() as session:
        fill(session, owner, 3)
        fill(session, owner, 9, endpoint="ep_2", state="parked")
        assert load_many(session, ["acme", "globex"]) == frozenset()
        fill(session, owner, 1, endpoint="ep_3", state="held")
        assert load_many(session, ["acme", "globex"]) == {"acme"}
        assert load_many(session, ["globex"]) == frozenset()
    database.close()


class Gate:
    """Lets the loading of one partner wait; `order`: which partners were loaded, together."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slug: str) -> None:
        self.order: list[list[str]] = []
        self.gate = asyncio.Event()
        self._slug = slug
        monkeypatch.setattr("gateway.egress.acquaintance.load_alone", self._load_later)

    async def _load_later(self, database: Database, lease: Lease, partners: Mapping[str, str]) -> Stored:
        self.order.append(sorted(partners))
        if self._slug in partners:
            await self.gate.wait()
        return await load_alone(database, lease, partners)


async def both(on: Stage, *endpoints: Endpoint) -> Snapshot:
    """The contracts of the stage, and those of another partner that are alike."""
    made = await on.broker.ensure([TopicSpec(OTHER_TOPIC)])
    mine = on.contracts.current
    account = mine.directory.account("acme")
    channel = mine.channels("acme", "outbound")[0]
    assert account is not None
    theirs = replace(channel, partner="globex", log=GLOBEX.log, topic=OTHER_TOPIC)
    accounts = [account, Account(GLOBEX, None, account.lines, endpoints)]
    return Snapshot(
        Directory(1, accounts, []),
        {
            ("acme", "outbound", channel.event_type): channel,
            ("globex", "outbound", channel.event_type): theirs,
        },
        {("acme", "outbound"): (channel,), ("globex", "outbound"): (theirs,)},
        {**mine.topic_ids, OTHER_TOPIC: made[OTHER_TOPIC].id},
    )


async def test_nobody_waits_for_what_is_loaded_for_another_partner(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_MANY", 3)
    gate = Gate(monkeypatch, "acme")
    async with stage(tmp_path, database_url, endpoint()) as on:
        with on.database.begin() as session:
            fill(session, "acme", 4)
        on.contracts.current = await both(on, endpoint("ep_9", partner="globex"))
        await on.produce("mine")
        await on.append(replace(record("theirs"), topic=OTHER_TOPIC))
        async with on.relaying():
            await on.until(lambda: on.receiver.ids() == ["theirs"], "delivered to the other")
            assert gate.order == [["globex"], ["acme"]]
            gate.gate.set()
            await on.until(lambda: on.receiver.ids() == ["theirs", "mine"], "delivered to both")


async def test_leases_are_kept_while_much_is_loaded(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, PARTNER.slug)

    def until() -> int:
        with on.database.begin() as session:
            found = session.execute(select(col(LeaseRow.until)).order_by(col(LeaseRow.shard))).scalars()
            return min(found, default=0)

    async with stage(tmp_path, database_url, endpoint()) as on:
        await on.produce("a")
        async with on.relaying(duration_ms=500):
            await on.until(lambda: bool(gate.order), "loading")
            first = until()
            await on.until(lambda: until() > first + 500, "kept for longer than a lease lasts")
            gate.gate.set()
            await on.until(lambda: on.receiver.ids() == ["a"], "delivered")
            assert len(gate.order) == 1, "nothing was begun anew"
