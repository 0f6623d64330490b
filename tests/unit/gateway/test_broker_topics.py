import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.topics import LONGEST, partner_topic, verify_topic_name


def test_a_partner_has_a_topic_for_each_direction() -> None:
    assert partner_topic("partners.", "acme", "inbound") == "partners.acme.inbound"
    assert partner_topic("eu.partners.", "acme-2", "outbound") == "eu.partners.acme-2.outbound"


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "a\n", "a\0", "é", "*", "a" * (LONGEST + 1)])
def test_a_name_that_kafka_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        verify_topic_name(name)


def test_the_longest_name_is_taken() -> None:
    assert verify_topic_name("a" * LONGEST) == "a" * LONGEST


def test_a_prefix_is_checked_with_the_slug() -> None:
    with pytest.raises(ValueError, match="may hold only"):
        partner_topic("part ners.", "acme", "inbound")


@given(st.text(max_size=300))
def test_any_text_is_returned_or_refused(name: str) -> None:
    legal = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    if 0 < len(name) <= LONGEST and set(name) <= legal and name not in {".", ".."}:
        assert verify_topic_name(name) == name
    else:
        with pytest.raises(ValueError, match="topic"):
            verify_topic_name(name)
