"""Bundles: one file with a receipt, its proof and the keys that came along."""

import json

import pytest

from audit.bundle import Bundle, format_bundle, parse_bundle
from audit.errors import MalformedError
from tests.unit.audit.builders import papers


def test_bundle_reads_back() -> None:
    honest = papers()
    for bundle in (Bundle(honest.receipt, honest.proof, honest.keys), Bundle(honest.receipt)):
        assert parse_bundle(format_bundle(bundle)) == bundle


def test_answer_to_a_posted_event_is_a_bundle() -> None:
    receipt = papers().receipt
    answer = {"ref": "evt_x", "duplicate": False, "receipt": receipt.decode(), "links": {"proof": "/v1"}}
    assert parse_bundle(json.dumps(answer).encode()) == Bundle(receipt)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"receipt":null}',
        b'{"receipt":1}',
        b'{"receipt":"a","proof":{}}',
        b'{"receipt":"a","log_key":"x"}',
        b'{"receipt":"a","log_key":1}',
        b'{"receipt":"a","jwks":[]}',
        b'{"receipt":"\\ud800"}',
        b'{"receipt":"a","log_key":"\\ud800+00000000+AAAA"}',
        b'{"receipt":"\xff"}',
        b"[" * 100_000,
        b" " * 2_000_001,
    ],
)
def test_malformed_bundle_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_bundle(raw)
