"""The order event that validation is measured on, sixty-four of them, as JSON, as Python values and as Avro.

Sixteen fields: a record in a record, an array of three line items, a map, an enum, three unions with null, a
timestamp, decimals and a uuid. No two are the same, so that nothing is found in a cache that a busy gateway
would not find there too: they were placed on sixteen days, at any time of the day.
"""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import fastavro

SCHEMA: Final = Path(__file__).with_name("schemas_order.avsc").read_text()
COUNT: Final = 64
_FIRST: Final = datetime(2026, 11, 1, tzinfo=UTC)
_STATES: Final = ("NEW", "PAID", "SHIPPED", "DONE")


def order(number: int) -> dict[str, Any]:
    """An order as its sender writes it, logical types as text."""
    placed = _FIRST + timedelta(days=number % 16, milliseconds=(number * 7_919_123) % 86_400_000)
    lines = [
        {
            "sku": f"SKU-{number}-{line}",
            "qty": (number * line) % 900 + 1,
            "price": f"{number * 3 + line}.{line}9",
        }
        for line in (1, 2, 3)
    ]
    return {
        "order_id": str(UUID(int=(number + 1) * 0x0123_4567_89AB_CDEF_0F1E_2D3C % (1 << 128))),
        "number": f"PO-2026-{number:06}",
        "customer_id": 4_711_000 + number * 131,
        "placed_at": _text(placed),
        "status": _STATES[number % 4],
        "currency": "EUR",
        "total": f"{number * 97 + 12}.{number:02}",
        "paid": number % 2 == 0,
        "weight": number * 0.37 + 0.5,
        "items": len(lines),
        "buyer": {
            "name": f"Ada Example {number}",
            "email": f"ada.{number}@example.com",
            "address": {"street": f"Main Street {number}", "city": "Zürich", "zip": "8001", "country": "CH"},
        },
        "lines": lines,
        "tags": {"channel": "web", "campaign": f"autumn-{number}"},
        "note": "please ring twice" if number % 3 else None,
        "coupon": None,
        "shipped_at": _text(placed + timedelta(days=1)),
    }


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def rich(event: dict[str, Any]) -> dict[str, Any]:
    """The event with the Python values that fastavro wants for logical types."""
    shipped = event["shipped_at"]
    return {
        **event,
        "order_id": UUID(event["order_id"]),
        "placed_at": datetime.fromisoformat(event["placed_at"]),
        "total": Decimal(event["total"]),
        "lines": [{**line, "price": Decimal(line["price"])} for line in event["lines"]],
        "shipped_at": None if shipped is None else datetime.fromisoformat(shipped),
    }


def compact(event: dict[str, Any]) -> bytes:
    """The event as a JSON text without white space."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def bad(event: dict[str, Any]) -> bytes:
    """The event with seven faults in all corners of it."""
    lines = [{**line, "qty": "five"} for line in event["lines"]]
    rest = {name: value for name, value in event.items() if name != "currency"}
    return compact({**rest, "curency": "EUR", "lines": lines, "status": "LOST", "placed_at": "yesterday"})


def fastavro_encoder() -> Callable[[dict[str, Any]], bytes]:
    """What stands beside the gateway's encoder: `validate`, then `schemaless_writer`, on Python values."""
    schema = fastavro.parse_schema(json.loads(SCHEMA))
    validate = fastavro.validate  # noqa: TID251 - it is measured, not relied upon

    def encode(event: dict[str, Any]) -> bytes:
        validate(event, schema)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, event)
        return out.getvalue()

    return encode


def fastavro_decoder() -> Callable[[bytes], Any]:
    """What stands beside the gateway's check: `schemaless_reader` alone."""
    schema = fastavro.parse_schema(json.loads(SCHEMA))
    return lambda raw: fastavro.schemaless_reader(io.BytesIO(raw), schema, None)
