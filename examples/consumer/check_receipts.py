# ruff: noqa: INP001 - a program by itself, in no package
"""Read a topic of the gateway, and check the receipt of each record against its value.

Thirty lines on stock libraries (confluent-kafka, PyJWT with its crypto extra), and nothing of the gateway:

    curl https://gw.example/.well-known/jwks.json > receipt-keys.json      # once, and keep it
    python examples/consumer/check_receipts.py kafka:9092 partners.acme.inbound receipt-keys.json

Source: docs/formats.md, sections 3, 5 and 7; RFC 7515.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import jwt
from confluent_kafka import Consumer, KafkaException


def check(record: Any, keys: jwt.PyJWKSet) -> dict[str, Any]:
    """What the receipt of a record says, once it is signed and about this record: its place, event and bytes.

    Raises:
        Exception: it is not, or the record is none of the gateway's; whichever, do not believe it.
    """
    if record.error():
        raise KafkaException(record.error())
    headers = dict(record.headers())
    token = headers["gateway_receipt"].decode()
    header = jwt.get_unverified_header(token)
    said = json.loads(jwt.api_jws.decode(token, keys[header["kid"]], algorithms=["EdDSA"]))
    datum = record.value() if "__value_schema_id" in headers else record.value()[5:]
    sha256 = hashlib.sha256(datum).hexdigest()
    at = {"sha256": sha256, "topic": record.topic(), "partition": record.partition()}
    event = {name: headers[f"ce_{name}"].decode() for name in ("id", "source", "type")}
    if header["typ"] != "gateway-receipt+json" or said != said | event | {"record": at}:
        raise ValueError("the receipt is about something else than this record")
    return dict(said)


def main(servers: str, topic: str, keys_file: str) -> None:
    """Check what is there and what comes; the first record that does not hold ends it."""
    keys = jwt.PyJWKSet.from_json(Path(keys_file).read_text())
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "check", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while True:
        for record in consumer.consume(100, 1.0):
            sys.stdout.write(f"{record.offset()}: {check(record, keys)['ref']} is proved\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
