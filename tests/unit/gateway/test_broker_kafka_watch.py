"""The watch over topics, with a Kafka and a clock that are fakes: how soon a change is told, and when not."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from gateway.broker.kafka_admin import RENEW_SECONDS, KafkaAdmin
from gateway.broker.kafka_fetcher import _SLICE_SECONDS
from gateway.broker.kafka_watch import (
    EACH_ROUND,
    PROMPT_SECONDS,
    ROUND_SECONDS,
    SHARE_SECONDS,
    TURNS,
    KafkaWatch,
)

TOPIC = "partners.acme.inbound"
PROMISED_SECONDS = 2.0
LONG_SECONDS = 12.0


class Time:
    """Runs only while somebody waits; until `begin` is set, nobody does."""

    def __init__(self, until: float = LONG_SECONDS) -> None:
        self.now = 0.0
        self._until = until
        self.begin = threading.Event()

    def monotonic(self) -> float:
        return self.now

    def pause(self, seconds: float) -> bool:
        assert self.begin.wait(30)
        self.now += seconds
        return self.now > self._until


class Kafka:
    """Answers after `seconds` with what was so when it was asked. `ids`: which one holds from when on."""

    def __init__(self, time: Time, seconds: float, ids: Mapping[float, str | None]) -> None:
        self._time = time
        self._seconds = seconds
        self._ids = ids
        self.is_silent = False
        self.is_denied = False
        self.asked: list[float] = []

    def describe_topics(self, topics: TopicCollection, **__: Any) -> dict[str, "Future[Any]"]:
        del topics
        self.asked.append(self._time.now)
        topic_id = self._ids[max(at for at in self._ids if at <= self._time.now)]
        self._time.now += self._seconds
        answer: Future[Any] = Future()
        if self.is_silent:
            answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        elif self.is_denied:
            answer.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
        elif topic_id is None:
            answer.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
        else:
            answer.set_result(SimpleNamespace(topic_id=topic_id))
        return {TOPIC: answer}


class Reader:
    """Notes what it is told, and when."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.told: list[tuple[float, str | None]] = []

    def topics(self) -> set[tuple[str, str]]:
        return set() if self.told else {(TOPIC, "old")}

    def compare(self, changed: Mapping[tuple[str, str], str | None]) -> None:
        self.told += [(self._time.now, topic_id) for topic_id in changed.values()]


def admin_of(*kafkas: Kafka) -> KafkaAdmin:
    """One client after the other."""
    left = iter(kafkas)
    return KafkaAdmin(lambda: cast("AdminClient", next(left)))


def watch(time: Time, kafka: Kafka) -> tuple[KafkaWatch, Reader]:
    """A watch that has run until the end of its time, and who was told."""
    made = KafkaWatch(admin_of(kafka), monotonic=time.monotonic, pause=time.pause)
    reader = Reader(time)
    made.remember({TOPIC: "old"})
    made.join(reader)
    time.begin.set()
    made.close()
    return made, reader


@pytest.mark.parametrize("new_id", ["new", None])
@pytest.mark.parametrize("seconds", [0.0, PROMPT_SECONDS / 2, PROMPT_SECONDS])
def test_a_change_is_told_within_two_seconds_whenever_it_comes(seconds: float, new_id: str | None) -> None:
    for tenth in range(20, 60):
        time, changed_at = Time(), tenth / 20
        _, reader = watch(time, Kafka(time, seconds, {0.0: "old", changed_at: new_id}))
        ((told_at, told_id),) = reader.told
        assert told_id == new_id
        # The reader's own thread looks up from a poll as often as its slice says.
        assert told_at + _SLICE_SECONDS - changed_at <= PROMISED_SECONDS


def test_a_change_just_after_a_question_is_the_worst_and_still_in_time() -> None:
    time = Time()
    calm = Kafka(time, PROMPT_SECONDS, {0.0: "old"})
    watch(time, calm)
    time = Time()
    changed_at = calm.asked[1] + 0.001
    _, reader = watch(time, Kafka(time, PROMPT_SECONDS, {0.0: "old", changed_at: "new"}))
    ((told_at, _),) = reader.told
    assert 1.5 < told_at - changed_at <= PROMISED_SECONDS - _SLICE_SECONDS


