"""What every adapter of the broker port must do. Adapters differ in nothing that a caller may rely on."""

import asyncio

import pytest

from gateway.broker.port import (
    MAX_AHEAD_MS,
    BrokerError,
    Position,
    Read,
    Refused,
    Stored,
    TooHigh,
    TooLow,
    Topic,
    TopicChanged,
    TopicSpec,
    Unknown,
    record_bytes,
)
from tests import waiting
from tests.contract.broker_stands import (
    MAX_RECORD_BYTES,
    Stand,
    fresh_name,
    make_topic,
    now,
    read_until,
    record,
    start,
    until,
    values,
)


async def test_ensure_makes_a_topic_once(stand: Stand) -> None:
    name = fresh_name()
    first = await make_topic(stand.host, name, 2)
    again = await make_topic(stand.host, name, 2)
    assert first.id
    assert again == first
    assert first.mismatches == ()
    assert {there: topic.id for there, topic in (await stand.broker.describe([name])).items()} == {
        name: first.id
    }


async def test_describe_leaves_out_what_is_not_there(stand: Stand) -> None:
    assert await stand.broker.describe([fresh_name()]) == {}


async def test_topics_are_compared_and_none_is_made(stand: Stand) -> None:
    name, missing = fresh_name(), fresh_name()
    made = await make_topic(stand.host, name, 2)
    assert await stand.host.compare([TopicSpec(missing)]) == {}
    found = await stand.host.compare([TopicSpec(name, partitions=3), TopicSpec(missing)])
    assert {there: (topic.id, topic.partitions) for there, topic in found.items()} == {name: (made.id, 2)}
    assert found == await stand.host.ensure([TopicSpec(name, partitions=3)])
    assert len(found[name].mismatches) == 1
    assert await stand.broker.describe([missing]) == {}


async def test_ensure_reports_differences_and_changes_nothing(stand: Stand) -> None:
    name = fresh_name()
    made = await make_topic(stand.host, name, 2, retention_ms=60_000)
    other = TopicSpec(name, partitions=3, retention_ms=120_000)
    compacted = TopicSpec(name, partitions=2, compacted=True)
    for _ in range(2):
        found = (await stand.host.ensure([other]))[name]
        assert found.id == made.id
        assert len(found.mismatches) == 2
        assert all(name in words for words in found.mismatches)
    differences = (await stand.host.ensure([compacted]))[name].mismatches
    assert differences
    assert all(name in words for words in differences)


async def test_ensure_lengthens_a_topic_that_keeps_less_than_it_must_and_shortens_none(stand: Stand) -> None:
    name = fresh_name()
    made = await make_topic(stand.host, name, retention_ms=60_000)
    longer = TopicSpec(name, retention_ms=120_000, least_ms=90_000)
    (words,) = (await stand.host.compare([longer]))[name].mismatches
    assert name in words
    for _ in range(2):
        assert (await stand.host.ensure([longer]))[name] == Topic(made.id, keeps_ms=120_000)
    await kept(stand, longer, ())
    shorter = TopicSpec(name, retention_ms=60_000, least_ms=50_000)
    found = (await stand.host.ensure([shorter]))[name]
    assert (found.id, found.keeps_ms, len(found.mismatches)) == (made.id, 120_000, 1)
    await kept(stand, shorter, found.mismatches)
    for_ever = TopicSpec(name, least_ms=50_000)
    assert (await stand.host.ensure([for_ever]))[name].keeps_ms == 120_000


async def test_a_topic_that_keeps_for_ever_or_is_compacted_is_never_too_short(stand: Stand) -> None:
    name, compacted = fresh_name(), TopicSpec(fresh_name(), compacted=True, least_ms=90_000)
    await make_topic(stand.host, name)
    found = await stand.host.ensure([TopicSpec(name, retention_ms=120_000, least_ms=90_000), compacted])
    assert (found[name].keeps_ms, len(found[name].mismatches)) == (None, 1)
    assert found[compacted.name].mismatches == ()
    assert (await stand.host.ensure([TopicSpec(name, least_ms=90_000)]))[name].mismatches == ()


async def kept(stand: Stand, spec: TopicSpec, mismatches: tuple[str, ...]) -> None:
    """Wait until all of the broker tells the topic's settings so; a node may be a moment behind."""

    async def is_told() -> bool:
        return (await stand.host.compare([spec]))[spec.name].mismatches == mismatches

    await waiting.until(is_told, lambda: f"{spec} differs otherwise", pause=0.05)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "x" * 250])
