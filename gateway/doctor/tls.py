"""Certificates: load, fit, order, end, names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import pairwise
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.doctor.finding import Area, Finding

TLS: Final = Area("tls")
WARN_DAYS: Final = 30
_RENEW: Final = "renew it; the file is read again when it changes"


@dataclass(frozen=True, slots=True)
class Doors:
    """How the gateway is reached. `is_beyond`: some listener is not on loopback."""

    origin: str
    is_beyond: bool
    behind_proxy: bool


def judge_without(doors: Doors) -> Finding:
    """Judge a gateway that has no certificate."""
    if doors.behind_proxy:
        return TLS.ok("a proxy in front ends TLS (listen.behind_proxy)")
    if doors.is_beyond:
        return TLS.fault("a listener is beyond loopback without TLS", "set tls.cert and tls.key")
    return TLS.ok("no certificate is needed: every listener is on loopback")


def judge_files(certificate: bytes, key: bytes, doors: Doors, *, now: int) -> list[Finding]:
    """Judge the contents of `tls.cert` and `tls.key`, PEM. `now`: Unix milliseconds."""
    try:
        chain = x509.load_pem_x509_certificates(certificate)
    except ValueError:
        return [TLS.fault("tls.cert holds no PEM certificate", "save the chain as PEM, the server's first")]
    found = [*_judge_key(chain, key), *_judge_order(chain)]
    found += [one for number, each in enumerate(chain) for one in _judge_end(each, number, now)]
    found += _judge_names(chain[0], doors.origin)
    return found


def _judge_key(chain: Sequence[x509.Certificate], key: bytes) -> Iterator[Finding]:
    try:
        private = load_pem_private_key(key, None)
    except TypeError:
        yield TLS.fault("tls.key is encrypted", "save it without a password, mode 0600")
        return
    except (ValueError, UnsupportedAlgorithm):
        yield TLS.fault("tls.key is no PEM private key", "save the key that belongs to tls.cert, as PEM")
        return
    public = _raw(private.public_key())
    if public == _raw(chain[0].public_key()):
        yield TLS.ok("certificate and key load, and belong together")
    elif any(public == _raw(each.public_key()) for each in chain):
        yield TLS.fault(
            "tls.cert does not begin with the server's certificate", "put the one that tls.key fits first"
        )
    else:
        yield TLS.fault("tls.key does not belong to tls.cert", "name the key that it was made with")


def _raw(key: object) -> bytes:
    """The public key as bytes that can be compared."""
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # every kind of key has it
    return encoded


def _judge_order(chain: Sequence[x509.Certificate]) -> Iterator[Finding]:
    for one, issuer in pairwise(chain):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            yield TLS.fault(
                f"tls.cert: {_name(issuer)} did not issue {_name(one)}, which stands before it",
                "write the chain in order: the server's certificate, who issued it, who issued that one",
            )
            return
    last = chain[-1]
    if len(chain) == 1 and last.issuer == last.subject:
        yield TLS.warning(
            "the certificate has signed itself: clients trust it only if they are given it",
            "for partners, get one of an authority that they know",
        )


def _judge_end(certificate: x509.Certificate, number: int, now: int) -> Iterator[Finding]:
    at = datetime.fromtimestamp(now / 1000, UTC)
    who = "the certificate" if number == 0 else f"{_name(certificate)} in the chain"
    end = certificate.not_valid_after_utc
    days = (end - at).days
    if certificate.not_valid_before_utc > at:
        yield TLS.fault(f"{who} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}", _RENEW)
    elif end <= at:
        yield TLS.fault(f"{who} ended on {end:%Y-%m-%d}", _RENEW)
    elif days < WARN_DAYS:
        yield TLS.warning(f"{who} ends in {days} days, on {end:%Y-%m-%d}", _RENEW)
    elif number == 0:
        yield TLS.ok(f"the certificate is good until {end:%Y-%m-%d}")


def _judge_names(certificate: x509.Certificate, origin: str) -> Iterator[Finding]:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme != "https":
        yield TLS.warning(f"origin is {origin}, and TLS is on", "origin is for ever: begin it with https://")
        return
    if has_name(certificate, host):
        yield TLS.ok(f"the certificate is for {host}")
    else:
        yield TLS.fault(
            f"the certificate is not for {host}, the host of origin: clients will refuse it",
            "get one with this name among its subject alternative names",
        )


def has_name(certificate: x509.Certificate, host: str) -> bool:
    """Whether a host is among the subject alternative names; a star stands for one label."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    try:
        return ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        pass
    wild = "*." + host.partition(".")[2]
    return any(
        name.lower() in {host.lower(), wild.lower()} for name in names.get_values_for_type(x509.DNSName)
    )


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"
