"""What a message signature must say and cover, and how lately it must have been made. Pure.

Source: RFC 9421, sections 2.3, 3.2 and 7; RFC 9530.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.auth.content_digest import FIELD
from gateway.auth.request import Shown
from gateway.auth.signature_fields import Described, read_bytes, read_descriptions, refused
from gateway.errors import CallerError

TAG: Final = "gateway"
TOLERANCE_SECONDS: Final = 300
LIFE_SECONDS: Final = 300
MAX_NONCE_CHARACTERS: Final = 256

_PARAMETERS: Final = frozenset({"created", "expires", "nonce", "alg", "keyid", "tag"})
_ALWAYS: Final = ("@method", "@authority", "@path")
_STEERING: Final = ("idempotency-key", "prefer", "if-match", "if-none-match", "content-encoding")
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_HEX: Final = re.compile(r"[0-9a-fA-F-]*")
_HEX_DIGITS: Final = 32
_BASE64_DIGITS: Final = 22
"""128 bits take as many letters."""


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature of a request. `text`: what it says of itself; `value`: the signature."""

    described: Described
    value: bytes


def choose(shown: Shown) -> Signed:
    """The one signature that is meant for us.

    Raises:
        CallerError: `signature_invalid`; there is none, or more than one.
    """
    descriptions = read_descriptions(whole_field(shown, "signature-input"))
    values = read_bytes("signature", whole_field(shown, "signature"))
    if descriptions.keys() != values.keys():
        raise refused("signature", "Signature and Signature-Input must have the same labels")
    ours = [label for label, one in descriptions.items() if one.parameters.get("tag") == f'"{TAG}"']
    if len(descriptions) == 1 and not ours:
        (label,) = descriptions
        if "tag" in descriptions[label].parameters:
            raise refused(
                "tag", f'the signature is for something else; leave the tag out, or say tag="{TAG}"'
            )
        ours = [label]
    if len(ours) != 1:
        raise refused("tag", f'of several signatures exactly one must have tag="{TAG}"')
    return Signed(descriptions[ours[0]], values[ours[0]])


def verify_parameters(described: Described) -> None:
    """Take known parameters only.

    Raises:
        CallerError: `signature_invalid`.
    """
    for name in described.parameters:
        if name not in _PARAMETERS:
            raise refused(name[:128], f"the parameters of a signature are {', '.join(sorted(_PARAMETERS))}")
    for name in ("keyid", "alg", "nonce", "tag"):
        described.string(name)
    if described.string("keyid") is None:
        raise refused("keyid", "the signature must name its key")


def verify_coverage(shown: Shown, described: Described) -> None:
    """Find everything covered that could else be changed on the way.

    Raises:
        CallerError: `signature_invalid`; names the first component that is not covered.
    """
    covered = {one.name for one in described.components if not one.parameters}
    for name in required(shown):
        if name not in covered:
            raise refused(name, "the signature must cover it")


def required(shown: Shown) -> Iterator[str]:
    """What a signature of this request has to cover."""
    yield from _ALWAYS
    if shown.query:
        yield "@query"
    sent = {name for name, _ in shown.headers}
    length = (shown.values("content-length") or ("0",))[0].strip()
    is_body = "transfer-encoding" in sent or length != "0"
    if is_body or shown.method in _WITH_BODY:
        yield FIELD
        if is_body or "content-type" in sent:
            yield "content-type"
    # What else of a head says what is to be done: nobody in between may add it.
    yield from (name for name in _STEERING if name in sent)
    if shown.is_event:
        yield from sorted(name for name in sent if name.startswith("ce-"))


def verify_time(described: Described, *, now: int) -> None:
    """Compare with our clock. `now`: Unix milliseconds.

    Raises:
        CallerError: `signature_stale`; `signature_invalid` where there is no time, or the span is too long.
    """
    created, expires = described.integer("created"), described.integer("expires")
    if created is None:
        raise refused("created", "the signature must say when it was made")
    if expires is not None and not created <= expires <= created + LIFE_SECONDS:
        raise refused("expires", f"a signature ends within {LIFE_SECONDS} s of its `created`, and after it")
    if abs(now - created * 1_000) > TOLERANCE_SECONDS * 1_000:
        raise _stale("created", f"it was made more than {TOLERANCE_SECONDS} s from now")
    if expires is not None and now > expires * 1_000:
        raise _stale("expires", "its time is over")


def read_nonce(described: Described, *, is_event: bool) -> str | None:
    """The nonce; events need none, since their ids are guard enough against a replay.

    Raises:
        CallerError: `signature_invalid`; there is none where one is needed, or it has less than 128 bits.
    """
    nonce = described.string("nonce")
    if nonce is None:
        if is_event:
            return None
        raise refused("nonce", "a signed request that brings no event needs one, of 128 random bits")
    letters = nonce.replace("-", "") if _HEX.fullmatch(nonce) else nonce
    least = _HEX_DIGITS if _HEX.fullmatch(nonce) else _BASE64_DIGITS
    if not least <= len(letters) or len(nonce) > MAX_NONCE_CHARACTERS:
        raise refused(
            "nonce",
            f"128 random bits are {_BASE64_DIGITS} letters of base64 or {_HEX_DIGITS} of hex; "
            f"the most is {MAX_NONCE_CHARACTERS}",
        )
    return nonce


def whole_field(shown: Shown, name: str) -> str:
    """A header field with all its lines.

    Raises:
        CallerError: `signature_invalid`; it is not there.
    """
    values = shown.values(name)
    if not values:
        raise refused(name, "the request has the one field of a signature without the other")
    return ", ".join(value.strip(" \t") for value in values)


def _stale(component: str, text: str) -> CallerError:
    hint = "Set the clock right, and sign each request anew; the Date field of this answer has our time."
    return CallerError(
        "signature_stale", f'"{component}": {text}.', hint=hint, members={"component": component}
    )
