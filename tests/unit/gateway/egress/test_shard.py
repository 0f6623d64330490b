import os
from dataclasses import replace

from gateway.broker.port import Position, Read
from gateway.catalog import Snapshot
from gateway.dialler import Answer
from gateway.egress.backlog import Backlog, Span
from gateway.egress.breaker import OPENS_AFTER
from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Attempt, Decision, Delivered, Delivery, Held, RetryAt
from gateway.egress.intake import Unasked
from gateway.egress.lane import CAPACITY
from gateway.egress.reading import Reading, Routed, read_event
from gateway.egress.replay import Counts, Part, Stretch, Wish
from gateway.egress.shard import Shard
from gateway.egress.ticks import Tick
from gateway.egress.wording import Voice
from gateway.leases import Lease
from gateway.origin_evidence import Origin
from gateway.positions import Progress
from partners.endpoint import Endpoint
from tests.unit.gateway.egress.stage import TOPIC, answer, contracts, endpoint, record
from tests.unit.gateway.egress.test_lane import delivery

NOW = 50_000
SPOT = ("id", 0)
VOICE = Voice("https://gw.example", "gw.example/log/k3v9q2", "acme", os.urandom)


def made(*endpoints: Endpoint, stored: Stored | None = None, quiet_until: int = 0) -> Shard:
    shard = Shard(Lease("relay", 0, 1, 0), quiet_until=quiet_until)
    shard.adopt(stored or Stored({}, (), ()))
    shard.update({"acme": VOICE}, endpoints)
    shard.watch(TOPIC, "id", 0, "acme")
    return shard


def read(offset: int) -> Read:
    return Read(Position("id", 0, offset), record(f"e{offset}"), NOW)


def seen(read: Read, partner: str, snapshot: Snapshot, *, origin: str) -> Reading:
    reading = read_event(read, partner, snapshot, origin=origin)
    assert not isinstance(reading, Unasked)
    return reading


def receive(shard: Shard, *offsets: int) -> None:
    snapshot = contracts([lane.endpoint for lane in shard.lanes.values()], "id")
    for offset in offsets:
        shard.receive(read(offset), seen(read(offset), "acme", snapshot, origin="https://gw.example"), NOW)


def attempt(delivery: Delivery, decision: Decision) -> Attempt:
    reply = answer() if isinstance(decision, Delivered) else answer(503, "server_error")
    return Attempt(
        "att_1", delivery, endpoint().url, delivery.attempts + 1, NOW, b"\x22" * 32, 2, reply, decision
    )


def read_again(shard: Shard, *offsets: int) -> bool:
    """Read a range on; False where it had to stop."""
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    snapshot = contracts([], "id")
    return all(
        shard.receive_again(
            backlog,
            read(offset),
            seen(read(offset), "acme", snapshot, origin="https://gw.example"),
            NOW,
        )
        for offset in offsets
    )


def parked(tick: Tick) -> list[tuple[str | None, object]]:
    """Event ids and attempts of what a tick parks because its endpoint is gone."""
    found = [each.evidence for each in tick.evidence if each.evidence.kind.value == "delivery.parked"]
    assert {each.text("reason") for each in found} <= {"gone"}
    return [(each.text("id"), each.members["attempts"]) for each in found]


def ticked(shard: Shard) -> Tick:
    tick = shard.make_tick()
    assert tick is not None
    shard.committed(tick)
    return tick


def test_an_idle_shard_makes_no_tick() -> None:
    shard = made(endpoint())
    assert shard.make_tick() is None
    receive(shard, 0)
    ticked(shard)
    assert shard.make_tick() is None


