"""Client certificates with their private keys, and chains of trust, as endpoints' owners give them.

Strict, bounded, and of one family of errors: `CredentialMaterialError`, which never repeats what it refuses.
"""

import hashlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from partners.credential_material import certificates, extension, may_issue
from partners.errors import CredentialMaterialError
from partners.material_text import KEYS, MAX_TEXT, pem_blocks, reading

MAX_CHAIN: Final = 8
_RSA_BITS: Final = range(2_048, 4_097)
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def read_client_certificate(chain: str, key: str) -> tuple[str, str]:
    """Read a client's certificate, first, with those between it and its authority, and its private key.

    Returns both as PEM, written anew. Validity in time is not judged.

    Raises:
        CredentialMaterialError: one of them cannot be used, or the key is another certificate's.
    """
    found = certificates(chain, "the certificate", most=MAX_CHAIN)
    what = "the private key"
    if len(key) > MAX_TEXT or not key.isascii() or "ENCRYPTED" in key:
        raise CredentialMaterialError(f"{what} must be PEM, in clear: at most {MAX_TEXT} characters of ASCII")
    with reading("the certificate"):
        usages = extension(found[0], x509.ExtendedKeyUsage)
        if usages is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
            raise CredentialMaterialError(
                "the certificate is not for clients, since its extended key usage lacks clientAuth"
            )
    with reading(what):
        private = load_pem_private_key(key.encode(), None)
        is_taken = (
            isinstance(private, ed25519.Ed25519PrivateKey)
            or (isinstance(private, rsa.RSAPrivateKey) and private.key_size in _RSA_BITS)
            or (isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, _CURVES))
        )
        if not is_taken:
            raise CredentialMaterialError(f"{what} must be {KEYS}, or of a longer curve")
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if private.public_key().public_bytes(*form) != found[0].public_key().public_bytes(*form):
            raise CredentialMaterialError(f"{what} is not that of the first certificate")
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _written(found), pem.decode("ascii")


def read_chain_of_trust(text: str) -> str:
    """Read the authorities that may issue a server's certificate; PEM, written anew.

    Raises:
        CredentialMaterialError: one of them may not issue certificates.
    """
    found = certificates(text, "the ca", most=MAX_CHAIN)
    with reading("the ca"):
        if not all(map(may_issue, found)):
            raise CredentialMaterialError(
                "the ca holds a certificate that may not issue others (CA:TRUE, keyCertSign)"
            )
    return _written(found)


def fingerprints(pem: str) -> tuple[str, ...]:
    """SHA-256 in hex of each certificate."""
    return tuple(hashlib.sha256(der).hexdigest() for _, der in pem_blocks(pem, "the certificate"))


def _written(found: list[x509.Certificate]) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in found)
