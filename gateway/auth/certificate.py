"""The way of client certificates: whose one is was agreed before, by its digest or by a name and its issuer.

Never by a common name, which anybody may choose, and never because some authority is trusted: an authority
counts for the names that were agreed with it and for no others. Possession of the key was proved in the
handshake, ours or that of a proxy which is believed; everything else is checked here, for each request, so
that what is withdrawn counts no longer on a connection that is kept.

Source: RFC 5280, sections 4.1.2.5, 4.2.1.6, 4.2.1.12 and 6.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from gateway.auth.proof import Proof, not_in_force
from gateway.auth.request import Shown
from gateway.errors import CallerError
from partners.credential import DAY_MS, Credential, Method, verify_in_force
from partners.directory import Directory
from partners.errors import CredentialError

PINNED: Final = "sha256:"
"""Begins the match of one certificate: SHA-256 of its DER follows, in hex. The secret is the DER."""

NAMED: Final = "uri:"
"""Begins the match of a URI among the alternative names. The secret is PEM: who must have issued it."""

MAX_NAMES: Final = 8
"""URIs of a certificate that are looked at: each that is known costs a search for a path."""

MAX_NAMED_LIFE_MS: Final = 31 * DAY_MS
"""Of a certificate that counts by a name in it: thirty days, and one for authorities that date it back.

Nobody asks its authority whether it was revoked, so it has to end soon by itself.
"""

_SECOND_MS: Final = 1_000
_KNOWN: Final = 1_024
"""Entries of a cache: certificates are large, and their senders choose them."""
_PATHS: Final = 64
"""Paths that are remembered, with the certificates of each."""
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)
"""Everything that the parser is known to raise, some of it only once an extension is looked at."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What counts of a certificate.

    `uris`: among its alternative names. `not_before` and `not_after`: Unix milliseconds, the latter the first
    at which it is over. `is_for_clients`: what its extended key usage says; None where it has none.
    """

    match: str
    uris: tuple[str, ...]
    not_before: int
    not_after: int
    is_for_clients: bool | None


@dataclass(frozen=True, slots=True)
class _Issued:
    """Which certificate, with which ones beside it, was issued by whom."""

    leaf: bytes
    chain: tuple[bytes, ...]
    issuers: bytes


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """The way `mtls`; see the module."""

    _windows: dict[_Issued, tuple[int, int]] = field(default_factory=dict, repr=False)

    @property
    def method(self) -> Method:
        """The kind."""
        return "mtls"

    def is_shown(self, shown: Shown) -> bool:
        """Whether the client has one, as our own TLS or a proxy that is believed says.

        One that nobody knows is not passed over where the request shows another credential too: who shows
        it means something by it. The certificate of a proxy itself is not here, see `gateway.auth.proxy`.
        """
        return shown.certificate is not None

    async def prove(self, shown: Shown, directory: Directory, *, now: int) -> Proof:
        """Check the certificate.

        Steps, each of which refuses: 1. it can be read; 2. its digest is pinned, or exactly one of its URIs
        is known and its issuer is the one agreed for that URI; 3. it is in time; 4. it is for clients: its
        extended key usage has clientAuth, and may be missing from a pinned one only; 5. one that is not
        pinned is good for 31 days at most; 6. the credential is in force.

        Raises:
            CallerError: `credential_invalid`, `credential_expired`, `credential_revoked`.
        """
        # 1.
        der = shown.certificate or b""
        leaf = read_leaf(der)
        # 2.
        pinned = directory.credential("mtls", leaf.match)
        credential = pinned or self._named(leaf, der, shown.chain, directory, now=now)
        # 3.
        if now >= leaf.not_after:
            raise CallerError("credential_expired", "The client certificate has expired.")
        if now < leaf.not_before:
            raise CallerError("credential_invalid", "The client certificate is not valid yet.")
        # 4.
        if not (pinned is not None if leaf.is_for_clients is None else leaf.is_for_clients):
            text = "The client certificate is not for clients: its extended key usage needs clientAuth."
            raise CallerError("credential_invalid", text)
        # 5.
        if pinned is None and leaf.not_after - _SECOND_MS - leaf.not_before > MAX_NAMED_LIFE_MS:
            raise CallerError(
                "credential_invalid",
                "The client certificate is good for longer than 30 days, and is not registered itself.",
                hint="Have this very certificate registered, or one issued that ends within 30 days.",
            )
        # 6.
        try:
            return Proof(verify_in_force(credential, now=now), ends_at=leaf.not_after)
        except CredentialError as error:
            raise not_in_force(error) from error

    def _named(
        self, leaf: Leaf, der: bytes, chain: tuple[bytes, ...], directory: Directory, *, now: int
    ) -> Credential:
        found = [
            one
            for uri in leaf.uris[:MAX_NAMES]
            if (one := directory.credential("mtls", NAMED + uri)) is not None
            # Whoever has no certificate of that issuer learns nothing, not even that the name is known.
            and self._is_issued(_Issued(der, chain, one.secret), now=now)
        ]
        if not found:
            text = "The client certificate is of no caller known here."
            hint = "Register this very certificate, or a URI in it and who issues it; or send none."
            raise CallerError("credential_invalid", text, hint=hint)
        if len(found) > 1:
            raise CallerError("credential_invalid", "The client certificate stands for more than one caller.")
        return found[0]

    def _is_issued(self, asked: _Issued, *, now: int) -> bool:
        """Whether there is a path; one that was found holds until a certificate on it is out of time."""
        window = self._windows.get(asked)
        if window is None or not window[0] <= now < window[1]:
            try:
                window = _path(asked, now=now)
            except (VerificationError, *_UNREADABLE):
                return False
            if len(self._windows) >= _PATHS:
                self._windows.clear()
            self._windows[asked] = window
        return True


@lru_cache(_KNOWN)
def read_leaf(der: bytes) -> Leaf:
    """Read what counts of a certificate; nothing of it is verified.

    Raises:
        CallerError: `credential_invalid`: it is none, or one that cannot be understood.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        if certificate.serial_number <= 0:
            raise ValueError("the serial number is not positive")
        names, usage = _extensions(certificate)
        return Leaf(
            match=match_of(certificate),
            uris=tuple(dict.fromkeys(names)),
            not_before=_at(certificate.not_valid_before_utc),
            not_after=_at(certificate.not_valid_after_utc) + _SECOND_MS,
            is_for_clients=None if usage is None else ExtendedKeyUsageOID.CLIENT_AUTH in usage,
        )
    except _UNREADABLE as error:
        raise CallerError("credential_invalid", "The client certificate cannot be read.") from error


