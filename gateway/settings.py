"""The settings: one frozen tree, from flags, environment, `gateway.toml` and defaults, in this order.

The environment variable of `[a] b` is `GATEWAY_A__B`. Unknown keys, mistyped variables and unsafe
combinations refuse to start, all of them named at once. A secret comes from the environment, or from a file
named by `<key>_file`, never from a flag or from gateway.toml itself. Durations are int milliseconds, sizes
int bytes. `gateway.settings_sources` reads them. The tree is for the composition root: what needs a setting
takes its value as an argument.
"""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from gateway.units import (
    Address,
    format_duration,
    format_size,
    parse_address,
    parse_duration,
    parse_size,
)
from partners.endpoint import SCHEDULES

OWN_REGISTRY: Final = "own"
"""Of `registry.url`: the registry is this program."""

Network = IPv4Network | IPv6Network

_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def environment() -> Mapping[str, str]:
    """The process's environment; nothing else in the program reads it."""
    return dict(os.environ)


def _read(parse: Callable[[str], object]) -> BeforeValidator:
    def read(given: object) -> object:
        if isinstance(given, str):
            return parse(given)
        raise ValueError("write it as text, in quotes, with its unit where it has one")

    return BeforeValidator(read)


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(_HOST.fullmatch(name) for name in names):
        raise ValueError("write names of hosts, such as keys.example, with commas between")
    return names


def _schedule(text: str) -> tuple[int, ...]:
    if text in SCHEDULES:
        return SCHEDULES[text]
    delays = tuple(parse_duration(part.strip()) // 1_000 for part in text.split(","))
    if delays[0] != 0:
        raise ValueError("the first delay is that of the first attempt: start with 0s")
    return delays


def _schedule_words(delays: tuple[int, ...]) -> str:
    named = [name for name, each in SCHEDULES.items() if each == delays]
    return named[0] if named else ",".join(format_duration(each * 1_000) for each in delays)


def _origin(text: str) -> str:
    parts = urlsplit(text)
    is_bare = parts.path in {"", "/"} and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not is_bare:
        raise ValueError("write a URL of scheme and host only, such as https://gw.example")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _database_url(text: str) -> str:
    kind, mark, rest = text.partition("://")
    if kind not in {"sqlite", "postgresql", "postgresql+psycopg", "postgres"} or not mark or not rest:
        raise ValueError("write sqlite:///FILE or postgresql://USER@HOST:PORT/NAME")
    return text


def _broker_url(text: str) -> str:
    kind, _, rest = text.partition(":")
    if kind not in {"embedded", "kafka"} or not rest.strip("/"):
        raise ValueError("write embedded:FILE or kafka://HOST:PORT")
    return text


def _registry_url(text: str) -> str:
    urls = [] if text == OWN_REGISTRY else [part.strip() for part in text.split(",")]
    for url in urls:
        parts = urlsplit(url)
        is_plain = not (parts.query or parts.fragment) and parts.path.isprintable() and " " not in url
        if parts.scheme not in {"http", "https"} or not parts.hostname or not is_plain:
            raise ValueError("write `own`, or URLs such as https://schemas.example with commas between")
    return ",".join(urls) or OWN_REGISTRY


Milliseconds = Annotated[
    int, _read(parse_duration), PlainSerializer(format_duration), Field(strict=True, ge=1)
]
Bytes = Annotated[int, _read(parse_size), PlainSerializer(format_size), Field(strict=True, ge=1)]
Listener = Annotated[Address, _read(parse_address), PlainSerializer(str)]
Networks = Annotated[
    tuple[Network, ...], _read(_networks), PlainSerializer(lambda nets: ",".join(map(str, nets)))
]
Schedule = Annotated[tuple[int, ...], _read(_schedule), PlainSerializer(_schedule_words)]
Hosts = Annotated[tuple[str, ...], _read(_hosts), PlainSerializer(",".join)]
Origin = Annotated[str, _read(_origin)]
DatabaseUrl = Annotated[str, _read(_database_url)]
BrokerUrl = Annotated[str, _read(_broker_url)]
RegistryUrl = Annotated[str, _read(_registry_url)]
Maybe = BeforeValidator(lambda given: None if given == "" else given)
OptionalPath = Annotated[Path | None, Maybe, PlainSerializer(lambda path: str(path or ""))]
OptionalRate = Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, Maybe]

SECRET: Final[dict[str, Any]] = {"secret": True}
"""Marks a key whose value may hold a password."""


