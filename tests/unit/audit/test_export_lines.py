"""Exports as JSON lines: the evidence byte for byte, and each line in one spelling."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import MalformedError
from audit.evidence import parse_evidence
from audit.export_lines import decode_lines, encode_lines
from audit.export_row import COLUMNS
from tests.unit.audit.rows_made import rows

ROWS = rows(40)
FILE = encode_lines(ROWS)


def test_rows_come_back_as_they_were() -> None:
    assert list(decode_lines(FILE)) == ROWS
    assert list(decode_lines(b"")) == []


def test_each_line_is_json_and_holds_its_evidence_byte_for_byte() -> None:
    for line, row in zip(FILE.splitlines(), ROWS, strict=True):
        whole = json.loads(line)
        assert list(whole) == list(COLUMNS)
        cut = line.partition(b',"evidence":')[2][:-1]
        assert cut == (b"null" if row[-1] is None else str(row[-1]).encode())
        if row[-1] is not None:
            assert whole["evidence"] == json.loads(parse_evidence(cut).raw)
            assert whole["at"].endswith("Z")


@pytest.mark.parametrize("number", range(0, len(FILE), len(FILE) // 80))
def test_a_flipped_byte_is_found_or_makes_other_rows(number: int) -> None:
    raw = bytearray(FILE)
    raw[number] ^= 0x15
    try:
        found = list(decode_lines(bytes(raw)))
    except MalformedError:
        return
    assert found != ROWS


def test_more_lines_than_the_manifest_has_are_not_read() -> None:
    assert list(decode_lines(FILE, len(ROWS))) == ROWS
    with pytest.raises(MalformedError, match=f"more than {len(ROWS) - 1} lines"):
        list(decode_lines(FILE, len(ROWS) - 1))


# A line's end behind a line is what it lacks.
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)).filter(b"\n".__ne__))
@settings(max_examples=60)
def test_other_bytes_raise_one_family(raw: bytes) -> None:
    line = FILE.splitlines()[0]
    for one in (
        raw or b"x",
        line,
        line + raw,
        line[:-40] + raw + line[-40:] + b"\n \n",
        b"[" * 5_000 + b"\n",
    ):
        with pytest.raises(MalformedError):
            list(decode_lines(one))