def test_what_is_remembered_while_a_change_is_told_is_not_lost() -> None:
    time = Time()
    made = KafkaWatch(admin_of(Kafka(time, 0.0, {0.0: "old"})), monotonic=time.monotonic, pause=time.pause)
    made.remember({TOPIC: "old"})
    other = threading.Thread(target=made.remember, args=({"new.topic": "new"},))

    class Changed(dict[tuple[str, str], str | None]):
        """While it is asked what has changed, somebody else remembers a topic, as far as it is let."""

        def get(self, known: tuple[str, str], default: Any = None) -> Any:
            if not other.ident:
                other.start()
                other.join(0.2)
            return super().get(known, default)

    made._tell(Changed({(TOPIC, "old"): "newer"}))
    other.join()
    assert (made.id_of(TOPIC), made.id_of("new.topic")) == ("newer", "new")
    time.begin.set()
    made.close()


class Slow(Reader):
    """Relies on the former topic as long as it is not asked for another one."""

    def __init__(self, time: Time) -> None:
        super().__init__(time)
        self.all_told: list[tuple[str, str]] = []

    def topics(self) -> set[tuple[str, str]]:
        return {(TOPIC, "old")}

    def compare(self, changed: Mapping[tuple[str, str], str | None]) -> None:
        self.all_told += changed


def test_what_was_made_again_while_its_former_topic_was_found_to_be_gone_is_not_gone() -> None:
    time = Time(until=6.0)

    class Late(Kafka):
        """The topic is made again as soon as it was seen twice to be gone."""

        def describe_topics(self, topics: TopicCollection, **more: Any) -> dict[str, "Future[Any]"]:
            found = super().describe_topics(topics, **more)
            if len(self.asked) == 4:
                made.remember({TOPIC: "new"})
            return found

    made = KafkaWatch(
        admin_of(Late(time, 0.0, {0.0: "old", 2.0: None, 3.2: "new"})),
        monotonic=time.monotonic,
        pause=time.pause,
    )
    reader = Slow(time)
    made.remember({TOPIC: "old"})
    made.join(reader)
    time.begin.set()
    made.close()
    assert set(reader.all_told) == {(TOPIC, "old")}
    assert made.id_of(TOPIC) == "new"


def test_what_is_seen_once_and_then_no_more_is_not_told() -> None:
    time = Time()
    calm = Kafka(time, 0.0, {0.0: "old"})
    watch(time, calm)
    time = Time()
    _, reader = watch(time, Kafka(time, 0.0, {0.0: "old", calm.asked[1]: None, calm.asked[1] + 0.1: "old"}))
    assert reader.told == []


def test_a_slow_kafka_is_given_rest_and_not_called_away() -> None:
    time = Time()
    kafka = Kafka(time, 1.5, {0.0: "old", 3.0: "new"})
    made, reader = watch(time, kafka)
    assert [topic_id for _, topic_id in reader.told] == ["new"]
    assert made.away_for_ms() == 0
    pauses = [after - before - 1.5 for before, after in zip(kafka.asked, kafka.asked[1:], strict=False)]
    assert min(pauses) > 0.05


def test_a_silent_kafka_is_away_and_changes_nothing() -> None:
    time = Time()
    kafka = Kafka(time, 2.0, {0.0: "old"})
    kafka.is_silent = True
    made, reader = watch(time, kafka)
    assert made.away_for_ms() > 0
    assert (reader.told, made.id_of(TOPIC)) == ([], "old")


def test_a_client_that_hears_nothing_for_long_is_replaced_and_the_next_is_given_as_long() -> None:
    time = Time(30.0)
    deaf = [Kafka(time, 0.5, {0.0: "old"}) for _ in range(2)]
    for one in deaf:
        one.is_silent = True
    well = Kafka(time, 0.5, {0.0: "new"})
    made = KafkaWatch(admin_of(*deaf, well), monotonic=time.monotonic, pause=time.pause)
    reader = Reader(time)
    made.join(reader)
    time.begin.set()
    made.close()
    begun, again, at_last = (one.asked[0] for one in (*deaf, well))
    assert RENEW_SECONDS < again - begun < RENEW_SECONDS + 2 * ROUND_SECONDS
    assert RENEW_SECONDS < at_last - again < RENEW_SECONDS + 2 * ROUND_SECONDS
    assert [told for _, told in reader.told] == ["new"]
    assert made.away_for_ms() == 0


def test_a_client_that_cannot_be_made_leaves_the_old_one() -> None:
    old = cast("AdminClient", object())

    def make() -> AdminClient:
        if made:
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG))
        return old

    made: list[KafkaAdmin] = []
    made.append(KafkaAdmin(make))
    made[0].renew()
    assert made[0].client is old


