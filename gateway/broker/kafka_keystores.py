"""Certificates and keys as a Kafka provider hands them out: which files fit, and what to do with the rest.

librdkafka reads PEM, and PKCS#12 for the client's own key. Java's own format, and authorities in PKCS#12, it
does not: the words here carry the command that converts them.

Source: Apache Kafka, KIP-651; librdkafka, CONFIGURATION.md (`ssl.*`); RFC 7468.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

PEM_FILES: Final = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.crl.location")
KEYSTORE_FILE: Final = "ssl.keystore.location"

_PROBE: Final = "probe"  # librdkafka's word for: look where systems keep their authorities
_HEAD_BYTES: Final = 65_536
_JKS: Final = b"\xfe\xed\xfe\xed"
_BLOCK: Final = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]{1,40})-----(?P<body>[^-]*)-----END (?P=kind)-----", re.DOTALL
)


def truststore_words(path: str) -> str:
    """How to mend a truststore that is not said to be PEM."""
    return f"is not said to be PEM: if it is, add ssl.truststore.type=PEM; else {_to_pem(path)}"


def keystore_words(path: str) -> str:
    """How to mend a client's keystore that is neither PKCS#12 nor PEM."""
    found, made = shlex.quote(path), shlex.quote(_beside(path, ".p12"))
    return (
        "is a Java keystore, and the gateway reads PKCS12 and PEM: convert it by `keytool -importkeystore "
        f"-srckeystore {found} -destkeystore {made} -deststoretype PKCS12`; then name {made} here, "
        "with ssl.keystore.type=PKCS12 and the new password as ssl.keystore.password"
    )


def format_pem(text: str) -> str:
    """The PEM blocks of a text, with the line ends that a value in one line has lost; empty: none."""
    return "".join(_lines(found["kind"], found["body"]) for found in _BLOCK.finditer(text))


def file_faults(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name of a setting, and what is wrong with the file that it names; reads the head of each."""
    for name in (*PEM_FILES, KEYSTORE_FILE):
        path = settings.get(name)
        if path is None or (name == "ssl.ca.location" and (path == _PROBE or Path(path).is_dir())):
            continue
        try:
            with Path(path).open("rb") as file:
                head = file.read(_HEAD_BYTES)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no path"
            yield name, f"names a file that cannot be read ({reason}): {Path(path).absolute()}"
            continue
        words = _content_words(name, path, head)
        if words:
            yield name, words


def _content_words(name: str, path: str, head: bytes) -> str:
    if name == KEYSTORE_FILE:
        if head.startswith(_JKS):
            return keystore_words(path)
        return "is PEM: add ssl.keystore.type=PEM" if b"-----BEGIN " in head else ""
    if b"-----BEGIN " in head:
        return ""
    if name == "ssl.ca.location":
        return f"holds no PEM: {_to_pem(path)}"
    return "names a file without PEM in it (-----BEGIN ...-----)"


def _lines(kind: str, body: str) -> str:
    if ":" not in body:
        packed = "".join(body.split())
        body = "\n".join(packed[at : at + 64] for at in range(0, len(packed), 64))
    # With headers (an old encrypted key) line ends mean something: those are kept.
    return f"-----BEGIN {kind}-----\n{body.strip()}\n-----END {kind}-----\n"


def _to_pem(path: str) -> str:
    found, made = shlex.quote(path), shlex.quote(_beside(path, ".pem"))
    return (
        f"convert it by `keytool -list -rfc -keystore {found} > {made}`, or a PKCS12 file without Java by "
        f"`openssl pkcs12 -in {found} -nokeys -out {made}`; then name {made} here, with "
        "ssl.truststore.type=PEM"
    )


def _beside(path: str, suffix: str) -> str:
    stem = re.sub(r"\.(?:jks|p12|pfx|keystore|truststore)\Z", "", path, flags=re.IGNORECASE)
    return stem + suffix
