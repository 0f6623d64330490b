"""The real records of `examples/`, as the events that the demo sends. Pure, but for reading the files."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.errors import SetupError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRICES = 5_000
CONFIRMATIONS = 300
_LEAST = 12
_NEEDED = ("acme.yaml", "globex.yaml", "receiver.py", "data/orders.jsonl", "data/stock-prices.csv")


@dataclass(frozen=True, slots=True)
class Sendable:
    """An event to send: its id, as the contract's pointers make it, and its content as JSON bytes."""

    id: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that is sent: shipments of Acme's orders, our confirmations of some, Globex's prices."""

    shipments: tuple[Sendable, ...]
    confirmations: tuple[Sendable, ...]
    prices: tuple[Sendable, ...]


def read_material(folder: Path, events: int | None) -> Material:
    """Read the examples. `events`: how many prices, and at most as many shipments; None: the whole story's.

    Raises:
        SetupError: the examples are not there, or so few events make no story.
    """
    verify_there(folder, _NEEDED)
    wanted = PRICES if events is None else events
    if wanted < _LEAST:
        raise SetupError(f"the demo needs at least {_LEAST} events to tell its story")
    shipments = _shipments(folder)
    with (folder / "data/stock-prices.csv").open(newline="") as table:
        prices = [price(row) for _, row in zip(range(wanted), csv.DictReader(table), strict=False)]
    if events is not None:
        shipments = shipments[:events]
    chosen = shipments[: min(CONFIRMATIONS, len(shipments))]
    return Material(tuple(shipments), tuple(confirmation(one.content) for one in chosen), tuple(prices))


def verify_there(folder: Path, needed: Sequence[str]) -> None:
    """Make sure that the examples are there; an installed package has none.

    Raises:
        SetupError: names what is missing, and where examples are found.
    """
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise SetupError(
            f"the demo needs {', '.join(missing)} in {folder}: "
            "run it from a clone of the project, after make setup"
        )


def first_shipment(folder: Path) -> Sendable:
    """The first shipment of the examples."""
    return _shipments(folder)[0]


def price(row: dict[str, str]) -> Sendable:
    """One row of the table of prices. Prices stay text, so that no digit is lost."""
    whole: dict[str, Any] = {**row, "volume": int(row["volume"])}
    return Sendable(f"{row['symbol']}:{row['date']}", _json(whole))


def confirmation(shipment: bytes) -> Sendable:
    """Our answer to a shipment: accepted on the day of its delivery, at the sum of its lines."""
    found = json.loads(shipment, parse_float=Decimal)
    total = sum((Decimal(line["line_item_value"]) for line in found["lines"]), Decimal())
    answer = {
        "asn_dn": found["asn_dn"],
        "status": "ACCEPTED",
        "accepted_at": f"{found['dates']['delivery_recorded']}T12:00:00Z",
        "total_value": f"{total:.2f}",
    }
    return Sendable(found["asn_dn"], _json(answer))


def changed(shipment: Sendable) -> Sendable:
    """The same id with another content: another price of the first line."""
    found = json.loads(shipment.content)
    found["lines"][0]["pack_price"] = "1.00"
    return Sendable(shipment.id, _json(found))


def broken(shipment: Sendable) -> Sendable:
    """A shipment with a new id and four mistakes, as clients make them."""
    found = json.loads(shipment.content)
    found["asn_dn"] = "ASN-MISTAKEN"
    line = found["lines"][0]
    line["line_item_quantity"] = "a dozen"
    line["freight_cost_usd"] = "SEE_INVOICE"
    found["dates"]["delivered_to_client"] = "2007-02-30"
    found["contry"] = found.pop("country")
    return Sendable(found["asn_dn"], _json(found))


def batches(events: Sequence[Sendable], size: int) -> list[tuple[Sendable, ...]]:
    """The events in batches of at most `size`, in order."""
    return [tuple(events[at : at + size]) for at in range(0, len(events), size)]


def as_lines(events: Iterable[Sendable]) -> bytes:
    """The body of a batch: one event a line."""
    return b"".join(one.content + b"\n" for one in events)


def _shipments(folder: Path) -> list[Sendable]:
    with (folder / "data/orders.jsonl").open("rb") as file:
        lines = [line.strip() for line in file if line.strip()]
    return [Sendable(json.loads(line)["asn_dn"], line) for line in lines]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
