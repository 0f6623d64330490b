from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from gateway.database import Database
from gateway.errors import CallerError
from gateway.ingress.quota import DAY_MS
from gateway.ingress.quota_shares import FRESH_MS, SKEW_MS, Heard, Told, exchange, sweep
from gateway.ingress.quotas import Quotas
from partners.contract import Limits

RATE = Limits(events_per_second=100)
BYTES = Limits(bytes_per_day=1_000)
START = 20_000 * DAY_MS


@dataclass
class Clock:
    now: int = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def quotas(database: Database, clock: Clock, owner: str = "one") -> Quotas:
    return Quotas(database=database, clock=clock, ticks=clock, owner=owner, shared_clock=lambda _: clock.now)


def entered(some: Quotas, limits: Limits, times: int, partner: str = "acme") -> int:
    """How many of so many requests got in."""
    count = 0
    for _ in range(times):
        with suppress(CallerError), some.enter(partner, limits):
            count += 1
    return count


def sent(some: Quotas, limits: Limits, *, events: int = 1, size: int = 0) -> None:
    """One request that brings so much."""
    with some.enter("acme", limits, most=events) as entry:
        entry.spend(events, size)


async def test_what_is_owed_is_not_forgotten_by_those_who_wait(database: Database) -> None:
    clock = Clock()
    some = quotas(database, clock)
    slow = Limits(events_per_second=1)
    sent(some, slow, events=1_000)
    for _ in range(60):
        clock.now += 11_000
        await some.exchange()
    assert entered(some, slow, 5) == 0
    clock.now += 400_000
    await some.exchange()
    assert entered(some, slow, 5) == 1


async def test_bytes_of_the_day_are_not_forgotten_either(database: Database) -> None:
    clock = Clock()
    some = quotas(database, clock)
    sent(some, BYTES, size=1_000)
    await some.exchange()
    clock.now += 60_000
    await some.exchange()
    assert entered(some, BYTES, 1) == 0


async def test_requests_that_are_read_at_the_same_time_do_not_all_overdraw(database: Database) -> None:
    some = quotas(database, Clock())
    with ExitStack() as open_ones:
        entries = [open_ones.enter_context(some.enter("acme", RATE, most=1_000))]
        assert entered(some, RATE, 5) == 0
        entries[0].spend(30, 10)
        assert entered(some, RATE, 100) == 70


async def test_a_request_that_fails_unread_counts_as_one_event(database: Database) -> None:
    some = quotas(database, Clock())
    with pytest.raises(ValueError, match="x"), some.enter("acme", RATE, most=50):
        raise ValueError("x")
    assert entered(some, RATE, 200) == 99


async def test_a_partner_without_limits_is_never_asked(database: Database) -> None:
    some = quotas(database, Clock())
    assert entered(some, Limits(), 1_000) == 1_000
    assert some.headers("acme", Limits()) == {}
    await some.exchange()


async def test_what_is_beyond_the_rate_is_refused_with_when_to_come_again(database: Database) -> None:
    clock = Clock()
    some = quotas(database, clock)
    assert entered(some, RATE, 150) == 100
    with pytest.raises(CallerError) as caught, some.enter("acme", RATE):
        pytest.fail("nothing was left")
    assert caught.value.code == "quota_exceeded"
    headers = caught.value.members["headers"]
    assert isinstance(headers, dict)
    assert (headers["Retry-After"], headers["RateLimit"]) == ("1", '"events";r=0;t=1')
    assert entered(some, RATE, 1, "globex") == 1
    clock.now += 500
    assert entered(some, RATE, 150) == 50


async def test_the_events_of_a_batch_count_each(database: Database) -> None:
    clock = Clock()
    some = quotas(database, clock)
    sent(some, RATE, events=300)
    assert some.headers("acme", RATE)["RateLimit"] == '"events";r=0;t=3'
    clock.now += 1_900
    assert entered(some, RATE, 1) == 0
    clock.now += 200
    assert entered(some, RATE, 1) == 1


async def test_two_processes_share_the_rate_by_what_each_is_asked(database: Database) -> None:
    clock = Clock()
    one, two = quotas(database, clock), quotas(database, clock, "two")
    passed = 0
    for second in range(20):
        got = entered(one, RATE, 300) + entered(two, RATE, 100)
        await one.exchange()
        await two.exchange()
        clock.now += 1_000
        if second >= 3:
            passed += got
    assert passed == pytest.approx(17 * 100, rel=0.1)
    assert entered(one, RATE, 300) > 2 * entered(two, RATE, 100)


