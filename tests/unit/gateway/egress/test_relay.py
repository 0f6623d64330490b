import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlmodel import col
from structlog.testing import capture_logs

from audit.marks import join_search
from audit.ref import format_ref
from audit.rows import PendingRow
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.port import BrokerError, Reader, ReadEvent, TopicSpec
from gateway.dialler import Answer, Outgoing
from gateway.event import EventKey
from gateway.leases import RELEASED, Leases, expire_all
from gateway.rows import DeliveryRow, LeaseRow
from tests.unit.gateway.egress.stage import (
    PARTNER,
    TOPIC,
    Stage,
    answer,
    contracts,
    endpoint,
    record,
    stage,
    take_in_slowly,
)

BUSY = answer(503, "server_error")


@pytest.fixture
def unprobed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test, however slow the machine is, sees the first probe of an endpoint that failed."""
    monkeypatch.setattr("gateway.egress.breaker.FIRST_WAIT_MS", 300_000)


async def test_an_event_is_delivered_once_and_recorded(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        await on.produce("a", "b", "c")
        async with on.relaying():
            await on.until(lambda: on.position() == 3, "all settled")
        assert sorted(on.receiver.ids()) == ["a", "b", "c"]
        assert [each.text("outcome") for each in on.evidence()] == ["delivered"] * 3
        assert {each.log for each in on.evidence()} == {"gw.example/log/k3v9q2"}
        assert (on.rows(), on.spans()) == ([], [])


@pytest.mark.parametrize("is_known", [False, True])
async def test_what_is_sent_is_judged_by_contracts_that_are_as_new(
    tmp_path: Path, database_url: str, *, is_known: bool
) -> None:
    """Whether it is the type or the endpoint that this process has not heard of yet."""
    async with stage(tmp_path, database_url, endpoint()) as on:
        today = on.contracts.current
        on.register(endpoint())  # or it is gone, and what waits for it is parked
        nobody = contracts([], on.topic_id)
        on.contracts.current = nobody if is_known else replace(nobody, by_type={}, by_partner={})
        on.contracts.later = today
        await on.produce("a", "b")
        async with on.relaying():
            await on.until(lambda: len(on.evidence()) == 2, "told")
        assert sorted(on.receiver.ids()) == ["a", "b"]
        assert [each.text("outcome") for each in on.evidence()] == ["delivered"] * 2


async def test_evidence_says_what_a_producers_event_is_found_by(tmp_path: Path, database_url: str) -> None:
    """A stock record has no claim: what the relay reads in it goes on with each word about it."""
    async with stage(tmp_path, database_url, endpoint()) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: on.rows() == [("a", "pending", 1)], "saved")
        with on.database.begin() as session:
            search = session.execute(select(col(DeliveryRow.search))).scalar_one()
            pending = session.execute(select(col(PendingRow.search))).scalars().all()
        assert {search, *pending} == {join_search(["a"])}


async def test_the_webhook_is_one_cloudevent_under_its_ref(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: on.position() == 1, "settled")
        sent = on.receiver.seen[0]
        assert dict(sent.headers)["webhook-id"] == format_ref(
            EventKey("acme", "outbound", "/house", "a").ref()
        )
        assert json.loads(sent.body) == {
            "specversion": "1.0",
            "id": "a",
            "source": "/house",
            "type": "order.accepted",
            "datacontenttype": "application/json",
            "dataschema": "https://gw.example/v1/schemas/41",
            "data": {"id": "a", "n": 1},
        }


async def test_a_failed_delivery_is_saved_and_tried_again_under_the_same_id(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        on.receiver.reply = lambda _, number: BUSY if number < 3 else answer()
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: on.rows() == [("a", "pending", 1)], "saved")
            assert on.position() == 1
            await on.until(lambda: len(on.evidence()) == 3, "three attempts")
            await on.until(lambda: on.rows() == [], "row gone")
        assert len({dict(each.headers)["webhook-id"] for each in on.receiver.seen}) == 1
        assert len({each.body for each in on.receiver.seen}) == 1
        assert [each.members["number"] for each in on.evidence()] == [1, 2, 3]
        assert [each.text("outcome") for each in on.evidence()] == ["retry", "retry", "delivered"]


async def test_a_used_up_schedule_parks_with_evidence(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 0))) as on:
        on.receiver.reply = lambda _, __: answer(400, "client_error")
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: on.rows() == [("a", "parked", 2)], "parked")
        assert [each.text("reason") for each in on.evidence("delivery.parked")] == ["client_error"]
        assert len(on.evidence("delivery.attempted")) == 2


async def test_what_was_erased_goes_to_nobody_and_nothing_is_said_of_it(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        erased = {EventKey("acme", "outbound", "/house", "a").ref()}
        on.contracts.current = replace(on.contracts.current, erased=erased)
        await on.produce("a", "b")
        async with on.relaying():
            await on.until(lambda: on.position() == 2, "settled")
        assert on.receiver.ids() == ["b"]
        assert [each.text("id") for each in on.evidence()] == ["b"]


async def test_what_is_erased_while_it_waits_is_not_sent_again(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 1, 1, 1, 1, 1, 1, 1))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce("a", "b")
        async with on.relaying():
            await on.until(lambda: len(on.rows()) == 2, "saved")
            erased = {EventKey("acme", "outbound", "/house", "a").ref()}
            on.contracts.current = replace(on.contracts.current, erased=erased)
            before = on.receiver.ids().count("a")
            sent = on.receiver.ids().count("b")
            await on.until(lambda: on.receiver.ids().count("b") >= sent + 2, "the other goes on")
        # One may have been on its way.
        assert on.receiver.ids().count("a") <= before + 1


async def test_events_without_a_listener_or_a_contract_leave_evidence(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(types=frozenset({"other.type"}))) as on:
        good = record("a")
        await on.append(
            good,
            replace(good, value=None),
            replace(good, value=b"\x00\x00\x00\x00\x07" + b"x"),
            replace(good, value=(good.value or b"") + b"\x00"),
            replace(good, headers=(("ce_type", b"no.such"), ("ce_id", b"1"), ("ce_source", b"/x"))),
        )
        async with on.relaying():
            await on.until(lambda: on.position() == 5, "all settled")
        assert on.receiver.seen == []
        assert [each.members["record"]["offset"] for each in on.evidence("event.unrouted")] == [0]
        assert [each.text("code") for each in on.evidence("event.unreadable")] == ["no_value"]
        refused = {each.members["record"]["offset"]: each for each in on.evidence("event.refused")}
        assert sorted(refused) == [2, 3, 4]
        assert refused[3].members["faults"] == [{"pointer": "", "code": "trailing_bytes"}]


async def test_each_endpoint_gets_its_types_and_none_waits_for_another(
    tmp_path: Path, database_url: str
) -> None:
    slow, quick = endpoint("ep_slow"), endpoint("ep_quick")
    async with stage(tmp_path, database_url, slow, quick) as on:

        def reply(outgoing: Outgoing, _number: int) -> Answer:
            return BUSY if "slow" in outgoing.url else answer()

        on.receiver.reply = reply
        await on.produce(*(f"e{n}" for n in range(30)))
        async with on.relaying():
            await on.until(lambda: len(on.receiver.ids(quick.url)) == 30, "the quick one has all")
            await on.until(lambda: on.position() == 30, "nothing holds up the position")
        assert len(on.receiver.ids(slow.url)) < 20
        assert {row[1] for row in on.rows()} == {"pending"}


async def test_a_dead_endpoint_costs_one_range_and_gets_everything_when_it_is_back(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(state="paused")) as on:
        names = [f"e{n}" for n in range(700)]
        await on.produce(*names)
        async with on.relaying():
            await on.until(lambda: on.position() == 700, "all in the backlog")
            assert on.spans() == [("ep_1", 0, 700)]
            assert (on.rows(), on.receiver.seen) == ([], [])
            on.have(endpoint(state="active"))
            await on.until(lambda: on.spans() == [], "drained")
            await on.produce("later")
            await on.until(lambda: "later" in on.receiver.ids(), "live again")
        assert sorted(on.receiver.ids()) == sorted([*names, "later"])
        assert on.receiver.most <= 4


async def test_a_burst_beyond_the_lane_is_delivered_once_each(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        names = [f"e{n}" for n in range(900)]
        async with on.relaying():
            for start in range(0, 900, 100):
                await on.produce(*names[start : start + 100])
            await on.until(lambda: len(on.evidence()) >= 900, "all delivered")
            await on.until(lambda: on.spans() == [] and on.position() == 900, "all settled")
        assert sorted(on.receiver.ids()) == sorted(names)


async def test_a_suspended_partner_gets_nothing_until_it_is_resumed(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        on.have(endpoint(), partner=replace(PARTNER, state="suspended"))
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: on.spans() == [("ep_1", 0, 1)], "held")
            on.have(endpoint())
            await on.until(lambda: on.receiver.ids() == ["a"], "delivered")


async def test_gone_disables_the_endpoint_and_holds_the_delivery(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        on.register(endpoint())
        on.contracts.later = contracts([endpoint(state="disabled")], on.topic_id)
        on.receiver.reply = lambda _, __: answer(410, "gone")
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: on.rows() == [("a", "held", 1)], "held")
            assert on.endpoint_state() == "disabled"
            await on.produce("b")
            await on.until(lambda: on.spans() == [("ep_1", 1, 2)], "the next waits")
            on.receiver.reply = lambda _, __: answer()
            on.have(endpoint())
            await on.until(lambda: on.rows() == [] and on.spans() == [], "both delivered")
        assert sorted(on.receiver.ids()) == ["a", "a", "b"]


async def test_an_ordered_endpoint_gets_events_one_at_a_time_in_order(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(order="endpoint", delays=(0, 0, 0, 0))) as on:
        on.receiver.reply = lambda _, number: BUSY if number in {2, 3} else answer()
        await on.produce("a", "b", "c", "d")
        async with on.relaying():
            await on.until(lambda: on.position() == 4, "all settled")
        assert on.receiver.ids() == ["a", "b", "b", "b", "c", "d"]
        assert on.receiver.most == 1


async def test_order_by_key_holds_up_only_its_key(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(order="key", delays=(0, 1, 1))) as on:

        def reply(outgoing: Outgoing, _number: int) -> Answer:
            first = json.loads(outgoing.body)["id"] == "x1" and on.receiver.ids().count("x1") == 1
            return BUSY if first else answer()

        on.receiver.reply = reply
        await on.append(record("x1", key=b"x"), record("x2", key=b"x"), record("y1", key=b"y"))
        async with on.relaying():
            await on.until(lambda: on.position() == 3 and on.rows() == [], "all settled")
        ids = on.receiver.ids()
        assert ids.index("y1") < ids.index("x2")
        assert [each for each in ids if each.startswith("x")] == ["x1", "x1", "x2"]


async def test_a_restart_goes_on_from_positions_rows_and_ranges(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 1, 1))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce(*(f"e{n}" for n in range(20)))
        async with on.relaying():
            await on.until(lambda: len(on.rows()) == 20, "the lane closed, and what it held is saved")
            await on.produce(*(f"e{n}" for n in range(20, 40)))
            await on.until(lambda: on.spans() == [("ep_1", 20, 40)], "the rest is in the range")
        on.receiver.reply = lambda _, __: answer()
        first = len(on.receiver.seen)
        async with on.relaying(owner="two"):
            await on.until(lambda: on.rows() == [] and on.spans() == [], "all delivered")
        after = on.receiver.ids()[first:]
        assert sorted(set(after)) == sorted(f"e{n}" for n in range(40))
        assert len(after) == len(set(after))


async def test_what_was_under_way_when_the_process_died_repeats_and_nothing_is_lost(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        await on.produce("a", "b")
        task = asyncio.get_running_loop().create_task(on.relay().run(asyncio.Event()))
        on.receiver.gate.clear()
        await on.until(lambda: on.receiver.flying == 2, "under way")
        task.cancel()
        await asyncio.wait([task])
        assert on.position() == 0
        on.receiver.gate.set()
        with on.database.begin() as session:
            expire_all(session)
        async with on.relaying(owner="two"):
            await on.until(lambda: on.position() == 2, "settled")
        assert sorted(on.receiver.ids()) == ["a", "a", "b", "b"]
        assert len(on.evidence()) == 2


async def test_every_numbered_step_is_named_in_order(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        await on.produce("a")
        async with on.relaying(step=on.steps.append):
            await on.until(lambda: on.position() == 1, "settled")
        told = [step for step in on.steps if step != "outbound.3.before"]
        assert on.steps.index("outbound.2.matched") < on.steps.index("outbound.2.posted")
        assert told[-1] == "outbound.3.committed"
        assert on.steps.count("outbound.2.posted") == 1


async def test_a_lost_lease_stops_the_late_owner_from_writing(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        on.receiver.gate.clear()
        await on.produce("a")
        async with on.relaying(duration_ms=60_000):
            await on.until(lambda: on.receiver.flying == 1, "under way")
            other = Leases(on.database, "relay", owner="other", shards=2, duration_ms=60_000)
            with on.database.begin() as session:
                expire_all(session)
            async with asyncio.timeout(60):
                # A shard whose owner writes at that moment is passed over.
                while len(await other.hold()) < 2:  # noqa: ASYNC110 - rows
                    await asyncio.sleep(0.02)
            on.receiver.gate.set()
            await on.until(lambda: on.receiver.flying == 0, "answered")
            await asyncio.sleep(0.3)
            assert (on.position(), on.evidence()) == (0, [])
            await other.release()


async def test_a_shard_that_is_begun_anew_while_what_was_polled_is_taken_in_loses_nothing(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in_slowly(monkeypatch)
    async with stage(tmp_path, database_url, endpoint(concurrency=16)) as on:
        names = [f"e{number}" for number in range(100)]
        await on.produce(*names)
        matched = 0

        def step(name: str) -> None:
            nonlocal matched
            matched += name == "outbound.2.matched"
            if matched == 10 and name == "outbound.2.matched":
                with on.database.begin() as session:
                    session.execute(update(LeaseRow).values(owner="", until=RELEASED))

        on.receiver.gate.clear()
        async with on.relaying(step=step, duration_ms=300):
            await on.until(lambda: matched >= 100, "taken in")
            on.receiver.gate.set()
            await on.until(lambda: set(on.receiver.ids()) == set(names), "all of them")


async def test_a_database_that_is_away_stops_posting_and_loses_nothing(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(concurrency=50)) as on:
        async with on.relaying(duration_ms=60_000):
            await on.produce("first")
            await on.until(lambda: on.position() == 1, "running")
            on.database.is_away = True
            await on.produce(*(f"e{n}" for n in range(2_000)))
            await asyncio.sleep(1.5)
            posted = len(on.receiver.seen)
            assert posted < 1_500
            on.database.is_away = False
            await on.until(lambda: on.position() == 2_001 and on.spans() == [], "all settled")
        assert len(set(on.receiver.ids())) == 2_001
        assert len(on.evidence()) == len(on.receiver.seen)


async def test_a_topic_made_again_is_read_from_its_start(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: on.position() == 1, "settled")
            await on.broker.delete_topic(TOPIC)
            on.topic_id = (await on.broker.ensure([TopicSpec(TOPIC)]))[TOPIC].id
            await on.until(lambda: on.contracts.changes != [], "noticed")
            on.have(endpoint())  # as the catalog does, which makes missing topics
            await on.produce("b")
            await on.until(lambda: on.position() == 1, "the new one is settled")
        assert on.receiver.ids() == ["a", "b"]


async def test_the_same_event_twice_on_the_topic_is_one_delivery_while_it_waits(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(concurrency=1)) as on:
        on.receiver.gate.clear()
        await on.produce("a", "a")
        async with on.relaying():
            await on.until(lambda: on.receiver.flying == 1, "under way")
            await asyncio.sleep(0.1)
            on.receiver.gate.set()
            await on.until(lambda: on.position() == 2, "settled")
        assert on.receiver.ids() == ["a"]


def parked(on: Stage) -> list[tuple[str | None, object]]:
    """Event ids and attempts of what was parked since its endpoint is gone."""
    found = on.evidence("delivery.parked")
    assert {each.text("reason") for each in found} <= {"gone"}
    return sorted((each.text("id"), each.members["attempts"]) for each in found)


@pytest.mark.usefixtures("unprobed")
async def test_what_waits_for_an_endpoint_that_is_removed_is_parked_with_evidence(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 60, 60))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce(*(f"a{n}" for n in range(5)))
        async with on.relaying():
            await on.until(lambda: len(on.rows()) == 5, "the lane closed")
            await on.produce(*(f"b{n}" for n in range(3)))
            await on.until(lambda: on.spans() == [("ep_1", 5, 8)], "the rest is in the range")
            on.have()
            await on.until(lambda: on.spans() == [] and len(parked(on)) == 8, "all parked")
        assert parked(on) == [*((f"a{n}", 1) for n in range(5)), *((f"b{n}", 0) for n in range(3))]
        assert on.rows() == [(f"a{n}", "parked", 1) for n in range(5)]
        assert len(on.receiver.seen) == 5


@pytest.mark.usefixtures("unprobed")
async def test_what_waits_for_an_endpoint_that_was_removed_between_two_runs_is_parked(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 60, 60))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce(*(f"a{n}" for n in range(5)))
        async with on.relaying():
            await on.until(lambda: len(on.rows()) == 5, "the lane closed")
            await on.produce("b")
            await on.until(lambda: on.spans() == [("ep_1", 5, 6)], "the rest is in the range")
        on.have(endpoint("ep_2", types=frozenset({"other.type"})))
        async with on.relaying(owner="two"):
            await on.until(lambda: on.spans() == [] and len(parked(on)) == 6, "all parked")
        assert {row[1] for row in on.rows()} == {"parked"}
        assert len(on.receiver.seen) == 5


@pytest.mark.usefixtures("unprobed")
@pytest.mark.parametrize("runs", [1, 2])
async def test_what_waits_for_a_partner_that_is_closed_is_parked_with_evidence(
    tmp_path: Path, database_url: str, runs: int
) -> None:
    closed, there = replace(PARTNER, state="closed"), endpoint(delays=(0, 60, 60))
    async with stage(tmp_path, database_url, there) as on:
        on.register(there)
        on.receiver.reply = lambda _, __: BUSY
        await on.produce(*(f"a{n}" for n in range(5)))
        async with on.relaying():
            await on.until(lambda: len(on.rows()) == 5, "the lane closed")
            await on.produce("b")
            await on.until(lambda: on.spans() == [("ep_1", 5, 6)], "the rest is in the range")
            if runs == 1:
                on.have(there, partner=closed)
                await on.until(lambda: on.spans() == [] and len(parked(on)) == 6, "all parked")
        on.have(there, partner=closed)
        async with on.relaying(owner="two"):
            await on.until(lambda: on.spans() == [] and len(parked(on)) == 6, "all parked")
            await on.produce("late")
            await on.until(lambda: len(on.evidence("event.unrouted")) == 1, "told of")
        assert {row[1] for row in on.rows()} == {"parked"}
        assert len(on.receiver.seen) == 5


async def test_parking_goes_on_after_a_crash_in_its_middle_and_repeats_nothing(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(state="paused")) as on:
        names = [f"e{n:03}" for n in range(700)]
        await on.produce(*names)

        def die(step: str) -> None:
            if step == "outbound.3.committed" and on.evidence("delivery.parked"):
                raise RuntimeError("killed")

        async with on.relaying():
            await on.until(lambda: on.spans() == [("ep_1", 0, 700)], "all in the range")
        on.have()
        with pytest.raises(ExceptionGroup):
            await on.relay(step=die).run(asyncio.Event())
        assert 0 < len(parked(on)) < 700
        assert on.spans() == [("ep_1", len(parked(on)), 700)]
        with on.database.begin() as session:
            expire_all(session)
        async with on.relaying(owner="two"):
            await on.until(lambda: on.spans() == [], "all parked")
        assert parked(on) == [(name, 0) for name in names]
        assert on.receiver.seen == []


async def test_what_waits_is_tried_at_once_at_another_url(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600, 3_600))) as on:
        on.receiver.reply = lambda outgoing, _: BUSY if "ep-1" in outgoing.url else answer()
        await on.produce(*(f"a{n}" for n in range(8)))
        async with on.relaying():
            await on.until(lambda: len(on.rows()) == 8, "the breaker opened")
            on.have(endpoint(delays=(0, 3_600, 3_600), url="https://new.example/in"))
            await on.until(lambda: on.rows() == [] and on.position() == 8, "delivered")
        assert sorted(on.receiver.ids("https://new.example/in")) == [f"a{n}" for n in range(8)]


DENIED = BrokerError("broker_refused", "reading the topic t: Kafka refuses, says the test")


class Denying:
    """A reader that may not read one topic: every other poll says so, and the others bring events."""

    def __init__(self, reader: Reader, polled: Callable[[], None]) -> None:
        self._reader = reader
        self._polled = polled
        self._polls = 0
        self.assign = reader.assign
        self.release = reader.release
        self.reached = reader.reached
        self.is_current = reader.is_current
        self.close = reader.close

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        self._polled()
        self._polls += 1
        if self._polls % 2:
            await asyncio.sleep(0)
            raise DENIED
        return await self._reader.poll(limit, wait_ms)


class DenyingBroker(EmbeddedBroker):
    """Another broker, whose readers deny."""

    def __init__(self, broker: EmbeddedBroker, polled: Callable[[], None]) -> None:
        self._broker = broker
        self._polled = polled
        self.append = broker.append  # type: ignore[method-assign]  # the other one does it
        self.close = broker.close  # type: ignore[method-assign]  # the other one does it

    def reader(  # type: ignore[override]  # the embedded one names its own class
        self, *, patience_ms: int = 0
    ) -> Reader:
        return Denying(self._broker.reader(patience_ms=patience_ms), self._polled)


async def test_a_topic_that_may_not_be_read_is_told_without_a_flicker_while_others_are_busy(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        told: list[str] = []
        on.broker = DenyingBroker(on.broker, lambda: told.append(relay.problem))
        relay, stop = on.relay(), asyncio.Event()
        with capture_logs() as lines:
            running = asyncio.create_task(relay.run(stop))
            for number in range(5):
                await on.produce(f"a{number}")
                await on.until(lambda: len(on.receiver.seen) == number + 1, "delivered")  # noqa: B023 - awaited here
            stop.set()
            await running
        assert set(told[told.index(str(DENIED)) :]) == {str(DENIED)}
        assert [line["reason"] for line in lines if "refused" in line["event"]] == [str(DENIED)]
