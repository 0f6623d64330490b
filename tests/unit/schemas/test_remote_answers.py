import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.remote_answers import (
    RemoteAnswerError,
    RemoteError,
    clean,
    parse_id,
    parse_mode,
    parse_names,
    parse_place,
    parse_refusal,
    parse_text,
    parse_verdict,
)

PARSERS: list[Callable[[bytes], object]] = [
    parse_place,
    parse_id,
    parse_text,
    parse_verdict,
    parse_names,
    parse_mode,
]
WORDS = st.sampled_from(
    ["id", "version", "schema", "schemaType", "references", "is_compatible", "messages", "mode", "name"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(WORDS | st.text(), inner),
    max_leaves=12,
)


def dumped(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@given(st.binary() | JSON.map(dumped))
def test_a_parser_raises_what_it_says_and_nothing_else(raw: bytes) -> None:
    for parse in PARSERS:
        with suppress(RemoteAnswerError):
            parse(raw)
    assert isinstance(parse_refusal(404, raw), RemoteError)


@pytest.mark.parametrize("number", ["0", "-1", "2147483648", "1.0", "true", '"1"', "null", "1" * 5_000])
def test_an_id_is_a_number_of_four_bytes(number: str) -> None:
    with pytest.raises(RemoteAnswerError):
        parse_id(f'{{"id":{number}}}'.encode())


@given(st.text())
def test_a_foreign_text_is_one_printable_line(text: str) -> None:
    assert clean(text).isprintable()


def test_a_refusal_without_a_code_of_a_registry_is_none() -> None:
    assert isinstance(parse_refusal(404, b"<html>"), RemoteAnswerError)
    assert isinstance(parse_refusal(404, b'{"error_code":"404","message":"x"}'), RemoteAnswerError)
