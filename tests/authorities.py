"""Certificate authorities for tests: P-256, any validity, any extension."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificates import Certified, Key, certified

CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def match(self) -> str:
        return "sha256:" + self.certificate.fingerprint(hashes.SHA256()).hex()

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Files of the certificate and of its key."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files = (folder / f"{name}.pem", folder / f"{name}.key")
        for file, content in zip(files, (self.pem, key), strict=True):
            file.write_bytes(content)
        return files


def make(
    name: str,
    issuer: Made | None = None,
    *,
    at: int,
    days: tuple[float, float] = (-1, 1),
    is_ca: bool = False,
    extensions: Sequence[x509.ExtensionType] = (),
) -> Made:
    """A certificate by `issuer`, else by itself; `days`: its validity, from `at` (Unix milliseconds)."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    made = certified(
        name,
        issuer=None if issuer is None else Certified(issuer.certificate, issuer.key),
        is_authority=is_ca,
        usages=(),
        begins=moment + days[0] * DAY,
        days=days[1] - days[0],
        key=ec.generate_private_key(ec.SECP256R1()),
        extensions=extensions,
    )
    return Made(made.certificate, made.key)


def uris(*texts: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(text) for text in texts])


def asking(trust: Path | None = None, files: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client's context. `trust`: who may have issued the server's certificate; None: anybody."""
    context = ssl.create_default_context(cafile=None if trust is None else str(trust))
    if trust is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files is not None:
        context.load_cert_chain(*files)
    return context
