"""Container files that were written to exhaust, stall or mislead: each is refused by one documented error."""

import io
import json
import tracemalloc
import zlib
from collections.abc import Callable

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from schemas.container import ContainedDatum, ContainerLimits, read_container
from schemas.errors import ContainerError, DatumError
from tests.container_files import MAGIC, SYNC, TEXT, block, entry, file, header, number, packed, sized

LIMITS = ContainerLimits()
CODECS = ("null", "deflate", "snappy", "zstandard")
GOOD = [sized(b"one"), sized(b"two"), sized(b"three")]
MIB = 1024 * 1024
EMPTY = json.dumps({"type": "record", "name": "E", "fields": []})
LONGS = json.dumps({"type": "array", "items": "long"})


def refused(raw: bytes, limits: ContainerLimits = LIMITS) -> ContainerError:
    """The refusal of a file, in its header or while its data are taken."""
    with pytest.raises(ContainerError) as caught:
        taken(raw, limits)
    assert 0 <= caught.value.offset <= len(raw)
    assert caught.value.text.isprintable()
    assert len(caught.value.text) < 1_000
    return caught.value


def taken(raw: bytes, limits: ContainerLimits = LIMITS) -> list[ContainedDatum]:
    return list(read_container(raw, limits).data)


def raw_header(metadata: bytes) -> bytes:
    return MAGIC + metadata + SYNC


