"""An endpoint that wants more than before, where only a part of what was read went to its lane."""

from dataclasses import replace

from gateway.broker.port import Position, Read
from gateway.egress.delivery import Delivered
from gateway.egress.shard import Shard
from gateway.egress.ticks import Tick
from partners.endpoint import Endpoint
from tests.unit.gateway.egress.stage import contracts, endpoint, record
from tests.unit.gateway.egress.test_relay_endpoints import at_least
from tests.unit.gateway.egress.test_shard import NOW, VOICE, attempt, made, seen, ticked

LARGE, WIDE = endpoint(filter=at_least(5)), endpoint()
CLOSED = replace(LARGE, state="paused")
EVENTS = {0: 1, 1: 9, 2: 9, 3: 1, 4: 9}
"""Offsets, and what an endpoint that wants what is large judges by."""


def read(offset: int) -> Read:
    return Read(Position("id", 0, offset), record(f"e{offset}", n=EVENTS[offset]), NOW)


def receive(shard: Shard, *offsets: int) -> None:
    snapshot = contracts([lane.endpoint for lane in shard.lanes.values()], "id")
    for offset in offsets:
        shard.receive(read(offset), seen(read(offset), "acme", snapshot, origin="https://gw.example"), NOW)


def brief(shard: Shard, wanted: Endpoint) -> None:
    shard.update({"acme": VOICE}, [wanted])


def drain(shard: Shard) -> list[int]:
    """Read all ranges to their ends, and deliver all; the offsets as they went out."""
    snapshot = contracts([lane.endpoint for lane in shard.lanes.values()], "id")
    while (backlog := shard.next_backlog(NOW)) is not None:
        for offset in range(backlog.cursor, backlog.end):
            reading = seen(read(offset), "acme", snapshot, origin="https://gw.example")
            shard.receive_again(backlog, read(offset), reading, NOW)
    offsets = []
    for each in shard.take(NOW)[0]:
        shard.settle(attempt(each, Delivered()), NOW)
        offsets.append(each.position.offset)
    return offsets


def ranges(tick: Tick) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in tick.spans]


def is_over(shard: Shard) -> bool:
    ticked(shard)
    return shard.make_tick() is None


def test_what_it_did_not_want_before_its_range_began_is_its_own() -> None:
    shard = made(CLOSED)
    receive(shard, 0, 1)
    brief(shard, WIDE)
    assert ranges(ticked(shard)) == [(0, 2)]
    assert drain(shard) == [0, 1]
    assert is_over(shard)


def test_what_its_range_has_handed_out_by_then_is_not_sent_again() -> None:
    shard = made(CLOSED)
    receive(shard, 0, 1)
    brief(shard, replace(CLOSED, state="active"))
    before = shard.next_backlog(NOW)
    assert before is not None
    handed = contracts([LARGE], "id")
    assert shard.receive_again(
        before, read(1), seen(read(1), "acme", handed, origin="https://gw.example"), NOW
    )
    brief(shard, CLOSED)
    receive(shard, 2, 3)
    brief(shard, WIDE)
    shard.pass_again(before, before.end)  # whoever was reading it reads on
    assert ranges(ticked(shard)) == [(0, 4)]
    assert drain(shard) == [1, 0, 2, 3]
    assert is_over(shard)


def test_what_went_to_its_lane_around_a_range_is_not_sent_again() -> None:
    shard = made(CLOSED)
    receive(shard, 0, 1)
    brief(shard, LARGE)
    assert drain(shard) == [1]
    receive(shard, 2, 3, 4)
    assert drain(shard) == [2, 4]
    brief(shard, WIDE)
    assert ranges(ticked(shard)) == [(0, 5)]
    assert drain(shard) == [0, 3]
    assert is_over(shard)
