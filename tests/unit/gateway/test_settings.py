import json
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.errors import SettingsError
from gateway.settings import Settings
from gateway.settings_sources import Loaded, catalogue, format_json, format_markdown, hide_password, load
from gateway.units import (
    Address,
    format_duration,
    format_size,
    parse_address,
    parse_duration,
    parse_size,
)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text("")
    return path


def read(toml: Path, text: str = "", environ: dict[str, str] | None = None, **flags: str) -> Loaded:
    toml.write_text(text)
    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    return load(dotted, environ=environ or {}, file=toml)


def faults(toml: Path, text: str = "", environ: dict[str, str] | None = None, **flags: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(toml, text, environ, **flags)
    return str(caught.value)


def test_defaults_are_those_of_the_documentation(toml: Path) -> None:
    settings = read(toml).settings
    assert settings.listen.public == Address("127.0.0.1", 8080)
    assert settings.listen.private == settings.listen.public
    assert settings.origin == "http://127.0.0.1:8080"
    assert (
        settings.database.url == "sqlite:///gateway-data/gateway.db"
        or "gateway-data" in settings.database.url
    )
    assert settings.ingress.body_bytes == 2**20
    assert settings.egress.timeout == 15_000
    assert settings.egress.retry[:3] == (0, 5, 300)
    assert settings.egress.rate is None
    assert settings.retention.evidence == 7 * 365 * 86_400_000
    assert settings.ingress.publish_timeout == 1_800
    assert (settings.lease.duration, settings.lease.shards) == (10_000, 64)
    assert (settings.claims.lease, settings.claims.wait) == (15_000, 1_000)
    assert settings.tls.cert is None
    assert settings.proxy.trusted == ()


def test_flag_beats_environment_beats_file_beats_default(toml: Path) -> None:
    text = '[broker]\npartitions = 2\nretention = "1d"\n[log]\nlevel = "error"\n'
    environ = {"GATEWAY_BROKER__PARTITIONS": "3", "GATEWAY_LOG__LEVEL": "warning", "HOME": "/x"}
    loaded = read(toml, text, environ, log__level="debug")
    settings = loaded.settings
    assert (settings.broker.retention, settings.broker.partitions, settings.log.level) == (
        86_400_000,
        3,
        "debug",
    )
    origins = {name: loaded.origins[name] for name in ("log.level", "broker.partitions", "broker.retention")}
    assert origins == {
        "log.level": "flag",
        "broker.partitions": "environment GATEWAY_BROKER__PARTITIONS",
        "broker.retention": str(toml),
    }
    assert loaded.origins["broker.replication"] == "default"


def test_defaults_follow_the_data_folder_and_the_listener(toml: Path) -> None:
    settings = read(toml, data="/srv/gw", listen__public="127.0.0.1:9000").settings
    assert settings.database.url == "sqlite:////srv/gw/gateway.db"
    assert settings.broker.url == "embedded:/srv/gw/broker.db"
    assert settings.keys.master_file == Path("/srv/gw/master.key")
    assert settings.origin == "http://127.0.0.1:9000"
    assert settings.listen.private.port == 9000


def test_tls_makes_the_default_origin_https(toml: Path) -> None:
    settings = read(toml, tls__cert="/c.pem", tls__key="/k.pem").settings
    assert settings.origin == "https://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("text", "environ", "flags", "expected"),
    [
        ("[broker]\nulr = 'x'\n", {}, {}, ["broker.ulr", "did you mean broker.url?"]),
        ("nonsense = 1\n", {}, {}, ["nonsense", "no such setting"]),
        (
            "",
            {"GATEWAY_BROKR__URL": "x"},
            {},
            ["environment GATEWAY_BROKR__URL", "did you mean GATEWAY_BROKER__URL?"],
        ),
        ("", {"GATEWAY_DATABASE_URL": "x"}, {}, ["did you mean GATEWAY_DATABASE__URL?"]),
        ("", {"GATEWAY_LISTEN": "x"}, {}, ["GATEWAY_LISTEN", "no such setting"]),
        ("", {}, {"listen__publik": "x"}, ["did you mean listen.public?"]),
    ],
)
def test_unknown_key_is_refused_with_what_was_meant(
    toml: Path, text: str, environ: dict[str, str], flags: dict[str, str], expected: list[str]
) -> None:
    shown = faults(toml, text, environ, **flags)
    assert all(part in shown for part in expected), shown


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("egress.timeout", "15", "write a duration such as"),
        ("egress.timeout", "2h", "less than or equal to 60000"),
        ("ingress.body_bytes", "1MB", "write a size such as"),
        ("ingress.body_bytes", "0B", "greater than or equal to 1"),
        ("listen.public", "8080", "HOST:PORT"),
        ("origin", "https://gw.example/path", "scheme and host only"),
        ("origin", "https://user@gw.example", "scheme and host only"),
        ("origin", "ftp://gw.example", "scheme and host only"),
        ("proxy.trusted", "10.0.0.1/8", "host bits"),
        ("proxy.client_cert", "on", "rfc9440"),
        ("egress.retry", "5s,5m", "start with 0s"),
        ("egress.retry", "standard-80h", "write a duration"),
        ("broker.topic_prefix", "a b", "pattern"),
        ("lease.shards", "0", "greater than or equal to 1"),
        ("log.level", "loud", "debug"),
        ("listen.behind_proxy", "perhaps", "boolean"),
    ],
)
def test_bad_value_is_refused_with_key_source_and_what_is_taken(
    toml: Path, key: str, value: str, expected: str
) -> None:
    variable = "GATEWAY_" + key.replace(".", "__").upper()
    shown = faults(toml, environ={variable: value})
    assert f"environment {variable}: {key} {value!r}" in shown
    assert expected in shown