async def test_a_name_that_is_none_is_refused(stand: Stand, name: str) -> None:
    with pytest.raises(BrokerError) as refused:
        await stand.host.ensure([TopicSpec(name)])
    assert refused.value.code == "broker_refused"


async def test_records_keep_their_order_in_each_partition(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name, 2)
    records = [record(name, b"%d" % n, partition=n % 2) for n in range(600)]
    answers = await stand.broker.append(records)
    assert answers == [Stored(Position(topic.id, n % 2, n // 2)) for n in range(600)]
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id, 0, 0), start(name, topic.id, 0, 1)])
    events = await read_until(reader, 600)
    for partition in (0, 1):
        mine = [
            event for event in events if isinstance(event, Read) and event.position.partition == partition
        ]
        assert values(mine) == [b"%d" % n for n in range(partition, 600, 2)]
        assert [event.position.offset for event in mine] == list(range(300))
    await reader.close()


async def test_a_patient_reader_gets_a_lone_record_too(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    reader = stand.broker.reader(patience_ms=200)
    reader.assign([start(name, topic.id)])
    for number in range(3):
        await stand.broker.append([record(name, b"%d" % number)])
        assert values(await read_until(reader, 1)) == [b"%d" % number]
    await reader.close()


async def test_a_record_comes_back_as_it_went(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    headers = (("a", b"1"), ("b", b""), ("a", b"2"), ("", b"nameless"), ("é", bytes(range(256))))
    sent = [
        record(name, b"both", key=b"key", headers=headers, at=now() - 12_345),
        record(name, None, key=b"key"),
        record(name, b"value", key=None),
        record(name, None, key=None),
        record(name, b"", key=b""),
    ]
    await stand.broker.append(sent)
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id)])
    events = await read_until(reader, len(sent))
    expected = [Read(Position(topic.id, 0, n), one, one.at) for n, one in enumerate(sent)]
    assert events == expected
    await reader.close()


async def test_refusals_are_certain_and_spare_the_rest(stand: Stand) -> None:
    name, unknown = fresh_name(), fresh_name()
    topic = await make_topic(stand.host, name)
    answers = await stand.broker.append(
        [
            record(name, b"first"),
            record(unknown),
            record(name, partition=7),
            record(name, bytes(MAX_RECORD_BYTES)),
            record(name, at=now() + MAX_AHEAD_MS + 60_000),
            record(name, at=-1),
            record(name, headers=(("\ud800", b""),)),
            record(name, b"last"),
        ]
    )
    codes = [answer.code if isinstance(answer, Refused) else None for answer in answers]
    assert codes == [
        None,
        "unknown_topic",
        "unknown_topic",
        "too_large",
        "invalid",
        "invalid",
        "invalid",
        None,
    ]
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id)])
    assert values(await read_until(reader, 2)) == [b"first", b"last"]
    await reader.close()


async def test_the_largest_record_fits_and_one_byte_more_does_not(stand: Stand) -> None:
    name = fresh_name()
    await make_topic(stand.host, name)
    headers = (("ce_id", b"1"),) * 20
    empty = record(name, b"", headers=headers)
    room = stand.broker.max_record_bytes - record_bytes(empty)
    fits, does_not = (record(name, bytes(size), headers=headers) for size in (room, room + 1))
    largest, larger = await stand.broker.append([fits, does_not])
    assert isinstance(largest, Stored)
    assert isinstance(larger, Refused)
    assert larger.code == "too_large"


async def test_a_compacted_topic_wants_keys(stand: Stand) -> None:
    name = fresh_name()
    await stand.host.ensure([TopicSpec(name, compacted=True)])
    first, refused, last = await stand.broker.append([record(name), record(name, key=None), record(name)])
    assert isinstance(first, Stored)
    assert isinstance(refused, Refused)
    assert refused.code == "invalid"
    assert isinstance(last, Stored)


async def test_nothing_to_append_is_no_question(stand: Stand) -> None:
    assert await stand.broker.append([]) == []


async def test_bounds_tell_the_first_and_the_next_offset(stand: Stand) -> None:
    name = fresh_name()
    await make_topic(stand.host, name, 2)
    await stand.broker.append([record(name, partition=1)] * 3)
    assert await stand.broker.bounds([(name, 1), (name, 0)]) == [(0, 3), (0, 0)]
    assert await stand.broker.bounds([]) == []


