"""One gateway for many hostile posts: a contract with every kind of field, right pieces to spoil, and what
must be true of every refusal.

Every right piece of text holds a canary; no answer may hold it.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

import httpx

from gateway.http.catalogue import CATALOGUE
from schemas.fault import FaultCode
from schemas.framing import encode_prefix
from tests.builders import House, open_house
from tests.container_files import number, sized

CANARY: Final = "kNrY7fQ2x"
PATH: Final = "/v1/events/order.placed"
AVRO: Final = "application/avro"
CONFLUENT: Final = "application/vnd.confluent.avro"
MOST_ANSWER: Final = 256 * 1024
"""Bytes of an answer: no refusal is a way to make the gateway talk at length."""

_DECIMAL: Final = {"logicalType": "decimal", "precision": 12, "scale": 2}


def _record(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": one, "type": kind} for one, kind in fields.items()],
    }


def _logical(kind: str, name: str) -> dict[str, Any]:
    return {"type": kind, "logicalType": name}


def _fixed(name: str, size: int, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **more}


SCHEMA: Final = _record(
    "Order",
    order_id="string",
    note="string",
    qty="int",
    total="long",
    weight="float",
    ratio="double",
    ok="boolean",
    price={"type": "bytes", **_DECIMAL},
    fee=_fixed("Fee", 6, **_DECIMAL),
    placed_at=_logical("long", "timestamp-millis"),
    exact=_logical("long", "timestamp-nanos"),
    here=_logical("long", "local-timestamp-micros"),
    day=_logical("int", "date"),
    clock=_logical("int", "time-millis"),
    uid=_logical("string", "uuid"),
    uid16=_fixed("Uid", 16, logicalType="uuid"),
    raw="bytes",
    mark=_fixed("Mark", 4),
    span=_fixed("Span", 12, logicalType="duration"),
    state={"type": "enum", "name": "State", "symbols": ["NEW", "PAID", "SENT"]},
    tags={"type": "map", "values": "string"},
    deep={"type": "map", "values": {"type": "map", "values": "int"}},
    lines={"type": "array", "items": _record("Line", sku="string", qty="int")},
    bits={"type": "array", "items": "int"},
    maybe=["null", "string"],
    choice=["null", "int", "string"],
    pick=[_record("Cat", lives="int"), _record("Dog", barks="int")],
    words=["null", "State", "string"],
    tokens=["string", "bytes"],
)
TEXTS: Final[Mapping[str, str]] = {
    "order_id": '"A-1"',
    "note": f'"{CANARY}"',
    "qty": "3",
    "total": "4",
    "weight": "1.5",
    "ratio": "0.25",
    "ok": "true",
    "price": '"12.50"',
    "fee": '"0.75"',
    "placed_at": '"2026-11-22T13:05:00Z"',
    "exact": '"2026-11-22T13:05:00.000000001Z"',
    "here": '"2026-11-22T13:05:00"',
    "day": '"2026-11-22"',
    "clock": '"13:05:00"',
    "uid": '"8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11"',
    "uid16": '"8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11"',
    "raw": '"a05yWTdmUTJ4"',
    "mark": '"AAECAw=="',
    "span": '"P1M2DT3S"',
    "state": '"PAID"',
    "tags": f'{{"a":"{CANARY}"}}',
    "deep": '{"a":{"b":1}}',
    "lines": f'[{{"sku":"{CANARY}","qty":1}}]',
    "bits": "[1,0]",
    "maybe": f'"{CANARY}"',
    "choice": "7",
    "pick": '{"lives":9}',
    "words": '"NEW"',
    "tokens": f'"{CANARY}"',
}
"""The JSON text of each member of a right event."""

_CANARY_BYTES: Final = sized(CANARY.encode())
PIECES: Final[Mapping[str, bytes]] = {
    "order_id": sized(b"A-1"),
    "note": _CANARY_BYTES,
    "qty": number(3),
    "total": number(4),
    "weight": b"\x00\x00\xc0\x3f",
    "ratio": b"\x00\x00\x00\x00\x00\x00\xd0\x3f",
    "ok": b"\x01",
    "price": sized(b"\x04\xe2"),
    "fee": b"\x00\x00\x00\x00\x00\x4b",
    "placed_at": number(1_795_352_700_000),
    "exact": number(1_795_352_700_000_000_001),
    "here": number(1_795_352_700_000_000),
    "day": number(20_779),
    "clock": number(47_100_000),
    "uid": sized(b"8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11"),
    "uid16": bytes.fromhex("8c5ea3974f2c4a5e9a553f3c4f3d2f11"),
    "raw": _CANARY_BYTES,
    "mark": bytes(range(4)),
    "span": bytes([1, 0, 0, 0, 2, 0, 0, 0, 0xB8, 0x0B, 0, 0]),
    "state": number(1),
    "tags": number(1) + sized(b"a") + _CANARY_BYTES + number(0),
    "deep": number(1) + sized(b"a") + number(1) + sized(b"b") + number(1) + number(0) + number(0),
    "lines": number(1) + _CANARY_BYTES + number(1) + number(0),
    "bits": number(2) + number(1) + number(0) + number(0),
    "maybe": number(1) + _CANARY_BYTES,
    "choice": number(1) + number(7),
    "pick": number(0) + number(9),
    "words": number(1) + number(0),
    "tokens": number(0) + _CANARY_BYTES,
}
"""The Avro bytes of each field of the same event."""

CONTRACT: Final = """\
gateway: v1
partner: {slug}
name: The company
sends:
  order.placed: {{schema: order.avsc, id: /order_id}}
