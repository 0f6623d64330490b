"""A client.properties, as a provider hands it out, as the way to log in to its schema registry.

What only Java knows is left out, and named in a warning; so is what is Kafka's, where one file serves both.
What would change the meaning if left out is refused, with what to write instead. Never quotes a value.
Source: Confluent Schema Registry, client configuration (`basic.auth.*`, `bearer.auth.*`, `ssl.*`).
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.broker.java_properties import Entry, parse_properties, read_properties_file
from gateway.broker.kafka_keystores import format_pem, truststore_words
from gateway.errors import SettingsError

PREFIX: Final = "schema.registry."

_KAFKAS: Final = "bootstrap.servers"
"""In a file that has this, `ssl.*` without the prefix is about Kafka."""

_OURS: Final = re.compile(
    r"url|basic\.auth\.(?:credentials\.source|user\.info)|bearer\.auth\.(?:credentials\.source|token)"
    r"|ssl\.(?:truststore|keystore)\.(?:location|type|password|certificates|key|certificate\.chain)"
    r"|ssl\.(?:ca|certificate|key)\.location|ssl\.key\.password|ssl\.endpoint\.identification\.algorithm"
)
_INSTEAD: Final = (
    "is not offered: write basic.auth.credentials.source=USER_INFO with basic.auth.user.info=USER:PASSWORD, "
    "or bearer.auth.credentials.source=STATIC_TOKEN with bearer.auth.token"
)


@dataclass(frozen=True, slots=True)
class RegistryProperties:
    """What the file comes to. `warnings`: what the operator should know.

    `ca`, `certificate`, `key`: paths of PEM files. `ca_pem`: authorities that stand in the file itself.
    `checks_host`: whether the certificate must be of the host.
    """

    url: str = ""
    user: tuple[str, str] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca: str | None = None
    ca_pem: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    checks_host: bool = True
    warnings: tuple[str, ...] = ()


def load_registry_properties(path: Path) -> RegistryProperties:
    """Read and translate the file.

    Raises:
        SettingsError: every fault, with file and line.
    """
    text = read_properties_file(path, setting="registry.properties_file")
    return parse_registry_properties(text, path=str(path))


def parse_registry_properties(text: str, *, path: str) -> RegistryProperties:
    """Translate the text of a file; `path` is for the words.

    Raises:
        SettingsError: every fault, with file and line.
    """
    return _Translation(parse_properties(text, path=path), path).translate()


class _Translation:
    """One file on its way."""

    def __init__(self, entries: Sequence[Entry], path: str) -> None:
        self._path = path
        self._faults: list[str] = []
        self._warnings: list[str] = []
        self._left = self._choose(entries)

    def translate(self) -> RegistryProperties:
        user, token = self._user(), self._token()
        ca, ca_pem = self._authorities()
        certificate, key = self._own_certificate()
        found = RegistryProperties(
            url=self._value("url") or "",
            user=user,
            token=token,
            ca=ca,
            ca_pem=ca_pem,
            certificate=certificate,
            key=key,
            key_password=self._value("ssl.key.password"),
            checks_host=self._checks_host(),
            warnings=tuple(self._warnings),
        )
        if user is not None and token is not None:
            self._faults.append(f"{self._path}: logs in with a password and with a token: keep one of them")
        if self._faults:
            raise SettingsError(tuple(self._faults))
        return found

    def _choose(self, entries: Sequence[Entry]) -> Mapping[str, Entry]:
        """What is about the registry, by its name without the prefix; the prefix goes first."""
        is_shared = any(entry.name == _KAFKAS for entry in entries)
        chosen: dict[str, Entry] = {}
        others = 0
        for entry in sorted(entries, key=lambda one: not one.name.startswith(PREFIX)):
            name = entry.name.removeprefix(PREFIX)
            has_prefix = name != entry.name
            is_ours = _OURS.fullmatch(name) is not None
            if is_ours and (has_prefix or not (is_shared and name.startswith("ssl."))):
                chosen.setdefault(name, entry)
            elif has_prefix or name.startswith(("basic.auth.", "bearer.auth.")):
                self._warn(entry, "is left out: only Java programs know it")
            else:
                others += 1
        if others:
            self._warnings.append(f"{self._path}: {others} properties are not about the registry: left out")
        return chosen

    def _user(self) -> tuple[str, str] | None:
        source, given = (
            self._left.get("basic.auth.credentials.source"),
            self._left.get("basic.auth.user.info"),
        )
        word = "USER_INFO" if source is None else source.value.upper()
        if source is not None and word not in {"USER_INFO", "URL"}:
            self._fault(source, _INSTEAD)
            return None
        if word == "URL":
            return None
        if given is None:
            if source is not None:
                self._fault(source, "needs basic.auth.user.info=USER:PASSWORD beside it")
            return None
        user, colon, password = given.value.partition(":")
        if not colon or not user:
            self._fault(given, "is written USER:PASSWORD")
            return None
        return user, password

    def _token(self) -> str | None:
        source, given = self._left.get("bearer.auth.credentials.source"), self._left.get("bearer.auth.token")
        if source is not None and source.value.upper() != "STATIC_TOKEN":
            self._fault(source, _INSTEAD)
            return None
        if given is None:
            if source is not None:
                self._fault(source, "needs bearer.auth.token beside it")
            return None
        if not given.value or not given.value.isascii() or not given.value.isprintable():
            self._fault(given, "is no token: it has characters that no header can carry, or none at all")
            return None
        return given.value

    def _authorities(self) -> tuple[str | None, str | None]:
        store, kind = self._left.get("ssl.truststore.location"), self._value("ssl.truststore.type")
        inline, file = self._left.get("ssl.truststore.certificates"), self._value("ssl.ca.location")
        if store is not None and (kind or "").upper() != "PEM" and not store.value.endswith((".pem", ".crt")):
            self._fault(store, truststore_words(store.value))
        elif store is not None and "ssl.truststore.password" in self._left:
            self._warn(self._left["ssl.truststore.password"], "is left out: a PEM file has no password")
        pem = None
        if inline is not None:
            pem = format_pem(inline.value)
            if not pem:
                self._fault(inline, "holds no PEM: -----BEGIN ...-----, base64, -----END ...-----")
        return (file or (None if store is None else store.value)), pem or None

    def _own_certificate(self) -> tuple[str | None, str | None]:
        store, kind = self._left.get("ssl.keystore.location"), self._value("ssl.keystore.type")
        for name in ("ssl.keystore.key", "ssl.keystore.certificate.chain"):
            if name in self._left:
                self._fault(self._left[name], "is not offered: write it to a file, ssl.keystore.location")
        if store is None:
            return self._value("ssl.certificate.location"), self._value("ssl.key.location")
        if (kind or "").upper() != "PEM" and not store.value.endswith(".pem"):
            found = shlex.quote(store.value)
            self._fault(
                store,
                "is not said to be PEM: if it is, add ssl.keystore.type=PEM; else convert it by `openssl "
                f"pkcs12 -in {found} -nodes -out client.pem` (a JKS file first to PKCS12, by keytool)",
            )
        return store.value, store.value

    def _checks_host(self) -> bool:
        entry = self._left.get("ssl.endpoint.identification.algorithm")
        if entry is None or entry.value.lower() not in {"", "none"}:
            return True
        self._warn(entry, "is off: whoever has any certificate of the authority can pose as the registry")
        return False

    def _value(self, name: str) -> str | None:
        entry = self._left.get(name)
        return None if entry is None or not entry.value else entry.value

    def _fault(self, entry: Entry, words: str) -> None:
        self._faults.append(f"{self._path}:{entry.line}: {entry.name} {words}")

    def _warn(self, entry: Entry, words: str) -> None:
        self._warnings.append(f"{self._path}:{entry.line}: {entry.name}: {words}")
