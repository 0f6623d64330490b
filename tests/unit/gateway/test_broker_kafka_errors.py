import pytest
from confluent_kafka import KafkaError, KafkaException

from gateway.broker.kafka_errors import (
    REFUSALS,
    Local,
    broker_error,
    delivery_outcome,
    error_of,
    local_refusal,
)
from gateway.broker.port import Refused, Unknown

REFUSAL_CODES = {"too_large", "unknown_topic", "storage_full", "unavailable", "invalid", "clock"}


def test_our_names_for_local_errors_are_librdkafkas() -> None:
    assert {name: code.value for name, code in Local.__members__.items()} == {
        name: getattr(KafkaError, f"_{name}") for name in Local.__members__
    }


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_what_the_table_calls_certain_is_refused(code: int) -> None:
    outcome = delivery_outcome(KafkaError(code))
    assert isinstance(outcome, Refused)
    assert outcome.code == REFUSALS[code]
    assert outcome.code in REFUSAL_CODES


@pytest.mark.parametrize(
    "code",
    [
        Local.MSG_TIMED_OUT,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.KAFKA_STORAGE_ERROR,
        # The last attempt was not allowed; an earlier one, whose answer got lost, may have been.
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ],
)
def test_what_may_have_been_stored_is_unknown(code: int) -> None:
    assert isinstance(delivery_outcome(KafkaError(code)), Unknown)


def test_an_error_that_nobody_listed_is_unknown() -> None:
    listed = set(REFUSALS)
    for code in range(-200, 140):
        if code not in listed and code != KafkaError.NO_ERROR:
            assert isinstance(delivery_outcome(KafkaError(code)), Unknown), code


def test_what_produce_refuses_was_never_sent() -> None:
    for code in (Local.QUEUE_FULL, Local.INVALID_ARG, Local.FAIL, KafkaError.MSG_SIZE_TOO_LARGE):
        assert local_refusal(KafkaError(code)).code in REFUSAL_CODES


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "topic_unknown"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "broker_refused"),
        (KafkaError.INVALID_REPLICATION_FACTOR, "broker_refused"),
        (Local.AUTHENTICATION, "broker_refused"),
        (Local.TIMED_OUT, "broker_unavailable"),
        (KafkaError.NOT_CONTROLLER, "broker_unavailable"),
    ],
)
def test_requests_fail_by_who_must_act(code: int, ours: str) -> None:
    error = broker_error(KafkaError(code), "making the topic t")
    assert error.code == ours
    assert str(error).startswith("making the topic t: ")


def test_an_exception_without_an_error_still_has_words() -> None:
    assert error_of(KafkaException("odd")).code() == Local.FAIL
    inner = KafkaError(KafkaError.INVALID_RECORD)
    assert error_of(KafkaException(inner)) is inner
