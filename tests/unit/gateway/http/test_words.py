"""Answers in JSON: whichever way they are written, they are the same bytes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.words import json_response, plain_response

LEAVES = st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.none()
OBJECTS = st.dictionaries(st.text(), st.recursive(LEAVES, lambda inner: st.dictionaries(st.text(), inner)))


@given(OBJECTS)
def test_a_plain_answer_is_the_same_as_any_other(content: dict[str, object]) -> None:
    plain, other = (
        plain_response(content, 201, {"Location": "/x"}),
        json_response(content, 201, {"Location": "/x"}),
    )
    assert bytes(plain.body) == bytes(other.body)
    assert (plain.status_code, plain.raw_headers) == (other.status_code, other.raw_headers)


def test_every_character_is_written_alike() -> None:
    for start in (0, 0xE000):
        text = "".join(map(chr, range(start, 0xD800 if start == 0 else 0x11000)))
        content = {"text": text}
        assert bytes(plain_response(content, 200, {}).body) == bytes(json_response(content).body)
