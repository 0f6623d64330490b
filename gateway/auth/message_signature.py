"""HTTP message signatures: the policy of what has to be signed, how lately, and by whom.

A verified signature proves that the holder of a registered key sent exactly this method, target and body.
The body is owed: its digest was signed, and is compared once it is there.

Source: RFC 9421, section 3.2; RFC 9530.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from gateway.auth.content_digest import FIELD, read_digests, verify_digests
from gateway.auth.proof import Proof, not_in_force
from gateway.auth.public_key import PublicKey, load_key
from gateway.auth.request import Shown
from gateway.auth.signature_base import Base, Site, build_base
from gateway.auth.signature_fields import Described, refused
from gateway.auth.signature_policy import (
    choose,
    read_nonce,
    verify_coverage,
    verify_parameters,
    verify_time,
    whole_field,
)
from gateway.errors import CallerError
from gateway.origin_evidence import Origin
from partners.credential import Credential, Method, verify_in_force
from partners.directory import Directory
from partners.errors import CredentialError

_FIELDS: Final = frozenset({"signature", "signature-input"})


class NonceBook(Protocol):
    """Remembers nonces: `gateway.auth.nonces.Nonces`."""

    async def take(self, credential: str, nonce: str, *, now: int) -> None:
        """Use a nonce, once and for all.

        Raises:
            CallerError: `signature_replayed`; it was used before.
            StoreError: nobody can tell.
        """
        ...


@dataclass(frozen=True, slots=True)
class MessageSignatures:
    """The way of message signatures. `site`: where senders see us; `nonces`: those that were used."""

    site: Site
    nonces: NonceBook

    @property
    def method(self) -> Method:
        """The kind."""
        return "message_signature"

    def is_shown(self, shown: Shown) -> bool:
        """A request with either of the two fields."""
        return not _FIELDS.isdisjoint([name for name, _ in shown.headers])

    async def prove(self, shown: Shown, directory: Directory, *, now: int) -> Proof:
        """Check the signature over the head.

        Steps, each of which refuses: 1. one signature is for us; 2. its parameters are known ones; 3. it
        covers all that it must; 4. its time is now; 5. its key is known, and of the algorithm that it names;
        6. it fits the request; 7. its credential is in force; 8. its nonce is new.

        Raises:
            CallerError: `signature_invalid`, with the component that failed as its member `component`;
                `signature_stale`, `signature_replayed`, `credential_invalid`, `credential_expired`,
                `credential_revoked`.
            StoreError: the nonce cannot be looked up.
        """
        signed = choose(shown)  # 1
        described = signed.described
        verify_parameters(described)  # 2
        verify_coverage(shown, described)  # 3
        verify_time(described, now=now)  # 4
        nonce = read_nonce(described, is_event=shown.is_event)
        credential = self._credential(described, directory)
        key = _key(credential)
        if described.string("alg") not in {None, key.algorithm}:  # 5
            raise refused(
                "alg", f"the key of this credential signs by {key.algorithm}; name that, or nothing"
            )
        base = build_base(shown, described, self.site)
        digests = _digests(shown, described)
        exact = base.encoded()
        if not key.fits(signed.value, exact):  # 6
            raise self._misfit(base)
        _verify_in_force(credential, now=now)  # 7
        if not shown.is_event and nonce is not None:  # 8
            await self.nonces.take(credential.id, nonce, now=now)
        origin = Origin(key.algorithm, credential.id, exact, signed.value)
        return Proof(credential, origin, None if digests is None else partial(verify_digests, digests))

    def _credential(self, described: Described, directory: Directory) -> Credential:
        credential = directory.credential("message_signature", described.string("keyid") or "")
        if credential is None:
            text = '"keyid": there is no such key; it is the id of the credential with your public key.'
            raise CallerError("credential_invalid", text, members={"component": "keyid"})
        return credential

    def _misfit(self, base: Base) -> CallerError:
        """Which component is another cannot be known from here; with digests of all, the sender can tell."""
        names = ", ".join(name for name, _ in base.lines[:-1])
        text = f"the signature is not this key's over {names} as they came"
        error = refused("signature", text, components=base.digests())
        hint = (
            f"Compare `components` with the lines that you signed; @authority is {self.site.authority} here. "
            "The lines are joined by one line feed each, with none at the end."
        )
        return CallerError(error.code, error.text, hint=hint, members=error.members)


def _digests(shown: Shown, described: Described) -> dict[str, bytes] | None:
    if all(one.name != FIELD for one in described.components):
        return None
    return dict(read_digests(whole_field(shown, FIELD)))


def _key(credential: Credential) -> PublicKey:
    try:
        return load_key(credential.secret)
    except CallerError as error:
        text = '"keyid": the public key of this credential cannot be used; register another.'
        raise CallerError("credential_invalid", text, members={"component": "keyid"}) from error


def _verify_in_force(credential: Credential, *, now: int) -> None:
    try:
        verify_in_force(credential, now=now)
    except CredentialError as error:
        raise not_in_force(error) from error
