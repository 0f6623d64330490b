import os
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.errors import SetupError
from gateway.http.tls import DEV_DAYS, make_dev_certificate, server_context

NOW = 1_800_000_000_000
DAY = 86_400_000


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_development_certificate_names_this_machine_and_ends(tmp_path: Path) -> None:
    certificate, key = make_dev_certificate(tmp_path / "tls", now=NOW, entropy=os.urandom)
    names = load(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert {str(one) for one in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    assert load(certificate).not_valid_after_utc.timestamp() * 1000 == NOW + DEV_DAYS * DAY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_it_is_kept_until_a_week_before_its_end(tmp_path: Path) -> None:
    first = load(make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom)[0])
    later = load(make_dev_certificate(tmp_path, now=NOW + (DEV_DAYS - 8) * DAY, entropy=os.urandom)[0])
    last = load(make_dev_certificate(tmp_path, now=NOW + (DEV_DAYS - 6) * DAY, entropy=os.urandom)[0])
    assert first == later
    assert last != first


def test_a_damaged_certificate_is_made_again(tmp_path: Path) -> None:
    certificate, key = make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom)
    certificate.write_text("damaged")
    make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom)
    server_context(certificate, key)


def test_only_modern_tls_without_tickets_is_offered(tmp_path: Path) -> None:
    context = server_context(*make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_TICKET
    assert context.num_tickets == 0
    old = [one for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"]
    assert old
    assert all("ECDHE" in one["name"] and ("GCM" in one["name"] or "CHACHA" in one["name"]) for one in old)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    certificate, key = make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom)
    made = load_pem_private_key(key.read_bytes(), None)
    sealed = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hidden"))
    key.write_bytes(sealed)
    with pytest.raises(SetupError, match=r"is encrypted: save it without a password"):
        server_context(certificate, key)


@pytest.mark.parametrize("content", [None, "no PEM"])
def test_files_that_cannot_be_used_say_what_is_wanted(tmp_path: Path, content: str | None) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    if content is not None:
        certificate.write_text(content)
        key.write_text(content)
    with pytest.raises(SetupError, match=r"tls\.cert must be a PEM chain"):
        server_context(certificate, key)


def test_a_folder_that_cannot_be_written_is_a_setup_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="--data"):
        make_dev_certificate(tmp_path / "file" / "tls", now=NOW, entropy=os.urandom)
