"""Body and headers of one webhook: one CloudEvent in JSON, signed over exactly the bytes that are sent.

Source: docs/formats.md, section 8; CloudEvents JSON format 1.0, section 3.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from audit.ref import format_ref
from gateway.dialler import Outgoing
from gateway.standard_webhooks import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

MEDIA_TYPE: Final = "application/cloudevents+json"
_OURS: Final = frozenset({"specversion", "id", "source", "type", "datacontenttype", "dataschema", "data"})


def encode_body(
    attributes: Mapping[str, str], event: tuple[str, str, str], *, data_schema: str, data: bytes
) -> bytes:
    """The body of a webhook.

    `event`: id, source and type. `attributes`: the further ones; a name that the envelope owns is left out.
    `data` is JSON text, which goes in as it is.
    """
    event_id, source, event_type = event
    members = {"specversion": "1.0", "id": event_id, "source": source, "type": event_type}
    members |= {name: attributes[name] for name in sorted(attributes) if name not in _OURS}
    members |= {"datacontenttype": "application/json", "dataschema": data_schema}
    head = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return head[:-1] + b',"data":' + data + b"}"


def make_outgoing(url: str, ref: bytes, body: bytes, secrets: Sequence[bytes], *, now: int) -> Outgoing:
    """The POST of one attempt, signed by each secret (newest first) at `now` (Unix milliseconds).

    Raises:
        WebhookSecretError: the endpoint has no secret.
    """
    message_id, seconds = format_ref(ref), now // 1000
    headers = (
        ("Content-Type", MEDIA_TYPE),
        (ID_HEADER, message_id),
        (TIMESTAMP_HEADER, str(seconds)),
        (SIGNATURE_HEADER, sign(secrets, message_id, seconds, body)),
    )
    return Outgoing(url, headers, body)
