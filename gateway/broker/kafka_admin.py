"""The client of administrative requests, and another in its place where it hears nothing for too long."""

import logging
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

RENEW_SECONDS: Final = 10.0
"""Of silence, before another client is tried.

librdkafka 2.x: a client that was made while its only broker was silent may go on to say "Failed while waiting
for controller" when Kafka is well again; seen for 40 s, in two of some hundred starts.
"""

_log = logging.getLogger(__name__)


class KafkaAdmin:
    """Holds today's client. `renew` is called on one thread; `client` may be read on any."""

    def __init__(self, make: Callable[[], AdminClient]) -> None:
        """`make` raises KafkaException where librdkafka refuses a setting."""
        self._make = make
        self.client = make()

    def renew(self) -> None:
        """Take another client; what the old one was asked ends with an error."""
        try:
            self.client = self._make()
        except KafkaException as error:
            _log.warning("no other client can be made for administrative requests: %s", error)
