"""A signed token in its compact form, taken apart strictly; nothing is verified here.

Exactly one reading of it: base64url in its one right form, JSON without duplicate names, no member of the
header that would have us look for a key, or for another way of reading, where its sender says.

Source: RFC 7515, sections 3.1, 4.1 and 7.1; RFC 7519; RFC 8725; RFC 9068, section 2.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from gateway.errors import CallerError
from schemas.errors import SchemasError
from schemas.json_reader import read_json

MAX_CHARACTERS: Final = 8_192
MAX_NAME: Final = 512
TYPES: Final = frozenset({"at+jwt", "application/at+jwt", "jwt", "application/jwt"})
REFUSED: Final = ("crit", "jku", "jwk", "x5u", "x5c", "cty", "enc", "zip", "b64")
"""Members of a header that name a key by themselves, or say that the token is to be read otherwise."""

_LATEST: Final = 2**43
"""Seconds of a moment; more is none."""

_PART: Final = re.compile(r"[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was sent. `issuer` and `subject` are what it claims, until its signature is verified.

    `audience`: whom it is for. Moments are Unix milliseconds; None: it has none. `bound_to`: base64url of the
    SHA-256 of the certificate that has to come with it; None: any caller may bring it.
    """

    algorithm: str
    kid: str | None
    issuer: str
    subject: str
    audience: frozenset[str]
    expires_at: int | None
    not_before: int | None
    issued_at: int | None
    bound_to: str | None
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def read_token(text: str) -> Token:
    """Take a token apart.

    Raises:
        CallerError: `credential_invalid`: it is none, or of a sort that is not taken; says what.
    """
    if len(text) > MAX_CHARACTERS:
        raise refusal(f"has more than {MAX_CHARACTERS} characters")
    parts = text.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise refusal("has not three parts: encrypted ones are not taken")
    header = _object(_bytes(parts[0], "header"), "header")
    _verify_sort(header)
    claims = _object(_bytes(parts[1], "payload"), "payload")
    return Token(
        algorithm=_name(header, "alg"),
        kid=_name(header, "kid") if "kid" in header else None,
        issuer=_name(claims, "iss"),
        subject=_name(claims, "sub"),
        audience=_audience(claims.get("aud")),
        expires_at=_moment(claims, "exp"),
        not_before=_moment(claims, "nbf"),
        issued_at=_moment(claims, "iat"),
        bound_to=_binding(claims.get("cnf")),
        signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=_bytes(parts[2], "signature"),
    )


def refusal(what: str) -> CallerError:
    """The error for a token that is not taken; `what`: without anything of the token's own."""
    return CallerError("credential_invalid", f"The token {what}.")


def _verify_sort(header: Mapping[str, Any]) -> None:
    found = [name for name in REFUSED if name in header]
    if found:
        raise refusal(f"has {found[0]} in its header, which is not taken")
    sort = header.get("typ", "jwt")
    if not isinstance(sort, str) or sort.lower() not in TYPES:
        raise refusal("is of another sort: its typ must be at+jwt or JWT")


def _bytes(part: str, where: str) -> bytes:
    try:
        if _PART.fullmatch(part):
            raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            if base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii") == part:
                return raw
    except (binascii.Error, ValueError) as error:
        raise refusal(f"has a {where} that is not base64url") from error
    raise refusal(f"has a {where} that is not base64url in its one right form")


def _object(raw: bytes, where: str) -> dict[str, Any]:
    try:
        found = read_json(raw)
    except SchemasError as error:
        raise refusal(f"has a {where} that is not JSON, or has a name twice") from error
    if not isinstance(found, dict):
        raise refusal(f"has a {where} that is no JSON object")
    return found


def _name(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise refusal(f"has no {name}, or one that is no text")
    return value


def _audience(value: Any) -> frozenset[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise refusal("has no aud, or one that is neither text nor a list of texts")
    return frozenset(listed)


def _moment(claims: Mapping[str, Any], name: str) -> int | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= _LATEST:
        raise refusal(f"has an {name} that is no time: seconds since 1970")
    return int(value * 1_000)


def _binding(value: Any) -> str | None:
    """Source: RFC 8705, section 3.1."""
    if value is None:
        return None
    thumb = value.get("x5t#S256") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(thumb, str):
        raise refusal("is bound to a key in a way that is not taken: cnf may only have x5t#S256")
    return thumb
