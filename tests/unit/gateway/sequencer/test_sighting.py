from dataclasses import replace
from typing import Any

import pytest

from audit.entry import draft_entry
from audit.receipt import parse_receipt
from gateway.broker.port import Position, Read, Record
from gateway.event import Direction
from gateway.ingress.prepare import Prepared, make_record, prepare
from gateway.sequencer.sighting import Accepted, Held, Sighting, Suspect, read_sighting, sight, vouched
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


def held(**changed: Any) -> Held:
    claim = MADE.claim
    return replace(
        Held(claim.receipt, None, claim.log, claim.at, claim.type, claim.content_sha256, claim.search),
        **changed,
    )


def sighting(record: Record = RECORD, **where: Any) -> Sighting:
    found = look(record, **where)
    assert isinstance(found, Sighting)
    return found


def judged(record: Record = RECORD, **where: Any) -> str:
    """Why a record is suspect, by its receipt; a claim with the same receipt does not vouch for it either."""
    one = sighting(record, **where)
    if (one.ref, one.receipt) == (MADE.claim.ref, MADE.claim.receipt):
        assert vouched(one, held()) is None
    found = read_sighting(one)
    assert isinstance(found, Suspect)
    return found.reason


def test_a_record_of_ours_is_a_sighting() -> None:
    found = sighting()
    assert (found.ref, found.receipt) == (MADE.claim.ref, MADE.claim.receipt)


def test_a_claim_vouches_for_what_the_receipt_says() -> None:
    one = sighting()
    by_claim, by_receipt = vouched(one, held()), read_sighting(one)
    assert by_claim == by_receipt
    assert isinstance(by_claim, Accepted)
    assert by_claim.draft == draft_entry(parse_receipt(MADE.claim.receipt.encode()).evidence)


def test_a_text_that_looks_like_the_place_is_not_taken_for_it() -> None:
    """A sender may write what it likes: the receipt of a record elsewhere does not speak of this one."""
    moved = Position("topic-1", 1, 3)
    wanted = (
        f'"record":{{"sha256":"{sighting().sha256}","topic":"{RECORD.topic}","partition":{moved.partition}}}'
    )
    version = channel([{"name": "id", "type": "string"}])
    found = prepare(draft({"id": "A"}, subject=wanted), version, circumstances())
    assert isinstance(found, Prepared)
    record = make_record(found.claim, found.version, "https://gw.example")
    one = sighting(record, partition=moved.partition)
    assert vouched(one, held(receipt=found.claim.receipt)) is None
    assert vouched(sighting(record), held(receipt=found.claim.receipt)) is not None


def test_what_lacks_a_receipt_is_suspect_inbound_and_the_relays_outbound() -> None:
    bare = replace(RECORD, headers=())
    assert reason(look(bare)) == "receipt_missing"
    assert look(bare, direction="outbound") is None
    unreadable = replace(RECORD, value=None)
    assert reason(look(unreadable)) == "no_value"
    assert look(unreadable, direction="outbound") is None


@pytest.mark.parametrize("receipt", [b"", b"a.b.c", "é".encode(), b"x" * 30_000])
def test_what_is_no_receipt_is_suspect(receipt: bytes) -> None:
    assert judged(with_header("gateway_receipt", receipt)) == "receipt_malformed"


def test_another_datum_is_suspect() -> None:
    assert judged(replace(RECORD, value=(RECORD.value or b"") + b"x")) == "record_altered"


def test_a_receipt_of_another_place_partner_or_direction_is_suspect() -> None:
    assert judged(partition=1) == "receipt_foreign"
    assert judged(replace(RECORD, topic="partners.globex.inbound")) == "receipt_foreign"
    for one in (sighting(partner="globex"), sighting(direction="outbound")):
        found = read_sighting(one)
        assert one.ref != MADE.claim.ref
        assert isinstance(found, Suspect)
        assert found.reason == "receipt_foreign"


@pytest.mark.parametrize(("header", "value"), [("ce_id", b"other"), ("ce_source", b"/x"), ("ce_type", b"x")])
def test_a_record_that_names_another_event_than_its_receipt_is_suspect(header: str, value: bytes) -> None:
    assert judged(with_header(header, value)) == "receipt_foreign"


@pytest.mark.parametrize("header", ["ce_id", "ce_source", "ce_type"])
def test_a_receipt_on_a_record_that_names_no_event_is_suspect(header: str) -> None:
    nameless = replace(RECORD, headers=tuple(one for one in RECORD.headers if one[0] != header))
    assert reason(look(nameless)) == "receipt_foreign"
