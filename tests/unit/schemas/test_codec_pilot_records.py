"""The schemas of examples/ on all of the real data beside them, with fastavro as an independent witness."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas.codec import Codec, compile_codec
from schemas.errors import DatumError
from schemas.schema import Schema, parse_schema

_EXAMPLES = Path(__file__).parents[3] / "examples"


def _schema(name: str) -> Schema:
    return parse_schema((_EXAMPLES / "schemas" / f"{name}.avsc").read_text())


def _codec(name: str, *pointers: str) -> Codec:
    return compile_codec(_schema(name), pointers, "plain")


def _orders() -> list[bytes]:
    return (_EXAMPLES / "data" / "orders.jsonl").read_bytes().splitlines()


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _comparable(value: Any) -> Any:
    """Numbers and decimal texts alike, whatever their trailing zeros."""
    if isinstance(value, dict):
        return {name: _comparable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    try:
        return value if isinstance(value, bool) else Decimal(value)
    except ArithmeticError:
        return value


def test_every_order_survives_the_way_to_avro_and_back() -> None:
    codec = _codec("order_shipment", "/asn_dn", "/dates/delivered_to_client", "/pq")
    orders = _orders()
    seen = set()
    for raw in orders:
        encoded = codec.avro_from_json(raw)
        order = json.loads(raw, parse_float=Decimal)
        back = json.loads(codec.json_from_avro(encoded.avro))
        assert _comparable(_without_nulls(back)) == _comparable(order)
        assert codec.checked_avro(encoded.avro) == encoded
        assert encoded.values["/pq"] == order.get("pq")
        assert encoded.values["/dates/delivered_to_client"] == order["dates"]["delivered_to_client"]
        seen.add(encoded.values["/asn_dn"])
    assert (len(orders), len(seen)) == (1_313, 1_313)


def test_fastavro_reads_every_order_as_it_was_sent() -> None:
    codec = _codec("order_shipment")
    theirs = fastavro.parse_schema(json.loads(codec.schema.text))
    for raw in _orders():
        source = io.BytesIO(codec.avro_from_json(raw).avro)
        read: Any = fastavro.schemaless_reader(source, theirs, None)
        assert source.read() == b""
        order = json.loads(json.dumps(_without_nulls(read), default=str), parse_float=Decimal)
        assert _comparable(order) == _comparable(json.loads(raw, parse_float=Decimal))


def test_every_stock_price_survives_the_way_to_avro_and_back() -> None:
    codec = _codec("stock_price", "/symbol", "/date")
    ids = set()
    with (_EXAMPLES / "data" / "stock-prices.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            event = {**row, "volume": int(row["volume"])}
            encoded = codec.avro_from_json(json.dumps(event).encode())
            assert _comparable(json.loads(codec.json_from_avro(encoded.avro))) == _comparable(event)
            ids.add(tuple(encoded.values.items()))
    assert len(ids) == 12_154


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"lines": [{"id": "x"}]}, 1 + 14),
        ({"vendor_inco_term": "CIF"}, 1),
        ({"dates": {"scheduled_delivery": "2007-02-30"}}, 3),
        ({"country": None, "contry": "Uganda"}, 2),
    ],
)
def test_a_spoiled_order_is_refused_with_every_fault(change: dict[str, Any], faults: int) -> None:
    order = {**json.loads(_orders()[0]), **change}
    with pytest.raises(DatumError) as caught:
        _codec("order_shipment").avro_from_json(json.dumps(order).encode())
    assert caught.value.total == faults


def test_a_confirmation_reads_as_it_was_sent() -> None:
    codec = _codec("order_accepted", "/asn_dn")
    event = (
        b'{"asn_dn":"ASN-124","status":"ACCEPTED",'
        b'"accepted_at":"2026-11-22T13:05:00Z","total_value":"21586.60"}'
    )
    encoded = codec.avro_from_json(event)
    assert codec.json_from_avro(encoded.avro) == event.replace(b":00Z", b":00.000Z")
    assert encoded.values == {"/asn_dn": "ASN-124"}
