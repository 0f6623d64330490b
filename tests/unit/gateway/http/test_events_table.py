"""Every content type in every manner: what is answered, and that no more is published than was said.

Minimal, lenient, dry run and gzip, each with new, repeated and wrong events: of batches all combinations.
"""

import gzip
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

import fastavro
import httpx
import pytest
import pytest_asyncio

from audit.receipt import parse_receipt
from schemas.framing import encode_prefix
from tests.builders import House, open_house
from tests.world import ORDER

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPED: Final = "/v1/events/order.placed"
UNTYPED: Final = "/v1/events"
SCHEMA: Final = fastavro.parse_schema(dict(ORDER))
RECEIPT: Final = {"ref", "id", "source", "type", "received_at", "duplicate", "receipt", "schema", "contract",
                  "record", "links"}  # fmt: skip
PREVIEW: Final = {"ref", "id", "source", "type", "duplicate", "dry_run", "schema"}
COUNTS: Final = ("accepted", "duplicates", "refused")


@dataclass(frozen=True)
class Manner:
    """How a request wants to be answered, and how its body travels."""

    minimal: bool
    lenient: bool
    dry_run: bool
    gzip: bool

    def __str__(self) -> str:
        return "-".join(name for name, wanted in vars(self).items() if wanted) or "plain"


MANNERS: Final = [Manner(*chosen) for chosen in product((False, True), repeat=4)]
OF_ONE: Final = [
    *(one for one in MANNERS if not one.lenient),
    Manner(minimal=True, lenient=True, dry_run=False, gzip=True),
    Manner(minimal=False, lenient=True, dry_run=True, gzip=False),
]
"""Of a single event: there is nothing to be lenient with, and so it changes nothing."""


def order(number: str, *, wrong: bool) -> dict[str, Any]:
    return {"order_id": number, "customer": None, "qty": "many" if wrong else 1}


def plain(number: str, *, wrong: bool) -> bytes:
    return json.dumps(order(number, wrong=wrong)).encode()


def avro(number: str, *, wrong: bool) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, order(number, wrong=False))
    return out.getvalue() + b"\x00" * wrong


def framed(number: str, *, wrong: bool) -> bytes:
    return encode_prefix(1, avro(number, wrong=wrong))


def structured(number: str, *, wrong: bool) -> bytes:
    about = {"specversion": "1.0", "id": number, "source": "/partners/acme", "type": "order.placed"}
    return json.dumps({**about, "data": order(number, wrong=wrong)}).encode()


