"""The tail of a topic: whoever joins gets each event behind its place once, or is sent back to pages."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.egress import tail as module
from gateway.egress.stream import Places, Tap
from gateway.egress.tail import Bell, Seat, Tail

TAP = Tap("acme", "outbound", "partners.acme.outbound", (0, 1), frozenset(), "http://gw.example")
ALL: frozenset[str] = frozenset()
MUCH = 1 << 30


def opened(*offsets: int, firsts: tuple[int, int] = (0, 0)) -> Tail:
    tail = Tail(TAP, Places("t", dict(enumerate(offsets))))
    tail.begin(dict(enumerate(firsts)))
    return tail


def put(tail: Tail, partition: int, offset: int, event_type: str = "a", *, most: int = MUCH) -> None:
    tail.put(b"%d/%d" % (partition, offset), event_type, at=0, partition=partition, offset=offset, most=most)


def seat(tail: Tail, *offsets: int, types: frozenset[str] = ALL, is_sure: bool = True) -> Seat:
    found = tail.seat(Places("t", dict(enumerate(offsets))), types, is_sure=is_sure)
    assert found is not None
    return found


def taken(one: Seat, limit: int = 1_000) -> list[str]:
    return [each.body.decode() for each in one.take(limit)]


def test_followers_share_one_copy_of_each_event() -> None:
    tail = opened(0, 0)
    first, second = seat(tail, 0, 0), seat(tail, 0, 0)
    put(tail, 0, 0)
    assert first.take(1)[0] is second.take(1)[0]


def test_who_is_ahead_of_the_tail_gets_nothing_twice_and_no_place_before_its_own() -> None:
    tail = opened(10, 10)
    ahead = seat(tail, 10, 10)
    assert tail.places == {0: 0, 1: 0}, "it reads some records before, for others"
    assert taken(ahead) == []
    assert ahead.places == Places("t", {0: 10, 1: 10})
    put(tail, 1, 9)
    put(tail, 0, 10)
    (one,) = ahead.take(10)
    assert one.places == Places("t", {0: 11, 1: 10}), "the tail itself is at 11 and 10"
    put(tail, 1, 10)
    put(tail, 0, 11)
    assert [each.places for each in ahead.take(10)] == [
        Places("t", {0: 11, 1: 11}),
        Places("t", {0: 12, 1: 11}),
    ]


def test_a_place_that_may_not_exist_is_not_waited_at() -> None:
    tail = opened(5, 5)
    assert tail.seat(Places("t", {0: 9, 1: 5}), ALL, is_sure=False) is None
    assert tail.seat(Places("other", {0: 5, 1: 5}), ALL, is_sure=True) is None
    assert tail.seat(Places("t", {0: 5, 1: 5, 2: 0}), ALL, is_sure=True) is None
    tail.close()
    assert tail.seat(Places("t", {0: 5, 1: 5}), ALL, is_sure=True) is None


def test_types_narrow_what_is_taken_and_not_where_one_is() -> None:
    tail = opened(0, 0)
    narrow = seat(tail, 0, 0, types=frozenset({"b"}))
    for offset, event_type in enumerate("abab"):
        put(tail, 0, offset, event_type)
    assert taken(narrow) == ["0/1", "0/3"]
    put(tail, 0, 4, "a")
    assert (taken(narrow), narrow.places) == ([], Places("t", {0: 5, 1: 0}))


def test_who_is_too_slow_falls_off() -> None:
    tail = opened(0, 0)
    slow = seat(tail, 0, 0)
    for offset in range(5):
        put(tail, 0, offset, most=18)  # two events of three bytes, and what is made of them
    assert (slow.is_over, taken(slow)) == (True, [])
    assert tail.seat(Places("t", {0: 2}), ALL, is_sure=True) is None
    assert taken(seat(tail, 3)) == ["0/3", "0/4"]


def test_few_forms_of_an_event_are_kept_whatever_is_asked_for() -> None:
    tail = opened(0, 0)
    put(tail, 0, 0)
    for number in range(10):
        tail.kept[0].keep(number, b"made")
    assert len(tail.kept[0].kept) == module.FRAMES


def test_one_event_is_kept_however_large_it_is() -> None:
    tail = opened(0, 0)
    put(tail, 0, 0, most=1)
    put(tail, 0, 1, most=1)
    assert [one.offset for one in tail.kept] == [1]


def test_what_is_taken_at_once_is_bounded() -> None:
    tail = opened(0, 0)
    one = seat(tail, 0, 0)
    large = b"x" * (module.TAKE_BYTES - 1)
    for offset in range(3):
        tail.put(large, "a", at=0, partition=0, offset=offset, most=MUCH)
    assert [len(one.take(10)) for _ in range(4)] == [1, 1, 1, 0]


def test_a_closed_tail_still_gives_what_it_has() -> None:
    tail = opened(0, 0)
    one = seat(tail, 0, 0)
    put(tail, 0, 0)
    tail.close()
    assert not one.is_over
    assert (taken(one), one.is_over) == (["0/0"], True)


def test_a_partition_that_is_new_is_followed_from_its_first_record() -> None:
    tail = opened(3, 3)
    one = seat(tail, 3, 3)
    tail.add(2)
    put(tail, 2, 0)
    assert (taken(one), one.places.offsets[2]) == (["2/0"], 1)


def test_retention_is_not_read_behind() -> None:
    assert opened(600, 900, firsts=(590, 0)).places == {0: 590, 1: 400}


async def test_a_bell_wakes_who_waits_and_remembers_nothing() -> None:
    bell = Bell()
    bell.ring()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(bell.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        bell.ring()
        bell.ring()


PUT, SKIP, TAKE, JOIN = range(4)
MOVES = st.lists(st.tuples(st.integers(PUT, JOIN), st.integers(0, 12), st.booleans()), max_size=60)


@settings(deadline=None)
@given(MOVES, st.tuples(st.integers(0, 12), st.integers(0, 12)), st.integers(2, 40))
def test_whoever_joins_gets_each_event_behind_its_place_once_and_in_order(
    moves: list[tuple[int, int, bool]], start: tuple[int, int], most: int
) -> None:
    tail = opened(*start)
    ends = dict(tail.places)
    events: list[tuple[int, int]] = []
    joined: list[tuple[Seat, dict[int, int], list[tuple[int, int]]]] = []
    for what, number, is_second in moves:
        partition = int(is_second)
        if what == PUT:
            tail.put(b"x", "a", at=0, partition=partition, offset=ends[partition], most=most)
            events.append((partition, ends[partition]))
            ends[partition] += 1
        elif what == SKIP:
            ends[partition] += 1
            tail.reach(partition, ends[partition])
        elif what == TAKE:
            for one, _, had in joined:
                had += [(each.partition, each.offset) for each in one.take(number % 5)]
        else:
            wanted = {0: number, 1: max(0, ends[1] - number) if is_second else number}
            found = tail.seat(Places("t", wanted), ALL, is_sure=True)
            joined += [] if found is None else [(found, wanted, [])]
    for one, wanted, had in joined:
        had += [(each.partition, each.offset) for each in one.take(1_000)]
        right = [place for place in events if place[1] >= wanted[place[0]]]
        # Who fell off has a beginning of it, and goes on from its place.
        assert had == right[: len(had)]
        assert one.is_over or had == right
