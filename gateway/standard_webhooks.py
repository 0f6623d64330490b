"""Standard Webhooks 1.0.0, signature version v1: sign exactly the bytes that are sent, and verify them.

Never re-encodes a body. Source: Standard Webhooks 1.0.0; docs/formats.md, section 8.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from gateway.errors import CallerError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of a secret, not one
SECRET_BYTES = 32
TOLERANCE_SECONDS = 300

_SHORTEST, _LONGEST = 24, 64
_MAX_SIGNATURES = 20
_MAX_HEADER = 4096
_WORDS = {
    "credential_missing": "webhook-id, webhook-timestamp and webhook-signature must all be there",
    "signature_invalid": "no v1 signature over webhook-id, webhook-timestamp and body matches a secret",
    "signature_stale": "webhook-timestamp is too far from now: check the sender's clock",
}
_SECONDS = re.compile(r"[0-9]{1,12}\Z")
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}\Z")


class WebhookSignatureError(CallerError):
    """The message is not proved to come from a holder of the secret.

    `code`: `credential_missing` (a header is not there), `signature_invalid` or `signature_stale`.
    """

    def __init__(self, code: Literal["credential_missing", "signature_invalid", "signature_stale"]) -> None:
        """Take the words from the code: nothing of the message is repeated."""
        super().__init__(code, _WORDS[code])


class WebhookSecretError(CallerError):
    """The text is not a webhook secret; the text itself is never repeated."""

    def __init__(self, text: str) -> None:
        """The code is always `parameter_invalid`."""
        super().__init__("parameter_invalid", text)


def format_secret(secret: bytes) -> str:
    """`whsec_` and base64.

    Raises:
        WebhookSecretError: not 24 to 64 bytes.
    """
    return SECRET_PREFIX + base64.b64encode(_checked(secret)).decode("ascii")


def parse_secret(text: str) -> bytes:
    """The key bytes of a secret as shown.

    Raises:
        WebhookSecretError: no such prefix, no base64, or not 24 to 64 bytes.
    """
    if not text.startswith(SECRET_PREFIX):
        raise WebhookSecretError(f"a webhook secret starts with {SECRET_PREFIX}")
    try:
        raw = base64.b64decode(text[len(SECRET_PREFIX) :], validate=True)
    except ValueError as error:
        raise WebhookSecretError("a webhook secret is base64 after its prefix") from error
    return _checked(raw)


def sign(secrets: Sequence[bytes], message_id: str, at_seconds: int, body: bytes) -> str:
    """The value of `webhook-signature`: one `v1,<base64>` a secret, in the order given (newest first).

    Raises:
        WebhookSecretError: no secret at all.
        ValueError: the id is not printable ASCII without dots: our own bug.
    """
    if not secrets:
        raise WebhookSecretError("no secret to sign with")
    if not _ID.match(message_id):
        raise ValueError("a webhook id is printable ASCII without dots")
    signed = _signed(message_id, str(at_seconds), body)
    return " ".join("v1," + base64.b64encode(_mac(secret, signed)).decode("ascii") for secret in secrets)


def verify_message(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[bytes],
    *,
    now_seconds: int,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> str:
    """Verify a message and return its id, which the caller checks for repeats.

    `headers` may be in any case. Checked in order: 1. all three headers are there; 2. their form; 3. one
    signature of version v1 matches one secret, compared in constant time; 4. the timestamp is within the
    tolerance (last, so that `signature_stale` is only told to who holds the secret).

    Raises:
        WebhookSignatureError: any of these fails.
    """
    found = {name.lower(): text for name, text in headers.items()}
    message_id, at, listed = (found.get(n, "") for n in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    if not (message_id and at and listed):  # 1
        raise WebhookSignatureError("credential_missing")
    if not (_ID.match(message_id) and _SECONDS.match(at)) or len(listed) > _MAX_HEADER:  # 2
        raise WebhookSignatureError("signature_invalid")
    offered = _offered(listed)
    signed = _signed(message_id, at, body)
    matches = [
        hmac.compare_digest(_mac(secret, signed), candidate) for secret in secrets for candidate in offered
    ]
    if not any(matches):  # 3
        raise WebhookSignatureError("signature_invalid")
    if abs(now_seconds - int(at)) > tolerance_seconds:  # 4
        raise WebhookSignatureError("signature_stale")
    return message_id


def _offered(listed: str) -> list[bytes]:
    """The v1 signatures of the list; other versions and broken items are passed over."""
    offered = []
    for item in listed.split(" ")[:_MAX_SIGNATURES]:
        version, _, text = item.partition(",")
        if version != "v1":
            continue
        try:
            offered.append(base64.b64decode(text.encode("ascii", "replace"), validate=True))
        except binascii.Error:
            continue
    return offered


def _signed(message_id: str, at: str, body: bytes) -> bytes:
    return f"{message_id}.{at}.".encode() + body


def _mac(secret: bytes, signed: bytes) -> bytes:
    return hmac.new(secret, signed, hashlib.sha256).digest()


def _checked(secret: bytes) -> bytes:
    if not _SHORTEST <= len(secret) <= _LONGEST:
        raise WebhookSecretError(f"a webhook secret has {_SHORTEST} to {_LONGEST} bytes")
    return secret
