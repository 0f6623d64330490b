"""A provider's client.properties, made for Java, becomes librdkafka's; nothing secret is quoted."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.broker.java_properties import parse_login, parse_properties
from gateway.broker.kafka_properties import KafkaProperties, load_kafka_properties, parse_kafka_properties
from gateway.broker.kafka_settings import producer_settings, reader_settings
from gateway.errors import SettingsError

SASL = "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
HIDDEN = "hunter2-Secret"

CLOUD = f"""\
# Required connection configs for Kafka producer, consumer, and admin
bootstrap.servers=broker.example:9092
security.protocol=SASL_SSL
sasl.jaas.config={PLAIN} required username='ABCD' password='{HIDDEN}';
sasl.mechanism=PLAIN
client.dns.lookup=use_all_dns_ips
session.timeout.ms=45000
acks=all
schema.registry.url=https://registry.example
basic.auth.credentials.source=USER_INFO
basic.auth.user.info=KEY:{HIDDEN}
"""


def parse(text: str) -> KafkaProperties:
    return parse_kafka_properties(text, path="client.properties")


def settings_of(text: str) -> dict[str, str]:
    return dict(parse(text).settings)


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        parse(text)
    assert HIDDEN not in str(refused.value)
    return refused.value.faults


def pairs(text: str) -> list[tuple[str, str, int]]:
    return [(entry.name, entry.value, entry.line) for entry in parse_properties(text, path="f")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("client.id=one", "one"),
        ("client.id : one", "one"),
        ("client.id one", "one"),
        ("  \tclient.id\t=\tone \t", "one"),
        ("client.id==one", "=one"),
        ("client.id = :one", ":one"),
        ("client.id", ""),
        ("client.id=a#b!c", "a#b!c"),
        (r"client.id=a\tb\\c\:d\q", "a\tb\\c:dq"),
        (r"client.id=\u00e9\uD83D\uDE00", "é😀"),
        ("client.id=a\\\n   b\\\r\n\tc", "abc"),
        ("client.id=a\\\n# no comment here", "a# no comment here"),
        ("client.id=a\\", "a"),
        ("client.id=a\\\\\nother.name=b", "a\\"),
        ("client\\.id=one", "one"),
        ("! comment\\\nclient.id=one", "one"),
        ("\n\n \f\n# comment\rclient.id=one", "one"),
    ],
)
def test_a_line_is_read_as_java_reads_it(text: str, value: str) -> None:
    assert ("client.id", value) in [(name, found) for name, found, _ in pairs(text)]


def test_a_property_stands_where_its_first_line_is() -> None:
    assert pairs("\na.b=1\\\n2\\\n3\n\nc.d=4") == [("a.b", "123", 2), ("c.d", "4", 6)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"client.id=a\nsasl.jaas.config=x \n  password='{HIDDEN}'", "f:3: does not begin with the name"),
        (f"client.id=a\n{HIDDEN}", "f:2: does not begin with the name"),
        (f"client.id=a\nclient.id={HIDDEN}", "f:2: client.id stands already at line 1"),
        (f"client.id={HIDDEN}\\u12", r"f:1: has a \u without four hexadecimal digits"),
        (f"client.id={HIDDEN}\\ud83d", "f:1: has one half of a surrogate pair"),
        (f"client.id={HIDDEN}\\u0000", "f:1: client.id has a NUL"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named_and_not_quoted(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_properties(text, path="f")
    assert words in str(refused.value)
    assert HIDDEN not in str(refused.value)


def test_what_a_cloud_provider_hands_out_connects() -> None:
    found = parse(CLOUD)
    assert found.settings == {
        "bootstrap.servers": "broker.example:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "ABCD",
        "sasl.password": HIDDEN,
        "client.dns.lookup": "use_all_dns_ips",
        "session.timeout.ms": "45000",
    }
    assert found.warnings == (
        "client.properties:9: schema.registry.url: is left out: only Java programs know it",
        "client.properties:10: basic.auth.credentials.source: is left out: only Java programs know it",
        "client.properties:11: basic.auth.user.info: is left out: only Java programs know it",
    )


def test_no_repr_shows_a_value() -> None:
    found = parse(CLOUD)
    login = parse_login(f"{PLAIN} required username=a password='{HIDDEN}';")
    assert HIDDEN not in repr((found, dict(found.origins), login))


@pytest.mark.parametrize(
    ("module", "mechanism"), [(PLAIN, "PLAIN"), (SCRAM, "SCRAM-SHA-256"), (SCRAM, "SCRAM-SHA-512")]
)
def test_user_and_password_come_out_of_a_login_module(module: str, mechanism: str) -> None:
    login = f'{module} required \\\n  username="us;er" \\\n  password=\'{HIDDEN}"x\';'
    found = settings_of(f"security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nsasl.jaas.config={login}")
    assert (found["sasl.username"], found["sasl.password"]) == ("us;er", f'{HIDDEN}"x')
    assert found["sasl.mechanisms"] == mechanism


def test_escapes_of_a_login_are_undone_after_those_of_the_file() -> None:
    text = r'a.B REQUIRED x = "q\"\\\061\n" // words' + "\n y=bare /* more */ " + r"z='it\'s';"
    login = parse_login(text)
    assert login.module == "B"
    assert login.options == {"x": 'q"\\1\n', "y": "bare", "z": "it's"}
    found = settings_of(SASL + f'sasl.jaas.config={SCRAM} required username="u" password="a\\\\"b";')
    assert found["sasl.password"] == 'a"b'


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (f"{SCRAM} required username='u' password='{HIDDEN}'", "does not end with a semicolon"),
        (f"{SCRAM} required username='u' password='{HIDDEN};", "a quotation mark or a comment"),
        (f"{SCRAM} username='u' password='{HIDDEN}';", "the name of a login module and `required`"),
        (f"{SCRAM} required username='u' '{HIDDEN}';", 'not written name="value"'),
        (f"{SCRAM} required username='u';", "ScramLoginModule takes username and password here"),
        (f"{SCRAM} required username='u' password='{HIDDEN}' tokenauth=true;", "and nothing else"),
        (f"{PLAIN} required username='u' password='{HIDDEN}';", "needs sasl.mechanism=PLAIN"),
        (f"com.example.{HIDDEN} required a='b';", "names none of PlainLoginModule, ScramLoginModule"),
        (HIDDEN, "does not end with a semicolon"),
    ],
)
def test_a_login_that_is_none_is_refused_without_its_words(login: str, words: str) -> None:
    (fault,) = faults_of(f"{SASL}sasl.jaas.config={login}")
    assert fault.startswith("client.properties:3: sasl.jaas.config ")
    assert words in fault


def test_pem_files_of_java_are_librdkafkas() -> None:
    text = (
        "ssl.truststore.type=PEM\nssl.truststore.location=/etc/ca.pem\nssl.truststore.password=x\n"
        "ssl.keystore.type=PEM\nssl.keystore.location=/etc/client.pem\nssl.key.password=y\n"
    )
    found = parse(f"security.protocol=SSL\n{text}")
    assert found.settings == {
        "security.protocol": "SSL",
        "ssl.ca.location": "/etc/ca.pem",
        "ssl.certificate.location": "/etc/client.pem",
        "ssl.key.location": "/etc/client.pem",
        "ssl.key.password": "y",
    }
    assert [words for words in found.warnings if "ssl.truststore.password" in words] == list(found.warnings)


def test_certificates_in_one_line_get_their_line_ends_back() -> None:
    body = "MIIB" * 40
    block = f"-----BEGIN CERTIFICATE-----\\\n {body}\\\n -----END CERTIFICATE-----"
    found = settings_of(
        "security.protocol=SSL\n"
        f"ssl.truststore.certificates={block}\\n\\\n{block}\n"
        f"ssl.keystore.certificate.chain={block}\n"
        "ssl.keystore.key=-----BEGIN PRIVATE KEY----- AAAA -----END PRIVATE KEY-----\n"
    )
    wrapped = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    one = f"-----BEGIN CERTIFICATE-----\n{wrapped}\n-----END CERTIFICATE-----\n"
    assert found["ssl.ca.pem"] == one + one
    assert found["ssl.certificate.pem"] == one
    assert found["ssl.key.pem"] == "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ssl.truststore.location=/etc/t.jks", "keytool -list -rfc -keystore /etc/t.jks > /etc/t.pem"),
        (
            "ssl.truststore.type=PKCS12\nssl.truststore.location=/etc/my t.p12",
            "openssl pkcs12 -in '/etc/my t.p12' -nokeys -out '/etc/my t.pem'",
        ),
        ("ssl.keystore.location=/etc/k.jks", "keytool -importkeystore -srckeystore /etc/k.jks"),
        ("ssl.keystore.type=JKS\nssl.keystore.location=/etc/k", "-destkeystore /etc/k.p12"),
        (f"ssl.keystore.key={HIDDEN}", "ssl.keystore.key holds no PEM"),
    ],
)
def test_stores_of_java_are_refused_with_the_command_that_converts_them(text: str, words: str) -> None:
    (fault,) = faults_of(f"security.protocol=SSL\n{text}")
    assert words in fault


def test_a_client_key_in_pkcs12_passes() -> None:
    text = "security.protocol=SSL\nssl.keystore.type=PKCS12\nssl.keystore.location=/k.p12\n"
    assert settings_of(text)["ssl.keystore.location"] == "/k.p12"


@pytest.mark.parametrize("value", ["", "none"])
def test_an_unchecked_host_name_is_said(value: str) -> None:
    found = parse(f"security.protocol=SSL\nssl.endpoint.identification.algorithm={value}")
    assert found.settings["ssl.endpoint.identification.algorithm"] == "none"
    assert "can pose as Kafka" in found.warnings[0]


@pytest.mark.parametrize(
    ("line", "is_said"),
    [
        ("acks=0", True),
        ("request.required.acks=1", True),
        ("acks=-1", False),
        ("enable.idempotence=TRUE", False),
        ("delivery.timeout.ms=120000", True),
        ("transactional.id=t", True),
        ("key.serializer=org.apache.kafka.common.serialization.StringSerializer", True),
        ("max.poll.records=5", True),
        ("ssl.enabled.protocols=TLSv1.3", True),
        ("ssl.cipher.suites=TLS_AES_256_GCM_SHA384", True),
        ("client.dns.lookup=default", True),
        ("client.rack=", True),
    ],
)
def test_what_has_no_effect_is_left_out_and_said_where_that_matters(line: str, *, is_said: bool) -> None:
    found = parse(f"security.protocol=SSL\n{line}")
    assert found.settings == {"security.protocol": "SSL"}
    name = line.partition("=")[0]
    assert [words.split(" ")[:2] for words in found.warnings] == [
        ["client.properties:2:", f"{name}:"]
    ] * is_said


def test_settings_of_librdkafka_pass_under_the_names_that_the_gateway_uses() -> None:
    text = "queue.buffering.max.ms=7\ncompression.type=zstd\nno.such.key=1\nmax.partition.fetch.bytes=9\n"
    found = settings_of(text)
    assert found["no.such.key"] == "1"
    producing = producer_settings("h:1", found, message_timeout_ms=5_000, max_record_bytes=1_000)
    assert (producing["linger.ms"], producing["compression.type"]) == ("7", "zstd")
    assert reader_settings("h:1", found)["fetch.message.max.bytes"] == "9"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sasl.mechanism=PLAIN\nsasl.username=u", ":1: sasl.mechanism has no effect without"),
        ("ssl.ca.location=/ca.pem", ":1: ssl.ca.location has no effect without security.protocol"),
        ("security.protocol=SASL_SSL", ":1: security.protocol needs sasl.mechanism beside it"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI", "one of PLAIN, SCRAM-SHA-256"),
        ("sasl.mechanism=PLAIN\nsasl.mechanisms=PLAIN", ":2: sasl.mechanisms means the same as sasl"),
        ("error_cb=x.y", ":1: does not begin with"),
        ("ssl.certificate.verify_cb=y", "ssl.certificate.verify_cb cannot be set here"),
        ("default.topic.config=y", "default.topic.config cannot be set here"),
        ("config.providers=file", ":1: config.providers cannot be set here"),
        ("plugin.library.paths=/x.so", ":1: plugin.library.paths cannot be set here"),
    ],
)
def test_what_would_not_do_as_it_says_is_refused(text: str, words: str) -> None:
    assert any(words in fault for fault in faults_of(text))


def test_clear_text_is_said() -> None:
    found = parse("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=p")
    assert "in clear" in found.warnings[0]


def test_every_fault_is_found_at_once() -> None:
    faults = faults_of(f"{SASL}sasl.jaas.config={HIDDEN}\nssl.truststore.location=/t.jks\nconfig.providers=x")
    assert [fault.split(" ")[0] for fault in faults] == [f"client.properties:{line}:" for line in (3, 4, 5)]


def test_words_of_librdkafka_get_the_place_of_the_setting_that_they_name() -> None:
    found = parse("\nlinger.ms=x\nno.such.key=1")
    assert found.locate('No such configuration property: "no.such.key"').startswith("client.properties:3: No")
    assert found.locate("odd") == "client.properties: odd"


def write(folder: Path, content: bytes | str) -> Path:
    file = folder / "client.properties"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_a_file_is_read_with_the_files_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("words before\n-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "k.p12").write_bytes(b"\x30\x82")
    text = (
        f"security.protocol=SSL\nssl.ca.location={tmp_path}/ca.pem\nssl.keystore.location={tmp_path}/k.p12\n"
    )
    file = write(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert load_kafka_properties(file).settings["ssl.ca.location"] == f"{tmp_path}/ca.pem"
    for trusted in ("probe", str(tmp_path)):
        load_kafka_properties(write(tmp_path, f"security.protocol=SSL\nssl.ca.location={trusted}"))


@pytest.mark.parametrize(
    ("lines", "content", "words"),
    [
        ("ssl.truststore.type=PEM\nssl.truststore.location={}", None, "ssl.truststore.location names a file"),
        ("ssl.keystore.type=PEM\nssl.keystore.location={}", None, "ssl.keystore.location names a file that"),
        ("ssl.truststore.type=PEM\nssl.truststore.location={}", b"\xfe\xed\xfe\xed", "keytool -list -rfc"),
        ("ssl.ca.location={}", b"\x30\x82", "ssl.ca.location holds no PEM: convert it"),
        ("ssl.key.location={}", b"\x30\x82", "ssl.key.location names a file without PEM"),
        ("ssl.keystore.location={}", b"\xfe\xed\xfe\xed", "keytool -importkeystore"),
        ("ssl.keystore.location={}", b"-----BEGIN CERTIFICATE-----", "add ssl.keystore.type=PEM"),
    ],
)
def test_a_named_file_of_the_wrong_kind_is_one_fault_with_its_line(
    tmp_path: Path, lines: str, content: bytes | None, words: str
) -> None:
    named = tmp_path / "named"
    if content is not None:
        named.write_bytes(content)
    file = write(tmp_path, f"security.protocol=SSL\n{lines.format(named)}\n")
    with pytest.raises(SettingsError) as refused:
        load_kafka_properties(file)
    (fault,) = refused.value.faults
    assert fault.startswith(f"{file}:{2 + lines.count(chr(10))}: ")
    assert words in fault


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "absent", "cannot be read (No such file or directory)"),
        (lambda folder: folder, "cannot be read (Is a directory)"),
        (lambda folder: write(folder, b"a.b=1\nc.d=\xff"), "client.properties:2: is not UTF-8"),
        (lambda folder: write(folder, b"#" * 1_048_577), "is it a client.properties?"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_kafka_properties(make(tmp_path))
    assert words in str(refused.value)


NAMES = st.sampled_from(
    [
        "sasl.jaas.config",
        "sasl.mechanism",
        "security.protocol",
        "ssl.truststore.type",
        "ssl.truststore.location",
        "ssl.truststore.certificates",
        "ssl.keystore.location",
        "ssl.keystore.type",
        "ssl.endpoint.identification.algorithm",
        "acks",
        "client.id",
    ]
)
WORDS = ["PEM", "SASL_SSL", "SSL", "PLAIN", f"{PLAIN} required a='b';"]
VALUES = st.one_of(st.text(), st.sampled_from(WORDS))
FILES = st.lists(st.tuples(NAMES, VALUES)).map(
    lambda rows: "\n".join(f"{name}={value}" for name, value in rows)
)


@given(text=st.one_of(st.text(), st.text(alphabet="a.=:\\u0dD8#\n\r \t'\"/*;"), FILES))
@example(text="a.b=\\")
@example(text="sasl.jaas.config=" + "/" * 2_000)
@example(text="sasl.jaas.config=" + "/*" * 2_000)
def test_any_text_is_properties_or_one_error_family(text: str) -> None:
    try:
        found = parse(text)
    except SettingsError as error:
        faults = error.faults
    else:
        assert found.settings.keys() == found.origins.keys()
        return
    assert faults
    assert [fault for fault in faults if not fault.startswith("client.properties:")] == []


@given(text=st.one_of(st.text(), st.text(alphabet="a=;'\"\\/*7 \n")))
def test_any_text_is_a_login_or_one_error(text: str) -> None:
    try:
        login = parse_login(text)
    except ValueError:
        return
    assert "." not in login.module


@given(content=st.binary())
def test_any_bytes_are_properties_or_one_error_family(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = write(tmp_path_factory.getbasetemp(), content)
    try:
        found = load_kafka_properties(file)
    except SettingsError:
        return
    assert found.path == str(file)
