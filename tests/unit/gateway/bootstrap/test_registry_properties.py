import ssl
from pathlib import Path

import pytest

from gateway.bootstrap.registry_access import Way, way_of
from gateway.bootstrap.registry_properties import (
    RegistryProperties,
    load_registry_properties,
    parse_registry_properties,
)
from gateway.errors import SettingsError, SetupError
from gateway.settings_sources import load

CLOUD = """\
# Required connection configs for Kafka producer, consumer, and admin
bootstrap.servers=pkc-1.example:9092
security.protocol=SASL_SSL
ssl.truststore.location=/kafka.jks
# Required connection configs for Schema Registry
schema.registry.url=https://psrc-1.example
basic.auth.credentials.source=USER_INFO
basic.auth.user.info=KEY:geheim:more
"""
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def read(text: str) -> RegistryProperties:
    return parse_registry_properties(text, path="client.properties")


def faults(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(text)
    assert "geheim" not in str(caught.value)
    return str(caught.value)


def settings_way(folder: Path, text: str | None = None, **flags: str) -> Way | None:
    given = {"data": str(folder), **{name.replace("__", "."): value for name, value in flags.items()}}
    if text is not None:
        (folder / "client.properties").write_text(text)
        given["registry.properties_file"] = str(folder / "client.properties")
    environ = {"GATEWAY_REGISTRY__URL": given.pop("registry.url")} if "registry.url" in given else {}
    return way_of(load(flags=given, environ=environ, file=None).settings)


def test_a_providers_file_is_understood_as_it_is() -> None:
    found = read(CLOUD)
    assert (found.url, found.user) == ("https://psrc-1.example", ("KEY", "geheim:more"))
    assert (found.ca, found.token) == (None, None)
    assert found.warnings == ("client.properties: 3 properties are not about the registry: left out",)
    assert "geheim" not in repr(found)


def test_names_with_the_prefix_go_before_those_without() -> None:
    text = "schema.registry.basic.auth.user.info=a:geheim\nbasic.auth.user.info=b:geheim\n"
    assert read(text).user == ("a", "geheim")


def test_a_token_is_understood() -> None:
    text = "bearer.auth.credentials.source=STATIC_TOKEN\nbearer.auth.token=geheim\n"
    assert read(text).token == "geheim"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("basic.auth.credentials.source=SASL_INHERIT", "USER_INFO with basic.auth.user.info"),
        ("basic.auth.credentials.source=USER_INFO", "needs basic.auth.user.info=USER:PASSWORD"),
        ("basic.auth.user.info=geheim", "is written USER:PASSWORD"),
        ("basic.auth.user.info=:geheim", "is written USER:PASSWORD"),
        ("bearer.auth.credentials.source=OAUTHBEARER", "STATIC_TOKEN"),
        ("bearer.auth.credentials.source=STATIC_TOKEN", "needs bearer.auth.token"),
        ("bearer.auth.token=geheim\\u00e9", "no header can carry"),
        ("basic.auth.user.info=a:geheim\nbearer.auth.token=geheim", "keep one of them"),
        ("schema.registry.ssl.truststore.location=/t.jks\n", "keytool -list -rfc"),
        ("ssl.truststore.location=/t.p12\nssl.truststore.type=PKCS12\n", "openssl pkcs12"),
        ("schema.registry.ssl.keystore.location=/k.jks\n", "openssl pkcs12"),
        ("ssl.truststore.certificates=geheim\n", "holds no PEM"),
        ("ssl.keystore.key=geheim\n", "write it to a file"),
        ("no name geheim", "does not begin with the name of a property"),
    ],
)
def test_what_would_mean_something_else_is_refused_with_what_to_write(text: str, words: str) -> None:
    assert words in faults(text)