def test_a_position_moves_only_with_what_settles_it() -> None:
    shard = made(endpoint())
    receive(shard, 0, 1, 2)
    taken, _ = shard.take(NOW)
    first = ticked(shard)
    assert (first.moves[0].before, first.moves[0].after, first.evidence) == (None, Progress(0), ())
    shard.settle(attempt(taken[1], Delivered()), NOW)
    second = ticked(shard)
    assert (second.moves[0].before, second.moves[0].after) == (Progress(0), Progress(0, (1, 2)))
    assert len(second.evidence) == 1
    shard.settle(attempt(taken[0], RetryAt(NOW + 1)), NOW)
    third = ticked(shard)
    assert third.moves[0].after == Progress(2)
    assert [(saved.state, saved.is_new) for saved in third.saved] == [("pending", True)]


def test_a_stored_position_begins_there_and_passes_over_what_is_finished() -> None:
    shard = Shard(Lease("relay", 0, 1, 0))
    shard.adopt(Stored({SPOT: Progress(2, (3, 5))}, (), ()))
    shard.update({"acme": VOICE}, [endpoint()])
    start = shard.watch(TOPIC, "id", 0, "acme")
    assert start is not None
    assert start.position == Position("id", 0, 2)
    assert shard.watch(TOPIC, "id", 0, "acme") is None
    receive(shard, 2, 3, 4, 5)
    assert [each.position.offset for each in shard.take(NOW)[0]] == [2, 5]


def test_a_row_is_changed_where_it_is_there_and_removed_when_delivered() -> None:
    shard = made(endpoint())
    receive(shard, 0)
    shard.settle(attempt(shard.take(NOW)[0][0], RetryAt(NOW)), NOW)
    ticked(shard)
    again = shard.take(NOW)[0][0]
    assert (again.body, again.attempts) == (None, 1)
    shard.settle(attempt(again, RetryAt(NOW)), NOW)
    assert [saved.is_new for saved in ticked(shard).saved] == [False]
    shard.settle(attempt(shard.take(NOW)[0][0], Delivered()), NOW)
    assert ticked(shard).finished == (("ep_1", again.ref),)


def test_a_row_that_was_never_written_needs_no_removal() -> None:
    shard = made(endpoint())
    receive(shard, 0)
    shard.settle(attempt(shard.take(NOW)[0][0], RetryAt(NOW)), NOW)
    shard.settle(attempt(shard.take(NOW)[0][0], Delivered()), NOW)
    tick = ticked(shard)
    assert (tick.saved, tick.finished, len(tick.evidence)) == ((), (), 2)


def test_held_disables_the_endpoint_with_the_tick() -> None:
    shard = made(endpoint())
    receive(shard, 0)
    shard.settle(attempt(shard.take(NOW)[0][0], Held("failing")), NOW)
    tick = ticked(shard)
    assert tick.disabled == (("acme", "ep_1", endpoint().url),)
    assert [(saved.state, saved.reason) for saved in tick.saved] == [("held", "failing")]


def test_a_closed_lane_makes_one_range_of_any_length() -> None:
    shard = made(endpoint(state="paused"))
    receive(shard, *range(300))
    tick = ticked(shard)
    assert tick.spans == (Span("ep_1", TOPIC, "id", 0, 0, 300),)
    assert (tick.moves[0].after, tick.saved) == (Progress(300), ())


def test_an_event_that_a_stored_range_covers_is_not_sent_twice() -> None:
    stored = Stored({}, (), (Span("ep_1", TOPIC, "id", 0, 0, 2),))
    shard = made(endpoint(), stored=stored)
    receive(shard, 0, 1)
    assert shard.take(NOW)[0] == []
    assert ticked(shard).moves[0].after == Progress(2)


def drain(shard: Shard, backlog: Backlog, *offsets: int) -> None:
    """Read a range on as far as its lane has room."""
    snapshot = contracts([lane.endpoint for lane in shard.lanes.values()], "id")
    for offset in offsets:
        reading = seen(read(offset), "acme", snapshot, origin="https://gw.example")
        if not shard.receive_again(backlog, read(offset), reading, NOW):
            return


