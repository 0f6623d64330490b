"""What partners send goes on: to the house's endpoints, and to the partner that the contract names."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from audit.evidence import Evidence, parse_evidence
from audit.pressing import expand
from audit.rows import EntryRow
from gateway import redelivery
from gateway.administration.desk import ContractText, Wish
from gateway.administration.evidence import Scribe
from gateway.administration.key_changes import Freeze
from gateway.broker.port import Position, Read, Start
from gateway.erasing.event import Order, erase_events
from gateway.ingress.outcome import Accepted
from gateway.rows import BacklogRow, DeliveryRow, PositionRow
from partners import store
from partners.endpoint import Endpoint, EndpointState, key_place
from partners.onboarding import set_endpoint_state
from tests import waiting
from tests.post_server import taking_posts
from tests.unit.gateway.egress.stage import take_in_slowly
from tests.world import CONTRACT, OPERATOR, ORDER, World, draft, running

SECRET = b"s" * 32
FORWARDING = CONTRACT.replace("key: /customer}", "key: /customer, forward: {to: globex, as: order.received}}")
RECEIVED = {
    **ORDER,
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "qty", "type": "long"},
        {"name": "note", "type": "string", "default": "none"},
    ],
}
GLOBEX = """\
gateway: v1
partner: globex
name: Globex
receives:
  order.received: {schema: received.avsc, id: /order_id}
