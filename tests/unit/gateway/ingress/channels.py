"""Channels made by hand, and the circumstances of a request: for tests of the pure parts of ingress."""

import json
from typing import Any

from gateway.channels import Channel, Version
from gateway.ingress.prepare import Circumstances
from partners.contract import IdRule, Line, Terms
from schemas.codec import compile_codec
from schemas.leaf import JsonFlavour
from schemas.schema import parse_schema
from tests.unit.audit.builders import SeedSigner

NOW = 1_795_353_600_000
POINTED = IdRule("pointers", ("/id",))


def version(number: int, fields: list[dict[str, Any]], line: Line) -> Version:
    """A version of the record `com.acme.Order`, compiled with the pointers of a line."""
    record = {"type": "record", "name": "Order", "namespace": "com.acme", "fields": fields}
    schema = parse_schema(json.dumps(record))
    terms = line.terms
    pointers = [*terms.id.pointers, *(p for p in (terms.key_pointer, terms.time_pointer) if p)]
    return Version(40 + number, number, schema, compile_codec(schema, pointers, terms.json))


def channel(
    *versions: list[dict[str, Any]],
    rule: IdRule = POINTED,
    key: str | None = None,
    time: str | None = None,
    flavour: JsonFlavour = "plain",
    event_bytes: int = 10_000,
) -> Channel:
    """A channel of `order.placed`; `versions`: the fields of each, newest first."""
    terms = Terms(
        "order.placed", "inbound", "order.avsc", rule, key, time, (), flavour, "BACKWARD", len(versions), None
    )
    line = Line(terms, "partners.acme.inbound-com.acme.Order", tuple(range(40 + len(versions), 40, -1)))
    numbered = zip(range(len(versions), 0, -1), versions, strict=True)
    return Channel(
        partner="acme",
        log="k3v9q2",
        contract=7,
        contract_sha256=b"\x77" * 32,
        line=line,
        versions=tuple(version(number, fields, line) for number, fields in numbered),
        topic="partners.acme.inbound",
        partition=0,
        framing="prefix",
        event_bytes=event_bytes,
        keep_content_days=90,
        keep_evidence_days=2555,
    )


def circumstances(idempotency_key: str | None = None, *, record_limit: int = 1_000_000) -> Circumstances:
    """A request by an API key at a fixed time; salts are zeros."""
    return Circumstances(
        method="api_key",
        credential="crd_1",
        idempotency_key=idempotency_key,
        signed=None,
        now=NOW,
        origin="https://gw.example",
        log_host="gw.example",
        signer=SeedSigner(b"s" * 32),
        entropy=bytes,
        record_limit=record_limit,
    )
