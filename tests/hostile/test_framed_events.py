"""What stands around an event's data, written to mislead: the framing of a datum, the name of its schema, the
coding of the body. Each is refused with its documented code, and nothing is published.
"""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio

from schemas.framing import encode_prefix
from tests.hostile.wire import AVRO, CANARY, CONFLUENT, PATH, Wire, datum, event, open_wire

RIGHT = datum()
BODY = event()
KIB = 1024
MIB = 1024 * KIB

FRAMES: dict[str, Callable[[int, int], bytes]] = {
    "nothing": lambda _, __: b"",
    "the magic alone": lambda _, __: b"\x00",
    "two bytes": lambda _, __: b"\x00\x00",
    "an id that is cut": lambda own, _: encode_prefix(own, b"")[:4],
    "magic 1": lambda own, _: b"\x01" + encode_prefix(own, RIGHT)[1:],
    "magic 2": lambda own, _: b"\x02" + encode_prefix(own, RIGHT)[1:],
    "magic FF": lambda own, _: b"\xff" + encode_prefix(own, RIGHT)[1:],
    "a GUID in front": lambda _, __: b"\x01" + bytes(range(16)) + RIGHT,
    "JSON": lambda _, __: BODY,
    "a container file": lambda _, __: b"Obj\x01" + RIGHT,
    "a single object": lambda _, __: b"\xc3\x01" + bytes(8) + RIGHT,
    "gzip": lambda own, _: gzip.compress(encode_prefix(own, RIGHT)),
    "a bare datum": lambda _, __: RIGHT,
}
"""Bodies without a schema id where one must stand, from our own id and that of another partner."""

IDS: dict[str, Callable[[int, int], bytes]] = {
    "0": lambda _, __: encode_prefix(0, RIGHT),
    "of another partner": lambda _, foreign: encode_prefix(foreign, RIGHT),
    "that nobody has": lambda _, __: encode_prefix(4_711, RIGHT),
    "2^31-1": lambda _, __: encode_prefix((1 << 31) - 1, RIGHT),
    "-2^31": lambda _, __: encode_prefix(1 << 31, RIGHT),
    "-1": lambda _, __: encode_prefix((1 << 32) - 1, RIGHT),
    "the wrong way round": lambda own, _: b"\x00" + own.to_bytes(4, "little") + RIGHT,
    "without a datum": lambda _, __: encode_prefix(4_711, b""),
    "before a MiB of zeros": lambda _, __: encode_prefix(4_711, bytes(MIB - 5)),
}

DATA: dict[str, tuple[Callable[[int, int], bytes], str, str]] = {
    "no datum": (lambda own, _: encode_prefix(own, b""), "missing", ""),
    "a frame in the frame": (lambda own, _: encode_prefix(own, encode_prefix(own, RIGHT)), "encoding", "/ok"),
    "a frame of Protobuf": (lambda own, _: encode_prefix(own, b"\x00" + RIGHT), "encoding", "/ok"),
    "JSON in the frame": (lambda own, _: encode_prefix(own, BODY), "length", "/order_id"),
    "another frame behind": (
        lambda own, _: encode_prefix(own, RIGHT) + encode_prefix(own, RIGHT),
        "trailing_bytes",
        "",
    ),
}

QUERIES: dict[str, tuple[str, str, str]] = {
    "an unknown parameter": (AVRO, "schema=1", "parameter_invalid"),
    "version 0": (AVRO, "schema_version=0", "parameter_invalid"),
    "version -1": (AVRO, "schema_version=-1", "parameter_invalid"),
    "version +1": (AVRO, "schema_version=%2B1", "parameter_invalid"),
    "version 01": (AVRO, "schema_version=01", "parameter_invalid"),
    "version 1.0": (AVRO, "schema_version=1.0", "parameter_invalid"),
    "version latest": (AVRO, "schema_version=latest", "parameter_invalid"),
    "version of nothing": (AVRO, "schema_version=", "parameter_invalid"),
    "version in Arabic digits": (AVRO, "schema_version=%D9%A1", "parameter_invalid"),
    "version with a line end": (AVRO, "schema_version=1%0A", "parameter_invalid"),
    "version of 4,301 digits": (AVRO, f"schema_version={'1' * 4_301}", "parameter_invalid"),
    "version 999": (AVRO, "schema_version=999", "schema_version_unknown"),
    "version twice": (AVRO, "schema_version=1&schema_version=1", "parameter_invalid"),
    "id 0": (AVRO, "schema_id=0", "parameter_invalid"),
    "id 2^31": (AVRO, "schema_id=2147483648", "parameter_invalid"),
    "id of another partner": (AVRO, "schema_id={foreign}", "schema_version_unknown"),
    "id that nobody has": (AVRO, "schema_id=4711", "schema_version_unknown"),
    "version and id": (AVRO, "schema_version=1&schema_id={own}", "parameter_invalid"),
    "GUID of nothing": (AVRO, "schema_guid=", "parameter_invalid"),
    "GUID in braces": (
        AVRO,
        "schema_guid=%7B8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11%7D",
        "parameter_invalid",
    ),
    "GUID without hyphens": (AVRO, "schema_guid=8c5ea3974f2c4a5e9a553f3c4f3d2f11", "parameter_invalid"),
    "GUID that nobody has": (
        AVRO,
        "schema_guid=8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11",
        "schema_version_unknown",
    ),
    "a version for JSON": ("application/json", "schema_version=1", "parameter_invalid"),
    "a version for lines": ("application/x-ndjson", "schema_version=1", "parameter_invalid"),
    "a version beside a frame": (CONFLUENT, "schema_version=1", "parameter_invalid"),
    "an id beside a frame": (CONFLUENT, "schema_id={own}", "parameter_invalid"),
}

