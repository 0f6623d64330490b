"""Settings of librdkafka's clients: ours where the gateway's promises hang on them, else the operator's."""

from collections.abc import Mapping
from typing import Any, Final

HEADROOM_BYTES: Final = 48_000
"""What framing of a record and of its batch may add to its bytes: with 1,000,000 this fits the 1,048,588 that
Kafka allows by default."""

_OURS_ALWAYS: Final[dict[str, Any]] = {
    # An acknowledgement means: on all replicas in sync; and a retry of the client's own doubles nothing.
    "acks": "all",
    "enable.idempotence": True,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # `latest` would pass over records in silence, `earliest` over a hole.
    "auto.offset.reset": "error",
    "enable.partition.eof": False,
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
}

_PRODUCER: Final[dict[str, Any]] = {
    "linger.ms": 1,
    "queue.buffering.max.messages": 50_000,
    "queue.buffering.max.kbytes": 131_072,
    # Delivery reports need only the offset; the records stay with the caller.
    "delivery.report.only.error": False,
}

_READER: Final[dict[str, Any]] = {
    # Required by librdkafka; no group is ever joined, nothing is ever committed.
    "group.id": "gateway-reader",
    "fetch.wait.max.ms": 250,
    "queued.max.messages.kbytes": 16_384,
    # What lies ready costs some hundred bytes a record beside its own: by default 100,000 may, which is 70 MB
    # of small ones. Fewer are taken anew this soon; by default after a second.
    "queued.min.messages": 20_000,
    "fetch.queue.backoff.ms": 50,
    "fetch.message.max.bytes": 1_048_576,
}

_READER_ONLY: Final = frozenset(
    {
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "enable.partition.eof",
        "isolation.level",
        "allow.auto.create.topics",
        *_READER,
    }
)
_PRODUCER_ONLY: Final = frozenset({"acks", "enable.idempotence", *_PRODUCER})

ALIASES: Final[Mapping[str, str]] = {
    "auto.commit.enable": "enable.auto.commit",
    "compression.codec": "compression.type",
    "delivery.timeout.ms": "message.timeout.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes": "fetch.message.max.bytes",
    "message.send.max.retries": "retries",
    "metadata.broker.list": "bootstrap.servers",
    "queue.buffering.max.ms": "linger.ms",
    "request.required.acks": "acks",
    "sasl.mechanism": "sasl.mechanisms",
}
"""Second names that librdkafka takes, to the ones used here: no setting of ours is undone by another name."""

GATEWAYS: Final[Mapping[str, frozenset[str]]] = {
    "acks": frozenset({"all", "-1"}),
    "allow.auto.create.topics": frozenset({"false"}),
    "auto.offset.reset": frozenset({"error"}),
    "delivery.report.only.error": frozenset({"false"}),
    "enable.auto.commit": frozenset({"false"}),
    "enable.auto.offset.store": frozenset({"false"}),
    "enable.idempotence": frozenset({"true"}),
    "enable.partition.eof": frozenset({"false"}),
    "group.instance.id": frozenset(),
    "group.protocol": frozenset(),
    "group.remote.assignor": frozenset(),
    "isolation.level": frozenset({"read_committed"}),
    "message.max.bytes": frozenset(),
    "message.timeout.ms": frozenset(),
    "transactional.id": frozenset(),
}
"""Settings that are not the operator's, to the values that say what holds anyway."""


def base_settings(servers: str, properties: Mapping[str, str]) -> dict[str, Any]:
    """What every client takes: the servers, short waits, silence on standard error, the operator's keys."""
    return {
        # Failures are answered, counted and reported by the adapter; librdkafka's own lines would be noise.
        "log_level": 2,
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1_000,
        # A broker that hangs with its connections open is left behind this soon; by default after a minute.
        "socket.timeout.ms": 6_000,
        # And who leads now is asked this often, whether or not anything failed; by default all five minutes.
        "topic.metadata.refresh.interval.ms": 3_000,
        **properties,
        "bootstrap.servers": servers,
    }


def admin_settings(servers: str, properties: Mapping[str, str]) -> dict[str, Any]:
    """For administrative requests."""
    return _without(base_settings(servers, properties), _PRODUCER_ONLY | _READER_ONLY)


def producer_settings(
    servers: str, properties: Mapping[str, str], *, message_timeout_ms: int, max_record_bytes: int
) -> dict[str, Any]:
    """For appending."""
    settings = {
        **_PRODUCER,
        **base_settings(servers, properties),
        **_OURS_ALWAYS,
        "message.timeout.ms": message_timeout_ms,
        "message.max.bytes": max_record_bytes + HEADROOM_BYTES,
    }
    return _without(settings, _READER_ONLY)


def reader_settings(servers: str, properties: Mapping[str, str]) -> dict[str, Any]:
    """For reading."""
    return _without({**_READER, **base_settings(servers, properties), **_OURS_ALWAYS}, _PRODUCER_ONLY)


def _without(settings: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    # librdkafka warns about settings of the other kind of client.
    return {name: value for name, value in settings.items() if name not in names}