limits: {{event_bytes: 1MiB}}
"""


def event(extra: str = "", **members: str) -> bytes:
    """A right event in JSON, with the texts of some members in place of the right ones, and more behind."""
    texts = {**TEXTS, **members}
    inside = ",".join(f'"{name}":{text}' for name, text in texts.items())
    return f"{{{inside}{extra}}}".encode()


def datum(behind: bytes = b"", **fields: bytes) -> bytes:
    """A right event in Avro, with the bytes of some fields in place of the right ones, and more behind."""
    return b"".join({**PIECES, **fields}.values()) + behind


@dataclass
class Wire:
    """A running gateway, and a partner's client."""

    house: House
    client: httpx.AsyncClient
    foreign_id: int
    schema_id: int = 0
    published: int = 0
    topics: list[tuple[str, int]] = field(default_factory=list)

    async def count(self) -> int:
        """Records on all topics of the partners."""
        bounds = await self.house.world.parts.broker.bounds(self.topics)
        return sum(end for _, end in bounds)

    async def post(
        self, body: bytes, media_type: str = "application/json", path: str = PATH, **headers: str
    ) -> httpx.Response:
        """Post as the partner does; underscores in names of headers stand for hyphens."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return await self.client.post(path, content=body, headers={"Content-Type": media_type, **named})

    async def post_new(
        self, body: bytes, media_type: str = "application/json", path: str = PATH
    ) -> httpx.Response:
        """Post under an id that nothing was accepted under: else what is refused is read once more."""
        changed = body.replace(b"A-1", b"A-2", 1)
        return await self.post(changed, media_type, path)

    async def framed(self, raw: bytes) -> httpx.Response:
        """Post a datum behind the id of its schema."""
        return await self.post_new(encode_prefix(self.schema_id, raw), CONFLUENT)

    async def refused(self, answer: httpx.Response) -> dict[str, Any]:
        """The problem document of a refusal; nothing was published for it."""
        problem = verify_problem(answer)
        assert await self.count() == self.published
        return problem


def verify_problem(
    answer: httpx.Response, *, has_strange_keys: bool = False, of_events: bool = True
) -> dict[str, Any]:
    """The problem document of a refusal: well-formed, by the catalogue, bounded, and without a value.

    `has_strange_keys`: a value may have become the key of a map, which a pointer names. `of_events`: the
    faults are of an event, not of a contract.
    """
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    meaning = CATALOGUE[problem["code"]]
    assert 400 <= answer.status_code < 500, problem
    assert answer.status_code == problem["status"] == meaning.status
    assert (problem["title"], problem["retry"]) == (meaning.title, meaning.retry)
    assert problem["type"].endswith(f"/errors/{problem['code']}")
    assert "Traceback" not in answer.text
    assert len(answer.content) <= MOST_ANSWER
    assert problem["detail"]
    faults = problem.get("errors", [])
    if of_events:
        verify_faults(faults)
    shown = [{**one, "pointer": ""} for one in faults] if has_strange_keys else faults
    assert CANARY not in json.dumps({**problem, "errors": shown})
    return problem


def verify_faults(faults: list[dict[str, Any]]) -> None:
    """Faults of the closed list, each with a place and a text; at most a hundred."""
    assert len(faults) <= 100
    for one in faults:
        assert one.keys() <= {"pointer", "code", "detail", "expected"}
        assert one["code"] in get_args(FaultCode)
        assert one["pointer"] == "" or one["pointer"].startswith("/")
        assert 0 < len(one["detail"]) < 500


@asynccontextmanager
async def open_wire(folder: Path) -> AsyncIterator[Wire]:
    """A gateway with two partners under the contract, each with one event on its topic."""
    async with open_house(folder, partners=()) as house:
        for slug in ("acme", "globex"):
            text = CONTRACT.format(slug=slug)
            schema = {**SCHEMA, "namespace": f"com.{slug}"}
            await house.world.apply(text, {"order.avsc": json.dumps(schema)}, slug=slug)
            await house.issue(slug, "partner", slug)
        await house.issue("operator", "operator")
        async with house.client("acme") as client, house.client("globex") as foreign:
            made = await foreign.post(PATH, content=event())
            assert made.status_code == 201, made.text
            wire = Wire(house, client, made.json()["schema"]["id"])
            wire.topics = [("partners.acme.inbound", 0), ("partners.globex.inbound", 0)]
            right = await wire.post(event())
            assert right.status_code == 201, right.text
            wire.schema_id = right.json()["schema"]["id"]
            wire.published = await wire.count()
            assert wire.published == 2
            again = await wire.post(encode_prefix(wire.schema_id, datum()), CONFLUENT)
            assert (again.status_code, again.json()["receipt"]) == (200, right.json()["receipt"]), again.text
            yield wire
            assert await wire.count() == wire.published
