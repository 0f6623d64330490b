"""Records of the gateway as the stock Kafka client hands them out, without a Kafka."""

from dataclasses import dataclass, replace
from typing import Any

from gateway.broker.port import Record
from gateway.channels import Channel
from gateway.ingress.prepare import Prepared, make_record, prepare
from gateway.record import Framing
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

ORIGIN = "https://gw.example"


@dataclass(frozen=True)
class Message:
    """What `confluent_kafka.Message` offers of a record."""

    record: Record
    at: int = 0

    def error(self) -> None:
        """Nothing is wrong with it."""

    def topic(self) -> str:
        return self.record.topic

    def partition(self) -> int:
        return self.record.partition

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return (1, self.record.at)

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self.record.headers)

    def value(self) -> bytes | None:
        return self.record.value

    def changed(self, **headers: bytes) -> "Message":
        """The same with other headers."""
        named = tuple((name, headers.get(name, value)) for name, value in self.record.headers)
        return replace(self, record=replace(self.record, headers=named))


def accepted(
    data: object,
    on: Channel | None = None,
    *,
    offset: int = 0,
    framing: Framing = "prefix",
    now: int | None = None,
    **attributes: str,
) -> Message:
    """The record that the gateway makes of an event. `now`: when it accepts it."""
    at = circumstances() if now is None else replace(circumstances(), now=now)
    chosen = replace(on or channel([{"name": "id", "type": "string"}]), framing=framing)
    made: Any = prepare(draft(data, **attributes), chosen, at)
    assert isinstance(made, Prepared), made
    return Message(make_record(made.claim, made.version, ORIGIN), offset)