def test_every_fault_is_told_at_once_with_its_line() -> None:
    told = faults("basic.auth.user.info=geheim\n\nbearer.auth.credentials.source=X\n")
    assert ["client.properties:1" in told, "client.properties:3" in told] == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        "ssl.ca.location=/ca.pem\n",
        "schema.registry.ssl.ca.location=/ca.pem\n",
        "schema.registry.ssl.truststore.location=/ca.pem\nschema.registry.ssl.truststore.type=PEM\n",
        "bootstrap.servers=k:1\nssl.ca.location=/kafka\nschema.registry.ssl.ca.location=/ca.pem\n",
    ],
)
def test_authorities_are_named_by_either_name(text: str) -> None:
    assert read(text).ca == "/ca.pem"


def test_what_only_java_knows_is_left_out_with_a_warning() -> None:
    found = read("schema.registry.request.timeout.ms=1\nbasic.auth.other=geheim\n")
    assert len(found.warnings) == 2
    assert "geheim" not in "".join(found.warnings)


def test_a_check_that_is_switched_off_is_warned_of() -> None:
    found = read("schema.registry.ssl.endpoint.identification.algorithm=\n")
    assert (found.checks_host, len(found.warnings)) == (False, 1)


def test_the_own_registry_needs_no_way(tmp_path: Path) -> None:
    assert settings_way(tmp_path) is None


def test_url_and_login_come_from_the_file(tmp_path: Path) -> None:
    way = settings_way(tmp_path, CLOUD)
    assert way is not None
    assert (way.access.urls, way.access.user) == (("https://psrc-1.example",), ("KEY", "geheim:more"))


def test_the_setting_goes_before_the_file_and_says_so(tmp_path: Path) -> None:
    way = settings_way(tmp_path, CLOUD, registry__url="https://one.example/base/,https://two.example")
    assert way is not None
    assert way.access.urls == ("https://one.example/base", "https://two.example")
    assert any("registry.url names the registry" in words for words in way.warnings)


def test_a_login_in_the_url_is_taken_out_of_it(tmp_path: Path) -> None:
    way = settings_way(tmp_path, registry__url="http://key:ge%68eim@registry.example:8081")
    assert way is not None
    assert (way.access.urls, way.access.user) == (("http://registry.example:8081",), ("key", "geheim"))
    assert any("in clear" in words for words in way.warnings)
    assert "geheim" not in repr(way)


@pytest.mark.parametrize(
    "url", ["ftp://r.example", "r.example:8081", "https://", "https://r.example/?q=1", ","]
)
def test_what_is_no_url_is_refused_at_the_start(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="write `own`, or URLs"):
        settings_way(tmp_path, registry__url=url)


def test_a_file_without_a_url_needs_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"add it, or set registry.url"):
        settings_way(tmp_path, "basic.auth.user.info=a:b\n")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_registry_properties(tmp_path / "none")
    (tmp_path / "large").write_bytes(b"#" * 1_048_577)
    with pytest.raises(SettingsError, match="over 1048576 bytes"):
        load_registry_properties(tmp_path / "large")
    (tmp_path / "latin").write_bytes(b"a.b=\xff\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_registry_properties(tmp_path / "latin")
    with pytest.raises(SetupError, match=r"ssl.truststore.location"):
        settings_way(tmp_path, "schema.registry.url=https://r.example\nssl.ca.location=/none.pem\n")
    (tmp_path / "bad.pem").write_text(PEM)
    with pytest.raises(SetupError, match=r"ssl.truststore.location"):
        settings_way(tmp_path, f"schema.registry.url=https://r.example\nssl.ca.location={tmp_path}/bad.pem\n")


def test_a_check_of_the_host_stays_on_unless_it_is_switched_off(tmp_path: Path) -> None:
    text = "schema.registry.url=https://r.example\nschema.registry.ssl.endpoint.identification.algorithm=\n"
    way = settings_way(tmp_path, text)
    assert way is not None
    assert way.access.tls is not None
    assert (way.access.tls.check_hostname, way.access.tls.verify_mode) == (False, ssl.CERT_REQUIRED)
