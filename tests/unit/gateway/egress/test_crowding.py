"""Very much that waits for a retry: what is new goes on beside it, within bounds, and somebody is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.egress.backlog import Span
from gateway.egress.crowding import Crowding
from gateway.egress.delivery import Delivered, Delivery, Parked, RetryAt
from gateway.egress.lane import SAVED_LIMIT, UNORDERED_LIMIT, Lane
from gateway.egress.outbox import Outbox
from gateway.egress.resting import Resting
from gateway.egress.shard import Shard
from gateway.egress.ticks import Saved
from gateway.egress.undelivered import Wanted, find_ranges
from partners.endpoint import ALL
from tests.unit.gateway.egress.stage import answer, endpoint, stage
from tests.unit.gateway.egress.test_deliveries import lease, write
from tests.unit.gateway.egress.test_lane import delivery, settle, taken
from tests.unit.gateway.egress.test_shard import NOW, attempt, made, receive, ticked

LATER = NOW + 5_000


def reject(shard: Shard, *offsets: int) -> None:
    """Have these events answered by a 400; they are written, and wait."""
    receive(shard, *offsets)
    while some := shard.take(NOW)[0]:
        for one in some:
            refused = replace(attempt(one, RetryAt(LATER)), answer=answer(400, "client_error"))
            shard.settle(refused, NOW)
        ticked(shard)
    shard.keep_late(NOW)


def test_a_thousand_that_fail_hold_up_no_other_and_cost_little_memory() -> None:
    shard = made(endpoint(concurrency=64))
    for first in range(0, SAVED_LIMIT + 400, 200):
        reject(shard, *range(first, first + 200))
    lane = shard.lanes["ep_1"]
    assert len(lane.resting) >= SAVED_LIMIT
    assert len(lane.held()) + len(lane._known) <= SAVED_LIMIT
    receive(shard, 1_400)
    (new,) = shard.take(NOW)[0]
    assert new.event_id == "e1400"
    shard.settle(attempt(new, Delivered()), NOW)
    assert ticked(shard).spans == ()


def test_what_was_forgotten_is_read_again_when_it_is_due_and_changes_its_row() -> None:
    shard = made(endpoint(concurrency=64))
    shard.lanes["ep_1"]._kept = 2
    reject(shard, 0, 1, 2)
    assert shard.take(NOW)[0] == []
    assert shard.look_at_rest(NOW) == LATER
    shard.look_at_rest(LATER)
    places = shard.lacking(LATER, 9)
    assert len(places) == 3
    rows = [row_of(number, ref) for number, (_, ref) in enumerate(places)]
    shard.read_on(places, rows, LATER)
    (one, *_), _ = shard.take(LATER)
    assert (one.attempts, one.body) == (1, None)
    shard.settle(attempt(one, RetryAt(LATER + 1)), LATER)
    assert [saved.is_new for saved in ticked(shard).saved] == [False]


def test_what_is_to_be_written_yet_is_not_read_from_its_former_row() -> None:
    shard = made(endpoint(concurrency=64))
    lane = shard.lanes["ep_1"]
    lane._kept = 0
    receive(shard, 0)
    for number, at in ((1, NOW), (2, LATER)):
        (one,), _ = shard.take(NOW)
        assert one.attempts == number - 1
        shard.settle(replace(attempt(one, RetryAt(at)), answer=answer(400, "client_error")), NOW)
        if number == 1:
            ticked(shard)
    shard.keep_late(NOW)
    assert not lane.resting
    tick = shard.make_tick()
    assert tick is not None
    shard.keep_late(NOW)
    assert not lane.resting
    shard.committed(tick)
    shard.keep_late(NOW)
    assert len(lane.resting) == 1


def test_where_nothing_can_be_forgotten_nothing_is_arranged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = [Lane(endpoint(order=order), kept=0) for order in ("none", "endpoint")]
    for lane, at in zip(lanes, (NOW, LATER), strict=True):
        lane.offer(delivery(0), NOW)
        assert taken(lane, NOW) == ["0"]
        settle(lane, 0, RetryAt(at), "client_error")
        lane.saved(delivery(0).ref)
    monkeypatch.setattr(Lane, "_schedule_all", lambda _: pytest.fail("arranged anew"))
    for lane in lanes:
        lane.put_to_rest(NOW)
        assert not lane.resting


def row_of(number: int, ref: bytes) -> Delivery:
    return replace(delivery(number), ref=ref, body=None, attempts=1, due_at=LATER)


def test_of_an_order_all_are_kept_and_what_is_due_or_under_way_is_too() -> None:
    lane = Lane(endpoint(concurrency=9), kept=0)
    for number, group in enumerate((None, "a", None, None)):
        lane.offer(delivery(number, group), NOW)
    assert taken(lane, NOW) == ["0", "1", "2", "3"]
    for number, group, at in ((0, None, LATER), (1, "a", LATER), (2, None, NOW)):
        settle(lane, number, RetryAt(at), "client_error", group)
        lane.saved(delivery(number).ref)
    lane.put_to_rest(NOW)
    assert [delivery(number).ref in lane.resting for number in range(4)] == [True, False, False, False]
    assert (taken(lane, NOW), taken(lane, LATER)) == (["2"], ["1"])
    settle(lane, 3, Delivered())


def test_what_is_put_to_rest_later_has_its_place_among_the_others() -> None:
    some = Resting()
    some.add({b"a": 10, b"b": 30}, besides=())
    some.put(b"c", 20)
    assert some.first(9, by=30) == (b"a", b"c", b"b")
    assert (some.take_out(b"a"), some.due_at) == (10, 20)
    some.put(b"a", 40)
    assert some.first(9, by=40) == (b"c", b"b", b"a")
    for number in range(500):
        some.put(bytes([number % 7]), 50 + number)
        some.take_out(bytes([number % 7]))
    assert (len(some), some.first(9, by=999), len(some._order) < 100) == (3, (b"c", b"b", b"a"), True)


def test_an_endpoint_is_crowded_until_half_of_it_is_gone() -> None:
    some = Crowding()
    assert some.judged(9, 10, 5) == some
    full = some.judged(10, 10, 5)
    assert full == Crowding(5) == full.judged(9, 10, 6, is_delivered=True)
    assert full.judged(5, 10, 7, is_delivered=True) == some


def test_an_endpoint_that_rejects_all_has_not_recovered_when_one_is_given_up() -> None:
    shard = made(endpoint(concurrency=64))
    shard.lanes["ep_1"]._saved_limit = 2
    told = []
    for offset in (0, 1, 2):
        receive(shard, offset)
        for one in shard.take(NOW)[0]:
            shard.settle(replace(attempt(one, RetryAt(LATER)), answer=answer(400, "client_error")), NOW)
        ticked(shard)
    again = shard.take(LATER)[0]
    for number, one in enumerate(again):
        decision = Parked("client_error") if number else RetryAt(LATER)
        shard.settle(replace(attempt(one, decision), answer=answer(400, "client_error")), LATER)
        told += [each.type for each in ticked(shard).told]
    assert {"gateway.endpoint.failing"} == {each for each in told if each.startswith("gateway.endpoint.")}
    (one,) = shard.take(LATER)[0]
    shard.settle(attempt(one, Delivered()), LATER)
    assert [each.type for each in ticked(shard).told] == ["gateway.endpoint.recovered"]


def test_an_endpoint_that_gets_nothing_new_for_what_it_rejects_is_told_as_failing_once() -> None:
    assert UNORDERED_LIMIT > SAVED_LIMIT
    shard = made(endpoint(concurrency=64))
    shard.lanes["ep_1"]._saved_limit = 3
    told = []
    for offset in range(6):
        receive(shard, offset)
        for one in shard.take(NOW)[0]:
            shard.settle(
                replace(attempt(one, RetryAt(LATER)), answer=answer(400, "client_error")), NOW + offset
            )
        tick = ticked(shard)
        told += [(one.type, "client_error" in str(one.data)) for one in tick.told]
    assert told == []
    again, *others = shard.take(LATER)[0]
    shard.settle(replace(attempt(again, RetryAt(LATER)), answer=answer(400, "client_error")), LATER)
    told = [(one.type, "client_error" in str(one.data)) for one in ticked(shard).told]
    assert told == [("gateway.endpoint.failing", True)]
    for one in others:
        shard.settle(attempt(one, Delivered()), LATER)
    assert [one.type for one in ticked(shard).told] == ["gateway.endpoint.recovered"]


@pytest.mark.parametrize(("order_key", "limit"), [(None, "UNORDERED_LIMIT"), ("k", "SAVED_LIMIT")])
async def test_a_range_says_that_it_waits_for_what_waits_for_a_retry(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, order_key: str | None, limit: str
) -> None:
    monkeypatch.setattr(f"gateway.egress.undelivered.{limit}", 2)
    async with stage(tmp_path, database_url, endpoint()) as on:
        held, outbox = await lease(on), Outbox()
        for number in (1, 2):
            outbox.save(Saved(delivery(number, order_key), "pending", "client_error", is_new=True))
        spans = [Span(name, "topic", "id", 0, 3, 9) for name in ("ep_1", "ep_2")]
        write(on, outbox.make_tick(held, spans=spans, drained=[], moves=[]))

        def told(reason: str | None, owner: str = "acme", **holds: str) -> list[tuple[str, str, str | None]]:
            with on.database.begin() as session:
                some = find_ranges(
                    session, Wanted(owner, holds, ["topic"], reason=reason), after=None, limit=9
                )
            return [(one.endpoint, one.state, one.reason) for one in some]

        assert told(None) == [("ep_1", "pending", "retries"), ("ep_2", "pending", None)]
        assert told("retries") == told("retries", ALL) == [("ep_1", "pending", "retries")]
        assert told(None, ep_1="paused") == [("ep_1", "held", "paused"), ("ep_2", "pending", None)]
        assert told("retries", ep_1="paused") == []