async def test_the_rate_follows_when_all_comes_to_one_process(database: Database) -> None:
    clock = Clock()
    one, two = quotas(database, clock), quotas(database, clock, "two")
    for each in (one, two):
        entered(each, RATE, 200)
        await each.exchange()
    last = 0
    for _ in range(2 + (FRESH_MS + SKEW_MS) // 1_000):
        clock.now += 1_000
        last = entered(one, RATE, 200)
        await one.exchange()
    assert last == 100


async def in_turn(database: Database, rate: int, processes: int, every_ms: int, seconds: int) -> int:
    """How many of one partner's events get in that come so often, to one process after the other."""
    clock = Clock()
    limits = Limits(events_per_second=rate)
    each = [quotas(database, clock, str(number)) for number in range(processes)]
    count = 0
    for number in range(seconds * 1_000 // every_ms):
        count += entered(each[number % processes], limits, 1)
        clock.now += every_ms
        if number * every_ms // 1_000 != (number + 1) * every_ms // 1_000:
            for one in each:
                await one.exchange()
    return count


@pytest.mark.parametrize(
    ("rate", "processes", "every_ms", "seconds", "least"),
    [(1, 2, 1_000, 60, 59), (5, 8, 1_000, 40, 40), (5, 8, 200, 60, 297), (1, 8, 1_000, 40, 36)],
)
async def test_a_rate_below_the_number_of_processes_lets_in_what_was_agreed(
    database: Database, rate: int, processes: int, every_ms: int, seconds: int, least: int
) -> None:
    assert await in_turn(database, rate, processes, every_ms, seconds) >= least


@pytest.mark.parametrize(("rate", "processes"), [(1, 4), (5, 8)])
async def test_many_processes_let_in_no_more_than_was_agreed(
    database: Database, rate: int, processes: int
) -> None:
    # Each may begin with a second's worth, and be one event ahead.
    most = rate * 20 + processes * (rate + 1)
    assert rate * 20 * 0.9 <= await in_turn(database, rate, processes, 40, 20) <= most


async def test_a_slow_connection_beside_a_fast_one_gets_its_part(database: Database) -> None:
    clock = Clock()
    slow, *fast = each = [quotas(database, clock, str(number)) for number in range(4)]
    limits = Limits(events_per_second=10)
    got = 0
    for _ in range(60):
        got += entered(slow, limits, 1)
        for number in range(10):
            entered(fast[number % 3], limits, 1)
            clock.now += 100
        for one in each:
            await one.exchange()
    assert got >= 50


def wait_of(some: Quotas, events: int = 1) -> int:
    """Seconds that a request is told to wait; 0: it got in."""
    try:
        sent(some, RATE, events=events)
    except CallerError as error:
        headers = error.members["headers"]
        assert isinstance(headers, dict)
        return int(headers["Retry-After"])
    return 0


@dataclass
class Pair:
    """Two processes; one of them is asked for so many events each second."""

    busy: Quotas
    other: Quotas
    clock: Clock
    passed: int = 0

    async def second(self, events: int = 50) -> None:
        for _ in range(events):
            self.passed += entered(self.busy, RATE, 1)
            self.clock.now += 1_000 // events
        await self.busy.exchange()
        await self.other.exchange()


@pytest.fixture(params=[True, False], ids=["an old one", "a new one"])
async def pair(database: Database, request: pytest.FixtureRequest) -> Pair:
    """After eight seconds. Of the other: whether it has heard of the partner before."""
    clock = Clock()
    made = Pair(quotas(database, clock), quotas(database, clock, "two"), clock)
    if request.param:
        sent(made.other, RATE)
    for _ in range(8):
        await made.second()
    return made


async def test_batches_that_come_seldom_to_one_process_get_in_beside_another(pair: Pair) -> None:
    before = pair.passed
    for at in range(100):
        if at % 10 == 0:
            assert wait_of(pair.other, 100) == 0, at
        await pair.second()
    assert pair.passed - before == 5_000


async def test_who_overdrew_where_nobody_else_asks_gets_in_when_he_was_told(pair: Pair) -> None:
    assert wait_of(pair.other, 500) == 0
    waits, left = [], 1
    for _ in range(12):
        await pair.second()
        left -= 1
        if left:
            continue
        left = wait_of(pair.other)
        if not left:
            break
        waits.append(left)
    assert len(waits) <= 3
    # What the whole rate needs for it, and two seconds.
    assert left == 0 < max(waits) <= 7


async def test_the_process_to_which_all_moves_lets_in_at_once(pair: Pair) -> None:
    assert [wait_of(pair.other) for _ in range(20)] == [0] * 20
    pair.clock.now += 1_000
    await pair.busy.exchange()
    await pair.other.exchange()
    assert [wait_of(pair.other) for _ in range(20)] == [0] * 20


async def test_a_few_events_get_in_beside_many_elsewhere(pair: Pair) -> None:
    before = pair.passed
    for at in range(30):
        if at % 3 == 0:
            assert wait_of(pair.other) == 0, at
        await pair.second(90)
    assert pair.passed - before >= 2_650


async def test_a_huge_batch_leaves_others_their_part(pair: Pair) -> None:
    sent(pair.other, RATE, events=5_000)
    before = pair.passed
    for _ in range(20):
        await pair.second()
    assert pair.passed - before >= 20 * 50 * 0.6


async def test_bytes_of_a_day_are_counted_over_processes_and_restarts(database: Database) -> None:
    clock = Clock()
    one, two = quotas(database, clock), quotas(database, clock, "two")
    sent(one, BYTES, size=600)
    sent(two, BYTES, size=300)
    await one.exchange()
    await two.exchange()
    await one.exchange()
    assert [limit.left for limit in one.standing("acme", BYTES)] == [100]
    later = quotas(database, clock, "three")
    sent(later, BYTES)
    await later.exchange()
    sent(later, BYTES, size=100)
    assert later.headers("acme", BYTES)["RateLimit"] == '"bytes";r=0;t=86400'
    wait = "1000 bytes a day; wait 86400 s"
    with pytest.raises(CallerError, match=wait), later.enter("acme", BYTES):
        pytest.fail("nothing was left")
    clock.now += DAY_MS
    assert entered(later, BYTES, 1) == 1


async def test_a_clock_that_was_wrong_for_a_moment_locks_nobody_out(database: Database) -> None:
    clock, ticks = Clock(), Clock(0)
    some = Quotas(database=database, clock=clock, ticks=ticks, owner="one")
    assert entered(some, RATE, 150) == 100
    clock.now += 3_600_000
    assert entered(some, RATE, 1) == 0
    clock.now -= 3_600_000
    ticks.now += 500
    assert entered(some, RATE, 150) == 50
    ticks.now += 20_000
    await some.exchange()
    assert not some._accounts


async def test_what_a_wrong_clock_would_say_is_told_by_the_databases(database: Database) -> None:
    there, ahead = Clock(), Clock(START + DAY_MS)
    wrong = Quotas(
        database=database, clock=ahead, ticks=Clock(), owner="one", shared_clock=lambda _: there.now
    )
    sent(wrong, Limits(events_per_second=100, bytes_per_day=1_000), size=700)
    await wrong.exchange()
    right = quotas(database, there, "two")
    sent(right, BYTES)
    await right.exchange()
    assert [limit.left for limit in right.standing("acme", BYTES)] == [300]
    there.now += FRESH_MS + SKEW_MS + 1
    with database.begin() as session:
        assert (
            exchange(session, "x", Told({"acme": 1.0}, {}), now=there.now).others.get("acme", (0, 0))[1] == 0
        )


async def test_what_is_counted_again_when_a_clock_is_set_right_is_counted_once(database: Database) -> None:
    clock = Clock()
    some = Quotas(database=database, clock=clock, ticks=Clock(), owner="one", shared_clock=lambda _: START)
    sent(some, BYTES, size=100)
    clock.now += DAY_MS
    sent(some, BYTES, size=200)
    await some.exchange()
    await some.exchange()
    clock.now -= DAY_MS
    some.standing("acme", BYTES)
    await some.exchange()
    assert [limit.left for limit in some.standing("acme", BYTES)] == [800]


async def test_who_has_no_rate_is_forgotten_though_others_are_asked_too(database: Database) -> None:
    clock = Clock()
    one, two = quotas(database, clock), quotas(database, clock, "two")
    for each in (one, two, one):
        sent(each, BYTES)
        await each.exchange()
    assert one._accounts["acme"].share < 1
    clock.now += DAY_MS + 20_000
    await one.exchange()
    assert not one._accounts


async def test_a_demand_of_a_time_that_never_was_is_not_believed(database: Database) -> None:
    with database.begin() as session:
        exchange(session, "gone", Told({"acme": 9.0}, {}), now=START + DAY_MS)
        assert exchange(session, "x", Told({"acme": 1.0}, {}), now=START) == Heard({}, {})


async def test_a_partner_that_sends_nothing_is_forgotten_and_so_is_the_past(database: Database) -> None:
    clock = Clock()
    some = quotas(database, clock)
    sent(some, RATE, size=7)
    await some.exchange()
    with database.begin() as session:
        heard = exchange(session, "another", Told({"acme": 1.0}, {"acme": 0}), now=clock.now)
    assert heard == Heard({"acme": (0.2, 1)}, {"acme": 7})
    clock.now += 40 * DAY_MS
    await some.exchange()
    with database.begin() as session:
        sweep(session, now=clock.now)
        assert exchange(session, "x", Told({"acme": 1.0}, {}), now=START) == Heard({}, {})
