"""What is asked of a relay from outside: one delivery tried at once or given up, replays worked off."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from gateway.dialler import Answer, Outgoing
from gateway.egress import asking, replay_store, traces
from gateway.egress.breaker import OPENS_AFTER, Breaker
from gateway.egress.deliveries import Stored, purge
from gateway.egress.recall import Recalled
from gateway.egress.recaller import Recaller
from gateway.egress.replay import Counts, Part, Replay, Stretch, Wish
from gateway.egress.rows import AttemptRow
from gateway.egress.shard import Shard
from gateway.egress.wording import Voice
from gateway.event import EventKey
from gateway.leases import Lease
from gateway.positions import share
from gateway.rows import BacklogRow, DeliveryRow
from partners.endpoint import Skip
from tests.unit.gateway.egress.stage import TOPIC, Stage, answer, contracts, endpoint, now, stage

BAD = answer(400, "client_error")
BUSY = answer(503, "server_error")
REPLAY = "rpl_" + "a" * 26
LEASE_MS = 5_000
"""One that runs out in mid-test is a repeat under the same webhook id, which is right and not meant here."""

EVENTS = ("a", "b", "c", "d")


def ref_of(event_id: str) -> bytes:
    return EventKey("acme", "outbound", "/house", event_id).ref()


def ask(on: Stage, event_id: str, state: str, to: str = "ep_1") -> None:
    with on.database.begin() as session:
        row = asking.find(session, to, ref_of(event_id))
        assert row is not None
        asking.ask(session, row, state=state, now=now())


def begin(on: Stage, end: int, *, to: tuple[str, ...] = ("ep_1",), **changes: Any) -> None:
    wish = replace(Wish("acme", None, "undelivered", (), 0, now(), None, dry_run=False), **changes)
    stretches = [Stretch(each, TOPIC, on.topic_id, 0, 0, end) for each in to]
    with on.database.begin() as session:
        replay_store.create(session, REPLAY, wish, stretches, now=now())


def seen(on: Stage) -> Replay:
    with on.database.begin() as session:
        found = replay_store.find(session, REPLAY, "acme")
    assert found is not None
    return found


def over(on: Stage) -> Callable[[], bool]:
    return lambda: seen(on).state == "done"


def refusing(*ids: str) -> Callable[[Outgoing, int], Answer]:
    """A receiver that answers 400 to these events."""
    marks = [f'"id":"{each}"'.encode() for each in ids]
    return lambda outgoing, _: BAD if any(mark in outgoing.body for mark in marks) else answer()


async def furnish(on: Stage, *refused: str) -> None:
    """Deliver all events but the refused ones, which are parked."""
    on.receiver.reply = refusing(*refused)
    await on.produce(*EVENTS)
    async with on.relaying(duration_ms=LEASE_MS):
        await on.until(lambda: on.position() == len(EVENTS), "all settled")
        await on.until(lambda: len(on.evidence("delivery.parked")) == len(refused), "parked")
    on.receiver.reply = lambda _, __: answer()
    on.receiver.seen.clear()


async def test_a_parked_delivery_that_is_asked_for_goes_out_at_once(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b")
        ask(on, "b", "pending")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.rows() == [], "delivered")
        assert on.receiver.ids() == ["b"]
        attempted = [each for each in on.evidence("delivery.attempted") if each.text("id") == "b"]
        assert [each.members["number"] for each in attempted] == [1, 2]


async def test_a_delivery_that_waits_for_its_retry_is_tried_at_once(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600))) as on:
        on.receiver.reply = lambda _, number: BUSY if number == 1 else answer()
        await on.produce("a")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.rows() == [("a", "pending", 1)], "saved")
            ask(on, "a", "pending")
            await on.until(lambda: on.rows() == [], "delivered long before its hour")
        assert len(on.receiver.seen) == 2


async def test_what_failed_again_after_it_was_asked_for_is_parked_again(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b")
        on.receiver.reply = refusing("b")
        ask(on, "b", "pending")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.rows() == [("b", "parked", 2)], "parked again")
        assert len(on.receiver.seen) == 1


async def test_what_was_given_up_is_never_sent_again_and_what_stood_behind_it_goes(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(order="endpoint", delays=(0, 3_600))) as on:
        on.receiver.reply = lambda outgoing, _: BUSY if b'"id":"a"' in outgoing.body else answer()
        await on.produce("a", "b", "c")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.rows() == [("a", "pending", 1)], "the first one stands in the way")
            ask(on, "a", "cancelled")
            await on.until(lambda: on.receiver.ids() == ["a", "b", "c"], "those behind it, in order")
            await on.until(lambda: on.position() == 3 and asked(on) == 0, "settled")
        async with on.relaying(duration_ms=LEASE_MS, owner="two"):
            await on.produce("d")
            await on.until(lambda: on.position() == 4, "settled")
        assert on.receiver.ids() == ["a", "b", "c", "d"]
        assert on.rows() == [("a", "cancelled", 1)]


async def test_what_is_given_up_while_it_is_under_way_ends_and_is_not_tried_again(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 0, 0))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce("a")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: len(on.receiver.seen) >= 1 and on.rows() != [], "saved")
            on.receiver.gate.clear()
            await on.until(lambda: on.receiver.flying == 1 or on.rows() == [("a", "parked", 3)], "under way")
            ask(on, "a", "cancelled")
            on.receiver.gate.set()
            await on.until(lambda: on.receiver.flying == 0, "ended")
            await on.until(lambda: asked(on) == 0, "heard")
        assert on.rows()[0][1] == "cancelled"


def asked(on: Stage) -> int:
    with on.database.begin() as session:
        return len(asking.load(session))


async def test_a_replay_hands_over_what_was_never_delivered_under_its_first_id(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b", "d")
        begin(on, len(EVENTS))
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(over(on), "done")
            await on.until(lambda: on.rows() == [], "nothing is parked any more")
        assert sorted(on.receiver.ids()) == ["b", "d"]
        assert seen(on).counts == Counts(handed=2, delivered=2)
        assert (seen(on).total, seen(on).done) == (4, 4)
        ids = {dict(each.headers)["webhook-id"] for each in on.receiver.seen}
        assert ids == {each.text("ref") for each in on.evidence("delivery.parked")}


async def test_a_replay_of_all_sends_all_again_but_what_was_given_up(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b")
        ask(on, "b", "cancelled")
        begin(on, len(EVENTS), which="all")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(over(on), "done")
        assert sorted(on.receiver.ids()) == ["a", "c", "d"]
        assert seen(on).counts == Counts(handed=3, cancelled=1)


@pytest.mark.parametrize("which", ["all", "failed"])
async def test_what_is_parked_while_a_replay_looks_for_it_is_parked_no_more_once_it_is_delivered(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    looked, go_on = asyncio.Event(), asyncio.Event()
    judge = Recaller.judge

    async def judge_late(self: Recaller, log: str, refs: Sequence[bytes]) -> Any:
        found = await judge(self, log, refs)
        looked.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(Recaller, "judge", judge_late)
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        on.receiver.reply = lambda _, number: BAD if number == 1 else answer()
        on.receiver.gate.clear()
        await on.produce("a")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.receiver.flying == 1, "under way")
            begin(on, 1, which=which)
            await asyncio.wait_for(looked.wait(), 30)
            on.receiver.gate.set()
            await on.until(lambda: on.rows() == [("a", "parked", 1)], "parked")
            go_on.set()
            await on.until(over(on), "done")
            assert on.receiver.ids() == ["a", "a"]
            await on.until(lambda: on.rows() == [], "no row is left")
        assert seen(on).counts == Counts(handed=1)


async def test_what_is_asked_for_after_older_things_were_given_up_is_sent(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b", "c")
        given_up = Skip(on.topic_id, 0, len(EVENTS), "partner", None, at=now())
        await asyncio.sleep(0.005)
        on.have(endpoint(delays=(0,), skips=(given_up,)))
        ask(on, "b", "pending")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.rows() == [("c", "parked", 1)], "delivered")
        begin(on, len(EVENTS), which="all")
        async with on.relaying(duration_ms=LEASE_MS, owner="two"):
            await on.until(over(on), "done")
            await on.until(lambda: on.rows() == [], "nothing is parked any more")
        assert sorted(on.receiver.ids()) == ["a", "b", "b", "c", "d"]
        assert on.evidence("delivery.cancelled") == []


async def test_what_waits_for_a_replay_when_it_is_given_up_is_not_sent(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600))) as on:
        await furnish(on)
        on.receiver.reply = lambda _, __: BUSY
        begin(on, len(EVENTS), which="all")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: len(on.rows()) == len(EVENTS), "saved")
            await on.until(over(on), "handed over")
        await asyncio.sleep(0.005)
        given_up = Skip(on.topic_id, 0, len(EVENTS), "partner", None, at=now())
        on.have(endpoint(delays=(0, 3_600), skips=(given_up,)))
        async with on.relaying(duration_ms=LEASE_MS, owner="two"):
            await on.until(lambda: on.rows() == [], "given up")
        assert len(on.receiver.seen) == len(EVENTS)
        assert len(on.evidence("delivery.cancelled")) == len(EVENTS)


async def test_a_replay_of_what_failed_leaves_what_was_never_tried(tmp_path: Path, database_url: str) -> None:
    first, second = endpoint("ep_1", delays=(0,)), endpoint("ep_2")
    async with stage(tmp_path, database_url, first) as on:
        await furnish(on, "c")
        on.have(first, second)
        begin(on, len(EVENTS), which="failed", to=("ep_1", "ep_2"))
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(over(on), "done")
        assert on.receiver.ids() == ["c"]
        assert seen(on).counts == Counts(handed=1, delivered=3, passed=4)


async def test_a_new_endpoint_gets_what_was_there_before_it(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        await furnish(on)
        on.have(endpoint(), endpoint("ep_2", order="endpoint"))
        begin(on, len(EVENTS), to=("ep_2",))
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(over(on), "done")
        assert on.receiver.ids(endpoint("ep_2").url) == list(EVENTS)


async def test_a_replay_is_worked_off_by_contracts_that_are_as_new(tmp_path: Path, database_url: str) -> None:
    """Whoever changes what an endpoint listens to, and begins a replay then, gets what it listens to now."""
    async with stage(tmp_path, database_url, endpoint(types=frozenset({"another"}))) as on:
        await on.produce(*EVENTS)
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.position() == len(EVENTS), "all settled")
            on.contracts.later = contracts([endpoint()], on.topic_id)
            begin(on, len(EVENTS))
            await on.until(over(on), "done")
            await on.until(lambda: len(on.receiver.seen) == len(EVENTS), "sent")
        assert seen(on).counts == Counts(handed=len(EVENTS))


async def test_a_dry_run_counts_and_sends_nothing(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b")
        begin(on, len(EVENTS), dry_run=True)
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(over(on), "done")
        assert on.receiver.seen == []
        assert seen(on).counts == Counts(handed=1, delivered=3)
        assert on.rows() == [("b", "parked", 1)]


async def test_a_replay_of_another_type_finds_nothing(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        await furnish(on)
        begin(on, len(EVENTS), which="all", types=("no.such",))
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(over(on), "done")
        assert (on.receiver.seen, seen(on).counts) == ([], Counts())


async def test_what_waits_anyway_is_not_sent_twice(tmp_path: Path, database_url: str) -> None:
    paused = endpoint(state="paused")
    async with stage(tmp_path, database_url, paused) as on:
        await on.produce(*EVENTS)
        begin(on, len(EVENTS), which="all")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.spans() == [("ep_1", 0, 4)], "held")
            on.have(endpoint())
            await on.until(lambda: len(on.receiver.seen) >= 4 and on.spans() == [], "delivered")
            await on.until(over(on), "done")
        counts = seen(on).counts
        assert counts.handed + counts.waiting == 4
        assert len(on.receiver.seen) == 4 + counts.handed


async def test_a_replay_waits_for_a_paused_endpoint_and_goes_on_elsewhere(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "a", "b")
        on.have(endpoint(state="paused"))
        begin(on, len(EVENTS))
        async with on.relaying(duration_ms=LEASE_MS):
            await on.produce("e")
            await on.until(lambda: on.spans() == [("ep_1", 4, 5)], "read")
        assert (seen(on).is_open, on.receiver.seen) == (True, [])
        on.have(endpoint())
        async with on.relaying(duration_ms=LEASE_MS, owner="two"):
            await on.until(over(on), "done")
            await on.until(lambda: on.spans() == [], "what came meanwhile too")
        assert sorted(on.receiver.ids()) == ["a", "b", "e"]


async def test_a_replay_that_was_killed_goes_on_and_nothing_of_it_is_lost(
    tmp_path: Path, database_url: str
) -> None:
    many = [f"e{number}" for number in range(300)]
    async with stage(tmp_path, database_url, endpoint(concurrency=8)) as on:
        await on.produce(*many)
        async with on.relaying():
            await on.until(lambda: on.position() == len(many), "delivered")
        on.receiver.seen.clear()
        begin(on, len(many), which="all")

        is_armed = False

        def die(name: str) -> None:
            if is_armed and name == "outbound.3.before":
                raise RuntimeError("killed")

        def reply(_: Outgoing, number: int) -> Answer:
            if number == 100 and not is_armed:
                on.receiver.gate.clear()
            return answer()

        async def work() -> None:
            nonlocal is_armed
            async with on.relaying(step=die):
                await on.until(lambda: seen(on).done > 0, "some of it is settled")
                is_armed = True
                on.receiver.gate.set()
                await on.until(over(on), "killed before that")

        on.receiver.reply = reply
        with pytest.raises(ExceptionGroup) as caught:
            await work()
        assert caught.group_contains(RuntimeError, match="killed"), caught.value.exceptions
        assert seen(on).state == "running"
        half = len(on.receiver.seen)
        assert seen(on).done < len(many)
        on.receiver.reply = lambda _, __: answer()
        async with on.relaying(owner="two"):
            await on.until(over(on), "done")
        assert set(on.receiver.ids()) == set(many)
        assert len(on.receiver.seen) - half < len(many)
        assert seen(on).counts == Counts(handed=len(many))


async def test_a_replay_that_is_cancelled_hands_over_no_more(tmp_path: Path, database_url: str) -> None:
    many = [f"e{number}" for number in range(300)]
    async with stage(tmp_path, database_url, endpoint(concurrency=1)) as on:
        await on.produce(*many)
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.position() == len(many), "delivered")
        on.receiver.seen.clear()
        begin(on, len(many), which="all", rate=20)
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: len(on.receiver.seen) > 5, "begun")
            with on.database.begin() as session:
                assert replay_store.cancel(session, REPLAY, now=now())
                assert not replay_store.cancel(session, REPLAY, now=now())
            await on.until(lambda: on.receiver.flying == 0, "quiet")
        async with on.relaying(duration_ms=LEASE_MS, owner="two"):
            await on.until(lambda: asked(on) == 0, "looked")
        assert seen(on).state == "cancelled"
        assert len(on.receiver.seen) < len(many)


async def test_a_replay_to_an_endpoint_that_is_gone_ends(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        await furnish(on)
        begin(on, len(EVENTS), which="all", to=("ep_gone",))
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(over(on), "done")
        assert on.receiver.seen == []


async def test_an_outage_is_remembered_by_the_next_relay_and_forgotten_after_a_2xx(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 0, 0, 0))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce(*(f"e{number}" for number in range(10)))
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: breaker(on).is_open, "open")
        since = breaker(on).failing_since
        assert breaker(on).failures >= OPENS_AFTER
        async with on.relaying(duration_ms=LEASE_MS, owner="two"):
            await on.until(lambda: on.position() == 10, "settled")
        assert breaker(on).failing_since == since
        on.receiver.reply = lambda _, __: answer()
        ask(on, on.rows()[0][0], "pending")
        async with on.relaying(duration_ms=LEASE_MS, owner="three"):
            await on.until(lambda: breaker(on) == Breaker(), "closed by a probe that was asked for")


def breaker(on: Stage) -> Breaker:
    with on.database.begin() as session:
        return traces.load_breakers(session).get("ep_1", Breaker())


async def test_the_first_bytes_of_an_answer_are_kept_with_its_attempt(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600))) as on:
        on.receiver.reply = lambda _, __: replace(BUSY, excerpt=b"come back later")
        await on.produce("a")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: len(on.rows()) == 1, "saved")
        with on.database.begin() as session:
            found = traces.load_excerpts(session, "ep_1", ref_of("a"))
            traces.purge_excerpts(session, before=now() + 1)
            left = session.execute(select(col(AttemptRow.id))).all()
        assert list(found.values()) == [b"come back later"]
        assert set(found) == {each.text("attempt") for each in on.evidence("delivery.attempted")}
        assert left == []


async def test_a_look_that_is_older_than_a_tick_begins_nothing_anew(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b", "c")
        ask(on, "b", "pending")
        begin(on, len(EVENTS), which="failed")
        with on.database.begin() as session:
            asked_before, parts_before = asking.load(session), replay_store.open_parts(session)
        shard = Shard(Lease("relay", 0, 1, 0))
        shard.adopt(Stored({}, (), ()))
        voice = Voice("https://gw.example", "gw.example/log/k3v9q2", "acme", os.urandom)
        shard.update({"acme": voice}, [endpoint(delays=(0,))])
        assert shard.hear_all(asked_before, now())
        assert shard.recall.adopt(parts_before)
        (part,) = shard.recall.parts.values()
        part.pass_to(len(EVENTS))
        tick = shard.make_tick()
        assert tick is not None
        assert [one.next for one in tick.steps] == [len(EVENTS)]
        assert not shard.hear_all(asked_before, now())
        assert not shard.recall.adopt(parts_before)
        assert shard.next_backlog(now()) is None
        assert not shard.hear_all((), now())
        shard.recall.adopt(())
        assert shard.recall.parts == {}
        assert shard.hear_all(asked_before, now())


def test_what_a_topic_has_lost_counts_once_what_is_before_it_is_settled() -> None:
    """Whoever goes on from what is stored finds it lost again, and counts it then."""
    wish = Wish("acme", None, "all", (), 0, now(), None, dry_run=False)
    recalled = Recalled(Part(REPLAY, wish, Stretch("ep_1", TOPIC, "t", 0, 0, 10), 0, Counts()))
    recalled.pass_to(1)
    recalled.take(1, now())
    recalled.count(1, "handed")
    recalled.pass_to(2)
    recalled.lose(7)
    before = recalled.step()
    assert before is not None
    assert (before.next, before.counts) == (1, Counts())
    recalled.ledger.settle(1)
    after = recalled.step()
    assert after is not None
    assert (after.next, after.counts) == (7, Counts(handed=1, lost=5))


def test_how_much_another_partner_has_sent_is_not_counted() -> None:
    wish = Wish("acme", None, "all", (), 0, now(), None, dry_run=False)
    at = Stretch("ep_1", "partners.globex.inbound", share("t", "acme"), 0, 0, 10)
    recalled = Recalled(Part(REPLAY, wish, at, 0, Counts()))
    recalled.lose(7)
    recalled.cut_off(8)
    recalled.pass_to(8)
    step = recalled.step()
    assert step is not None
    assert (step.next, step.counts) == (10, Counts(lost=2))


async def test_what_is_past_its_time_goes(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b", "c")
        ask(on, "b", "cancelled")
        begin(on, 0)
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: asked(on) == 0, "heard")
        with on.database.begin() as session:
            purge(session, before=now() + 1)
        assert on.rows() == []
        with on.database.begin() as session:
            assert replay_store.page(session, "acme", after=None, limit=5) == []


async def test_what_was_given_up_for_an_endpoint_that_is_gone_is_heard(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b")
        on.have()
        ask(on, "b", "cancelled")
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: asked(on) == 0, "heard")
        assert on.rows() == [("b", "cancelled", 1)]


async def test_what_is_asked_for_of_an_endpoint_that_is_gone_is_parked_again(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        await furnish(on, "b")
        on.have()
        async with on.relaying(duration_ms=LEASE_MS):
            await on.produce("e")
            await on.until(lambda: len(on.evidence("event.unrouted")) == 1, "read")
            ask(on, "b", "pending")
            await on.until(lambda: asked(on) == 0 and on.rows() == [("b", "parked", 1)], "parked again")
        assert [each.text("reason") for each in on.evidence("delivery.parked")][-1] == "gone"
        assert on.receiver.seen == []


async def test_a_breaker_of_an_endpoint_that_is_gone_is_forgotten(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0, 3_600))) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce("a")
        on.register()
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: breaker(on).failing_since is not None, "kept")
            on.have()
            await on.until(lambda: breaker(on) == Breaker(), "forgotten")


async def test_a_range_says_how_many_events_wait_in_it_and_since_when(
    tmp_path: Path, database_url: str
) -> None:
    other = endpoint("ep_2", types=frozenset({"other.type"}), state="paused")
    async with stage(tmp_path, database_url, endpoint(state="paused"), other) as on:
        began = now()
        await on.produce(*EVENTS)
        async with on.relaying(duration_ms=LEASE_MS):
            await on.until(lambda: on.spans() == [("ep_1", 0, 4)], "held")
        with on.database.begin() as session:
            row = session.execute(select(BacklogRow)).scalar_one()
            assert row.events == 4
            assert began <= row.began_at <= now()
        on.have(endpoint(delays=(0, 3_600)))
        on.receiver.reply = lambda _, __: BUSY
        async with on.relaying(duration_ms=LEASE_MS, owner="two"):
            await on.until(lambda: on.spans() == [], "read")
        with on.database.begin() as session:
            assert len(session.execute(select(col(DeliveryRow.ref))).all()) == 4
