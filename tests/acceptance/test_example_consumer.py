"""The example consumer believes what the gateway signed, and nothing else."""

import base64
import json
from dataclasses import replace

import jwt
import pytest

from audit.receipt import format_jwk
from examples.consumer.check_receipts import check
from gateway.record import Framing
from tests.acceptance.messages import Message, accepted
from tests.unit.audit.builders import OTHER_SIGNER, SeedSigner

SIGNER = SeedSigner(b"s" * 32)


def keys_of(*signers: SeedSigner) -> jwt.PyJWKSet:
    """As /.well-known/jwks.json gives them."""
    document = {"keys": [format_jwk(signer.public_key) for signer in signers]}
    return jwt.PyJWKSet.from_json(json.dumps(document))


KEYS = keys_of(OTHER_SIGNER, SIGNER)


def resigned(record: Message, header: dict[str, str], signer: SeedSigner = SIGNER) -> Message:
    """The record with its receipt signed anew, under another header."""

    def pack(raw: bytes) -> bytes:
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    payload = dict(record.headers())["gateway_receipt"].split(b".")[1]
    signed = pack(json.dumps(header).encode()) + b"." + payload
    return record.changed(gateway_receipt=signed + b"." + pack(signer.sign(signed)))


@pytest.mark.parametrize("framing", ["prefix", "header"])
def test_a_record_of_the_gateway_is_believed(framing: Framing) -> None:
    said = check(accepted({"id": "A-é"}, framing=framing, source="/erp/côte"), KEYS)
    assert (said["id"], said["source"], said["type"]) == ("A-é", "/erp/côte", "order.placed")


RECORD = accepted({"id": "A-1"})
OTHER = accepted({"id": "A-2"})
HEADER = {"alg": "EdDSA", "kid": SIGNER.key_id, "typ": "gateway-receipt+json"}
FALSE = {
    "another value": replace(RECORD, record=replace(RECORD.record, value=OTHER.value())),
    "another framing": replace(RECORD, record=replace(RECORD.record, value=(RECORD.value() or b"")[1:])),
    "another topic": replace(RECORD, record=replace(RECORD.record, topic="partners.acme.outbound")),
    "another partition": replace(RECORD, record=replace(RECORD.record, partition=1)),
    "another id": RECORD.changed(ce_id=b"A-2"),
    "another source": RECORD.changed(ce_source=b"/other"),
    "another type": RECORD.changed(ce_type=b"order.cancelled"),
    "another's receipt": RECORD.changed(gateway_receipt=dict(OTHER.headers())["gateway_receipt"]),
    "no receipt": replace(RECORD, record=replace(RECORD.record, headers=RECORD.record.headers[:-1])),
    "no headers": replace(RECORD, record=replace(RECORD.record, headers=())),
    "no value": replace(RECORD, record=replace(RECORD.record, value=None)),
    "no token": RECORD.changed(gateway_receipt=b"receipt"),
    "another's signature": resigned(RECORD, HEADER, OTHER_SIGNER),
    "another kind of token": resigned(RECORD, {**HEADER, "typ": "JWT"}),
    "another algorithm": resigned(RECORD, {**HEADER, "alg": "none"}),
}


@pytest.mark.parametrize("case", FALSE)
def test_a_record_that_differs_from_its_receipt_is_not_believed(case: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, jwt.PyJWTError)):
        check(FALSE[case], KEYS)


def test_a_receipt_signed_anew_as_it_was_is_believed() -> None:
    assert check(resigned(RECORD, HEADER), KEYS)["id"] == "A-1"


def test_a_key_that_is_not_kept_proves_nothing() -> None:
    with pytest.raises(KeyError):
        check(RECORD, keys_of(OTHER_SIGNER))
