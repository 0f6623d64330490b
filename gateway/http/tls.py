"""The server's TLS: 1.2 at least, forward secrecy and AEAD only, no tickets; a certificate for trying it out.

Tickets are off since a resumed session skips the check of a client's certificate in the handshake. TLS 1.2
can still resume by session id, for as long as a context is in use: what a client's certificate is worth is
asked for every request, and never taken from the handshake.
"""

import _ssl
import ipaddress
import os
import ssl
from asyncio import BaseTransport
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import SetupError

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
DEV_DAYS: Final = 90
CHAIN: Final = 8
"""Certificates beside a client's own that are looked at."""
_RENEW_DAYS: Final = 7
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class LiveContext(ssl.SSLContext):
    """Stands for another context, which may be replaced while listeners use this one.

    Replaced as a whole: certificate, whom a client's may be issued by, and whether one is asked for.
    Connections that stand keep what they began with. Only for servers of asyncio and uvloop, which make each
    connection by `wrap_bio`.
    """

    now: ssl.SSLContext

    def __new__(cls, now: ssl.SSLContext) -> Self:
        """`now`: the one to begin with."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made.now = now
        return made

    def wrap_bio(self, *parts: Any, **more: Any) -> ssl.SSLObject:
        """A connection of the context of the moment."""
        return self.now.wrap_bio(*parts, **more)


def server_context(certificate: Path, key: Path, clients: Iterable[bytes] = ()) -> ssl.SSLContext:
    """The context of a listener: a PEM chain, and its key.

    `clients`: certificates, DER, that a client's may be, or be issued by. Where there are some, each client
    is asked for one, may have none, and is not told whose are accepted.

    Raises:
        SetupError: a file is missing, unreadable, or they do not fit together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    _load_files(context, certificate, key)
    for one in clients:
        # Each alone: one that OpenSSL does not understand must not keep out all the others.
        with suppress(ssl.SSLError, ValueError):
            context.load_verify_locations(cadata=one)
            context.verify_mode = ssl.CERT_OPTIONAL
    # A pinned certificate is trusted without the one that issued it, and so is an authority in the middle.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def client_of(transport: BaseTransport) -> dict[object, object] | None:
    """What the client of a TLS connection has shown, DER; None where that is nothing.

    `client_certificate`, and `client_chain`: what it sent beside that.
    """
    connection = transport.get_extra_info("ssl_object")
    shown = None if connection is None else connection.getpeercert(binary_form=True)
    if not shown:
        return None
    return {"client_certificate": shown, "client_chain": tuple(_sent_with(connection))[:CHAIN]}


def _sent_with(connection: Any) -> Iterable[bytes]:
    if hasattr(connection, "get_unverified_chain"):  # Python 3.13; it has it inside for longer
        return connection.get_unverified_chain()[1:]  # type: ignore[no-any-return]  # Python 3.11 does not know it
    sent = connection._sslobj.get_unverified_chain() or ()  # noqa: SLF001 - see above
    return (one.public_bytes(_ssl.ENCODING_DER) for one in sent[1:])


def _load_files(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def refuse() -> str:
        # Without this OpenSSL asks the terminal, and everything waits for somebody to type.
        raise SetupError(f"TLS: the key {key} is encrypted: save it without a password, mode 0600")

    try:
        context.load_cert_chain(certificate, key, password=refuse)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or type(error).__name__
        raise SetupError(
            f"TLS: {certificate} and {key} cannot be used ({why}): "
            "tls.cert must be a PEM chain, leaf first, and tls.key its unencrypted PEM key"
        ) from error


def make_dev_certificate(folder: Path, *, now: int, entropy: Callable[[int], bytes]) -> tuple[Path, Path]:
    """A self-signed certificate for loopback names, in `folder`; kept until a week before its end.

    Returns the files of certificate and key. `now`: Unix milliseconds.

    Raises:
        SetupError: the folder cannot be written.
    """
    certificate_file, key_file = files = (folder / "dev-cert.pem", folder / "dev-key.pem")
    at = datetime.fromtimestamp(now / 1000, UTC)
    if _is_good(certificate_file, key_file, at):
        return files
    key = _make_key(entropy)
    certificate = _sign(key, at, serial=int.from_bytes(entropy(16), "big") >> 1 or 1)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_private(key_file, pem)
        certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    except OSError as error:
        raise SetupError(
            f"TLS: {folder} cannot be written: {error.strerror}; choose another with --data"
        ) from error
    return files


def _is_good(certificate_file: Path, key_file: Path, at: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        is_there = key_file.stat().st_size > 0
    except (OSError, ValueError):
        return False
    left = certificate.not_valid_after_utc - at
    return is_there and certificate.not_valid_before_utc <= at and left > timedelta(days=_RENEW_DAYS)


def _make_key(entropy: Callable[[int], bytes]) -> ec.EllipticCurvePrivateKey:
    """A P-256 key from our own entropy: 64 bits more than the order has, so that no value is likelier."""
    secret = int.from_bytes(entropy(40), "big") % (_P256_ORDER - 1) + 1
    try:
        return ec.derive_private_key(secret, ec.SECP256R1())
    except (ValueError, InvalidKey) as error:
        raise SetupError("TLS: no key could be made; the source of randomness is broken") from error


def _sign(key: ec.EllipticCurvePrivateKey, at: datetime, *, serial: int) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "partner gateway, development only")])
    names = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(at - timedelta(hours=1))
        .not_valid_after(at + timedelta(days=DEV_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _write_private(path: Path, pem: bytes) -> None:
    """Write the key so that it is never readable by others, not even for a moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
