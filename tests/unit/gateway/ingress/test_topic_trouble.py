import pytest

from gateway.broker.port import Position, Record, Refused, Stored, Unknown
from gateway.ingress.topic_trouble import TopicTrouble

TOPIC = "partners.acme.inbound"
STORED = Stored(Position("id", 0, 7))


def record(size: int = 100, topic: str = TOPIC) -> Record:
    return Record(topic, 0, None, b"x" * size, (), 5)


def met(*answers: tuple[Record, Stored | Refused | Unknown]) -> list[str]:
    """The warnings after these answers, one append each."""
    trouble = TopicTrouble(1_000_000)
    for asked, answer in answers:
        trouble.note([asked], [answer])
    return trouble.warnings()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("too_large", f"--entity-name {TOPIC} --add-config max.message.bytes=1048000"),
        ("clock", "set both by NTP"),
        ("unknown_topic", "its partition 0, is not there; a missing topic is made again"),
    ],
)
def test_a_refusal_is_told_with_its_mend_until_a_record_passes(code: str, words: str) -> None:
    (told,) = met((record(), Refused(code, "no")))
    assert words in told
    assert met((record(), Refused(code, "no")), (record(), STORED)) == []


@pytest.mark.parametrize("code", ["unavailable", "invalid", "storage_full"])
def test_what_no_topic_is_to_blame_for_is_not_told(code: str) -> None:
    assert met((record(), Refused(code, "no")), (record(), Unknown("?"))) == []


def test_a_smaller_record_does_not_show_that_a_larger_one_would_pass() -> None:
    refused = (record(5_000), Refused("too_large", "no"))
    assert len(met(refused, (record(4_999), STORED))) == 1
    assert met(refused, (record(5_000), STORED)) == []


def test_the_largest_refused_record_is_the_one_that_counts() -> None:
    small, large = (record(size) for size in (5_000, 6_000))
    refused = Refused("too_large", "no")
    (told,) = met((small, refused), (large, refused), (small, refused), (small, STORED))
    assert "a record of 6000 bytes" in told


def test_topics_are_told_of_apart() -> None:
    other = record(topic="partners.other.inbound")
    answers = [(record(), Refused("clock", "no")), (other, Refused("clock", "no"))]
    assert len(met(*answers)) == 2
    (left,) = met(*answers, (other, STORED))
    assert left.startswith(TOPIC)


def test_a_name_that_stands_for_another_topic_is_noticed_once() -> None:
    trouble = TopicTrouble(1)
    known = {TOPIC: "a"}
    assert [trouble.is_other(TOPIC, each, known) for each in ("a", "b", "b", "a")] == [
        False,
        True,
        False,
        True,
    ]


def test_an_append_that_is_late_does_not_undo_what_a_reader_found() -> None:
    trouble = TopicTrouble(1)
    assert not trouble.is_other(TOPIC, "a", {TOPIC: "a"})
    assert not trouble.is_other(TOPIC, "a", {TOPIC: "b"})
