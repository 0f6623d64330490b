from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.port import Record
from gateway.sequencer.mark import HEADER, Installation, make_mark, read_mark

US = Installation("gw.example/log/k3v9q2", "https://gw.example")
MARK = make_mark(US, "gateway.checkpoints", key=bytes(16), now=1)


def test_a_mark_says_whose_topics_these_are() -> None:
    assert read_mark(MARK) == US


def test_marks_of_other_keys_are_other_records_so_that_compaction_keeps_them() -> None:
    assert make_mark(US, "gateway.checkpoints", key=b"\x01" * 16, now=1).key != MARK.key


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{}", b"[]", b"null", b'{"log":1,"origin":"a"}', b'{"log":"","origin":"a"}', b"[" * 4_000],
)
def test_what_is_no_mark_is_passed_over(value: bytes | None) -> None:
    assert read_mark(replace(MARK, value=value)) is None


def test_a_checkpoint_is_no_mark() -> None:
    assert read_mark(replace(MARK, headers=())) is None


def test_a_mark_longer_than_any_of_ours_is_passed_over() -> None:
    assert read_mark(replace(MARK, value=(MARK.value or b"") + b" " * 5_000)) is None


@given(st.binary(max_size=200))
def test_no_bytes_raise(value: bytes) -> None:
    found = read_mark(Record("t", 0, None, value, (HEADER,), 0))
    assert found is None or found.log
