"""Standard Webhooks that come in: what a partner's existing webhook sender can do, on event routes only.

The signature covers id, time and body, and nothing else of the request: so nothing else may say what the
event is, save the target that the sender was given. All of it is owed, since the body was signed.

Source: Standard Webhooks 1.0.0.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.auth.proof import Proof, not_in_force
from gateway.auth.request import Shown
from gateway.errors import CallerError
from gateway.origin_evidence import Origin
from gateway.standard_webhooks import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Message,
    WebhookSignatureError,
    read_message,
)
from partners.credential import RAW, SEALED, Credential, Method, secret_place, verify_in_force
from partners.directory import Directory
from partners.errors import CredentialError

PARAMETER: Final = "credential="
_HEADERS: Final = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
_BATCHES: Final = frozenset({"application/x-ndjson", "application/cloudevents-batch+json"})
HOW: Final = (
    "Post to the URL with ?credential=crd_... of the credential that holds your webhook secret or key."
)


@dataclass(frozen=True, slots=True)
class InboundWebhooks:
    """The way of signed webhooks. `unseal`: opens what was sealed for a place."""

    unseal: Callable[[bytes, str], bytes] = field(repr=False)

    @property
    def method(self) -> Method:
        """The kind."""
        return "hmac"

    def is_shown(self, shown: Shown) -> bool:
        """An event with a signature, or with the parameter that names its key."""
        return shown.is_event and (bool(shown.values(SIGNATURE_HEADER)) or bool(_named(shown)))

    async def prove(self, shown: Shown, directory: Directory, *, now: int) -> Proof:
        """Read the head, and find the key. All else is owed.

        Steps, each of which refuses: 1. the query names one credential; 2. the three headers are there, once;
        3. no header says what only the body may say; 4. the body is one event; 5. the credential is known.
        Then, on the body: 6. one signature fits; 7. the credential is in force; 8. the time is now.

        Raises:
            CallerError: `credential_missing`, `credential_invalid`, `signature_invalid`,
                `media_type_unsupported`; the body's check also `credential_expired`, `credential_revoked` and
                `signature_stale`.
        """
        named = _named(shown)
        if len(named) != 1:  # 1
            text = "The query names no webhook credential, or more than one."
            raise CallerError("credential_missing", text, hint=HOW)
        message = read_message(_headers(shown))  # 2
        _verify_nothing_beside(shown)  # 3
        _verify_one_event(shown)  # 4
        credential = directory.credential("hmac", named[0])
        if credential is None:  # 5
            raise CallerError("credential_invalid", "There is no such webhook credential.", hint=HOW)
        owed = partial(self._check, message, credential, now)
        return Proof(credential, None, owed, message.id)

    def _check(self, message: Message, credential: Credential, now: int, body: bytes) -> Origin | None:
        origin = None
        kind, held = credential.secret[:1], credential.secret[1:]
        if kind == RAW:  # 6
            signature = message.verify_v1a(body, held)
            origin = Origin("v1a", credential.id, message.signed(body), signature, len(body))
        elif kind == SEALED:
            message.verify_v1(body, [self.unseal(held, secret_place(credential.id))])
        else:
            raise WebhookSignatureError("signature_invalid")
        try:
            verify_in_force(credential, now=now)  # 7
        except CredentialError as error:
            raise not_in_force(error) from error
        message.verify_time(now_seconds=now // 1_000)  # 8
        return origin


def _named(shown: Shown) -> list[str]:
    """The credentials that the query names; an id needs no escapes."""
    return [part[len(PARAMETER) :] for part in shown.query.split("&") if part.startswith(PARAMETER)]


def _headers(shown: Shown) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _HEADERS:
        values = shown.values(name)
        if len(values) > 1:
            raise WebhookSignatureError("signature_invalid")
        if values:
            found[name] = values[0].strip(" \t")
    return found


def _verify_nothing_beside(shown: Shown) -> None:
    for name, _ in shown.headers:
        if name.startswith("ce-") or name == "idempotency-key":
            raise CallerError(
                "signature_invalid",
                f'"{name[:128]}": a webhook signature covers no such header; leave it out.',
                hint="What the event is belongs in the body: its data, or a CloudEvent in JSON.",
                members={"component": name[:128]},
            )


def _verify_one_event(shown: Shown) -> None:
    for value in shown.values("content-type"):
        if value.split(";", 1)[0].strip().lower() in _BATCHES:
            text = "A signed webhook brings one event; send batches with an API key, or signed by RFC 9421."
            raise CallerError("media_type_unsupported", text)