def found(tick: Tick) -> Stored:
    """What a tick leaves for the next owner."""
    return Stored({SPOT: tick.moves[-1].after}, (), tick.spans)


def sent(shard: Shard) -> list[int]:
    """Deliver what the lanes hold, one after the other; the offsets."""
    offsets = []
    while taken := shard.take(NOW)[0]:
        for each in taken:
            shard.settle(attempt(each, Delivered()), NOW)
            offsets.append(each.position.offset)
    return offsets


def test_what_a_full_lane_held_when_its_owner_died_is_sent_before_the_range_behind_it() -> None:
    end = CAPACITY + 40
    first = made(endpoint(order="endpoint"))
    receive(first, *range(end))
    tick = ticked(first)
    assert [(span.start, span.end) for span in tick.spans] == [(CAPACITY, end)]

    second = made(endpoint(order="endpoint"), stored=found(tick))
    receive(second, *range(end))
    tick = ticked(second)
    assert tick.moves[-1].after == Progress(end)
    assert [(span.start, span.end) for span in tick.spans] == [(0, end)]

    third = made(endpoint(order="endpoint"), stored=found(tick))
    offsets: list[int] = []
    while (backlog := third.next_backlog(NOW)) is not None:
        drain(third, backlog, *range(backlog.cursor, end))
        offsets += sent(third)
        ticked(third)
    assert offsets == list(range(end))


def test_what_was_settled_before_a_stored_range_is_not_sent_again() -> None:
    stored = Stored({SPOT: Progress(2, (3, 5, 6, 12))}, (), (Span("ep_1", TOPIC, "id", 0, 8, 12),))
    shard = made(endpoint(), stored=stored)
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    drain(shard, backlog, *range(2, 12))
    assert sent(shard) == [2, 5, 8, 9, 10, 11]


def test_a_lane_that_closes_saves_what_it_holds() -> None:
    shard = made(endpoint())
    receive(shard, 0, 1)
    shard.update({}, [endpoint(state="paused")])
    tick = ticked(shard)
    assert [saved.delivery.event_id for saved in tick.saved] == ["e0", "e1"]
    assert tick.moves[0].after == Progress(2)
    assert shard.make_tick() is None


def test_what_waits_for_an_endpoint_that_is_gone_is_parked_with_its_offset() -> None:
    shard = made(endpoint())
    receive(shard, 0)
    shard.update({}, [])
    assert shard.take(NOW)[0] == []
    shard.dismiss(NOW)
    tick = ticked(shard)
    assert [(saved.state, saved.reason, saved.is_new) for saved in tick.saved] == [("parked", "gone", True)]
    assert parked(tick) == [("e0", 0)]
    assert tick.moves[0].after == Progress(1)
    assert shard.lanes == {}


def test_what_is_under_way_to_an_endpoint_that_is_gone_ends_first() -> None:
    shard = made(endpoint(order="endpoint"))
    receive(shard, 0, 1)
    (first,) = shard.take(NOW)[0]
    shard.update({}, [])
    shard.dismiss(NOW)
    assert parked(ticked(shard)) == [("e1", 0)]
    shard.settle(attempt(first, RetryAt(NOW)), NOW)
    shard.dismiss(NOW)
    tick = ticked(shard)
    assert ([saved.state for saved in tick.saved], parked(tick)) == (["parked"], [("e0", 1)])


def test_what_is_delivered_at_the_last_moment_is_not_parked() -> None:
    shard = made(endpoint())
    receive(shard, 0)
    (first,) = shard.take(NOW)[0]
    shard.update({}, [])
    shard.settle(attempt(first, Delivered()), NOW)
    shard.dismiss(NOW)
    assert parked(ticked(shard)) == []