async def test_bounds_of_an_unknown_partition_are_an_error(stand: Stand) -> None:
    name = fresh_name()
    await make_topic(stand.host, name)
    for partition in ((fresh_name(), 0), (name, 1)):
        with pytest.raises(BrokerError) as unknown:
            await stand.broker.bounds([(name, 0), partition])
        assert unknown.value.code == "topic_unknown"
        with pytest.raises(BrokerError) as unknown:
            await stand.broker.offset_at(partition, 0)
        assert unknown.value.code == "topic_unknown"


async def test_offset_at_finds_the_first_record_of_a_time(stand: Stand) -> None:
    name, base = fresh_name(), now() - 1_000_000
    await make_topic(stand.host, name)
    assert await stand.broker.offset_at((name, 0), base) == 0
    times = [base, base + 10, base + 5, base + 5, base + 30, base + 20]
    # Each in an append of its own: Kafka looks up times by batch.
    for at in times:
        await stand.broker.append([record(name, at=at)])
    for asked in (0, base, base + 1, base + 10, base + 11, base + 30):
        expected = next(n for n, at in enumerate(times) if at >= asked)
        assert await stand.broker.offset_at((name, 0), asked) == expected, asked - base
    assert await stand.broker.offset_at((name, 0), base + 31) == len(times)


async def test_offset_at_passes_over_nothing_that_comes_meanwhile(stand: Stand) -> None:
    name, places = fresh_name(), 40
    await make_topic(stand.host, name, places)

    async def ask(partition: int) -> int:
        appending = asyncio.create_task(stand.broker.append([record(name, partition=partition)]))
        await asyncio.sleep(partition % 8 / 1000)
        found = await stand.broker.offset_at((name, partition), 0)
        assert [type(one) for one in await appending] == [Stored]
        return found

    assert [await ask(partition) for partition in range(places)] == [0] * places


async def test_a_waiting_reader_is_woken_by_an_append(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id)])
    assert await reader.poll(10, 0) == []
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waiting = group.create_task(reader.poll(10, 60_000))
        await asyncio.sleep(0.3)
        await stand.broker.append([record(name, b"wake")])
    assert values(waiting.result()) == [b"wake"]
    await reader.close()


async def test_a_poll_without_events_ends_after_its_wait(stand: Stand) -> None:
    reader = stand.broker.reader()
    assert await reader.poll(10, 50) == []
    await reader.close()


async def test_a_poll_returns_no_more_than_its_limit(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    await stand.broker.append([record(name, b"%d" % n) for n in range(25)])
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id)])
    events: list[object] = []
    while len(events) < 25:
        page = await reader.poll(10, 1_000)
        assert len(page) <= 10
        events += page
        assert reader.reached(name, 0) == len(events)
    await reader.close()


async def test_every_partition_gets_its_turn(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name, 3)
    await stand.broker.append([record(name, partition=n) for n in (0, 1, 2) for _ in range(40)])
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id, partition=n) for n in range(3)])
    events = await read_until(reader, 120)
    assert sorted(event.position.partition for event in events if isinstance(event, Read)) == sorted(
        [0, 1, 2] * 40
    )
    assert [reader.reached(name, n) for n in range(3)] == [40, 40, 40]
    await reader.close()


