"""Body and headers of one webhook, signed over exactly the bytes that are sent.

An event is kept as one CloudEvent in JSON, whatever the format of its endpoint: what is sent is made of that
when it is sent, so that an endpoint may change its format while events wait for it.

Source: docs/formats.md, section 8; CloudEvents JSON format 1.0, section 3; HTTP protocol binding, section 3.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from gateway.dialler import Outgoing
from gateway.standard_webhooks import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from partners.endpoint import Endpoint, Format

MEDIA_TYPE: Final = "application/cloudevents+json"
_DATA: Final = b',"data":'
_PLAIN: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""Of header values; all else is percent-encoded, the blank too."""

Headers = tuple[tuple[str, str], ...]

_OURS: Final = frozenset({"specversion", "id", "source", "type", "datacontenttype", "dataschema", "data"})


def encode_body(
    attributes: Mapping[str, str], event: tuple[str, str, str], *, data_schema: str, data: bytes
) -> bytes:
    """The body of a webhook.

    `event`: id, source and type. `attributes`: the further ones; a name that the envelope owns is left out.
    `data_schema` empty: none is named. `data` is JSON text, which goes in as it is.
    """
    event_id, source, event_type = event
    members = {"specversion": "1.0", "id": event_id, "source": source, "type": event_type}
    members |= {name: attributes[name] for name in sorted(attributes) if name not in _OURS}
    members |= {"datacontenttype": "application/json"}
    members |= {"dataschema": data_schema} if data_schema else {}
    head = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return head[:-1] + _DATA + data + b"}"


@dataclass(frozen=True, slots=True)
class Signers:
    """What signs: the endpoint's secrets, newest first; `own`: our Ed25519 keys, None where there is none."""

    secrets: Sequence[bytes] = field(repr=False)
    own: Callable[[bytes], Sequence[bytes]] | None = field(default=None, repr=False)


def present(body: bytes, form: Format) -> tuple[Headers, bytes]:
    """An event as a format has it: header fields that tell of it, and the bytes to send.

    `body`: what `encode_body` made. `cloudevents`: that; `data`: the data alone; `binary`: the data, and all
    else in `ce-` headers.
    """
    if form == "cloudevents":
        return (("Content-Type", MEDIA_TYPE),), body
    # Inside a JSON string a quote has a backslash before it: the first place is the member itself.
    head, _, rest = body.partition(_DATA)
    headers: Headers = (("Content-Type", "application/json"),)
    if form == "binary":
        members: dict[str, str] = json.loads(head + b"}")
        # Its name in this binding is Content-Type.
        del members["datacontenttype"]
        headers += tuple((f"ce-{name}", _escaped(text)) for name, text in members.items())
    return headers, rest[:-1]


def make_outgoing(
    endpoint: Endpoint, message_id: str, body: bytes, signers: Signers, *, now: int
) -> Outgoing:
    """The POST of one attempt, signed at `now` (Unix milliseconds). `body`: what `encode_body` made.

    Raises:
        WebhookSecretError: the endpoint has no secret.
    """
    told, sent = present(body, endpoint.format)
    headers = (*told, *endpoint.headers, *signed(message_id, sent, signers, now=now))
    return Outgoing(endpoint.url, headers, sent)


def signed(message_id: str, sent: bytes, signers: Signers, *, now: int) -> Headers:
    """The three fields of a signed webhook, over exactly these bytes.

    Raises:
        WebhookSecretError: there is nothing to sign with.
    """
    seconds = now // 1000
    signature = sign(signers.secrets, message_id, seconds, sent, signers.own)
    return (ID_HEADER, message_id), (TIMESTAMP_HEADER, str(seconds)), (SIGNATURE_HEADER, signature)


def _escaped(text: str) -> str:
    """An attribute as a header's value. Source: CloudEvents HTTP protocol binding 1.0.2, section 3.1.3.2."""
    return quote(text, safe=_PLAIN)
