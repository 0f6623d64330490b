"""One table from Kafka's errors to ours.

A delivery report is `Refused` only where the error proves that no attempt of this record was stored, earlier
ones included: the broker judges the record itself the same way each time. All else is `Unknown`, most of all
a timeout: a broker that was stopped and resumed has stored a record after its timeout was reported.

Source: librdkafka, rdkafka.h (rd_kafka_resp_err_t); Kafka protocol guide, error codes.
"""

from enum import IntEnum
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from gateway.broker.port import BrokerError, Refused, Unknown


class Local(IntEnum):
    """Errors that librdkafka finds by itself, by their documented numbers."""

    FAIL = -196
    TRANSPORT = -195
    RESOLVE = -193
    MSG_TIMED_OUT = -192
    UNKNOWN_PARTITION = -190
    UNKNOWN_TOPIC = -188
    ALL_BROKERS_DOWN = -187
    INVALID_ARG = -186
    TIMED_OUT = -185
    QUEUE_FULL = -184
    SSL = -181
    AUTHENTICATION = -169
    UNSUPPORTED_FEATURE = -165
    AUTO_OFFSET_RESET = -140
    LOG_TRUNCATION = -139


REFUSALS: Final[dict[int, str]] = {
    KafkaError.MSG_SIZE_TOO_LARGE: "too_large",
    KafkaError.RECORD_LIST_TOO_LARGE: "too_large",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "unknown_topic",
    KafkaError.UNKNOWN_TOPIC_ID: "unknown_topic",
    KafkaError.TOPIC_EXCEPTION: "unknown_topic",
    Local.UNKNOWN_TOPIC: "unknown_topic",
    Local.UNKNOWN_PARTITION: "unknown_topic",
    KafkaError.INVALID_TIMESTAMP: "clock",
    KafkaError.INVALID_RECORD: "invalid",
}
"""Delivery errors that are certain, to the code of `Refused`."""

_LOCAL: Final[dict[int, str]] = REFUSALS | {
    Local.INVALID_ARG: "invalid",
    Local.QUEUE_FULL: "unavailable",
}

UNKNOWN_TOPIC: Final = frozenset(code for code, ours in REFUSALS.items() if ours == "unknown_topic")
"""Errors that say: there is no such topic or partition."""

LEADER_MOVED: Final = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,
    }
)
"""A partition's leader changed, or is about to: asking again soon may help."""

DENIED: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
"""Our user lacks a right."""

_OPERATOR: Final = DENIED | frozenset(
    {
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        Local.AUTHENTICATION,
        Local.SSL,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_REQUEST,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_VERSION,
        Local.INVALID_ARG,
        Local.UNSUPPORTED_FEATURE,
    }
)


def delivery_outcome(error: KafkaError) -> Refused | Unknown:
    """Judge a delivery report that is not a success."""
    code = REFUSALS.get(error.code())
    return Unknown(_words(error)) if code is None else Refused(code, _words(error))


def local_refusal(error: KafkaError) -> Refused:
    """Judge what `produce` itself refused: the record was never queued, so that all is certain."""
    return Refused(_LOCAL.get(error.code(), "unavailable"), _words(error))


def grant(operation: str, topic: str) -> str:
    """How an operator gives our user a right on a topic."""
    return (
        f"our user may not {operation} there; grant it: kafka-acls.sh --add --allow-principal User:NAME "
        f"--operation {operation} --topic {topic}, with the name of broker.properties_file"
    )


def broker_error(error: KafkaError, doing: str, *, needs: str = "") -> BrokerError:
    """Translate what an administrative request or a read met. `doing`: what we were at, for the reader.

    `needs`: how to mend it where our user lacks a right; see `grant`.
    """
    if error.code() in DENIED and needs:
        return BrokerError("broker_refused", f"{doing}: Kafka refuses ({_words(error)}): {needs}")
    if error.code() in UNKNOWN_TOPIC:
        return BrokerError("topic_unknown", f"{doing}: {_words(error)}")
    if is_for_operator(error):
        reason = f"{doing}: Kafka refuses ({_words(error)}): check broker.properties_file and the permissions"
        return BrokerError("broker_refused", reason)
    return BrokerError("broker_unavailable", f"{doing}: Kafka cannot answer now ({_words(error)})")


def is_for_operator(error: KafkaError) -> bool:
    """Whether repeating is useless until an operator acts."""
    return error.code() in _OPERATOR


def error_of(exception: KafkaException) -> KafkaError:
    """The error that a KafkaException carries."""
    found = exception.args[0] if exception.args else None
    return found if isinstance(found, KafkaError) else KafkaError(Local.FAIL, str(exception))


def _words(error: KafkaError) -> str:
    return f"{error.name()}: {error.str()}"
