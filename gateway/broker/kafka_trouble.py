"""Why Kafka does not answer, where librdkafka has told it: a request itself only ever times out.

Notes come from the serving thread, questions from the event loop; each note replaces the one before.
"""

from typing import Final

from gateway.broker.kafka_errors import Local
from gateway.broker.port import BrokerError

_FRESH_MS: Final = 10_000
"""librdkafka connects again every second: what it has not said for this long does not hold any more."""

_MENDS: Final[dict[int, str]] = {
    Local.AUTHENTICATION: (
        "check user, password and sasl.mechanism in broker.properties_file, and that Kafka knows the user"
    ),
    Local.SSL: (
        "check in broker.properties_file that ssl.truststore.location (PEM) holds the authority that signed "
        "Kafka's certificate, and that broker.url calls Kafka by a name of that certificate"
    ),
    Local.RESOLVE: "check the names of hosts in broker.url",
    Local.TRANSPORT: (
        "check hosts and ports in broker.url, and that security.protocol in broker.properties_file is what "
        "that port speaks"
    ),
    # All that is heard of a port that closes at once, as one with TLS does where none is spoken.
    Local.ALL_BROKERS_DOWN: (
        "no connection stays open: check hosts and ports in broker.url, and security.protocol in "
        "broker.properties_file: without it neither TLS nor a password is used"
    ),
}
_SAYS: Final[dict[int, int]] = {Local.AUTHENTICATION: 2, Local.SSL: 2, Local.RESOLVE: 1, Local.TRANSPORT: 1}
"""How much an error says: one that says less does not take the place of a fresh one that says more."""


class KafkaTrouble:
    """The last words of librdkafka about a connection that it could not make."""

    def __init__(self) -> None:
        """No trouble yet."""
        self._code = 0
        self._words = ""
        self._at = 0

    def note(self, code: int, words: str, *, now: int) -> None:
        """Remember an error that hinders a connection; others are passed over. `now`: Unix ms."""
        if code not in _MENDS:
            return
        # The same handshake fails as SSL and, now and then, as a plain transport error that says less.
        if _SAYS.get(code, 0) < _SAYS.get(self._code, 0) and now - self._at <= _FRESH_MS:
            return
        self._code, self._words, self._at = code, words, now

    def clear(self) -> None:
        """Kafka has answered."""
        self._code, self._words = 0, ""

    def explain(self, error: BrokerError, *, now: int) -> BrokerError:
        """The error with the cause and how to mend it, where it says no more than that Kafka is away."""
        if error.code != "broker_unavailable" or not self._words or now - self._at > _FRESH_MS:
            return error
        return BrokerError(error.code, f"{error}; {self._words}: {_MENDS[self._code]}")
