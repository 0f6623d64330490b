import time

import pytest

from audit.ref import parse_ref
from gateway.cli.exits import Exit
from gateway.egress import replay_store
from gateway.egress.replay import OPEN
from gateway.rows import BacklogRow, DeliveryRow
from tests.unit.gateway.cli.conftest import Desk

REF = "evt_" + "a" * 52
DELIVERY = f"dlv_gone_{'a' * 52}"


@pytest.fixture
async def owing(desk: Desk) -> Desk:
    """A desk whose partner has a parked delivery, and a range of an endpoint that is gone."""
    ref = parse_ref(REF)
    assert ref is not None
    made = DeliveryRow(
        endpoint="ep_gone",
        ref=ref,
        partner="acme",
        source="/house",
        event_id="A-1",
        event_type="order.accepted",
        topic="partners.acme.outbound",
        topic_id="t",
        partition=0,
        offset=0,
        payload=b"{}",
        schema_id=1,
        attempts=10,
        next_at=0,
        state="parked",
        reason="timed_out",
        created_at=1,
        updated_at=1,
    )
    span = BacklogRow(
        endpoint="ep_gone",
        topic_id="t",
        partition=0,
        topic="partners.acme.outbound",
        from_offset=1,
        to_offset=43,
        events=42,
        began_at=1,
    )
    with desk.house.world.parts.ground.database.begin() as session:
        session.add(made)
        session.add(span)
    return desk


async def test_what_is_undelivered_is_listed_and_shown(owing: Desk) -> None:
    listed = await owing.run("deliveries", "list", by="acme")
    assert listed.code == Exit.DONE
    assert "42 or more" in listed.out
    assert "timed_out" in listed.out
    assert "at least 42 of these wait in ranges" in listed.err
    parked = await owing.run("deliveries", "list", "--state", "parked", "--json", by="acme")
    assert [one["id"] for one in parked.document()["items"]] == [DELIVERY]
    everybody = await owing.run("deliveries", "list", "--partner", "-", "--json")
    assert {one["partner"] for one in everybody.document()["items"]} == {"acme"}
    shown = await owing.run("deliveries", "show", DELIVERY, by="acme")
    assert "A-1" in shown.out
    missing = await owing.run("deliveries", "show", f"dlv_none_{'a' * 52}", by="acme")
    assert missing.code == Exit.NOT_FOUND


async def test_deliveries_are_listed_of_an_endpoint_by_its_id_or_its_name(owing: Desk) -> None:
    made = await owing.run(
        "endpoints", "create", "https://hooks.acme.example/in", "--name", "hook", by="acme"
    )
    assert made.code == Exit.DONE, made.err
    of_name = await owing.run("deliveries", "list", "--endpoint", "hook", "--json", by="acme")
    assert (of_name.code, of_name.document()["items"]) == (Exit.DONE, [])
    of_id = await owing.run("deliveries", "list", "--endpoint", "ep_gone", "--json", by="acme")
    assert len(of_id.document()["items"]) == 2
    for words in (("huk", "--partner", "acme"), ("hook", "--partner", "-")):
        assert (await owing.run("deliveries", "list", "--endpoint", *words)).code == Exit.USAGE


async def test_a_delivery_is_given_up_once_that_was_asked(owing: Desk) -> None:
    conflict = await owing.run("deliveries", "retry", DELIVERY, by="acme")
    assert (conflict.code, "gone" in conflict.err) == (Exit.CONFLICT, True)
    dry = await owing.run("deliveries", "cancel", DELIVERY, "--dry-run", by="acme")
    assert dry.out == f"{DELIVERY}  would be cancelled\n"
    unasked = await owing.run("deliveries", "cancel", DELIVERY, by="acme")
    assert unasked.code == Exit.USAGE
    done = await owing.run("deliveries", "cancel", DELIVERY, "--yes", by="acme")
    assert (done.code, done.out) == (Exit.DONE, f"{DELIVERY}  cancelled\n")
    listed = await owing.run("deliveries", "list", "--state", "cancelled", "--json", by="acme")
    assert len(listed.document()["items"]) == 1


async def test_a_replay_is_begun_watched_and_told_of(desk: Desk) -> None:
    done = await desk.run("replays", "create", "--since", "1h", by="acme")
    assert (done.code, done.out.split("  ")[1:]) == (Exit.DONE, ["done", "0 handed over\n"])
    dry = await desk.run(
        "replays", "create", "--since", "1h", "--which", "all", "--dry-run", "--partner", "acme"
    )
    assert dry.out.endswith("0 would be handed over\n")
    wrong = await desk.run("replays", "create", "--since", "1h", "--which", "some", by="acme")
    assert wrong.code == Exit.USAGE
    listed = await desk.run("replays", "list", "--json", by="acme")
    ids = [one["id"] for one in listed.document()["items"]]
    assert len(ids) == 2
    shown = await desk.run("replays", "show", ids[0], by="acme")
    assert shown.out.startswith(ids[0])
    over = await desk.run("replays", "cancel", ids[0], "--yes", by="acme")
    assert over.code == Exit.CONFLICT


async def test_a_replay_that_is_cancelled_while_it_is_watched_says_so(desk: Desk) -> None:
    contract = (
        "gateway: v1\npartner: acme\nname: The company\n"
        "sends:\n  order.placed: {schema: order.avsc, id: /order_id, key: /customer}\n"
        "receives:\n  order.accepted: {schema: order.avsc, id: /order_id}\n"
        "endpoints:\n  verification: none\n  declared:\n"
        '    - {name: main, url: "http://127.0.0.1:9/in"}\n'
    )
    await desk.house.world.apply(contract)
    await desk.house.world.parts.catalog.refresh()
    await desk.house.world.send({"order_id": "r-1", "qty": 1}, direction="outbound")
    database = desk.house.world.parts.ground.database

    def cancel(_: float) -> None:
        time.sleep(0.01)
        with database.begin() as session:
            for one in replay_store.page(session, "acme", after=None, limit=5):
                if one.state in OPEN:
                    replay_store.cancel(session, one.id, now=1)

    desk.shell.pause = cancel
    found = await desk.run("replays", "create", "--since", "1h", by="acme")
    assert (found.code, "cancelled" in found.out) == (Exit.CONFLICT, True)


async def test_a_replay_takes_dates_rates_and_the_name_of_an_endpoint(desk: Desk) -> None:
    day = ("--since", "2026-11-22", "--until", "2026-11-23", "--rate", "50/s", "--dry-run")
    assert (await desk.run("replays", "create", *day, by="acme")).code == 0
    made = await desk.run("endpoints", "create", "https://hooks.acme.example/two", "--name", "two", by="acme")
    assert made.code == 0, made.err
    named = await desk.run("replays", "create", "--since", "1h", "--endpoint", "two", "--dry-run", by="acme")
    assert named.code == 0, named.err
    for words in (("--rate", "fast"), ("--rate", "0/s"), ("--endpoint", "nobody")):
        assert (await desk.run("replays", "create", "--since", "1h", *words, by="acme")).code == 2
