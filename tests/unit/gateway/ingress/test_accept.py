import asyncio
import json
from pathlib import Path

from audit import log as audit_log
from audit.search import find
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused, Valid
from tests.world import CONTRACT, FIRST, ORDER, World, draft, running

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}


async def test_an_event_is_accepted_once_and_repeats_get_the_first_receipt(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        (first,) = await world.send(A)
        assert isinstance(first, Accepted)
        assert not first.duplicate
        assert first.position is not None
        (again,) = await world.send(json.dumps(A, indent=3).encode())
        assert isinstance(again, Accepted)
        assert again.duplicate
        assert (again.ref, again.receipt) == (first.ref, first.receipt)


async def test_the_same_id_with_another_content_is_a_conflict(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        (first,) = await world.send(A)
        (other,) = await world.send({**A, "qty": 2})
        assert isinstance(first, Accepted)
        assert isinstance(other, Refused)
        assert other.code == "event_conflict"
        assert other.first is not None
        assert other.first.ref == first.ref


async def test_every_fault_is_told_and_the_id_is_not_burnt(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        (bad,) = await world.send({"order_id": "A-1", "qty": "x", "custmer": "C"})
        assert isinstance(bad, Refused)
        assert bad.code == "event_invalid"
        assert {(fault.pointer, fault.code) for fault in bad.faults} == {
            ("/qty", "type"),
            ("/custmer", "unknown_field"),
        }
        (good,) = await world.send(A)
        assert isinstance(good, Accepted)


async def test_a_strict_batch_with_a_fault_publishes_nothing(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        outcomes = await world.send(A, {"order_id": "A-2"}, {**A, "order_id": "A-3"})
        assert [one.code for one in outcomes if isinstance(one, Refused)] == [
            "batch_refused",
            "event_invalid",
            "batch_refused",
        ]
        assert await world.parts.broker.bounds([("partners.acme.inbound", 0)]) == [(0, 0)]
        assert isinstance((await world.send(A))[0], Accepted)


async def test_a_strict_batch_with_a_conflict_claims_nothing(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(A)
        fresh = {**A, "order_id": "A-9"}
        outcomes = await world.send(fresh, {**A, "qty": 7})
        assert [one.code for one in outcomes if isinstance(one, Refused)] == [
            "batch_refused",
            "event_conflict",
        ]
        (once,) = await world.send(fresh)
        assert isinstance(once, Accepted)
        assert not once.duplicate


async def test_a_lenient_batch_takes_what_is_good(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        outcomes = await world.send(A, {"order_id": "A-2"}, {**A, "order_id": "A-3"}, strict=False)
        assert [type(one) for one in outcomes] == [Accepted, Refused, Accepted]


async def test_twins_in_a_batch_are_one_event(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        outcomes = await world.send(A, A, {**A, "qty": 5}, strict=False)
        assert isinstance(outcomes[0], Accepted)
        assert isinstance(outcomes[1], Accepted)
        assert (outcomes[0].duplicate, outcomes[1].duplicate) == (False, True)
        assert outcomes[0].receipt == outcomes[1].receipt
        assert isinstance(outcomes[2], Refused)
        assert outcomes[2].code == "event_conflict"


async def test_a_dry_run_leaves_no_trace(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        (dry,) = await world.send(A, dry_run=True)
        assert isinstance(dry, Valid)
        (real,) = await world.send(A)
        assert isinstance(real, Accepted)
        assert not real.duplicate
        (after,) = await world.send(A, dry_run=True)
        assert isinstance(after, Accepted)
        assert after.duplicate


async def test_ids_that_disagree_are_refused(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        (one,) = await world.submit([draft(A, id="other")])
        assert isinstance(one, Refused)
        assert one.code == "event_id_mismatch"
        (same,) = await world.submit([draft(A, id="A-1")])
        assert isinstance(same, Accepted)


async def test_an_unknown_type_names_the_near_one(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        (one,) = await world.submit([draft(A, "order.plcaed")])
        assert isinstance(one, Refused)
        assert one.code == "event_type_unknown"
        assert one.hint == "Did you mean order.placed?"


async def test_many_writers_of_one_event_make_one_record(tmp_path: Path, database_url: str) -> None:
    async def sent(world: World) -> Outcome:
        """Repeat while the first attempt is still under way, as the answer asks for."""
        while True:
            (one,) = await world.send(A)
            if not (isinstance(one, Failed) and one.code == "outcome_unknown"):
                return one

    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            tasks = [group.create_task(sent(world)) for _ in range(40)]
        outcomes = [task.result() for task in tasks]
        assert [one for one in outcomes if not isinstance(one, Accepted)] == []
        assert len({one.receipt for one in outcomes if isinstance(one, Accepted)}) == 1
        assert await world.parts.broker.bounds([("partners.acme.inbound", 0)]) == [(0, 1)]


async def test_an_event_accepted_under_an_older_schema_keeps_its_receipt(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        contract = CONTRACT.replace("key: /customer}", "key: /customer, accept_versions: 1}")
        await world.apply(contract)
        (first,) = await world.send(A)
        newer = {**ORDER, "fields": [*ORDER["fields"][:2], {"name": "quantity", "type": "int", "default": 0}]}
        await world.apply(contract, {"order.avsc": json.dumps(newer)}, allow=frozenset({"incompatible"}))
        (again,) = await world.send(A)
        (bad,) = await world.send({**A, "order_id": "new"})
        assert isinstance(first, Accepted)
        assert isinstance(again, Accepted)
        assert again.receipt == first.receipt
        assert isinstance(bad, Refused)


async def test_accepted_and_refused_events_are_entries_once_each(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        outcomes = await world.send(*({**A, "order_id": f"A-{n}"} for n in range(25)))
        for _ in range(5):
            await world.send({"order_id": "bad"})
        await world.send(A)
        # 25 accepted, one refusal for five
        await world.settled(FIRST + 25 + 1)
        with world.parts.ground.database.begin() as session:
            heads = {one.head.origin: one for one in audit_log.heads(session)}
        assert sum(one.head.size for one in heads.values()) == FIRST + 26
        assert all(isinstance(one, Accepted) for one in outcomes)


async def test_a_closed_program_answers_that_it_is_stopping(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
    world.parts.ingress.publisher.spawn = None
    (one,) = await world.send(A)
    assert isinstance(one, Failed)


async def test_a_refusal_is_found_by_the_id_in_the_data_and_changes_no_accepted_event(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        await world.send({"order_id": "A-7", "qty": "many"})
        await world.send(A)
        await world.send({**A, "qty": 99})
        await world.settled(FIRST + 3)
        partner = world.parts.catalog.current.directory.partner("acme")
        assert partner is not None
        log = f"{world.parts.ground.host}/log/{partner.log}"
        with world.parts.ground.database.begin() as session:
            rows = find(session, log).rows
        assert {(row.first.event_id, row.state) for row in rows} == {("A-7", "refused"), ("A-1", "accepted")}


async def test_an_accepted_event_keeps_its_receipt_when_the_contract_drops_its_type_or_size(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        long = {**A, "customer": "C" * 2_000}
        await world.apply()
        (first,) = await world.submit([draft(long, id="A-1")])
        await world.apply(CONTRACT + "limits: {event_bytes: 1KiB}\n")
        (too_large,) = await world.submit([draft(long, id="A-1")])
        without = CONTRACT.replace("order.placed:", "order.changed:")
        await world.apply(without, allow=frozenset({"destructive"}))
        (unknown,) = await world.submit([draft(long, id="A-1")])
        (other,) = await world.submit([draft({**long, "qty": 5}, id="A-1")])
        assert isinstance(first, Accepted)
        for one in (too_large, unknown):
            assert isinstance(one, Accepted)
            assert one.receipt == first.receipt
        assert isinstance(other, Refused)


async def test_a_repeat_is_known_though_an_unlike_twin_stands_before_it(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        (first,) = await world.send(A)
        unlike = {**A, "qty": 9}
        outcomes = await world.send(unlike, A, unlike, strict=False)
        assert isinstance(first, Accepted)
        assert [type(one) for one in outcomes] == [Refused, Accepted, Refused]
        assert isinstance(outcomes[1], Accepted)
        assert outcomes[1].receipt == first.receipt
        both = await world.send(unlike, {**A, "qty": 8}, strict=False)
        assert [one.code for one in both if isinstance(one, Refused)] == ["event_conflict"] * 2
        assert both[0] == both[1]
