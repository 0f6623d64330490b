"""Schemas of the same text are parsed once; what is refused is refused each time."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas import remembered
from schemas.errors import SchemaError
from schemas.remembered import LONGEST, MOST, parse_alone
from schemas.schema import parse_schema


def text(name: str, fields: int = 1) -> str:
    members = [{"name": f"f{number}", "type": "int"} for number in range(fields)]
    return json.dumps({"type": "record", "name": name, "fields": members})


def test_the_same_text_gives_the_same_value_which_is_what_parsing_gives() -> None:
    one = parse_alone(text("Same"))
    assert parse_alone(text("Same")) is one
    plain = parse_schema(text("Same"))
    assert (one, one.name, one.fingerprint, one.guid, one.root) == (
        plain,
        plain.name,
        plain.fingerprint,
        plain.guid,
        plain.root,
    )


def test_texts_that_differ_in_a_space_are_two() -> None:
    assert parse_alone(text("Spaced")) != parse_alone(text("Spaced") + " ")


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ('{"type":"record","name":"R"}', "shape"),
        ('{"type":"record","type":"record","name":"R","fields":[]}', "duplicate_key"),
        ('{"type":"record","name":"R","fields":[{"name":"a","type":"R"}]}', "recursion"),
        ("[" * 100 + "]" * 100, "depth"),
        ('"\ud800"', "syntax"),
    ],
)
def test_what_is_refused_is_refused_each_time_in_the_same_words(bad: str, rule: str) -> None:
    told = []
    for _ in range(2):
        with pytest.raises(SchemaError) as caught:
            parse_alone(bad)
        told.append((caught.value.rule, caught.value.pointer, caught.value.text))
    assert told[0] == told[1]
    assert told[0][0] == rule


def test_what_is_kept_is_bounded_in_number_and_in_length() -> None:
    long = text("Long", fields=400)
    assert len(long) > LONGEST
    assert parse_alone(long) is not parse_alone(long)
    for number in range(MOST + 10):
        parse_alone(text(f"N{number}"))
    kept = remembered._known.cache_info()
    assert (kept.currsize, kept.maxsize) == (MOST, MOST)


def test_threads_that_ask_at_once_get_what_they_asked_for() -> None:
    wanted = [text(f"T{number % 7}", fields=1 + number % 7) for number in range(400)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(parse_alone, wanted))
    assert [one.text for one in found] == wanted