def test_a_kafka_that_lets_us_see_nothing_is_not_away_and_changes_nothing() -> None:
    time = Time()
    kafka = Kafka(time, 0.0, {0.0: "old"})
    kafka.is_denied = True
    made, reader = watch(time, kafka)
    assert made.away_for_ms() == 0
    assert (reader.told, made.id_of(TOPIC)) == ([], "old")


class Clumsy(Reader):
    """Fails once."""

    has_failed = False

    def topics(self) -> set[tuple[str, str]]:
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError("a bug of ours")
        return super().topics()


def test_a_round_that_fails_does_not_end_the_watch() -> None:
    time = Time()
    made = KafkaWatch(
        admin_of(Kafka(time, 0.0, {0.0: "old", 3.0: "new"})),
        monotonic=time.monotonic,
        pause=time.pause,
    )
    reader = Clumsy(time)
    made.remember({TOPIC: "old"})
    made.join(reader)
    time.begin.set()
    made.close()
    assert reader.has_failed
    assert [told for _, told in reader.told] == ["new"]


@pytest.mark.parametrize("topic_id", [None, "somebody's"])
def test_without_topics_any_answer_of_kafka_is_one(topic_id: str | None) -> None:
    time = Time()
    kafka = Kafka(time, 0.0, {0.0: topic_id})
    watch = KafkaWatch(admin_of(kafka), monotonic=time.monotonic, pause=lambda _: True)
    assert watch.ask([]) == {}
    kafka.is_silent = True
    assert watch.ask([]) is None
    watch.close()


class ManyTopics(Kafka):
    """All of them as `ids` says, but for `late`, which is another from `changed_at` on."""

    def __init__(self, time: Time, seconds: float, late: str, changed_at: float) -> None:
        super().__init__(time, seconds, {0.0: "old"})
        self._late, self._changed_at = late, changed_at
        self.names: list[list[str]] = []

    def describe_topics(self, topics: TopicCollection, **__: Any) -> dict[str, "Future[Any]"]:
        (old,) = super().describe_topics(topics).values()
        changed: Future[Any] = Future()
        changed.set_result(SimpleNamespace(topic_id="new"))
        names = [str(name) for name in topics.topic_names]
        self.names.append(names)
        is_changed = self._time.now >= self._changed_at
        return {name: changed if is_changed and name == self._late else old for name in names}


def test_of_many_topics_each_has_its_turn_and_no_round_takes_more_than_its_share() -> None:
    topics = [f"partners.p{number:04}.inbound" for number in range(1_000)]
    for late in (topics[0], topics[517], topics[-1]):
        time = Time(until=20.0)
        kafka = ManyTopics(time, 0.01, late, 5.0)
        made = KafkaWatch(admin_of(kafka), monotonic=time.monotonic, pause=time.pause)
        reader = Reader(time)
        made.remember(dict.fromkeys(topics, "old"))
        made.join(reader)
        time.begin.set()
        made.close()
        ((told_at, told_id),) = reader.told
        assert told_id == "new"
        questions = -(-len(topics) // 40)
        rounds = -(-questions // 5)
        assert told_at - 5.0 <= (rounds + 1) * ROUND_SECONDS + PROMISED_SECONDS
        asked_again = [names for names in kafka.names if names == [late]]
        assert len(asked_again) == 1
        per_second = (len(kafka.asked) - 1) / 20.0
        assert per_second * 0.01 <= 1.3 * SHARE_SECONDS / ROUND_SECONDS


@pytest.mark.parametrize("count", [EACH_ROUND, 1_000, 10 * EACH_ROUND])
def test_of_few_topics_all_are_asked_for_in_a_round_and_of_many_a_third(count: int) -> None:
    topics = [f"partners.p{number:04}.inbound" for number in range(count)]
    time = Time(until=9.95 * ROUND_SECONDS)
    kafka = ManyTopics(time, 0.0, "", 0.0)
    made = KafkaWatch(admin_of(kafka), monotonic=time.monotonic, pause=time.pause)
    made.remember(dict.fromkeys(topics, "old"))
    time.begin.set()
    made.close()
    rounds: dict[float, list[str]] = {}
    for at, names in zip(kafka.asked, kafka.names, strict=True):
        rounds.setdefault(at, []).extend(names)
    asked = list(rounds.values())
    turns = 1 if count == EACH_ROUND else TURNS
    assert len(asked) == 9
    assert {len(names) for names in asked} == {-(-count // turns)}
    for first in range(len(asked) - turns + 1):
        assert set().union(*asked[first : first + turns]) == set(topics)
