"""The real records as events: ids as the contracts make them, contents that the schemas take."""

import csv
import json
from pathlib import Path

import pytest

from gateway.cli.demo_material import (
    EXAMPLES,
    Sendable,
    as_lines,
    batches,
    broken,
    changed,
    confirmation,
    price,
    read_material,
)
from gateway.errors import SetupError
from schemas.codec import Codec, compile_codec
from schemas.errors import DatumError
from schemas.schema import parse_schema


def codec(name: str) -> Codec:
    return compile_codec(parse_schema((EXAMPLES / "schemas" / name).read_text()), (), "plain")


@pytest.fixture(scope="module")
def shipment() -> Sendable:
    return read_material(EXAMPLES, 12).shipments[0]


def test_a_small_story_has_as_many_events_as_asked_for() -> None:
    material = read_material(EXAMPLES, 40)
    assert (len(material.shipments), len(material.confirmations), len(material.prices)) == (40, 40, 40)


def test_the_whole_story_has_thousands_of_events_with_ids_of_their_own() -> None:
    material = read_material(EXAMPLES, None)
    assert len(material.prices) >= 5_000
    for events in (material.shipments, material.confirmations, material.prices):
        assert len({one.id for one in events}) == len(events)


def test_every_event_fits_its_schema() -> None:
    material = read_material(EXAMPLES, 60)
    schemas = ("order_shipment.avsc", "order_accepted.avsc", "stock_price.avsc")
    for name, events in zip(
        schemas, (material.shipments, material.confirmations, material.prices), strict=True
    ):
        compiled = codec(name)
        assert all(compiled.avro_from_json(one.content).avro for one in events)


def test_a_price_is_named_by_share_and_day() -> None:
    with (EXAMPLES / "data/stock-prices.csv").open(newline="") as table:
        event = price(next(csv.DictReader(table)))
    assert event.id == "AAPL:2000-03-01"
    assert json.loads(event.content)["close"] == "130.31"


def test_a_confirmation_sums_the_lines_exactly() -> None:
    lines = [{"line_item_value": value} for value in (0.1, 0.2, 1000000.01)]
    raw = json.dumps({"asn_dn": "ASN-1", "dates": {"delivery_recorded": "2007-01-02"}, "lines": lines})
    answer = json.loads(confirmation(raw.encode()).content)
    assert answer["total_value"] == "1000000.31"
    assert answer["accepted_at"] == "2007-01-02T12:00:00Z"


def test_the_mistakes_are_five_and_each_is_found(shipment: Sendable) -> None:
    with pytest.raises(DatumError) as caught:
        codec("order_shipment.avsc").avro_from_json(broken(shipment).content)
    assert {fault.pointer for fault in caught.value.faults} == {
        "/country",
        "/contry",
        "/dates/delivered_to_client",
        "/lines/0/freight_cost_usd",
        "/lines/0/line_item_quantity",
    }


def test_the_changed_shipment_is_valid_and_another_one_of_the_same_id(shipment: Sendable) -> None:
    compiled, other = codec("order_shipment.avsc"), changed(shipment)
    assert other.id == shipment.id
    assert compiled.avro_from_json(other.content).avro != compiled.avro_from_json(shipment.content).avro


def test_batches_hold_every_event_once_and_in_order() -> None:
    events = [Sendable(str(number), b"{}") for number in range(7)]
    parts = batches(events, 3)
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [one for part in parts for one in part] == events
    assert as_lines(parts[2]) == b"{}\n"


def test_too_few_events_make_no_story() -> None:
    with pytest.raises(SetupError, match="at least 12"):
        read_material(EXAMPLES, 3)


def test_missing_examples_are_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"acme\.yaml.*clone"):
        read_material(tmp_path, None)