def test_rows_of_an_endpoint_that_is_gone_are_parked_in_steps() -> None:
    waiting = tuple(delivery(number) for number in range(250))
    shard = made(stored=Stored({}, waiting, ()))
    assert shard.strangers() == {"ep_1": "acme"}
    shard.bury([endpoint()])
    steps = []
    while shard.lanes:
        shard.dismiss(NOW)
        tick = ticked(shard)
        assert len(tick.saved) == len(tick.evidence)
        steps.append([saved.delivery.position.offset for saved in tick.saved])
    assert [len(step) for step in steps] == [100, 100, 50]
    assert [offset for step in steps for offset in step] == list(range(250))


def test_a_range_of_an_endpoint_that_is_gone_is_parked_without_rows_and_ends() -> None:
    shard = made(stored=Stored({}, (), (Span("ep_1", TOPIC, "id", 0, 0, 3),)))
    assert shard.strangers() == {"ep_1": "acme"}
    assert shard.next_backlog(NOW) is None
    shard.bury([endpoint()])
    assert read_again(shard, 0, 1)
    tick = ticked(shard)
    assert (parked(tick), tick.saved) == ([("e0", 0), ("e1", 0)], ())
    assert tick.spans == (Span("ep_1", TOPIC, "id", 0, 2, 3),)
    assert read_again(shard, 2)
    tick = ticked(shard)
    assert (parked(tick), tick.drained) == ([("e2", 0)], (("ep_1", "id", 0),))
    shard.dismiss(NOW)
    assert (shard.lanes, shard.strangers()) == ({}, {})


def test_only_what_an_endpoint_that_is_gone_listened_to_is_parked() -> None:
    shard = made(stored=Stored({}, (), (Span("ep_1", TOPIC, "id", 0, 0, 1),)))
    shard.bury([endpoint(types=frozenset({"other"}))])
    assert read_again(shard, 0)
    tick = ticked(shard)
    assert (tick.evidence, tick.drained) == ((), (("ep_1", "id", 0),))


def test_a_range_of_an_endpoint_that_is_gone_waits_for_a_full_outbox() -> None:
    shard = made(stored=Stored({}, (), (Span("ep_1", TOPIC, "id", 0, 0, 900),)))
    shard.bury([endpoint()])
    assert not read_again(shard, *range(900))
    assert len(parked(ticked(shard))) == 500
    assert read_again(shard, 500)


def test_an_endpoint_that_is_new_is_no_stranger_for_long() -> None:
    shard = made(stored=Stored({}, (), (Span("ep_1", TOPIC, "id", 0, 0, 3),)))
    shard.update({}, [endpoint()])
    assert shard.strangers() == {}
    assert shard.next_backlog(NOW) is not None


def test_what_retention_took_unread_is_a_hole_with_evidence() -> None:
    shard = made(endpoint())
    starts = shard.lose(SPOT, 0, 40, NOW)
    assert [start.position.offset for start in starts] == [40]
    tick = ticked(shard)
    hole = tick.evidence[0].evidence
    assert (hole.kind.value, hole.members["from"], hole.members["to"]) == ("retention.hole", 0, 40)
    assert tick.moves[0].after == Progress(40)
    assert shard.lose(("other", 0), 0, 1, NOW) == []


def test_what_retention_took_from_a_range_is_a_hole_and_the_rest_goes_on() -> None:
    shard = made(endpoint(), stored=Stored({}, (), (Span("ep_1", TOPIC, "id", 0, 0, 10),)))
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    shard.lose_again(backlog, 4, NOW)
    tick = ticked(shard)
    assert (tick.evidence[0].evidence.members["from"], tick.evidence[0].evidence.members["to"]) == (0, 4)
    assert tick.spans == (Span("ep_1", TOPIC, "id", 0, 4, 10),)


def test_a_topic_that_is_no_more_ends_its_ranges_with_evidence() -> None:
    shard = made(endpoint(state="paused"))
    receive(shard, 0, 1, 2)
    ticked(shard)
    shard.abandon(SPOT, NOW)
    tick = ticked(shard)
    assert [each.evidence.kind.value for each in tick.evidence] == ["retention.hole"]
    assert tick.drained == (("ep_1", "id", 0),)