MEDIA_TYPES: tuple[str, ...] = (
    "avro/binary",
    "application/x-avro",
    "application/vnd.apache.avro",
    "application/vnd.confluent.avro.v1",
    "application/octet-stream",
    "application/x-protobuf",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=a",
    "application/msgpack",
    "application/cloudevents+avro",
    "text/plain",
    "text/json-seq",
    "application/json5",
    "application/jsonp",
    "*/*",
    "application",
    "/",
    "application/json; charset=utf-16",
    "application/json; charset=latin-1",
    'application/json; charset="utf-16"',
    f"application/{CANARY}",
    f"{'a' * 4_000}/b",
)

CODINGS: dict[str, str] = {
    "deflate": "deflate",
    "br": "br",
    "zstd": "zstd",
    "compress": "compress",
    "gzip twice": "gzip, gzip",
    "gzip and identity": "gzip, identity",
    "gzip and a comma": "gzip,",
    "gzip of a quality": "gzip;q=1.0",
    "any": "*",
    "chunked": "aws-chunked",
    "a made-up name": "x-none",
    "many": "gzip, " * 500 + "gzip",
}


def member(raw: bytes, *, flags: int = 0, behind_head: bytes = b"", checksum: int | None = None) -> bytes:
    """A gzip member, right but for what is said."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(raw) + packer.flush()
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    found = zlib.crc32(raw) if checksum is None else checksum
    return head + behind_head + packed + found.to_bytes(4, "little") + len(raw).to_bytes(4, "little")


PACKED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "body_malformed"),
    "plain JSON": (BODY, "body_malformed"),
    "two bytes": (b"\x1f\x8b", "body_malformed"),
    "the head alone": (member(BODY)[:10], "body_malformed"),
    "cut in the middle": (member(BODY)[:100], "body_malformed"),
    "cut before its checksum": (member(BODY)[:-8], "body_malformed"),
    "cut by a byte": (member(BODY)[:-1], "body_malformed"),
    "a wrong checksum": (member(BODY, checksum=1), "body_malformed"),
    "a wrong length": (member(BODY)[:-4] + bytes(4), "body_malformed"),
    "method 7": (b"\x1f\x8b\x07" + member(BODY)[3:], "body_malformed"),
    "reserved flags": (member(BODY, flags=0xE0), "body_malformed"),
    "a name without an end": (member(BODY, flags=8, behind_head=b"n" * 5_000), "body_malformed"),
    "a field beyond the end": (member(BODY, flags=4, behind_head=b"\xff\xff"), "body_malformed"),
    "a wrong checksum of the head": (member(BODY, flags=2, behind_head=b"\xff\xff"), "body_malformed"),
    "zlib": (zlib.compress(BODY), "body_malformed"),
    "bare deflate": (member(BODY)[10:-8], "body_malformed"),
    "a broken block": (member(BODY)[:10] + b"\xff" * 100, "body_malformed"),
    "a byte behind": (member(BODY) + b"\x00", "body_malformed"),
    "zeros behind": (member(BODY) + bytes(512), "body_malformed"),
    "text behind": (member(BODY) + CANARY.encode(), "body_malformed"),
    "two members": (member(BODY) * 2, "body_malformed"),
    "two members of one event": (member(BODY[:50]) + member(BODY[50:]), "body_malformed"),
    "an empty member behind": (member(BODY) + member(b""), "body_malformed"),
    "an empty member": (member(b""), "body_malformed"),
    "gzip in gzip": (member(member(BODY)), "body_malformed"),
    "a bomb of 1 MiB and a byte": (member(bytes(MIB + 1)), "body_too_large"),
    "a bomb of 200 KiB": (member(b'{"x":"' + b"a" * 200 * KIB), "body_too_large"),
    "a bomb of 10 MiB": (member(bytes(10 * MIB)), "body_too_large"),
    "a bomb of 100 MiB": (member(bytes(100 * MIB)), "body_too_large"),
    "a bomb in a bomb": (member(member(bytes(100 * MIB))), "body_too_large"),
    "a bomb behind a right member": (member(BODY) + member(bytes(10 * MIB)), "body_malformed"),
    "a bomb of white space": (member(b" " * 900 * KIB + BODY), "body_too_large"),
    "a bomb of brackets": (member(b"[" * 900 * KIB), "body_too_large"),
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    async with open_wire(tmp_path_factory.mktemp("wire")) as opened:
        yield opened


@pytest.mark.parametrize("name", FRAMES)
async def test_a_body_without_a_schema_id_is_422(wire: Wire, name: str) -> None:
    body = FRAMES[name](wire.schema_id, wire.foreign_id)
    problem = await wire.refused(await wire.post(body, CONFLUENT))
    assert problem["code"] == "event_invalid"
    assert [(one["code"], one["pointer"]) for one in problem["errors"]] == [("encoding", "")]


@pytest.mark.parametrize("name", IDS)
async def test_an_id_that_is_not_ones_own_is_unknown_whoever_has_it(wire: Wire, name: str) -> None:
    body = IDS[name](wire.schema_id, wire.foreign_id)
    problem = await wire.refused(await wire.post(body, CONFLUENT))
    assert problem["code"] == "schema_version_unknown"
    unknown = (await wire.post(encode_prefix(99_999, RIGHT), CONFLUENT)).json()
    assert problem == {**unknown, "request_id": problem["request_id"]}


@pytest.mark.parametrize("name", DATA)
async def test_a_datum_behind_a_right_id_is_judged_like_any(wire: Wire, name: str) -> None:
    make, code, pointer = DATA[name]
    body = make(wire.schema_id, wire.foreign_id)
    problem = await wire.refused(await wire.post(body, CONFLUENT))
    assert (problem["code"], problem["errors"][0]["code"], problem["errors"][0]["pointer"]) == (
        "event_invalid",
        code,
        pointer,
    )


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_that_names_no_schema_of_ones_own_is_refused(wire: Wire, name: str) -> None:
    media_type, query, code = QUERIES[name]
    path = f"{PATH}?{query.format(own=wire.schema_id, foreign=wire.foreign_id)}"
    problem = await wire.refused(await wire.post(RIGHT, media_type, path))
    assert problem["code"] == code


@pytest.mark.parametrize("media_type", MEDIA_TYPES, ids=lambda one: one[:40])
async def test_a_media_type_that_is_not_offered_is_415(wire: Wire, media_type: str) -> None:
    answer = await wire.post(BODY, media_type)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    assert AVRO in answer.headers["accept-post"]
    assert len(answer.content) < 2_000
    assert await wire.count() == wire.published


@pytest.mark.parametrize("name", CODINGS)
async def test_a_coding_that_is_not_offered_is_415(wire: Wire, name: str) -> None:
    answer = await wire.post(gzip.compress(BODY), Content_Encoding=CODINGS[name])
    problem = await wire.refused(answer)
    assert problem["code"] == "content_encoding_unsupported"
    assert answer.headers["accept-encoding"] == "gzip"


async def test_two_codings_in_two_headers_are_415(wire: Wire) -> None:
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "gzip"),
    ]
    answer = await wire.client.post(PATH, content=gzip.compress(gzip.compress(BODY)), headers=headers)
    assert (await wire.refused(answer))["code"] == "content_encoding_unsupported"


@pytest.mark.parametrize("name", PACKED)
async def test_a_body_that_is_packed_to_harm_is_refused(wire: Wire, name: str) -> None:
    body, code = PACKED[name]
    problem = await wire.refused(await wire.post(body, Content_Encoding="gzip"))
    assert problem["code"] == code


async def test_a_packed_body_cut_anywhere_is_refused(wire: Wire) -> None:
    packed = member(BODY)
    for end in range(len(packed)):
        problem = await wire.refused(await wire.post(packed[:end], Content_Encoding="gzip"))
        assert problem["code"] == "body_malformed"


@pytest.mark.parametrize("coding", [None, "identity", "Identity"])
async def test_a_packed_body_that_claims_to_be_plain_is_400(wire: Wire, coding: str | None) -> None:
    headers: Mapping[str, str] = {} if coding is None else {"Content_Encoding": coding}
    problem = await wire.refused(await wire.post(gzip.compress(BODY), **headers))
    assert problem["code"] == "body_malformed"


@pytest.mark.parametrize("size", [MIB + 1, 2 * MIB, 8 * MIB])
@pytest.mark.parametrize("media_type", ["application/json", AVRO, CONFLUENT])
async def test_a_body_beyond_the_cap_is_413(wire: Wire, media_type: str, size: int) -> None:
    problem = await wire.refused(await wire.post(bytes(size), media_type))
    assert problem["code"] == "body_too_large"


@pytest.mark.parametrize("coding", ["gzip", "GZIP", " gzip ", "x-gzip"])
async def test_a_packed_event_is_taken(wire: Wire, coding: str) -> None:
    body = member(BODY, flags=8, behind_head=b"name\x00")
    answer = await wire.post(body, path=f"{PATH}?dry_run=true", Content_Encoding=coding)
    assert answer.status_code == 200, answer.text
