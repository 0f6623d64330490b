"""Which broker the settings open, and what a wrong file of Kafka's properties says at the start."""

from pathlib import Path

import pytest

from gateway.bootstrap.ground import open_broker
from gateway.errors import SettingsError, SetupError
from tests.world import make_settings


def refused(folder: Path, properties: str, url: str = "kafka://127.0.0.1:1") -> SetupError:
    file = folder / "client.properties"
    file.write_text(properties)
    settings = make_settings(folder, {"broker.url": url, "broker.properties_file": str(file)})
    with pytest.raises(SetupError) as error:
        open_broker(settings)
    return error.value


def test_a_property_that_nobody_knows_is_named_with_file_and_line(tmp_path: Path) -> None:
    error = refused(tmp_path, "client.id=x\nno.such.key=1\n")
    assert str(error).startswith(f"{tmp_path}/client.properties:2: ")
    assert "no.such.key" in str(error)


def test_a_certificate_that_is_none_is_named_with_file_and_line(tmp_path: Path) -> None:
    pem = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"
    error = refused(tmp_path, f"security.protocol=SSL\nssl.truststore.certificates={pem}\n")
    assert str(error).startswith(f"{tmp_path}/client.properties:2: ")


def test_faults_of_the_file_are_settings_errors(tmp_path: Path) -> None:
    error = refused(tmp_path, "security.protocol=SASL_SSL\n")
    assert isinstance(error, SettingsError)
    assert "sasl.mechanism" in str(error)


def test_kafkas_properties_beside_an_embedded_broker_are_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, "", url=f"embedded:{tmp_path}/broker.db")
    assert "broker.properties_file is for Kafka" in str(error)
    assert not (tmp_path / "broker.db").exists()