def test_a_topic_that_lost_records_is_read_on_from_its_end() -> None:
    shard = made(endpoint())
    receive(shard, 0, 1, 2)
    taken, _ = shard.take(NOW)
    starts = shard.restart(SPOT, 1, NOW)
    assert [start.position.offset for start in starts] == [1]
    receive(shard, 1)
    for each in taken:
        shard.settle(attempt(each, Delivered()), NOW)
    assert ticked(shard).moves[0].after == Progress(2)


def test_failures_at_an_old_url_leave_the_new_one_open() -> None:
    shard = made(endpoint(concurrency=OPENS_AFTER))
    receive(shard, *range(OPENS_AFTER))
    taken, _ = shard.take(NOW)
    shard.update({}, [endpoint(concurrency=OPENS_AFTER, url="https://new.example/in")])
    for each in taken:
        shard.settle(attempt(each, RetryAt(NOW)), NOW)  # sent to the old one
    assert len(shard.take(NOW)[0]) == OPENS_AFTER


def holes(tick: Tick) -> list[tuple[object, object]]:
    found = [each.evidence for each in tick.evidence if each.evidence.kind.value == "retention.hole"]
    return [(each.members["from"], each.members["to"]) for each in found]


def half_drained() -> tuple[Shard, Backlog]:
    """All is delivered up to 276, and the range goes on to 300; then the lane closes."""
    shard = made(endpoint())
    receive(shard, *range(300))
    sent(shard)
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    drain(shard, backlog, *range(256, 276))
    sent(shard)
    ticked(shard)
    shard.update({}, [endpoint(state="paused")])
    return shard, backlog


def receive_new(shard: Shard, *offsets: int) -> None:
    """Other events at offsets that were read before."""
    snapshot = contracts([lane.endpoint for lane in shard.lanes.values()], "id")
    for offset in offsets:
        new = Read(Position("id", 0, offset), record(f"new{offset}"), NOW)
        shard.receive(new, seen(new, "acme", snapshot, origin="https://gw.example"), NOW)


def test_what_comes_after_a_topic_lost_records_is_no_part_of_a_range_from_before() -> None:
    shard, before = half_drained()
    shard.restart(SPOT, 260, NOW)
    receive_new(shard, *range(260, 271))
    shard.pass_again(before, 290)  # the reading of the old range was under way
    shard.lose_again(before, before.end, NOW)
    tick = ticked(shard)
    assert holes(tick) == [(276, 300)]
    assert tick.moves[-1].after == Progress(271)
    assert tick.spans == (Span("ep_1", TOPIC, "id", 0, 260, 271),)
    shard.update({}, [endpoint()])
    after = shard.next_backlog(NOW)
    assert after is not None
    assert after.cursor == 260


def test_a_range_that_is_over_covers_nothing_after_its_topic_lost_records() -> None:
    shard, before = half_drained()
    shard.lose_again(before, before.end, NOW)  # its reader was the first to see it
    shard.restart(SPOT, 260, NOW)
    receive_new(shard, 260)
    tick = ticked(shard)
    assert holes(tick) == [(276, 300)]
    assert tick.spans == (Span("ep_1", TOPIC, "id", 0, 260, 261),)


def test_a_range_keeps_what_its_topic_still_holds() -> None:
    shard = made(endpoint(state="paused"))
    receive(shard, *range(10))
    ticked(shard)
    shard.restart(SPOT, 6, NOW)
    tick = ticked(shard)
    assert (holes(tick), tick.spans) == ([(6, 10)], (Span("ep_1", TOPIC, "id", 0, 0, 6),))
    shard.update({}, [endpoint()])
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    drain(shard, backlog, *range(10))
    receive_new(shard, 6)
    assert sent(shard) == [0, 1, 2, 3, 4, 5, 6]