class Section(BaseModel):
    """A table of gateway.toml: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)


def _key(default: str, note: str, **more: Any) -> Any:
    return Field(default=default, description=note, **more)


class Listen(Section):
    """Where the gateway listens."""

    public: Listener = _key("127.0.0.1:8080", "partners, and all else where `private` is the same")
    private: Listener = _key(
        "{listen.public}", "operators, teams, registry, metrics; split from public in production"
    )
    behind_proxy: bool = _key("false", "a proxy in front ends TLS; allows plain HTTP beyond loopback")


class Tls(Section):
    """Our own end of TLS; files are read again when they change."""

    cert: OptionalPath = _key("", "certificate chain, PEM")
    key: OptionalPath = _key("", "its private key, PEM")
    client_ca: OptionalPath = _key("", "more authorities whose client certificates a handshake accepts, PEM")


class Proxy(Section):
    """Which proxies are believed, and how they hand over a client certificate."""

    trusted: Networks = _key(
        "", "networks of the proxies whose headers are believed, `10.1.0.0/16,10.2.0.7/32`"
    )
    client_cert: Literal["off", "rfc9440", "xfcc", "aws_alb", "nginx"] = _key(
        "off", "how they hand on a client's certificate: `rfc9440`, `xfcc` (Envoy), `aws_alb`, `nginx`"
    )


class Oauth(Section):
    """Tokens of OAuth2 issuers."""

    key_hosts: Hosts = _key(
        "", "hosts, beside an issuer's own, that its keys are fetched from, `www.googleapis.com`"
    )


class DatabaseSettings(Section):
    """The decisions: SQLite or PostgreSQL."""

    url: DatabaseUrl = _key("sqlite:///{data}/gateway.db", "or `postgresql://...`", json_schema_extra=SECRET)


class BrokerSettings(Section):
    """The events: the embedded broker or Kafka."""

    url: BrokerUrl = _key("embedded:{data}/broker.db", "or `kafka://host:9092,...`", json_schema_extra=SECRET)
    properties_file: OptionalPath = _key("", "client.properties as a Kafka provider hands it out; Kafka only")
    topic_prefix: str = _key("partners.", "start of every topic name", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    checkpoint_topic: str = _key(
        "gateway.checkpoints", "compacted topic of checkpoints", pattern=r"^[A-Za-z0-9._-]{1,200}$"
    )
    partitions: int = _key("1", "of a new topic", ge=1, le=1_000)
    replication: int = _key("3", "of a new topic; Kafka only", ge=1, le=9)
    message_timeout: Milliseconds = _key("5s", "after which a record was not appended, or nobody knows")
    retention: Milliseconds = _key("30d", "of a new topic, unless a `delivery.hold` is longer")
    embedded_bytes: Bytes = _key("10GiB", "the embedded broker holds no more; beyond retention the oldest go")


class Registry(Section):
    """The schema registry."""

    url: RegistryUrl = _key(
        "own",
        "or the URL of a Confluent-compatible one; several with commas between",
        json_schema_extra=SECRET,
    )
    properties_file: OptionalPath = _key(
        "", "client.properties as a provider hands it out, for login and TLS of that registry"
    )
    strict_logical_types: bool = _key("true", "a changed scale, unit or uuid of a type is incompatible")


class Pkcs11(Section):
    """The token that holds checkpoint keys, where there is one."""

    module: OptionalPath = _key(
        "", "library of a PKCS#11 token for checkpoint keys; needs the extra `pkcs11`"
    )
    token: str = _key("", "label of the token")
    pin_file: OptionalPath = _key("", "file that holds its PIN; mode 0600")


class Keys(Section):
    """The master key that seals every other secret, and the token that holds checkpoint keys."""

    master_file: Path = _key("{data}/master.key", "mode 0600; made by `gateway up` and `gateway init`")
    pkcs11: Pkcs11


class Ingress(Section):
    """What one request may hold, and how long it may wait."""

    body_bytes: Bytes = _key("1MiB", "largest body of one event", le=16 * 2**20)
    batch_events: int = _key("1000", "events in a batch", ge=1, le=10_000)
    batch_bytes: Bytes = _key("8MiB", "largest body of a batch", le=64 * 2**20)
    import_bytes: Bytes = _key("1GiB", "largest body of an import, which is kept in the database until done")
    publish_timeout: Milliseconds = _key("1800ms", "wait for the broker, then 503 `outcome_unknown`")


class Egress(Section):
    """Deliveries; an endpoint may ask for less."""

    allow: Networks = _key("", "networks that may be dialled although the shipped list denies them")
    deny: Networks = _key("", "networks denied beside the shipped list")
    timeout: Milliseconds = _key("15s", "one whole attempt", le=60_000)
    retry: Schedule = _key(
        "standard-75h", "not offered yet, a contract says it: delays before each attempt, `0s,5s,5m,1h`"
    )
    concurrency: int = _key(
        "8", "not offered yet, a contract says it: attempts at once to one endpoint", ge=1, le=100
    )
    rate: OptionalRate = _key("", "not offered yet, a contract says it: attempts a second to one endpoint")
    disable_after: Milliseconds = _key("5d", "of failing without one success")
    tick: Milliseconds = _key("50ms", "outcomes are stored together this often", le=5_000)


class Retention(Section):
    """How long things are kept; a contract may differ."""

    content: Milliseconds = _key("90d", "parked deliveries; for content as received the contract says it")
    evidence: Milliseconds = _key("7y", "not offered yet: evidence records")
    claims: Milliseconds = _key(
        "30d", "repeats are recognised this long, or as long as content is kept if that is longer"
    )
    imports: Milliseconds = _key("7d", "an import that has ended, with its results")
    exports: Milliseconds = _key("7d", "an export that has ended: its files can be asked for until then")


class Audit(Section):
    """The log."""

    tick: Milliseconds = _key(
        "200ms",
        "entries wait for each other this long at most, half as long where rounds are quick",
        le=10_000,
    )
    merge_delay: Milliseconds = _key(
        "60s", "promised: what was accepted has its entry under a published checkpoint within it", ge=1_000
    )
    anchor_interval: Milliseconds = _key(
        "60s", "how often the heads of all logs become an entry of the anchor", ge=1_000, le=3_600_000
    )
    witness_policy: OptionalPath = _key(
        "", "policy file (C2SP tlog-policy) of the witnesses that are asked to cosign the anchor"
    )


class CatalogSettings(Section):
    """The registry of partners and schemas in memory."""

    refresh: Milliseconds = _key("1s", "how often another instance's change is looked for", le=30_000)


class LeaseSettings(Section):
    """How instances share the work."""

    duration: Milliseconds = _key("10s", "after which a dead instance's shards are taken over", ge=300)
    shards: int = _key(
        "64", "parts that the partners are divided into; the same on every instance", ge=1, le=4_096
    )


class Claims(Section):
    """Unconfirmed claims."""

    lease: Milliseconds = _key("15s", "after which a repeat takes an unconfirmed claim over")
    wait: Milliseconds = _key("1s", "a repeat waits this long for the first request's outcome", le=30_000)


class Log(Section):
    """What the program says about itself, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = _key("info", "least severe line that is written")
    format: Literal["auto", "text", "json"] = _key("auto", "auto: text on a terminal, else JSON lines")


