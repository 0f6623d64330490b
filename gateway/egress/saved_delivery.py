"""The row of a delivery, read without its body, and the delivery that it stands for."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Final

from audit.arrays import table_of
from gateway.broker.port import Position
from gateway.egress.delivery import Delivery
from gateway.rows import DeliveryRow

COLUMNS: Final = tuple(column for column in table_of(DeliveryRow).columns if column.name != "payload")
"""All but the body, which may be large and is wanted only to be sent."""


NAMES: Final = tuple(column.name for column in COLUMNS)


def named(row: Iterable[Any]) -> Any:
    """A row of `NAMES`, as `delivery_of` takes it."""
    return SimpleNamespace(**dict(zip(NAMES, row, strict=True)))


def delivery_of(found: Any, *, wanted_at: int) -> Delivery:
    """What a row of `COLUMNS` says. `wanted_at`: since when, as `Delivery` has it."""
    return Delivery(
        endpoint=found.endpoint,
        ref=found.ref,
        partner=found.partner,
        source=found.source,
        event_id=found.event_id,
        event_type=found.event_type,
        topic=found.topic,
        position=Position(found.topic_id, found.partition, found.offset),
        schema_id=found.schema_id,
        group=found.order_key,
        body=None,
        attempts=found.attempts,
        due_at=found.next_at,
        wanted_at=wanted_at,
        search=found.search,
    )
