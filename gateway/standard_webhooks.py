"""Standard Webhooks 1.0.0: sign exactly the bytes that are sent, and verify them (v1 and v1a).

v1 is HMAC-SHA256 by a shared secret, v1a Ed25519 by the sender's own key. Never re-encodes a body.
Source: Standard Webhooks 1.0.0; docs/formats.md, section 8.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import CallerError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of a secret, not one
PUBLIC_KEY_PREFIX = "whpk_"
PUBLIC_KEY_BYTES = 32
TOLERANCE_SECONDS = 300

_SHORTEST, _LONGEST = 24, 64
_MAX_SIGNATURES = 20
_MAX_HEADER = 4096
_WORDS = {
    "credential_missing": "webhook-id, webhook-timestamp and webhook-signature must all be there",
    "signature_invalid": '"webhook-signature": none fits webhook-id, webhook-timestamp and body',
    "signature_stale": '"webhook-timestamp" is too far from now: check the sender\'s clock',
}
_FORMS = {
    ID_HEADER: "has 1 to 256 visible characters of ASCII, and no dot: dots part what is signed",
    TIMESTAMP_HEADER: "is whole seconds since 1970, in digits alone",
    SIGNATURE_HEADER: f"has at most {_MAX_HEADER:,} characters",
}
_SECONDS = re.compile(r"[0-9]{1,12}\Z")
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}\Z")


class WebhookSignatureError(CallerError):
    """The message is not proved to come from a holder of the secret.

    `code`: `credential_missing` (a header is not there), `signature_invalid` or `signature_stale`.
    """

    def __init__(
        self,
        code: Literal["credential_missing", "signature_invalid", "signature_stale"],
        misshapen: str = "",
    ) -> None:
        """Take the words from the code: nothing of the message is repeated. `misshapen`: a header."""
        component = misshapen or (TIMESTAMP_HEADER if code == "signature_stale" else SIGNATURE_HEADER)
        words = f'"{misshapen}" {_FORMS[misshapen]}' if misshapen else _WORDS[code]
        super().__init__(code, words, members={"component": component})


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


def sign(
    secrets: Sequence[bytes],
    message_id: str,
    at_seconds: int,
    body: bytes,
    own: Callable[[bytes], Sequence[bytes]] | None = None,
) -> str:
    """The value of `webhook-signature`: one `v1,<base64>` a secret, in the order given (newest first).

    `own`: signs by our Ed25519 keys; what it makes comes last, each as `v1a,<base64>`.

    Raises:
        WebhookSecretError: no secret at all.
        ValueError: the id is not printable ASCII without dots: our own bug.
    """
    if not secrets:
        raise WebhookSecretError("no secret to sign with")
    if not _ID.match(message_id):
        raise ValueError("a webhook id is printable ASCII without dots")
    signed = _signed(message_id, str(at_seconds), body)
    made = ["v1," + base64.b64encode(_mac(secret, signed)).decode("ascii") for secret in secrets]
    if own is not None:
        made += ["v1a," + base64.b64encode(one).decode("ascii") for one in own(signed)]
    return " ".join(made)


def format_public_key(public_key: bytes) -> str:
    """An Ed25519 public key as shown: `whpk_` and base64 of its 32 bytes."""
    return PUBLIC_KEY_PREFIX + base64.b64encode(public_key).decode("ascii")


def parse_public_key(text: str) -> bytes:
    """The 32 bytes of an Ed25519 public key as shown: `whpk_` and base64.

    Raises:
        WebhookSecretError: no such prefix, no base64, or no 32 bytes.
    """
    try:
        raw = base64.b64decode(text.removeprefix(PUBLIC_KEY_PREFIX), validate=True)
    except ValueError as error:
        raise WebhookSecretError("a webhook public key is base64 after its prefix") from error
    if not text.startswith(PUBLIC_KEY_PREFIX) or len(raw) != PUBLIC_KEY_BYTES:
        text = f"a webhook public key is {PUBLIC_KEY_PREFIX} and base64 of {PUBLIC_KEY_BYTES} bytes"
        raise WebhookSecretError(text)
    return raw


@dataclass(frozen=True, slots=True)
class Message:
    """The head of a signed message. `at`: as it stands there, Unix seconds."""

    id: str
    at: str
    v1: tuple[bytes, ...] = field(repr=False)
    v1a: tuple[bytes, ...] = field(repr=False)

    def signed(self, body: bytes) -> bytes:
        """The exact bytes that were signed."""
        return _signed(self.id, self.at, body)

    def verify_v1(self, body: bytes, secrets: Sequence[bytes]) -> bytes:
        """Return the signature that one of the secrets made; compared in constant time.

        Raises:
            WebhookSignatureError: `signature_invalid`.
        """
        made = [_mac(secret, self.signed(body)) for secret in secrets]
        fits = [hmac.compare_digest(one, offered) for one in made for offered in self.v1]
        if not any(fits):
            raise WebhookSignatureError("signature_invalid")
        return made[fits.index(True) // len(self.v1)]

    def verify_v1a(self, body: bytes, public_key: bytes) -> bytes:
        """Return the signature that the holder of an Ed25519 key made. `public_key`: its 32 bytes.

        Raises:
            WebhookSignatureError: `signature_invalid`.
        """
        key, signed = Ed25519PublicKey.from_public_bytes(public_key), self.signed(body)
        for offered in self.v1a:
            try:
                key.verify(offered, signed)
            except InvalidSignature:
                continue
            return offered
        raise WebhookSignatureError("signature_invalid")

    def verify_time(self, *, now_seconds: int, tolerance_seconds: int = TOLERANCE_SECONDS) -> None:
        """Compare with our clock.

        Raises:
            WebhookSignatureError: `signature_stale`.
        """
        if abs(now_seconds - int(self.at)) > tolerance_seconds:
            raise WebhookSignatureError("signature_stale")


def read_message(headers: Mapping[str, str]) -> Message:
    """Read the three headers, in any case.

    Raises:
        WebhookSignatureError: one is not there, or not of its form.
    """
    found = {name.lower(): text for name, text in headers.items()}
    message_id, at, listed = (found.get(n, "") for n in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
    if not (message_id and at and listed):
        raise WebhookSignatureError("credential_missing")
    fits = {
        ID_HEADER: _ID.match(message_id) is not None,
        TIMESTAMP_HEADER: _SECONDS.match(at) is not None,
        SIGNATURE_HEADER: len(listed) <= _MAX_HEADER,
    }
    for name, is_fit in fits.items():
        if not is_fit:
            raise WebhookSignatureError("signature_invalid", name)
    return Message(message_id, at, _offered(listed, "v1"), _offered(listed, "v1a"))


def verify_message(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[bytes],
    *,
    now_seconds: int,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> str:
    """Verify a message and return its id, which the caller checks for repeats.

    `headers` may be in any case. Checked in order: 1. all three headers are there, and of their form; 2. one
    signature of version v1 matches one secret; 3. the timestamp is within the tolerance (last, so that
    `signature_stale` is only told to who holds the secret).

    Raises:
        WebhookSignatureError: any of these fails.
    """
    message = read_message(headers)  # 1
    message.verify_v1(body, secrets)  # 2
    message.verify_time(now_seconds=now_seconds, tolerance_seconds=tolerance_seconds)  # 3
    return message.id


def _offered(listed: str, wanted: str) -> tuple[bytes, ...]:
    """The signatures of one version in the list; other versions and broken items are passed over."""
    offered = []
    for item in listed.split(" ")[:_MAX_SIGNATURES]:
        version, _, text = item.partition(",")
        if version != wanted:
            continue
        try:
            offered.append(base64.b64decode(text.encode("ascii", "replace"), validate=True))
        except binascii.Error:
            continue
    return tuple(offered)


def _signed(message_id: str, at: str, body: bytes) -> bytes:
    return f"{message_id}.{at}.".encode() + body


def _mac(secret: bytes, signed: bytes) -> bytes:
    return hmac.new(secret, signed, hashlib.sha256).digest()


def _checked(secret: bytes) -> bytes:
    if not _SHORTEST <= len(secret) <= _LONGEST:
        raise WebhookSecretError(f"a webhook secret has {_SHORTEST} to {_LONGEST} bytes")
    return secret