def test_offsets_that_were_finished_in_a_range_are_not_passed_over_once_they_are_new() -> None:
    stored = Stored({SPOT: Progress(0, (2, 8))}, (), (Span("ep_1", TOPIC, "id", 0, 9, 10),))
    shard = made(endpoint(), stored=stored)
    shard.restart(SPOT, 5, NOW)
    receive_new(shard, *range(5, 8))
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    drain(shard, backlog, *range(8))
    assert sent(shard) == [0, 1, 5, 6, 7]


def test_what_a_topic_lost_and_a_lane_holds_gets_rows() -> None:
    shard = made(endpoint(concurrency=1))
    receive(shard, 0, 1)
    flying = shard.take(NOW)[0]
    shard.restart(SPOT, 0, NOW)
    tick = ticked(shard)
    assert [(saved.delivery.event_id, saved.state) for saved in tick.saved] == [
        ("e0", "pending"),
        ("e1", "pending"),
    ]
    shard.settle(attempt(flying[0], Delivered()), NOW)
    assert ticked(shard).finished == (("ep_1", flying[0].ref),)


def test_ordered_lanes_are_quiet_while_a_former_owners_posts_may_land() -> None:
    shard = made(endpoint("ep_1", order="endpoint"), endpoint("ep_2"), quiet_until=NOW + 500)
    receive(shard, 0)
    taken, wake_at = shard.take(NOW)
    assert ([each.endpoint for each in taken], wake_at) == (["ep_2"], NOW + 500)
    assert [each.endpoint for each in shard.take(NOW + 500)[0]] == ["ep_1"]


def test_a_full_outbox_stops_taking_until_it_is_written() -> None:
    shard = made(endpoint(types=frozenset({"other"})), endpoint("ep_2", types=frozenset({"other"})))
    receive(shard, *range(600))
    assert shard.outbox.is_full
    shard.update({}, [endpoint()])
    assert shard.next_backlog(NOW) is None
    shard.watch(TOPIC, "id", 1, "acme")
    here = replace(read(0), position=Position("id", 1, 0))
    shard.receive(here, seen(here, "acme", contracts([endpoint()], "id"), origin="https://gw.example"), NOW)
    assert shard.take(NOW)[0] == []
    ticked(shard)
    assert shard.next_backlog(NOW) is not None
    assert len(shard.take(NOW)[0]) == 1


def test_an_answer_that_its_receiver_signed_is_evidence_beside_the_attempt() -> None:
    shard = made(endpoint())
    receive(shard, 0)
    (taken,), _ = shard.take(NOW)
    signature = Origin("ed25519", "crd_1", b"base", b"signature")
    shard.settle(replace(attempt(taken, Delivered()), acknowledgement=signature), NOW)
    kinds = [each.evidence.kind.value for each in ticked(shard).evidence]
    assert kinds == ["delivery.attempted", "delivery.acknowledged"]


def test_an_answer_that_asks_to_slow_down_holds_up_its_lane_alone() -> None:
    shard = made(endpoint(), endpoint("ep_2"))
    receive(shard, 0)
    first = next(each for each in shard.take(NOW)[0] if each.endpoint == "ep_1")
    reply = Answer(429, "throttled", 60, b"", b"", 1)
    shard.settle(replace(attempt(first, RetryAt(NOW + 1)), answer=reply), NOW)
    receive(shard, 1)
    taken, _ = shard.take(NOW + 59_999)
    assert {each.endpoint for each in taken} == {"ep_2"}
    taken, _ = shard.take(NOW + 60_000)
    assert {each.endpoint for each in taken} == {"ep_1"}


