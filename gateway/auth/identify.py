"""From a request to exactly one caller, or to an error that says which step failed and no more."""

import base64
import binascii

from gateway.auth.caller import Caller
from gateway.auth.request import Shown
from gateway.errors import CallerError
from partners.api_key import verify_api_key
from partners.credential import Credential
from partners.directory import Directory
from partners.errors import CredentialError
from partners.partner import Partner

MAX_HEADER_CHARACTERS = 1_024
_HOW = "Send Authorization: Bearer KEY, or Basic with the key as user name and no password."


def identify(shown: Shown, directory: Directory, pepper: bytes, *, now: int) -> Caller:
    """Return who calls.

    Steps, each of which refuses: 1. exactly one Authorization header; 2. a scheme that we know, with a key in
    it; 3. the key is known, right, in force (constant time, unknown ids too); 4. its partner exists, and is
    neither suspended nor closed; 5. the contract accepts API keys. What the caller may do is not asked here.

    Raises:
        CallerError: `credential_missing`, `credential_invalid`, `credential_expired`, `credential_revoked`,
            `partner_suspended`.
    """
    # 1. Two credentials could name two partners: nobody chooses between them.
    if not shown.authorization:
        raise CallerError("credential_missing", "The request has no Authorization header.", hint=_HOW)
    if len(shown.authorization) > 1:
        raise CallerError(
            "credential_invalid", "The request has more than one Authorization header.", hint=_HOW
        )
    # 2.
    text = _key_text(shown.authorization[0])
    # 3.
    try:
        credential = verify_api_key(text, directory, pepper, now=now)
    except CredentialError as error:
        raise CallerError(error.code, f"{error}.") from error
    # 4.
    partner = _partner(credential, directory)
    # 5.
    if partner is not None and credential.role == "partner":
        _verify_method(partner, directory)
    return Caller(credential, partner, "api_key")


def _key_text(header: str) -> str:
    if len(header) > MAX_HEADER_CHARACTERS:
        raise CallerError("credential_invalid", "The Authorization header is too long for a key.", hint=_HOW)
    scheme, _, rest = header.strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer" and rest:
        return rest
    if scheme.lower() != "basic":
        raise CallerError("credential_invalid", "This authorization scheme is not taken.", hint=_HOW)
    try:
        user, colon, password = base64.b64decode(rest, validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError) as error:
        raise CallerError("credential_invalid", "The Basic credentials are not base64.", hint=_HOW) from error
    if not colon or password:
        raise CallerError(
            "credential_invalid", "Basic takes the key as user name, and an empty password.", hint=_HOW
        )
    return user


def _partner(credential: Credential, directory: Directory) -> Partner | None:
    if credential.partner is None:
        return None
    partner = directory.partner(credential.partner)
    if partner is None:
        raise CallerError("credential_invalid", "This API key is not known.")
    if partner.state in {"suspended", "closed"}:
        raise CallerError("partner_suspended", f"The partner is {partner.state}; ask the operator.")
    return partner


def _verify_method(partner: Partner, directory: Directory) -> None:
    contract = directory.contract(partner.slug)
    if contract is not None and "api_key" not in contract.authentication.accept:
        ways = ", ".join(contract.authentication.accept)
        raise CallerError("credential_invalid", f"The contract takes no API keys; it takes {ways}.")
