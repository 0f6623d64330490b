"""Challenges: who can know them, and for how long."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialler import Answer
from gateway.egress.probing import CHALLENGE_MS, Challenges, echoed
from tests.unit.gateway.egress.stage import endpoint

NOW = 1_800_000_000_000
OURS = Challenges(b"k" * 32)
FINE = Answer(200, None, None, b"", b"", 1)


def test_a_challenge_is_good_for_a_day_for_one_url_of_one_endpoint() -> None:
    one = endpoint()
    text = OURS.make(one, NOW)
    assert OURS.is_met(one, text, NOW)
    assert OURS.is_met(one, text, NOW + CHALLENGE_MS - 1)
    assert not OURS.is_met(one, text, NOW + CHALLENGE_MS)
    for other in (
        endpoint("ep_2", url=one.url),
        replace(one, url=one.url + "/x"),
        replace(one, partner="globex"),
    ):
        assert not OURS.is_met(other, text, NOW)
    assert not Challenges(b"j" * 32).is_met(one, text, NOW)


def test_a_challenge_cannot_be_made_to_last() -> None:
    one = endpoint()
    text = OURS.make(one, NOW)
    until, mac = text.split("_")[1:]
    assert not OURS.is_met(one, f"ch_{int(until) + 1}_{mac}", NOW)
    assert not OURS.is_met(one, OURS.make(one, NOW + 10 * CHALLENGE_MS), NOW)


@given(st.text() | st.from_regex(r"ch_[0-9]{1,15}_[a-z2-7]{52}", fullmatch=True))
def test_nothing_else_is_one(text: str) -> None:
    assert not OURS.is_met(endpoint(), text, NOW)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"challenge": "ch_1"}', "ch_1"),
        (b' {"challenge": "ch_1", "more": 1}\n', "ch_1"),
        (b"ch_1\n", "ch_1"),
        (b'{"data": {"challenge": "ch_1"}}', ""),
        (b'["ch_1"]', '["ch_1"]'),
        (b"{", ""),
        (b"\xff", "\ufffd"),
        (b'{"a":' + b"[" * 1_000, ""),
    ],
)
def test_what_is_sent_back(body: bytes, word: str) -> None:
    assert echoed(replace(FINE, excerpt=body)) == word
    assert echoed(replace(FINE, excerpt=body, failure="client_error")) == ""
