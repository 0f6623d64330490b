"""What becomes of an endpoint that a contract no longer declares: told before, and kept after."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import insert, select
from sqlmodel import Session, col

from audit.evidence import parse_evidence
from audit.pressing import expand
from audit.rows import EntryRow, PendingRow
from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.ingress.outcome import Accepted
from gateway.rows import BacklogRow, DeliveryRow
from partners import store
from tests import waiting
from tests.world import CONTRACT, OPERATOR, ORDER, World, draft, running

INVOICE = {**ORDER, "name": "Invoice"}
FILES = {"order.avsc": json.dumps(ORDER), "invoice.avsc": json.dumps(INVOICE)}
RECEIVES = CONTRACT + "  invoice.sent: {schema: invoice.avsc, id: /order_id}\n"
# Unverified: everything for them waits in a range.
WITH_HOOKS = f"""{RECEIVES}endpoints:
  verification: required
  declared:
    - {{name: one, url: "https://a.example/in", events: [invoice.sent]}}
    - {{name: two, url: "https://b.example/in"}}
"""
WITH_TWO = "".join(line for line in WITH_HOOKS.splitlines(keepends=True) if "name: one" not in line)
WITHOUT_INVOICES = "".join(
    line for line in WITH_HOOKS.splitlines(keepends=True) if "invoice.avsc" not in line
).replace(", events: [invoice.sent]", "")


async def put(world: World, text: str, *, dry_run: bool = False) -> ContractOutcome:
    files = {path: schema for path, schema in FILES.items() if path in text}
    sent = ContractText(text, "acme.yaml", files)
    wish = Wish(dry_run=dry_run, allow=frozenset({"destructive"}))
    return await world.parts.administration.put_contract("acme", sent, wish, by=OPERATOR)


async def ids(world: World) -> dict[str, str]:
    found = await world.parts.ground.database.read(lambda session: store.endpoints(session, "acme"))
    return {each.name: each.id for each in found}


def row(endpoint: str, number: int, state: str) -> dict[str, object]:
    return {
        "endpoint": endpoint,
        "ref": number.to_bytes(32),
        "partner": "acme",
        "source": "/house",
        "event_id": str(number),
        "event_type": "invoice.sent",
        "topic": "t",
        "topic_id": "id",
        "partition": 0,
        "offset": number,
        "payload": b"{}",
        "schema_id": 1,
        "attempts": 1,
        "next_at": 0,
        "state": state,
        "created_at": 0,
        "updated_at": 0,
    }


async def test_a_plan_counts_what_waits_for_an_endpoint_that_it_removes(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, WITH_HOOKS)
        one = (await ids(world))["one"]
        assert (
            "- endpoint one  destructive: no deliveries pending"
            in (await put(world, WITH_TWO, dry_run=True)).plan
        )

        def wait(session: Session) -> None:
            states = ("pending", "held", "parked")
            session.execute(insert(DeliveryRow), [row(one, n, state) for n, state in enumerate(states)])
            session.execute(insert(DeliveryRow), [row("ep_other", 9, "pending")])
            span = {"topic_id": "id", "topic": "t", "from_offset": 4, "to_offset": 10}
            rows = [{"endpoint": one, "partition": n, **span} for n in range(2)]
            session.execute(insert(BacklogRow), rows)

        await world.parts.ground.database.write(wait)
        planned, done = await put(world, WITH_TWO, dry_run=True), await put(world, WITH_TWO)
        assert "- endpoint one  destructive: 14 deliveries pending" in planned.plan
        assert done.plan == planned.plan


async def test_a_plan_names_the_endpoints_of_a_type_that_it_removes(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, WITH_HOOKS)
        planned = await put(world, WITHOUT_INVOICES, dry_run=True)
        assert (
            "- receives invoice.sent  destructive: 2 endpoints listen (one, two), no deliveries pending"
            in planned.plan
        )
        await put(world, RECEIVES)
        assert "invoice.sent  destructive: no endpoint listens" in (await put(world, CONTRACT)).plan


def owed(session: Session) -> list[tuple[str | None, str | None]]:
    """Endpoint and type of each parked delivery."""
    raws = [
        *session.execute(select(col(PendingRow.raw))).scalars(),
        *session.execute(select(col(EntryRow.evidence))).scalars(),
    ]
    found = [parse_evidence(expand(raw)) for raw in raws if raw is not None]
    kept = [each for each in found if each.kind.value == "delivery.parked"]
    return sorted((each.text("endpoint"), each.text("type")) for each in kept)


def ranges(session: Session) -> int:
    """How many records wait in ranges."""
    spans = session.execute(select(col(BacklogRow.from_offset), col(BacklogRow.to_offset)))
    return sum(end - start for start, end in spans)


@asynccontextmanager
async def relaying(world: World) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(world.parts.relay.run(stop))
        try:
            yield
        finally:
            stop.set()


async def until(world: World, holds: Callable[[Session], bool]) -> None:
    seen: list[object] = []

    def look(session: Session) -> bool:
        seen[:] = owed(session), ranges(session)
        return holds(session)

    await waiting.until(lambda: world.parts.ground.database.read(look), lambda: f"owed and waiting: {seen}")


async def test_a_relay_that_was_down_parks_what_a_removed_endpoint_was_owed_and_no_more(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, WITH_HOOKS)
        one = (await ids(world))["one"]
        types = ("invoice.sent", "order.accepted", "order.accepted", "invoice.sent")
        drafts = [draft({"order_id": f"A-{n}", "qty": 1}, each) for n, each in enumerate(types)]
        outcomes = await world.submit(drafts, direction="outbound")
        assert all(isinstance(each, Accepted) for each in outcomes)
        async with relaying(world):
            await until(world, lambda session: ranges(session) == 8)
        await put(world, WITH_TWO)
        async with relaying(world):
            await until(world, lambda session: ranges(session) == 4)
        parked = await world.parts.ground.database.read(owed)
        assert parked == [(one, "invoice.sent")] * 2