"""


@dataclass
class Hooks:
    """Receivers by path: `got` (path, webhook-id, body); what is in `dead` answers 500."""

    url: str = ""
    got: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        if path in self.dead:
            return 500, 0
        self.got.append((path, headers["webhook-id"], json.loads(body)))
        return 204, 0

    def ids(self, path: str) -> list[str]:
        return [body["id"] for at, _, body in self.got if at == path]


@contextmanager
def hooks() -> Iterator[Hooks]:
    made = Hooks()
    with taking_posts(made.take) as url:
        made.url = url
        yield made


@asynccontextmanager
async def relaying(world: World) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with world.parts.dialler, asyncio.TaskGroup() as group:
        group.create_task(world.parts.relay.run(stop))
        try:
            yield
        finally:
            stop.set()


async def until(holds: Any, what: str) -> None:
    await waiting.until(holds, lambda: what)


async def house_endpoint(world: World, url: str, **changes: Any) -> Endpoint:
    ground = world.parts.ground
    name, at = str(changes.pop("name", "desk")), int(changes.pop("at", ground.clock()))
    id_, topic = f"ep_{name}", "partners.acme.inbound"
    # As the administration notes it when one is made.
    ((_, end),) = await world.parts.broker.bounds([(topic, 0)])
    begins = changes.pop("begins", (world.parts.catalog.current.topic_ids[topic], end))
    made = Endpoint(
        id=id_,
        partner="acme",
        name=name,
        url=url,
        types=frozenset(),
        order="none",
        concurrency=4,
        per_second=None,
        delays=(0, 1, 1, 1),
        keys=(ground.vault.seal(SECRET, key_place(id_)),),
        state="active",
        declared=False,
        side="house",
        begins=begins,
    )
    made = replace(made, **changes)

    def work(session: Session) -> None:
        store.lock(session)
        store.insert_endpoints(session, [made], now=at)
        store.bump_partner(session, "acme")

    await ground.database.write(work)
    await world.parts.catalog.refresh()
    return made


async def entries(world: World, kind: str, count: int = 0) -> list[Evidence]:
    """Entries of a kind in all logs, once there are so many."""

    def look(session: Session) -> list[Evidence]:
        rows = session.execute(select(col(EntryRow.evidence)).where(col(EntryRow.kind) == kind)).scalars()
        return [parse_evidence(expand(raw)) for raw in rows if raw is not None]

    found: list[Evidence] = []

    async def are_there() -> bool:
        found[:] = await world.parts.ground.database.read(look)
        return len(found) >= count

    await waiting.until(
        are_there, lambda: f"{len(found)} of {count} {kind}; {world.counts} {world.parts.sequencer.problem}"
    )
    return found


async def rows(world: World, row: type) -> Sequence[Any]:
    def look(session: Session) -> Sequence[Any]:
        return session.execute(select(row)).scalars().all()

    return await world.parts.ground.database.read(look)


async def apply_globex(world: World, hook: str | None, **how: Any) -> None:
    text = str(how.get("text", GLOBEX))
    if hook is not None:
        text += f'endpoints:\n  verification: none\n  declared:\n    - {{name: one, url: "{hook}"}}\n'
    sent = ContractText(text, "globex.yaml", {"received.avsc": json.dumps(how.get("schema", RECEIVED))})
    wish = Wish(allow=frozenset({"destructive", "incompatible"}))
    await world.parts.administration.put_contract("globex", sent, wish, by=OPERATOR)


def log_of(world: World, slug: str) -> str:
    ground = world.parts.ground
    partner = world.parts.catalog.current.directory.partner(slug)
    return f"{ground.host}/log/{ground.house_log if partner is None else partner.log}"


async def placed(world: World, *ids: str) -> None:
    for one in await world.send(*({"order_id": each, "qty": 1} for each in ids)):
        assert isinstance(one, Accepted), one


async def test_the_house_gets_what_the_partner_sends_from_the_moment_it_asks(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await world.apply()
            await placed(world, "before")
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "A-1", "A-2")
            await world.send({"order_id": "out", "qty": 1}, direction="outbound")
            await until(lambda: sorted(at.ids("/desk")) == ["A-1", "A-2"], str(at.got))
            attempted = await entries(world, "delivery.attempted", 2)
            await entries(world, "event.unrouted", 1)  # the partner itself has no endpoint
            ours = log_of(world, "house")
    assert {(one.log, one.text("partner"), one.text("endpoint")) for one in attempted} == {
        (ours, "acme", "ep_desk")
    }
    body = at.got[0][2]
    assert (body["type"], body["source"]) == ("order.placed", "/partners/acme")
    assert {webhook_id for _, webhook_id, _ in at.got} == {one.text("ref") for one in attempted}


async def test_nothing_goes_out_that_the_gateway_did_not_accept(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "A-1")
            await until(lambda: at.ids("/desk") == ["A-1"], str(at.got))
            (record,) = await inbound(world)
            bare = tuple(header for header in record.headers if header[0] != "gateway_receipt")
            other = tuple((n, b"A-2" if n == "ce_id" else v) for n, v in record.headers)
            forged = [replace(record, headers=bare), replace(record, headers=other)]
            forged.append(replace(record, value=(record.value or b"") + b"\x00"))
            await world.parts.broker.append(forged)
            await placed(world, "A-3")
            await until(lambda: "A-3" in at.ids("/desk"), str(at.got))
    assert at.ids("/desk") == ["A-1", "A-3"]


async def test_who_begins_earlier_while_what_was_polled_is_taken_in_gets_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in_slowly(monkeypatch)
    names = [f"A-{number}" for number in range(60)]
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            at_first = world.parts.ground.clock()
            await placed(world, *names)
            async with relaying(world):
                await until(lambda: bool(at.ids("/globex")), "the one reads")
                await house_endpoint(world, f"{at.url}/desk", at=at_first, begins=None)
                for path in ("/globex", "/desk"):
                    await until(lambda path=path: set(at.ids(path)) == set(names), f"{path}: {at.ids(path)}")


async def test_a_double_goes_out_once(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "A-1")
            await until(lambda: at.ids("/desk") == ["A-1"], str(at.got))
            await world.parts.broker.append(await inbound(world))
            await placed(world, "A-2")
            await until(lambda: "A-2" in at.ids("/desk"), str(at.got))
    assert at.ids("/desk") == ["A-1", "A-2"]


async def test_what_was_accepted_goes_out_whatever_is_said_later_of_the_key_that_signed_it(
    tmp_path: Path,
) -> None:
    """Our own claims vouch for it; what somebody wrote who had the key has none."""
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "A-1", "A-2")
            await entries(world, "event.accepted", 2)
            parts = world.parts
            wanted = Freeze("receipt", "copied", 1, parts.keys.current.receipt.key_id)
            await parts.signing.freeze(parts.administration, wanted, None, by=OPERATOR, dry_run=False)
            with parts.ground.database.begin() as session:
                session.connection().exec_driver_sql("DELETE FROM gateway_claim WHERE event_id = 'A-1'")
            await placed(world, "A-3")
            async with relaying(world):
                await until(lambda: len(at.got) == 4, str(at.got))
    assert sorted(at.ids("/desk")) == sorted(at.ids("/globex")) == ["A-2", "A-3"]


async def inbound(world: World) -> list[Any]:
    current = world.parts.catalog.current
    topic = "partners.acme.inbound"
    reader = world.parts.broker.reader()
    reader.assign([Start(topic, Position(current.topic_ids[topic], 0, 0))])
    found: list[Any] = []
    for _ in range(100):
        found += [each.record for each in await reader.poll(10, 100) if isinstance(each, Read)]
        if found:
            break
    await reader.close()
    return found


async def test_a_dead_endpoint_of_the_house_holds_up_nobody_and_gets_all_after_a_restart(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        at.dead = {"/dead"}
        ids = [f"A-{n}" for n in range(40)]
        async with running(tmp_path) as world, relaying(world):
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk")
            await house_endpoint(world, f"{at.url}/dead", name="dead")
            await placed(world, *ids)
            await until(lambda: sorted(at.ids("/desk")) == sorted(ids), str(len(at.got)))
            await entries(world, "delivery.attempted", 45)  # five of them open the breaker
            late = [f"B-{n}" for n in range(10)]
            await placed(world, *late)
            ids += late
            await until(lambda: sorted(at.ids("/desk")) == sorted(ids), str(len(at.got)))
        async with running(tmp_path) as world:
            deliveries = await rows(world, DeliveryRow)
            spans = await rows(world, BacklogRow)
            assert {one.partner for one in deliveries} == {"house/acme"}
            assert {one.endpoint for one in spans} == {"ep_dead"}
            at.dead = set()
            async with relaying(world):
                await until(lambda: sorted(at.ids("/dead")) == sorted(ids), str(len(at.ids("/dead"))))
    assert len(at.ids("/desk")) == len(ids)


async def test_what_waits_for_an_endpoint_of_the_house_that_is_gone_is_parked_in_our_log(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        at.dead = {"/dead"}
        async with running(tmp_path) as world:
            await world.apply()
            made = await house_endpoint(world, f"{at.url}/dead", name="dead", state="paused")
            async with relaying(world):
                await placed(world, "A-1", "A-2")
                await positioned(world, 2)

                def remove(session: Session) -> None:
                    store.lock(session)
                    store.delete_endpoints(session, [made.id])
                    store.bump_partner(session, "acme")

                await world.parts.ground.database.write(remove)
                await world.parts.catalog.refresh()
                parked = await entries(world, "delivery.parked", 2)
                ours = log_of(world, "house")
    assert {(one.log, one.text("reason")) for one in parked} == {(ours, "gone")}


async def positioned(world: World, offset: int) -> None:
    found: list[tuple[str, int]] = []

    async def are_there() -> bool:
        shared = [one for one in await rows(world, PositionRow) if ">" in one.topic_id]
        found[:] = [(one.topic_id, one.next) for one in shared]
        return bool(found) and all(at >= offset for _, at in found)

    await waiting.until(are_there, lambda: f"{offset}: {found}")


async def test_an_event_goes_on_to_the_partner_that_the_contract_names(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await apply_globex(world, f"{at.url}/globex")
            await world.apply()
            await world.apply(FORWARDING)
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "A-1")
            await until(lambda: len(at.got) == 2, str(at.got))
            (forwarded,) = await entries(world, "event.forwarded", 1)
            attempted = await entries(world, "delivery.attempted", 2)
            told = await entries(world, "event.accepted", 2)  # and that the contract was changed
            logs = {slug: log_of(world, slug) for slug in ("acme", "globex", "house")}
    (body,) = [body for path, _, body in at.got if path == "/globex"]
    assert (body["type"], body["source"], body["id"]) == ("order.received", "/partners/acme", "A-1")
    assert body["data"] == {"order_id": "A-1", "qty": 1, "note": "none"}
    (accepted,) = [one for one in told if one.text("type") == "order.placed"]
    assert forwarded.log == accepted.log == logs["acme"]
    named = {one.log: [one.members[name] for name in ("schema", "record", "contract")] for one in attempted}
    (schema, record, contract), (received, nowhere, other) = named[logs["house"]], named[logs["globex"]]
    assert (schema, contract) == (accepted.members["schema"], accepted.members["contract"])
    assert contract == 2
    assert record["topic"] == "partners.acme.inbound"
    # Nothing of the sender's is told in the other's log: neither contract nor schema nor where it lies.
    assert (received["subject"].startswith("partners.globex.outbound-"), nowhere, other) == (True, None, 1)
    assert [forwarded.text(name) for name in ("type", "to", "as", "code")] == [
        "order.placed",
        "globex",
        "order.received",
        None,
    ]
    assert forwarded.ref == accepted.ref
    (theirs,) = [one for one in attempted if one.log == logs["globex"]]
    assert (theirs.text("partner"), theirs.text("type"), theirs.ref) == (
        "globex",
        "order.received",
        accepted.ref,
    )
    assert {webhook_id for _, webhook_id, _ in at.got} == {accepted.text("ref")}
    assert {one.log for one in attempted} == {logs["globex"], logs["house"]}


async def test_what_was_sent_before_the_contract_forwards_stays_where_it_is(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await apply_globex(world, f"{at.url}/globex")
            await world.apply()
            await placed(world, "A-1")
            await world.apply(FORWARDING)
            await placed(world, "A-2")
            await until(lambda: bool(at.got), "forwarded")
            await world.apply(FORWARDING.replace("GmbH", "AG"))
            await placed(world, "A-3")
            await until(lambda: "A-3" in at.ids("/globex"), str(at.got))
    assert at.ids("/globex") == ["A-2", "A-3"]


async def test_what_was_erased_for_the_one_that_it_went_on_to_goes_to_none_of_its_endpoints_again(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, AsyncExitStack() as later:
            ground, catalog = world.parts.ground, world.parts.catalog
            await apply_globex(world, f'{at.url}/globex"}}\n    - {{name: two, url: "{at.url}/two')
            await world.apply(FORWARDING)
            await house_endpoint(world, f"{at.url}/desk", state="paused")
            (two,) = [one for one in catalog.current.directory.endpoints("globex") if one.name == "two"]

            async def put(state: EndpointState) -> None:
                change = partial(set_endpoint_state, owner="globex", endpoint_id=two.id, state=state)
                await ground.database.write(change)
                await catalog.refresh()

            await put("paused")
            # A relay that runs already knows of it a moment later.
            await later.enter_async_context(relaying(world))
            await placed(world, "A-1", "A-2")
            await until(lambda: len(at.ids("/globex")) == 2, str(at.got))
            attempted = await entries(world, "delivery.attempted", 2)
            (ref,) = [one.ref for one in attempted if one.text("id") == "A-1"]
            globex = catalog.current.directory.partner("globex")
            assert globex is not None
            assert ref is not None
            order = Order("ers_1", globex, "case 1", OPERATOR, ground.host)

            def erase(session: Session, scribe: Scribe) -> str:
                return erase_events(session, scribe, order, [ref], now=ground.clock())[ref].word

            assert await world.parts.administration.change(erase) == "erased"
            assert await world.parts.administration.change(erase) == "nothing"
            await catalog.refresh()
            await put("active")
            await until(lambda: bool(at.ids("/two")), str(at.got))
            await placed(world, "A-3")
            await until(lambda: "A-3" in at.ids("/two"), str(at.got))
            await world.parts.ground.database.write(
                partial(set_endpoint_state, owner="house/acme", endpoint_id="ep_desk", state="active")
            )
            await catalog.refresh()
            await until(lambda: len(at.ids("/desk")) == 3, str(at.got))
    assert sorted(at.ids("/two")) == ["A-2", "A-3"]
    assert sorted(at.ids("/desk")) == ["A-1", "A-2", "A-3"], "it is still acme's, and the house's"


async def test_an_event_for_a_partner_without_a_listener_is_told_to_both(tmp_path: Path) -> None:
    async with running(tmp_path) as world, relaying(world):
        await apply_globex(world, None)
        await world.apply(FORWARDING)
        await placed(world, "A-1")
        (forwarded,) = await entries(world, "event.forwarded", 1)
        (unrouted,) = await entries(world, "event.unrouted", 1)
        logs = log_of(world, "acme"), log_of(world, "globex")
    assert (forwarded.log, unrouted.log) == logs
    assert unrouted.text("type") == "order.received"
    assert ">" not in unrouted.members["record"]["topic_id"]
    # As it is received: the sender's own would tell whoever guesses what the other's schema leaves out.
    received = b"\x06A-1" + b"\x02" + b"\x08none"
    assert unrouted.members["record"]["sha256"] == hashlib.sha256(received).hexdigest()


async def test_what_the_other_side_cannot_read_is_refused_in_both_logs(tmp_path: Path) -> None:
    fields = [*RECEIVED["fields"], {"name": "currency", "type": "string"}]
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await apply_globex(world, f"{at.url}/globex", schema={**RECEIVED, "fields": fields})
            await placed(world, "A-1")
            (forwarded,) = await entries(world, "event.forwarded", 1)
            (refused,) = await entries(world, "event.refused", 1)
            logs = log_of(world, "acme"), log_of(world, "globex")
    assert at.got == []
    assert (forwarded.log, refused.log) == logs
    assert (forwarded.text("code"), refused.text("code")) == ("schema_incompatible", "schema_incompatible")
    assert forwarded.ref == refused.ref


class _KilledError(Exception):
    pass


async def test_a_relay_that_dies_before_its_tick_tells_of_an_event_once(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
        is_armed = True

        def step(name: str) -> None:
            if is_armed and name == "outbound.3.before" and at.got:
                raise _KilledError

        async with running(tmp_path, step=step) as world:
            await placed(world, "A-1")
            try:
                async with relaying(world):
                    await until(lambda: False, "it dies")
            except* _KilledError:
                pass
            assert len(at.got) >= 1
            is_armed = False
        async with running(tmp_path, flags={"lease.duration": "1s"}) as world, relaying(world):
            await until(lambda: len(at.got) >= 2, str(at.got))
            (_,) = await entries(world, "event.forwarded", 1)
            await placed(world, "A-2")
            await entries(world, "event.forwarded", 2)
            assert len(await entries(world, "event.forwarded")) == 2
    assert {body["id"]: webhook_id for _, webhook_id, body in at.got}.keys() == {"A-1", "A-2"}
    assert len({webhook_id for _, webhook_id, body in at.got if body["id"] == "A-1"}) == 1


async def test_the_house_is_told_what_the_partner_is_told_where_it_asks(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await world.apply()
            await house_endpoint(world, f"{at.url}/told", types=frozenset({"gateway.*"}))
            await house_endpoint(world, f"{at.url}/all", name="all")
            await world.apply(CONTRACT.replace("GmbH", "AG"))
            await placed(world, "A-1")
            await until(lambda: len(at.got) == 2, str(at.got))
            attempted = await entries(world, "delivery.attempted", 2)
            ours = log_of(world, "house")
    assert sorted((path, body["type"]) for path, _, body in at.got) == [
        ("/all", "order.placed"),
        ("/told", "gateway.contract.changed"),
    ]
    assert {one.log for one in attempted} == {ours}


async def test_one_that_reads_for_two_partners_keeps_their_places_apart(tmp_path: Path) -> None:
    """One shard for all, so that one topic is read three times over."""
    other = GLOBEX.replace("globex", "initech").replace("name: Globex", "name: Initech")
    sends = "\n  order.moved: {schema: order.avsc, id: /order_id, forward: {to: initech, as: order.received}}"
    renamed = {**ORDER, "name": "Moved"}
    with hooks() as at:
        async with running(tmp_path, flags={"lease.shards": 1}) as world, relaying(world):
            at.dead = {"/globex"}
            await apply_globex(world, f"{at.url}/globex")
            declared = f'    - {{name: one, url: "{at.url}/initech"}}\n'
            hook = f"endpoints:\n  verification: none\n  declared:\n{declared}"
            received = {**RECEIVED, "name": "Moved"}
            sent = ContractText(other + hook, "initech.yaml", {"received.avsc": json.dumps(received)})
            await world.parts.administration.put_contract("initech", sent, Wish(), by=OPERATOR)
            contract = FORWARDING.replace("receives:", "").replace(
                "  order.accepted: {schema: order.avsc, id: /order_id}\n", ""
            )
            contract = contract.rstrip() + sends.replace("order.avsc", "moved.avsc") + "\n"
            files = {"order.avsc": json.dumps(ORDER), "moved.avsc": json.dumps(renamed)}
            await world.apply(contract, files)
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "A-1")
            moved = draft({"order_id": "B-1", "qty": 2}, "order.moved")
            assert isinstance((await world.submit([moved]))[0], Accepted)
            await until(lambda: len(at.ids("/desk")) == 2 and at.ids("/initech") == ["B-1"], str(at.got))
            at.dead = set()
            await until(lambda: at.ids("/globex") == ["A-1"], str(at.got))
            forwarded = await entries(world, "event.forwarded", 2)
            places = {one.topic_id.partition(">")[2] for one in await rows(world, PositionRow)}
    assert sorted(one.text("to") or "" for one in forwarded) == ["globex", "initech"]
    assert places >= {"globex", "initech", "house/acme"}


async def test_a_delivery_to_the_house_is_tried_again_and_another_given_up_when_that_is_asked(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        at.dead = {"/desk"}
        async with running(tmp_path) as world, relaying(world):
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk", delays=(0, 3_600))
            await placed(world, "A-1", "A-2")
            await entries(world, "delivery.attempted", 2)

            async def saved() -> Sequence[Any]:
                found = await rows(world, DeliveryRow)
                return found if len(found) == 2 else ()

            kept = await waiting.until(saved, lambda: f"two rows: {at.got}")
            by_id = {one.event_id: (one.endpoint, one.ref) for one in kept}
            acme = world.parts.catalog.current.directory.partner("acme")
            assert acme is not None
            at.dead = set()
            whose, now = redelivery.Whose(acme, "house"), world.parts.ground.clock()

            def ask(session: Session, scribe: Scribe) -> None:
                redelivery.cancel(session, scribe, whose, by_id["A-2"], OPERATOR, now=now)
                redelivery.retry(session, scribe, whose, by_id["A-1"], OPERATOR, now=now)

            await world.parts.administration.change(ask)
            await until(lambda: at.ids("/desk") == ["A-1"], str(at.got))
            (cancelled,) = await entries(world, "delivery.cancelled", 1)
            (retried,) = await entries(world, "delivery.retried", 1)
            ours = log_of(world, "house")
    assert {(one.log, one.text("partner")) for one in (cancelled, retried)} == {(ours, "acme")}
    assert at.ids("/desk") == ["A-1"]
