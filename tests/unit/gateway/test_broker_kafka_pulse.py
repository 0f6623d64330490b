"""Partitions that acknowledge nothing: known soon, fed no further but for a probe, and well again by it."""

from gateway.broker.kafka_pulse import PATIENCE_SECONDS, REST_SECONDS, KafkaPulse
from gateway.broker.port import AWAY_MS

A, B, C = (("partners.a.inbound", 0), ("partners.b.inbound", 0), ("partners.c.inbound", 0))
LATE = PATIENCE_SECONDS + 0.5


class Clock:
    """Seconds, as told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[Clock, KafkaPulse]:
    clock = Clock()
    return clock, KafkaPulse(clock)


def test_what_is_acknowledged_in_time_is_never_closed() -> None:
    clock, pulse = make()
    for _ in range(10):
        pulse.sent(A)
        pulse.sent(A)
        clock.now += 1
        pulse.stored(A)
        assert pulse.closed([A, B]) == {}
        assert pulse.silent_for_ms() == 0
        pulse.stored(A)
    assert pulse.warnings() == []


def test_a_partition_that_hangs_is_closed_and_the_others_are_not() -> None:
    clock, pulse = make()
    pulse.sent(A)
    clock.now += LATE
    pulse.sent(B)
    assert set(pulse.closed([A, B])) == {A}
    pulse.stored(B)
    assert pulse.silent_for_ms() == 0
    (words,) = pulse.warnings()
    assert words.startswith("partners.a.inbound [0]: Kafka has acknowledged no record for 2 s: ")
    assert "kafka-topics.sh --describe --under-min-isr-partitions" in words


def test_after_a_failure_one_append_at_a_time_is_the_probe_and_its_success_opens() -> None:
    clock, pulse = make()
    pulse.sent(A)
    clock.now += 5
    pulse.failed(A, "timed out", counts=True)
    assert set(pulse.closed([A])) == {A}
    clock.now += REST_SECONDS
    assert pulse.closed([A]) == {}
    pulse.sent(A)
    assert set(pulse.closed([A])) == {A}
    assert "no record for 6 s: timed out" in pulse.warnings()[0]
    pulse.stored(A)
    assert pulse.closed([A]) == {}
    assert pulse.warnings() == []


def test_a_record_that_was_judged_bad_closes_nothing() -> None:
    clock, pulse = make()
    pulse.sent(A)
    pulse.failed(A, "too large", counts=False)
    assert pulse.closed([A]) == {}
    clock.now += LATE
    assert (pulse.warnings(), pulse.silent_for_ms()) == ([], 0)


def test_silence_is_that_of_several_topics_and_ends_with_any_acknowledgement() -> None:
    clock, pulse = make()
    pulse.sent(A)
    pulse.sent(B)
    clock.now += LATE
    assert pulse.silent_for_ms() == int(LATE * 1000)
    pulse.failed(A, "timed out", counts=True, is_mute=True)
    assert pulse.silent_for_ms() == int(LATE * 1000)
    pulse.stored(B)
    assert pulse.silent_for_ms() == 0


def test_one_topic_that_hangs_is_no_silence_however_quiet_the_others_are() -> None:
    clock, pulse = make()
    pulse.sent(A)
    pulse.sent((A[0], 1))
    clock.now += LATE
    assert pulse.silent_for_ms() == 0
    pulse.failed(A, "timed out", counts=True, is_mute=True)
    assert pulse.silent_for_ms() == 0
    assert set(pulse.closed([A, B])) == {A}


def test_topics_that_kafka_refuses_are_no_silence() -> None:
    clock, pulse = make()
    for place in (A, B):
        pulse.sent(place)
        pulse.failed(place, "TOPIC_AUTHORIZATION_FAILED", counts=True)
    for _ in range(50):
        clock.now += REST_SECONDS
        for place in (A, B):
            pulse.sent(place)
            pulse.failed(place, "TOPIC_AUTHORIZATION_FAILED", counts=True)
        assert pulse.silent_for_ms() == 0
    pulse.sent(C)
    pulse.stored(C)
    assert set(pulse.closed([A, B, C])) == {A, B}


def test_silence_that_nobody_tries_any_more_gives_way_so_that_somebody_can() -> None:
    clock, pulse = make()
    for place in (A, B):
        pulse.sent(place)
    clock.now += LATE
    for place in (A, B):
        pulse.failed(place, "timed out", counts=True, is_mute=True)
    assert pulse.silent_for_ms() > 0
    clock.now += REST_SECONDS
    assert pulse.silent_for_ms() == 0
    assert len(pulse.warnings()) == 2


def test_an_old_failure_is_forgotten() -> None:
    clock, pulse = make()
    pulse.sent(A)
    clock.now += LATE
    pulse.failed(A, "timed out", counts=True)
    clock.now += 601
    assert pulse.warnings() == []


def test_where_kafka_is_silent_one_in_a_while_is_tried_and_its_success_lets_all_in() -> None:
    """Two topics without a leader beside one that is well and was quiet."""
    clock, pulse = make()
    pulse.sent(A)
    pulse.sent(B)
    assert pulse.is_taking()
    clock.now += LATE
    assert pulse.silent_for_ms() > AWAY_MS
    assert [pulse.is_taking() for _ in range(3)] == [True, False, False]
    clock.now += REST_SECONDS - 0.1
    assert not pulse.is_taking()
    clock.now += 0.1
    assert pulse.is_taking()
    pulse.sent(C)
    pulse.stored(C)
    assert [pulse.is_taking() for _ in range(3)] == [True, True, True]
    assert set(pulse.closed([A, B, C])) == {A, B}