@dataclass(frozen=True)
class Kind:
    """A content type: path, media type, what makes an event of it, and of several a body where it can."""

    path: str
    media: str
    event: Callable[..., bytes]
    join: Callable[[Sequence[bytes]], bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


BINARY: Final = {"ce-specversion": "1.0", "ce-type": "order.placed", "ce-source": "/partners/acme"}
LINES: Final = b"\n".join
KINDS: Final = {
    "data in JSON": Kind(TYPED, "application/json", plain),
    "data in JSON by lines": Kind(TYPED, "application/x-ndjson", plain, LINES),
    "a bare datum": Kind(TYPED, "application/avro", avro),
    "a bare datum of a version": Kind(f"{TYPED}?schema_version=1", "application/avro", avro),
    "a framed datum": Kind(TYPED, "application/vnd.confluent.avro", framed),
    "a CloudEvent in headers": Kind(UNTYPED, "application/json", plain, headers=BINARY),
    "a CloudEvent in headers with a datum": Kind(UNTYPED, "application/avro", avro, headers=BINARY),
    "a CloudEvent in headers, framed": Kind(
        UNTYPED, "application/vnd.confluent.avro", framed, headers=BINARY
    ),
    "a CloudEvent": Kind(UNTYPED, "application/cloudevents+json", structured),
    "CloudEvents in a list": Kind(
        UNTYPED,
        "application/cloudevents-batch+json",
        structured,
        lambda parts: b"[" + b",".join(parts) + b"]",
    ),
    "CloudEvents by lines": Kind(UNTYPED, "application/x-ndjson", structured, LINES),
}
SINGLE: Final = {name: kind for name, kind in KINDS.items() if kind.join is None}
BATCHES: Final = {name: kind for name, kind in KINDS.items() if kind.join is not None}


@dataclass
class Desk:
    """A partner's client, and how many records its topic should have."""

    house: House
    client: httpx.AsyncClient
    published: int = 0
    made: int = 0

    def new_id(self) -> str:
        self.made += 1
        return f"T-{self.made}"

    async def post(self, kind: Kind, body: bytes, manner: Manner) -> httpx.Response:
        preferred = [word for word, wanted in (("return=minimal", manner.minimal),
                     ("handling=lenient", manner.lenient)) if wanted]  # fmt: skip
        headers = {"Content-Type": kind.media, **kind.headers}
        headers |= {"Prefer": ", ".join(preferred)} if preferred else {}
        headers |= {"Content-Encoding": "gzip"} if manner.gzip else {}
        path = kind.path + ("&" if "?" in kind.path else "?") + "dry_run=true" * manner.dry_run
        content = gzip.compress(body) if manner.gzip else body
        return await self.client.post(path.rstrip("?&"), content=content, headers=headers)

    async def verify_published(self) -> None:
        (bounds,) = await self.house.world.parts.broker.bounds([("partners.acme.inbound", 0)])
        assert bounds[1] == self.published


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with open_house(tmp_path_factory.mktemp("table")) as house, house.client("acme") as client:
        yield Desk(house, client)


def verify_taken(answer: httpx.Response, manner: Manner, status: int, *, is_repeat: bool) -> None:
    """One event that is taken, was taken, or would be."""
    assert answer.status_code == status, answer.text
    applied = answer.headers.get("preference-applied", "")
    assert applied == ("return=minimal" if manner.minimal else "")
    has_receipt = is_repeat or not manner.dry_run
    assert ("location" in answer.headers) == has_receipt
    if manner.minimal:
        assert answer.content == b""
        assert "content-type" not in answer.headers
        assert ("gateway-receipt" in answer.headers) == has_receipt
        if has_receipt:
            parse_receipt(answer.headers["gateway-receipt"].encode())
        return
    body = answer.json()
    assert body["duplicate"] == is_repeat
    assert "gateway-receipt" not in answer.headers
    assert set(body) == (RECEIPT if has_receipt else PREVIEW) | ({"dry_run"} if manner.dry_run else set())


def verify_refused(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert "preference-applied" not in answer.headers
    document: dict[str, Any] = answer.json()
    assert answer.status_code == document["status"] == 422, document
    return document


@pytest.mark.parametrize("manner", OF_ONE, ids=str)
@pytest.mark.parametrize("name", SINGLE)
async def test_one_event(desk: Desk, name: str, manner: Manner) -> None:
    kind = SINGLE[name]
    number = desk.new_id()
    if kind.headers:
        kind = Kind(kind.path, kind.media, kind.event, headers={**kind.headers, "ce-id": number})
    refused = verify_refused(await desk.post(kind, kind.event(number, wrong=True), manner))
    assert (refused["code"], len(refused["errors"])) == ("event_invalid", 1)
    body = kind.event(number, wrong=False)
    first = await desk.post(kind, body, manner)
    verify_taken(first, manner, 200 if manner.dry_run else 201, is_repeat=False)
    if manner.dry_run:
        assert (await desk.post(kind, body, MANNERS[0])).status_code == 201
    desk.published += 1
    verify_taken(await desk.post(kind, body, manner), manner, 200, is_repeat=True)
    await desk.verify_published()


def verify_results(
    answer: httpx.Response, manner: Manner, statuses: Sequence[int], counts: Sequence[int]
) -> None:
    """The body of a batch, whatever its status: counts, and an item for each event."""
    body = answer.json()
    assert [body[name] for name in COUNTS] == list(counts)
    assert [one["index"] for one in body["results"]] == list(range(len(statuses)))
    assert [one["status"] for one in body["results"]] == list(statuses)
    assert body.get("dry_run", False) == manner.dry_run
    for one in body["results"]:
        wanted = {"index", "status", "problem" if one["status"] == 422 else "ref"}
        assert wanted <= set(one) <= wanted | ({"receipt"} if not manner.minimal else set())
        if one["status"] == 422:
            assert one["problem"]["code"] == "event_invalid"
    if answer.status_code != 422:
        words = ["handling=lenient"] * manner.lenient + ["return=minimal"] * manner.minimal
        assert answer.headers.get("preference-applied", "") == ", ".join(words)


@pytest.mark.parametrize("manner", MANNERS, ids=str)
@pytest.mark.parametrize("name", BATCHES)
async def test_a_batch(desk: Desk, name: str, manner: Manner) -> None:
    kind = BATCHES[name]
    assert kind.join is not None
    one, two, bad = (desk.new_id() for _ in range(3))
    right = [kind.event(number, wrong=False) for number in (one, two)]
    wrong = kind.event(bad, wrong=True)
    new = 200 if manner.dry_run else 201
    # Nothing of it is right: refused, in either handling.
    nothing = await desk.post(kind, kind.join([wrong]), manner)
    assert verify_refused(nothing)["code"] == "batch_refused"
    verify_results(nothing, manner, [422], [0, 0, 1])
    # A part of it is.
    part = await desk.post(kind, kind.join([right[0], wrong]), manner)
    if manner.lenient:
        assert part.status_code == 207
        verify_results(part, manner, [new, 422], [1, 0, 1])
        desk.published += not manner.dry_run
    else:
        assert verify_refused(part)["code"] == "batch_refused"
    await desk.verify_published()
    # All of it is.
    is_known = manner.lenient and not manner.dry_run
    whole = await desk.post(kind, kind.join(right), manner)
    assert whole.status_code == 200
    verify_results(whole, manner, [200 if is_known else new, new], [2 - is_known, int(is_known), 0])
    desk.published += 0 if manner.dry_run else 2 - is_known
    await desk.verify_published()
