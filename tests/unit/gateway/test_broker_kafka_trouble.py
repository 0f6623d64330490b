import pytest

from gateway.broker.kafka_errors import Local
from gateway.broker.kafka_trouble import KafkaTrouble
from gateway.broker.port import BrokerError

AWAY = BrokerError("broker_unavailable", "describing the topic t: Kafka cannot answer now")
NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        (Local.AUTHENTICATION, "check user, password and sasl.mechanism"),
        (Local.SSL, "ssl.truststore.location (PEM)"),
        (Local.RESOLVE, "names of hosts in broker.url"),
        (Local.TRANSPORT, "hosts and ports in broker.url"),
        (Local.ALL_BROKERS_DOWN, "without it neither TLS nor a password is used"),
    ],
)
def test_a_broker_that_is_away_is_explained_by_what_hindered_the_connection(code: Local, mend: str) -> None:
    trouble = KafkaTrouble()
    trouble.note(code, "broker:9092: no", now=NOW)
    explained = trouble.explain(AWAY, now=NOW + 5_000)
    assert explained.code == "broker_unavailable"
    assert str(explained).startswith(f"{AWAY}; broker:9092: no: ")
    assert mend in str(explained)


def test_an_error_with_its_own_reason_is_left_as_it_is() -> None:
    trouble = KafkaTrouble()
    trouble.note(Local.SSL, "no", now=NOW)
    refused = BrokerError("broker_refused", "not allowed")
    assert trouble.explain(refused, now=NOW) is refused


def test_trouble_is_forgotten_when_kafka_answers_and_when_it_is_old() -> None:
    trouble = KafkaTrouble()
    assert trouble.explain(AWAY, now=NOW) is AWAY
    trouble.note(Local.SSL, "no", now=NOW)
    assert trouble.explain(AWAY, now=NOW + 10_001) is AWAY
    trouble.clear()
    assert trouble.explain(AWAY, now=NOW) is AWAY


def test_what_says_less_does_not_take_the_place_of_what_says_more() -> None:
    trouble = KafkaTrouble()
    trouble.note(Local.SSL, "certificate", now=NOW)
    trouble.note(Local.ALL_BROKERS_DOWN, "down", now=NOW)
    trouble.note(Local.TRANSPORT, "closed", now=NOW + 1)
    assert "certificate" in str(trouble.explain(AWAY, now=NOW + 1))
    trouble.note(Local.AUTHENTICATION, "password", now=NOW + 2)
    assert "password" in str(trouble.explain(AWAY, now=NOW + 2))
    trouble.note(Local.TRANSPORT, "closed", now=NOW + 20_000)
    assert "closed" in str(trouble.explain(AWAY, now=NOW + 20_000))
