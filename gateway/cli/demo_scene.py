"""Who plays in the demo, and what they keep: keys, receipts, checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.cli.demo_http import Party
from gateway.cli.demo_material import Material
from gateway.cli.demo_stage import Child, Stage
from gateway.cli.demo_words import Narrator

SHIPPED: Final = "order.shipped"
ACCEPTED: Final = "order.accepted"
PRICE: Final = "price.daily"
LINES: Final = "application/x-ndjson"
PARTNERS: Final = ("acme", "globex")


@dataclass(slots=True, eq=False)
class Scene:
    """What the chapters share. `receipts`: what senders keep, by partner, direction and event id."""

    stage: Stage
    tell: Narrator
    material: Material
    ticks: Callable[[], float]
    gateway: Child
    operator: Party
    partners: dict[str, Party] = field(default_factory=dict)
    receiver: Party | None = None
    receipts: dict[tuple[str, str, str], str] = field(default_factory=dict, repr=False)
    checkpoints: dict[str, bytes] = field(default_factory=dict, repr=False)

    async def close(self) -> None:
        """Close every connection."""
        for party in [self.operator, *self.partners.values(), *([self.receiver] if self.receiver else [])]:
            await party.close()
