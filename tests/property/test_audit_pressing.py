"""Every record that can be made comes out of its row bit for bit; every row is read without an error."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.evidence import Kind, commitment_of
from audit.pressing import expand, press
from tests.unit.audit.builders import evidence

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.sampled_from(
    ["\x01", '":"' + "ab" * 32, "ab" * 32, "AB" * 32, '"salt":"', "evt_"]
)
KINDS = st.sampled_from([Kind.ACCEPTED, Kind.REFUSED, Kind.ATTEMPTED])


@given(KINDS, st.integers(0, 2**250), TEXTS, TEXTS)
@settings(deadline=None)
def test_records_come_out_as_they_went_in(kind: Kind, number: int, source: str, name: str) -> None:
    record = evidence(number, kind=kind, at=1_795_352_745_123, source=source, type=name)
    raw = expand(press(record.raw))
    assert raw == record.raw
    assert commitment_of(raw) == record.commitment()


SPARE = st.dictionaries(TEXTS, TEXTS | st.integers() | st.binary(max_size=40).map(bytes.hex), max_size=5)


@given(SPARE)
@settings(deadline=None)
def test_other_objects_come_out_too(members: dict[str, str | int]) -> None:
    for whole in (members, {"salt": "A" * 43 + "=", **members}):
        raw = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        assert expand(press(raw)) == raw


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 255))
@settings(deadline=None)
def test_no_row_makes_its_reader_fail(some: bytes, place: int, value: int) -> None:
    assert expand(some).startswith(some[:1]) or some.startswith(b"\x01")
    spoiled = bytearray(press(evidence(1).raw))
    spoiled[place % len(spoiled)] = value
    expand(bytes(spoiled))
