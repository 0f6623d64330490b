from dataclasses import replace

import pytest

from gateway.broker.port import Position, Read, Record
from gateway.event import Direction
from gateway.ingress.prepare import Prepared, make_record, prepare
from gateway.sequencer.sighting import Sighting, Suspect, sight
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft


def prepared() -> Prepared:
    found = prepare(draft({"id": "A"}), channel([{"name": "id", "type": "string"}]), circumstances())
    assert isinstance(found, Prepared)
    return found


MADE = prepared()
RECORD = make_record(MADE.claim, MADE.version, "https://gw.example")


def look(
    record: Record, *, partner: str = "acme", direction: Direction = "inbound", partition: int = 0
) -> Sighting | Suspect | None:
    return sight(Read(Position("topic-1", partition, 3), record, 5), partner=partner, direction=direction)


def with_header(name: str, value: bytes) -> Record:
    return replace(RECORD, headers=tuple((n, value if n == name else v) for n, v in RECORD.headers))


def reason(found: Sighting | Suspect | None) -> str:
    assert isinstance(found, Suspect)
    return found.reason


def test_a_record_of_ours_is_a_sighting() -> None:
    found = look(RECORD)
    assert isinstance(found, Sighting)
    assert (found.ref, found.receipt) == (MADE.claim.ref, MADE.claim.receipt)


def test_what_lacks_a_receipt_is_suspect_inbound_and_the_relays_outbound() -> None:
    bare = replace(RECORD, headers=())
    assert reason(look(bare)) == "receipt_missing"
    assert look(bare, direction="outbound") is None
    unreadable = replace(RECORD, value=None)
    assert reason(look(unreadable)) == "no_value"
    assert look(unreadable, direction="outbound") is None


@pytest.mark.parametrize("receipt", [b"", b"a.b.c", "é".encode(), b"x" * 30_000])
def test_what_is_no_receipt_is_suspect(receipt: bytes) -> None:
    assert reason(look(with_header("gateway_receipt", receipt))) == "receipt_malformed"


def test_another_datum_is_suspect() -> None:
    assert reason(look(replace(RECORD, value=(RECORD.value or b"") + b"x"))) == "record_altered"


def test_a_receipt_of_another_place_partner_or_direction_is_suspect() -> None:
    assert reason(look(RECORD, partner="globex")) == "receipt_foreign"
    assert reason(look(RECORD, direction="outbound")) == "receipt_foreign"
    assert reason(look(RECORD, partition=1)) == "receipt_foreign"
    assert reason(look(replace(RECORD, topic="partners.globex.inbound"))) == "receipt_foreign"