class Settings(Section):
    """Everything that an operator can set."""

    data: Path = _key("./gateway-data", "folder of databases, keys and certificates made by `gateway up`")
    origin: Origin = _key("{listen}", "external URL; frozen at the first checkpoint")
    listen: Listen
    tls: Tls
    proxy: Proxy
    oauth: Oauth
    database: DatabaseSettings
    broker: BrokerSettings
    registry: Registry
    keys: Keys
    ingress: Ingress
    egress: Egress
    retention: Retention
    audit: Audit
    catalog: CatalogSettings
    lease: LeaseSettings
    claims: Claims
    log: Log

    @model_validator(mode="after")
    def _is_safe(self) -> "Settings":
        """Plain HTTP stays on loopback, unless a proxy in front ends TLS; nothing is set in vain."""
        if (self.tls.cert is None) != (self.tls.key is None):
            raise ValueError("tls.cert and tls.key belong together: set both or none")
        if self.tls.client_ca is not None and self.tls.cert is None:
            raise ValueError("tls.client_ca does nothing without TLS of our own: set tls.cert and tls.key")
        token = self.keys.pkcs11
        if (token.module is None, not token.token, token.pin_file is None) not in {(True,) * 3, (False,) * 3}:
            raise ValueError("keys.pkcs11.module, .token and .pin_file belong together: set all or none")
        if any(network.prefixlen == 0 for network in self.proxy.trusted):
            raise ValueError("proxy.trusted would believe everybody: name the networks of the proxies")
        if self.proxy.client_cert != "off" and not self.proxy.trusted:
            raise ValueError("proxy.client_cert believes nobody: name the proxies in proxy.trusted")
        if self.tls.cert is None and not self.listen.behind_proxy:
            for name in ("public", "private"):
                address = cast("Address", getattr(self.listen, name))
                if not address.is_loopback:
                    raise ValueError(
                        f"listen.{name} {address} is beyond loopback without TLS: set tls.cert and tls.key, "
                        "or listen.behind_proxy where a proxy ends TLS"
                    )
        return self