def test_every_fault_is_named_at_once(toml: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(toml, "[log]\nlevel = 'x'\n[egress]\ntimeout = 15\n")
    assert len(caught.value.faults) == 2


def test_duration_without_quotes_in_the_file_is_refused(toml: Path) -> None:
    assert "write it as text, in quotes" in faults(toml, "[egress]\ntimeout = 15\n")


@pytest.mark.parametrize("name", ["public", "private"])
def test_plain_http_beyond_loopback_is_refused(toml: Path, name: str) -> None:
    shown = faults(toml, f"[listen]\n{name} = '0.0.0.0:8080'\n")
    assert f"listen.{name} 0.0.0.0:8080" in shown
    assert "tls.cert" in shown
    assert "listen.behind_proxy" in shown


def test_other_binds_need_tls_or_a_proxy(toml: Path) -> None:
    everywhere = "0.0.0.0:8443"
    assert read(toml, listen__public=everywhere, tls__cert="/c", tls__key="/k").settings.tls.cert == Path(
        "/c"
    )
    assert read(toml, listen__public=everywhere, listen__behind_proxy="true").settings.listen.behind_proxy
    for loopback in ("localhost:1", "[::1]:1", "127.0.0.9:1"):
        assert read(toml, listen__public=loopback).settings.listen.public.is_loopback


def test_certificate_without_its_key_is_refused(toml: Path) -> None:
    assert "belong together" in faults(toml, tls__cert="/c.pem")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tls__client_ca": "/ca.pem"}, "set tls.cert and tls.key"),
        ({"proxy__client_cert": "nginx"}, "name the proxies in proxy.trusted"),
        ({"proxy__trusted": "10.0.0.0/8,::/0"}, "would believe everybody"),
        ({"broker__url": "amqp://x"}, "embedded:FILE or kafka://HOST:PORT"),
        ({"broker__url": "kafka://"}, "embedded:FILE or kafka://HOST:PORT"),
    ],
)
def test_what_would_do_nothing_or_too_much_is_refused(
    toml: Path, given: dict[str, str], expected: str
) -> None:
    assert expected in faults(toml, environ=None, text="", **given)


@pytest.mark.parametrize("url", ["mysql://db/gw", "foo", "postgresql://"])
def test_a_database_of_another_kind_is_refused_before_the_start(toml: Path, url: str) -> None:
    said = faults(toml, environ={"GATEWAY_DATABASE__URL": url})
    assert "write sqlite:///FILE or postgresql://USER@HOST:PORT/NAME" in said


def test_password_in_file_or_flag_is_refused_without_being_shown(toml: Path) -> None:
    url = "postgresql://gw:hunter2@db/gw"
    in_file = faults(toml, f"[database]\nurl = '{url}'\n")
    in_flag = faults(toml, database__url=url)
    for shown in (in_file, in_flag):
        assert "GATEWAY_DATABASE__URL" in shown
        assert "database.url_file" in shown
        assert "hunter2" not in shown


def test_secret_comes_from_environment_or_file_and_is_never_shown(toml: Path, tmp_path: Path) -> None:
    url = "postgresql://gw:hunter2@db/gw"
    secret = tmp_path / "secret"
    secret.write_text(url + "\n")
    by_variable = read(toml, environ={"GATEWAY_DATABASE__URL": url})
    by_file = read(toml, f"[database]\nurl_file = '{secret}'\n")
    by_both = read(toml, environ={"GATEWAY_DATABASE__URL_FILE": str(secret)})
    for loaded in (by_variable, by_file, by_both):
        assert loaded.settings.database.url == url
        shown = {each.name: each for each in loaded.show()}
        assert shown["database.url"].value == "postgresql://gw:***@db/gw"
        assert "hunter2" not in repr(loaded.show())
    assert str(secret) in by_file.origins["database.url"]


