"""A client.properties, as a Kafka provider hands it out for Java programs, as settings of librdkafka.

Keys of librdkafka pass. Java's forms are translated where the same can be said: login modules, PEM
certificates, the check of host names. What only Java knows is left out, and named in a warning. What would
change the meaning if it were left out is refused, with what to write instead. Never quotes a value.

Source: Apache Kafka, producer, consumer and admin configs, KIP-651 (PEM); librdkafka, CONFIGURATION.md.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.broker.java_properties import Entry, parse_login, parse_properties, read_properties_file
from gateway.broker.kafka_keystores import (
    KEYSTORE_FILE,
    file_faults,
    format_pem,
    keystore_words,
    truststore_words,
)
from gateway.broker.kafka_settings import ALIASES, GATEWAYS
from gateway.errors import SettingsError

_PASSWORD_MODULES: Final = {
    "PlainLoginModule": frozenset({"PLAIN"}),
    "ScramLoginModule": frozenset({"SCRAM-SHA-256", "SCRAM-SHA-512"}),
}
_MECHANISMS: Final = (*sorted(frozenset.union(*_PASSWORD_MODULES.values())), "OAUTHBEARER")
_NOT_IN_FILES: Final = re.compile(
    r"config\.providers.*|default\.topic\.config|internal\.termination\.signal|log\.queue"
    r"|plugin\.library\.paths|ssl\.certificate\.verify_cb"
)
_OF_JAVA: Final = re.compile(
    # Of the client itself
    r"(?:auto\.include\.jmx\.reporter|buffer\.memory|default\.api\.timeout\.ms|exclude\.internal\.topics"
    r"|fetch\.max\.wait\.ms|interceptor\.classes|internal\..*|max\.block\.ms|max\.poll\.records"
    r"|max\.request\.size|metrics?\..*|partition\.assignment\.strategy|partitioner\..*"
    r"|receive\.buffer\.bytes|send\.buffer\.bytes|(?:key|value)\.(?:de)?serializer.*"
    r"|socket\.connection\.setup\.timeout\.max\.ms|transaction\.two\.phase\.commit\.enable"
    # Of its logins and its TLS
    r"|sasl\.client\.callback\.handler\.class|sasl\.kerberos\.ticket\..*|sasl\.login\..*|security\.providers"
    r"|ssl\.enabled\.protocols|ssl\.engine\.factory\.class|ssl\.keymanager\.algorithm|ssl\.protocol"
    r"|ssl\.provider|ssl\.secure\.random\.implementation|ssl\.trustmanager\.algorithm"
    # Of a schema registry, and of what else providers add
    r"|schema\.registry\..*|basic\.auth\..*|bearer\.auth\..*|confluent\..*|auto\.register\.schemas"
    r"|use\.latest\.version|specific\.avro\.reader|apicurio\..*)"
)


@dataclass(frozen=True, slots=True)
class KafkaProperties:
    """What the file comes to. `settings`: librdkafka's. `warnings`: what the operator should know.

    `origins`: the property that each setting came from, in the file at `path`.
    """

    path: str
    settings: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...]
    origins: Mapping[str, Entry] = field(repr=False)

    def locate(self, text: str) -> str:
        """A text of librdkafka's about its settings, headed by the place of the first one that it names."""
        for name, entry in self.origins.items():
            if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text):
                return f"{self.path}:{entry.line}: {text}"
        return f"{self.path}: {text}"


def load_kafka_properties(path: Path) -> KafkaProperties:
    """Read and translate the file; look whether the files that it names are there, and of the right kind.

    Raises:
        SettingsError: every fault, with file and line.
    """
    text = read_properties_file(path, setting="broker.properties_file")
    found = parse_kafka_properties(text, path=str(path))
    faults = []
    for name, words in file_faults(found.settings):
        entry = found.origins[name]
        faults.append(f"{path}:{entry.line}: {entry.name} {words}")
    if faults:
        raise SettingsError(tuple(dict.fromkeys(faults)))
    return found


def parse_kafka_properties(text: str, *, path: str) -> KafkaProperties:
    """Translate the text of a file; `path` is for the words.

    Raises:
        SettingsError: every fault, with file and line.
    """
    return _Translation(parse_properties(text, path=path), path).translate()