async def test_readers_do_not_disturb_each_other(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    readers = [stand.broker.reader() for _ in range(3)]
    for n, reader in enumerate(readers):
        reader.assign([start(name, topic.id, n)])
    await stand.broker.append([record(name, b"%d" % n) for n in range(4)])
    for n, reader in enumerate(readers):
        assert values(await read_until(reader, 4 - n)) == [b"%d" % m for m in range(n, 4)]
        await reader.close()


async def test_partitions_are_added_moved_and_released_while_reading(stand: Stand) -> None:
    one, two = fresh_name(), fresh_name()
    ids = {name: (await make_topic(stand.host, name)).id for name in (one, two)}
    for name in (one, two):
        await stand.broker.append([record(name, name.encode() + b"%d" % n) for n in range(3)])
    reader = stand.broker.reader()
    assert reader.reached(one, 0) is None
    reader.assign([start(one, ids[one])])
    assert reader.reached(one, 0) == 0
    assert len(await read_until(reader, 3)) == 3
    reader.assign([start(two, ids[two], 1)])
    assert values(await read_until(reader, 2)) == [two.encode() + b"1", two.encode() + b"2"]
    reader.assign([start(one, ids[one], 2)])
    assert reader.reached(one, 0) == 2
    assert values(await read_until(reader, 1)) == [one.encode() + b"2"]
    reader.release([(one, 0), (fresh_name(), 0)])
    assert reader.reached(one, 0) is None
    await stand.broker.append([record(one, b"unseen"), record(two, b"seen")])
    assert values(await read_until(reader, 1)) == [b"seen"]
    assert await reader.poll(10, 300) == []
    await reader.close()


async def test_a_partition_moved_back_has_not_reached_what_it_read_before(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    await stand.broker.append([record(name, b"%d" % n) for n in range(50)])
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id)])
    await read_until(reader, 50)
    reader.assign([start(name, topic.id, 10)])
    assert reader.reached(name, 0) == 10
    reached, count = 10, 0
    while count < 40:
        page = await reader.poll(1, 0)
        count += len(page)
        reached = reader.reached(name, 0) or 0
        assert reached == 10 + count
    await reader.close()


async def test_a_partition_that_is_moved_while_it_is_polled_is_read_from_there(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    await stand.broker.append([record(name, b"%d" % number) for number in range(6)])
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id, 4)])
    polling = asyncio.create_task(reader.poll(10, 1_000))
    await asyncio.sleep(0)
    assert not polling.done()
    reader.release([(name, 0)])
    reader.assign([start(name, topic.id, 1)])
    found = await polling
    async with asyncio.timeout(60):
        while len(found) < 5:
            found += await reader.poll(10, 200)
    assert values(found) == [b"1", b"2", b"3", b"4", b"5"]
    await reader.close()


async def test_what_was_read_before_a_partition_was_moved_is_known_by_its_assignment(stand: Stand) -> None:
    one, two = fresh_name(), fresh_name()
    ids = {name: (await make_topic(stand.host, name)).id for name in (one, two)}
    for name in (one, two):
        await stand.broker.append([record(name, name.encode() + b"%d" % n) for n in range(3)])
    of_two = [two.encode() + b"%d" % n for n in range(3)]
    reader = stand.broker.reader()
    reader.assign([start(one, ids[one]), start(two, ids[two])])
    first = await read_until(reader, 6)
    assert all(map(reader.is_current, first))
    reader.assign([start(one, ids[one], 3)])
    assert values([event for event in first if reader.is_current(event)]) == of_two
    reader.assign([start(one, ids[one], 1)])
    again = await read_until(reader, 2)
    assert [reader.is_current(event) for event in again] == [True, True]
    assert values([event for event in first if reader.is_current(event)]) == of_two
    reader.release([(two, 0)])
    assert not any(map(reader.is_current, first))
    reader.assign([start(two, ids[two], 9)])
    (beyond,) = await read_until(reader, 1)
    assert isinstance(beyond, TooHigh)
    assert reader.is_current(beyond), "that it is read no longer was the reader's own doing"
    reader.assign([start(two, ids[two], 3)])
    assert not reader.is_current(beyond)
    await reader.close()


async def test_a_cancelled_poll_loses_nothing(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id)])
    seen: list[bytes | None] = []
    for n in range(20):
        await stand.broker.append([record(name, b"%d" % n)])
        poll = asyncio.timeout(0.005 * (n % 4))
        try:
            async with poll:
                seen += values(await reader.poll(10, 10_000))
        except TimeoutError:
            assert poll.expired()
    while len(seen) < 20:
        seen += values(await reader.poll(10, 1_000))
    assert seen == [b"%d" % n for n in range(20)]
    await reader.close()


async def test_what_retention_took_is_reported_as_a_hole(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name, retention_ms=3_600_000)
    await stand.broker.append([record(name, at=now() - 2 * 3_600_000)] * 3 + [record(name, b"kept")])
    await stand.expire(name, 3)
    assert await stand.broker.bounds([(name, 0)]) == [(3, 4)]
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id, 1)])
    assert await read_until(reader, 1) == [TooLow(name, Position(topic.id, 0, 1), 3)]
    assert reader.reached(name, 0) is None
    assert await reader.poll(10, 300) == []
    reader.assign([start(name, topic.id, 3)])
    assert values(await read_until(reader, 1)) == [b"kept"]
    await reader.close()