def test_a_replay_leaves_what_the_live_reader_has_yet_to_read_to_it() -> None:
    shard = made(endpoint())
    receive(shard, 0)
    wish = Wish("acme", None, "all", (), 0, NOW, None, dry_run=False)
    part = Part("rpl_1", wish, Stretch("ep_1", TOPIC, "id", 0, 0, 2), 0, Counts())
    shard.settle(attempt(shard.take(NOW)[0][0], Delivered()), NOW)
    shard.recall.adopt([part])
    (recalled,) = shard.recall.parts.values()
    snapshot = contracts([endpoint()], "id")
    for offset in (0, 1):
        reading = seen(read(offset), "acme", snapshot, origin="https://gw.example")
        assert shard.receive_again(recalled, read(offset), reading, NOW)
    assert sent(shard) == [0]
    assert [one.counts for one in ticked(shard).steps] == [Counts(handed=1, waiting=1)]
    receive(shard, 1)
    assert sent(shard) == [1]


def test_a_replay_goes_on_with_what_a_topic_that_lost_records_has_still() -> None:
    shard = made(endpoint())
    receive(shard, *range(4))
    assert sent(shard) == [0, 1, 2, 3]
    wish = Wish("acme", None, "all", (), 0, NOW, None, dry_run=False)
    shard.recall.adopt([Part("rpl_1", wish, Stretch("ep_1", TOPIC, "id", 0, 0, 4), 0, Counts())])
    (recalled,) = shard.recall.parts.values()
    shard.restart(SPOT, 2, NOW)
    assert shard.next_backlog(NOW) is recalled
    snapshot = contracts([endpoint()], "id")
    for offset in range(4):
        reading = seen(read(offset), "acme", snapshot, origin="https://gw.example")
        assert shard.receive_again(recalled, read(offset), reading, NOW)
    assert ticked(shard).steps == ()
    for each in shard.take(NOW)[0]:
        shard.settle(attempt(each, Delivered()), NOW)
    assert [(one.next, one.counts) for one in ticked(shard).steps] == [(4, Counts(handed=2, lost=2))]
    receive(shard, 4)
    assert ticked(shard).steps == ()


def given_up(*offsets: int) -> frozenset[tuple[str, bytes]]:
    """What rows say that were cancelled."""
    snapshot = contracts([endpoint()], "id")
    readings = [seen(read(offset), "acme", snapshot, origin="https://gw.example") for offset in offsets]
    return frozenset(("ep_1", one.ref) for one in readings if isinstance(one, Routed))


def test_what_was_given_up_stays_so_when_its_record_is_read_again() -> None:
    span = Span("ep_1", TOPIC, "id", 0, 0, 3)
    stored = Stored({SPOT: Progress(4)}, (), (span,), cancelled=given_up(1))
    shard = made(endpoint(), stored=stored)
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    drain(shard, backlog, 0, 1, 2)
    assert sent(shard) == [0, 2]
    assert ticked(shard).drained == (("ep_1", "id", 0),)
    gone = made(stored=stored)
    gone.bury([endpoint()])
    assert read_again(gone, 0, 1, 2)
    assert parked(ticked(gone)) == [("e0", 0), ("e2", 0)]
    live = made(endpoint(), stored=Stored({SPOT: Progress(3)}, (), (), cancelled=given_up(3)))
    receive(live, 3, 4)
    assert sent(live) == [4]
    assert ticked(live).moves[0].after == Progress(5)


def test_retries_that_have_to_wait_do_not_wait_for_ever_behind_what_is_new() -> None:
    failed = tuple(
        replace(delivery(number), ref=(900 + number).to_bytes(32), attempts=1, body=None)
        for number in range(4)
    )
    shard = made(endpoint(concurrency=1), stored=Stored({}, failed, ()))
    granted, attempts = 0, []
    receive(shard, 0, 1)
    for offset in range(2, 14):
        receive(shard, offset)
        taken, _ = shard.take(NOW, retries=granted)
        granted = 6 if shard.is_withholding else 0
        attempts += [one.attempts for one in taken]
        shard.settle(attempt(taken[0], Delivered()), NOW)
    assert attempts == [0, 0, 0, 1] * 3
