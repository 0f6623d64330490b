"""API keys in the Authorization header: Bearer, or Basic with the key as user name."""

import base64
import binascii
from dataclasses import InitVar, dataclass, field
from typing import Final

from gateway.auth.proof import Proof, not_in_force
from gateway.auth.request import Shown
from gateway.errors import CallerError
from partners.api_key import RememberedKeys
from partners.credential import Method
from partners.directory import Directory
from partners.errors import CredentialError

MAX_HEADER_CHARACTERS: Final = 1_024
HOW: Final = "Send Authorization: Bearer KEY, or Basic with the key as user name and no password."
_EMPTY: Final = f"See whether the variable or file that the key is taken from holds one. {HOW}"


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The way of API keys: known, right (constant time, unknown ids too) and in force."""

    pepper: InitVar[bytes] = field(repr=False)
    _keys: RememberedKeys = field(init=False, repr=False)

    def __post_init__(self, pepper: bytes) -> None:
        """Remember none yet."""
        object.__setattr__(self, "_keys", RememberedKeys(pepper))

    @property
    def method(self) -> Method:
        """The kind."""
        return "api_key"

    def is_shown(self, shown: Shown) -> bool:
        """Every Authorization header but a token."""
        return any(not is_token(value) for value in shown.values("authorization"))

    async def prove(self, shown: Shown, directory: Directory, *, now: int) -> Proof:
        """Check the key.

        Raises:
            CallerError: `credential_invalid`, `credential_expired`, `credential_revoked`.
        """
        headers = shown.values("authorization")
        if len(headers) > 1:
            # Two credentials could name two partners: nobody chooses between them.
            text = "The request has more than one Authorization header."
            raise CallerError("credential_invalid", text, hint=HOW)
        text = _key_text(headers[0])
        try:
            return Proof(self._keys.verify(text, directory, now=now))
        except CredentialError as error:
            raise not_in_force(error) from error


def is_token(header: str) -> bool:
    """Whether an Authorization header holds a JSON Web Token, of any sort: no key has dots."""
    scheme, _, rest = header.strip().partition(" ")
    return scheme.lower() == "bearer" and rest.count(".") >= 2  # noqa: PLR2004 - an encrypted one has more


def _key_text(header: str) -> str:
    if len(header) > MAX_HEADER_CHARACTERS:
        raise CallerError("credential_invalid", "The Authorization header is too long for a key.", hint=HOW)
    scheme, _, rest = header.strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        if not rest:
            text = "The Authorization header has no key after Bearer: it is empty where it is sent."
            raise CallerError("credential_invalid", text, hint=_EMPTY)
        return rest
    if scheme.lower() != "basic":
        raise CallerError("credential_invalid", "This authorization scheme is not taken.", hint=HOW)
    try:
        user, colon, password = base64.b64decode(rest, validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError) as error:
        raise CallerError("credential_invalid", "The Basic credentials are not base64.", hint=HOW) from error
    if not colon or password:
        raise CallerError(
            "credential_invalid", "Basic takes the key as user name, and an empty password.", hint=HOW
        )
    return user
