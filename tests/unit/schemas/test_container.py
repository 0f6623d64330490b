import io
import json

import pytest

from schemas.container import (
    WRITTEN_BLOCK_BYTES,
    ContainedDatum,
    ContainerLimits,
    read_container,
    write_container,
)
from schemas.errors import ContainerError, DatumError
from schemas.schema import Reference, parse_schema
from tests.container_files import MAGIC, SYNC, TEXT, block, entry, file, header, number, packed, sized

LIMITS = ContainerLimits()
DATA = [sized(b"one"), sized(b"two"), sized(b"three")]
DATES = {
    "type": "record",
    "name": "D",
    "fields": [{"name": "on", "type": {"type": "int", "logicalType": "date"}}],
}


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
def test_data_come_with_their_place_and_exact_bytes(codec: str) -> None:
    raw = file(codec, DATA) + block(1, packed(codec, DATA[0]))
    container = read_container(raw, LIMITS)
    assert (container.schema.text, container.codec) == (TEXT, codec)
    assert list(container.data) == [
        ContainedDatum(0, 0, 0, DATA[0]),
        ContainedDatum(1, 0, 4, DATA[1]),
        ContainedDatum(2, 0, 8, DATA[2]),
        ContainedDatum(3, 1, 0, DATA[0]),
    ]


def test_without_a_codec_the_blocks_are_plain() -> None:
    assert read_container(header(None) + block(1, DATA[0]), LIMITS).codec == "null"


def test_a_file_without_data_has_none() -> None:
    assert list(read_container(header(), LIMITS).data) == []


def test_the_metadata_are_kept_and_may_stand_in_sized_blocks() -> None:
    container = read_container(header(more={"origin": b"\x00\xff"}), LIMITS)
    assert dict(container.metadata) == {"avro.schema": TEXT.encode(), "origin": b"\x00\xff"}
    assert "origin" not in repr(container)
    schema, origin = entry("avro.schema", TEXT), entry("origin", b"\x00\xff")
    blocks = number(-1) + sized(schema) + number(1) + origin + number(0)
    assert read_container(MAGIC + blocks + SYNC, LIMITS).metadata == container.metadata


def test_the_file_is_read_no_further_than_the_datum_that_is_taken() -> None:
    raw = io.BytesIO(header() + block(1, DATA[0]) + block(1, DATA[1]) + b"broken")
    data = read_container(raw, LIMITS).data
    assert raw.tell() == len(header())
    assert next(data).avro == DATA[0]
    assert raw.tell() == len(header() + block(1, DATA[0]))
    assert next(data).avro == DATA[1]
    with pytest.raises(ContainerError) as caught:
        next(data)
    assert caught.value.offset == len(header() + block(1, DATA[0]) + block(1, DATA[1]))


def test_a_datum_with_faults_is_named_by_its_index_in_the_file() -> None:
    raw = header(schema=json.dumps(DATES)) + block(1, b"\x02") + block(2, b"\x04" + b"\xfe\xff\xff\xff\x0f")
    data = read_container(raw, LIMITS).data
    assert [next(data).avro, next(data).avro] == [b"\x02", b"\x04"]
    with pytest.raises(DatumError) as caught:
        next(data)
    assert [(one.pointer, one.code) for one in caught.value.faults] == [("/2/on", "range")]
    assert list(data) == []


def test_a_broken_block_is_named_by_its_number_and_where_it_starts() -> None:
    start = header() + block(1, DATA[0])
    with pytest.raises(ContainerError) as caught:
        list(read_container(start + block(1, DATA[1], sync=bytes(16)), LIMITS).data)
    assert caught.value.text == "block 1: does not end with the sync marker of the header"
    assert caught.value.offset == len(start)
    assert str(caught.value).endswith(f"(byte {len(start)})")


def test_a_limit_of_the_caller_holds() -> None:
    raw = file("null", DATA)
    with pytest.raises(ContainerError, match="at most 13 are taken"):
        list(read_container(raw, ContainerLimits(block_bytes=13)).data)
    assert len(list(read_container(raw, ContainerLimits(block_bytes=14)).data)) == 3
    assert len(list(read_container(raw, ContainerLimits(total_bytes=14)).data)) == 3


def test_errors_of_the_file_itself_pass() -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 50:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        read_container(Torn(file("null", DATA)), LIMITS)


def test_the_same_arguments_give_the_same_bytes() -> None:
    schema = parse_schema(TEXT)
    wanted = header("deflate") + block(3, packed("deflate", b"".join(DATA)))
    for _ in range(2):
        assert b"".join(write_container(schema, iter(DATA), "deflate", sync=SYNC)) == wanted
    assert b"".join(write_container(schema, [], "null", sync=SYNC)) == header("null")


def test_a_block_is_closed_before_it_grows_too_large() -> None:
    schema = parse_schema(TEXT)
    half = sized(b"x" * (WRITTEN_BLOCK_BYTES // 2))
    pieces = list(write_container(schema, [half, DATA[0], half, half, DATA[1]], "null", sync=SYNC))
    found = list(read_container(b"".join(pieces), LIMITS).data)
    assert [one.block for one in found] == [0, 0, 1, 2, 2]
    assert len(pieces) == 4


def test_a_schema_that_leans_on_others_is_not_written() -> None:
    inner = parse_schema('{"type":"record","name":"I","fields":[{"name":"v","type":"int"}]}')
    schema = parse_schema('{"type":"array","items":"I"}', [Reference("I", "inner", 1, inner)])
    with pytest.raises(ValueError, match="has to stand alone"):
        list(write_container(schema, [], "null", sync=SYNC))


def test_a_wrong_sync_marker_and_an_empty_datum_are_not_written() -> None:
    schema = parse_schema(TEXT)
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        list(write_container(schema, DATA, "null", sync=b"abc"))
    with pytest.raises(ValueError, match="a datum of no bytes"):
        list(write_container(schema, [b""], "null", sync=SYNC))
