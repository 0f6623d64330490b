"""A claim's row with nothing in it but its ref."""

from typing import Any


def claim_row(ref: bytes) -> dict[str, Any]:
    """Free to change."""
    return {
        "ref": ref,
        "partner": "acme",
        "log": "gw.example/log/k3v9q2",
        "direction": "inbound",
        "source": "",
        "event_id": "",
        "event_type": "",
        "event_sha256": b"",
        "content_sha256": b"",
        "receipt": "",
        "schema_id": 1,
        "framing": "prefix",
        "topic": "partners.acme.inbound",
        "topic_id": "t",
        "partition": 0,
        "at": 1,
        "attributes": "{}",
        "content_type": "",
        "content_encoding": "identity",
        "state": "confirmed",
        "lease_until": 0,
        "owner": "",
    }