def test_secret_file_that_is_missing_is_named(toml: Path) -> None:
    assert "/no/such" in faults(toml, environ={"GATEWAY_DATABASE__URL_FILE": "/no/such"})


def test_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load(environ={}, file=tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="no such file"):
        load(environ={"GATEWAY_CONFIG": str(tmp_path / "none.toml")})


@pytest.mark.parametrize("raw", [b"[broker", b"\xff", b"a = 1\na = 2\n"])
def test_file_that_is_not_toml_is_refused(toml: Path, raw: bytes) -> None:
    toml.write_bytes(raw)
    with pytest.raises(SettingsError, match="is not TOML"):
        load(environ={}, file=toml)


def test_lists_are_written_with_commas_or_as_toml(toml: Path) -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert read(toml, "[egress]\nallow = ['10.0.0.0/8', '::1']\n").settings.egress.allow == networks
    assert read(toml, egress__allow="10.0.0.0/8, ::1").settings.egress.allow == networks


def test_retry_takes_delays_of_its_own(toml: Path) -> None:
    loaded = read(toml, egress__retry="0s,1s,2m")
    assert loaded.settings.egress.retry == (0, 1, 120)
    assert {each.name: each.value for each in loaded.show()}["egress.retry"] == "0s,1s,2m"


def test_show_gives_values_that_load_to_the_same_settings(toml: Path) -> None:
    loaded = read(toml, data="/srv", egress__rate="50", log__level="debug")
    shown = {each.name: each.value for each in loaded.show()}
    assert load(shown, environ={}, file=toml).settings == loaded.settings
    assert shown["egress.retry"] == "standard-75h"
    assert shown["ingress.body_bytes"] == "1MiB"
    assert shown["retention.content"] == "90d"


def test_catalogue_names_every_key_once_with_a_note(toml: Path) -> None:
    keys = catalogue()
    assert len({key.name for key in keys}) == len(keys)
    assert all(key.note for key in keys)
    assert {each.name for each in read(toml).show()} == {key.name for key in keys}
    assert {row["key"] for row in json.loads(format_json())} == {key.name for key in keys}
    table = format_markdown()
    assert all(f"| `{key.name}` |" in table and key.variable in table for key in keys)


def test_client_variables_are_no_settings(toml: Path) -> None:
    assert read(toml, environ={"GATEWAY_URL": "http://x", "GATEWAY_KEY": "k"}).settings.log.level == "info"


def test_tree_cannot_be_changed(toml: Path) -> None:
    settings: Settings = read(toml).settings
    with pytest.raises(ValidationError):
        settings.listen.behind_proxy = True


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("http://:p@h", "http://:***@h"),
        ("sqlite:///a/b", "sqlite:///a/b"),
        ("kafka://h:9092,g:9092", "kafka://h:9092,g:9092"),
    ],
)
def test_only_passwords_are_hidden(text: str, hidden: str) -> None:
    assert hide_password(text) == hidden


@given(st.integers(0, 10**12 - 1))
def test_every_duration_and_size_reads_back(number: int) -> None:
    assert parse_duration(format_duration(number)) == number
    assert parse_size(format_size(number)) == number


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_by_one_error(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_address):
        try:
            parse(text)
        except ValueError:
            continue


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:8080", "gw.example:65535"])
def test_address_reads_back(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["", ":80", "h", "h:", "h:65536", "h:x", "::1:80", "[h]:80", "[::1:80", "a b:1"]
)
def test_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


def test_what_kubernetes_sets_for_a_service_of_our_name_is_passed_over(toml: Path) -> None:
    environ = {
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_SERVICE_PORT": "80",
        "GATEWAY_SERVICE_PORT_HTTP": "80",
        "GATEWAY_PORT": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP_PROTO": "tcp",
        "GATEWAY_PORT_80_TCP_PORT": "80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "GATEWAY_PRIVATE_SERVICE_HOST": "10.0.0.2",
        "GATEWAY_PRIVATE_PORT": "tcp://10.0.0.2:80",
    }
    assert read(toml, environ=environ).settings.listen.public.port == 8080
    assert "there is no such setting" in faults(toml, environ={"GATEWAY_PORT": "9090"})
    assert "there is no such setting" in faults(toml, environ={"GATEWAY_LISTEN_PORT": "9090"})