async def test_a_position_beyond_the_end_is_reported(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    await stand.broker.append([record(name)] * 2)
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id, 9)])
    assert await read_until(reader, 1) == [TooHigh(name, Position(topic.id, 0, 9), 2)]
    assert reader.reached(name, 0) is None
    reader.assign([start(name, topic.id, 2)])
    await stand.broker.append([record(name, b"next")])
    assert values(await read_until(reader, 1)) == [b"next"]
    await reader.close()


async def test_a_deleted_topic_is_reported(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id)])
    assert await reader.poll(10, 0) == []
    await stand.delete(name)
    # Within two seconds, as unit tests of each adapter show.
    assert await read_until(reader, 1) == [TopicChanged(name, topic.id, None)]
    assert reader.reached(name, 0) is None
    await reader.close()


async def test_a_topic_made_again_is_reported_once_for_all_its_partitions(stand: Stand) -> None:
    name = fresh_name()
    old = await make_topic(stand.host, name, 2)
    await stand.broker.append([record(name, partition=n % 2) for n in range(10)])
    reader = stand.broker.reader()
    reader.assign([start(name, old.id, 5, 0), start(name, old.id, 5, 1)])
    assert await reader.poll(10, 0) == []
    await stand.delete(name)
    new = await make_topic(stand.host, name, 2)
    assert new.id != old.id
    (changed,) = await read_until(reader, 1)
    assert isinstance(changed, TopicChanged)
    assert (changed.topic, changed.old_id) == (name, old.id)
    assert changed.new_id in {None, new.id}
    assert [reader.reached(name, n) for n in (0, 1)] == [None, None]
    reader.assign([start(name, new.id)])
    (answer,) = await stand.broker.append([record(name, b"new")])
    assert answer == Stored(Position(new.id, 0, 0))
    assert values(await read_until(reader, 1)) == [b"new"]
    await reader.close()


async def test_a_position_in_a_topic_of_another_id_is_refused(stand: Stand) -> None:
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    reader = stand.broker.reader()
    reader.assign([start(name, "not-the-id", 0)])
    assert await read_until(reader, 1) == [TopicChanged(name, "not-the-id", topic.id)]
    await reader.close()


async def test_a_restart_keeps_everything(stand: Stand) -> None:
    name = fresh_name()
    before = await make_topic(stand.host, name)
    sent = [record(name, b"%d" % n, headers=(("h", b""),)) for n in range(5)]
    await stand.broker.append(sent)
    await stand.reopen()
    assert (await make_topic(stand.host, name)).id == before.id
    (answer,) = await stand.broker.append([record(name, b"after")])
    assert answer == Stored(Position(before.id, 0, 5))
    reader = stand.broker.reader()
    reader.assign([start(name, before.id)])
    events = await read_until(reader, 6)
    assert [event.record for event in events if isinstance(event, Read)][:5] == sent
    await reader.close()


async def test_a_silent_broker_leaves_appends_unknown_and_reading_goes_on_afterwards(stand: Stand) -> None:
    await stand.hurry()
    name = fresh_name()
    topic = await make_topic(stand.host, name)
    reader = stand.broker.reader()
    reader.assign([start(name, topic.id)])
    await stand.broker.append([record(name, b"before")])
    assert values(await read_until(reader, 1)) == [b"before"]
    await stand.silence()
    async with asyncio.timeout(60):
        answers = await stand.broker.append([record(name, b"during"), record(fresh_name(), b"x" * 30_000)])
        assert await reader.poll(0, 100) == []
    await stand.restore()
    assert isinstance(answers[0], Unknown)
    assert not isinstance(answers[1], Stored)
    stored = False
    while not stored:
        (answer,) = await stand.broker.append([record(name, b"after")])
        stored = isinstance(answer, Stored)
    seen: list[bytes | None] = []
    while b"after" not in seen:
        seen += values(await reader.poll(10, 1_000))
    assert set(seen) <= {b"during", b"after"}
    # It is looked for once a second.
    await until(lambda: stand.broker.away_for_ms() == 0)
    assert stand.broker.is_taking()
    await reader.close()


async def test_closing_twice_is_harmless(stand: Stand) -> None:
    reader = stand.broker.reader()
    await reader.close()
    await reader.close()
    await stand.broker.close()
    await stand.broker.close()
    (answer,) = await stand.broker.append([record("partners.acme.inbound")])
    assert isinstance(answer, Refused)
    assert answer.code == "unavailable"
