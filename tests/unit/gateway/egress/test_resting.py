"""What rests in rows: known to its lane, and read on when it is about to be sent."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.database import Database
from gateway.egress import deliveries, lane, reading_on
from gateway.egress.breaker import OPENS_AFTER
from gateway.egress.deliveries import Stored, load, load_places
from gateway.egress.delivery import Delivered, Delivery
from gateway.egress.lane import NEVER, Lane
from gateway.egress.locking import Place
from gateway.egress.reading_on import ReadingOn
from gateway.egress.resting import Resting, Rows
from gateway.egress.shard import Shard
from gateway.errors import StoreError
from partners.endpoint import Skip
from tests.unit.gateway.egress.stage import endpoint, now, stage
from tests.unit.gateway.egress.test_courier import until
from tests.unit.gateway.egress.test_lane import delivery, taken
from tests.unit.gateway.egress.test_relay_many import fill
from tests.unit.gateway.egress.test_shard import NOW, attempt, made, parked, ticked


def ref(number: int) -> bytes:
    return number.to_bytes(32)


def row(number: int, due_at: int = 0) -> Delivery:
    return replace(delivery(number), body=None, attempts=1, due_at=due_at)


def resting(*numbers: int, due_at: int = 0) -> dict[bytes, int]:
    return {ref(number): due_at for number in numbers}


def rested(*numbers: int, due_at: int = 0, **changes: Any) -> Lane:
    found = Lane(endpoint(**changes))
    found.rest(resting(*numbers, due_at=due_at))
    return found


def test_what_is_due_comes_first_and_what_the_lane_has_does_not_rest() -> None:
    some = Resting()
    assert (len(some), some.due_at) == (0, None)
    some.add({ref(1): 10, ref(2): 20, ref(3): 30}, besides=[ref(2), ref(9)])
    assert (len(some), some.due_at, ref(2) in some, ref(3) in some) == (2, 10, False, True)
    assert some.first(5, by=20) == (ref(1),)
    assert some.first(1, by=NEVER) == (ref(1),)
    some.hurry()
    assert some.first(5, by=0) == (ref(1), ref(3))
    assert (some.take_out(ref(1)), some.take_out(ref(1))) == (0, None)


def test_what_rests_is_known_and_counts_as_what_waits() -> None:
    full = Lane(endpoint(), saved_limit=2)
    full.rest(resting(1, 2))
    assert full.room(NOW) == 0
    assert full.offer(delivery(2), NOW) == "known"
    assert not full.is_empty
    assert full.cancel(ref(2))
    assert full.offer(delivery(3), NOW) == "taken"


def test_what_rests_is_read_some_at_a_time_and_only_once_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_AHEAD", 3)
    some = rested(*range(5), due_at=NOW)
    assert (some.lacking(NOW - 1), some.rests_until(NOW - 1)) == ((), NOW)
    assert (some.lacking(NOW), some.rests_until(NOW)) == (tuple(map(ref, range(3))), NEVER)
    some.read_on([row(n, due_at=NOW) for n in range(3)], NOW)
    assert some.lacking(NOW) == ()
    assert taken(some, NOW) == ["0", "1", "2"]
    assert some.lacking(NOW) == (ref(3), ref(4))


def test_nothing_is_read_for_an_endpoint_that_is_sent_nothing() -> None:
    some = rested(1, state="paused")
    assert (some.lacking(NOW), some.rests_until(0)) == ((), NEVER)
    some.update(endpoint())
    assert some.lacking(NOW) == (ref(1),)


def test_what_rested_and_was_heard_of_or_given_up_meanwhile_is_read_once() -> None:
    some = rested(1, 2, 3)
    some.restore([row(1)])
    assert some.cancel(ref(2))
    some.read_on([row(1), row(2), row(3)], NOW)
    assert taken(some) == ["1", "3"]


def test_at_another_url_what_rests_is_due_at_once() -> None:
    some = rested(1, due_at=NOW * 2)
    some.update(endpoint(url="https://new.example/in"))
    assert some.lacking(NOW) == (ref(1),)
    some.read_on([row(1, due_at=NOW * 2)], NOW)
    assert taken(some) == ["1"]


def test_what_is_given_up_is_read_whenever_it_is_due() -> None:
    some = rested(1, 2, due_at=NOW * 2)
    skip = Skip("id", 0, 9, "operator", None)
    some.update(endpoint(skips=(skip,)))
    assert some.lacking(NOW) == (ref(1), ref(2))
    some.read_on([row(1, due_at=NOW * 2), row(2, due_at=NOW * 2)], NOW)
    assert taken(some) == ["1", "2"]


def test_an_endpoint_that_does_not_answer_is_probed_with_what_rested() -> None:
    some = rested(1)
    for _ in range(OPENS_AFTER):
        some.breaker = some.breaker.failed(NOW)
    some.read_on([row(1)], NOW)
    assert taken(some, some.breaker.probe_at) == ["1"]


def stored(*numbers: int) -> Stored:
    return Stored({}, (), (), resting={"ep_1": Rows("acme", resting(*numbers))})


def test_a_shard_reads_on_and_sends_and_its_row_goes() -> None:
    shard = made(endpoint(), stored=stored(1))
    assert shard.take(NOW, retries=9) == ([], NEVER)
    assert shard.is_lacking
    assert shard.lacking(NOW, 10) == [("ep_1", ref(1))]
    shard.read_on([("ep_1", ref(1))], [row(1)], NOW)
    assert shard.take(NOW, retries=0) == ([], NEVER)
    assert (shard.is_withholding, shard.is_lacking) == (True, False)
    (found,), _ = shard.take(NOW, retries=1)
    shard.settle(attempt(replace(found, body=b"{}"), Delivered()), NOW)
    assert ticked(shard).finished == (("ep_1", ref(1)),)
    assert shard.lanes["ep_1"].is_empty


def test_a_shard_forgets_what_rests_no_more_in_any_row() -> None:
    shard = made(endpoint(), stored=stored(1, 2))
    shard.read_on([("ep_1", ref(1)), ("ep_2", ref(1))], [], NOW)
    assert not shard.outbox.has_row("ep_1", ref(1))
    assert shard.outbox.has_row("ep_1", ref(2))
    assert shard.lacking(NOW, 10) == [("ep_1", ref(2))]


def test_what_rests_for_an_endpoint_that_is_gone_is_read_and_parked() -> None:
    shard = made(stored=stored(1, 2))
    assert shard.strangers() == {"ep_1": "acme"}
    shard.bury([endpoint()])
    shard.dismiss(NOW)
    assert "ep_1" in shard.lanes
    shard.read_on(shard.lacking(NOW, 10), [row(1), row(2)], NOW)
    shard.dismiss(NOW)
    assert parked(ticked(shard)) == [("1", 1), ("2", 1)]
    assert "ep_1" not in shard.lanes


@pytest.mark.parametrize("order", [None, "k"])
async def test_of_many_those_in_an_order_are_loaded_and_others_rest(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, order: str | None
) -> None:
    monkeypatch.setattr(deliveries, "_MANY", 3)
    async with stage(tmp_path, database_url, endpoint()) as on:
        with on.database.begin() as session:
            fill(session, "acme", 4, order_key=order, next_at=7)
            fill(session, "globex", 3, endpoint="ep_9")
        with on.database.begin() as session:
            found = load(session, {"acme": "t", "globex": "u"})
            assert [each.ref for each in found.deliveries if each.endpoint == "ep_9"] == [*map(ref, range(3))]
            mine = [each for each in found.deliveries if each.endpoint == "ep_1"]
            rests = {} if order else {"ep_1": Rows("acme", resting(*range(4), due_at=7))}
            assert (len(mine), found.resting) == (4 if order else 0, rests)
            places = load_places(session, [("ep_1", ref(2)), ("ep_1", ref(8))])
            assert [(place, each.event_id, each.body) for place, each in places.items()] == [
                (("ep_1", ref(2)), "w2", None)
            ]


async def test_a_relay_sends_what_rests(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_MANY", 3)
    monkeypatch.setattr(lane, "_AHEAD", 2)
    monkeypatch.setattr(reading_on, "_MOST", 2)
    async with stage(tmp_path, database_url, endpoint()) as on:
        with on.database.begin() as session:
            fill(session, "acme", 9, next_at=now(), payload=b'{"id": "w"}')
            fill(session, "acme", 1, endpoint="ep_gone")
        async with on.relaying():
            await on.until(lambda: on.rows() == [("w0", "parked", 1)], "delivered, or parked as gone")
            assert on.receiver.ids() == ["w"] * 9


@dataclass
class Asking:
    """A shard that lacks these, until it has read on."""

    places: list[Place]
    got: list[tuple[Place, ...]] = field(default_factory=list)
    is_stirred: bool = False

    @property
    def shard(self) -> Shard:
        return cast("Shard", self)

    def lacking(self, _now: int, most: int) -> list[Place]:
        return self.places[:most]

    def read_on(self, wanted: list[Place], _found: list[Delivery], _now: int) -> None:
        self.got.append(tuple(wanted))
        self.places = self.places[len(wanted) :]

    def stir(self) -> None:
        self.is_stirred = True

    __hash__ = object.__hash__


@dataclass
class Away:
    """A database that is away at first. `asked`: how many rows each question was about."""

    failures: int
    asked: int = 0

    async def read(self, work: Callable[[Any], Any]) -> Any:
        del work
        self.asked += 1
        if self.asked <= self.failures:
            raise StoreError("store_unavailable", "away")
        return {}


async def test_it_is_read_in_portions_for_whoever_asks_and_again_where_the_database_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading_on, "_MOST", 4)
    monkeypatch.setattr(reading_on, "_AGAIN_SECONDS", 0.001)
    rows = Away(failures=1)
    reading = ReadingOn(cast("Database", rows), lambda: NOW)
    first, second = (Asking([(name, ref(n)) for n in range(3)]) for name in ("ep_1", "ep_2"))
    reading.join(first)
    reading.join(second)
    running = asyncio.create_task(reading.run())
    await until(lambda: second.is_stirred)
    assert [len(some) for some in first.got] == [3]
    assert [len(some) for some in second.got] == [1]
    reading.join(second)
    await until(lambda: not second.places)
    running.cancel()