HEADERS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the file ends 4 bytes too early"),
    "text": (b"Objx" + header()[4:], "no Avro container file"),
    "version two": (b"Obj\x02" + header()[4:], "no Avro container file"),
    "gzip": (b"\x1f\x8b\x08\x00" * 10, "no Avro container file"),
    "no metadata": (raw_header(number(0)), "lacks avro.schema"),
    "no schema": (header("null", schema=None), "lacks avro.schema"),
    "schema twice": (
        raw_header(number(2) + entry("avro.schema", TEXT) * 2 + number(0)),
        "stands twice",
    ),
    "codec twice, in two blocks": (
        raw_header((number(1) + entry("avro.codec", "null")) * 2 + number(0)),
        "stands twice",
    ),
    "name no UTF-8": (raw_header(number(1) + entry(b"\xff", "x") + number(0)), "not UTF-8"),
    "schema no UTF-8": (
        raw_header(number(1) + entry("avro.schema", b'"\xff"') + number(0)),
        "avro.schema in the header is not UTF-8",
    ),
    "schema no JSON": (header(schema="{"), "is not taken: the schema: is no JSON text"),
    "schema a recursion": (
        header(schema='{"type":"record","name":"L","fields":[{"name":"n","type":["null","L"]}]}'),
        "rule: recursion",
    ),
    "schema of 30,000 arrays": (
        header(schema='{"type":"array","items":' * 30_000 + '"long"' + "}" * 30_000),
        "is not taken",
    ),
    "schema of empty items": (header(schema='{"type":"array","items":"null"}'), "rule: zero_width"),
    "schema of half a MiB": (header(schema=json.dumps("x" * (MIB // 2))), "rule: size"),
    "schema a bomb of names": (header(schema='{"type":"fixed","name":"F","size":99999999}'), "fixed_size"),
    "codec unknown": (header("lzma"), "is none of null, deflate, snappy, zstandard"),
    "codec bzip2": (header("bzip2"), "is none of"),
    "codec in capitals": (header("Deflate"), "is none of"),
    "codec empty": (header(""), "is none of"),
    "codec no UTF-8": (
        raw_header(number(2) + entry("avro.codec", b"\xff") + entry("avro.schema", TEXT) + number(0)),
        "is none of",
    ),
    "65 entries": (header(more={f"k{one}": b"" for one in range(64)}), "more than 64 entries"),
    "65 entries, one a block": (
        raw_header(b"".join(number(1) + entry(f"k{one}", b"") for one in range(65)) + number(0)),
        "more than 64 entries",
    ),
    "2^62 entries": (raw_header(number(2**62)), "more than 64 entries"),
    "-2^63 entries": (raw_header(number(-(2**63)) + number(0)), "more than 64 entries"),
    "a value of 2 MiB": (header(more={"k": b"v" * 2 * MIB}), "at most"),
    "two values of 600 KiB": (header(more={"k": b"v" * 600_000, "l": b"v" * 600_000}), "at most"),
    "a name of 2 MiB": (header(more={"k" * 2 * MIB: b""}), "at most"),
    "names of 40 KB each": (header(more={f"{one:040000}": b"" for one in range(30)}), "at most"),
    "a value of 2^62 bytes": (raw_header(number(1) + sized(b"k") + number(2**62)), "at most"),
    "a value of -1 bytes": (raw_header(number(1) + sized(b"k") + number(-1)), "claims -1 bytes"),
    "a count that is padded": (raw_header(b"\x82\x00" + entry("k", "v") + number(0)), "shortest form"),
    "a count of eleven bytes": (raw_header(b"\x80" * 10 + b"\x01"), "shortest form"),
    "a count beyond 64 bits": (raw_header(b"\xfe" + b"\xff" * 8 + b"\x7f"), "shortest form"),
    "a block longer than it says": (
        raw_header(number(-1) + number(1) + entry("avro.schema", TEXT) + number(0)),
        "not as long as it says",
    ),
    "a block that never ends": (MAGIC + (number(1) + entry("k", "v")) * 1, "the file ends"),
}

BLOCKS: dict[str, tuple[bytes, str]] = {
    "count -1": (block(-1, GOOD[0]), "claims -1 data"),
    "count -2^63": (block(-(2**63), GOOD[0]), "claims -9223372036854775808 data"),
    "count 2^62": (block(2**62, GOOD[0]), "more than its 4 bytes hold"),
    "count padded": (b"\x82\x00" + sized(GOOD[0]) + SYNC, "shortest form"),
    "count beyond 64 bits": (b"\xff" * 10 + sized(GOOD[0]) + SYNC, "shortest form"),
    "one more than there are": (block(2, GOOD[0]), "/2/v"),
    "one fewer than there are": (block(1, GOOD[0] + GOOD[1]), "4 bytes follow its last datum"),
    "none, but bytes": (block(0, GOOD[0]), "4 bytes follow its last datum"),
    "one, but no bytes": (block(1, b""), "more than its 0 bytes hold"),
    "size -1": (block(1, b"", size=-1), "claims a size of -1 bytes"),
    "size 2^62": (block(1, GOOD[0], size=2**62), "claims a size of"),
    "size beyond the limit": (block(1, GOOD[0], size=8 * MIB + 1), "at most 8388608 are taken"),
    "size within the limit, of a file that ends": (block(1, GOOD[0], size=8 * MIB), "the file ends"),
    "size too small": (block(1, GOOD[0], size=3), "does not end with the sync marker"),
    "size too large": (block(1, GOOD[0], size=5) + block(1, GOOD[0]), "does not end with the sync marker"),
    "another sync marker": (block(1, GOOD[0], sync=bytes(16)), "does not end with the sync marker"),
    "half a sync marker": (block(1, GOOD[0], sync=SYNC[:8]), "the file ends 8 bytes too early"),
    "a second header": (header() + block(1, GOOD[0]), "claims -40 data"),
    "a line end behind it": (block(1, GOOD[0]) + b"\n", "the file ends"),
    "a zero behind it": (block(1, GOOD[0]) + b"\x00", "the file ends"),
    "a datum that is cut": (block(1, GOOD[0][:-1]), "/1/v"),
    "a datum that runs into the next": (block(2, GOOD[0][:-1] + GOOD[1]), "/2/v"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_is_refused_before_any_datum(name: str) -> None:
    raw, text = HEADERS[name]
    with pytest.raises(ContainerError) as caught:
        read_container(raw, LIMITS)
    assert text in caught.value.text
    assert refused(raw).text == caught.value.text


@pytest.mark.parametrize("name", BLOCKS)
def test_a_hostile_block_is_refused(name: str) -> None:
    raw, text = BLOCKS[name]
    whole = header() + block(1, GOOD[2]) + raw
    data = read_container(whole, LIMITS).data
    assert next(data).avro == GOOD[2]
    with pytest.raises((ContainerError, DatumError)) as caught:
        list(data)
    assert text in str(caught.value)
    assert isinstance(caught.value, DatumError if text.startswith("/") else ContainerError)


def _zeros(size: int) -> bytes:
    return sized(bytes(size))


def _zstd(raw: bytes, *, says: bool = True, window: int = 20) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=window, write_content_size=says)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=len(raw) if says else -1)
    return frame.compress(raw) + frame.flush()


def _snappy_claiming(size: int) -> bytes:
    claim = bytearray()
    while size > 0x7F:
        claim.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(claim) + bytes([size]) + b"\x04aa" + bytes(4)


BODY = b"".join(GOOD)
PACKED: dict[str, tuple[str, bytes | Callable[[], bytes], str]] = {
    "deflate, 97 KB to 100 MB": (
        "deflate",
        lambda: packed("deflate", bytes(100_000_000)),
        "holds more than 8388608",
    ),
    "deflate, 1 KB to 1 MB": ("deflate", packed("deflate", bytes(MIB)), "more than 100 times its size"),
    "deflate, cut": ("deflate", packed("deflate", BODY)[:-2], "ends too early"),
    "deflate, empty": ("deflate", b"", "ends too early"),
    "deflate, with a zlib head": ("deflate", zlib.compress(BODY), "is no deflated block"),
    "deflate, noise": ("deflate", b"\xff" * 40, "is no deflated block"),
    "deflate, bytes behind it": ("deflate", packed("deflate", BODY) + b"xyz", "3 bytes behind its end"),
    "deflate, a second stream": ("deflate", packed("deflate", BODY) * 2, "bytes behind its end"),
    "deflate, a wrong checksum": (
        "deflate",
        packed("deflate", BODY) + zlib.adler32(b"other").to_bytes(4, "big")[:3],
        "3 bytes behind its end",
    ),
    "snappy, empty": ("snappy", b"", "is no snappy block"),
    "snappy, a checksum alone": ("snappy", bytes(4), "is no snappy block"),
    "snappy, claims 2 GiB": ("snappy", _snappy_claiming(2**31), "holds more than"),
    "snappy, claims 64 bits": ("snappy", _snappy_claiming(2**63), "is no snappy block"),
    "snappy, claims 8 MiB of 9 bytes": ("snappy", _snappy_claiming(8 * MIB), "more than 100 times its size"),
    "snappy, claims one too many": ("snappy", _snappy_claiming(3), "is no snappy block"),
    "snappy, a wrong checksum": ("snappy", packed("snappy", BODY)[:-1] + b"?", "fails its CRC32"),
    "snappy, a checksum the other way round": (
        "snappy",
        packed("snappy", BODY)[:-4] + packed("snappy", BODY)[:-5:-1],
        "fails its CRC32",
    ),
    "snappy, no checksum": ("snappy", packed("snappy", BODY)[:-4], "snappy block"),
    "snappy, framed": ("snappy", bytes(cramjam.snappy.compress(BODY)), "snappy block"),
    "zstandard, empty": ("zstandard", b"", "does not start with a zstandard frame"),
    "zstandard, a skippable frame first": (
        "zstandard",
        b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + packed("zstandard", BODY),
        "does not start with a zstandard frame",
    ),
    "zstandard, 100 MB in 9 KB": ("zstandard", lambda: _zstd(bytes(100_000_000)), "holds more than"),
    "zstandard, 100 MB and silent about it": (
        "zstandard",
        lambda: _zstd(bytes(100_000_000), says=False),
        "holds more than",
    ),
    "zstandard, a window of 128 MiB": (
        "zstandard",
        _zstd(BODY, says=False, window=27),
        "window of at most 8 MiB",
    ),
    "zstandard, cut": ("zstandard", packed("zstandard", BODY)[:-1], "ends too early"),
    "zstandard, the magic alone": ("zstandard", packed("zstandard", BODY)[:4], "ends too early"),
    "zstandard, two frames": ("zstandard", packed("zstandard", BODY) * 2, "behind its first frame"),
    "zstandard, two silent frames": ("zstandard", _zstd(BODY, says=False) * 2, "behind its first frame"),
    "zstandard, a thousand bytes behind it": (
        "zstandard",
        packed("zstandard", BODY) + bytes(1_000),
        "1000 bytes behind its first",
    ),
    "zstandard, a byte behind it": (
        "zstandard",
        packed("zstandard", BODY) + b"x",
        "1 bytes behind its first",
    ),
    "zstandard, noise": ("zstandard", b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "is no zstandard frame"),
}


def unpacked(name: str) -> tuple[str, bytes, str]:
    """Codec, packed bytes and refusal; the large ones are made only here."""
    codec, body, text = PACKED[name]
    return codec, body if isinstance(body, bytes) else body(), text


@pytest.mark.parametrize("name", PACKED)
def test_a_block_that_is_packed_to_harm_is_refused(name: str) -> None:
    codec, body, text = unpacked(name)
    head = header(codec)
    error = refused(head + block(3, body))
    assert text in error.text
    assert len(head) < error.offset <= len(head) + 8


@pytest.mark.parametrize("name", ["deflate, 97 KB to 100 MB", "zstandard, 100 MB and silent about it"])
def test_a_bomb_costs_no_more_memory_than_a_block_may(name: str) -> None:
    codec, body, _ = unpacked(name)
    assert peak(lambda: refused(header(codec) + block(3, body))) < 40 * MIB


def peak(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", CODECS)
def test_a_claim_of_many_data_costs_nothing(codec: str) -> None:
    raw = header(codec, schema=EMPTY) + block(10_000_000, packed(codec, b""))
    assert len(raw) < 150
    assert "claims 10000000 data" in refused(raw).text


def test_a_datum_of_no_bytes_is_refused_even_beside_others() -> None:
    raw = header(schema=json.dumps("null")) + block(1, b"\x00")
    assert "datum 0 takes no bytes" in refused(raw).text


def test_ten_thousand_empty_blocks_are_passed_over() -> None:
    assert taken(header() + block(0, b"") * 10_000 + block(1, GOOD[0]))[0].block == 10_000


@pytest.mark.parametrize("codec", CODECS)
def test_many_blocks_together_are_held_to_the_limit_of_the_file(codec: str) -> None:
    limits = ContainerLimits(total_bytes=2_000)
    body = packed(codec, _zeros(900))
    data = read_container(header(codec) + block(1, body) * 3, limits).data
    assert [next(data).index, next(data).index] == [0, 1]
    with pytest.raises(ContainerError, match="holds more than 196 bytes"):
        next(data)


def test_a_file_that_has_spent_its_bytes_is_refused_by_name() -> None:
    limits = ContainerLimits(total_bytes=902)
    raw = header() + block(1, _zeros(900)) * 2
    assert "hold 902 bytes, as many as a file may" in refused(raw, limits).text


def test_a_datum_beyond_the_limit_is_refused_though_its_block_may_hold_it() -> None:
    limits = ContainerLimits(datum_bytes=1_000)
    raw = header() + block(2, _zeros(998) + _zeros(2))
    assert [len(one.avro) for one in taken(raw, limits)] == [1_000, 3]
    raw = header() + block(2, _zeros(999) + _zeros(2))
    assert "datum 0 has more than 1000 bytes, or is broken" in refused(raw, limits).text


def test_one_datum_of_many_items_is_held_to_the_items_of_an_event() -> None:
    body = number(100_001) + b"\x02" * 100_001 + number(0)
    with pytest.raises(DatumError) as caught:
        taken(header(schema=LONGS) + block(1, body))
    assert (caught.value.faults[0].pointer, caught.value.faults[0].code) == ("/0", "length")


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_anywhere_is_refused_or_ends_with_a_block(codec: str) -> None:
    first = file(codec, GOOD)
    whole = first + block(3, packed(codec, BODY))
    ends = {len(header(codec)): 0, len(first): 3}
    for end in range(len(whole)):
        if end in ends:
            assert len(taken(whole[:end])) == ends[end]
        else:
            error = refused(whole[:end])
            assert "the file ends" in error.text
            assert error.offset in {0, *(at for at in ends if at < end)}
    assert len(taken(whole)) == 6


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_with_any_bit_flipped_is_read_or_refused(codec: str) -> None:
    whole = bytearray(file(codec, GOOD))
    outcomes = {"read": 0, "refused": 0}
    for bit in range(len(whole) * 8):
        whole[bit // 8] ^= 1 << bit % 8
        try:
            taken(bytes(whole))
        except (ContainerError, DatumError):
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
        whole[bit // 8] ^= 1 << bit % 8
    assert outcomes["refused"] > outcomes["read"]


PIECES = st.sampled_from(
    [MAGIC, SYNC, header(), header("deflate"), header("snappy"), header("zstandard"), *GOOD, TEXT.encode()]
    + [block(1, GOOD[0]), block(3, BODY), number(-1), number(2**62), b"\x80" * 9, b"\x00"]
    + [block(3, packed(codec, BODY)) for codec in CODECS]
)


@given(st.lists(PIECES | st.binary(max_size=20), max_size=8).map(b"".join))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for one in (raw, header() + raw):
        try:
            data = taken(one)
        except (ContainerError, DatumError) as error:
            assert str(error)  # noqa: PT017 - both ways out are right; this one has to say why
        else:
            assert [datum.index for datum in data] == list(range(len(data)))


@given(st.sampled_from(CODECS[1:]), st.binary(max_size=80), st.integers(0, 60), st.binary(max_size=6))
def test_any_packed_bytes_are_inflated_or_refused(codec: str, noise: bytes, at: int, piece: bytes) -> None:
    good = packed(codec, BODY)
    for body in (noise, good[:at] + piece + good[at:], good[:at] + piece + good[at + len(piece) :]):
        try:
            data = taken(header(codec) + block(3, body))
        except (ContainerError, DatumError) as error:
            assert str(error)  # noqa: PT017 - as above
        else:
            assert len(data) == 3


def test_a_file_handed_out_byte_by_byte_reads_alike() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 1))

    raw = file("deflate", GOOD)
    assert list(read_container(Slow(raw), LIMITS).data) == taken(raw)
