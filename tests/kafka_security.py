"""A listener for SASL_SSL as cloud providers have it, for the Kafka of tests: authority, users, rights.

The certificate is made anew for each server and names 127.0.0.1 alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import confluent_kafka.admin
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class SaslListener:
    """What a server needs for one more listener. `users`: name to password, of both mechanisms.

    `authority`: the certificate that clients must trust, PEM.
    """

    authority: Path
    keystore: Path
    users: Mapping[str, str]

    def settings(self, plain: int, secure: int, controller: int) -> tuple[str, ...]:
        """Lines of server.properties that add this listener at the port `secure`."""
        users = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        login = "sasl.jaas.config=org.apache.kafka.common.security"
        clients = f"PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure}"
        return (
            f"listeners={clients},CONTROLLER://127.0.0.1:{controller}",
            f"advertised.listeners={clients}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self.keystore}",
            f"listener.name.sasl_ssl.scram-sha-512.{login}.scram.ScramLoginModule required;",
            f"listener.name.sasl_ssl.plain.{login}.plain.PlainLoginModule required {users};",
        )

    def storage_options(self) -> tuple[str, ...]:
        """What formats the storage with the users of SCRAM in it."""
        return tuple(
            part
            for name, password in self.users.items()
            for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        )


def make_listener(folder: Path, users: Mapping[str, str]) -> SaslListener:
    """Make an authority, and a server's key with a certificate of it, as PEM files in `folder`."""
    signer = ec.generate_private_key(ec.SECP256R1())
    # Two authorities of one name would hide each other from whoever trusts both.
    authority = _certificate(f"Authority {x509.random_serial_number():x}", signer, None)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("Kafka of a test", key, (authority, signer))
    ca, keystore = folder / "ca.pem", folder / "server.pem"
    ca.write_bytes(authority.public_bytes(Encoding.PEM))
    keystore.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
        + authority.public_bytes(Encoding.PEM)
    )
    return SaslListener(ca, keystore, users)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    draft = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        draft = draft.add_extension(names, critical=False)
    return draft.sign(issuer[1] if issuer else key, hashes.SHA256())


AUTHORIZER: Final = (
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found=false",
    # Who comes by the listener without passwords: the nodes, and the operator of a test.
    "super.users=User:ANONYMOUS",
)
"""Lines of server.properties with which each user may do what was granted, and nothing else."""

_ADMIN: Final[Any] = confluent_kafka.admin


@dataclass(frozen=True, slots=True)
class Right:
    """A user's right to an operation (`WRITE`) on a topic, or on all whose names begin so."""

    user: str
    operation: str
    topic: str
    is_prefix: bool = False


class Rights:
    """An operator who grants and takes away; `servers` without passwords."""

    def __init__(self, servers: str) -> None:
        self._admin = _ADMIN.AdminClient({"bootstrap.servers": servers})

    def grant(self, *rights: Right) -> None:
        """Allow."""
        self._wait(self._admin.create_acls([_binding(right, "ALLOW") for right in rights]))

    def deny(self, right: Right) -> None:
        """Forbid, whatever else allows it."""
        self._wait(self._admin.create_acls([_binding(right, "DENY")]))

    def mend(self, right: Right) -> None:
        """End of `deny`."""
        binding = _binding(right, "DENY")
        names = ("restype", "name", "resource_pattern_type", "principal", "host", "operation")
        parts = [getattr(binding, name) for name in (*names, "permission_type")]
        self._wait(self._admin.delete_acls([_ADMIN.AclBindingFilter(*parts)]))

    def _wait(self, futures: Mapping[Any, Any]) -> None:
        for future in futures.values():
            future.result(20)


def _binding(right: Right, permission: str) -> Any:
    return _ADMIN.AclBinding(
        _ADMIN.ResourceType.TOPIC,
        right.topic,
        _ADMIN.ResourcePatternType.PREFIXED if right.is_prefix else _ADMIN.ResourcePatternType.LITERAL,
        f"User:{right.user}",
        "*",
        _ADMIN.AclOperation[right.operation],
        _ADMIN.AclPermissionType[permission],
    )


def password_file(folder: Path, listener: SaslListener, user: str) -> Path:
    """A properties file of one of the listener's users."""
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    file = folder / f"{user}.properties"
    file.write_text(
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n"
        f'sasl.jaas.config={module} required username="{user}" password="{listener.users[user]}";\n'
        f"ssl.truststore.type=PEM\nssl.truststore.location={listener.authority}\n"
    )
    return file