class _Translation:
    """One file on its way: what is left of it, what it has become, and what is wrong with it."""

    def __init__(self, entries: Sequence[Entry], path: str) -> None:
        self._path = path
        self._left: dict[str, Entry] = {}
        self._settings: dict[str, str] = {}
        self._origins: dict[str, Entry] = {}
        self._warnings: list[str] = []
        self._faults: list[str] = []
        for entry in entries:
            name = ALIASES.get(entry.name, entry.name)
            if name in self._left:
                other = self._left[name]
                self._fault(entry, f"means the same as {other.name} at line {other.line}: keep one of them")
            self._left.setdefault(name, entry)

    def translate(self) -> KafkaProperties:
        self._take_login()
        self._take_truststore()
        self._take_keystore()
        self._take_tls()
        self._take_rest()
        self._compare_security()
        if self._faults:
            raise SettingsError(tuple(self._faults))
        return KafkaProperties(self._path, self._settings, tuple(self._warnings), self._origins)

    def _take_login(self) -> None:
        entry = self._left.pop("sasl.jaas.config", None)
        if entry is None:
            return
        try:
            login = parse_login(entry.value)
        except ValueError as error:
            words = '...PlainLoginModule required username="..." password="...";'
            self._fault(entry, f"{error}: write {words}, with a backslash before each line end in it")
            return
        fitting = _PASSWORD_MODULES.get(login.module)
        if fitting is None:
            self._fault(
                entry,
                f"names none of {', '.join(_PASSWORD_MODULES)}: the gateway logs in by user and password "
                f"({', '.join(sorted(_MECHANISMS))})",
            )
            return
        if {"username", "password"} != login.options.keys():
            self._fault(entry, f"{login.module} takes username and password here, and nothing else")
            return
        mechanism = self._left.get("sasl.mechanisms")
        if mechanism is None or mechanism.value not in fitting:
            self._fault(entry, f"{login.module} needs sasl.mechanism={' or '.join(sorted(fitting))}")
        self._set("sasl.username", login.options["username"], entry)
        self._set("sasl.password", login.options["password"], entry)

    def _take_truststore(self) -> None:
        kind = self._left.pop("ssl.truststore.type", None)
        inline = self._left.pop("ssl.truststore.certificates", None)
        entry = self._left.pop("ssl.truststore.location", None)
        password = self._left.pop("ssl.truststore.password", None)
        if inline is not None:
            self._set_pem("ssl.ca.pem", inline)
        if entry is None:
            return
        if kind is None or kind.value.upper() != "PEM":
            self._fault(entry, truststore_words(entry.value))
            return
        if password is not None:
            self._warn(password, "is left out: a PEM file has no password")
        self._set("ssl.ca.location", entry.value, entry)

    def _take_keystore(self) -> None:
        kind = self._left.pop("ssl.keystore.type", None)
        for java, ours in (
            ("ssl.keystore.key", "ssl.key.pem"),
            ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
        ):
            inline = self._left.pop(java, None)
            if inline is not None:
                self._set_pem(ours, inline)
        entry = self._left.get(KEYSTORE_FILE)
        if entry is None:
            return
        kind_name = "PKCS12" if kind is None else kind.value.upper()
        if kind_name == "PEM":
            del self._left[KEYSTORE_FILE]
            self._set("ssl.certificate.location", entry.value, entry)
            self._set("ssl.key.location", entry.value, entry)
        elif kind_name != "PKCS12" or entry.value.lower().endswith(".jks"):
            del self._left[KEYSTORE_FILE]
            self._fault(entry, keystore_words(entry.value))

    def _take_tls(self) -> None:
        check = self._left.get("ssl.endpoint.identification.algorithm")
        if check is not None and check.value.lower() in {"", "none"}:
            del self._left["ssl.endpoint.identification.algorithm"]
            self._set("ssl.endpoint.identification.algorithm", "none", check)
            self._warn(check, "is off: whoever has any certificate of the authority can pose as Kafka")
        suites = self._left.get("ssl.cipher.suites")
        if suites is not None and suites.value.startswith("TLS_"):
            del self._left["ssl.cipher.suites"]
            self._warn(suites, "is left out: these are Java's names of ciphers, write OpenSSL's")
        lookup = self._left.get("client.dns.lookup")
        if lookup is not None and lookup.value == "default":
            del self._left["client.dns.lookup"]
            self._warn(lookup, "is left out: `default` is a word of old Java clients")

    def _take_rest(self) -> None:
        for name, entry in self._left.items():
            if _NOT_IN_FILES.fullmatch(name):
                self._fault(entry, "cannot be set here: take it out, and write values as they are")
            elif name in GATEWAYS:
                if entry.value.lower() not in GATEWAYS[name]:
                    self._warn(entry, "is left out: the gateway's promises hang on its own value")
            elif _OF_JAVA.fullmatch(name):
                self._warn(entry, "is left out: only Java programs know it")
            elif not entry.value:
                self._warn(entry, "is left out: it has no value")
            else:
                self._set(name, entry.value, entry)

    def _compare_security(self) -> None:
        """Refuse what would connect otherwise than the file seems to say."""
        protocol = self._settings.get("security.protocol", "PLAINTEXT").upper()
        login = self._origins.get("sasl.mechanisms") or self._origins.get("sasl.username")
        tls = [entry for name, entry in self._origins.items() if name.startswith("ssl.")]
        if protocol.startswith("SASL_"):
            entry = self._origins["security.protocol"]
            if self._settings.get("sasl.mechanisms") not in _MECHANISMS:
                self._fault(entry, f"needs sasl.mechanism beside it, one of {', '.join(_MECHANISMS)}")
            if protocol == "SASL_PLAINTEXT":
                self._warn(entry, "events cross the network in clear, and with PLAIN the password does")
        elif login is not None:
            self._fault(login, "has no effect without security.protocol=SASL_SSL: add it, or take this out")
        if tls and not protocol.endswith("SSL"):
            self._fault(tls[0], "has no effect without security.protocol=SASL_SSL, or SSL without passwords")

    def _set_pem(self, name: str, entry: Entry) -> None:
        pem = format_pem(entry.value)
        if pem:
            self._set(name, pem, entry)
        else:
            self._fault(entry, "holds no PEM: -----BEGIN ...-----, base64, -----END ...-----")

    def _set(self, name: str, value: str, entry: Entry) -> None:
        if name in self._settings or (name in self._left and self._left[name] is not entry):
            self._fault(entry, f"says the same as {name}: keep one of them")
            return
        self._settings[name] = value
        self._origins[name] = entry

    def _fault(self, entry: Entry, words: str) -> None:
        self._faults.append(f"{self._path}:{entry.line}: {entry.name} {words}")

    def _warn(self, entry: Entry, words: str) -> None:
        self._warnings.append(f"{self._path}:{entry.line}: {entry.name}: {words}")