def match_of(certificate: x509.Certificate) -> str:
    """The match of a credential that pins this certificate."""
    return PINNED + certificate.fingerprint(SHA256()).hex()


def trusted(credentials: Iterable[Credential], *, now: int) -> tuple[bytes, ...]:
    """What a handshake has to accept so that these credentials can be shown at all, DER, each once, sorted.

    A revoked one is among them until its time is over: its owner is to hear why it is refused, which a
    handshake cannot say. Accepting a certificate there lets nobody in.
    """
    found: set[bytes] = set()
    for one in credentials:
        if one.method == "mtls" and now < one.not_after:
            found.update(_trusted_by(one.match.startswith(PINNED), one.secret))
    return tuple(sorted(found))


def _trusted_by(is_pinned: bool, secret: bytes) -> tuple[bytes, ...]:  # noqa: FBT001 - the key of a cache
    return (secret,) if is_pinned else _ders(secret)


@lru_cache(_KNOWN)
def _ders(pem: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(pem))
    except _UNREADABLE:
        return ()  # was checked when it was registered; one that is broken must not break the others


def _path(asked: _Issued, *, now: int) -> tuple[int, int]:
    """From when to when, Unix milliseconds, a path from an issuer to the certificate holds.

    Raises:
        VerificationError: there is none.
        ValueError: and its like: a certificate cannot be read.
    """
    verifier = (
        PolicyBuilder()
        .store(Store(x509.load_pem_x509_certificates(asked.issuers)))
        .time(datetime.fromtimestamp(now / 1_000, UTC))
        .extension_policies(ca_policy=_ISSUERS, ee_policy=_LEAVES)
        .build_client_verifier()
    )
    others = [x509.load_der_x509_certificate(one) for one in asked.chain]
    path = verifier.verify(x509.load_der_x509_certificate(asked.leaf), others).chain
    if len(path) < 2:  # noqa: PLR2004 - a leaf and who issued it
        raise VerificationError("registered as its own issuer")
    begin = max(_at(one.not_valid_before_utc) for one in path)
    return begin, min(_at(one.not_valid_after_utc) for one in path) + _SECOND_MS


def _signs_certificates(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer's key usage has keyCertSign, where it has one")


_ISSUERS: Final = (
    ExtensionPolicy.webpki_defaults_ca()
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
    .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
)
_LEAVES: Final = ExtensionPolicy.webpki_defaults_ee().may_be_present(
    x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None
)
"""As for the public web, but for two extensions that a company's own authority often leaves out."""


def _extensions(certificate: x509.Certificate) -> tuple[Iterator[str], x509.ExtendedKeyUsage | None]:
    names: Iterator[str] = iter(())
    usage = None
    for one in certificate.extensions:
        if isinstance(one.value, x509.SubjectAlternativeName):
            names = iter(one.value.get_values_for_type(x509.UniformResourceIdentifier))
        elif isinstance(one.value, x509.ExtendedKeyUsage):
            usage = one.value
    return names, usage


def _at(moment: datetime) -> int:
    return int(moment.timestamp()) * _SECOND_MS
