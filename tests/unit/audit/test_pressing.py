"""Evidence comes out of its row as it went in, bit for bit, and what is no row of ours is no record."""

import hashlib
import zlib
from typing import Any

import pytest

from audit.errors import MalformedError
from audit.evidence import EVIDENCE_BYTES, parse_evidence
from audit.pressing import expand, press
from audit.vocabulary import VOCABULARY
from tests.unit.audit.builders import evidence, load_vectors

VECTORS = load_vectors("formats.json")["evidence"]
SALT = bytes(32)


def deflated(text: bytes) -> bytes:
    pressing = zlib.compressobj(9, zlib.DEFLATED, -12, zdict=VOCABULARY)
    return pressing.compress(text) + pressing.flush()


@pytest.mark.parametrize("case", [*VECTORS["kinds"], *VECTORS["earlier"]], ids=lambda case: case["kind"])
def test_records_of_every_kind_come_out_as_they_went_in(case: dict[str, Any]) -> None:
    raw = case["evidence"].encode()
    pressed = press(raw)
    assert expand(pressed) == raw
    assert len(pressed) < 2 / 3 * len(raw)
    assert expand(raw) == raw, "those of before are read as they are"


def test_a_record_of_an_accepted_event_takes_a_third_or_little_more() -> None:
    raw = evidence(1).raw
    assert len(press(raw)) < 0.36 * len(raw)


def test_rows_of_this_form_are_read_for_ever() -> None:
    """Whoever changes the vocabulary can read no row any more that was written by it."""
    assert hashlib.sha256(VOCABULARY).hexdigest() == (
        "7252a7486c30b978a1b16630b81eb64f994101e3373def13771ab3c516bd9f64"
    )
    row = b"\1\2" + SALT + b"\xab" * 32 + b"\xcd" * 32
    row += deflated(b'{"v":1,"salt":"","a":"\1","b":"\1"}')
    salt, first, second = "A" * 43 + "=", "ab" * 32, "cd" * 32
    assert expand(row) == f'{{"v":1,"salt":"{salt}","a":"{first}","b":"{second}"}}'.encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b'{"v":1}',
        b'{"salt":"',
        b'{"salt":"AAAA"}',
        b'{"salt":"' + b"A" * 42 + b'B="}',
        b'{"salt":"' + b"A" * 43 + b'=","a":"\1"}',
        b'{"a":"' + b"00" * 32 + b'","salt":"' + b"A" * 43 + b'="}',
        b'{"salt":"' + b"A" * 43 + b'="' + 256 * (b',"a":"' + b"00" * 32 + b'"') + b"}",
    ],
)
def test_what_has_not_the_form_of_a_record_is_kept_as_it_is(raw: bytes) -> None:
    assert press(raw) == raw
    assert expand(raw) == raw


PRESSED = press(evidence(1).raw)


@pytest.mark.parametrize(
    "stored",
    {
        "nothing": b"\1",
        "no digests": b"\1\4",
        "nothing deflated": PRESSED[: 2 + 5 * 32],
        "cut": PRESSED[:-2],
        "longer": PRESSED + b"\0",
        "another number of digests": b"\1\3" + PRESSED[2:],
        "another form": b"\2" + PRESSED[1:],
        "a mark too many": b"\1\1" + SALT * 2 + deflated(b'{"salt":"","a":"\1\1"}'),
        "no salt": b"\1\0" + SALT + deflated(b'{"v":1}'),
        "a digest before the salt": b"\1\1" + SALT * 2 + deflated(b'{"a":"\1","salt":""}'),
        "a bomb": b"\1\0" + SALT + deflated(b'{"salt":"' + b"a" * 50_000_000),
        "too long by its digests": b"\1\xff" + SALT * 256 + deflated(b'{"salt":"' + b"\1" * 255 + b"a" * 100),
    }.values(),
)
def test_what_does_not_expand_is_no_record(stored: bytes) -> None:
    assert expand(stored) == stored
    with pytest.raises(MalformedError):
        parse_evidence(stored)


def test_a_record_of_the_greatest_size_comes_out() -> None:
    size = EVIDENCE_BYTES - len(evidence(1, source="").raw)
    raw = evidence(1, source="s" * size).raw
    assert len(raw) == EVIDENCE_BYTES
    assert expand(press(raw)) == raw
